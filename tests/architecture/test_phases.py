"""What runs apart is found by the words of its file, so no test is left out."""

import re
from pathlib import Path

import pytest

from tests.phases import APART

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
