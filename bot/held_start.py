"""A start while another program holds the database: it waits, and tells whoever must end that."""

import asyncio
import contextlib
import logging
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

from storage.database import StorageHeld

logger = logging.getLogger(__name__)
T = TypeVar("T")
RETRY_S = 1.0


async def opened(
    open_store: Callable[[], Awaitable[T]],
    stop: asyncio.Event,
    tell: Callable[[str], Awaitable[object]],
) -> T:
    """Open until nobody else holds it, telling why that takes long; raises StorageHeld at `stop`.

    `tell` is called after each try in vain: it knows what was told. Another agent is no other
    program: for that one nobody waits.
    """
    is_said = False
    while True:
        try:
            return await open_store()
        except StorageHeld as error:
            if stop.is_set():
                raise
            logger.warning("start_waits_for_storage", extra={"error": str(error)})
            text = (
                f"Umbra waits to start, another program holds its database: {error}. PRIVATE "
                "STOPS ARE NOT WATCHED until that ends; what rests on the exchange stays there. "
                "End what holds the database: Umbra goes on by itself."
            )
            if not is_said:
                is_said = True
                sys.stderr.write(f"umbra: {text}\n")
                sys.stderr.flush()
            await tell(text)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RETRY_S):
                await stop.wait()
