"""Nobody but the owner reads what Umbra writes, nor what earlier versions left in its directory."""

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

import bot
import storage
from bot import cli
from bot.owner_only import close_to_others, leave_to_owner, of_others

_NAMES = re.compile(r'"([A-Za-z_]+\.(?:db|json|lock|marks?|reserve|sock))"')
_PLACES = re.compile(r'(?:directory(?:\(\))?|data_dir) / f?"([A-Za-z_.]+)"')


@pytest.fixture
def an_open_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.usefixtures("an_open_umask")
def test_a_command_writes_for_its_owner_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["umbra", "version"])
    with pytest.raises(SystemExit):
        cli.main()
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "written").write_text("2 BTC")
    assert mode(tmp_path / "made") == 0o700
    assert mode(tmp_path / "made" / "written") == 0o600


@pytest.mark.usefixtures("an_open_umask")
def test_a_directory_of_an_earlier_version_is_closed_and_nothing_else_about_it_changes(
    tmp_path: Path,
) -> None:
    directory, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    (directory / "exports").mkdir(parents=True)
    elsewhere.write_text("not ours")
    (directory / "link").symlink_to(elsewhere)
    for name, before in (("heartbeat.json", 0o644), ("script", 0o755), ("reserve", 0o600)):
        (directory / name).touch()
        (directory / name).chmod(before)
    close_to_others(directory)
    found = {path.name: mode(path) for path in (directory, *directory.iterdir())}
    assert found == {
        "data": 0o700,
        "exports": 0o700,
        "heartbeat.json": 0o600,
        "script": 0o700,
        "reserve": 0o600,
        "link": 0o644,
    }


def test_what_belongs_to_somebody_else_is_logged_and_stops_no_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tmp_path.chmod(0o755)

    def refuse(_path: Path, _mode: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "chmod", refuse)
    close_to_others(tmp_path)
    assert [record.message for record in caplog.records] == ["readable_by_others"]


@pytest.mark.parametrize(
    "name", ["passwd", "Documents", "public_html", "notes.txt", "notes.tmp", "umbra.dbnotes"]
)
def test_a_directory_of_other_things_is_not_umbra_s_own(tmp_path: Path, name: str) -> None:
    (tmp_path / "archive").mkdir()
    (tmp_path / name).touch()
    tmp_path.chmod(0o755)
    assert of_others(tmp_path) == (name,)
    # Closed already, it is of no use to others that could be taken away.
    tmp_path.chmod(0o700)
    assert of_others(tmp_path) == ()


@pytest.mark.parametrize(
    "names",
    [
        (),
        (".bashrc", ".cache"),
        ("secrets.json", "archive", "HALT"),
        ("lost+found",),
        ("watchdog.json", "watchdog.tmp"),
        ("secrets.tmp",),
        ("secrets.json", "archive", "scores", "exports", "charts", "owner.json", "journal.mark"),
        ("agent.lock", "notes.txt"),
        ("umbra.db", "umbra.db.mark", "notes.txt"),
        ("umbra.db-wal", "notes.txt"),
    ],
)
def test_a_new_directory_and_one_that_was_started_in_are_umbra_s_own(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    for name in names:
        (tmp_path / name).touch()
    tmp_path.chmod(0o755)
    assert of_others(tmp_path) == ()


def _written() -> set[str]:
    """Every name that the product's source gives to what it writes into its data directory."""
    found = set[str]()
    for package in (bot, storage):
        for path in Path(package.__path__[0]).rglob("*.py"):
            # What these write lies in folders of their own.
            if path.name not in {"demo.py", "owner_only.py"} and path.parent.name != "archive":
                found.update(_NAMES.findall(path.read_text()), _PLACES.findall(path.read_text()))
    return found


def test_nothing_that_umbra_writes_is_of_others(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    written = _written()
    assert {"owner.json", "in_hand.marks", "waiting.sock", "exports", "scores"} <= written
    for name in written | {f"{Path(name).stem}.tmp" for name in written if name.endswith(".json")}:
        (tmp_path / name).touch()
        assert of_others(tmp_path) == (), name
        (tmp_path / name).unlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files for somebody else")
def test_what_root_leaves_in_somebodys_directory_is_theirs(tmp_path: Path) -> None:
    somebody, other = 12_345, 12_346
    for name in ("agent.lock", "secrets.json", "of another"):
        (tmp_path / name).touch(mode=0o600)
    os.chown(tmp_path / "of another", other, other)
    outside = tmp_path.with_name(f"{tmp_path.name} outside")
    outside.touch()
    (tmp_path / "link").symlink_to(outside)
    (tmp_path / "second name").hardlink_to(outside)
    leave_to_owner(tmp_path)
    assert {path.lstat().st_uid for path in tmp_path.iterdir()} == {0, other}
    os.chown(tmp_path, somebody, somebody)
    leave_to_owner(tmp_path)
    owners = {path.name: path.lstat().st_uid for path in tmp_path.iterdir()}
    assert owners == {
        "agent.lock": somebody,
        "secrets.json": somebody,
        "of another": other,
        "link": somebody,
        "second name": 0,
    }
    assert outside.stat().st_uid == 0
