"""What goes wrong around a command is one sentence and an exit code, and no trace of a program."""

import errno
import os
from pathlib import Path

import pytest

from bot import cli
from bot.control.messages import Reply


@pytest.fixture(autouse=True)
def _installation(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("UMBRA_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("UMBRA_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)


def ended(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> object:
    """Run a command as the shell does; its exit code."""
    before = os.umask(0o077)
    monkeypatch.setattr("sys.argv", ["umbra", *arguments])
    try:
        with pytest.raises(SystemExit) as end:
            cli.main()
    finally:
        os.umask(before)
    return end.value.code


@pytest.mark.parametrize("command", [("status",), ("panic", "--yes"), ("halt",), ("data", "list")])
def test_a_data_directory_that_is_a_file_is_said_in_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: tuple[str, ...],
) -> None:
    (tmp_path / "data").touch()
    assert ended(monkeypatch, *command) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("umbra: ")
    assert "Not a directory" in said.err
    assert said.err.count("\n") == 1


@pytest.mark.parametrize("is_done", [True, False])
def test_an_answer_that_standard_output_does_not_take_is_read_on_the_other_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], is_done: bool
) -> None:
    echo = cli.typer.echo

    def full(text: str, *, err: bool = False) -> None:
        if not err:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        echo(text, err=True)

    monkeypatch.setattr(cli.typer, "echo", full)
    monkeypatch.setattr(cli, "_ask", lambda *_: Reply(is_done, "Everything managed is sold."))
    assert ended(monkeypatch, "panic", "--yes") == (0 if is_done else 1)
    assert capsys.readouterr().err == "Everything managed is sold.\n"


def test_an_agent_shows_in_its_log_where_the_machine_failed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail() -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(cli, "app", fail)
    monkeypatch.setattr("sys.argv", ["umbra", "run"])
    before = os.umask(0o077)
    try:
        with pytest.raises(OSError, match="Input/output error"):
            cli.main()
    finally:
        os.umask(before)
