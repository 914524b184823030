"""Which other process keeps a file locked, as the kernel tells it, for whoever has to end it."""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

# "7: POSIX  ADVISORY  WRITE 4242 08:01:131090 120 120"; one with an arrow only waits for a lock.
_WRITES = re.compile(r"\d+: \S+ +\S+ +WRITE (\d+) \w+:\w+:(\d+) ")


def holders(files: Iterable[Path], kernel: Path = Path("/proc")) -> tuple[str, ...]:
    """Name the processes that hold one of the files for writing: `process 4242 (python3)`.

    Empty where the kernel does not tell, or tells of nobody else.
    """
    inodes = {each.stat().st_ino: str(each.resolve()) for each in files if each.exists()}
    try:
        told = (kernel / "locks").read_text()
    except OSError:
        return ()
    found = {int(pid): inodes.get(int(inode)) for pid, inode in _WRITES.findall(told)}
    return tuple(
        f"process {pid} ({_name(kernel / str(pid))})"
        for pid, path in sorted(found.items())
        # An inode's number is one of its file system alone.
        if path is not None and pid != os.getpid() and path in opened_by(pid, kernel)
    )


def opened_by(process_id: int | str, kernel: Path = Path("/proc")) -> Iterator[str]:
    """Give the paths that a process has open; none where the kernel does not tell us."""
    try:
        descriptors = list((kernel / str(process_id) / "fd").iterdir())
    except OSError:
        return
    for each in descriptors:
        try:
            yield str(each.readlink())
        except OSError:
            # Closed a moment ago.
            continue


def _name(process: Path) -> str:
    try:
        return (process / "comm").read_text().strip() or "?"
    except OSError:
        return "?"
