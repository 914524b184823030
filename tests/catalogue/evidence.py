"""What the running test has seen of the faults that it is marked with."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol, TypeAlias, runtime_checkable

import pytest

EVIDENCE_LENGTH_MAX = 160


@runtime_checkable
class Counting(Protocol):
    """A fault that counts how often it happened."""

    @property
    def fired(self) -> int:
        """How often, from 0."""


Proof: TypeAlias = int | Collection[object] | Counting | pytest.ExceptionInfo[BaseException]


def count(proof: object) -> int:
    """How often a fault happened by its proof; none of several may be 0.

    Only what could have been 0 or empty proves anything. Words, answers of yes or no and members of
    an enumeration are there whatever happened: they raise TypeError.
    """
    if isinstance(proof, str | bytes | bool | Enum):
        raise TypeError(f"{proof!r} counts nothing: give a count, and this as words=")
    if isinstance(proof, int):
        return max(proof, 0)
    if isinstance(proof, pytest.ExceptionInfo):
        # What `pytest.raises` gives is empty until something was raised.
        return int(proof._excinfo is not None)
    if isinstance(proof, Counting):
        return count(proof.fired)
    if not isinstance(proof, Collection):
        raise TypeError(f"{proof!r} counts nothing: give a count, a collection or a fault")
    return len(proof) if all(map(_has_happened, proof)) else 0


def _has_happened(member: object) -> bool:
    if isinstance(member, Counting):
        return count(member.fired) > 0
    return isinstance(member, bool) or not isinstance(member, int) or member != 0


@dataclass(slots=True)
class Witness:
    """One running test: the faults that it claims, with their words, and the evidence so far."""

    claims: dict[str, tuple[str, ...]]
    seen: dict[str, str] = field(default_factory=dict)

    def take(self, proof: Proof, fault_ids: Iterable[str], words: str = "") -> None:
        """Keep the first evidence of each fault; without ids, of all that the test claims."""
        wanted = tuple(fault_ids) or tuple(self.claims)
        unclaimed = [fault_id for fault_id in wanted if fault_id not in self.claims]
        assert wanted, "evidence in a test that is marked with no fault"
        assert not unclaimed, f"the test is not marked with {', '.join(unclaimed)}"
        times = count(proof)
        assert times > 0, f"{', '.join(wanted)}: the fault did not happen: {proof!r} {words}"
        is_list = isinstance(proof, Collection)
        said = f"{times}: {words}" if words else repr(proof) if is_list else str(times)
        for fault_id in wanted:
            self.seen.setdefault(fault_id, one_line(said))

    @property
    def silent(self) -> list[str]:
        """The faults that the test claims and that never happened."""
        return [fault_id for fault_id in self.claims if fault_id not in self.seen]


_running: list[Witness] = []


def fired(proof: Proof, *fault_ids: str, words: str = "") -> None:
    """Show that the fault of the running test happened: a count, a collection, what counts.

    What was raised (`pytest.raises`) counts once; nothing (0, an empty list) fails the test. The
    words stand beside the count. Without ids the proof is for all faults of the test's marks.
    """
    assert _running, "evidence is given inside a running test"
    _running[-1].take(proof, fault_ids, words)


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


def one_line(said: str) -> str:
    """Put words into one short line."""
    text = " ".join(said.split())
    return text if len(text) <= EVIDENCE_LENGTH_MAX else f"{text[: EVIDENCE_LENGTH_MAX - 1]}…"
