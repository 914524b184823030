"""Reads over REST: the most urgent first, one at a time per symbol, within a budget."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from itertools import count

from trading.domain.errors import RateLimited, Retryable
from trading.market.engine.hooks import MarketHooks
from trading.market.engine.symbols import Symbols
from trading.market.settings import MarketSettings
from trading.market.staleness import Freshness, Suspicion
from trading.market.watched import WatchedSymbol
from trading.ports import Clock, MarketFeed

logger = logging.getLogger(__name__)

URGENT, NEAR, FAR = 0, 1, 2
# What others use up of the same budget may end sooner than was known; no wait is shorter than a
# clock can tell.
_BUDGET_S_MAX = 5.0
_BUDGET_S_MIN = 0.01
# Waits that follow each other within a minute are one: the budget counts a minute.
_ONE_EPISODE_S = 60.0

_Asked = tuple[int, int, str, bool]


class Reading:
    """Plans reads and makes them; `on_held` is called when one left a price to be confirmed."""

    def __init__(
        self,
        feed: MarketFeed,
        clock: Clock,
        symbols: Symbols,
        hooks: MarketHooks,
        settings: MarketSettings,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._sleep = sleep
        self._feed = feed
        self._clock = clock
        self._symbols = symbols
        self._hooks = hooks
        self._settings = settings
        self._waiting: asyncio.PriorityQueue[_Asked] = asyncio.PriorityQueue(
            settings.reads_waiting_max
        )
        # Until when our own budget has no room for reads, and until when nothing is said of it.
        self._no_room_until_s = float("-inf")
        self._no_room_told_s = float("-inf")
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
            while (wait_s := self._no_room_until_s - self._clock.monotonic()) > 0:
                await self._sleep(wait_s)
            asked = await self._waiting.get()
            if (watched := self._symbols.get(asked[2])) is None:
                continue
            refused: RateLimited | None = None
            try:
                await self._read(watched, asked[3])
            except RateLimited as error:
                refused = error
            finally:
                watched.is_queued = False
            if refused is not None:
                self._put_off(watched, asked, refused)

    async def _read(self, watched: WatchedSymbol, with_trade: bool) -> None:
        """Read one symbol; raises RateLimited when our own budget has no room for it."""
        requested_s = self._clock.monotonic()
        watched.read_s = requested_s
        try:
            async with asyncio.timeout(self._settings.read_timeout_s):
                quote = await self._feed.quote(watched.symbol)
                trade = await self._feed.last_trade(watched.symbol) if with_trade else None
        except (Retryable, TimeoutError) as error:
            if isinstance(error, RateLimited) and error.is_own_count:
                raise
            # Once per symbol until it answers: an outage asks for hundreds in vain.
            if not watched.fresh.is_failing:
                logger.info("read_failed", extra={"symbol": watched.symbol, "error": str(error)})
            watched.fresh.failed()
            return
        if quote.bid.is_finite() and quote.ask.is_finite():
            watched.take_read(quote, trade, requested_s, self._clock.monotonic())
        if watched.gate.is_holding():
            self.on_held()

    def _put_off(self, watched: WatchedSymbol, asked: _Asked, error: RateLimited) -> None:
        """Have what our own budget refused read when there is room: it says nothing of a price."""
        now_s = self._clock.monotonic()
        wait_s = min(max(error.retry_after_s, _BUDGET_S_MIN), _BUDGET_S_MAX)
        self._no_room_until_s = max(self._no_room_until_s, now_s + wait_s)
        if now_s >= self._no_room_told_s:
            logger.info("reads_wait", extra={"error": str(error), "seconds": error.retry_after_s})
        self._no_room_told_s = self._no_room_until_s + _ONE_EPISODE_S
        if not self._waiting.full():
            watched.is_queued = True
            self._waiting.put_nowait(asked)

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
