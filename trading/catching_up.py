"""Time without eyes, judged: while the process was down, or while a stream's prices were missed.

What there is no room for in the budget of requests, or no answer, waits for it: what happened in
it decides.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime

from trading.domain.chat import Severity
from trading.domain.errors import RateLimited, Retryable
from trading.domain.events import TRACKER_MOVED, AlertRaised, TrackerChanged
from trading.domain.time import to_ms
from trading.domain.tracker import TrackerChange
from trading.follow_ups import FollowUps
from trading.market.engine import MarketEngine
from trading.ports.clock import Clock
from trading.ports.storage import Journal
from trading.reading_back import read_back
from trading.trackers.engine import TrackerEngine

logger = logging.getLogger(__name__)
# Each is two requests, and a far exchange answers slowly.
_AT_ONCE = 8
# What others use up of the same budget may end sooner than was known.
_WAIT_S_MAX = 5.0
# An exchange that does not answer is asked less and less often: each question may take seconds.
_UNANSWERED_S = (5.0, 10.0, 20.0, 30.0)
_NO_ROOM = "requests are allowed again"
_NO_ANSWER = "the exchange answers"


# Changes of a tracker after which its levels are others, or count again.
_MOVING = frozenset(
    {TrackerChange.MOVED, TrackerChange.TOUCHED, TrackerChange.EDITED, TrackerChange.RESUMED}
)


async def moved_since(journal: Journal, since: datetime) -> Mapping[int, int]:
    """Return when the levels of trackers, by their number, changed last since a time, in ms."""
    changes = await read_back(journal, since, (TRACKER_MOVED, TrackerChanged.__name__))
    return {
        each.tracker.tracker_id: to_ms(each.at)
        for each in changes
        if isinstance(each, TrackerChanged) and each.change in _MOVING
    }


class CatchingUp:
    """Has trackers judge the candles of missed time, and tells what they say."""

    def __init__(
        self,
        market: MarketEngine,
        trackers: TrackerEngine,
        follow_ups: FollowUps,
        clock: Clock,
        record: Callable[..., Awaitable[None]],
        trust: Callable[[Iterable[str]], None] = lambda _: None,
    ) -> None:
        self._market = market
        self._trackers = trackers
        self._follow_ups = follow_ups
        self._clock = clock
        self._record = record
        # Told of symbols whose prices crossed nothing since the end of the process before.
        self._trust = trust
        self._ended_at: datetime | None = None
        self._levels_since_ms: Mapping[int, int] = {}
        # Symbols whose missed time is still to be judged, and where it began; at most as many as
        # have trackers.
        self._waiting: dict[str, datetime] = {}
        self._not_before_s = float("-inf")
        self._unanswered = 0
        self._waits_for = _NO_ROOM
        self._is_asked = False
        self._is_wait_told = False

    async def after_downtime(
        self, since: datetime, levels_since_ms: Mapping[int, int]
    ) -> list[str]:
        """Judge every tracker's symbol; returns a line for each that has something to tell.

        `since` is the last sign of life, and `levels_since_ms` when the levels of trackers, by
        their number, changed after it: they have not stood where they are for longer.
        """
        self._ended_at, self._levels_since_ms = since, levels_since_ms
        turns = asyncio.Semaphore(_AT_ONCE)

        async def judge(symbol: str) -> list[str]:
            async with turns:
                try:
                    return await self._judge(symbol, since)
                except Retryable as error:
                    self._put_off(symbol, since, error)
                    return []

        judged = await asyncio.gather(*(judge(each) for each in sorted(self._trackers.symbols())))
        self._is_wait_told = bool(self._waiting)
        later = [self._later()] if self._waiting else []
        return [line for lines in judged for line in lines] + later

    def on_gap(self, missed: frozenset[str], since: datetime) -> None:
        """Judge what a stream missed, as soon as its turn comes; no buy acts on it meanwhile."""
        for symbol in sorted(missed & self._trackers.symbols()):
            self._trackers.blind(symbol)
            self._wait(symbol, since)
        self.go_on()

    def go_on(self) -> None:
        """Judge what waits, if there may be room or an answer again; called each second."""
        has_room = self._clock.monotonic() >= self._not_before_s
        if self._waiting and has_room and not self._is_asked:
            self._is_asked = True
            self._follow_ups.add(self._judge_next)

    async def _judge_next(self) -> None:
        """Judge one symbol: between two, other facts are written."""
        self._is_asked = False
        for symbol in self._waiting.keys() - self._trackers.symbols():
            del self._waiting[symbol]
        if symbol := next(iter(self._waiting), ""):
            # Taken out first: what is missed while this is read waits for a turn of its own.
            since = self._waiting.pop(symbol)
            try:
                lines = await self._judge(symbol, since)
            except Retryable as error:
                self._put_off(symbol, since, error)
                await self._tell_wait()
                return
            self._unanswered = 0
            for line in lines:
                await self._warn(symbol, line)
        self._is_wait_told = self._is_wait_told and bool(self._waiting)
        self.go_on()

    async def _judge(self, symbol: str, since: datetime) -> list[str]:
        read = self._market.gap_reader(since)
        lines = await self._trackers.catch_up(symbol, read, self._levels_since_ms)
        if not lines and self._ended_at is not None and since <= self._ended_at:
            self._trust([symbol])
        return lines

    def _wait(self, symbol: str, since: datetime) -> None:
        self._waiting[symbol] = min(since, self._waiting.get(symbol, since))

    def _put_off(self, symbol: str, since: datetime, error: Retryable) -> None:
        self._wait(symbol, since)
        now_s = self._clock.monotonic()
        if isinstance(error, RateLimited):
            self._waits_for, wait_s = _NO_ROOM, min(error.retry_after_s, _WAIT_S_MAX)
        else:
            logger.warning("gap_unanswered", extra={"symbol": symbol, "error": str(error)})
            self._waits_for = _NO_ANSWER
            wait_s = _UNANSWERED_S[min(self._unanswered, len(_UNANSWERED_S) - 1)]
            # Many that are asked at once are one question.
            self._unanswered += now_s >= self._not_before_s
        self._not_before_s = max(self._not_before_s, now_s + wait_s)

    async def _tell_wait(self) -> None:
        if not self._is_wait_told:
            self._is_wait_told = True
            await self._warn("later", self._later())

    def _later(self) -> str:
        first, *others = sorted(self._waiting)
        named = f"{first} and {len(others)} more" if others else first
        return (
            f"{named}: the missed time is judged as soon as {self._waits_for}, and told where a "
            "level was crossed; watched from now on"
        )

    async def _warn(self, name: str, line: str) -> None:
        now = self._clock.now()
        alert_id = f"gap:{name}:{now.isoformat()}:{line[:20]}"
        await self._record(AlertRaised(alert_id, Severity.WARN, line, now))
