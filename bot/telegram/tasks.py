"""The tasks of the front end: each goes on after a failure, says that it lives, ends in order."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping

from trading.deadlines import is_ending
from trading.domain.errors import Fatal, StorageLost
from trading.ports.clock import Clock

logger = logging.getLogger(__name__)
_RESTART_AFTER_S = 1.0
_TURN_S = 1.0
# A task that has waited for so long without another failure is well again.
_CALM_S = 60.0
# Each call to Telegram has a deadline far below.
_HANGS_AFTER_S = 180.0
_VITAL = ("address", "send")


class Tasks:
    """Runs them side by side; `beats` are the monotonic seconds at which each was last at work."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.beats: dict[str, float] = {}

    async def run(self, work: Mapping[str, Callable[[], Awaitable[None]]]) -> None:
        """Run all by their names until cancelled; a Fatal error ends it."""
        async with asyncio.TaskGroup() as group:
            self._tasks = {
                name: group.create_task(self._supervised(name, task), name=f"telegram-{name}")
                for name, task in work.items()
            }
        # After `end` the caller's cancellation ends this too; returning would look like a death.
        await asyncio.Event().wait()

    async def end(self, last: str, turn: asyncio.Lock) -> None:
        """End all; the `last` one may finish its `turn`, for a second at the most."""
        for name, task in self._tasks.items():
            if name != last:
                task.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_TURN_S), turn:
                self._cancel(last)
        self._cancel(last)
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        self._tasks = {}

    def beat(self, name: str) -> None:
        """Take note that a task is at work."""
        self.beats[name] = self._clock.monotonic()

    def hanging(self) -> tuple[str, ...]:
        """Name the tasks that alerts need and that came to a stand; no outage makes them wait."""
        now_s = self._clock.monotonic()
        return tuple(
            f"telegram-{name}"
            for name in _VITAL
            if name in self.beats and now_s - self.beats[name] > _HANGS_AFTER_S
        )

    def _cancel(self, name: str) -> None:
        if name in self._tasks:
            self._tasks[name].cancel()

    async def _supervised(self, name: str, task: Callable[[], Awaitable[None]]) -> None:
        """Restart a task that failed; only what ends the process passes through."""
        waited_s: float | None = None
        while True:
            try:
                return await task()
            except StorageLost as error:
                if is_ending():
                    raise
                # One line for one outage, which whoever watches the storage goes on to log.
                before_s, waited_s = waited_s, self._clock.monotonic()
                if before_s is None or waited_s - before_s >= _CALM_S:
                    extra = {"task": name, "error": str(error)}
                    logger.warning("task_waits_for_storage", extra=extra)
            except Fatal:
                raise
            except Exception as error:
                if is_ending():
                    raise
                # One task of the chat must not end the others, least of all the stops.
                logger.exception("task_failed", extra={"task": name, "error": type(error).__name__})
            await asyncio.sleep(_RESTART_AFTER_S)
