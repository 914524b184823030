"""Marks outlive the process that wrote them, whatever kills it, and nothing else counts."""

import errno
import os
import signal
from pathlib import Path

import pytest

from bot.in_hand import MARKS, SUSPECTS, MarkedInHand
from tests.catalogue import fired
from tests.fakes.clock import FakeClock
from trading.poison import DEATHS_MAX, Lane

BUILD = "1.0"


def start(tmp_path: Path, build: str = BUILD) -> MarkedInHand:
    return MarkedInHand(tmp_path, FakeClock(), build)


def die_with(tmp_path: Path, lane: Lane, what: str) -> int:
    """Let a process of its own take a thing in hand and be killed; how it ended."""
    pid = os.fork()
    if pid == 0:
        start(tmp_path).take(lane, what)
        os.kill(os.getpid(), signal.SIGKILL)
    exit_code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert exit_code == -signal.SIGKILL
    return exit_code


@pytest.mark.fault("P08", "SAID")
def test_what_was_in_hand_at_three_kills_is_not_taken_again(tmp_path: Path) -> None:
    ends = []
    for _ in range(DEATHS_MAX):
        assert start(tmp_path).findings() == {}
        ends.append(die_with(tmp_path, Lane.UPDATE, "update 7"))
    in_hand = start(tmp_path)
    assert not in_hand.take(Lane.UPDATE, "update 7")
    assert in_hand.take(Lane.UPDATE, "update 8")
    assert in_hand.take(Lane.SLOW_UPDATE, "update 7")
    [finding] = in_hand.findings().values()
    assert "died 3 times" in finding
    fired(ends.count(-signal.SIGKILL), words=finding)


def test_a_thing_that_is_done_after_all_is_no_suspect_any_more(tmp_path: Path) -> None:
    for _ in range(DEATHS_MAX - 1):
        die_with(tmp_path, Lane.EVENT, "fact 3")
    in_hand = start(tmp_path)
    assert in_hand.is_suspicious(Lane.EVENT)
    assert in_hand.take(Lane.EVENT, "fact 3")
    in_hand.put_down(Lane.EVENT)
    assert not in_hand.is_suspicious(Lane.EVENT)
    die_with(tmp_path, Lane.EVENT, "fact 3")
    assert start(tmp_path).take(Lane.EVENT, "fact 3")


def test_what_was_put_down_is_not_blamed_and_an_orderly_end_blames_nothing(tmp_path: Path) -> None:
    in_hand = start(tmp_path)
    in_hand.take(Lane.REPORT, '"c":"a-1"')
    in_hand.put_down(Lane.REPORT)
    in_hand.take(Lane.UPDATE, "update 1")
    in_hand.clear()
    start(tmp_path)
    assert not (tmp_path / SUSPECTS).exists()


def test_another_build_tries_again(tmp_path: Path) -> None:
    for _ in range(DEATHS_MAX):
        die_with(tmp_path, Lane.FRAME, '"s":"BTCUSDT"')
    assert not start(tmp_path).take(Lane.FRAME, '{"e":"trade","s":"BTCUSDT"}')
    assert start(tmp_path).take(Lane.FRAME, '{"e":"trade","s":"ETHUSDT"}')
    assert start(tmp_path, "1.1").take(Lane.FRAME, '{"e":"trade","s":"BTCUSDT"}')


@pytest.mark.parametrize("text", ["", "x" * 1000, "ü" * 400, "\0"])
def test_any_text_can_be_marked(tmp_path: Path, text: str) -> None:
    in_hand = start(tmp_path)
    assert in_hand.take(Lane.UPDATE, text)
    in_hand.put_down(Lane.UPDATE)


@pytest.mark.parametrize("content", [b"", b"\xff" * 5000, b"{}", b"[1]", b'{"build": "1.0"}'])
def test_files_that_nobody_can_read_stop_no_start(tmp_path: Path, content: bytes) -> None:
    (tmp_path / MARKS).write_bytes(content)
    (tmp_path / SUSPECTS).write_bytes(content)
    assert start(tmp_path).take(Lane.UPDATE, "update 1")


def test_a_folder_that_cannot_be_written_stops_no_start(tmp_path: Path) -> None:
    nowhere = tmp_path / "gone"
    in_hand = MarkedInHand(nowhere, FakeClock(), BUILD)
    assert in_hand.take(Lane.UPDATE, "update 1")
    in_hand.put_down(Lane.UPDATE)


def test_marks_of_an_earlier_process_count_where_the_disk_lets_nothing_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(DEATHS_MAX - 1):
        die_with(tmp_path, Lane.UPDATE, "update 7")
    die_with(tmp_path, Lane.UPDATE, "update 7")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    # Of an earlier version, which had fewer lanes: there is no room for those that came.
    os.truncate(tmp_path / MARKS, (tmp_path / MARKS).stat().st_size - 1)
    monkeypatch.setattr(os, "posix_fallocate", full)
    assert not start(tmp_path).take(Lane.UPDATE, "update 7")
