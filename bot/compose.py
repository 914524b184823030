"""The composition root: the only place that names concrete adapters and wires them together."""

import asyncio
import contextlib
import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bot import config, failpoints, held_start, notify, pauses, scanning
from bot.accounts import Account, account_lock, account_of
from bot.archive_watch import ARCHIVE_DAMAGED, ArchiveWatch
from bot.build import build
from bot.charts.worker import ChartWorker
from bot.clock import SystemClock, random_code, random_install_id, random_nonce
from bot.config import Mode, Settings
from bot.control import wording
from bot.control.answering import LocalDesk
from bot.control.halt_file import HaltFile
from bot.control.messages import Ask, Reply, Request
from bot.control.sockets import ControlServer
from bot.data.holdings import ArchiveHoldings
from bot.data.removal import ArchiveRemoval
from bot.escalation import Escalation
from bot.in_hand import MarkedInHand
from bot.logs import masking_typed
from bot.on_the_way import MarkedOnTheWay
from bot.owner_only import close_to_others
from bot.owners_chat import OwnersChat
from bot.refused_start import RefusedStart
from bot.shares import agent_settings, telegram_settings
from bot.starting import Start
from bot.storage_watch import StorageWatch
from bot.supervisor import Supervisor, stop_on_signals
from bot.systemd import ServiceManager
from bot.telegram.access import WITHHELD
from bot.telegram.app import Surroundings, TelegramBot
from bot.telegram.telling import tell_before_start
from bot.vital_signs import VitalSigns, Watched
from storage.database import StorageAwaited
from storage.lease import DirectoryLock
from storage.store import Store, open_store
from trading import backstops
from trading.agent import TradingAgent
from trading.bus import Bus
from trading.domain.chat import Person
from trading.domain.errors import Fatal, StorageLost
from trading.domain.events import JobRan
from trading.installation import Identity, Ports, order_prefix
from trading.reception import Reception
from trading.schedule import Schedule

logger = logging.getLogger(__name__)

_STOP_DEADLINE_S = 10.0
# How long the chat stays silent for an exchange that may just be starting, too.
_FIRST_ANSWER_S = 5.0
# How long an agent that was started for one request waits for the exchange.
_ALONE_S = 15.0
EXIT_ORDERLY = 0


async def run(settings: Settings, version: str) -> int:
    """Run the agent until a signal; returns the exit code. Raises Fatal when it may not start."""
    pauses.shorten()
    stop = stop_on_signals(asyncio.get_running_loop())
    try:
        async with _opened(settings, version, stop) as process:
            return await process.run(stop)
    except StorageAwaited:
        if not stop.is_set():
            raise
        return EXIT_ORDERLY


async def answer_alone(
    settings: Settings, version: str, request: Request, begun: Callable[[], None] = lambda: None
) -> Reply:
    """Answer one local request without an agent and without the chat, and end.

    Who only looks reads the journal; for a halt or a panic everything is recovered first. `begun`
    is called once that is certain. Raises DirectoryInUse while an agent holds the data directory.
    """
    async with _opened(settings, version) as process:
        begun()
        if request.ask in {Ask.HALT, Ask.PANIC}:
            return await process.answer_alone(request)
        return await process.look(request.ask)


@contextlib.asynccontextmanager
async def _opened(
    settings: Settings, version: str, stop: asyncio.Event | None = None
) -> AsyncIterator["Process"]:
    """Open everything; an agent, which has a `stop`, waits for a database that may come."""
    clock = SystemClock()
    directory = settings.directory
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(_taken(directory).release)
        lock = account_lock(settings) if settings.mode is Mode.LIVE else None
        if lock is not None:
            lock.take()
            stack.callback(lock.release)
        opening = partial(_store, settings, clock)
        telling = _refused_start(settings, clock).tell
        systemd = config.service_manager()
        service = ServiceManager(systemd.address, systemd.watchdog_s)
        store = await (held_start.opened(opening, stop, telling, service) if stop else opening())
        stack.push_async_callback(store.close)
        in_hand = MarkedInHand(directory, clock, build())
        # Whatever ends here was not killed.
        stack.callback(in_hand.clear)
        account = account_of(settings, store, clock, in_hand, lock)
        stack.push_async_callback(account.gateway.close)
        charts = ChartWorker()
        stack.push_async_callback(charts.close)
        yield Process(settings, version, Opened(store, account, charts, in_hand, service))


def _taken(directory: Path) -> DirectoryLock:
    """Return the lock of a data directory that is there, ours alone, and can be written."""
    lock = DirectoryLock(directory)
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        close_to_others(directory)
        lock.take()
    except OSError as error:
        raise config.unusable_directory(directory, error) from None
    return lock


async def _store(settings: Settings, clock: SystemClock) -> Store:
    failpoint = failpoints.parse(settings.failpoint)
    try:
        return await open_store(
            settings.store_url, clock, data_dir=settings.directory, failpoint=failpoint
        )
    except StorageAwaited:
        raise
    except StorageLost as error:
        if not settings.database_url.get_secret_value():
            raise
        raise config.unusable_database(str(error)) from error


