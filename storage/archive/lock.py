"""One writer per archive, whichever process it is in."""

from pathlib import Path

from storage.lease import FileLock
from trading.domain.errors import InstanceConflict


class ArchiveLock(FileLock):
    """One writer per archive."""

    def __init__(self, root: Path) -> None:
        super().__init__(root / "archive.lock")
        self._root = root

    def take(self) -> None:
        """Take the lock or raise InstanceConflict."""
        self.acquire(
            lambda holder: InstanceConflict(
                f"the archive {self._root} is being written by {holder}",
                "wait until that has ended",
            )
        )
