"""Files that are there whole or not at all, also after a lost process or a lost machine."""

import os
from pathlib import Path

UNFINISHED = ".unfinished"


def write_whole(path: Path, content: bytes) -> None:
    """Give `path` this content: written beside it, synced, renamed, and the folder synced."""
    make_folder(path.parent)
    beside = path.with_name(f"{path.name}{UNFINISHED}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    move(beside, path)


def move(path: Path, to: Path) -> None:
    """Rename a file for good, also into another folder."""
    make_folder(to.parent)
    path.replace(to)
    sync_folder(to.parent)
    if path.parent != to.parent:
        sync_folder(path.parent)


def remove(path: Path) -> None:
    """Take a file away for good; harmless when it is gone."""
    if path.exists():
        path.unlink(missing_ok=True)
        sync_folder(path.parent)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, each of them durable."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
