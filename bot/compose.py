"""The composition root: the only place that names concrete adapters and wires them together."""

import asyncio
import contextlib
import logging
import sys
from collections.abc import Awaitable, Callable, Coroutine

from bot import held_start, pauses, scanning
from bot.archive_watch import ARCHIVE_DAMAGED, ArchiveWatch
from bot.clock import SystemClock, random_install_id
from bot.config import Settings
from bot.control import wording
from bot.control.answering import LocalDesk
from bot.control.halt_file import HaltFile
from bot.control.messages import ACTING, Ask, Reply, Request
from bot.control.sockets import ControlServer
from bot.control.without_database import WithoutDatabase
from bot.front import Front
from bot.on_the_way import SALES, MarkedOnTheWay
from bot.opening import Opened, opened, waiting
from bot.refused_start import RefusedStart
from bot.shares import agent_settings
from bot.starting import Start
from bot.storage_watch import StorageWatch
from bot.supervisor import Supervisor, on_signals
from bot.vital_signs import VitalSigns, Watched
from storage.database import StorageAwaited
from trading.agent import TradingAgent
from trading.bus import Bus
from trading.domain.errors import (
    DirectoryInUse,
    Fatal,
    InstanceConflict,
    JournalCorrupt,
    StorageLost,
    UmbraError,
)
from trading.domain.events import JobRan
from trading.installation import Identity, Ports, order_prefix
from trading.reception import Reception
from trading.schedule import Schedule

logger = logging.getLogger(__name__)

_STOP_DEADLINE_S = 10.0
# How long an agent that was started for one request waits for the exchange.
_ALONE_S = 15.0
_LOCAL_WAY = "way for umbra status, halt and panic"
EXIT_ORDERLY = 0


async def run(settings: Settings, version: str) -> int:
    """Run the agent until a signal; returns the exit code. Raises Fatal when it may not start."""
    pauses.shorten()
    stop = asyncio.Event()
    with on_signals(stop.set):
        try:
            telling, tries = waiting(settings, SystemClock()), 0
            while isinstance(ended := await _worked(settings, version, stop), StorageLost):
                if tries > 0:
                    # One that is away is told by who opens it; this one can be opened again.
                    why = held_start.waiting(StorageAwaited(str(ended)))
                    await _unless(stop, telling.tell(why))
                await _unless(stop, asyncio.sleep(held_start.RETRY_S))
                if stop.is_set():
                    return EXIT_ORDERLY
                tries += 1
        except StorageAwaited:
            if not stop.is_set():
                raise
            return EXIT_ORDERLY
    return ended


async def _worked(settings: Settings, version: str, stop: asyncio.Event) -> int | StorageLost:
    """Open everything and work until `stop`; returns the exit code.

    Or why the database went away between its opening and the first read: that start begins anew,
    and waits for it as for one that was never there.
    """
    async with opened(settings, stop) as parts:
        process = Process(settings, version, parts)
        try:
            await process.prepare()
        except StorageLost as error:
            if parts.store.is_broken:
                raise
            logger.warning("start_begins_anew", extra={"error": str(error)})
            await process.discard()
            return error
        return await process.work(stop)


async def _unless(stop: asyncio.Event, work: Coroutine[object, object, object]) -> None:
    """Await what only waits or tells, until `stop`: an end waits for neither."""
    working, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (working, stopping):
            task.cancel()
        await asyncio.gather(working, stopping, return_exceptions=True)
    if not working.cancelled():
        await working


async def answer_alone(
    settings: Settings, version: str, request: Request, begun: Callable[[], None] = lambda: None
) -> Reply:
    """Answer one local request without an agent and without the chat, and end.

    Who only looks reads the journal, and begins none; for a halt or a panic everything is recovered
    first. `begun` is called once that is certain. Raises DirectoryInUse while an agent holds the
    data directory.
    """
    try:
        return await _answered_alone(settings, version, request, begun)
    except DirectoryInUse:
        raise
    except InstanceConflict as conflict:
        return Reply(False, wording.elsewhere(settings.directory, conflict.fact))


async def _answered_alone(
    settings: Settings, version: str, request: Request, begun: Callable[[], None]
) -> Reply:
    acts = request.ask in ACTING
    async with contextlib.AsyncExitStack() as stack:
        try:
            parts = await stack.enter_async_context(opened(settings, may_begin=acts))
        except (StorageLost, JournalCorrupt) as error:
            why = held_start.alone(error)
            halt_file = HaltFile(settings.directory, SystemClock())
            return await WithoutDatabase(halt_file, lambda: why).answer(request)
        process = Process(settings, version, parts)
        begun()
        return await (process.answer_alone(request) if acts else process.look(request.ask))


