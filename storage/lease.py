"""Who may write: one process per database, and one agent per account on a host."""

import contextlib
import fcntl
import hashlib
import os
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, bindparam, select, update

from storage import schema
from storage.holders import opened_by
from storage.statements import fixed, insert
from trading.domain.errors import DirectoryInUse, InstanceConflict

_read_lease = fixed(select(schema.lease.c.epoch, schema.lease.c.holder).with_for_update())
_first_lease = insert(schema.lease)
_next_lease = fixed(
    update(schema.lease).values(epoch=bindparam("epoch_now"), holder=bindparam("holder_now"))
)


_PEER = struct.Struct("3i")
_DIRECTORY_LOCK = "agent.lock"


def describe_holder() -> str:
    """Name this process for whoever finds the lock taken."""
    return f"pid {os.getpid()} on {socket.gethostname()}"


class FileLock:
    """A lock that the kernel frees the moment its process is gone, however it ended."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def acquire(self, conflict: Callable[[str], InstanceConflict]) -> None:
        """Take the lock or raise what `conflict` makes of its holder."""
        if holder := self._taken_by():
            raise conflict(holder)

    def _taken_by(self) -> str:
        """Take the lock; returns who holds it where that is somebody else."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            if holder := self._seen_holder():
                return holder
            raise
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _named(descriptor)
            os.close(descriptor)
            return holder
        self._descriptor = descriptor
        _held.add(self)
        # Held by now: without room for its name on the disk, the holder is "another process".
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, describe_holder().encode(), 0)
        return ""

    def _seen_holder(self) -> str:
        """Return who holds a lock that cannot be opened to take it; empty where nobody is seen."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return ""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return _named(descriptor)
        except OSError:
            return ""
        finally:
            os.close(descriptor)
        return ""

    def release(self) -> None:
        """Let go; harmless when not held."""
        if self._descriptor is not None:
            # Closing is enough, and in a forked child it must be all: unlocking would free the
            # lock of the parent, which shares it.
            os.close(self._descriptor)
            self._descriptor = None
        _held.discard(self)


def _named(descriptor: int) -> str:
    return os.read(descriptor, 200).decode(errors="replace").strip() or "another process"


_held: set[FileLock] = set()


def _release_in_child() -> None:
    for lock in tuple(_held):
        lock.release()


# A forked worker would otherwise hold the locks beyond the death of this process.
os.register_at_fork(after_in_child=_release_in_child)


class DatabaseLock(FileLock):
    """One process per SQLite database, whatever it is called there."""

    def __init__(self, database: Path) -> None:
        super().__init__(database.with_name(f"{database.name}.lock"))
        self._database = database

    def take(self) -> None:
        """Take the lock or raise InstanceConflict."""
        self.acquire(
            lambda holder: InstanceConflict(
                f"{self._database} is in use by {holder}",
                "stop that one first, two agents must not share a database",
            )
        )


class DirectoryLock(FileLock):
    """One process per data directory, whichever database it writes to."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory / _DIRECTORY_LOCK)
        self._directory = directory

    def take(self) -> None:
        """Take the lock or raise DirectoryInUse."""
        if holder := self._taken_by():
            raise DirectoryInUse(
                holder,
                f"{self._directory} is in use by {holder}; "
                "stop that one first, two agents must not share a data directory",
            )


class AccountLock:
    """One agent per exchange account on this host, whichever user runs it.

    Sockets in Linux's abstract namespace: no file that another user could own or leave behind, and
    the kernel frees the names the moment their process is gone. The key itself is not written down.
    `place` is one name for one exchange, however its address is written.
    """

    def __init__(self, place: str, api_key: str) -> None:
        self._place = place
        self._by_key = _socket_name(place, api_key)
        self._sockets: dict[bytes, socket.socket] = {}

    def take(self) -> None:
        """Take the lock of the key or raise InstanceConflict."""
        self._bind(self._by_key)

    def claim(self, account_id: str) -> None:
        """Take the account itself, which several keys may open, or raise InstanceConflict.

        Harmless when it is claimed already.
        """
        self._bind(_socket_name(self._place, "account", account_id))

    def release(self) -> None:
        """Let go; harmless when not held."""
        while self._sockets:
            self._sockets.popitem()[1].close()

    def _bind(self, name: bytes) -> None:
        if name in self._sockets:
            return
        taken = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            taken.bind(name)
        except OSError as error:
            taken.close()
            raise InstanceConflict(
                f"the account of this key on {self._place} is traded by {_holder(name)}",
                "stop that one first, two agents must not trade one account",
            ) from error
        # Whoever finds the name taken connects only to learn the holder's process id, and is never
        # accepted: each takes a place for as long as the holder lives.
        taken.listen(socket.SOMAXCONN)
        self._sockets[name] = taken


def _socket_name(*parts: str) -> bytes:
    return b"\0umbra-account-" + hashlib.sha256("\n".join(parts).encode()).hexdigest().encode()


def _holder(name: bytes) -> str:
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
            asking.settimeout(1.0)
            asking.connect(name)
            found = asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    except OSError:
        return "another process"
    process_id = int(_PEER.unpack(found)[0])
    return f"pid {process_id}{_directory_of(process_id)}"


def _directory_of(process_id: int) -> str:
    """Say in which data directory an agent runs; empty where the kernel does not tell us."""
    locks = [path for path in map(Path, opened_by(process_id)) if path.name == _DIRECTORY_LOCK]
    return f" in {locks[0].parent}" if locks else ""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write a database; `epoch` is the fencing number in every row of the journal."""

    epoch: int
    holder: str


def current_lease(connection: Connection) -> Lease | None:
    """Return who may write; None in a new database."""
    row = _read_lease.run(connection).one_or_none()
    return None if row is None else Lease(int(row.epoch), str(row.holder))


def next_lease(connection: Connection) -> Lease:
    """Make this process the only one whose writes count."""
    before = current_lease(connection)
    if before is None:
        lease = Lease(1, describe_holder())
        _first_lease.run(connection, only=1, epoch=lease.epoch, holder=lease.holder)
        return lease
    lease = Lease(before.epoch + 1, describe_holder())
    _next_lease.run(connection, epoch_now=lease.epoch, holder_now=lease.holder)
    return lease
