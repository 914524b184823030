"""A clock that moves only when told, and a sleep that waits for it."""

import asyncio
import heapq
from datetime import UTC, datetime, timedelta


class FakeClock:
    """Wall and monotonic time that advance together; sleepers wake in order."""

    def __init__(self, start: datetime = datetime(2026, 11, 20, 12, tzinfo=UTC)) -> None:
        self._now = start
        self._monotonic = 1_000.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0

    def now(self) -> datetime:
        """Return the present wall time."""
        return self._now

    def monotonic(self) -> float:
        """Return the present monotonic time in seconds."""
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Move both clocks and wake whoever is due."""
        self._now += timedelta(seconds=seconds)
        self._monotonic += seconds
        while self._sleepers and self._sleepers[0][0] <= self._monotonic:
            future = heapq.heappop(self._sleepers)[2]
            if not future.done():
                future.set_result(None)

    async def sleep(self, seconds: float) -> None:
        """Wait until `advance` has moved time by `seconds`."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._sleepers, (self._monotonic + seconds, self._count, future))
        await future
