"""What follows from facts: written by one task, one after the other, and never dropped."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from trading.domain.errors import AuthLost, Retryable, StorageLost

logger = logging.getLogger(__name__)
_WAITING_MAX = 10_000


class FollowUps:
    """A bounded queue of work between the calls that bring facts and the journal."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[Callable[[], Awaitable[None]]] = asyncio.Queue(_WAITING_MAX)
        self._is_overflowed = False

    def add(self, work: Callable[[], Awaitable[None]]) -> None:
        """Have this done after everything that was added before."""
        # A fact is never dropped: past the bound the process ends, and the next one recovers.
        try:
            self._waiting.put_nowait(work)
        except asyncio.QueueFull:
            self._is_overflowed = True

    def give_up(self) -> None:
        """End the process: what waits for the journal elsewhere is too much for memory."""
        self._is_overflowed = True
        self.add(_nothing)

    async def run(self) -> None:
        """Do what was added until cancelled; raises StorageLost when the bound was passed."""
        while True:
            work = await self._waiting.get()
            if self._is_overflowed:
                raise StorageLost("too many facts wait to be written: the journal hangs")
            try:
                await work()
            except (Retryable, AuthLost) as error:
                logger.warning("follow_up_failed", extra={"error": str(error)})


async def _nothing() -> None:
    return None
