"""What was on its way to the chat or the exchange, on disk: what a death leaves in doubt."""

import itertools
import logging
import operator
from collections.abc import Iterator
from pathlib import Path

from bot.in_hand import mapped

logger = logging.getLogger(__name__)
MESSAGES, SALES = "on_the_way.marks", "unrecorded.marks"
_SLOT = 256
# Messages wait for each other's answers; all stops of an account may fire at once.
_SLOTS = {MESSAGES: 64, SALES: 4096}
_KEY_MAX = _SLOT - 2


class MarkedOnTheWay:
    """One slot per `MESSAGES` or `SALES` in a mapped file: a mark costs no call of the system.

    What is mapped outlives the process that wrote it, also where nothing more can be written, but
    no loss of power. Then, and when all slots are taken, a message that is there twice does not say
    so. `trouble` says why marks do not outlive this process, where the disk keeps them from it.
    """

    def __init__(self, data_dir: Path, name: str = MESSAGES) -> None:
        found = mapped(data_dir / name, _SLOT * _SLOTS[name], least=_SLOT)
        self._name = name
        self._slots, self.trouble = found.slots, found.trouble
        self._count = len(self._slots) // _SLOT
        self._places = {
            key: number for number in self._taken() if (key := self._read(number)) is not None
        }

    @property
    def findings(self) -> tuple[str, ...]:
        """What a person should know of marks that do not outlive this process; mostly nothing."""
        if not self.trouble:
            return ()
        found = (
            f"A sale that leaves while nothing can be written is not marked ({self.trouble}): if "
            "Umbra ended then, its next start might sell a second time. Make room on the disk, "
            "and start Umbra again"
        )
        return (found,)

    @property
    def keys(self) -> frozenset[str]:
        """What is on its way, or was when the process before this one ended."""
        return frozenset(self._places)

    def leave(self, key: str) -> None:
        """Mark what is about to be sent."""
        text = key.encode()
        if key in self._places:
            return
        taken = set(self._places.values())
        free = next((number for number in range(self._count) if number not in taken), None)
        if free is None or len(text) > _KEY_MAX:
            logger.warning("not_marked", extra={"file": self._name, "key": key[:_KEY_MAX]})
            return
        self._places[key] = free
        self._write(free, text)

    def arrive(self, key: str) -> None:
        """Take the mark away: what became of it is known."""
        number = self._places.pop(key, None)
        if number is not None:
            self._write(number, b"")

    def _taken(self) -> Iterator[int]:
        # Of thousands of slots hardly one is taken: only their lengths are looked through.
        lengths = map(operator.or_, self._slots[::_SLOT], self._slots[1::_SLOT])
        return itertools.compress(range(self._count), lengths)

    def _read(self, number: int) -> str | None:
        place = number * _SLOT
        length = min(int.from_bytes(self._slots[place : place + 2]), _KEY_MAX)
        return self._slots[place + 2 : place + 2 + length].decode(errors="replace") or None

    def _write(self, number: int, text: bytes) -> None:
        place = number * _SLOT
        self._slots[place : place + 2 + len(text)] = len(text).to_bytes(2) + text
