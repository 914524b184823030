"""From rows, marked tests and their results to a verdict per row; pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from tests.catalogue.faults import Fault
from tests.catalogue.results import Result

# Test → fault id → outcome words that the test asserts.
Claims = Mapping[str, Mapping[str, tuple[str, ...]]]


# Where a test lies says how much of it is real; `docs/reliability.md` shows the kinds.
_KINDS = {
    "tests/simulation/": "H1",
    "tests/integration/": "H2",
    "tests/contract/gateway/": "H2",
    "tests/contract/storage/": "H3",
    "tests/e2e/": "H3",
    "tests/page/": "H3",
}


_REAL = ("unit", "H1", "H2", "H3")


class Verdict(StrEnum):
    """What a row is worth today."""

    PROVEN = "proven"
    IN_PART = "in part"
    OPEN = "open"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class Row:
    """A fault with everything that is known about its tests."""

    fault: Fault
    tests: tuple[str, ...]
    evidence: Mapping[str, str]
    proven: tuple[str, ...]
    problems: tuple[str, ...]
    gap: str

    @property
    def missing(self) -> tuple[str, ...]:
        """Outcome words that no passing test asserts."""
        return tuple(word for word in self.fault.words if word not in self.proven)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of its tests in which the fault fired; what is in memory alone is a unit."""
        return tuple(sorted({_kind_of(name) for name in self.evidence}))

    @property
    def is_as_planned(self) -> bool:
        """Whether as much was real as the row asks for, or more."""
        return max(map(_REAL.index, self.kinds), default=0) >= _REAL.index(self.fault.layer)

    @property
    def verdict(self) -> Verdict:
        """Judge the row; whatever needs somebody's attention is a failure."""
        if self.problems:
            return Verdict.FAILED
        if not self.evidence:
            return Verdict.OPEN
        return Verdict.IN_PART if self.missing else Verdict.PROVEN


def _kind_of(name: str) -> str:
    return next((kind for place, kind in _KINDS.items() if name.startswith(place)), "unit")


def judge(
    faults: Mapping[str, Fault],
    claims: Claims,
    noted: Mapping[str, Result],
    gaps: Mapping[str, str],
) -> list[Row]:
    """One row per fault; `noted` holds results of the present sources only."""
    return [_row(fault, claims, noted, gaps.get(fault.fault_id, "")) for fault in faults.values()]


def _row(fault: Fault, claims: Claims, noted: Mapping[str, Result], gap: str) -> Row:
    tests = tuple(sorted(name for name, ids in claims.items() if fault.fault_id in ids))
    evidence: dict[str, str] = {}
    words: set[str] = set()
    problems = []
    for name in tests:
        result = noted.get(name)
        if result is None:
            problems.append(f"not run: {name}")
        elif result.is_proof and fault.fault_id in result.evidence:
            evidence[name] = result.evidence[fault.fault_id]
            words |= set(claims[name][fault.fault_id])
        elif result.outcome != "skipped":
            problems.append(f"{result.outcome}: {name}")
    proven = tuple(word for word in fault.words if word in words)
    problems += _complaints(len(proven) == len(fault.words), gap)
    return Row(fault, tests, evidence, proven, tuple(problems), gap)


def _complaints(is_whole: bool, gap: str) -> list[str]:
    if is_whole:
        return [f"proven whole, so its gap is out of date: {gap}"] if gap else []
    return [] if gap else ["not proven whole, and no reason is given (tests/catalogue/gaps.py)"]
