"""What is free on the disk of a database: a start that needs more says so before it begins."""

import errno
import shutil
from pathlib import Path

from storage.database import StorageFull

_MB = 1024 * 1024
# Beside the copy of a database: what an upgrade writes itself.
UPGRADE_BYTES = 16 * _MB
# The index beside its log, and some pages.
_OPENING_BYTES = 128 * 1024


def require(path: Path, copy_bytes: int) -> None:
    """Raise StorageFull where a copy of so many bytes and an upgrade have no room beside a file."""
    folder = path.parent
    needed, free = copy_bytes + UPGRADE_BYTES, shutil.disk_usage(folder).free
    if free < needed:
        raise StorageFull(
            f"this version brings the database in {folder} up to date and keeps a copy of it "
            f"there. That needs {_whole_mb(needed)} MB, and {_disk(folder)} has {free // _MB} MB "
            "free. The database is as it was"
        )


def is_used_up(path: Path) -> bool:
    """Whether a disk has less than SQLite needs to open a file: it calls that an I/O error."""
    return shutil.disk_usage(path.parent).free < _OPENING_BYTES


def used_up(path: Path) -> StorageFull:
    """Return what to say where a start could not write the file: it was left as it was."""
    folder = path.parent
    return StorageFull(
        f"{_disk(folder)} has no room left for the database in {folder}, which is as it was"
    )


def is_lacking(error: OSError) -> bool:
    """Whether a disk, or what its owner may use of it, has no room left for a file."""
    return error.errno in {errno.ENOSPC, errno.EDQUOT}


def refused(folder: Path) -> StorageFull:
    """Return what to say where a start could not even make its files in a folder."""
    return StorageFull(f"{_disk(folder)} has no room left for the files of Umbra in {folder}")


def _disk(folder: Path) -> str:
    """Name the disk by the folder where it is mounted."""
    folder = folder.resolve()
    while not folder.is_mount():
        folder = folder.parent
    return f"the disk at {folder}"


def _whole_mb(count: int) -> int:
    return -(-count // _MB)
