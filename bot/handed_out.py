"""Folders of files that were made to be sent: the newest stay, or they fill a disk by and by."""

import contextlib
from pathlib import Path


def keep_newest(folder: Path, kept: int, pattern: str = "*") -> None:
    """Make a folder if need be, and remove all but its newest files; raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    ages = []
    for path in folder.glob(pattern):
        # Somebody else may be at it, too.
        with contextlib.suppress(FileNotFoundError):
            ages.append((path.stat().st_mtime, path))
    for _, path in sorted(ages)[: max(len(ages) - kept, 0)]:
        path.unlink(missing_ok=True)
