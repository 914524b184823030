"""The coverage gates add up the right files and fail a room below its gate."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import counting, coverage_gates


def _file(statements: int, branches: int, reached: int) -> dict[str, dict[str, int]]:
    return {
        "summary": {
            "covered_lines": min(reached, statements),
            "missing_lines": max(statements - reached, 0),
            "covered_branches": max(reached - statements, 0),
            "missing_branches": branches - max(reached - statements, 0),
        }
    }


@pytest.mark.parametrize(
    ("path", "room"),
    [
        ("trading/domain/money.py", "trading/domain"),
        ("trading/sim/matching.py", "trading/sim/matching.py"),
        ("trading/sim/account.py", "trading/sim"),
        ("trading/sim/binance/rest.py", "trading/sim"),
        ("bot/telegram/access.py", "bot/telegram/access.py"),
        ("bot/telegram/commands/trade.py", "bot/telegram"),
        ("bot/cli.py", "bot"),
        ("storage/migrations/env.py", "storage/migrations"),
    ],
)
def test_a_file_counts_for_its_room(path: str, room: str) -> None:
    assert coverage_gates.room_of(path) == room


def test_files_of_one_room_are_added_up() -> None:
    # 95 + 0 of 90 + 10 is the gate exactly; one less in the second file would fail.
    files = {
        "trading/risk/gate.py": _file(statements=80, branches=10, reached=88),
        "trading/risk/sizing.py": _file(statements=10, branches=0, reached=7),
    }
    (room,) = coverage_gates.rooms(files)
    assert (room.name, room.percent, room.is_open) == ("trading/risk", 95.0, True)


@pytest.mark.parametrize(
    ("path", "reached", "is_open"),
    [
        ("trading/trackers/rules.py", 95, True),
        ("trading/trackers/rules.py", 94, False),
        ("trading/market/book.py", 85, True),
        ("trading/market/book.py", 84, False),
    ],
)
def test_a_room_below_its_gate_fails(path: str, reached: int, is_open: bool) -> None:
    (room,) = coverage_gates.rooms({path: _file(statements=60, branches=40, reached=reached)})
    assert room.is_open is is_open
    assert coverage_gates.lines([room])[0].startswith("passed" if is_open else "FAILED")


def test_the_room_in_most_need_comes_first() -> None:
    files = {
        "bot/cli.py": _file(statements=100, branches=0, reached=90),
        "trading/domain/money.py": _file(statements=100, branches=0, reached=94),
        "trading/domain/order.py": _file(statements=0, branches=0, reached=0),
    }
    assert [room.name for room in coverage_gates.rooms(files)] == ["trading/domain", "bot"]


_PRODUCT = """
def sign(number):
    if number < 0:
        return "minus"
    return "plus"
"""
_TEST = """
import bot

def test_sign():
    assert bot.sign(1) == "plus"
"""


@pytest.mark.parametrize("workers", ["0", "2"])
def test_what_no_test_reaches_is_missing(workers: str, tmp_path: Path) -> None:
    for package in ("bot", "trading", "storage"):
        (tmp_path / package).mkdir()
    (tmp_path / "bot" / "__init__.py").write_text(_PRODUCT)
    (tmp_path / "test_sign.py").write_text(_TEST)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    where = {"PYTHONPATH": str(counting.REPOSITORY), "COUNTED_IN": str(tmp_path / "counted")}
    subprocess.run(
        (sys.executable, "-m", "pytest", "-q", "-p", "tests.counting", "-n", workers),
        cwd=tmp_path,
        env=os.environ | where,
        check=True,
        capture_output=True,
    )
    told = counting.reached(tmp_path / "counted")["files"]["bot/__init__.py"]
    assert told["executed_lines"] == [2, 3, 5]
    assert (told["missing_lines"], told["executed_branches"]) == ([4], [[3, 5]])
    assert told["missing_branches"] == [[3, 4]]


def test_a_run_that_counted_nothing_is_no_pass(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nothing was counted"):
        counting.reached(tmp_path)
