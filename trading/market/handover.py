"""Replaces a market connection without missing a tick: the old serves until the new one does."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

from trading.domain.market import MarketTrade, Quote

TakeTrade = Callable[[MarketTrade], None]
TakeQuote = Callable[[Quote], None]
Stream = Callable[[frozenset[str], TakeTrade, TakeQuote], Awaitable[None]]
_LINES_MAX = 3
# What has not spoken on the new connection by then has nothing to say on the old one either.
_PATIENCE_S = 5.0


@dataclass(eq=False, slots=True)
class _Line:
    symbols: frozenset[str]
    opened_s: float
    task: asyncio.Future[None] | None = None
    spoken: set[str] = field(default_factory=set)


class Handover:
    """The connections of a changing set of symbols: one, and its elders for a moment.

    Each symbol is heard on the newest connection that has spoken of it, and on that one alone. An
    elder ends as soon as its successors have spoken of all that it serves.
    """

    def __init__(self, stream: Stream, on_trade: TakeTrade, on_quote: TakeQuote) -> None:
        self._stream = stream
        self._on_trade = on_trade
        self._on_quote = on_quote
        self._lines: list[_Line] = []

    def open(self, symbols: frozenset[str], now_s: float) -> asyncio.Future[None]:
        """Connect anew; the future ends as `MarketFeed.stream_market` does."""
        line = _Line(symbols, now_s)
        self._lines.append(line)
        line.task = asyncio.ensure_future(
            self._stream(symbols, partial(self._take_trade, line), partial(self._take_quote, line))
        )
        self._retire()
        while len(self._lines) > _LINES_MAX:
            self._end(self._lines[0])
        return line.task

    def pass_time(self, now_s: float) -> None:
        """End elders whose successor has had its time."""
        if len(self._lines) > 1 and now_s - self._lines[-1].opened_s >= _PATIENCE_S:
            for line in self._lines[:-1]:
                self._end(line)

    async def close(self) -> None:
        """End all connections."""
        tasks = [line.task for line in self._lines if line.task is not None]
        for line in self._lines[:]:
            self._end(line)
        await asyncio.gather(*tasks, return_exceptions=True)

    def _take_trade(self, line: _Line, trade: MarketTrade) -> None:
        if self._is_heard(line, trade.symbol):
            self._on_trade(trade)

    def _take_quote(self, line: _Line, quote: Quote) -> None:
        if self._is_heard(line, quote.symbol):
            self._on_quote(quote)

    def _is_heard(self, line: _Line, symbol: str) -> bool:
        if len(self._lines) == 1:
            return line is self._lines[0]
        if line not in self._lines:
            return False
        successors = self._lines[self._lines.index(line) + 1 :]
        if any(symbol in later.spoken for later in successors):
            return False
        if symbol not in line.spoken:
            line.spoken.add(symbol)
            self._retire()
        return True

    def _retire(self) -> None:
        wanted = self._lines[-1].symbols
        for number in range(len(self._lines) - 2, -1, -1):
            line = self._lines[number]
            spoken = frozenset[str]().union(*(one.spoken for one in self._lines[number + 1 :]))
            if line.symbols & wanted <= spoken:
                self._end(line)

    def _end(self, line: _Line) -> None:
        self._lines.remove(line)
        if line.task is not None:
            line.task.add_done_callback(_forget)
            line.task.cancel()


def _forget(task: asyncio.Future[None]) -> None:
    # How an elder ends is nobody's business any more; unread, its error would be a warning.
    if not task.cancelled():
        task.exception()
