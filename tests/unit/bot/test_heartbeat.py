"""`umbra health` believes only a fresh sign of life."""

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from bot import heartbeat
from tests.builders import NOON


def test_a_fresh_sign_of_life_is_healthy(tmp_path: Path) -> None:
    heartbeat.write(tmp_path, NOON, is_healthy=True, note="3 trackers")
    verdict = heartbeat.check(tmp_path, NOON + timedelta(seconds=5), is_served=True)
    assert verdict.is_healthy
    assert "3 trackers" in verdict.text


def test_an_old_one_means_that_nobody_watches(tmp_path: Path) -> None:
    heartbeat.write(tmp_path, NOON, is_healthy=True, note="")
    verdict = heartbeat.check(tmp_path, NOON + timedelta(seconds=16), is_served=True)
    assert not verdict.is_healthy
    assert "not watched" in verdict.text


def test_a_fresh_sign_of_a_process_that_is_gone_is_not_healthy(tmp_path: Path) -> None:
    heartbeat.write(tmp_path, NOON, is_healthy=True, note="3 trackers")
    verdict = heartbeat.check(tmp_path, NOON + timedelta(seconds=5), is_served=False)
    assert not verdict.is_healthy
    assert "nobody is there, last sign of life 5 s ago" in verdict.text


def test_running_but_unwell_is_not_healthy(tmp_path: Path) -> None:
    heartbeat.write(tmp_path, NOON, is_healthy=False, note="storage lost")
    verdict = heartbeat.check(tmp_path, NOON, is_served=True)
    assert (verdict.is_healthy, verdict.text) == (False, "running, but not well: storage lost")


def test_no_file_or_a_broken_one_is_not_healthy(tmp_path: Path) -> None:
    assert not heartbeat.check(tmp_path, NOON, is_served=True).is_healthy
    (tmp_path / "heartbeat.json").write_text("{")
    assert not heartbeat.check(tmp_path, NOON, is_served=True).is_healthy


def test_the_last_sign_of_an_orderly_end_says_so(tmp_path: Path) -> None:
    heartbeat.write(tmp_path, NOON, is_healthy=False, note="stopped", is_stopped=True)
    verdict = heartbeat.check(tmp_path, NOON + timedelta(seconds=60), is_served=True)
    assert not verdict.is_healthy
    assert "good order 60 s ago" in verdict.text


def test_a_sign_of_an_older_program_is_read(tmp_path: Path) -> None:
    older = {"at": NOON.isoformat(), "pid": 1, "is_healthy": True, "note": "3 trackers"}
    (tmp_path / "heartbeat.json").write_text(json.dumps(older))
    assert heartbeat.check(tmp_path, NOON, is_served=True).text == "healthy: 3 trackers, 0 s ago"


def test_a_sign_that_is_written_over_at_any_byte_is_no_sign_or_a_whole_one(tmp_path: Path) -> None:
    file = tmp_path / "heartbeat.json"
    signs = {}
    for note in ("3 trackers", "4 trackers; the journal cannot be written"):
        heartbeat.write(tmp_path, NOON, is_healthy=True, note=note, holdings=["Holds 1 BTC"])
        signs[file.read_bytes()] = heartbeat.read(tmp_path)
    before, after = signs
    seen = []
    for torn_at in range(len(before)):
        file.write_bytes(after[:torn_at] + before[torn_at:])
        seen.append(heartbeat.read(tmp_path))
    assert None in seen
    assert set(seen) == {None, *signs.values()}


def test_a_sign_that_cannot_be_made_anew_is_written_over_the_last_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heartbeat.write(tmp_path, NOON, is_healthy=True, note="before")
    size = (tmp_path / "heartbeat.json").stat().st_size

    def is_full(_: Path, content: bytes) -> int:
        raise OSError(28, f"no space left for {len(content)} bytes")

    monkeypatch.setattr(Path, "write_bytes", is_full)
    lines = [f"Holds {number} COIN, stop {'9' * 400}" for number in range(20)]
    heartbeat.write(tmp_path, NOON, is_healthy=False, note="after", holdings=lines)
    sign = heartbeat.read(tmp_path)
    assert sign is not None
    assert sign.note == "after"
    # It takes no block that it had not before; what has room is said.
    assert (tmp_path / "heartbeat.json").stat().st_size == size
    assert 5 < len(sign.holdings) < 20
    heartbeat.write(tmp_path, NOON, is_healthy=True, note="ok")
    again = heartbeat.read(tmp_path)
    assert again is not None
    assert (again.note, again.holdings) == ("ok", ())


_ON_A_FULL_DISK = """
import errno, sys
from datetime import UTC, datetime
from pathlib import Path
from bot import heartbeat

folder, noon = Path(sys.argv[1]), datetime(2026, 1, 1, 12, tzinfo=UTC)
heartbeat.write(folder, noon, is_healthy=True, note="before")
heartbeat.write_watchdog(folder, noon)
filled = 0
with (folder / "filler").open("ab", buffering=0) as filler:
    try:
        while True:
            filled += filler.write(bytes(512))
    except OSError as error:
        assert error.errno == errno.ENOSPC
heartbeat.write(folder, noon, is_healthy=False, note="after", holdings=["Holds 1 BTC"] * 20)
heartbeat.write_watchdog(folder, noon, is_stopped=True)
print(filled > 0, heartbeat.read(folder).note, heartbeat.read_watchdog(folder).is_stopped)
"""


def test_signs_of_life_go_on_when_a_real_disk_is_full(tmp_path: Path) -> None:
    mount = 'mount -t tmpfs -o size=64k none "$1" && shift && exec "$@"'
    own = ("unshare", "-Urm", "sh", "-c", mount, "sh", str(tmp_path))
    try:
        may_mount = subprocess.run((*own, "true"), capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        may_mount = False
    if not may_mount:
        pytest.skip("this machine lets nobody mount a file system of their own (unshare -Urm)")
    told = subprocess.run(
        (*own, sys.executable, "-c", _ON_A_FULL_DISK, str(tmp_path)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (told.stdout.strip(), told.stderr) == ("True after True", "")


def test_a_sign_that_cannot_be_read_says_nothing_of_stops(tmp_path: Path) -> None:
    (tmp_path / "heartbeat.json").mkdir()
    verdict = heartbeat.check(tmp_path, NOON, is_served=False)
    assert not verdict.is_healthy
    assert "cannot be read (Is a directory): whether stops are watched is not known" in verdict.text