def _refused_start(settings: Settings, clock: SystemClock) -> RefusedStart:
    """Return who tells of a start that waits before there is a chat."""

    async def chat(text: str) -> bool:
        owner = settings.owner_id or OwnersChat(settings.directory).kept()
        return owner is not None and await tell_before_start(
            telegram_settings(settings), owner, text
        )

    async def second(text: str) -> bool:
        ways = notify.ways(settings.channel_urls, settings.secrets)
        return any(await asyncio.gather(*(way.say(text) for way in ways)))

    return RefusedStart(settings.directory, clock, chat, second)


@dataclass(frozen=True, slots=True)
class Opened:
    """What is open for as long as a process lives; whoever opened it closes it."""

    store: Store
    account: Account
    charts: ChartWorker
    in_hand: MarkedInHand
    service: ServiceManager


class Process:
    """One running agent: its parts, its tasks, its vital signs."""

    def __init__(self, settings: Settings, version: str, opened: Opened) -> None:
        self._settings = settings
        account = opened.account
        self._in_hand = opened.in_hand
        self._clock = SystemClock()
        self._store = opened.store
        self._version = version
        self._supervisor = Supervisor(self._clock, self._on_death)
        self._account = account
        self._charts = opened.charts
        self._bus = Bus()
        self._halt_file = HaltFile(settings.directory, self._clock)
        self._bot: TelegramBot | None = None
        self._replays = scanning.replays(settings)
        archive = scanning.archive_root(settings)
        self._archive_watch = ArchiveWatch(archive, self._clock)
        self._scanner = scanning.scanner(
            settings,
            account.gateway,
            self._clock,
            self._replays,
            self._tell_scores,
            self._archive_watch.note,
        )
        self._escalation = Escalation(
            settings.directory,
            notify.ways(settings.channel_urls, settings.secrets),
            lambda: {} if self._bot is None else self._bot.standing(),
            self._clock,
        )
        self._service = opened.service
        self._owners_chat = OwnersChat(settings.directory)

    async def run(self, stop: asyncio.Event) -> int:
        """Recover, then work until `stop`; returns the exit code."""
        await self._assemble()
        self._bot = TelegramBot(telegram_settings(self._settings), self._surroundings())
        return await self._work(stop)

    async def look(self, ask: Ask) -> Reply:
        """Answer from the journal: nothing is started, so nothing acts, and nothing is resumed."""
        if ask in {Ask.PREVIEW_RESUME, Ask.RESUME}:
            return Reply(False, wording.NOBODY_TO_RESUME)
        stored = await self._store.records.state()
        if ask is Ask.PREVIEW:
            return Reply(True, wording.stored_panic(stored))
        is_simulated = self._account.gateway.is_simulated
        place = wording.place(self._settings.mode.value, self._settings.exchange_id, is_simulated)
        return Reply(False, wording.unwatched(place, stored))

    async def answer_alone(self, request: Request) -> Reply:
        """Recover as far as the exchange lets, answer one request, and stop."""
        await self._assemble()
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
        agent = TradingAgent(
            Ports(
                self._account.gateway,
                self._store.journal,
                self._store.records,
                self._clock,
                self._bus,
                way=self._account.way,
                claim_account=self._account.claim,
            ),
            Identity(install_id, order_prefix(install_id)),
            agent_settings(self._settings, self._version, install_id),
        )
        # A halt counts, and is shown, before the exchange has answered.
        agent.state.trading_mode = stored.trading_mode
        watched = Watched(agent, self._store, self._supervisor, self._escalation, self._hanging)
        self._signs = VitalSigns(self._settings.directory, self._clock, watched, self._service)
        schedule = Schedule(
            {
                **agent.jobs(),
                "summaries": self._summaries,
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

    async def _work(self, stop: asyncio.Event) -> int:
        ready = asyncio.Event()
        bot, directory = self._front(), self._settings.directory
        storage = self._storage = self._storage_watch()
        control = ControlServer(directory, self._local.answer)
        code = await bot.start()
        if code is not None:
            _say(f"Send this to the bot from your phone to own it: /pair {code}")
        # Before recovery, which may buy what was missed.
        await self._halt_file.check(self._desk)
        work = asyncio.create_task(
            self._supervisor.run(
                {
                    "recover": lambda: self._start(ready),
                    "chat": lambda: self._chat(ready),
                    "control": control.run,
                    "second_channel": self._escalation.run,
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
        failure = work.exception() if work.done() else None
        await self._end(work, is_orderly=failure is None)
        if failure is not None:
            raise _root(failure)
        return EXIT_ORDERLY

    def _storage_watch(self) -> StorageWatch:
        agent = self._agent
        return StorageWatch(
            self._store,
            self._tell_now,
            self._clock,
            asyncio.sleep,
            mode=lambda: agent.state.mode if agent.is_ready else None,
            resting=lambda: backstops.told(agent.execution.backstops),
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
        self._schedule.start(await self._store.records.last_runs())
        await pauses.collect_now_and_then()

    async def _recover(self, ready: asyncio.Event) -> None:
        refused = RefusedStart(
            self._settings.directory, self._clock, self._tell_owner, self._escalation.tell_now
        )
        start = Start(self._agent, self._store, self._in_hand, self._clock, refused.tell)
        await start.run(self._account.restore)
        await refused.forget()
        await self._local.recovered()
        ready.set()

    async def _tell_owner(self, text: str) -> bool:
        return self._bot is not None and await self._bot.tell_owner_now(text)

    async def _chat(self, ready: asyncio.Event) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FIRST_ANSWER_S):
                await ready.wait()
        await self._front().run()

    def _front(self) -> TelegramBot:
        if self._bot is None:
            raise RuntimeError("an agent without a chat runs answer_alone() only")
        return self._bot

    async def _after(self, ready: asyncio.Event, work: Callable[[], Awaitable[None]]) -> None:
        await ready.wait()
        await work()

    async def _end(self, work: asyncio.Task[None], *, is_orderly: bool = False) -> None:
        self._schedule.stop()
        if is_orderly:
            await self._signs.sign_off(self._desk)
        # Asked before the engine forgets them.
        resting = backstops.told(self._agent.execution.backstops)
        with contextlib.suppress(TimeoutError, Fatal):
            async with asyncio.timeout(_STOP_DEADLINE_S):
                await self._agent.stop("asked to stop")
        if is_orderly:
            await self._storage.tell_stopped(resting)
        # The chat says the last word with its tasks ended: they would wait for the next update.
        work.cancel()
        await asyncio.wait({work}, timeout=_STOP_DEADLINE_S)
        if work.done() and not work.cancelled():
            # Told where it matters; unread it would be complained of.
            work.exception()
        await self._replays.close()
        if self._bot is None:
            return
        with contextlib.suppress(TimeoutError, Fatal):
            async with asyncio.timeout(_STOP_DEADLINE_S):
                await self._bot.stop()

    # ------------------------------------------------------------ parts

    def _surroundings(self) -> Surroundings:
        archive = scanning.archive_root(self._settings)
        return Surroundings(
            desk=self._desk,
            scanner=self._scanner,
            journal=self._store.journal,
            records=self._store.records,
            record=self._agent.record,
            clock=self._clock,
            bus=self._bus,
            charts=self._charts,
            random_nonce=random_nonce,
            random_code=random_code,
            export=self._export,
            data_dir=self._settings.directory,
            version=self._version,
            on_people=self._watch_for,
            archive=ArchiveHoldings(archive),
            remover=ArchiveRemoval(archive, scanning.archive_name(self._settings)),
            in_hand=self._in_hand,
            on_the_way=MarkedOnTheWay(self._settings.directory),
            without_secrets=masking_typed(self._settings.secrets, WITHHELD),
        )

    def _watch_for(self, people: Collection[Person]) -> None:
        self._owners_chat.keep(people)
        self._scanner.watch(one for person in people for one in person.wishes.interests)

    async def _export(self, what: str) -> Path:
        # Parquet is heavy and rarely asked for.
        from storage.export import Format, export

        name, _, ending = what.partition(".")
        form = Format(ending or Format.CSV.value)
        at = self._clock.now()
        path = self._settings.directory / "exports" / f"{name}-{at:%Y%m%d-%H%M%S}.{form.value}"
        await export(self._store.journal, name, path, form)
        return path

    # ------------------------------------------------------------ hooks

    def _on_death(self, task: str, error: BaseException) -> None:
        logger.error("task_restarted", extra={"task": task, "error": type(error).__name__})
        self._agent.task_died(task, error)

    async def _remember(self, event: JobRan) -> None:
        await self._store.journal.append(event)

    async def _summaries(self) -> None:
        await self._front().tick()

    async def _scan(self) -> None:
        await self._supervisor.keep_apart("scanner", self._scanner.run, self._agent.advice_died)

    async def _watch_archive(self) -> None:
        agent = self._agent
        await self._archive_watch.run(
            agent.record, lambda: agent.state.has_condition(ARCHIVE_DAMAGED)
        )

    async def _tell_scores(self) -> None:
        await self._front().tell_scores()

    def _hanging(self) -> tuple[str, ...]:
        """Name the vital parts that came to a stand, and that only a restart would help."""
        if self._storage.is_wrong or self._store.is_degraded:
            # Whoever writes waits for the disk, and a new process would wait for it, too.
            return ()
        return (*self._schedule.hanging(), *self._front().hanging())

    async def _beat(self) -> None:
        await self._signs.beat(self._desk)

    async def _tell_now(self, text: str, is_unseen: bool) -> bool:
        told = await self._front().tell_owner_now(text)
        if told and not is_unseen:
            return True
        return await self._escalation.tell_now(text) or told


def _say(text: str) -> None:
    """Tell whoever started this; a terminal that is gone keeps nobody from watching stops."""
    with contextlib.suppress(OSError):
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()


def _root(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    return error
