"""The engine that an agent keeps: streams prices, and hands out what may be believed of them."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from trading.domain.errors import Retryable
from trading.domain.events import ConditionChanged
from trading.domain.market import MarketTrade, Quote
from trading.market.buffer import Signature
from trading.market.engine.gaps import Gaps
from trading.market.engine.hooks import MarketHooks
from trading.market.engine.line import Line
from trading.market.engine.reading import FAR, NEAR, URGENT, Reading
from trading.market.engine.symbols import Symbols
from trading.market.engine.telling import Telling
from trading.market.gap import Gap
from trading.market.handover import Handover
from trading.market.settings import MarketSettings
from trading.market.venue_clock import VenueClock
from trading.market.watched import WatchedSymbol
from trading.ports.clock import Clock
from trading.ports.exchange import MarketFeed

logger = logging.getLogger(__name__)

# A read that comes too soon after a held print proves nothing: it is asked for again.
_ASK_AGAIN_S = 0.3
# A symbol without any message for that long is stale, whatever else is known.
_OLD_S = 60.0
# So far apart are connections at least that a change of the symbols asks for; prices of what is
# new are read over REST.
_APART_S = 0.5
# How long reading may take what came while the process stood still; REST answers meanwhile.
_DOUBTED_S = 1.0


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
        self._changed = asyncio.Event()
        self._lines = Handover(
            feed.stream_market, self._on_trade, self._on_quote, self._changed.set
        )
        self._clock = clock
        self._hooks = hooks
        self._settings = settings or MarketSettings()
        self._lag_s_max = self._settings.event_lag_s_max
        self._sleep = sleep
        self._jitter = jitter or Random(0)
        self._symbols = Symbols()
        self._line = Line(clock.monotonic())
        self._reading = Reading(feed, clock, self._symbols, hooks, self._settings, sleep)
        self._gaps = Gaps(feed, clock, self._settings.read_timeout_s * 2)
        self._telling = Telling(self._symbols, self._line, hooks, self._settings, self.is_stale)
        self._holding = asyncio.Event()
        self._reading.on_held = self._holding.set
        self._swept_s = clock.monotonic()
        self._venue = VenueClock()
        # When this process last did anything here; until when prices are doubted, having stood
        # still; and whether each of them is still to be asked for.
        self._awake_s = self._swept_s
        self._doubted_until_s = float("-inf")
        self._is_asking = False

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
        if watched is None or self._line.is_down(self._clock.monotonic()) or self.is_stale(symbol):
            return True
        now_s = self._clock.monotonic()
        return watched.fresh.is_missing(now_s) or watched.is_disagreeing(now_s)

    def is_told_stale(self, symbol: str) -> bool:
        """Whether prices of a symbol are stale, and people know it."""
        return self._telling.is_told_stale(symbol) and self.is_stale(symbol)

    @property
    def stream_state(self) -> str:
        """`idle`, `live`, `connecting` (for a moment) or `down` (prices come over REST)."""
        if not self._symbols:
            return "idle"
        if self._line.is_streaming:
            return "live"
        return "down" if self._line.is_down(self._clock.monotonic()) else "connecting"

    def gap_reader(self, since: datetime | None) -> Callable[[str], Awaitable[Gap]]:
        """Return a reader of what was missed of a symbol since a time; it raises Unreachable."""

        async def read(symbol: str) -> Gap:
            return await self._gaps.read(symbol, since)

        return read

    # ------------------------------------------------------------ watching

    def resume(self, conditions: Iterable[ConditionChanged]) -> None:
        """Take over what is wrong with prices as a process before this one told it.

        It is not told again, and ends by the same rules as what this one finds.
        """
        self._telling.resume(conditions, self._clock.monotonic())

    def present(self, told: ConditionChanged) -> ConditionChanged:
        """A condition as it is now: more may have come of it since it was told."""
        return self._telling.present(told)

    def watch(self, symbols: Iterable[str]) -> None:
        """Watch exactly these symbols from now on; may be called while running."""
        wanted = frozenset(symbols)
        if wanted == self._symbols.keys():
            return
        now_s = self._clock.monotonic()
        if not self._symbols and not self._line.is_streaming:
            self._line.down_since_s = now_s
        if not self._symbols:
            self._awake_s = max(self._awake_s, now_s)
        for symbol in self._symbols.keys() - wanted:
            del self._symbols[symbol]
        for symbol in sorted(wanted - self._symbols.keys()):
            take = self._hooks.on_observation
            watched = WatchedSymbol(symbol, self._settings, now_s, take, self._venue)
            self._symbols[symbol] = watched
            self._reading.ask(watched, NEAR, with_trade=True)
        self._changed.set()

    async def run(self) -> None:
        """Stream and read until cancelled; what fails on the network is tried again."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._follow_stream())
                group.create_task(self._resolve_holds())
                for _ in range(self._settings.readers):
                    group.create_task(self._reading.answer())
        finally:
            await self._lines.close()

    async def sweep(self) -> None:
        """Judge ages each second: ask over REST where it is quiet, fall back, tell once."""
        now_s, at = self._clock.monotonic(), self._clock.now()
        self._lines.pass_time(now_s)
        self._wakes_in_doubt(now_s)
        is_asking, self._is_asking = self._is_asking, False
        async for watched in self._symbols.in_turns():
            watched.pass_time(now_s)
            self._telling.dropped(watched, now_s, at)
            if is_asking:
                self._reading.ask(watched, URGENT, with_trade=True)
            if now_s - self._swept_s >= self._settings.gap_told_s:
                # The whole process stood still: what lay in its sockets is old.
                watched.miss(self._swept_s)
        self._swept_s = now_s
        missed = {
            watched: self._missed_since_s(watched, now_s)
            async for watched in self._symbols.in_turns()
        }
        self._tell_missed(missed, now_s)
        await self._reading.plan(now_s, is_down=self._line.is_down(now_s))
        await self._telling.judge(now_s, at)
        self._telling.end(now_s, at)

    # ------------------------------------------------------------ the stream

    def _on_trade(self, trade: MarketTrade) -> None:
        watched = self._symbols.get(trade.symbol)
        if watched is None:
            return
        if not self._line.is_streaming:
            self._came_alive()
        if self._wakes_in_doubt(trade.received_s) and not watched.fresh.tells_age:
            return
        if watched.take_trade(trade):
            self._hold(watched)

    def _on_quote(self, quote: Quote) -> None:
        watched = self._symbols.get(quote.symbol)
        if watched is None:
            return
        if not self._line.is_streaming:
            self._came_alive()
        # Books carry no time of their own.
        if not self._wakes_in_doubt(quote.received_s) and watched.take_quote(quote):
            self._hold(watched)

    def _wakes_in_doubt(self, now_s: float) -> bool:
        # What lay in a socket while the process stood still looks new, whoever looks first.
        if now_s - self._awake_s > self._lag_s_max:
            self._doubted_until_s = now_s + _DOUBTED_S
            self._is_asking = True
        self._awake_s = now_s
        return now_s < self._doubted_until_s

    async def _follow_stream(self) -> None:
        failures = 0
        while True:
            symbols = frozenset(self._symbols)
            self._changed.clear()
            self._line.restart.clear()
            if not symbols:
                await self._lines.close()
                await self._changed.wait()
                continue
            began_s = self._clock.monotonic()
            reason = await self._stream(symbols)
            if reason is None:
                for watched in self._symbols.values():
                    self._reading.ask(watched, FAR)
                # A burst of sales changes the set again and again: few connections are enough.
                age_s = self._clock.monotonic() - began_s
                if age_s < _APART_S:
                    await self._sleep(_APART_S - age_s)
                continue
            now_s = self._clock.monotonic()
            self._line.lost(now_s)
            failures = 1 if now_s - began_s >= self._settings.stable_s else failures + 1
            delay_s = self._back_off_s(failures)
            logger.warning("stream_lost", extra={"reason": reason, "retry_in_s": delay_s})
            await self._sleep(delay_s)

    async def _stream(self, symbols: frozenset[str]) -> str | None:
        stream = self._lines.open(symbols, self._clock.monotonic())
        is_kept = False
        stops: list[asyncio.Future[Any]] = [
            asyncio.ensure_future(event.wait()) for event in (self._changed, self._line.restart)
        ]
        try:
            await asyncio.wait({stream, *stops}, return_when=asyncio.FIRST_COMPLETED)
            if self._line.restart.is_set():
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

    def _came_alive(self) -> None:
        if not self._line.came_alive():
            return
        # What happened meanwhile is asked for, first of all at the symbols that were missed.
        for watched in self._symbols.values():
            self._reading.ask(watched, NEAR, with_trade=True)
        now_s, lost_s = self._clock.monotonic(), self._line.down_since_s
        symbols = self._symbols.values()
        self._tell_missed({one: self._missed_since_s(one, now_s, lost_s) for one in symbols}, now_s)

    def _is_in_doubt(self, watched: WatchedSymbol) -> bool:
        # A healthy stream that says nothing has nothing to say.
        fresh = watched.fresh
        return not self._line.is_streaming or fresh.is_failing or fresh.moved_s is not None

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

    # ------------------------------------------------------------ what is held

    def _hold(self, watched: WatchedSymbol) -> None:
        self._reading.ask(watched, URGENT, with_trade=True)
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
                    self._reading.ask(watched, URGENT, with_trade=True)
