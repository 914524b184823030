"""Which histories were combined, so that the archive can show them again: one file per leader.

No candle is copied: a combined history is made anew of what its parts hold.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from storage.archive import durable
from storage.archive.layout import folder_of
from storage.archive.lock import ArchiveLock
from trading.candles.series import SeriesName
from trading.domain.errors import Refused

_FOLDER = "combinations"
_SUFFIX = ".json"

Parts = tuple[SeriesName, ...]
"""The history that leads, and those that fill what it lacks, in order."""


def keep(root: Path, names: Sequence[SeriesName]) -> None:
    """Remember a combination in place of the one that the same history led before.

    Raises InstanceConflict while the archive is being written.
    """
    content = [[name.exchange, name.symbol, name.timeframe] for name in names]
    lock = ArchiveLock(root)
    lock.take()
    try:
        durable.write_whole(_path(root, names[0]), json.dumps(content).encode())
    finally:
        lock.release()


def end(root: Path, leader: SeriesName) -> None:
    """Forget the combination that a history leads. The writer's lock is held."""
    durable.remove(_path(root, leader))


def kept(root: Path) -> Iterator[Parts]:
    """Yield every combination, by its leader; a file that cannot be read is none."""
    for path in sorted((root / _FOLDER).glob(f"*/*/*{_SUFFIX}")):
        parts = _read(path)
        if parts and _path(root, parts[0]) == path:
            yield parts


def led_by(root: Path, leader: SeriesName) -> Parts:
    """Return the combination that a history leads, empty where it leads none."""
    parts = _read(_path(root, leader))
    return parts if parts[:1] == (leader,) else ()


def _read(path: Path) -> Parts:
    try:
        parts = tuple(SeriesName(*map(str, part)) for part in json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError, Refused):
        return ()
    return parts if len(parts) > 1 else ()


def _path(root: Path, leader: SeriesName) -> Path:
    folder = folder_of(root / _FOLDER, leader)
    return folder.with_name(f"{folder.name}{_SUFFIX}")
