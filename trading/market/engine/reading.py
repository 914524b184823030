"""Reads over REST: the most urgent first, one at a time per symbol, within a budget."""

import asyncio
import logging
from collections.abc import Callable
from itertools import count

from trading.domain.errors import Retryable
from trading.market.engine.hooks import MarketHooks
from trading.market.engine.symbols import Symbols
from trading.market.settings import MarketSettings
from trading.market.staleness import Freshness, Suspicion
from trading.market.watched import WatchedSymbol
from trading.ports import Clock, MarketFeed

logger = logging.getLogger(__name__)

URGENT, NEAR, FAR = 0, 1, 2


class Reading:
    """Plans reads and makes them; `on_held` is called when one left a price to be confirmed."""

    def __init__(
        self,
        feed: MarketFeed,
        clock: Clock,
        symbols: Symbols,
        hooks: MarketHooks,
        settings: MarketSettings,
    ) -> None:
        self._feed = feed
        self._clock = clock
        self._symbols = symbols
        self._hooks = hooks
        self._settings = settings
        self._waiting: asyncio.PriorityQueue[tuple[int, int, str, bool]] = asyncio.PriorityQueue(
            settings.reads_waiting_max
        )
        self._numbers = count()
        self._audit_s = clock.monotonic()
        self._audits = 0
        self.on_held: Callable[[], None] = lambda: None

    def ask(self, watched: WatchedSymbol, priority: int, *, with_trade: bool = False) -> None:
        """Have a symbol read; once at a time."""
        # One at a time per symbol. What comes to a full queue is asked for by a later sweep, or
        # by whoever waits for a held price.
        if not watched.is_queued and not self._waiting.full():
            watched.is_queued = True
            number = next(self._numbers)
            self._waiting.put_nowait((priority, number, watched.symbol, with_trade))

    async def answer(self) -> None:
        """Read what was asked for, one symbol after the other, until cancelled."""
        while True:
            _, _, symbol, with_trade = await self._waiting.get()
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
            self.on_held()

    async def plan(self, now_s: float, *, is_down: bool) -> None:
        """Ask for what is doubtful or old, each second, within the budget of a second."""
        few = len(self._symbols) <= self._settings.poll_all_near_max
        wanted: list[tuple[int, float, WatchedSymbol]] = []
        async for watched in self._symbols.in_turns():
            fresh = watched.fresh
            since_s = now_s - watched.read_s
            is_near = few or self._hooks.is_near(watched.symbol)
            if is_down or fresh.is_missing(now_s) or fresh.is_failing:
                pace_s = self._settings.poll_near_s if is_near else self._settings.poll_far_s
                # The sweep itself comes each second: a little less keeps the pace.
                if since_s >= pace_s - 0.2:
                    wanted.append((NEAR if is_near else FAR, -since_s, watched))
            elif _is_doubtful(fresh, now_s) and since_s >= self._settings.grace_s - 0.2:
                wanted.append((NEAR if is_near else FAR, -since_s, watched))
        wanted.sort(key=lambda item: item[:2])
        for priority, _, watched in wanted[: self._settings.reads_per_s_max]:
            self.ask(watched, priority, with_trade=watched.prices.price is None)
        self._audit(now_s)

    def _audit(self, now_s: float) -> None:
        if now_s - self._audit_s < self._settings.audit_s or not self._symbols:
            return
        self._audit_s = now_s
        doubtful = [w for w in self._symbols.values() if w.disagrees_since_s is not None]
        rota = list(self._symbols.values())
        for watched in doubtful or [rota[self._audits % len(rota)]]:
            self.ask(watched, FAR)
        self._audits += 1


def _is_doubtful(fresh: Freshness, now_s: float) -> bool:
    return fresh.moved_s is not None or fresh.suspicion(now_s) is not Suspicion.NONE
