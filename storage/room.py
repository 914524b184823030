"""What is free on the disk of a database: a start that needs more says so before it begins."""

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
    needed, free = copy_bytes + UPGRADE_BYTES, shutil.disk_usage(path.parent).free
    if free < needed:
        raise StorageFull(
            f"this version brings the database in {path.parent} up to date and keeps a copy of it "
            f"there. That needs {_whole_mb(needed)} MB, and {_disk(path)} has {free // _MB} MB "
            "free. The database is as it was"
        )


def is_used_up(path: Path) -> bool:
    """Whether a disk has less than SQLite needs to open a file: it calls that an I/O error."""
    return shutil.disk_usage(path.parent).free < _OPENING_BYTES


def used_up(path: Path) -> StorageFull:
    """Return what to say where a start could not write the file: it was left as it was."""
    return StorageFull(
        f"{_disk(path)} has no room left for the database in {path.parent}, which is as it was"
    )


def _disk(path: Path) -> str:
    """Name the disk by the folder where it is mounted."""
    folder = path.parent.resolve()
    while not folder.is_mount():
        folder = folder.parent
    return f"the disk at {folder}"


def _whole_mb(count: int) -> int:
    return -(-count // _MB)
