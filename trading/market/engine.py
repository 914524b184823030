"""The shell around the market: streams while it can, asks over REST when it must, tells once."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from random import Random
from typing import Any

from trading.domain.chat import Severity
from trading.domain.errors import Retryable, Unreachable
from trading.domain.events import ConditionChanged
from trading.domain.market import Candle, MarketTrade, Observation, Quote
from trading.domain.time import Timeframe, from_ms, to_ms
from trading.market.buffer import Signature
from trading.market.episodes import Condition, Episodes
from trading.market.gap import Gap, covers, is_whole, within
from trading.market.handover import Handover
from trading.market.settings import MarketSettings
from trading.market.staleness import Freshness, Suspicion
from trading.market.watched import WatchedSymbol
from trading.ports import Clock, MarketFeed

logger = logging.getLogger(__name__)

STREAM_DOWN = "stream_down"
STALE_DATA = "stale_data"
DEGRADED_DATA = "degraded_data"
PRICE_DISAGREEMENT = "price_disagreement"
DROPPED_PRICES = "dropped_prices"
_URGENT, _NEAR, _FAR = 0, 1, 2
_DOWN_AFTER_S = 1.0
# A read that comes too soon after a held print proves nothing: it is asked for again.
_ASK_AGAIN_S = 0.3
# A symbol without any message for that long is stale, whatever else is known.
_OLD_S = 60.0
_NAMED_MAX = 5
# A quarter of a millisecond of work: a stop that has just fired waits for as much.
_SYMBOLS_PER_TURN = 25
# How long reading may take what came while the process stood still; REST answers meanwhile.
_DOUBTED_S = 1.0


@dataclass(frozen=True, slots=True)
class MarketHooks:
    """Plain calls into the conductor.

    `is_near` tells symbols near a stop, which are asked for more often; `is_needed` those of which
    somebody must know that prices are missing; `on_gap` names symbols whose prices were missed
    since a time, so that missed time can be judged.
    """

    on_observation: Callable[[Observation], None]
    on_condition: Callable[[ConditionChanged], None]
    is_near: Callable[[str], bool] = lambda _: False
    on_gap: Callable[[frozenset[str], datetime], None] = lambda _symbols, _since: None
    is_needed: Callable[[str], bool] = lambda _: True


class MarketEngine:
    """Watches a changing set of symbols: `run` owns the network, `sweep` judges each second."""

    def __init__(
        self,
        feed: MarketFeed,
        clock: Clock,
        hooks: MarketHooks,
        *,
        settings: MarketSettings | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Random | None = None,
    ) -> None:
        self._feed = feed
        self._changed = asyncio.Event()
        self._lines = Handover(
            feed.stream_market, self._on_trade, self._on_quote, self._changed.set
        )
        self._clock = clock
        self._hooks = hooks
        self._settings = settings or MarketSettings()
        self._sleep = sleep
        self._jitter = jitter or Random(0)
        self._symbols: dict[str, WatchedSymbol] = {}
        self._episodes = Episodes(self._settings.green_s)
        self._reads: asyncio.PriorityQueue[tuple[int, int, str, bool]] = asyncio.PriorityQueue(
            self._settings.reads_waiting_max
        )
        self._read_numbers = count()
        self._reads_left = 0
        self._restart = asyncio.Event()
        self._holding = asyncio.Event()
        self._is_live = False
        self._down_since_s = clock.monotonic()
        self._restarted_s = float("-inf")
        self._swept_s = clock.monotonic()
        self._is_swept = False
        self._doubted_until_s = float("-inf")
        self._was_connected = False
        self._audit_s = clock.monotonic()
        self._audits = 0

    # ------------------------------------------------------------ questions

    def price(self, symbol: str) -> Decimal | None:
        """Return the decision price."""
        watched = self._symbols.get(symbol)
        return watched.prices.price if watched is not None else None

    def quote(self, symbol: str) -> Quote | None:
        """Return the newest accepted best bid and ask."""
        watched = self._symbols.get(symbol)
        return watched.prices.quote if watched is not None else None

    def touch(self, symbol: str) -> Quote | None:
        """Return the best bid and ask that an order would meet now."""
        watched = self._symbols.get(symbol)
        return watched.prices.touch() if watched is not None else None

    def last_trade(self, symbol: str) -> MarketTrade | None:
        """Return the newest accepted print."""
        watched = self._symbols.get(symbol)
        return watched.prices.trade if watched is not None else None

    def age_s(self, symbol: str) -> float | None:
        """Return seconds since the price was last known to be true; None before the first."""
        watched = self._symbols.get(symbol)
        if watched is None or watched.prices.price is None:
            return None
        return watched.fresh.age_s(self._clock.monotonic())

    def signature(self, symbol: str) -> Signature | None:
        """Return what the last 300 ticks look like; None with fewer than two."""
        watched = self._symbols.get(symbol)
        return watched.buffer.signature() if watched is not None else None

    def is_stale(self, symbol: str) -> bool:
        """Whether a price should not be acted on: none came, or nobody can say that it holds."""
        watched = self._symbols.get(symbol)
        if watched is None or watched.prices.price is None:
            return True
        now_s = self._clock.monotonic()
        age_s = watched.fresh.age_s(now_s)
        return age_s > (self._settings.stale_s if self._is_in_doubt(watched) else _OLD_S)

    def is_degraded(self, symbol: str) -> bool:
        """Whether prices of a symbol come over REST, hardly, or contradict: no new risk on it."""
        watched = self._symbols.get(symbol)
        if watched is None or self._is_down(self._clock.monotonic()) or self.is_stale(symbol):
            return True
        now_s = self._clock.monotonic()
        return watched.fresh.is_missing(now_s) or watched.is_disagreeing(now_s)

    @property
    def is_told_together(self) -> bool:
        """Whether one event stands for several symbols without fresh prices."""
        return self._episodes.is_active(STALE_DATA)

    @property
    def stream_state(self) -> str:
        """`idle`, `live`, `connecting` (for a moment) or `down` (prices come over REST)."""
        if not self._symbols:
            return "idle"
        if self._is_live:
            return "live"
        return "down" if self._is_down(self._clock.monotonic()) else "connecting"

    def gap_reader(self, since: datetime | None) -> Callable[[str], Awaitable[Gap]]:
        """Return a reader of what was missed of a symbol since a time; it raises Unreachable."""

        async def read(symbol: str) -> Gap:
            return await self._read_gap(symbol, since)

        return read

    # ------------------------------------------------------------ watching

    def watch(self, symbols: Iterable[str]) -> None:
        """Watch exactly these symbols from now on; may be called while running."""
        wanted = frozenset(symbols)
        if wanted == self._symbols.keys():
            return
        now_s = self._clock.monotonic()
        if not self._symbols and not self._is_live:
            self._down_since_s = now_s
        for symbol in self._symbols.keys() - wanted:
            del self._symbols[symbol]
        for symbol in sorted(wanted - self._symbols.keys()):
            watched = WatchedSymbol(symbol, self._settings, now_s, self._hooks.on_observation)
            self._symbols[symbol] = watched
            self._ask(watched, _NEAR, with_trade=True)
        self._changed.set()

    async def run(self) -> None:
        """Stream and read until cancelled; what fails on the network is tried again."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._follow_stream())
                group.create_task(self._resolve_holds())
                for _ in range(self._settings.readers):
                    group.create_task(self._answer_reads())
        finally:
            await self._lines.close()

    async def sweep(self) -> None:
        """Judge ages each second: ask over REST where it is quiet, fall back, tell once."""
        now_s, at = self._clock.monotonic(), self._clock.now()
        self._reads_left = self._settings.reads_per_s_max
        self._lines.pass_time(now_s)
        async for watched in self._in_turns():
            watched.pass_time(now_s)
            self._tell_dropped(watched, now_s, at)
            if self._stood_still(now_s):
                self._doubted_until_s = now_s + _DOUBTED_S
                self._ask(watched, _URGENT, with_trade=True)
            if now_s - self._swept_s >= self._settings.gap_told_s:
                # The whole process stood still: what lay in its sockets is old.
                watched.miss(self._swept_s)
        self._swept_s, self._is_swept = now_s, True
        missed = {
            watched: self._missed_since_s(watched, now_s) async for watched in self._in_turns()
        }
        self._tell_missed(missed, now_s)
        await self._plan_reads(now_s)
        await self._judge_stream(now_s, at)
        for event in self._episodes.ended(now_s, at):
            self._hooks.on_condition(event)

    async def _in_turns(self) -> AsyncIterator[WatchedSymbol]:
        """Give each watched symbol; what else is on the loop has its turn after every few."""
        for number, watched in enumerate(tuple(self._symbols.values()), start=1):
            if self._symbols.get(watched.symbol) is watched:
                yield watched
            if number % _SYMBOLS_PER_TURN == 0:
                await asyncio.sleep(0)

    # ------------------------------------------------------------ the stream

    def _on_trade(self, trade: MarketTrade) -> None:
        watched = self._symbols.get(trade.symbol)
        if watched is None:
            return
        if not self._is_live:
            self._came_alive()
        if watched.take_trade(trade):
            self._hold(watched)

    def _on_quote(self, quote: Quote) -> None:
        watched = self._symbols.get(quote.symbol)
        if watched is None:
            return
        if not self._is_live:
            self._came_alive()
        if quote.received_s < self._doubted_until_s or self._stood_still(quote.received_s):
            return
        if watched.take_quote(quote):
            self._hold(watched)

    def _stood_still(self, now_s: float) -> bool:
        # Books carry no time of their own: what lay in a socket meanwhile looks new.
        return self._is_swept and now_s - self._swept_s > self._settings.event_lag_s_max

    async def _follow_stream(self) -> None:
        failures = 0
        while True:
            symbols = frozenset(self._symbols)
            self._changed.clear()
            self._restart.clear()
            if not symbols:
                await self._lines.close()
                await self._changed.wait()
                continue
            began_s = self._clock.monotonic()
            reason = await self._stream(symbols)
            if reason is None:
                for watched in self._symbols.values():
                    self._ask(watched, _FAR)
                continue
            now_s = self._clock.monotonic()
            self._lost(now_s)
            failures = 1 if now_s - began_s >= self._settings.stable_s else failures + 1
            delay_s = self._back_off_s(failures)
            logger.warning("stream_lost", extra={"reason": reason, "retry_in_s": delay_s})
            await self._sleep(delay_s)

    async def _stream(self, symbols: frozenset[str]) -> str | None:
        stream = self._lines.open(symbols, self._clock.monotonic())
        is_kept = False
        stops: list[asyncio.Future[Any]] = [
            asyncio.ensure_future(event.wait()) for event in (self._changed, self._restart)
        ]
        try:
            await asyncio.wait({stream, *stops}, return_when=asyncio.FIRST_COMPLETED)
            if self._restart.is_set():
                return "stalled"
            if not stream.done():
                is_kept = True
                return None
            try:
                stream.result()
            except Retryable as error:
                return str(error)
            return "ended"
        finally:
            for task in stops:
                task.cancel()
            await asyncio.gather(*stops, return_exceptions=True)
            if not is_kept:
                await self._lines.close()

    def _back_off_s(self, failures: int) -> float:
        first_s, max_s = self._settings.reconnect_s_first, self._settings.reconnect_s_max
        # Quick once, then never more than one attempt in two seconds on average.
        base_s = first_s if failures == 1 else min(2.0 ** (failures - 1), max_s)
        return base_s * (1 + self._jitter.random() * 0.5)

    def _lost(self, now_s: float) -> None:
        if self._is_live:
            self._is_live = False
            self._down_since_s = now_s

    def _came_alive(self) -> None:
        self._is_live = True
        if not self._was_connected:
            self._was_connected = True
            return
        # What happened meanwhile is asked for, first of all at the symbols that were missed.
        for watched in self._symbols.values():
            self._ask(watched, _NEAR, with_trade=True)
        now_s, lost_s = self._clock.monotonic(), self._down_since_s
        symbols = self._symbols.values()
        self._tell_missed({one: self._missed_since_s(one, now_s, lost_s) for one in symbols}, now_s)

    def _is_in_doubt(self, watched: WatchedSymbol) -> bool:
        # A healthy stream that says nothing has nothing to say.
        fresh = watched.fresh
        return not self._is_live or fresh.is_failing or fresh.moved_s is not None

    def _missed_since_s(
        self, watched: WatchedSymbol, now_s: float, line_lost_s: float | None = None
    ) -> float | None:
        # Shorter gaps were seen over REST, and candles are too coarse to add to that.
        least_s = self._settings.gap_told_s if self._is_in_doubt(watched) else _OLD_S
        return watched.missed_since_s(now_s, least_s, line_lost_s=line_lost_s)

    def _tell_missed(self, since_s_of: Mapping[WatchedSymbol, float | None], now_s: float) -> None:
        missed: dict[float, set[str]] = {}
        for watched, since_s in since_s_of.items():
            if since_s is not None:
                missed.setdefault(since_s, set()).add(watched.symbol)
        for since_s, symbols in sorted(missed.items()):
            since = self._clock.now() - timedelta(seconds=now_s - since_s)
            self._hooks.on_gap(frozenset(symbols), since)

    def _is_down(self, now_s: float) -> bool:
        return not self._is_live and now_s - self._down_since_s >= _DOWN_AFTER_S

    # ------------------------------------------------------------ what is held

    def _hold(self, watched: WatchedSymbol) -> None:
        self._ask(watched, _URGENT, with_trade=True)
        self._holding.set()

    async def _resolve_holds(self) -> None:
        while True:
            await self._holding.wait()
            due_s = [
                due
                for watched in self._symbols.values()
                if (due := watched.gate.due_s()) is not None
            ]
            now_s = self._clock.monotonic()
            if not due_s:
                self._holding.clear()
                continue
            if min(due_s) > now_s:
                await self._sleep(min(min(due_s) - now_s, _ASK_AGAIN_S))
            for watched in list(self._symbols.values()):
                watched.pass_time(self._clock.monotonic())
                if watched.gate.is_holding():
                    self._ask(watched, _URGENT, with_trade=True)

    # ------------------------------------------------------------ reads over REST

    def _ask(self, watched: WatchedSymbol, priority: int, *, with_trade: bool = False) -> None:
        # One at a time per symbol. What comes to a full queue is asked for by a later sweep, or
        # by whoever waits for a held price.
        if not watched.is_queued and not self._reads.full():
            watched.is_queued = True
            number = next(self._read_numbers)
            self._reads.put_nowait((priority, number, watched.symbol, with_trade))

    async def _answer_reads(self) -> None:
        while True:
            _, _, symbol, with_trade = await self._reads.get()
            watched = self._symbols.get(symbol)
            if watched is None:
                continue
            try:
                await self._read(watched, with_trade)
            finally:
                watched.is_queued = False

    async def _read(self, watched: WatchedSymbol, with_trade: bool) -> None:
        requested_s = self._clock.monotonic()
        watched.read_s = requested_s
        try:
            async with asyncio.timeout(self._settings.read_timeout_s):
                quote = await self._feed.quote(watched.symbol)
                trade = await self._feed.last_trade(watched.symbol) if with_trade else None
        except (Retryable, TimeoutError) as error:
            watched.fresh.failed()
            logger.info("read_failed", extra={"symbol": watched.symbol, "error": str(error)})
            return
        if quote.bid.is_finite() and quote.ask.is_finite():
            watched.take_read(quote, trade, requested_s, self._clock.monotonic())
        if watched.gate.is_holding():
            self._holding.set()

    async def _plan_reads(self, now_s: float) -> None:
        few = len(self._symbols) <= self._settings.poll_all_near_max
        is_down = self._is_down(now_s)
        wanted: list[tuple[int, float, WatchedSymbol]] = []
        async for watched in self._in_turns():
            fresh = watched.fresh
            since_s = now_s - watched.read_s
            is_near = few or self._hooks.is_near(watched.symbol)
            if is_down or fresh.is_missing(now_s) or fresh.is_failing:
                pace_s = self._settings.poll_near_s if is_near else self._settings.poll_far_s
                # The sweep itself comes each second: a little less keeps the pace.
                if since_s >= pace_s - 0.2:
                    wanted.append((_NEAR if is_near else _FAR, -since_s, watched))
            elif _is_doubtful(fresh, now_s) and since_s >= self._settings.grace_s - 0.2:
                wanted.append((_NEAR if is_near else _FAR, -since_s, watched))
        wanted.sort(key=lambda item: item[:2])
        for priority, _, watched in wanted[: self._reads_left]:
            self._ask(watched, priority, with_trade=watched.prices.price is None)
        self._audit(now_s)

    def _audit(self, now_s: float) -> None:
        if now_s - self._audit_s < self._settings.audit_s or not self._symbols:
            return
        self._audit_s = now_s
        doubtful = [w for w in self._symbols.values() if w.disagrees_since_s is not None]
        rota = list(self._symbols.values())
        for watched in doubtful or [rota[self._audits % len(rota)]]:
            self._ask(watched, _FAR)
        self._audits += 1

    async def _read_gap(self, symbol: str, since: datetime | None) -> Gap:
        try:
            async with asyncio.timeout(self._settings.read_timeout_s * 2):
                return await self._read_candles(symbol, since)
        except TimeoutError as error:
            raise Unreachable(f"no answer about the missed time of {symbol}") from error

    async def _read_candles(self, symbol: str, since: datetime | None) -> Gap:
        now = self._clock.now()
        candles: tuple[Candle, ...] = ()
        if since is not None:
            candles = await self._candles_since(symbol, since, to_ms(now))
        trade = await self._feed.last_trade(symbol)
        return Gap(symbol, candles, trade.price, trade.event_time_ms)

    async def _candles_since(self, symbol: str, since: datetime, now_ms: int) -> tuple[Candle, ...]:
        since_ms = to_ms(since)
        *finer, (last, limit) = covers(now_ms - since_ms)
        for timeframe, most in finer:
            try:
                read = await self._read_since(symbol, timeframe, most, since_ms)
            except Unreachable as error:
                logger.info("candles_not_read", extra={"symbol": symbol, "error": str(error)})
                continue
            if is_whole(read, since_ms):
                return read
        return await self._read_since(symbol, last, limit, since_ms)

    async def _read_since(
        self, symbol: str, timeframe: Timeframe, limit: int, since_ms: int
    ) -> tuple[Candle, ...]:
        # The candle that the gap began in counts whole: what it shows is told, never acted on.
        begin = from_ms(since_ms - timeframe.length_ms)
        read = await self._feed.candles(symbol, timeframe, limit, begin)
        return within(read, since_ms, timeframe)

    # ------------------------------------------------------------ judging and telling

    async def _judge_stream(self, now_s: float, at: datetime) -> None:
        # The first connection of a start may take its time.
        patience_s = 2.0 if self._was_connected else self._settings.restart_after_s
        if self._symbols and not self._is_live and now_s - self._down_since_s >= patience_s:
            text = "live prices are interrupted: they are asked for over REST until they are back"
            self._red(Condition(STREAM_DOWN), text, now_s, at)
        stale = [
            watched.symbol
            async for watched in self._in_turns()
            if self._hooks.is_needed(watched.symbol) and self._is_told_stale(watched, now_s)
        ]
        self._tell_stale(stale, now_s, at)
        await self._judge_symbols(now_s, at)

    def _tell_stale(self, stale: Sequence[str], now_s: float, at: datetime) -> None:
        """Tell of stale symbols, several that go at once in one message."""
        alone = [symbol for symbol in stale if self._episodes.is_active(STALE_DATA, symbol)]
        others = [symbol for symbol in stale if symbol not in alone]
        if others and (len(others) > 1 or self._episodes.is_active(STALE_DATA)):
            named = ", ".join(sorted(others)[:_NAMED_MAX])
            more = f" and {len(others) - _NAMED_MAX} more" if len(others) > _NAMED_MAX else ""
            text = f"no fresh prices of {named}{more}, neither live nor over REST"
            self._red(Condition(STALE_DATA, "", Severity.CRIT), text, now_s, at)
        else:
            alone += others
        for symbol in alone:
            text = f"no fresh price of {symbol}, neither live nor over REST"
            self._red(Condition(STALE_DATA, symbol, Severity.CRIT), text, now_s, at)

    async def _judge_symbols(self, now_s: float, at: datetime) -> None:
        is_everything_silent = True
        is_something_missing = False
        async for watched in self._in_turns():
            symbol, fresh = watched.symbol, watched.fresh
            is_everything_silent &= now_s - fresh.stream_s >= self._settings.quiet_s
            if not self._is_live:
                continue
            if fresh.is_missing(now_s):
                is_something_missing = True
                text = f"live prices of {symbol} stand still: they are asked for over REST"
                self._red(Condition(DEGRADED_DATA, symbol), text, now_s, at)
                is_old = now_s - (fresh.moved_s or now_s) >= self._settings.restart_after_s
                if is_old and now_s - self._restarted_s >= self._settings.stable_s:
                    self._restart_stream(now_s)
            if watched.is_disagreeing(now_s):
                text = f"live and REST prices of {symbol} are more than 1% apart: both count"
                self._red(Condition(PRICE_DISAGREEMENT, symbol), text, now_s, at)
        if self._is_live and is_everything_silent and is_something_missing:
            self._restart_stream(now_s)

    def _restart_stream(self, now_s: float) -> None:
        self._restarted_s = now_s
        self._restart.set()

    def _is_told_stale(self, watched: WatchedSymbol, now_s: float) -> bool:
        if watched.prices.price is None:
            return now_s - watched.fresh.watched_s >= self._settings.restart_after_s
        return self.is_stale(watched.symbol)

    def _tell_dropped(self, watched: WatchedSymbol, now_s: float, at: datetime) -> None:
        dropped = watched.take_dropped()
        if not dropped:
            return
        first = dropped[0]
        text = (
            f"a price of {watched.symbol}, {first.trade.price:f}, was not believed: "
            f"{first.contradicted_by} said {first.reference:f}"
        )
        self._red(Condition(DROPPED_PRICES, watched.symbol), text, now_s, at)

    def _red(self, condition: Condition, text: str, now_s: float, at: datetime) -> None:
        event = self._episodes.red(condition, text, now_s, at)
        if event is not None:
            self._hooks.on_condition(event)


def _is_doubtful(fresh: Freshness, now_s: float) -> bool:
    return fresh.moved_s is not None or fresh.suspicion(now_s) is not Suspicion.NONE
