"""A start that cannot have its database yet: it waits, and tells whoever can end that."""

import asyncio
import contextlib
import logging
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

from bot.systemd import ServiceManager
from storage.database import StorageAwaited, StorageHeld

logger = logging.getLogger(__name__)
T = TypeVar("T")
RETRY_S = 1.0


async def opened(
    open_store: Callable[[], Awaitable[T]],
    stop: asyncio.Event,
    tell: Callable[[str], Awaitable[object]],
    service: ServiceManager,
) -> T:
    """Open once it can be had, telling why that takes long; raises StorageAwaited at `stop`.

    `tell` is called after each try in vain: it knows what was told. Another agent is no other
    program: for that one nobody waits. The service manager is never given a reason to end a start
    that is alive.
    """
    waits = asyncio.Event()
    living = asyncio.create_task(service.run_start(waits), name="start lives")
    try:
        return await _awaited(open_store, stop, _Telling(tell, service, waits))
    finally:
        living.cancel()
        await asyncio.wait({living})


async def _awaited(
    open_store: Callable[[], Awaitable[T]], stop: asyncio.Event, telling: "_Telling"
) -> T:
    while True:
        try:
            return await open_store()
        except StorageAwaited as error:
            if stop.is_set():
                raise
            await telling.note(error)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RETRY_S):
                await stop.wait()


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

    async def note(self, error: StorageAwaited) -> None:
        # A server that stops and starts says something else each second; that is one piece of news.
        if type(error) is not self._kind:
            self._kind = type(error)
            self._text = _text(error)
            logger.warning("start_waits_for_storage", extra={"error": str(error)})
            sys.stderr.write(f"umbra: {self._text}\n")
            sys.stderr.flush()
            self._service.ready("waits for its database; private stops are NOT watched")
            self._waits.set()
        await self._tell(self._text)


def _text(error: StorageAwaited) -> str:
    if isinstance(error, StorageHeld):
        why, advice = "another program holds its database", "End what holds the database"
    else:
        why = "its database does not answer"
        advice = "Start its server, or look at UMBRA_DATABASE_URL and the network"
    return (
        f"Umbra waits to start, {why}: {error}. PRIVATE STOPS ARE NOT WATCHED until that ends; "
        f"what rests on the exchange stays there. {advice}: Umbra goes on by itself."
    )
