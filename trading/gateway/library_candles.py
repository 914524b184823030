"""Candles of other exchanges over the library's common streams: its candles, else its trades.

The library wakes whoever waits for several symbols for the first that moved, and says nothing of
the others. So what it keeps of all of them is looked through, at each waking and a few times a
second.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise, takewhile
from typing import Any

from trading.candles.building import CandleBuilder, Print
from trading.domain.market import Candle
from trading.domain.time import Timeframe, following_ms
from trading.gateway.stream import all_until_one_ends
from trading.gateway.translate import unified as translate
from trading.gateway.translate.values import Unusable

logger = logging.getLogger(__name__)

TakeCandle = Callable[[str, Timeframe, Candle, int], None]
Wanted = Mapping[str, frozenset[Timeframe]]

_CHUNK = 100
_LOOK_S = 0.5


async def stream(
    exchange: Any, wanted: Wanted, on_candle: TakeCandle, now_ms: Callable[[], int]
) -> None:
    """Stream candles until the connection is lost; silent where the library has no stream."""
    look: Callable[[], None]
    asked: list[Any]
    if exchange.has.get("watchOHLCVForSymbols"):
        # A length that it does not know would cost all others their stream.
        known = {symbol: _known(exchange, several) for symbol, several in wanted.items()}
        look = ToldCandles(exchange, known, on_candle, now_ms).look
        watch = exchange.watch_ohlcv_for_symbols
        asked = sorted([symbol, one.name] for symbol, several in known.items() for one in several)
    elif exchange.has.get("watchTradesForSymbols"):
        look = BuiltCandles(exchange, wanted, on_candle, now_ms).look
        watch, asked = exchange.watch_trades_for_symbols, sorted(wanted)
    else:
        # Everything is asked for, as while a stream is down.
        await asyncio.Event().wait()
        return
    chunks = [asked[start : start + _CHUNK] for start in range(0, len(asked), _CHUNK)]
    await all_until_one_ends(
        *(_watch(watch, chunk, look) for chunk in chunks), _look_again_and_again(look)
    )


def _known(exchange: Any, timeframes: frozenset[Timeframe]) -> frozenset[Timeframe]:
    return frozenset(one for one in timeframes if one.name in exchange.timeframes)


async def _watch(watch: Any, asked: Sequence[Any], look: Callable[[], None]) -> None:
    while True:
        await watch(asked)
        look()


async def _look_again_and_again(look: Callable[[], None]) -> None:
    while True:
        await asyncio.sleep(_LOOK_S)
        look()


class ToldCandles:
    """Candles that an exchange tells without saying which one has closed.

    One has when the next one opens: the last that was told of it is what it came to.
    """

    def __init__(
        self, exchange: Any, wanted: Wanted, on_candle: TakeCandle, now_ms: Callable[[], int]
    ) -> None:
        self._exchange = exchange
        self._series = [(symbol, each) for symbol, several in wanted.items() for each in several]
        self._on_candle = on_candle
        self._now_ms = now_ms
        self._told: dict[tuple[str, Timeframe], Candle] = {}

    def look(self) -> None:
        """Tell what is new in the library's books."""
        now_ms = self._now_ms()
        for symbol, timeframe in self._series:
            rows = self._exchange.ohlcvs.get(symbol, {}).get(timeframe.name)
            if rows:
                try:
                    self._look(symbol, timeframe, rows, now_ms)
                except Unusable as error:
                    logger.warning("message_unusable", extra={"error": str(error)})

    def _look(self, symbol: str, timeframe: Timeframe, rows: Sequence[Any], now_ms: int) -> None:
        known = self._told.get((symbol, timeframe))
        length_ms = timeframe.length_ms
        opened_ms = known.open_time_ms if known is not None else int(rows[-1][0])
        newer = list(takewhile(lambda row: int(row[0]) >= opened_ms, reversed(rows)))
        candles = translate.candles(newer[::-1], length_ms, now_ms)
        for candle, following in pairwise(candles):
            if following.open_time_ms == following_ms(candle.open_time_ms, length_ms):
                self._on_candle(symbol, timeframe, replace(candle, is_closed=True), now_ms)
        running = replace(candles[-1], is_closed=False)
        if running != known:
            self._told[symbol, timeframe] = running
            self._on_candle(symbol, timeframe, running, now_ms)


class BuiltCandles:
    """Candles counted from the trades of an exchange that streams none.

    A symbol is listened to from its first trade on: nobody says when a subscription began to count.
    """

    def __init__(
        self, exchange: Any, wanted: Wanted, on_candle: TakeCandle, now_ms: Callable[[], int]
    ) -> None:
        self._exchange = exchange
        self._wanted = wanted
        self._on_candle = on_candle
        self._now_ms = now_ms
        self._builders: dict[str, list[tuple[Timeframe, CandleBuilder]]] = {}
        self._listening_ms: dict[str, int] = {}
        self._newest: dict[str, Any] = {}
        self._knows_sides = True

    def look(self) -> None:
        """Count what is new in the library's books, and tell what has closed and what runs."""
        now_ms = self._now_ms()
        for symbol in self._wanted:
            prints = self._prints(symbol, now_ms)
            for timeframe, builder in self._builders.get(symbol, ()):
                closed = [one for each in prints if (one := builder.take(each)) is not None]
                if (due := builder.close_due(now_ms)) is not None:
                    closed.append(due)
                running = builder.running
                if running is not None and prints:
                    is_whole = running.open_time_ms >= self._listening_ms[symbol]
                    closed += [running] if is_whole else []
                for candle in closed:
                    self._on_candle(symbol, timeframe, self._known(candle), now_ms)

    def _prints(self, symbol: str, now_ms: int) -> list[Print]:
        kept = self._exchange.trades.get(symbol)
        if not kept:
            return []
        newest = self._newest.get(symbol)
        new = list(takewhile(lambda each: each is not newest, reversed(kept)))
        if newest is not None and len(new) == len(kept):
            # More has come than the library keeps.
            self._listening_ms[symbol] = now_ms
            for _, builder in self._builders.get(symbol, ()):
                builder.interrupted(now_ms)
        self._newest[symbol] = kept[-1]
        prints = [one for each in reversed(new) if (one := self._print(each)) is not None]
        if prints and symbol not in self._builders:
            self._listen(symbol, prints[0].at_ms + 1)
        return prints

    def _listen(self, symbol: str, since_ms: int) -> None:
        self._listening_ms[symbol] = since_ms
        self._builders[symbol] = [
            (each, CandleBuilder(each, since_ms)) for each in self._wanted[symbol]
        ]

    def _print(self, said: Any) -> Print | None:
        try:
            traded, side = translate.print_of(said)
        except Unusable as error:
            logger.warning("message_unusable", extra={"error": str(error)})
            return None
        if side is None:
            self._knows_sides = False
        return traded

    def _known(self, candle: Candle) -> Candle:
        return candle if self._knows_sides else replace(candle, taker_buy_volume=None)
