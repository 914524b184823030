"""Reads over REST: the most urgent first, many symbols at once where that is cheap.

One that failed is read alone, so that what an exchange cannot tell of one costs no other its price.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import count

from trading.domain.errors import RateLimited, Retryable
from trading.domain.market import MarketTrade, Quote
from trading.market.engine.hooks import MarketHooks
from trading.market.engine.symbols import Symbols
from trading.market.settings import MarketSettings
from trading.market.staleness import Freshness, Suspicion
from trading.market.watched import WatchedSymbol
from trading.ports.clock import Clock
from trading.ports.exchange import MarketFeed

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
            several = self._with_others(await self._waiting.get())
            if not several:
                continue
            refused: RateLimited | None = None
            priceless: list[WatchedSymbol] = []
            try:
                priceless = await self._read(several)
            except RateLimited as error:
                refused = error
            finally:
                for watched, _ in several:
                    watched.is_queued = False
            if refused is not None:
                self._put_off(several, refused)
            for watched in priceless:
                self.ask(watched, URGENT, with_trade=True)

    def _with_others(self, first: _Asked) -> list[tuple[WatchedSymbol, _Asked]]:
        """Return what is read with the first of all that waits, as far as it is watched still."""
        several: list[_Asked] = [first]
        apart: list[_Asked] = []
        if self._is_read_with_others(first):
            while len(several) < self._feed.quotes_max and not self._waiting.empty():
                asked = self._waiting.get_nowait()
                (several if self._is_read_with_others(asked) else apart).append(asked)
        for asked in apart:
            self._waiting.put_nowait(asked)
        return [
            (watched, asked)
            for asked in several
            if (watched := self._symbols.get(asked[2])) is not None
        ]

    def _is_read_with_others(self, asked: _Asked) -> bool:
        watched = self._symbols.get(asked[2])
        return watched is None or (asked[0] != URGENT and self._is_told_with_others(watched))

    def _is_told_with_others(self, watched: WatchedSymbol) -> bool:
        return self._feed.quotes_max > 1 and not watched.fresh.is_failing

    async def _read(self, several: Sequence[tuple[WatchedSymbol, _Asked]]) -> list[WatchedSymbol]:
        """Read symbols, and return those whose book tells no price, where a print was asked for.

        Raises RateLimited when our own budget has no room for it.
        """
        requested_s = self._clock.monotonic()
        for watched, _ in several:
            watched.read_s = requested_s
        try:
            async with asyncio.timeout(self._settings.read_timeout_s):
                quotes, trade = await self._ask_feed(several)
        except (Retryable, TimeoutError) as error:
            if isinstance(error, RateLimited) and error.is_own_count:
                raise
            for watched, _ in several:
                _failed(watched, str(error))
            return []
        for watched, _ in several:
            quote = quotes.get(watched.symbol)
            if quote is None:
                _failed(watched, "no usable price was told")
            elif quote.bid.is_finite() and quote.ask.is_finite():
                watched.take_read(quote, trade, requested_s, self._clock.monotonic())
            if watched.gate.is_holding():
                self.on_held()
        return [
            watched
            for watched, asked in several
            # A book too wide to decide: only a print can tell a price.
            if len(several) > 1 and asked[3] and watched.prices.mid is None
        ]

    async def _ask_feed(
        self, several: Sequence[tuple[WatchedSymbol, _Asked]]
    ) -> tuple[Mapping[str, Quote], MarketTrade | None]:
        if len(several) > 1:
            return await self._feed.quotes([watched.symbol for watched, _ in several]), None
        [(watched, asked)] = several
        quote = await self._feed.quote(watched.symbol)
        trade = await self._trade(watched.symbol) if asked[3] else None
        return {watched.symbol: quote}, trade

    async def _trade(self, symbol: str) -> MarketTrade | None:
        try:
            return await self._feed.last_trade(symbol)
        except RateLimited as error:
            # A print costs as much as the books of a hundred symbols, and a share of its own is
            # kept for books alone.
            if error.is_own_count:
                return None
            raise

    def _put_off(self, several: Sequence[tuple[WatchedSymbol, _Asked]], error: RateLimited) -> None:
        """Have what our own budget refused read when there is room: it says nothing of a price."""
        now_s = self._clock.monotonic()
        wait_s = min(max(error.retry_after_s, _BUDGET_S_MIN), _BUDGET_S_MAX)
        self._no_room_until_s = max(self._no_room_until_s, now_s + wait_s)
        if now_s >= self._no_room_told_s:
            logger.info("reads_wait", extra={"error": str(error), "seconds": error.retry_after_s})
        self._no_room_told_s = self._no_room_until_s + _ONE_EPISODE_S
        for watched, asked in several:
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
        alone = 0
        for priority, _, watched in wanted:
            if not self._is_told_with_others(watched):
                alone += 1
                if alone > self._settings.reads_per_s_max:
                    continue
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


def _failed(watched: WatchedSymbol, reason: str) -> None:
    # Once per symbol until it answers: an outage asks for hundreds in vain.
    if not watched.fresh.is_failing:
        logger.info("read_failed", extra={"symbol": watched.symbol, "error": reason})
    watched.fresh.failed()


def _is_doubtful(fresh: Freshness, now_s: float) -> bool:
    return fresh.moved_s is not None or fresh.suspicion(now_s) is not Suspicion.NONE
