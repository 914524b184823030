"""A start that cannot have its database yet: it waits, and tells whoever can end that."""

import asyncio
import contextlib
import logging
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

from bot.systemd import ServiceManager
from storage.database import (
    DirectoryUnwritable,
    StorageAwaited,
    StorageFull,
    StorageHeld,
    StorageMissing,
)
from trading.domain.errors import Refused, StorageLost

logger = logging.getLogger(__name__)
T = TypeVar("T")
RETRY_S = 1.0
_REST_SHARE = 10.0
_REST_S_MAX = 60.0


async def opened(
    open_store: Callable[[], Awaitable[T]],
    stop: asyncio.Event,
    tell: Callable[[str], Awaitable[object]],
    service: ServiceManager,
    answer: Callable[[Callable[[], str]], Awaitable[None]],
) -> T:
    """Open once it can be had, telling why that takes long; raises StorageAwaited at `stop`.

    `tell` is called after each try in vain: it knows what was told. `answer` runs while there is
    something to wait for, and is given what says why. Another agent is no other program: for that
    one nobody waits. The service manager is never given a reason to end a start that is alive.
    """
    waits = asyncio.Event()
    telling = _Telling(tell, service, waits)
    tasks = {
        asyncio.create_task(service.run_start(waits), name="start lives"),
        asyncio.create_task(_answering(answer, telling, waits), name="start answers"),
    }
    try:
        return await _awaited(open_store, stop, telling)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _answering(
    answer: Callable[[Callable[[], str]], Awaitable[None]],
    telling: "_Telling",
    waits: asyncio.Event,
) -> None:
    await waits.wait()
    try:
        await answer(lambda: telling.why)
    except (OSError, Refused) as error:
        # Whoever asks reads that it is starting, and the chat was told.
        logger.warning("start_does_not_answer", extra={"error": str(error)})


async def _awaited(
    open_store: Callable[[], Awaitable[T]], stop: asyncio.Event, telling: "_Telling"
) -> T:
    clock = asyncio.get_running_loop().time
    while True:
        began_s, pause_s = clock(), RETRY_S
        try:
            return await open_store()
        except StorageAwaited as error:
            if stop.is_set():
                raise
            if isinstance(error, StorageFull):
                pause_s = after_full_disk_s(clock() - began_s)
            await telling.note(error)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await stop.wait()


def after_full_disk_s(tried_s: float) -> float:
    """Return how long a start waits after a try in vain on a full disk, by how long that took.

    A try may have copied a database of gigabytes, and a disk that is full of other things is not
    to be worn out by us.
    """
    return max(RETRY_S, min(tried_s * _REST_SHARE, _REST_S_MAX))


class _Telling:
    """What is said of one wait: each time that another kind of reason keeps the database away."""

    def __init__(
        self,
        tell: Callable[[str], Awaitable[object]],
        service: ServiceManager,
        waits: asyncio.Event,
    ) -> None:
        self._tell = tell
        self._service = service
        self._waits = waits
        self._kind: type[StorageAwaited] | None = None
        self._text = ""
        # As it is now, for whoever asks.
        self.why = ""

    async def note(self, error: StorageAwaited) -> None:
        self.why = waiting(error)
        # A server that stops and starts says something else each second; that is one piece of news.
        if type(error) is not self._kind:
            self._kind = type(error)
            self._text = self.why
            logger.warning("start_waits_for_storage", extra={"error": str(error)})
            sys.stderr.write(f"umbra: {self._text}\n")
            sys.stderr.flush()
            self._service.ready("waits for its database; private stops are NOT watched")
            self._waits.set()
        await self._tell(self._text)


def waiting(error: StorageLost) -> str:
    """Why a start waits, what that means, and what ends it."""
    why, advice = _reason(error)
    return (
        f"Umbra waits to start, {why}: {error}. PRIVATE STOPS ARE NOT WATCHED until that ends; "
        f"what rests on the exchange stays there. {advice}: Umbra goes on by itself."
    )


def refused(error: Exception) -> str:
    """Why a start ended before anything was read, what that means, and what a person can do."""
    return (
        f"Umbra does not start: {error}. PRIVATE STOPS ARE NOT WATCHED, and which there are is not "
        "known; what rests on the exchange stays there. Keep the files of the database as they "
        "are, mend what is named or put the newest copy in their place, and start again. Until "
        "then umbra panic can sell nothing: what must be sold, sell at the exchange itself."
    )


def alone(error: Exception) -> str:
    """The same where no agent runs, and a command could not open the database."""
    why, advice = _reason(error)
    return f"No agent runs here, so NO STOP IS WATCHED, and {why}: {error}. {advice}."


def _reason(error: Exception) -> tuple[str, str]:
    match error:
        case StorageHeld():
            why, advice = "another program holds its database", "End what holds the database"
        case StorageFull():
            why = "its disk is full"
            advice = "Make room there, and leave the files of Umbra where they are"
        case DirectoryUnwritable():
            why = "nothing can be written in its data directory"
            advice = "Make it writable for Umbra's user: what Umbra knows is in it, so keep it"
        case StorageAwaited():
            why = "its database does not answer"
            advice = "Start its server, or look at UMBRA_DATABASE_URL and the network"
        case StorageMissing(is_gone=True):
            why = "NOTHING IS KNOWN OF WHAT IS MANAGED"
            advice = "Put it, or its newest copy, back before Umbra is started again"
        case StorageMissing():
            why, advice = "none is set", "Start it: umbra run"
        case _:
            why = "its database cannot be used"
            advice = "Mend it, or put its newest copy back"
    return why, advice
