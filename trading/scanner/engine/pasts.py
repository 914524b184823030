"""The sorted past of every series that is scanned: begun off the loop, grown as candles close."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from trading.candles.combining import Gathered
from trading.candles.series import Candles, no_candles
from trading.domain.errors import UmbraError
from trading.domain.market import Candle
from trading.domain.time import Timeframe
from trading.ports.history import CandleStore
from trading.scanner.engine.glance import metrics_of
from trading.scanner.history import RankHistory
from trading.scanner.metrics import Percents, metrics

logger = logging.getLogger(__name__)

_LOAD_TIMEOUT_S = 60.0
Key = tuple[str, Timeframe]


class Apart(Protocol):
    """Runs plain work off the loop."""

    def __call__(self, work: Callable[[], RankHistory], /) -> Awaitable[RankHistory]:
        """Return what the work returns."""
        ...


@dataclass(slots=True)
class _Beginning:
    """A series whose past is being sorted, and what closed meanwhile.

    Of its live candles the metrics: many series wait at a start, and these are a quarter as large.
    """

    recent: Percents
    first_ms: int
    meanwhile: list[Candle] = field(default_factory=list)


class Pasts:
    """One `RankHistory` per symbol and timeframe.

    A series begins with what is known of it when it is warm: the archive's longer past, where there
    is one, and the candles that are live. Every candle that closes from then on enters once.
    """

    def __init__(
        self,
        store: CandleStore | None,
        candles_max: int,
        recent_max: int,
        apart: Apart,
        on_begun: Callable[[str], None] = lambda _symbol: None,
    ) -> None:
        self._store = store
        self._candles_max = candles_max
        self._recent_max = recent_max
        self._apart = apart
        self._on_begun = on_begun
        self._histories: dict[Key, RankHistory] = {}
        self._beginnings: dict[Key, _Beginning] = {}
        self._exchanges: dict[Key, tuple[str, ...]] = {}
        self._wake = asyncio.Event()

    def get(self, symbol: str, timeframe: Timeframe) -> RankHistory | None:
        """Return the past of a series, None while it is not sorted yet."""
        return self._histories.get((symbol, timeframe))

    def exchanges(self, symbol: str, timeframe: Timeframe) -> tuple[str, ...]:
        """Return of which exchanges the past of a series is, where it is of several."""
        return self._exchanges.get((symbol, timeframe), ())

    def keep(self, keys: Collection[Key]) -> None:
        """Forget all other series."""
        for known in (self._histories, self._beginnings, self._exchanges):
            for key in known.keys() - keys:
                del known[key]

    def warmed(self, symbol: str, timeframe: Timeframe, candles: Candles) -> None:
        """Begin a series anew with closed candles, oldest first."""
        self._histories.pop((symbol, timeframe), None)
        first_ms = int(candles.open_time_ms[0]) if len(candles) else 0
        try:
            recent = _metrics(candles)
        except ValueError as error:
            _tell_unsound((symbol, timeframe), error)
            recent = _metrics(no_candles())
        self._beginnings[symbol, timeframe] = _Beginning(recent, first_ms)
        self._wake.set()

    def closed(self, symbol: str, timeframe: Timeframe, candle: Candle) -> None:
        """Take in a candle that has closed; each one is told once."""
        beginning = self._beginnings.get((symbol, timeframe))
        if beginning is not None:
            beginning.meanwhile.append(candle)
            return
        history = self._histories.get((symbol, timeframe))
        if history is not None:
            history.add(metrics_of((candle,))[:, 0])

    async def run(self) -> None:
        """Sort what is warm, one series after the other, until cancelled."""
        self._wake.set()
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._beginnings:
                await self._begin(next(iter(self._beginnings)))

    async def _begin(self, key: Key) -> None:
        beginning = self._beginnings[key]
        older, exchanges = await self._older(key, beginning)
        try:
            history = await self._apart(lambda: self._sorted(older, beginning.recent))
        except ValueError as error:
            _tell_unsound(key, error)
            history = RankHistory(candles_max=self._candles_max)
        if self._beginnings.get(key) is not beginning:
            # It was dropped, or began anew, while it was sorted.
            return
        del self._beginnings[key]
        for candle in beginning.meanwhile:
            history.add(metrics_of((candle,))[:, 0])
        self._histories[key] = history
        self._exchanges[key] = exchanges
        self._on_begun(key[0])

    async def _older(self, key: Key, live: _Beginning) -> tuple[Candles, tuple[str, ...]]:
        """Return what the archive holds from before the live candles, and of whom, if of several.

        What a person has combined comes before the exchange's own.
        """
        count = live.recent.shape[1]
        if self._store is None or not count:
            return no_candles(), ()
        try:
            async with asyncio.timeout(_LOAD_TIMEOUT_S):
                whole = await self._store.gathered(*key, self._candles_max)
                if whole is not None:
                    return _before(whole, live.first_ms)
                if count < self._recent_max:
                    # The live candles were warmed from the same archive: it holds no more.
                    return no_candles(), ()
                held = await self._store.load(*key, self._candles_max)
        except (UmbraError, OSError, TimeoutError) as error:
            extra = {"symbol": key[0], "timeframe": key[1].name, "error": str(error)}
            logger.warning("longer_past_not_loaded", extra=extra)
            return no_candles(), ()
        return held.take(held.open_time_ms < live.first_ms), ()

    def _sorted(self, older: Candles, recent: Percents) -> RankHistory:
        past = np.concatenate((_metrics(older), recent), axis=1) if len(older) else recent
        return RankHistory(past, self._candles_max)


def _tell_unsound(key: Key, error: ValueError) -> None:
    # What the archive holds is checked when it is stored; this is the last line.
    extra = {"symbol": key[0], "timeframe": key[1].name}
    logger.error("past_not_sound", extra=extra, exc_info=error)


def _metrics(candles: Candles) -> Percents:
    return metrics(candles.open, candles.high, candles.low, candles.close)


def _before(whole: Gathered, first_ms: int) -> tuple[Candles, tuple[str, ...]]:
    """The part of a combined history before a moment, and of whom; whoever leads goes on."""
    is_older = whole.candles.open_time_ms < first_ms
    others = set(whole.source[is_older].tolist()) - {0}
    leader, *rest = whole.exchanges
    used = tuple(one for place, one in enumerate(rest, start=1) if place in others)
    return whole.candles.take(is_older), (leader, *used) if used else ()
