"""Notices a lost disk before a stop needs it, tells the owner past the journal, and fails stop."""

import logging
from collections.abc import Awaitable, Callable

from storage.store import Store
from trading.domain.errors import StorageLost

logger = logging.getLogger(__name__)

_PROBE_S = 2.0

Tell = Callable[[str], Awaitable[bool]]


class StorageWatch:
    """Probes the database; a full disk is told and waited out, a broken one ends the process.

    What cannot be journaled is told directly: an alert about a full disk must not need the disk.
    """

    def __init__(self, store: Store, tell: Tell, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._store = store
        self._tell = tell
        self._sleep = sleep
        self._is_told = False

    async def run(self) -> None:
        """Probe every two seconds until cancelled; raises StorageLost when only a restart helps."""
        while True:
            await self.probe()
            await self._sleep(_PROBE_S)

    async def probe(self) -> None:
        """Look once; tell changes once."""
        try:
            # An append without facts touches the file and drains the reserve.
            await self._store.journal.append()
        except StorageLost as error:
            logger.critical("storage_lost", extra={"reason": str(error)})
            if not self._is_told:
                self._is_told = await self._tell(
                    f"🚨 Umbra cannot write its journal: {error}. Private stops still sell, "
                    "through the reserve; everything else is refused. Free the disk."
                )
            if self._store.is_broken:
                raise
            return
        if self._is_told and not self._store.is_degraded:
            self._is_told = not await self._tell("✅ Umbra writes its journal again.")
