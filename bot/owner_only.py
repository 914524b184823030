"""What Umbra writes is for its owner alone: positions, chats and journals are nobody else's."""

import contextlib
import logging
import os
import stat
from pathlib import Path

logger = logging.getLogger(__name__)
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def write_for_owner_only() -> None:
    """Let every file and folder of this process and its children be made 0600 and 0700."""
    os.umask(_OTHERS)


def close_to_others(directory: Path) -> None:
    """Take from others what they may do in a directory and with what lies at its top.

    It may have been made by hand, and earlier versions left files there that others could read.
    """
    for path in (directory, *directory.iterdir()):
        # What is replaced in this very moment is made anew, for its owner alone.
        with contextlib.suppress(FileNotFoundError):
            _close(path)


def _close(path: Path) -> None:
    mode = stat.S_IMODE(path.lstat().st_mode)
    if path.is_symlink() or not mode & _OTHERS:
        return
    try:
        path.chmod(mode & ~_OTHERS)
    except PermissionError:
        # Somebody else's, so that only he can.
        logger.warning("readable_by_others", extra={"path": str(path), "mode": f"{mode:03o}"})
