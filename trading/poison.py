"""What the process died of again and again, judged by what was in hand at each death; pure.

Whoever begins with an update, an event, a frame or a report marks it, and takes the mark away at
its end. A mark that a start finds was in hand when the process before it died. What was in hand at
three deaths is set apart: the agent runs on without it, and says so.
"""

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Protocol

DEATHS_MAX = 3
# What comes again and again is tried again after that: another version may read it.
APART_FOR = timedelta(days=1)
# What comes once and has not come back by then does not come any more.
_KEPT_FOR = timedelta(days=7)
# Deaths that lie further apart have little to do with each other.
_TOGETHER = timedelta(hours=1)
_SYMBOL = re.compile(r'"s":\s*"[^"]{1,40}"')
_ORDER = re.compile(r'"c":\s*"[^"]{1,40}"')


class Lane(Enum):
    """A place where one thing at a time is in hand."""

    UPDATE = "update"
    SLOW_UPDATE = "slow update"
    EVENT = "event"
    FRAME = "frame"
    REPORT = "report"

    # Each frame looks lanes up: by the hash of a name, which Enum computes in Python, and with a
    # set of members made at each question the marks of one frame took 1.3 µs instead of 0.5.
    __hash__ = object.__hash__

    @property
    def is_of_single_things(self) -> bool:
        """Whether each thing comes once, and is done with at its end; a stream's come for ever."""
        return self in _OF_SINGLE_THINGS

    def key_of(self, what: str) -> str:
        """What makes two things the same one: of frames the symbol, of reports the order."""
        pattern = {Lane.FRAME: _SYMBOL, Lane.REPORT: _ORDER}.get(self)
        found = pattern.search(what) if pattern is not None else None
        return found.group() if found is not None else what


_OF_SINGLE_THINGS = frozenset({Lane.UPDATE, Lane.SLOW_UPDATE, Lane.EVENT})


class InHand(Protocol):
    """Marks what is in hand; one thing per lane."""

    def take(self, lane: Lane, what: str) -> bool:
        """Mark a thing as in hand; False (and no mark) when it is set apart."""
        ...

    def put_down(self, lane: Lane) -> None:
        """Say that what was in hand is done with, however it ended."""
        ...

    def is_suspicious(self, lane: Lane) -> bool:
        """Whether something of this lane, not set apart yet, was in hand at a death."""
        ...

    def acquit(self, lane: Lane, is_done: Callable[[str], bool]) -> None:
        """Suspect no more, of what is not set apart, what is done with by its key."""
        ...


class Unmarked:
    """Marks nothing, for whoever has nobody to come after."""

    def take(self, lane: Lane, what: str) -> bool:
        """Let everything pass."""
        del lane, what
        return True

    def put_down(self, lane: Lane) -> None:
        """Nothing is kept."""

    def is_suspicious(self, lane: Lane) -> bool:
        """Nothing is known of any death."""
        del lane
        return False

    def acquit(self, lane: Lane, is_done: Callable[[str], bool]) -> None:
        """Nobody is suspected."""


@contextlib.contextmanager
def marked(in_hand: InHand, lane: Lane, what: str) -> Iterator[bool]:
    """Hold a thing while the block runs; whether it may be touched.

    A cancelled block leaves its mark: only the end of the process cancels, and that takes all away.
    """
    may_touch = in_hand.take(lane, what)
    try:
        yield may_touch
    except Exception:
        in_hand.put_down(lane)
        raise
    in_hand.put_down(lane)


@dataclass(frozen=True, slots=True)
class Suspect:
    """What was in hand at these deaths (their discovery, in UTC, oldest first)."""

    lane: Lane
    key: str
    deaths: tuple[datetime, ...]

    def is_apart(self, now: datetime) -> bool:
        """Whether it is not touched any more."""
        is_recent = self.lane.is_of_single_things or now < self.deaths[-1] + APART_FOR
        return len(self.deaths) >= DEATHS_MAX and is_recent


def after_death(
    suspects: Iterable[Suspect], in_hand: Mapping[Lane, str], at: datetime
) -> tuple[Suspect, ...]:
    """Return the suspects once the marks of a death are counted; what is long over is dropped."""
    known = {(each.lane, each.key): each for each in suspects if _still_counts(each, at)}
    for lane, what in in_hand.items():
        key = lane.key_of(what)
        before = known.get((lane, key))
        known[lane, key] = Suspect(lane, key, (*(before.deaths if before else ()), at))
    return tuple(known.values())


def _still_counts(suspect: Suspect, at: datetime) -> bool:
    if suspect.lane.is_of_single_things:
        return at < suspect.deaths[-1] + _KEPT_FOR
    is_counted = len(suspect.deaths) >= DEATHS_MAX
    return at < suspect.deaths[-1] + (APART_FOR if is_counted else _TOGETHER)


def told(suspect: Suspect) -> str:
    """Say what was set apart, and what is done instead."""
    times = len(suspect.deaths)
    name = suspect.key.rpartition(":")[2].strip().strip('"')
    match suspect.lane:
        case Lane.UPDATE | Lane.SLOW_UPDATE:
            return (
                f"Umbra died {times} times while it worked on a message of the chat. It is set "
                "apart: nothing more is done about it. Look at /status before you send it again"
            )
        case Lane.EVENT:
            return (
                f"Umbra died {times} times while it wrote the message about {name}. That message "
                "is left out; /audit shows what happened"
            )
        case Lane.FRAME:
            until = suspect.deaths[-1] + APART_FOR
            return (
                f"Umbra died {times} times while it read live prices of {name}. Until "
                f"{until:%Y-%m-%d %H:%M} UTC they are asked for instead: stops are watched, a "
                "little later"
            )
        case Lane.REPORT:
            return (
                f"Umbra died {times} times while it read a report about order {name}. Its reports "
                "are set apart, and its state is asked for instead"
            )
