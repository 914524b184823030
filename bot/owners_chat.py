"""The owner's chat in a file: whom a start tells that cannot read its database."""

import asyncio
import json
import logging
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from bot.small_files import replace_text
from trading.domain.chat import Person, Role

logger = logging.getLogger(__name__)
_FILE = "owner.json"


@dataclass(slots=True)
class OwnersChat:
    """Keeps where the owner was last; written in a thread, for a disk that hangs."""

    data_dir: Path
    _newest: int | None = None
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def kept(self) -> int | None:
        """Read it; None where nobody owned this installation yet, or it cannot be read."""
        try:
            record = json.loads((self.data_dir / _FILE).read_text())
            return int(record["chat_id"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def keep(self, people: Iterable[Person]) -> None:
        """Take in who is active now; without an owner the last one stays."""
        owner = next((one.chat_id for one in people if one.role is Role.OWNER), None)
        if owner is not None and owner != self._newest:
            self._newest = owner
            asyncio.get_running_loop().run_in_executor(None, self._write)

    def _write(self) -> None:
        with self._turn:
            # The newest one, in whichever order the threads come.
            record = {"chat_id": self._newest}
            try:
                replace_text(self.data_dir / _FILE, json.dumps(record))
            except OSError as error:
                # A start that waits tells the second channel then.
                logger.warning("owner_not_kept", extra={"error": str(error)})
