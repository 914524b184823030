"""What Umbra writes is for its owner alone: positions, chats and journals are nobody else's."""

import contextlib
import logging
import os
import stat
from pathlib import Path

from bot.small_files import scratch_beside

logger = logging.getLogger(__name__)
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
# What each start leaves, or what a copy that was put back begins with: the directory is Umbra's.
_STARTED = ("agent.lock", "umbra.db", "journal.reserve", "control.sock")
# What Umbra's parts and commands write, what a person puts there, and what a file system has from
# the start. Any of these may be there before a first start, or be all that was put back.
_FILES = (
    *("heartbeat.json", "owner.json", "refused_start.json", "second_channel.json", "secrets.json"),
    *("silence.json", "suspects.json", "watchdog.json"),
    *("in_hand.marks", "on_the_way.marks", "unrecorded.marks", "journal.mark"),
    *("HALT", "waiting.sock"),
)
_FOLDERS = ("archive", "charts", "exports", "scores", "lost+found")
_NOT_OF_OTHERS = {*_FILES, *_FOLDERS, *(scratch_beside(Path(name)).name for name in _FILES)}


def write_for_owner_only() -> None:
    """Let every file and folder of this process and its children be made 0600 and 0700."""
    os.umask(_OTHERS)


def of_others(directory: Path) -> tuple[str, ...]:
    """Return what shows that a directory is not Umbra's own: names in it; empty for its own.

    What is hidden shows nothing: the home of a user of its own has such files from the start. A
    directory that is closed already can be nobody else's.
    """
    if not directory.stat().st_mode & _OTHERS:
        return ()
    names = sorted(path.name for path in directory.iterdir() if not path.name.startswith("."))
    if any(_is_started(name) for name in names):
        return ()
    return tuple(name for name in names if name not in _NOT_OF_OTHERS)


def _is_started(name: str) -> bool:
    # A database has its log, lock, reserve and copies beside it, under its own name.
    return name in _STARTED or name.startswith(
        tuple(f"{one}{end}" for one in _STARTED for end in ".-")
    )


def close_to_others(directory: Path) -> None:
    """Take from others what they may do in a directory and with what lies at its top.

    It may have been made by hand, and earlier versions left files there that others could read.
    """
    for path in (directory, *directory.iterdir()):
        # What is replaced in this very moment is made anew, for its owner alone.
        with contextlib.suppress(FileNotFoundError):
            _close(path)


def leave_to_owner(directory: Path) -> None:
    """Give what root has made at the top of somebody's directory to them: they could not open it.

    Whoever looks after a service asks as root, where its user has no shell.
    """
    owner = directory.stat()
    if os.geteuid() != 0 or owner.st_uid == 0:
        return
    for path in directory.iterdir():
        with contextlib.suppress(OSError):
            found = path.lstat()
            # A file with a second name may be one of root's own, somewhere else.
            is_here_alone = found.st_nlink == 1 or stat.S_ISDIR(found.st_mode)
            if found.st_uid == 0 and is_here_alone:
                os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def _close(path: Path) -> None:
    mode = stat.S_IMODE(path.lstat().st_mode)
    if path.is_symlink() or not mode & _OTHERS:
        return
    try:
        path.chmod(mode & ~_OTHERS)
    except PermissionError:
        # Somebody else's, so that only he can.
        logger.warning("readable_by_others", extra={"path": str(path), "mode": f"{mode:03o}"})
