"""Time without eyes, judged: while the process was down, or while a stream's prices were missed."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial

from trading.domain.chat import Severity
from trading.domain.events import AlertRaised
from trading.follow_ups import FollowUps
from trading.market.engine import MarketEngine
from trading.ports import Clock
from trading.trackers.engine import TrackerEngine

# Each is two requests, and a far exchange answers slowly.
_AT_ONCE = 8


class CatchingUp:
    """Has trackers judge the candles of missed time, and tells what they say."""

    def __init__(
        self,
        market: MarketEngine,
        trackers: TrackerEngine,
        follow_ups: FollowUps,
        clock: Clock,
        record: Callable[..., Awaitable[None]],
    ) -> None:
        self._market = market
        self._trackers = trackers
        self._follow_ups = follow_ups
        self._clock = clock
        self._record = record

    async def after_downtime(self, since: datetime) -> list[str]:
        """Judge every tracker's symbol; returns a line for each that has something to tell."""
        read_gap = self._market.gap_reader(since)
        turns = asyncio.Semaphore(_AT_ONCE)

        async def judge(symbol: str) -> list[str]:
            async with turns:
                return await self._trackers.catch_up(symbol, read_gap)

        judged = await asyncio.gather(*(judge(each) for each in sorted(self._trackers.symbols())))
        return [line for lines in judged for line in lines]

    def on_gap(self, missed: frozenset[str], since: datetime) -> None:
        """Judge what a stream missed, as soon as its turn comes; no buy acts on it meanwhile."""
        for symbol in sorted(missed & self._trackers.symbols()):
            self._trackers.blind(symbol)
            self._follow_ups.add(partial(self._judge, symbol, since))

    async def _judge(self, symbol: str, since: datetime) -> None:
        for line in await self._trackers.catch_up(symbol, self._market.gap_reader(since)):
            now = self._clock.now()
            alert_id = f"gap:{symbol}:{now.isoformat()}:{line[:20]}"
            await self._record(AlertRaised(alert_id, Severity.WARN, line, now))
