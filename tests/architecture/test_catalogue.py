"""The catalogue of faults judges honestly: every row has its proof or its reason."""

from collections import Counter

import pytest

from tests.catalogue.faults import FAULTS, WORDS, Fault
from tests.catalogue.gaps import GAPS
from tests.catalogue.judge import Verdict, judge
from tests.catalogue.results import Result, add, read

FAULT = Fault("X01", "the answer is lost", "H2", ("ONE", "EQ"))
CLAIMS = {"tests/test_a.py::test_a": {"X01": ("ONE",)}, "tests/test_b.py::test_b": {"X01": ("EQ",)}}


def test_the_catalogue_has_142_faults_of_8_kinds() -> None:
    kinds = Counter(fault_id[0] for fault_id in FAULTS)
    assert kinds == {"X": 40, "W": 18, "T": 24, "S": 15, "P": 15, "C": 6, "I": 9, "M": 15}
    assert all(row.words and set(row.words) <= WORDS.keys() for row in FAULTS.values())
    assert GAPS.keys() <= FAULTS.keys()


def _noted(outcome: str = "passed") -> dict[str, Result]:
    passed = Result("passed", {"X01": "1 order"})
    return dict.fromkeys(CLAIMS, passed) | {"tests/test_b.py::test_b": Result(outcome, {})}


def _verdict(noted: dict[str, Result], gap: str = "") -> Verdict:
    [row] = judge({"X01": FAULT}, CLAIMS, noted, {"X01": gap})
    return row.verdict


def test_a_row_is_proven_by_tests_that_passed_and_fired_for_all_its_words() -> None:
    everything = {name: Result("passed", {"X01": "1 order"}) for name in CLAIMS}
    assert _verdict(everything) is Verdict.PROVEN
    assert _verdict(everything, gap="not built yet") is Verdict.FAILED


@pytest.mark.parametrize("outcome", ["failed", "passed"])
def test_a_test_that_failed_or_whose_fault_did_not_fire_fails_its_row(outcome: str) -> None:
    assert _verdict(_noted(outcome), gap="a reason does not excuse it") is Verdict.FAILED


def test_a_test_that_did_not_run_fails_its_row() -> None:
    assert _verdict({}, gap="a reason does not excuse it") is Verdict.FAILED


def test_a_skipped_test_proves_nothing_and_what_it_leaves_owed_needs_a_reason() -> None:
    assert _verdict(_noted("skipped")) is Verdict.FAILED
    assert _verdict(_noted("skipped"), gap="needs strace") is Verdict.IN_PART


def test_a_fault_without_a_test_needs_a_reason() -> None:
    for gap, verdict in (("", Verdict.FAILED), ("no mini app yet", Verdict.OPEN)):
        [row] = judge({"X01": FAULT}, {}, {}, {"X01": gap})
        assert row.verdict is verdict


INNER = """
import pytest
from tests.catalogue import fired

@pytest.mark.fault("X01", "ONE")
@pytest.mark.fault("X07")
def test_both_fire():
    fired(1, "X01")
    fired(["lag"], "X07")

@pytest.mark.fault("X01", "ONE")
def test_silent():
    pass

@pytest.mark.fault("X01", "ONE")
def test_nothing_happened():
    fired(0)

@pytest.mark.fault("X01", "ONE")
def test_of_another_fault():
    fired(1, "X02")

@pytest.mark.fault("X01", "ONE")
def test_that_is_skipped():
    pytest.skip("no tool")

def test_without_a_mark():
    fired(1)
"""


def test_a_marked_test_whose_fault_did_not_fire_fails(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(INNER)
    outcome = pytester.runpytest_inprocess("-p", "tests.catalogue.plugin", "-p", "no:asyncio")
    outcome.assert_outcomes(passed=1, failed=4, skipped=1)
    outcome.stdout.fnmatch_lines_random(["*never fired: X01*", "*the fault did not happen: 0*"])
    noted = {name.partition("::")[2]: result for name, result in read(pytester.path).items()}
    assert noted["test_both_fire"].evidence == {"X01": "1", "X07": "['lag']"}
    assert noted["test_silent"].outcome == "failed"
    assert noted["test_that_is_skipped"].outcome == "skipped"


@pytest.mark.parametrize("marker", ['"X99"', '"X01", "PROT"', '"X01", "FINE"'])
def test_a_mark_that_the_catalogue_does_not_know_is_refused(
    pytester: pytest.Pytester, marker: str
) -> None:
    pytester.makepyfile(f"import pytest\n@pytest.mark.fault({marker})\ndef test_a(): pass")
    outcome = pytester.runpytest_inprocess("-p", "tests.catalogue.plugin", "-p", "no:asyncio")
    assert outcome.ret is pytest.ExitCode.USAGE_ERROR


def test_results_of_several_runs_lie_side_by_side_and_the_newest_counts(
    pytester: pytest.Pytester,
) -> None:
    add(pytester.path, "old", _noted())
    add(pytester.path, "new", {"tests/test_b.py::test_b": Result("failed", {})})
    found = read(pytester.path)
    assert found["tests/test_a.py::test_a"].state == "old"
    assert found["tests/test_b.py::test_b"] == Result("failed", {}, "new")
