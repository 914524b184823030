"""Which modules decide about money, which tests answer for each, and what changes nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

_EXECUTION = "tests/unit/trading/execution"
_TRACKERS = "tests/unit/trading/trackers"
_RISK = "tests/unit/trading/risk"
_CHAT = "tests/unit/bot/telegram"
_STORAGE = "tests/unit/storage"
_JOURNAL = "tests/contract/storage"


@dataclass(frozen=True, slots=True)
class Target:
    """A module and its tests, the quickest answer first."""

    path: str
    tests: tuple[str, ...]


def _tracker(name: str) -> Target:
    # The rules of trackers are one thing in five files: what one of them gets wrong, any may tell.
    names = ("rules", "missed", "lines", "trailing", "confirming", "ancestor_traps", "watch")
    first = (name, *(other for other in names if other != name))
    return Target(
        f"trading/trackers/{name}.py", tuple(f"{_TRACKERS}/test_{one}.py" for one in first)
    )


TARGETS = (
    Target(
        "trading/execution/lifecycle.py",
        (f"{_EXECUTION}/test_lifecycle.py", f"{_EXECUTION}/test_invariants.py"),
    ),
    Target(
        "trading/execution/classify.py",
        (f"{_EXECUTION}/test_classify.py", f"{_EXECUTION}/test_classify_at_the_border.py"),
    ),
    *(_tracker(name) for name in ("rules", "trailing", "confirming", "lines", "missed")),
    Target("trading/risk/gate.py", (f"{_RISK}/test_gate.py", f"{_RISK}/test_gate_invariants.py")),
    Target("trading/risk/halts.py", (f"{_RISK}/test_halts.py", f"{_RISK}/test_gate.py")),
    Target("trading/risk/limits.py", (f"{_RISK}/test_limits.py", f"{_RISK}/test_gate.py")),
    Target("bot/telegram/access.py", (f"{_CHAT}/test_access.py",)),
    Target("bot/telegram/confirm.py", (f"{_CHAT}/test_confirm.py",)),
    Target("storage/ledger.py", (f"{_STORAGE}/test_ledger.py", f"{_JOURNAL}/test_journal.py")),
    Target("storage/codec.py", (f"{_STORAGE}/test_codec.py", f"{_JOURNAL}/test_journal.py")),
)


@dataclass(frozen=True, slots=True)
class Same:
    """A mutant that no test can tell from the original, and why."""

    path: str
    scope: str
    old: str
    new: str
    reason: str


_RANK = "{_S.REJECTED: 1, _S.EXPIRED: 2, _S.CANCELED: 3, _S.FILLED: 4}"
SAME: Sequence[Same] = (
    *(
        Same(
            "trading/execution/lifecycle.py",
            "",
            _RANK,
            _RANK.replace(number, other),
            "only the order of the ranks counts",
        )
        for number, other in (("1", "0"), ("4", "5"))
    ),
    Same(
        "trading/execution/lifecycle.py",
        "_is_later",
        "theirs > (attempt.reported_at or _NEVER, _RANK[attempt.state])",
        "theirs >= (attempt.reported_at or _NEVER, _RANK[attempt.state])",
        "equal are only two reports of one end at one time, and taking the second changes nothing",
    ),
    Same(
        "trading/trackers/rules.py",
        "worst_price",
        "min(worst)",
        "max(worst)",
        "a buy has no hard stop, so it has one price at most",
    ),
    Same(
        "trading/trackers/missed.py",
        "evaluate",
        "0",
        "-1",
        "no candle begins before 1970",
    ),
    Same(
        "storage/ledger.py",
        "Append.__init__",
        "self._drained = 0",
        "pass",
        "every write sets it before anybody reads it; here it only gets its type",
    ),
    Same(
        "storage/ledger.py",
        "_holds",
        "found[0]",
        "found[-1]",
        "the row has one column",
    ),
)
