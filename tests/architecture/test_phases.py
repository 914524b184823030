"""What runs apart is found by the words of its file, so no test is left out."""

import re
from itertools import pairwise
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

    def __init__(self, name: str, *marks: str) -> None:
        self.name, self.marks = name, marks

    def get_closest_marker(self, name: str) -> object | None:
        return object() if name in self.marks else None


WAITING = {1, 3, 4, 9, 10}
LONG = {3, 9, 11}


def _items() -> list[Item]:
    return [
        Item(
            f"t{number}",
            *(["e2e"] if number in WAITING else []),
            *(["long"] if number in LONG else []),
        )
        for number in range(30)
    ]


@pytest.mark.parametrize("workers", [1, 2, 4, 6, 7])
def test_two_of_three_workers_begin_with_what_waits_and_the_others_compute(workers: int) -> None:
    items = _items()

    ordered = spread(items, workers)  # type: ignore[type-var]

    assert sorted(one.name for one in ordered) == sorted(one.name for one in items)
    bounds = [len(items) * number // workers for number in range(workers + 1)]
    stretches = [ordered[first:past] for first, past in pairwise(bounds)]
    waiters = max(1, workers * 2 // 3)
    for stretch in stretches[: workers - waiters]:
        assert not any("e2e" in one.marks for one in stretch)
    for stretch in stretches[workers - waiters :]:
        waits = ["e2e" in one.marks for one in stretch]
        assert waits[0]
        assert not waits[-1]
        assert waits == sorted(waits, reverse=True)


@pytest.mark.parametrize("workers", [1, 2, 4, 6, 7])
def test_what_lasts_long_begins_before_its_like(workers: int) -> None:
    ordered = spread(_items(), workers)  # type: ignore[type-var]

    computing = [one for one in ordered if "e2e" not in one.marks]
    assert [one.name for one in computing] == [
        "t11",
        *(f"t{number}" for number in range(30) if number not in {*WAITING, 11}),
    ]
    waiters = max(1, workers * 2 // 3)
    first = workers - waiters
    starts = [len(ordered) * number // workers for number in range(first, workers)]
    assert [ordered[start].name for start in starts[:2]] == ["t3", "t9"][:waiters]


@pytest.mark.parametrize("workers", [1, 4])
def test_more_that_waits_than_fits_loses_no_test(workers: int) -> None:
    items = [Item(f"t{number}", "e2e") for number in range(9)] + [Item("t9")]

    ordered = spread(items, workers)  # type: ignore[type-var]

    assert sorted(one.name for one in ordered) == sorted(one.name for one in items)
