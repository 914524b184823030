"""Series taken out of the archive for good: what goes is noted first, then it goes.

The note is durable before the first file is touched. A kill before it leaves everything as it was;
after it the next writer takes out the rest before it does anything else.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from storage.archive import combinations, durable
from storage.archive.layout import folder_of, months_of, partition_path
from storage.archive.register import RegisterFile
from trading.candles.series import SeriesName
from trading.domain.errors import Refused

NOTE = "removing.json"


def begin(root: Path, names: Sequence[SeriesName]) -> None:
    """Note which series go; from here on there is no way back. The writer's lock is held."""
    content = [[name.exchange, name.symbol, name.timeframe] for name in names]
    durable.write_whole(root / NOTE, json.dumps(content).encode())


def finish(root: Path, register: RegisterFile) -> list[SeriesName]:
    """Take out what was noted, and return it; nothing where nothing was. Needs the writer's lock.

    Nothing of these series may wait in the tail.
    """
    names = _noted(root)
    if names is None:
        return []
    for name in names:
        # Before the files: no reader may call lost what was taken out on purpose.
        register.forget(name, ())
    register.write()
    for name in names:
        combinations.end(root, name)
        for month in months_of(root, name):
            durable.remove(partition_path(root, name, month))
        with suppress(OSError):
            # One that holds what is not ours stays.
            folder_of(root, name).rmdir()
    durable.remove(root / NOTE)
    return names


def _noted(root: Path) -> list[SeriesName] | None:
    try:
        content = (root / NOTE).read_bytes()
    except FileNotFoundError:
        return None
    try:
        return [SeriesName(*map(str, part)) for part in json.loads(content)]
    except (ValueError, TypeError, Refused):
        # Written whole or not at all, so the disk has changed it: nobody knows what was meant.
        return []
