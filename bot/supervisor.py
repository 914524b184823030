"""Owners for long-lived tasks: restart budgets, loop-lag sampling, signals, a graceful stop."""

import asyncio
import logging
import signal
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from trading.deadlines import is_ending
from trading.domain.errors import Fatal, UmbraError
from trading.ports.clock import Clock

logger = logging.getLogger(__name__)

_DEATHS_MAX = 5
_DEATHS_WINDOW_S = 60.0
_RESTART_DELAY_S = 0.2
_APART_FIRST_S = 1.0
_APART_MOST_S = 60.0
_APART_HEALTHY_S = 3_600.0
_LAG_INTERVAL_S = 0.05
_LAG_SAMPLES = 1200
_ENDS = (signal.SIGTERM, signal.SIGINT)


class TooManyDeaths(Fatal):
    """A task died again and again; the process ends so that a fresh one can recover."""


class Supervisor:
    """Runs named tasks for ever, restarts the dead, gives up after five deaths a minute."""

    def __init__(
        self,
        clock: Clock,
        on_death: Callable[[str, BaseException], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock = clock
        self._on_death = on_death
        self._sleep = sleep
        self._died: dict[str, float] = {}

    async def run(self, tasks: dict[str, Callable[[], Awaitable[None]]]) -> None:
        """Run until cancelled; raises TooManyDeaths, or the first Fatal error of a task."""
        async with asyncio.TaskGroup() as group:
            for name, work in tasks.items():
                group.create_task(self._keep(name, work), name=name)

    async def keep_apart(
        self,
        name: str,
        work: Callable[[], Awaitable[None]],
        on_death: Callable[[str, BaseException], None],
    ) -> None:
        """Run until cancelled what nothing else depends on: its deaths never end the process.

        Each restart waits longer, up to a minute; after an hour of life the waits begin anew.
        """
        pause_s = _APART_FIRST_S
        while True:
            began_s = self._clock.monotonic()
            try:
                await work()
            except UmbraError as error:
                if is_ending():
                    raise
                # What is raised on purpose says itself what there is to know.
                logger.warning("task_died_apart", extra={"task": name, "error": str(error)})
                on_death(name, error)
            except Exception as error:
                if is_ending():
                    raise
                logger.exception("task_died_apart", extra={"task": name})
                on_death(name, error)
            self._died[name] = self._clock.monotonic()
            if self._died[name] - began_s > _APART_HEALTHY_S:
                pause_s = _APART_FIRST_S
            await self._sleep(pause_s)
            pause_s = min(2 * pause_s, _APART_MOST_S)

    def restarts_s(self) -> dict[str, float]:
        """Return how long ago each task that has died was started again."""
        now = self._clock.monotonic()
        return {name: now - since for name, since in self._died.items()}

    async def _keep(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        deaths: deque[float] = deque(maxlen=_DEATHS_MAX)
        while True:
            try:
                await work()
            except Fatal:
                raise
            except Exception as error:
                # What its own tasks say is as fatal.
                fatal = error.subgroup(Fatal) if isinstance(error, ExceptionGroup) else None
                if fatal is not None:
                    raise fatal from error
                if is_ending():
                    raise
                self._died[name] = self._clock.monotonic()
                deaths.append(self._died[name])
                logger.exception("task_died", extra={"task": name, "deaths": len(deaths)})
                self._on_death(name, error)
            else:
                return
            if len(deaths) == _DEATHS_MAX and deaths[-1] - deaths[0] < _DEATHS_WINDOW_S:
                raise TooManyDeaths(f"task {name} died {_DEATHS_MAX} times within a minute")
            await asyncio.sleep(_RESTART_DELAY_S * len(deaths))


class LagSampler:
    """Measures how late the event loop wakes up; the last minute of samples, in milliseconds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._samples_ms: deque[float] = deque(maxlen=_LAG_SAMPLES)

    async def run(self) -> None:
        """Sample until cancelled."""
        while True:
            before = self._clock.monotonic()
            await asyncio.sleep(_LAG_INTERVAL_S)
            late_s = self._clock.monotonic() - before - _LAG_INTERVAL_S
            self._samples_ms.append(max(late_s, 0.0) * 1000)

    @property
    def p99_ms(self) -> float:
        """The 99th percentile, 0 before the first sample."""
        ordered = sorted(self._samples_ms)
        return ordered[int(len(ordered) * 0.99)] if ordered else 0.0

    @property
    def max_ms(self) -> float:
        """The worst sample, 0 before the first."""
        return max(self._samples_ms, default=0.0)


@contextmanager
def on_signals(act: Callable[[], object]) -> Iterator[None]:
    """Have the running loop call `act` at each SIGTERM and SIGINT until the block ends.

    After it a signal does what it does to any process: a second one ends what closes.
    """
    loop = asyncio.get_running_loop()
    # Asked for by name: a server started in the background inherits SIGINT as ignored.
    for number in _ENDS:
        loop.add_signal_handler(number, act)
    try:
        yield
    finally:
        # A second signal that meets a loop half closed can hang Python 3.11 for good.
        for number in _ENDS:
            loop.remove_signal_handler(number)
