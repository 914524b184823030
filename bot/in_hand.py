"""Marks of what is in hand, on disk: what they show after a death of the process."""

import contextlib
import json
import logging
import mmap
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from bot.small_files import replace_text
from trading.poison import Lane, Suspect, after_death, told
from trading.ports.clock import Clock

logger = logging.getLogger(__name__)
MARKS, SUSPECTS = "in_hand.marks", "suspects.json"
_SLOT = 256
_TEXT_MAX = _SLOT - 2


class MarkedInHand:
    """One slot per lane in a mapped file: a mark costs no call of the system.

    What is mapped outlives the process that wrote it, not a loss of power: that is nobody's poison.
    """

    def __init__(self, data_dir: Path, clock: Clock, build: str) -> None:
        self._suspects_path = data_dir / SUSPECTS
        self._clock, self._build = clock, build
        self._places = {lane: number * _SLOT for number, lane in enumerate(Lane)}
        self._slots = mapped(data_dir / MARKS, len(Lane) * _SLOT).slots
        found = self._found()
        self._suspects = self._read()
        if found:
            logger.warning("died_with_in_hand", extra={"lanes": [each.value for each in found]})
            self._suspects = after_death(self._suspects, found, clock.now())
            self._write()
            self.clear()
        now = clock.now()
        self.apart: Sequence[Suspect] = [each for each in self._suspects if each.is_apart(now)]
        self._keys_apart = {
            lane: tuple(each.key for each in self.apart if each.lane is lane) for lane in Lane
        }

    def take(self, lane: Lane, what: str) -> bool:
        """Mark a thing as in hand; False (and no mark) when it is set apart."""
        keys = self._keys_apart[lane]
        if keys and self._is_apart(lane, what, keys):
            return False
        text = what[:_TEXT_MAX].encode()[:_TEXT_MAX]
        place = self._places[lane]
        self._slots[place : place + 2 + len(text)] = len(text).to_bytes(2) + text
        return True

    def put_down(self, lane: Lane) -> None:
        """Say that what was in hand is done with; a single thing is no suspect any more."""
        if lane.is_of_single_things and self.is_suspicious(lane):
            key = lane.key_of(self._text(lane))
            self.acquit(lane, lambda each: each == key)
        place = self._places[lane]
        self._slots[place : place + 2] = b"\0\0"

    def is_suspicious(self, lane: Lane) -> bool:
        """Whether something of this lane, not set apart yet, was in hand at a death."""
        return any(each.lane is lane and each not in self.apart for each in self._suspects)

    def acquit(self, lane: Lane, is_done: Callable[[str], bool]) -> None:
        """Suspect no more, of what is not set apart, what is done with by its key."""
        left = tuple(
            each
            for each in self._suspects
            if each.lane is not lane or each in self.apart or not is_done(each.key)
        )
        if len(left) < len(self._suspects):
            self._suspects = left
            self._write()

    def clear(self) -> None:
        """Take every mark away: what ends in order died of nothing."""
        for lane in Lane:
            place = self._places[lane]
            self._slots[place : place + 2] = b"\0\0"

    def findings(self) -> Mapping[str, str]:
        """What is set apart, in a sentence each, by a name that stays the same for as long."""
        return {
            f"{each.lane.value}:{each.key}:{each.deaths[-1]:%Y%m%dT%H%M%S}": told(each)
            for each in self.apart
        }

    # ------------------------------------------------------------ inside

    def _is_apart(self, lane: Lane, what: str, keys: tuple[str, ...]) -> bool:
        is_apart = lane.key_of(what) in keys
        if is_apart and not lane.is_of_single_things:
            now = self._clock.now()
            return any(each.key in what and each.is_apart(now) for each in self.apart)
        return is_apart

    def _text(self, lane: Lane) -> str:
        place = self._places[lane]
        length = min(int.from_bytes(self._slots[place : place + 2]), _TEXT_MAX)
        return self._slots[place + 2 : place + 2 + length].decode(errors="replace")

    def _found(self) -> dict[Lane, str]:
        return {lane: text for lane in Lane if (text := self._text(lane))}

    def _read(self) -> tuple[Suspect, ...]:
        try:
            record = json.loads(self._suspects_path.read_text())
            if record["build"] != self._build:
                # Another program may be able to do what this one died of.
                return ()
            return tuple(
                Suspect(
                    Lane(each["lane"]),
                    str(each["key"]),
                    tuple(datetime.fromisoformat(at) for at in each["deaths"]),
                )
                for each in record["suspects"]
                if each["deaths"]
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return ()

    def _write(self) -> None:
        rows = [
            {
                "lane": each.lane.value,
                "key": each.key,
                "deaths": [at.isoformat() for at in each.deaths],
            }
            for each in self._suspects
        ]
        record = {"build": self._build, "suspects": rows}
        try:
            replace_text(self._suspects_path, json.dumps(record))
        except OSError as error:
            # A full disk stops no start.
            logger.warning("suspects_not_kept", extra={"error": str(error)})


@dataclass(frozen=True, slots=True)
class Mapped:
    """Bytes that outlive the process, as many as the disk had room for.

    `trouble` says why they do not outlive it; what an earlier process left can be read all the
    same.
    """

    slots: mmap.mmap
    trouble: str = ""


def mapped(path: Path, size: int, least: int | None = None) -> Mapped:
    """Map a file of so many bytes, the owner's alone; fewer, but not less than `least`, of an
    earlier version's that a full disk lets not grow, and memory only where even that is refused.
    """
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            return Mapped(mmap.mmap(handle, _allocated(handle, size, least or size)))
        finally:
            os.close(handle)
    except OSError as error:
        logger.warning("nothing_is_marked", extra={"path": str(path), "error": str(error)})
        memory = mmap.mmap(-1, size)
        with contextlib.suppress(OSError):
            left = path.read_bytes()[:size]
            memory[: len(left)] = left
        return Mapped(memory, error.strerror or type(error).__name__)


def _allocated(handle: int, size: int, least: int) -> int:
    """Return how many bytes of a file have their blocks; raises OSError for less than `least`."""
    before = os.fstat(handle).st_size
    try:
        # A hole in the file would kill whoever writes into it when the disk is full.
        os.posix_fallocate(handle, 0, size)
    except OSError:
        # What was there has its blocks since it was made.
        if before < least:
            raise
        return min(before, size)
    return size
