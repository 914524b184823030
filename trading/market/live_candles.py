"""The shell around live candles: streams, asks for what lacks, closes once, keeps what closed."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from random import Random

from trading.candles.series import Candles, no_candles
from trading.domain.errors import RateLimited, Refused, Retryable, UmbraError, Unreachable
from trading.domain.market import Candle
from trading.domain.time import Timeframe, from_ms, to_ms
from trading.market.candle_keeping import CandleKeeping
from trading.market.candle_line import CandleLine
from trading.market.closing import Closing
from trading.market.past import Past, Request
from trading.market.reading_plan import Moment, Want, plan
from trading.market.settings import CandleSettings
from trading.market.venue_clock import VenueClock
from trading.market.watched_series import WatchedSeries
from trading.ports.clock import Clock
from trading.ports.exchange import CandleFeed
from trading.ports.history import CandleStore

logger = logging.getLogger(__name__)

_NAMED_MAX = 5
_FAILED = "reading it has failed"
_Key = tuple[str, Timeframe]


@dataclass(frozen=True, slots=True)
class CandleHooks:
    """Plain calls on the loop.

    `on_warm` says that the past of a series is there: once, and again after `watch` added it anew.
    `on_closed` comes exactly once per symbol, timeframe and open time from then on, whoever told
    it first; a hole that was filled comes later than the candles after it.
    """

    on_warm: Callable[[str, Timeframe, Candles], None]
    on_closed: Callable[[str, Timeframe, Candle], None]


class LiveCandles:
    """Follows a changing set of series: `run` owns the network, `sweep` writes what has closed.

    Times are the exchange's own. Without a stream everything is asked for, within the pace of the
    settings.
    """

    def __init__(  # noqa: PLR0913 - what a shell is made of
        self,
        feed: CandleFeed,
        store: CandleStore | None,
        clock: Clock,
        hooks: CandleHooks,
        *,
        settings: CandleSettings | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Random | None = None,
    ) -> None:
        self._feed = feed
        self._store = store
        self._clock = clock
        self._hooks = hooks
        self._settings = settings or CandleSettings()
        self._sleep = sleep
        self._series: dict[_Key, WatchedSeries] = {}
        # When a symbol was last spoken of: by the stream, and by anybody.
        self._streamed_s: dict[str, float] = {}
        self._told_s: dict[str, float] = {}
        self._theirs = VenueClock()
        self._line = CandleLine(
            feed.stream_candles,
            clock.monotonic,
            self._settings,
            self._on_candle,
            sleep,
            jitter or Random(0),
        )
        self._reads: asyncio.PriorityQueue[tuple[int, float, int, WatchedSeries]] = (
            asyncio.PriorityQueue()
        )
        self._read_numbers = count()
        self._next_read_s = float("-inf")
        self._keeping = CandleKeeping(store.append if store else None, self._settings)

    # ------------------------------------------------------------ questions

    def is_warm(self, symbol: str, timeframe: Timeframe) -> bool:
        """Whether the past of a series is there."""
        watched = self._series.get((symbol, timeframe))
        return watched is not None and watched.is_warm

    def failure(self, symbol: str, timeframe: Timeframe) -> tuple[str, float] | None:
        """Return why a past could not be read, in words, and in how many seconds it is asked again.

        None while nothing has failed, and once it is there.
        """
        watched = self._series.get((symbol, timeframe))
        if watched is None or watched.is_warm or not watched.failures:
            return None
        return watched.why, max(watched.retry_s - self._clock.monotonic(), 0.0)

    def is_stale(self, symbol: str) -> bool:
        """Whether nothing is known of a symbol for so long that its candles may be wrong.

        A quiet market is none: it is asked for, and the answer counts.
        """
        since_s = self._told_s.get(symbol)
        return since_s is None or self._clock.monotonic() - since_s > self._settings.stale_s

    def running(self, symbol: str, timeframe: Timeframe, at_ms: int | None = None) -> Candle | None:
        """Return the candle that runs now, or that ran at a moment and is not known to be over.

        None while nothing is known of it.
        """
        watched = self._series.get((symbol, timeframe))
        if watched is None:
            return None
        return watched.running(self.now_ms() if at_ms is None else at_ms)

    def candles(self, symbol: str, timeframe: Timeframe, newest: int | None = None) -> Candles:
        """Return closed candles, oldest first, as a view that never changes."""
        watched = self._series.get((symbol, timeframe))
        return watched.live.ring.candles(newest) if watched is not None else no_candles()

    def now_ms(self) -> int:
        """Return the exchange's time, as far as its messages tell."""
        return self._theirs.now_ms(self._clock.monotonic(), to_ms(self._clock.now()))

    @property
    def unwritten(self) -> int:
        """How many closed candles wait for the archive."""
        return self._keeping.waiting

    # ------------------------------------------------------------ watching

    def watch(self, wanted: Mapping[str, frozenset[Timeframe]]) -> None:
        """Follow exactly these series from now on; may be called while running."""
        keys = {(symbol, each) for symbol, several in wanted.items() for each in several}
        if keys == self._series.keys():
            return
        for key in self._series.keys() - keys:
            del self._series[key]
        for symbol, timeframe in sorted(keys - self._series.keys(), key=_in_order):
            watched = WatchedSeries(symbol, timeframe, self._settings)
            self._series[symbol, timeframe] = watched
        now_s = self._clock.monotonic()
        symbols = {symbol for symbol, _ in keys}
        self._streamed_s = {symbol: self._streamed_s.get(symbol, now_s) for symbol in symbols}
        for symbol in self._told_s.keys() - symbols:
            del self._told_s[symbol]
        self._line.want({symbol: several for symbol, several in wanted.items() if several})

    async def run(self) -> None:
        """Stream and ask until cancelled; what fails on the network is tried again.

        What has closed and is not written by then waits for one more `sweep`.
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(self._line.run())
            group.create_task(self._keep_planning())
            group.create_task(self._keeping.run())
            for _ in range(self._settings.readers):
                group.create_task(self._answer_reads())

    async def sweep(self) -> None:
        """Plan requests for what should have closed, and write what has closed off the loop."""
        self._plan()
        self._tell_refused()
        await self._keeping.write()

    # ------------------------------------------------------------ the stream

    def _on_candle(self, symbol: str, timeframe: Timeframe, candle: Candle, event_ms: int) -> None:
        watched = self._series.get((symbol, timeframe))
        if watched is None:
            return
        now_s = self._clock.monotonic()
        self._theirs.heard(event_ms, now_s)
        verdict = watched.take_streamed(candle, event_ms, now_s)
        if verdict is None or verdict is Closing.REFUSED:
            return
        if event_ms > watched.heard_ms:
            # A feed that repeats itself says nothing.
            watched.heard_ms = event_ms
            self._streamed_s[symbol] = self._told_s[symbol] = watched.told_s = now_s
        if verdict.is_first:
            self._closed(watched, candle)

    def _closed(self, watched: WatchedSeries, candle: Candle) -> None:
        self._keeping.add((watched.symbol, watched.timeframe, candle))
        try:
            self._hooks.on_closed(watched.symbol, watched.timeframe, candle)
        except Exception:
            # The candle is there and counts as told: another one must not be lost for it.
            logger.exception("closed_candle_failed", extra={"symbol": watched.symbol})

    def _tell_refused(self) -> None:
        symbols = sorted({one.symbol for one in self._series.values() if one.refused})
        if symbols:
            extra = {"symbols": symbols[:_NAMED_MAX], "of": len(symbols)}
            logger.warning("candles_not_taken", extra=extra)
        for watched in self._series.values():
            watched.refused = 0

    # ------------------------------------------------------------ requests

    async def _keep_planning(self) -> None:
        while True:
            self._plan()
            await self._sleep(self._settings.plan_s)

    def _plan(self) -> None:
        now_s = self._clock.monotonic()
        room = int(self._settings.requests_per_s_max * self._settings.plan_s) + 1
        room -= self._reads.qsize()
        if room <= 0 or not self._series:
            return
        moment = Moment(self.now_ms(), now_s, self._line.is_down(now_s), self._quiet(now_s))
        for want in plan(self._series.values(), moment, self._settings, room):
            self._ask(want)

    def _quiet(self, now_s: float) -> frozenset[str]:
        most_s = self._settings.quiet_s
        return frozenset(
            symbol
            for symbol, streamed_s in self._streamed_s.items()
            if now_s - streamed_s >= most_s
        )

    def _ask(self, want: Want) -> None:
        # One at a time per series, so the queue never holds more than there are series.
        watched = want.watched
        if not watched.is_queued:
            watched.is_queued = True
            self._reads.put_nowait((want.rank, want.order, next(self._read_numbers), watched))

    async def _answer_reads(self) -> None:
        while True:
            *_, watched = await self._reads.get()
            try:
                if self._is_watched(watched):
                    await self._read(watched)
            finally:
                watched.is_queued = False

    def _is_watched(self, watched: WatchedSeries) -> bool:
        return self._series.get((watched.symbol, watched.timeframe)) is watched

    async def _read(self, watched: WatchedSeries) -> None:
        names = {"symbol": watched.symbol, "timeframe": watched.timeframe.name}
        try:
            await (self._ask_for_news(watched) if watched.is_warm else self._warm(watched))
        except RateLimited as error:
            # A pause for all: quotes and exits come first.
            self._next_read_s = self._clock.monotonic() + max(error.retry_after_s, 1.0)
        except (Retryable, TimeoutError) as error:
            words = error.words if isinstance(error, Retryable) else Unreachable().words
            watched.failed(self._clock.monotonic(), why=words)
            logger.info("candles_not_read", extra={**names, "error": str(error)})
        except Refused as error:
            watched.failed(self._clock.monotonic(), self._settings.refused_retry_s, str(error))
            logger.warning("candles_refused", extra={**names, "error": str(error)})
        except Exception:
            watched.failed(self._clock.monotonic(), self._settings.retry_s_max, _FAILED)
            logger.exception("candles_failed", extra=names)

    async def _candles(self, watched: WatchedSeries, request: Request) -> Sequence[Candle]:
        since = from_ms(request.since_ms) if request.since_ms is not None else None
        async with asyncio.timeout(self._settings.read_timeout_s):
            return await self._feed.candles(watched.symbol, watched.timeframe, request.limit, since)

    async def _turn(self) -> None:
        """Wait until a request may be sent: they are spread evenly over time."""
        while (wait_s := self._next_read_s - self._clock.monotonic()) > 0:
            await self._sleep(wait_s)
        self._next_read_s = self._clock.monotonic() + 1 / self._settings.requests_per_s_max

    async def _ask_for_news(self, watched: WatchedSeries) -> None:
        await self._turn()
        asked_ms = self.now_ms()
        due = watched.due(asked_ms)
        request = due or Request(2, None)
        watched.read_s = self._clock.monotonic()
        told = await self._candles(watched, request)
        now_s = self._clock.monotonic()
        before = watched.live.running
        closed = watched.take_told(told, request, asked_ms, now_s)
        if due is not None and watched.due(asked_ms) == due:
            # Halted, or late itself: not asked for again and again.
            watched.failed(now_s)
        elif not watched.is_unusable:
            watched.answered()
        if watched.told_s == now_s and self._is_watched(watched):
            if watched.live.running != before:
                self._line.missed(watched.symbol, self._streamed_s[watched.symbol], now_s)
            self._told_s[watched.symbol] = now_s
        if self._is_watched(watched):
            for candle in closed:
                self._closed(watched, candle)

    # ------------------------------------------------------------ the past

    async def _warm(self, watched: WatchedSeries) -> None:
        stored = await self._load(watched)
        past = Past(
            watched.live.length_ms,
            stored,
            self._settings.candles_kept,
            self.now_ms(),
            page_candles=self._settings.page_candles,
            pages_extra=self._settings.pages_extra,
        )
        fresh: list[Candles] = []
        newest: Sequence[Candle] = ()
        newest_asked_ms = 0
        while (request := past.next_request()) is not None:
            await self._turn()
            if not self._is_watched(watched):
                return
            asked_ms = self.now_ms()
            told = await self._candles(watched, request)
            fresh.append(past.take(request, told, asked_ms))
            if request.since_ms is None:
                newest, newest_asked_ms = told[-2:], asked_ms
        if not self._is_watched(watched):
            return
        now_s = self._clock.monotonic()
        watched.answered()
        watched.warm(past.held)
        self._told_s[watched.symbol] = now_s
        try:
            # With all their digits, which the ring does not keep.
            self._hooks.on_warm(watched.symbol, watched.timeframe, past.held)
        except Exception:
            logger.exception("warm_series_failed", extra={"symbol": watched.symbol})
        for candle in watched.take_early(now_s):
            self._closed(watched, candle)
        if newest:
            told_since = watched.take_told(newest, Request(2, None), newest_asked_ms, now_s)
            for candle in told_since:
                self._closed(watched, candle)
        for part in reversed(fresh):
            self._keeping.add_past(watched.symbol, watched.timeframe, part)

    async def _load(self, watched: WatchedSeries) -> Candles:
        if self._store is None:
            return no_candles()
        try:
            async with asyncio.timeout(self._settings.load_timeout_s):
                return await self._store.load(
                    watched.symbol, watched.timeframe, self._settings.candles_kept
                )
        except (UmbraError, OSError, TimeoutError) as error:
            # The exchange knows them, too.
            logger.warning(
                "candles_not_loaded", extra={"symbol": watched.symbol, "error": str(error)}
            )
            return no_candles()


def _in_order(key: _Key) -> tuple[int, str]:
    # Long candles last: a score of short ones is there sooner.
    return key[1].length_ms, key[0]
