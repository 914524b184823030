"""Small files of the data directory, replaced as a whole: a death leaves the old or the new one."""

import os
from pathlib import Path


def replace_text(path: Path, text: str) -> None:
    """Write a file beside it, and put that in its place; raises OSError."""
    replace_bytes(path, text.encode())


def replace_bytes(path: Path, content: bytes) -> None:
    """Write a file beside it, and put that in its place; raises OSError."""
    scratch = scratch_beside(path)
    scratch.write_bytes(content)
    scratch.replace(path)


def scratch_beside(path: Path) -> Path:
    """Where a file is written before it takes its place; a death or a full disk leaves it there."""
    return path.with_suffix(".tmp")


def write_over(path: Path, content: bytes) -> None:
    """Write over the first bytes of a file, for a disk without room for another; raises OSError.

    A death may leave a part of each: whoever reads has to tell.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        if os.pwrite(descriptor, content, 0) < len(content):
            raise OSError(f"only a part of {path} could be written")
    finally:
        os.close(descriptor)
