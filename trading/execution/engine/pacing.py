"""How fast orders may go out: the venue's order limit, silences it asked for, exits first."""

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import Awaitable, Callable
from decimal import Decimal

from trading.execution.settings import ExecutionSettings
from trading.ports.clock import Clock

Sleep = Callable[[float], Awaitable[None]]


class OrderBudget:
    """Counts orders of the last window; entries leave a share of it to exits."""

    def __init__(self, settings: ExecutionSettings) -> None:
        self._most = settings.orders_per_window
        self._entries_most = int(self._most * (1 - settings.exit_share_reserved))
        self._window_s = settings.order_window_s
        self._sent_s: deque[float] = deque()
        self._silent_until_s = float("-inf")

    def silence(self, until_s: float) -> None:
        """Send nothing before this time: the exchange asked for it."""
        self._silent_until_s = max(self._silent_until_s, until_s)

    def silence_s(self, now_s: float) -> float:
        """Return how long nothing may be sent because the exchange asked for it."""
        return max(self._silent_until_s - now_s, 0.0)

    def wait_s(self, now_s: float, *, is_exit: bool) -> float:
        """Return how long until one more order may go."""
        while self._sent_s and self._sent_s[0] <= now_s - self._window_s:
            self._sent_s.popleft()
        most = self._most if is_exit else self._entries_most
        silence = self.silence_s(now_s)
        if len(self._sent_s) < most:
            return silence
        return max(silence, self._sent_s[len(self._sent_s) - most] + self._window_s - now_s)

    def take(self, now_s: float) -> None:
        """Count an order that goes out now."""
        self._sent_s.append(now_s)


class Pacer:
    """Lets orders go at once while the budget lasts, then by value at risk."""

    def __init__(self, settings: ExecutionSettings, clock: Clock, sleep: Sleep) -> None:
        self._budget = OrderBudget(settings)
        self._clock = clock
        self._sleep = sleep
        self._waiting: list[tuple[bool, Decimal, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()
        self._pump: asyncio.Task[None] | None = None

    def silence(self, seconds: float) -> None:
        """Send nothing for a while."""
        self._budget.silence(self._clock.monotonic() + seconds)

    @property
    def silence_s(self) -> float:
        """How long nothing may be sent because the exchange asked for it."""
        return self._budget.silence_s(self._clock.monotonic())

    def try_take(self, *, is_exit: bool) -> bool:
        """Take leave to send now, if nobody waits and the budget has room."""
        now_s = self._clock.monotonic()
        # Waiting entries do not hold an exit up.
        is_behind = bool(self._waiting) and (not is_exit or not self._waiting[0][0])
        if is_behind or self._budget.wait_s(now_s, is_exit=is_exit) > 0:
            return False
        self._budget.take(now_s)
        return True

    async def take(self, *, is_exit: bool, value: Decimal) -> None:
        """Wait for leave to send: exits before entries, the greater value first."""
        if self.try_take(is_exit=is_exit):
            return
        leave: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (not is_exit, -value, next(self._numbers), leave))
        if self._waiting[0][3] is leave and self._pump is not None:
            # The pump may sleep for somebody less urgent.
            self._pump.cancel()
            self._pump = None
        if self._pump is None or self._pump.done():
            self._pump = asyncio.create_task(self._let_go())
        await leave

    async def _let_go(self) -> None:
        while self._waiting:
            is_exit = not self._waiting[0][0]
            wait_s = self._budget.wait_s(self._clock.monotonic(), is_exit=is_exit)
            if wait_s > 0:
                await self._sleep(wait_s)
                continue
            leave = heapq.heappop(self._waiting)[3]
            if not leave.done():
                self._budget.take(self._clock.monotonic())
                leave.set_result(None)

    async def close(self) -> None:
        """End the pump; who still waits is cancelled."""
        if self._pump is not None:
            self._pump.cancel()
            await asyncio.gather(self._pump, return_exceptions=True)
        for *_, leave in self._waiting:
            leave.cancel()
        self._waiting.clear()
