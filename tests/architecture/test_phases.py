"""What runs apart is found by the words of its file, so no test is left out."""

import re
from pathlib import Path

import pytest

from tests.phases import APART, spread

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "run-tests"
BORROWED = """
import pytest
apart = getattr(pytest.mark, "slow")
@apart
def test_a(): pass
"""
ITS_OWN = """
import pytest
@pytest.mark.slow
def test_a(): pass
"""


def _collected(pytester: pytest.Pytester, content: str) -> pytest.RunResult:
    pytester.makepyfile(content)
    plain = ("-p", "no:asyncio", "-o", "markers=slow: apart", "--collect-only")
    return pytester.runpytest_inprocess("-p", "tests.phases", *plain)


def test_a_mark_that_its_file_does_not_say_is_refused(pytester: pytest.Pytester) -> None:
    outcome = _collected(pytester, BORROWED)
    outcome.stderr.fnmatch_lines(["*test_a: its file should say pytest.mark.slow itself*"])
    assert outcome.ret != 0


def test_a_mark_that_its_file_says_is_taken(pytester: pytest.Pytester) -> None:
    assert _collected(pytester, ITS_OWN).ret == 0


def test_the_script_looks_for_every_mark_that_it_runs_apart() -> None:
    looked_for = re.findall(r"\$\(marked '?([a-z0-9|]+)'?\)", SCRIPT.read_text())
    assert {name for one in looked_for for name in one.split("|")} == APART


class Item:
    """As much of a test as its order needs."""

    def __init__(self, name: str, *, is_long: bool = False) -> None:
        self.name, self.is_long = name, is_long

    def get_closest_marker(self, name: str) -> object | None:
        return object() if name == "long" and self.is_long else None


@pytest.mark.parametrize("workers", [1, 2, 4, 7])
def test_what_lasts_long_begins_first_in_every_workers_stretch(workers: int) -> None:
    items = [Item(f"t{number}", is_long=number in {3, 9, 10}) for number in range(12)]

    ordered = spread(items, workers)  # type: ignore[type-var]

    assert sorted(one.name for one in ordered) == sorted(one.name for one in items)
    starts = [len(items) * number // workers for number in range(workers)]
    assert all(ordered[start].is_long for start in starts[: min(workers, 3)])
    assert [one.name for one in ordered if not one.is_long] == [
        one.name for one in items if not one.is_long
    ]
