"""Closes each candle once, whether the stream or the sweep saw its end first."""

from collections.abc import Iterable
from enum import Enum
from math import isclose

from trading.candles.series import Candles
from trading.candles.spans import Span, gaps
from trading.domain.market import Candle
from trading.domain.time import Timeframe, candle_open_ms, following_ms, preceding_ms
from trading.market.ring import CANDLES_KEPT, CandleRing

# Two clocks differ by less; a candle that claims its end earlier has not ended.
_EARLY_MS_MAX = 1_000
# What has closed is kept with seven digits.
_TOLERANCE = 1e-6


class Closing(Enum):
    """What a candle that was told means for its series."""

    CLOSED = "closed, the newest"
    FILLED = "closed, fills a hole"
    KNOWN = "had closed before, alike"
    DISAGREES = "had closed before, with other figures; the first stay"
    TOO_OLD = "older than all that is kept"
    RUNNING = "running"
    OUTDATED = "running, but something newer is known"
    REFUSED = "cannot be: not sound, not on the grid, or closed before its time"

    @property
    def is_first(self) -> bool:
        """Whether it closed just now, for the first and only time."""
        return self in {Closing.CLOSED, Closing.FILLED}


class LiveSeries:
    """Closed candles of one symbol and timeframe as they come, and the one that is running.

    Times are the exchange's own; `running_at_ms` is when the running one was told. `ring` holds
    what has closed; a candle that is held, or that is older than all it holds, never closes again.
    """

    __slots__ = (
        "_asked_ms",
        "_reach_ms",
        "length_ms",
        "ring",
        "running",
        "running_at_ms",
        "timeframe",
    )

    def __init__(self, timeframe: Timeframe, candles_kept: int = CANDLES_KEPT) -> None:
        self.timeframe = timeframe
        self.length_ms = timeframe.length_ms
        self.ring = CandleRing(candles_kept)
        self._reach_ms = (candles_kept + 1) * self.length_ms
        self.running: Candle | None = None
        self.running_at_ms = 0
        # Up to here the exchange was asked for everything: what is missing before it is a gap.
        self._asked_ms = 0

    def warm(self, past: Candles) -> None:
        """Begin with candles that closed before; they count as closed, and are not told again."""
        self.ring.fill(past)
        self._asked_ms = self.ring.newest_ms or 0

    def take(self, candle: Candle, at_ms: int) -> Closing:
        """Judge a candle told at a moment, and take it in."""
        if not candle.is_sound or candle.open_time_ms != self._opened_ms(candle.open_time_ms):
            return Closing.REFUSED
        if not candle.is_closed:
            return self._run(candle, at_ms)
        if at_ms + _EARLY_MS_MAX < self._follows_ms(candle.open_time_ms):
            return Closing.REFUSED
        if candle.open_time_ms < at_ms - self._reach_ms:
            # As times in seconds are, too: they would lie in 1970.
            return Closing.TOO_OLD
        return self._close(candle)

    def sweep(
        self, told: Iterable[Candle], asked: Span, at_ms: int
    ) -> tuple[tuple[Candle, Closing], ...]:
        """Take in what the exchange answered when asked for all candles of a span.

        Holes that its answer leaves are gaps of the exchange, and are not asked for again.
        """
        missing = self.missing(at_ms)
        judged = tuple((candle, self.take(candle, at_ms)) for candle in told)
        # An answer about a later hole says nothing about an earlier one.
        if missing and asked.first_ms <= missing[0].first_ms:
            self._asked_ms = max(self._asked_ms, min(asked.last_ms, self._due_ms(at_ms)))
        return judged

    def missing(self, at_ms: int) -> tuple[Span, ...]:
        """Return what should have closed by now, was never asked for, and is not held."""
        newest_ms, due_ms = self.ring.newest_ms, self._due_ms(at_ms)
        if newest_ms is None or self._asked_ms >= due_ms:
            return ()
        first_ms = max(self._follows_ms(self._asked_ms), self.ring.oldest_ms or 0)
        spans = (Span(first_ms, due_ms),) if first_ms <= due_ms else ()
        found = gaps(self.ring.candles().open_time_ms, spans, self.length_ms)
        if not found:
            # All of it is held: looked at once, and not each time that somebody asks.
            self._asked_ms = due_ms
        return found

    def _run(self, candle: Candle, at_ms: int) -> Closing:
        newest_ms = self.ring.newest_ms
        is_over = newest_ms is not None and candle.open_time_ms <= newest_ms
        before = self.running
        is_late = at_ms < self.running_at_ms or (
            before is not None and candle.open_time_ms < before.open_time_ms
        )
        if is_over or is_late or at_ms >= self._follows_ms(candle.open_time_ms):
            return Closing.OUTDATED
        if at_ms + _EARLY_MS_MAX < candle.open_time_ms:
            return Closing.REFUSED
        self.running, self.running_at_ms = candle, at_ms
        return Closing.RUNNING

    def _close(self, candle: Candle) -> Closing:
        newest_ms, oldest_ms = self.ring.newest_ms, self.ring.oldest_ms
        if not self.ring.put(candle):
            held = self.ring.at(candle.open_time_ms)
            if not len(held):
                return Closing.TOO_OLD
            return Closing.KNOWN if _agree(held, candle) else Closing.DISAGREES
        if self.running is not None and self.running.open_time_ms <= candle.open_time_ms:
            self.running = None
        if candle.open_time_ms == self._follows_ms(self._asked_ms):
            self._asked_ms = candle.open_time_ms
        is_newest = newest_ms is None or oldest_ms is None or candle.open_time_ms > newest_ms
        return Closing.CLOSED if is_newest else Closing.FILLED

    def _opened_ms(self, at_ms: int) -> int:
        return candle_open_ms(at_ms, self.length_ms)

    def _follows_ms(self, open_ms: int) -> int:
        return following_ms(open_ms, self.length_ms)

    def _due_ms(self, at_ms: int) -> int:
        return preceding_ms(self._opened_ms(at_ms), self.length_ms)


def _agree(held: Candles, candle: Candle) -> bool:
    ours = (held.open[0], held.high[0], held.low[0], held.close[0], held.volume[0])
    theirs = (candle.open, candle.high, candle.low, candle.close, candle.volume)
    return all(isclose(*pair, rel_tol=_TOLERANCE) for pair in zip(ours, theirs, strict=True))
