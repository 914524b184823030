"""How a series comes to its past: what the archive holds, and requests for what lacks (pure)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trading.candles.checking import check, in_another_unit
from trading.candles.merging import merge
from trading.candles.paging import claim, unclaimed
from trading.candles.rows import columns_of
from trading.candles.series import Candles
from trading.candles.spans import Span, gaps, unite
from trading.domain.market import Candle
from trading.domain.time import (
    candle_open_ms,
    candles_between,
    following_ms,
    preceding_ms,
    shifted_ms,
)


@dataclass(frozen=True, slots=True)
class Request:
    """So many candles from an open time on; without one, the newest."""

    limit: int
    since_ms: int | None


class Past:
    """Gathers the newest closed candles of one series, page by page and newest first.

    What an exchange was asked for and does not tell is a hole of its own, and is not asked for
    again. The first request tells the running candle, too.
    """

    __slots__ = ("_answered", "_length_ms", "_page", "_pages", "_told_nothing", "_wanted", "held")

    def __init__(
        self,
        length_ms: int,
        stored: Candles,
        candles_kept: int,
        at_ms: int,
        *,
        page_candles: int,
        pages_extra: int,
    ) -> None:
        due_ms = preceding_ms(candle_open_ms(at_ms, length_ms), length_ms)
        self._length_ms = length_ms
        # No exchange is older than the epoch, before which many months would lie.
        oldest_ms = following_ms(candle_open_ms(-1, length_ms), length_ms)
        first_ms = shifted_ms(due_ms, 1 - candles_kept, length_ms)
        self._wanted = Span(max(first_ms, oldest_ms), due_ms)
        self._page = page_candles
        # As many as the length takes, and some for holes.
        self._pages = candles_kept // page_candles + pages_extra
        self._answered: tuple[Span, ...] = ()
        self._told_nothing = True
        times = stored.open_time_ms
        self.held = stored.take((times >= self._wanted.first_ms) & (times <= due_ms))
        """Closed candles of the time that is wanted, ascending."""

    def next_request(self) -> Request | None:
        """Return what to ask for next; None when everything is there, or has been asked for."""
        if self._told_nothing:
            newest_ms = int(self.held.open_time_ms[-1]) if len(self.held) else None
            first_ms = self._wanted.first_ms
            if newest_ms is not None:
                first_ms = following_ms(newest_ms, self._length_ms)
            lacking = candles_between(first_ms, self._wanted.last_ms, self._length_ms) + 1
            # One more, for the running candle.
            return Request(min(max(lacking, 1) + 1, self._page), None)
        asked = self._next_span() if self._pages > 0 else None
        if asked is None:
            return None
        return Request(asked.count(self._length_ms), asked.first_ms)

    def take(self, request: Request, told: Sequence[Candle], asked_ms: int) -> Candles:
        """Take in an answer; `asked_ms` is when it was asked for. Return what was not held yet."""
        self._pages -= 1
        checked = check(columns_of(told), self._length_ms, asked_ms)
        closed = checked.candles
        if request.since_ms is None:
            self._take_newest(request, closed)
        else:
            self._answer(request, closed)
        times = closed.open_time_ms
        inside = (times >= self._wanted.first_ms) & (times <= self._wanted.last_ms)
        fresh = closed.take(inside & ~np.isin(times, self.held.open_time_ms))
        merged = merge(self.held, fresh).candles if len(fresh) else self.held
        foreign = in_another_unit(merged, self._length_ms)
        self.held = merged.take(~foreign)
        return fresh.take(np.isin(fresh.open_time_ms, self.held.open_time_ms))

    def _take_newest(self, request: Request, closed: Candles) -> None:
        self._told_nothing = False
        if not len(closed):
            return
        told = Span(int(closed.open_time_ms[0]), int(closed.open_time_ms[-1]))
        self._answered = (told,)
        span = told.count(self._length_ms) + 1
        if span < request.limit:
            # All there is, or all that an exchange tells at once: asking once more will show.
            self._page = span

    def _answer(self, request: Request, closed: Candles) -> None:
        first_ms = request.since_ms or 0
        asked = Span(first_ms, shifted_ms(first_ms, request.limit - 1, self._length_ms))
        claimed = claim(asked, closed.open_time_ms) or asked
        times = closed.open_time_ms
        is_told = ((times >= asked.first_ms) & (times <= asked.last_ms)).any()
        is_oldest = not len(self.held) or int(self.held.open_time_ms[0]) > asked.last_ms
        if not is_told and is_oldest:
            # Before its first candle an exchange has none.
            claimed = Span(self._wanted.first_ms, asked.last_ms)
        self._answered = unite((*self._answered, claimed), self._length_ms)

    def _next_span(self) -> Span | None:
        missing = gaps(self.held.open_time_ms, (self._wanted,), self._length_ms)
        for span in reversed(missing):
            left = unclaimed(span, self._answered, self._length_ms)
            if left:
                last_ms = left[-1].last_ms
                page_ms = shifted_ms(last_ms, 1 - self._page, self._length_ms)
                return Span(max(left[-1].first_ms, page_ms), last_ms)
        return None
