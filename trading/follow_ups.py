"""What follows from facts: written by one task, one after the other, and never dropped."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from trading.domain.errors import AuthLost, Fatal, Retryable, StorageLost

logger = logging.getLogger(__name__)
_WAITING_MAX = 10_000
_AGAIN_S = 1.0
_OVERFLOWED = "too many facts wait to be written: the journal hangs"


class FollowUps:
    """A bounded queue of work between the calls that bring facts and the journal."""

    def __init__(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._waiting: asyncio.Queue[Callable[[], Awaitable[None]]] = asyncio.Queue(_WAITING_MAX)
        self._ending: Fatal | None = None
        # Whether the log holds that the one at hand waits.
        self._is_told = False
        self._sleep = sleep

    def add(self, work: Callable[[], Awaitable[None]]) -> None:
        """Have this done after everything that was added before."""
        # A fact is never dropped: past the bound the process ends, and the next one recovers.
        try:
            self._waiting.put_nowait(work)
        except asyncio.QueueFull:
            self._ending = StorageLost(_OVERFLOWED)

    def give_up(self) -> None:
        """End the process: what waits for the journal elsewhere is too much for memory."""
        self.end(StorageLost(_OVERFLOWED))

    def end(self, error: Fatal) -> None:
        """End the process by what is raised elsewhere, where it may only be told to who asked."""
        self._ending = self._ending or error
        self.add(_nothing)

    async def run(self) -> None:
        """Do what was added until cancelled; raises StorageLost when the bound was passed.

        And whatever else is to end the process.

        What the journal does not take is done again until it does: a disk that comes back is waited
        for, and whether one that does not ends the process is for others to say.
        """
        while True:
            work = await self._waiting.get()
            while not await self._is_done(work):
                await self._sleep(_AGAIN_S)

    async def _is_done(self, work: Callable[[], Awaitable[None]]) -> bool:
        if self._ending is not None:
            raise self._ending
        try:
            await work()
        except (Retryable, AuthLost) as error:
            logger.warning("follow_up_failed", extra={"error": str(error)})
        except StorageLost as error:
            if not self._is_told:
                logger.warning("follow_up_waits_for_storage", extra={"error": str(error)})
            self._is_told = True
            return False
        self._is_told = False
        return True


async def _nothing() -> None:
    return None
