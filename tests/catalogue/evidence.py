"""What the running test has seen of the faults that it is marked with."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest

EVIDENCE_LENGTH_MAX = 160


@dataclass(slots=True)
class Witness:
    """One running test: the faults that it claims, with their words, and the evidence so far."""

    claims: dict[str, tuple[str, ...]]
    seen: dict[str, str] = field(default_factory=dict)

    def take(self, evidence: object, fault_ids: Iterable[str]) -> None:
        """Keep the first evidence of each fault; without ids, of all that the test claims."""
        wanted = tuple(fault_ids) or tuple(self.claims)
        unclaimed = [fault_id for fault_id in wanted if fault_id not in self.claims]
        assert wanted, "evidence in a test that is marked with no fault"
        assert not unclaimed, f"the test is not marked with {', '.join(unclaimed)}"
        assert evidence, f"{', '.join(wanted)}: the fault did not happen: {evidence!r}"
        for fault_id in wanted:
            self.seen.setdefault(fault_id, one_line(evidence))

    @property
    def silent(self) -> list[str]:
        """The faults that the test claims and that never happened."""
        return [fault_id for fault_id in self.claims if fault_id not in self.seen]


_running: list[Witness] = []


def fired(evidence: object, *fault_ids: str) -> None:
    """Show that the fault of the running test happened; nothing (0, None, []) fails the test.

    Without ids the evidence counts for every fault that the test is marked with.
    """
    assert _running, "evidence is given inside a running test"
    _running[-1].take(evidence, fault_ids)


def begin(witness: Witness) -> None:
    """Make a test the one that evidence is for."""
    _running.append(witness)


def end() -> None:
    """Let the test before it be the running one again."""
    _running.pop()


def claims_of(item: pytest.Item) -> dict[str, tuple[str, ...]]:
    """Read a test's markers: fault id → outcome words; a malformed marker is a usage error."""
    found: dict[str, tuple[str, ...]] = {}
    for marker in item.iter_markers("fault"):
        if marker.kwargs or not 1 <= len(marker.args) <= 2:
            raise pytest.UsageError(f"{item.nodeid}: a fault has an id and outcome words")
        fault_id, words = marker.args[0], marker.args[1].split() if marker.args[1:] else ()
        found[fault_id] = tuple(dict.fromkeys((*found.get(fault_id, ()), *words)))
    return found


def one_line(evidence: object) -> str:
    """Say an object in one short line."""
    text = " ".join((evidence if isinstance(evidence, str) else repr(evidence)).split())
    return text if len(text) <= EVIDENCE_LENGTH_MAX else f"{text[: EVIDENCE_LENGTH_MAX - 1]}…"