class Process:
    """One running agent: its parts, its tasks, its vital signs."""

    def __init__(self, settings: Settings, version: str, parts: Opened) -> None:
        self._settings = settings
        self._version = version
        self._store = parts.store
        self._account = parts.account
        self._in_hand = parts.in_hand
        self._service = parts.service
        self._clock = SystemClock()
        self._bus = Bus()
        self._supervisor = Supervisor(self._clock, self._on_death)
        self._halt_file = HaltFile(settings.directory, self._clock)
        self._front = Front(settings, version, parts, self._clock)
        self._replays = scanning.replays(settings)
        self._archive_watch = ArchiveWatch(scanning.archive_root(settings), self._clock)
        self._scanner = scanning.scanner(
            settings,
            parts.account.gateway,
            self._clock,
            self._replays,
            self._front.tell_scores,
            self._archive_watch.note,
        )

    async def run(self, stop: asyncio.Event) -> int:
        """Prepare, then work until `stop`; returns the exit code."""
        await self.prepare()
        return await self.work(stop)

    async def prepare(self) -> None:
        """Read what there is, and begin nothing; raises StorageLost, and can be discarded then."""
        await self._assemble()
        self._front.wire(self._agent, self._desk, self._scanner, self._bus)
        self._pairing_code = await self._front.chat.start()
        self._last_runs = await self._store.records.last_runs()

    async def discard(self) -> None:
        """End what was only prepared."""
        await self._replays.close()

    async def look(self, ask: Ask) -> Reply:
        """Answer from the journal: nothing is started, so nothing acts, and nothing is resumed."""
        if ask in {Ask.PREVIEW_RESUME, Ask.RESUME}:
            return Reply(False, wording.NOBODY_TO_RESUME)
        stored = await self._store.records.state()
        if ask is Ask.PREVIEW:
            return Reply(True, wording.stored_panic(stored))
        is_simulated = self._account.gateway.is_simulated
        place = wording.place(self._settings.mode.value, self._settings.exchange_id, is_simulated)
        return Reply(False, wording.unwatched(place, stored, self._halt_file.note))

    async def answer_alone(self, request: Request) -> Reply:
        """Recover as far as the exchange lets, answer one request, and stop."""
        await self._assemble()
        self._local.words = wording.ALONE
        await self._halt_file.check(self._desk)
        ready = asyncio.Event()
        work = asyncio.create_task(
            self._supervisor.run({"recover": lambda: self._recover(ready), **self._trading(ready)})
        )
        is_ready = asyncio.create_task(ready.wait())
        try:
            await asyncio.wait(
                {work, is_ready}, timeout=_ALONE_S, return_when=asyncio.FIRST_COMPLETED
            )
            if work.done():
                await work
            return await self._local.answer(request)
        except BaseExceptionGroup as failure:
            raise _root(failure) from failure
        finally:
            is_ready.cancel()
            await self._end(work)

    async def _assemble(self) -> None:
        stored = await self._store.records.state()
        install_id = stored.installed.install_id if stored.installed else random_install_id()
        self._sales = MarkedOnTheWay(self._settings.directory, SALES)
        agent = TradingAgent(
            Ports(
                self._account.gateway,
                self._store.journal,
                self._store.records,
                self._clock,
                self._bus,
                way=self._account.way,
                claim_account=self._account.claim,
                unrecorded=self._sales,
            ),
            Identity(install_id, order_prefix(install_id)),
            agent_settings(self._settings, self._version, install_id),
        )
        # A halt counts, and is shown, before the exchange has answered.
        agent.state.trading_mode = stored.trading_mode
        second = self._front.escalation
        watched = Watched(agent, self._store, self._supervisor, second, self._hanging)
        self._signs = VitalSigns(self._settings.directory, self._clock, watched, self._service)
        schedule = Schedule(
            {
                **agent.jobs(),
                "summaries": self._front.tick,
                "heartbeat": self._beat,
                "candle_sweep": self._scanner.sweep,
                "score_scan": self._scanner.scan_watched,
            },
            self._clock,
            self._remember,
        )
        self._agent, self._schedule = agent, schedule
        desk = Reception(agent, schedule, self._signs.measure, self._halt_file.forbid)
        self._desk = desk
        self._local = LocalDesk(desk, self._store.records, self._clock, lambda: agent.is_ready)

    async def work(self, stop: asyncio.Event) -> int:
        """Recover, then work until `stop`; returns the exit code."""
        ready = asyncio.Event()
        storage = self._storage = self._storage_watch()
        self._bus.subscribe(storage.note)
        control = ControlServer(self._settings.directory, self._local.answer)
        if self._pairing_code is not None:
            _say(f"Send this to the bot from your phone to own it: /pair {self._pairing_code}")
        # Before recovery, which may buy what was missed.
        await self._halt_file.check(self._desk)
        work = asyncio.create_task(
            self._supervisor.run(
                {
                    "recover": lambda: self._start(ready),
                    "chat": lambda: self._front.run(ready),
                    "control": lambda: self._listen(control),
                    "second_channel": self._front.escalation.run,
                    "halt_file": lambda: self._halt_file.run(self._desk),
                    **self._trading(ready),
                    "scanner": lambda: self._after(ready, self._scan),
                    "archive": lambda: self._after(ready, self._watch_archive),
                    "storage": storage.run,
                    "watchdog": lambda: self._after(ready, self._signs.watch_watchdog),
                    **self._signs.tasks,
                }
            )
        )
        self._service.ready("recovering")
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        self._service.stopping()
        error = work.exception() if work.done() else None
        failure = None if error is None else _root(error)
        await self._end(work, failure, is_orderly=failure is None)
        if failure is not None:
            raise failure
        return EXIT_ORDERLY

    async def _tell_lost(self, failure: StorageLost) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_STOP_DEADLINE_S):
                await self._storage.tell_end(str(failure))

    def _storage_watch(self) -> StorageWatch:
        agent = self._agent
        return StorageWatch(
            self._store,
            self._front.tell_now,
            self._clock,
            asyncio.sleep,
            mode=lambda: agent.state.mode if agent.is_ready else None,
            left_behind=agent.left_behind,
        )

    def _trading(self, ready: asyncio.Event) -> dict[str, Callable[[], Awaitable[None]]]:
        agent = self._agent
        return {
            "market": agent.market.run,
            "trackers": agent.trackers.run,
            "account": lambda: self._after(ready, agent.run_account_stream),
            "follow_ups": agent.run_follow_ups,
        }

    async def _start(self, ready: asyncio.Event) -> None:
        await self._recover(ready)
        watched, halt_file = self._agent.trackers.count(), self._halt_file.path.absolute()
        _say(wording.runs(self._desk.status(), self._version, watched, halt_file))
        self._schedule.start(self._last_runs)
        await pauses.collect_now_and_then()

    async def _recover(self, ready: asyncio.Event) -> None:
        front = self._front
        refused = RefusedStart(
            self._settings.directory, self._clock, front.tell_owner, front.escalation.tell_now
        )
        start = Start(self._agent, self._store, self._in_hand, self._clock, refused.tell)
        await start.run(self._account.restore, self._sales.findings)
        await refused.forget()
        ready.set()

    async def _after(self, ready: asyncio.Event, work: Callable[[], Awaitable[None]]) -> None:
        await ready.wait()
        await work()

    async def _end(
        self,
        work: asyncio.Task[None],
        failure: BaseException | None = None,
        *,
        is_orderly: bool = False,
    ) -> None:
        self._schedule.stop()
        if is_orderly:
            await self._signs.sign_off(self._desk)
        try:
            with contextlib.suppress(TimeoutError, Fatal):
                async with asyncio.timeout(_STOP_DEADLINE_S):
                    await self._agent.stop("asked to stop" if failure is None else _why(failure))
        finally:
            if isinstance(failure, StorageLost):
                # Whichever task has met it: what is journaled by now reaches nobody. What has fired
                # was sold meanwhile, and only then it is true what is left behind.
                await self._tell_lost(failure)
        if is_orderly:
            await self._storage.tell_stopped()
        # The chat says the last word with its tasks ended: they would wait for the next update.
        work.cancel()
        await asyncio.wait({work}, timeout=_STOP_DEADLINE_S)
        if work.done() and not work.cancelled():
            # Told where it matters; unread it would be complained of.
            work.exception()
        await self._replays.close()
        with contextlib.suppress(TimeoutError, Fatal):
            async with asyncio.timeout(_STOP_DEADLINE_S):
                await self._front.stop()

    # ------------------------------------------------------------ hooks

    def _on_death(self, task: str, error: BaseException) -> None:
        logger.error("task_restarted", extra={"task": task, "error": type(error).__name__})
        self._agent.task_died(task, error)

    async def _remember(self, event: JobRan) -> None:
        await self._store.journal.append(event)

    async def _listen(self, control: ControlServer) -> None:
        # Where no socket can be made, stops are watched all the same.
        await self._supervisor.keep_apart(_LOCAL_WAY, control.run, self._agent.advice_died)

    async def _scan(self) -> None:
        await self._supervisor.keep_apart("scanner", self._scanner.run, self._agent.advice_died)

    async def _watch_archive(self) -> None:
        agent = self._agent
        await self._archive_watch.run(
            agent.record, lambda: agent.state.has_condition(ARCHIVE_DAMAGED)
        )

    def _hanging(self) -> tuple[str, ...]:
        """Name the vital parts that came to a stand, and that only a restart would help."""
        if self._storage.is_wrong or self._store.is_degraded:
            # Whoever writes waits for the disk, and a new process would wait for it, too.
            return ()
        return (*self._schedule.hanging(), *self._front.chat.hanging())

    async def _beat(self) -> None:
        await self._signs.beat(self._desk)


def _say(text: str) -> None:
    """Tell whoever started this; a terminal that is gone keeps nobody from watching stops."""
    with contextlib.suppress(OSError):
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()


def _why(failure: BaseException) -> str:
    # Its own words are for people only where we chose them.
    known = str(failure) if isinstance(failure, UmbraError) else "an error of its own"
    return f"it cannot go on: {known}"


def _root(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    return error
