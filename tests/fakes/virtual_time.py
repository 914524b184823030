"""Virtual time that runs by itself: when nobody can go on, the clock jumps to the next sleeper."""

import asyncio
import heapq
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tests.fakes.clock import FakeClock

_Answer = TypeVar("_Answer")


class VirtualTime(FakeClock):
    """A clock whose tests never wait: hours pass in milliseconds."""

    async def settle(self) -> None:
        """Let everything run that can run without time passing."""
        loop = asyncio.get_running_loop()
        # The loop's own list of what is ready: empty means that everybody waits for something.
        await asyncio.sleep(0)
        while loop._ready:  # type: ignore[attr-defined]
            await asyncio.sleep(0)

    async def until(self, condition: Callable[[], bool], limit_s: float = 600.0) -> None:
        """Let time pass until the condition holds, at most `limit_s` virtual seconds."""
        ends_s = self.monotonic() + limit_s
        await self.settle()
        while not condition():
            due_s = self._next_due_s()
            assert due_s is not None, "nobody waits for time, so the condition can never hold"
            assert due_s <= ends_s, f"the condition should hold within {limit_s} s"
            self.advance(max(due_s - self.monotonic(), 0))
            await self.settle()

    async def pass_by(self, seconds: float) -> None:
        """Let exactly so much time pass, waking everybody in between in order."""
        ends_s = self.monotonic() + seconds
        await self.settle()
        while (due_s := self._next_due_s()) is not None and due_s <= ends_s:
            self.advance(max(due_s - self.monotonic(), 0))
            await self.settle()
        self.advance(ends_s - self.monotonic())
        await self.settle()

    async def finish(self, work: Awaitable[_Answer], limit_s: float = 600.0) -> _Answer:
        """Let time pass until a piece of work is done, and return its result."""
        task = asyncio.ensure_future(work)
        await self.until(task.done, limit_s)
        return task.result()

    def _next_due_s(self) -> float | None:
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        return self._sleepers[0][0] if self._sleepers else None
