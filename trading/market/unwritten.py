"""Closed candles that wait for the archive: bounded, and what has no room is counted."""

from collections import deque

from trading.domain.market import Candle
from trading.domain.time import Timeframe

Closed = tuple[str, Timeframe, Candle]


class Unwritten:
    """A queue of closed candles, the oldest first; when it is full the oldest go.

    What went is a hole of the archive, which is seen and asked for at the next warm-up.
    """

    __slots__ = ("_most", "_waiting", "lost")

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting: deque[Closed] = deque()
        self.lost = 0
        """How many have gone since the start without being kept."""

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, closed: Closed) -> None:
        """Let a candle wait."""
        self._waiting.append(closed)
        if len(self._waiting) > self._most:
            self._waiting.popleft()
            self.lost += 1

    def take(self, most: int) -> list[Closed]:
        """Take out the oldest, at most so many."""
        return [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]

    def put_back(self, batch: list[Closed]) -> None:
        """Let candles that could not be written wait again, before all others."""
        room = self._most - len(self._waiting)
        self.lost += max(len(batch) - room, 0)
        # Of what has no room the oldest go here, too.
        self._waiting.extendleft(reversed(batch[max(len(batch) - room, 0) :]))
