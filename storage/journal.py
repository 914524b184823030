"""The Journal port on a database: facts become durable, and are read back in order."""

from collections.abc import Sequence
from functools import partial

from storage import integrity, queries
from storage.database import Database
from storage.ledger import Ledger
from storage.snapshots import Snapshots
from storage.unbroken import unbroken
from trading.domain.errors import StorageLost
from trading.domain.events import Event
from trading.ports.storage import Recorded


class SqlJournal:
    """The Journal port on a database."""

    def __init__(self, database: Database, ledger: Ledger, snapshots: Snapshots) -> None:
        self._database = database
        self._ledger = ledger
        self._snapshots = snapshots
        self._written_seq = self._under_way = 0
        self._is_sure = False

    @property
    def written_seq(self) -> int:
        """The seq of the newest append of this process; 0 where that is not known for certain."""
        return self._written_seq if self._is_sure and not self._under_way else 0

    async def append(self, *events: Event, reserve: bool = False, urgent: bool = False) -> int:
        """Make all events durable in one transaction and return the last seq (0: in reserve).

        Without events it takes in what the reserve holds, and probes the database. A cancellation
        while it is written takes effect at the caller's next wait: what is durable is known.
        """
        self._under_way += 1
        self._is_sure = False
        try:
            job = self._ledger.append(events, reserve=reserve)
            writing = self._database.write(job, urgent=urgent)
            # What is urgent is awaited by a task of its own, and every turn of the loop counts.
            seq = await (writing if urgent else unbroken(writing))
        except MemoryError as error:
            # On which side of the commit, nobody can tell: as where its answer is lost.
            raise StorageLost("the journal cannot be written: no memory left") from error
        finally:
            self._under_way -= 1
        self._written_seq, self._is_sure = max(self._written_seq, seq), True
        self._snapshots.note(seq)
        return seq

    async def events(
        self, after_seq: int = 0, limit: int = 1000, kinds: Sequence[str] = ()
    ) -> Sequence[Recorded]:
        """Return events with a greater seq in order."""
        return await self._database.read(
            partial(queries.events_after, after_seq=after_seq, limit=limit, kinds=kinds)
        )

    async def latest(self, limit: int, kinds: Sequence[str] = ()) -> Sequence[Recorded]:
        """Return the newest events, newest first."""
        return await self._database.read(partial(queries.latest_events, limit=limit, kinds=kinds))

    async def verify(self) -> int:
        """Check the whole hash chain and return the last seq; raises JournalCorrupt."""
        return await self._database.read_long(integrity.verify_chain)
