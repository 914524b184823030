"""Small files are replaced as a whole, or left as they were."""

from pathlib import Path

import pytest

from bot.small_files import replace_bytes, replace_text, write_over


def test_a_file_that_cannot_be_written_anew_stays_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "kept.json"
    replace_text(file, "the first ✋")
    replace_bytes(file, b"the second")

    def is_full(scratch: Path, content: bytes) -> int:
        scratch.open("wb").close()
        raise OSError(28, f"no space left for {len(content)} bytes")

    monkeypatch.setattr(Path, "write_bytes", is_full)
    with pytest.raises(OSError, match="no space left"):
        replace_text(file, "the third")
    assert file.read_text() == "the second"


def test_what_is_written_over_leaves_the_rest_and_makes_no_file(tmp_path: Path) -> None:
    file = tmp_path / "kept.json"
    with pytest.raises(FileNotFoundError):
        write_over(file, b"x")
    file.write_text("before")
    write_over(file, b"af")
    assert file.read_text() == "affore"
