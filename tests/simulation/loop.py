"""One event loop in virtual time: nothing waits for a real clock, a socket or a thread.

When nobody is ready the clock jumps to the next timer. What asyncio hands to a thread runs on the
loop itself, one call per executor at a time, so that a seed decides every interleaving. Work that
belongs to the world (the exchange, the chat, the script) is marked, so that a crash of the agent
can end everything else and nothing more.
"""

import asyncio
import contextlib
import contextvars
import hashlib
import heapq
import itertools
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

_START_S = 1_000.0
# From so many timers on, asyncio throws the cancelled ones away once they are more than half.
_TIMERS_MIN = 100
# It never waits longer for a timer at once.
_TURN_S_MAX = 24 * 3600.0
# Set in everything that the agent's process starts: tasks, callbacks and timers.
_OF_AGENT = contextvars.ContextVar("of_agent", default=False)


class PowerCut(BaseException):
    """The agent's machine lost its power in the middle of a call."""


class Deadlock(Exception):
    """Nobody is ready and nobody waits for time."""


@dataclass(slots=True)
class Trace:
    """What happened, as one running hash; the last lines are kept for whoever reads a failure."""

    lines: deque[str] = field(default_factory=lambda: deque(maxlen=4000))
    count: int = 0
    # What names this machine, such as a scratch folder, and the word for it.
    hidden: str = ""
    _hash: Any = field(default_factory=hashlib.sha256)

    def note(self, at_s: float, what: str, length_max: int | None = None) -> None:
        """Add one fact, cut to `length_max` letters once nothing in it names this machine."""
        if self.hidden:
            what = what.replace(self.hidden, "DISK")
        line = f"{at_s:.6f} {what[:length_max]}"
        self.count += 1
        self._hash.update(line.encode() + b"\n")
        self.lines.append(line)

    def aside(self, at_s: float, what: str) -> None:
        """Keep a line for the reader that is no part of the story: it may name this machine."""
        self.lines.append(f"{at_s:.6f} {what}")

    @property
    def digest(self) -> str:
        """The hash of everything so far."""
        return str(self._hash.hexdigest())


@dataclass(slots=True)
class _Lane:
    """One executor: its calls in order, the first of them at work."""

    calls: deque[tuple[asyncio.Future[Any], Callable[..., Any], tuple[Any, ...]]] = field(
        default_factory=deque
    )
    is_busy: bool = False


class _Task(asyncio.Task[Any]):
    """A task whose place in a set depends on its number and not on its address."""

    def __init__(self, *arguments: Any, number: int, **named: Any) -> None:
        self.number = number
        super().__init__(*arguments, **named)

    def __hash__(self) -> int:
        return self.number


class _Future(asyncio.Future[Any]):
    """The same for what is not a task."""

    number = 0

    def __hash__(self) -> int:
        return self.number


class _Timer(asyncio.TimerHandle):
    """A timer that does not ask whether asyncio is being debugged."""

    _loop: "SimLoop"

    def __init__(
        self,
        when: float,
        callback: Callable[..., Any],
        args: tuple[Any, ...],
        loop: "SimLoop",
        context: contextvars.Context | None,
    ) -> None:
        self._when, self._scheduled = when, True
        self._callback, self._args, self._loop = callback, args, loop
        self._context = contextvars.copy_context() if context is None else context
        self._cancelled, self._repr, self._source_traceback = False, None, None

    def cancel(self) -> None:
        """Do not call it any more."""
        if not self._cancelled:
            self._cancelled = True
            self._loop._timer_cancelled_count += self._scheduled
            self._callback = self._args = None


class _Due(float):
    """The moment of a timer, in the heap: numbers compare without a call of Python's code."""

    __slots__ = ("timer",)
    timer: asyncio.TimerHandle


def _due(timer: asyncio.TimerHandle) -> _Due:
    due = _Due(timer._when)
    due.timer = timer
    return due


def is_agents(handle: asyncio.Handle) -> bool:
    """Whether the agent's process has called for this."""
    return handle._context is not None and bool(handle._context.get(_OF_AGENT, False))


