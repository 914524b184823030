"""What a journal needs of a database: one writer at a time, readers that never wait for it."""

from collections.abc import Callable
from typing import Protocol, TypeVar

from sqlalchemy import Connection

from trading.domain.errors import StorageLost

T = TypeVar("T")
Failpoint = Callable[[str], None]


class StorageAwaited(StorageLost):
    """Not now: what keeps the database from us may pass, and a start waits for that."""


class StorageHeld(StorageAwaited):
    """Another program writes to the database, or keeps it locked: it may let go."""


class StorageAway(StorageAwaited):
    """The database's server does not answer, or takes nothing for now: it may come back."""


class StorageFull(StorageAwaited):
    """The disk has no room for what a start must write: somebody may make some."""


class DirectoryUnwritable(StorageAwaited):
    """Nothing can be written in a data directory that was used before: its disk may come back."""


class StorageMissing(StorageLost):
    """There is no database, or none any more, and whoever asked for one may not begin it."""

    def __init__(self, message: str, *, is_gone: bool) -> None:
        super().__init__(message)
        self.is_gone = is_gone


class UnwritableError(Exception):
    """The database took nothing, or left in doubt whether it did.

    `is_final` means that this process should not try again: an fsync that failed once may report
    success the next time without having written anything.
    """

    def __init__(self, reason: str, *, is_final: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_final = is_final


class Job(Protocol):
    """One transaction, and what follows from its fate; all in the writer's turn."""

    @property
    def label(self) -> str:
        """What is written, for failpoints: kinds joined by `+`."""
        ...

    @property
    def has_reserve(self) -> bool:
        """Whether `failed` would save it elsewhere: then it need not wait for a database."""
        ...

    def write(self, connection: Connection) -> int:
        """Write inside a transaction.

        Runs again on a new connection when the first one broke, and then finds out whether the
        commit whose answer was lost is in the database after all.
        """
        ...

    def conflict(self, connection: Connection) -> Exception:
        """Explain, after the rollback, which uniqueness the write would have broken."""
        ...

    def committed(self) -> None:
        """Take note: it is durable."""
        ...

    def failed(self, error: UnwritableError, connection: Connection | None) -> int:
        """Save what can be saved elsewhere, or raise; `connection` can at best still read."""
        ...


class Database(Protocol):
    """One open database."""

    async def write(self, job: Job, *, urgent: bool = False) -> int:
        """Run a job when its turn comes; what `write` or `failed` returns or raises is the end.

        An urgent one may hold the loop for a few ms, so that nothing else slows it down; others
        have one turn while the disk is at work.
        """
        ...

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run a query on one consistent view, without waiting for the writer."""
        ...

    async def read_long(self, work: Callable[[Connection], T]) -> T:
        """Run a query of seconds on a connection of its own, so that short ones need not wait."""
        ...

    async def close(self) -> None:
        """Finish what runs and let go."""
        ...


def no_failpoint(_name: str) -> None:
    """Pass every boundary."""
