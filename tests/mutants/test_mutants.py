"""The tool itself: what it changes, what it draws, and that a weak test lets a mutant live."""

from pathlib import Path

import pytest

from tests.mutants.__main__ import sample, told, without_mutant
from tests.mutants.known import SAME, TARGETS, Same, Target
from tests.mutants.making import Mutant, mutants
from tests.mutants.running import Fate, NotGreenError, check_green, fate_of, key_of, state_of

# It computes for seconds, and nothing of the product.
pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).resolve().parents[2]
PURSE = '''"""What a purse allows."""


def is_enough(held: int, wanted: int) -> bool:
    """Whether the purse holds it."""
    return held >= wanted


def spent(held: int) -> int:
    while held > 0:
        held -= 1
    return held
'''
WEAK = """from purse import is_enough, spent


def test_much_is_enough():
    assert is_enough(3, 2)
    assert spent(2) == 0
"""
GOOD = f"{WEAK}    assert is_enough(2, 2)\n"


def _changes(source: str) -> set[tuple[str, str]]:
    found = mutants("purse.py", f"def f(a, b):\n    {source}\n".encode())
    return {(mutant.old, mutant.new) for mutant in found}


@pytest.mark.parametrize(
    ("source", "old", "new"),
    [
        ("a = b < 1", "b < 1", "b <= 1"),
        ("a = b < 1", "b < 1", "b >= 1"),
        ("a = b < 1", "b < 1", "b < 2"),
        ("a = b < 1", "b < 1", "b < 0"),
        ("a = b is not None", "b is not None", "b is None"),
        ("a = b in ()", "b in ()", "b not in ()"),
        ("a = a < b <= 2", "a < b <= 2", "a < b < 2"),
        ("a = a and b", "a and b", "a or b"),
        ("a = b + a", "b + a", "b - a"),
        ("a = b * a", "b * a", "b / a"),
        ("a += b", "a += b", "a -= b"),
        ("a += b", "a += b", "pass"),
        ("a = not b", "not b", "b"),
        ("a = -b", "-b", "b"),
        ("a = f(b, c=True)", "c=True", "c=False"),
        ('a = Decimal("0.05")', 'Decimal("0.05")', 'Decimal("1.05")'),
        ("a = max(a, b)", "max(a, b)", "min(a, b)"),
        ("return f(a)", "return f(a)", "return None"),
        ("return True", "return True", "return False"),
        ("a = f(a)", "a = f(a)", "pass"),
        ("f(a)", "f(a)", "pass"),
        ("raise f(a)", "raise f(a)", "pass"),
        ("a = 1 if b else 2", "1 if b else 2", "1 if not (b) else 2"),
        ("a = {1: 2, **b}", "{1: 2, **b}", "{1: 2}"),
        ("a = {1: 2, **b}", "{1: 2, **b}", "{**b}"),
    ],
)
def test_an_error_of_this_kind_is_put_in(source: str, old: str, new: str) -> None:
    assert (old, new) in _changes(source)


@pytest.mark.parametrize(
    "source",
    ['"""Words."""', 'return f"{a + 1} {b < 2}"', "import os", "a: Literal[1]", "a = b"],
)
def test_what_decides_nothing_is_left_alone(source: str) -> None:
    assert _changes(source) <= {(source, "return None")}


def test_a_mutant_is_one_change_of_the_file_and_nothing_else() -> None:
    source = PURSE.replace("purse allows", "purse allows, in €").encode()
    (mutant,) = (one for one in mutants("purse.py", source) if one.new == "held > wanted")
    assert mutant.line == 6
    assert mutant.applied(source) == source.replace(b"held >= wanted", b"held > wanted")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "purse.py").write_text(PURSE)
    (tmp_path / "test_weak.py").write_text(WEAK)
    (tmp_path / "test_good.py").write_text(GOOD)
    return tmp_path


def _mutant(new: str) -> Mutant:
    (found,) = (one for one in mutants("purse.py", PURSE.encode()) if one.new == new)
    return found


def test_a_weak_test_lets_a_mutant_live_and_a_good_one_kills_it(tree: Path) -> None:
    mutant = _mutant("held > wanted")
    assert check_green(tree, Target("purse.py", ("test_weak.py", "test_good.py"))) > 0
    assert fate_of(tree, mutant, ["test_weak.py"]) is Fate.SURVIVED
    assert fate_of(tree, mutant, ["test_good.py"]) is Fate.KILLED
    assert (tree / "purse.py").read_text() == PURSE


def test_a_mutant_that_never_ends_is_stopped_and_counts_as_noticed(tree: Path) -> None:
    assert fate_of(tree, _mutant("held += 1"), ["test_weak.py"], limit_s=3) is Fate.ENDLESS


def test_nothing_is_judged_by_tests_that_fail_anyway(tree: Path) -> None:
    (tree / "test_weak.py").write_text("def test_nothing():\n    assert False\n")
    with pytest.raises(NotGreenError, match="assert False"):
        check_green(tree, Target("purse.py", ("test_weak.py",)))


def test_a_result_holds_until_the_module_its_tests_or_what_they_import_change(tree: Path) -> None:
    target = Target("purse.py", ("test_weak.py",))
    before = state_of(tree, target)
    (tree / "test_good.py").write_text("")
    assert state_of(tree, target) == before
    mutant, other = _mutant("held > wanted"), _mutant("held < wanted")
    assert key_of(before, mutant) != key_of(before, other)
    (tree / "test_weak.py").write_text(GOOD)
    assert state_of(tree, target) != before


def test_a_sample_is_repeatable_and_takes_every_module_in_turn() -> None:
    everything = {
        target: mutants(target.path, (REPOSITORY / target.path).read_bytes())
        for target in TARGETS[3:6]
    }
    drawn = sample(everything, 31, seed=7)
    assert sorted(len(found) for found in drawn.values()) == [10, 10, 11]
    assert sample(everything, 31, seed=7) == drawn
    assert sample(everything, 31, seed=8) != drawn
    longer = sample(everything, 61, seed=7)
    assert all(longer[target][:10] == found[:10] for target, found in drawn.items())
    for found in drawn.values():
        assert len({mutant.kind for mutant in found}) > 5


def test_every_mutant_that_is_said_to_change_nothing_is_still_made() -> None:
    paths = {same.path for same in SAME}
    made = [mutants(path, (REPOSITORY / path).read_bytes()) for path in sorted(paths)]
    assert without_mutant(SAME, made) == []
    gone = Same("purse.py", "is_enough", "held == wanted", "held != wanted", "an example")
    assert without_mutant([gone], made) == [gone]


def test_every_module_and_every_test_of_the_list_exists() -> None:
    paths = [path for target in TARGETS for path in (target.path, *target.tests)]
    assert [path for path in paths if not (REPOSITORY / path).is_file()] == []


@pytest.mark.parametrize(("survivors", "code"), [(0, 0), (3, 0), (4, 1)])
def test_fifteen_of_a_hundred_may_live_and_each_is_named(
    survivors: int, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    path = TARGETS[3].path
    made = mutants(path, (REPOSITORY / path).read_bytes())[:20]
    fates = dict.fromkeys(made, Fate.KILLED) | dict.fromkeys(made[:survivors], Fate.SURVIVED)
    assert told(fates) == code
    said = capsys.readouterr().out
    named = [f"{path}:{one.line}, {one.old} -> {one.new}" in said for one in made]
    assert named.count(True) == survivors
    assert f"{20 - survivors} of  20 killed" in said
