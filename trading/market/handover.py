"""Replaces a market connection without missing a tick: the old serves until the new one does."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

from trading.domain.market import MarketTrade, Quote

TakeTrade = Callable[[MarketTrade], None]
TakeQuote = Callable[[Quote], None]
Stream = Callable[[frozenset[str], TakeTrade, TakeQuote, Callable[[], None]], Awaitable[None]]
_LINES_MAX = 3
# What is on its way on the old connection when the new one has spoken of everything.
_GRACE_S = 0.5
# What has not spoken on the new connection by then has nothing to say on the old one either.
_PATIENCE_S = 5.0


@dataclass(eq=False, slots=True)
class _Line:
    symbols: frozenset[str]
    opened_s: float
    task: asyncio.Future[None] | None = None
    spoken: set[str] = field(default_factory=set)
    # Whether it is the last of the lines that are open: each quote asks.
    is_newest: bool = True


class Handover:
    """The connections of a changing set of symbols: one, and its elders for a moment.

    Prints of all of them are merged by their event time: none is missed, none is heard twice, none
    comes back from the past. An elder ends once its successor has spoken of all that it serves;
    `on_ending` says that the newest one needs a successor soon.
    """

    def __init__(
        self,
        stream: Stream,
        on_trade: TakeTrade,
        on_quote: TakeQuote,
        on_ending: Callable[[], None] = lambda: None,
    ) -> None:
        self._stream = stream
        self._on_trade = on_trade
        self._on_quote = on_quote
        self._on_ending = on_ending
        self._lines: list[_Line] = []
        # The newest print that was heard of each symbol: its connection and its event time.
        self._newest: dict[str, tuple[_Line, int]] = {}

    def open(self, symbols: frozenset[str], now_s: float) -> asyncio.Future[None]:
        """Connect anew; the future ends as `MarketFeed.stream_market` does."""
        line = _Line(symbols, now_s)
        for elder in self._lines:
            elder.is_newest = False
        self._lines.append(line)
        line.task = asyncio.ensure_future(
            self._stream(
                symbols,
                self._taking_trades(line),
                self._taking_quotes(line),
                partial(self._ending, line),
            )
        )
        if len(self._lines) > _LINES_MAX:
            # The eldest speaks of most; the second newest has hardly begun.
            self._end(self._lines[-2])
        return line.task

    def pass_time(self, now_s: float) -> None:
        """End elders that are not needed any more; called each second."""
        if len(self._lines) < 2:
            return
        newest = self._lines[-1]
        age_s = now_s - newest.opened_s
        for line in self._lines[:-1]:
            is_replaced = line.symbols & newest.symbols <= newest.spoken and age_s >= _GRACE_S
            if is_replaced or age_s >= _PATIENCE_S:
                self._end(line)

    async def close(self) -> None:
        """End all connections."""
        tasks = [line.task for line in self._lines if line.task is not None]
        for line in self._lines[:]:
            self._end(line)
        await asyncio.gather(*tasks, return_exceptions=True)

    # Functions that know their line: the interpreter goes from one to the next by itself, where a
    # partial leaves it and comes back, for half of what a line costs each quote.

    def _taking_trades(self, line: _Line) -> TakeTrade:
        newest, spoken, on_trade = self._newest, line.spoken, self._on_trade

        def take(trade: MarketTrade) -> None:
            symbol, event_ms = trade.symbol, trade.event_time_ms
            known = newest.get(symbol)
            if known is not None and known[0] is not line and 0 < event_ms <= known[1]:
                return
            newest[symbol] = (line, event_ms)
            spoken.add(symbol)
            on_trade(trade)

        return take

    def _taking_quotes(self, line: _Line) -> TakeQuote:
        lines, spoken, on_quote = self._lines, line.spoken, self._on_quote

        def take(quote: Quote) -> None:
            symbol = quote.symbol
            if symbol not in spoken:
                spoken.add(symbol)
            # Books carry no time of their own: the youngest connection that speaks of one is right.
            if line.is_newest or not lines or symbol not in lines[-1].spoken:
                on_quote(quote)

        return take

    def _ending(self, line: _Line) -> None:
        # An elder that will end soon has its successor already.
        if line is self._lines[-1]:
            self._on_ending()

    def _end(self, line: _Line) -> None:
        self._lines.remove(line)
        line.is_newest = False
        if line.task is not None:
            line.task.add_done_callback(_forget)
            line.task.cancel()


def _forget(task: asyncio.Future[None]) -> None:
    # How an elder ends is nobody's business any more; unread, its error would be a warning.
    if not task.cancelled():
        task.exception()
