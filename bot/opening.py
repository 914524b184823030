"""What is open for as long as a process lives: directory, locks, storage, exchange, charts.

It is opened in the order in which a second process would be noticed, and closed in reverse.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bot import config, failpoints, heartbeat, held_start, notify
from bot.accounts import Account, account_lock, account_of
from bot.build import build
from bot.charts.worker import ChartWorker
from bot.clock import SystemClock
from bot.config import Mode, Settings
from bot.control.halt_file import HaltFile
from bot.control.sockets import WAITING_SOCKET, ControlServer
from bot.control.without_database import WithoutDatabase
from bot.in_hand import MarkedInHand
from bot.owner_only import close_to_others, leave_to_owner, of_others
from bot.owners_chat import OwnersChat
from bot.refused_start import TELL_S, RefusedStart
from bot.shares import telegram_settings
from bot.systemd import ServiceManager
from bot.telegram.telling import tell_before_start
from storage import room
from storage.database import DirectoryUnwritable, StorageAwaited, StorageMissing
from storage.lease import DirectoryLock
from storage.store import Store, open_store
from trading.domain.errors import JournalCorrupt, SettingsInvalid, StorageLost


@dataclass(frozen=True, slots=True)
class Opened:
    """What is open for as long as a process lives; whoever opened it closes it."""

    store: Store
    account: Account
    charts: ChartWorker
    in_hand: MarkedInHand
    service: ServiceManager


@contextlib.asynccontextmanager
async def opened(
    settings: Settings, stop: asyncio.Event | None = None, *, may_begin: bool = True
) -> AsyncIterator[Opened]:
    """Open everything; an agent, which has a `stop`, waits for a database that may come.

    Raises StorageMissing where there is none and it `may_begin` none.
    """
    clock = SystemClock()
    directory = settings.directory
    async with contextlib.AsyncExitStack() as stack:
        systemd = config.service_manager()
        service = ServiceManager(systemd.address, systemd.watchdog_s)
        held = await _directory(settings, clock, service, stop)
        # Last of all: whose directory it is, starts the next one.
        stack.callback(leave_to_owner, directory)
        stack.callback(held.release)
        lock = account_lock(settings) if settings.mode is Mode.LIVE else None
        if lock is not None:
            lock.take()
            stack.callback(lock.release)
        store = await _store(settings, clock, service, stop, may_begin=may_begin)
        stack.push_async_callback(store.close)
        in_hand = MarkedInHand(directory, clock, build())
        # Whatever ends here was not killed.
        stack.callback(in_hand.clear)
        account = account_of(settings, store, clock, in_hand, lock)
        stack.push_async_callback(account.gateway.close)
        charts = ChartWorker()
        stack.push_async_callback(charts.close)
        yield Opened(store, account, charts, in_hand, service)


async def _directory(
    settings: Settings, clock: SystemClock, service: ServiceManager, stop: asyncio.Event | None
) -> DirectoryLock:
    """Return the lock of the data directory, which an agent that has lived there waits for."""

    async def take() -> DirectoryLock:
        return _taken(settings.directory)

    if stop is None:
        return await take()
    telling, answer = waiting(settings, clock), _answering(settings, clock)
    return await held_start.opened(take, stop, telling.tell, service, answer)


def _taken(directory: Path) -> DirectoryLock:
    """Return the lock of a data directory that is there, ours alone, and can be written."""
    lock = DirectoryLock(directory)
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if names := of_others(directory):
            # Closed to others, `/etc` or a home would be of no use to them any more.
            raise config.foreign_directory(directory, names)
        close_to_others(directory)
        lock.take()
    except OSError as error:
        if room.is_lacking(error):
            # At a first start, too: the setting is right, and a disk can be emptied.
            raise room.refused(directory) from None
        if heartbeat.has_lived(directory):
            reason = f"{error.filename or directory}: {error.strerror or type(error).__name__}"
            raise DirectoryUnwritable(reason) from None
        raise config.unusable_directory(directory, error) from None
    return lock


async def _store(
    settings: Settings,
    clock: SystemClock,
    service: ServiceManager,
    stop: asyncio.Event | None,
    *,
    may_begin: bool,
) -> Store:
    opening = partial(
        open_store,
        settings.store_url,
        clock,
        data_dir=settings.directory,
        failpoint=failpoints.parse(settings.failpoint),
        may_begin=may_begin,
    )
    telling = waiting(settings, clock)
    try:
        if stop is None:
            return await opening()
        answer = _answering(settings, clock)
        return await held_start.opened(opening, stop, telling.tell, service, answer)
    except (StorageAwaited, StorageMissing):
        raise
    except (StorageLost, JournalCorrupt, SettingsInvalid) as error:
        if stop is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TELL_S):
                    # Nothing mends itself here, and a start by hand is not repeated.
                    await telling.tell(held_start.refused(error), is_everywhere=True)
        if not isinstance(error, StorageLost) or not settings.database_url.get_secret_value():
            raise
        raise config.unusable_database(str(error)) from error


def _answering(
    settings: Settings, clock: SystemClock
) -> Callable[[Callable[[], str]], Awaitable[None]]:
    """Return what answers the command line while a start waits."""

    async def answer(why: Callable[[], str]) -> None:
        desk = WithoutDatabase(HaltFile(settings.directory, clock), why)
        await ControlServer(settings.directory, desk.answer, WAITING_SOCKET).run()

    return answer


def waiting(settings: Settings, clock: SystemClock) -> RefusedStart:
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
