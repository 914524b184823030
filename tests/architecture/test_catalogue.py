"""The catalogue of faults judges honestly: every row has its proof or its reason."""

import ast
from collections import Counter
from collections.abc import Iterator
from enum import StrEnum

import pytest

from tests.catalogue.evidence import count
from tests.catalogue.faults import FAULTS, WORDS, Fault
from tests.catalogue.gaps import GAPS
from tests.catalogue.judge import Verdict, judge
from tests.catalogue.results import REPOSITORY, Result, add, read

pytestmark = pytest.mark.uncounted

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


def test_a_row_says_where_its_fault_fired_and_whether_that_is_as_real_as_it_should_be() -> None:
    place = {"tests/simulation/test_a.py::test_a": {"X01": ("ONE", "EQ")}}
    noted = dict.fromkeys(place, Result("passed", {"X01": "1 order"}))
    [row] = judge({"X01": FAULT}, place, noted, {})
    assert (row.kinds, row.is_as_planned) == (("H1",), False)
    killed = {"tests/e2e/test_b.py::test_b": place["tests/simulation/test_a.py::test_a"]}
    both = noted | dict.fromkeys(killed, Result("passed", {"X01": "1 order"}))
    [row] = judge({"X01": FAULT}, place | killed, both, {})
    assert (row.kinds, row.is_as_planned) == (("H1", "H3"), True)


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
    fired(["lag"], "X07", words="lagged")

@pytest.mark.fault("X01", "ONE")
def test_silent():
    pass

@pytest.mark.fault("X01", "ONE")
def test_nothing_happened():
    fired(0)

@pytest.mark.fault("X01", "ONE")
def test_that_has_only_words():
    fired("it was blocked for 30 s")

@pytest.mark.fault("X01", "ONE")
def test_of_another_fault():
    fired(1, "X02")

@pytest.mark.fault("X01", "ONE")
def test_that_is_skipped():
    pytest.skip("no tool")

def test_without_a_mark():
    fired(1)
"""


class Counted:
    """One that counts, as those of the fakes and of the simulated exchange do."""

    def __init__(self, times: int) -> None:
        self.fired = times


class Colour(StrEnum):
    """A word of a closed set."""

    RED = "red"


@pytest.mark.parametrize(
    ("proof", "times"),
    [
        (3, 3),
        (0, 0),
        (-9, 0),
        ([], 0),
        ({}, 0),
        (["a", "b"], 2),
        ({-100}, 1),
        ([4, 0], 0),
        (Counted(2), 2),
        (Counted(0), 0),
        ([Counted(2), Counted(1)], 2),
        ([Counted(2), Counted(0)], 0),
        (pytest.ExceptionInfo.for_later(), 0),
    ],
)
def test_a_proof_is_what_could_have_been_nothing(proof: object, times: int) -> None:
    assert count(proof) == times


def test_an_error_counts_once_it_was_raised() -> None:
    with pytest.raises(ValueError, match="gone") as raised:
        raise ValueError("gone")
    assert count(raised) == 1


@pytest.mark.parametrize(
    "words", ["blocked for 30 s", "", b"x", True, False, Colour.RED, None, 2.5, object()]
)
def test_what_is_there_whatever_happened_proves_nothing(words: object) -> None:
    with pytest.raises(TypeError, match="counts nothing"):
        count(words)


def _claims_by_words(tree: ast.AST) -> Iterator[ast.Call]:
    """Calls of `fired` whose proof, or what it comes to by `and` and `or`, is made of words."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "fired":
            proof = node.args[0] if node.args else ast.Constant("")
            parts = proof.values if isinstance(proof, ast.BoolOp) else [proof]
            if any(map(_is_there_anyway, parts)):
                yield node


def _is_there_anyway(part: ast.expr) -> bool:
    """Whether it is a word, a number as written, an answer of yes or no, or a list of such."""
    if isinstance(part, ast.List | ast.Tuple | ast.Set):
        return any(map(_is_there_anyway, part.elts))
    is_said = isinstance(part, ast.Call) and getattr(part.func, "id", "") in {"str", "repr"}
    is_no = isinstance(part, ast.UnaryOp) and isinstance(part.op, ast.Not)
    return is_said or is_no or isinstance(part, ast.JoinedStr | ast.Constant | ast.Compare)


@pytest.mark.parametrize(
    ("line", "is_refused"),
    [
        ('fired("8 facts for 5 places")', True),
        ('fired(f"{frozen} frames held back")', True),
        ('fired(count == 1 and f"HTTP {status}")', True),
        ("fired(3)", True),
        ("fired()", True),
        ('fired(["stopped"])', True),
        ("fired(price == 5)", True),
        ("fired(not missing)", True),
        ("fired(str(error))", True),
        ("fired(repr(text))", True),
        ('fired(frozen, words=f"{frozen} frames")', False),
        ('fired(fault, "X01")', False),
        ("fired([one for one in orders if one.is_open])", False),
        ("fired({kind} - known)", False),
    ],
)
def test_words_are_known_by_how_they_are_written(line: str, is_refused: bool) -> None:
    assert bool(list(_claims_by_words(ast.parse(line)))) is is_refused


def test_no_fault_is_proven_by_words() -> None:
    found = [
        f"{path.relative_to(REPOSITORY)}:{call.lineno}"
        for path in sorted((REPOSITORY / "tests").rglob("*.py"))
        for call in _claims_by_words(ast.parse(path.read_text()))
    ]
    assert not found, "give what counts the fault, and the words as words="


def test_a_marked_test_whose_fault_did_not_fire_fails(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(INNER)
    outcome = pytester.runpytest_inprocess("-p", "tests.catalogue.plugin", "-p", "no:asyncio")
    outcome.assert_outcomes(passed=1, failed=5, skipped=1)
    outcome.stdout.fnmatch_lines_random(["*never fired: X01*", "*the fault did not happen: 0*"])
    noted = {name.partition("::")[2]: result for name, result in read(pytester.path).items()}
    assert noted["test_both_fire"].evidence == {"X01": "1", "X07": "1: lagged"}
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