@dataclass(slots=True)
class _Frozen:
    """What the agent's process would do next, while it does not run."""

    since_s: float
    ready: list[asyncio.Handle] = field(default_factory=list)
    timers: list[asyncio.TimerHandle] = field(default_factory=list)

    def take_ready(self, ready: deque[asyncio.Handle]) -> None:
        """Take the agent's callbacks out of the ready queue, in order."""
        others = [handle for handle in ready if not is_agents(handle)]
        self.ready += [handle for handle in ready if is_agents(handle)]
        ready.clear()
        ready.extend(others)

    def take_timers(self, timers: list[_Due]) -> None:
        """Take the agent's timers out of the heap."""
        self.timers += [due.timer for due in timers if is_agents(due.timer)]
        timers[:] = [due for due in timers if not is_agents(due.timer)]
        heapq.heapify(timers)


class SimLoop(asyncio.BaseEventLoop):
    """Runs callbacks in asyncio's own order; only what comes from outside is moved by the seed."""

    def __init__(self) -> None:
        super().__init__()
        self._now_s = _START_S
        self._lanes: dict[int, _Lane] = {}
        self.worlds_tasks: set[asyncio.Task[Any]] = set()
        # How many tasks the world has been given: each message to it is one.
        self.spawned = 0
        self.is_power_cut = False
        self.storage_delay_s: Callable[[], float] = lambda: 0.0
        # How many calls to the disk had to wait, and what was held back while nothing ran.
        self.storage_delays = 0
        self.held_back = 0
        self.on_step: Callable[[], None] | None = None
        self.steps = 0
        self._frozen: _Frozen | None = None
        self._numbers = itertools.count(1)
        self.set_task_factory(self._task)
        self.died = asyncio.Event()
        self.worlds_failures: list[BaseException] = []

    def _task(self, _loop: Any, work: Coroutine[Any, Any, Any], **named: Any) -> _Task:
        return _Task(work, loop=self, number=next(self._numbers), **named)

    def create_future(self) -> asyncio.Future[Any]:
        """A future of this loop."""
        future = _Future(loop=self)
        future.number = next(self._numbers)
        return future

    # ------------------------------------------------------------ what BaseEventLoop asks for

    def time(self) -> float:
        """Virtual seconds."""
        return self._now_s

    def _write_to_self(self) -> None:
        """Nobody calls from another thread."""

    def _run_once(self) -> None:
        # BaseEventLoop's own turn, without what only real time, threads and debugging need.
        if self._frozen is not None:
            self._frozen.take_ready(self._ready)
        timers, ready = self._scheduled, self._ready
        if timers and (timers[0].timer._cancelled or len(timers) > _TIMERS_MIN):
            self._drop_cancelled()
            timers = self._scheduled
        # Whole microseconds: a rest smaller than a float's last digit would never pass.
        if ready or self._stopping:
            # The next one: most turns, for which `round` takes three times as long.
            self._now_s = int(self._now_s * 1e6 + 1.5) / 1e6
        else:
            self._now_s = self._next_turn_s()
        end_s = self._now_s + self._clock_resolution
        while timers and timers[0] < end_s:
            timer = heapq.heappop(timers).timer
            timer._scheduled = False
            ready.append(timer)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle._cancelled:
                handle._run()
        self.steps += 1
        if self.on_step is not None:
            self.on_step()

    def _next_turn_s(self) -> float:
        if not self._scheduled:
            raise Deadlock("nobody is ready and nobody waits for time")
        # Nobody is ready: let time pass until the next timer.
        wait_s = min(self._scheduled[0] - self._now_s, _TURN_S_MAX)
        return round(self._now_s + max(wait_s, 1e-6), 6)

    def _drop_cancelled(self) -> None:
        timers = self._scheduled
        if self._timer_cancelled_count > len(timers) / 2 and len(timers) > _TIMERS_MIN:
            for due in timers:
                due.timer._scheduled = not due.timer._cancelled
            self._scheduled = [due for due in timers if due.timer._scheduled]
            heapq.heapify(self._scheduled)
            self._timer_cancelled_count = 0
            return
        while timers and timers[0].timer._cancelled:
            self._timer_cancelled_count -= 1
            heapq.heappop(timers).timer._scheduled = False

    def call_at(  # type: ignore[override]
        self,
        when: float,
        callback: Callable[..., Any],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """Call at a moment of this loop's time."""
        timer = _Timer(when, callback, args, self, context)
        heapq.heappush(self._scheduled, _due(timer))
        return timer

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        """Call in the next turn."""
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def add_reader(self, fd: Any, callback: Callable[..., Any], *args: Any) -> None:
        """Nobody asks over a local socket here: `callback` is never called."""
        del fd, callback, args

    def remove_reader(self, fd: Any) -> bool:
        """Nothing was kept of it."""
        del fd
        return False

    # ------------------------------------------------------------ threads

    def run_in_executor(
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Run a call on the loop, after the earlier ones of the same executor."""
        future = self.create_future()
        lane = self._lanes.setdefault(id(executor), _Lane())
        lane.calls.append((future, func, args))
        if not lane.is_busy:
            self._start(lane)
        return future

    def _start(self, lane: _Lane) -> None:
        lane.is_busy = True
        delay_s = self.storage_delay_s()
        if delay_s > 0:
            self.storage_delays += 1
            self.call_later(delay_s, self._work, lane)
        else:
            self.call_soon(self._work, lane)

    def _work(self, lane: _Lane) -> None:
        future, func, args = lane.calls.popleft()
        if self.is_power_cut:
            # Nobody hears the end of this any more.
            return
        try:
            result = func(*args)
        except PowerCut:
            self.cut()
            return
        except Exception as error:
            if not future.cancelled():
                future.set_exception(error)
        else:
            if not future.cancelled():
                future.set_result(result)
        lane.is_busy = False
        if lane.calls:
            self._start(lane)

    # ------------------------------------------------------------ life and death

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Start a task of the world, which a crash of the agent leaves alone."""
        task = self.create_task(work, context=contextvars.Context())
        self.spawned += 1
        self.worlds_tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self.worlds_tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.worlds_failures.append(error)

    def begin(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Start the agent's process."""
        context = contextvars.copy_context()
        context.run(_OF_AGENT.set, True)
        return self.create_task(work, context=context)

    def cut(self) -> None:
        """The power is gone: from now on nothing that the agent does has an effect."""
        self.is_power_cut = True
        self.died.set()

    async def bury(self) -> int:
        """End every task that is not the world's, without time passing; return how many."""
        self.cut()
        self._lanes.clear()
        count = 0
        for _ in range(50):
            left = [
                task
                for task in asyncio.all_tasks(self)
                if task not in self.worlds_tasks and task is not asyncio.current_task(self)
            ]
            if not left:
                break
            count += len(left)
            for task in sorted(left, key=hash):
                task.cancel()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        self._forget_timers()
        self._lanes.clear()
        return count

    def _forget_timers(self) -> None:
        # A timer outlives the task that set it, and would wake a process that is no more.
        for handle in (*self._ready, *(due.timer for due in self._scheduled)):
            if is_agents(handle):
                handle.cancel()

    def freeze(self) -> None:
        """Stop the agent's process where it is; the world goes on, and sends to it."""
        self._frozen = _Frozen(self._now_s)
        self._frozen.take_timers(self._scheduled)

    def thaw(self, *, has_slept: bool = False) -> None:
        """Let it go on; the timers of a machine that has slept did not run meanwhile."""
        frozen, self._frozen = self._frozen, None
        assert frozen is not None, "nothing is frozen"
        self.held_back += len(frozen.ready) + len(frozen.timers)
        self._ready.extend(frozen.ready)
        for timer in frozen.timers:
            if has_slept:
                timer._when += self._now_s - frozen.since_s
            heapq.heappush(self._scheduled, _due(timer))

    def power_on(self) -> None:
        """Let a new agent use the machine."""
        self.is_power_cut = False
        self.died.clear()


def run(loop: SimLoop, work: Coroutine[Any, Any, Any]) -> Any:
    """Run the world's main coroutine to its end and leave nothing behind."""
    asyncio.set_event_loop(loop)
    main = loop.spawn(work)
    try:
        return loop.run_until_complete(main)
    finally:
        with contextlib.suppress(Deadlock):
            loop.run_until_complete(_finish(loop))
        asyncio.set_event_loop(None)
        loop.close()


async def _finish(loop: SimLoop) -> None:
    loop.is_power_cut = True
    current = asyncio.current_task(loop)
    for _ in range(50):
        left = [task for task in asyncio.all_tasks(loop) if task is not current]
        if not left:
            return
        for task in left:
            task.cancel()
        await asyncio.sleep(0)
