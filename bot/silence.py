"""The silence that an exchange asked for, in a file that the next start reads."""

import asyncio
import json
import logging
import threading
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from bot.small_files import replace_text
from trading.gateway.silence import Silence

logger = logging.getLogger(__name__)
_FILE = "silence.json"


@dataclass(slots=True)
class SilenceFile:
    """Keeps the silence of one exchange; what another one asked for is not believed.

    It is written in a thread: a disk that hangs must not hold up an order.
    """

    data_dir: Path
    place: str
    _newest: Silence | None = None
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def kept(self) -> Silence | None:
        """Read it; None where there is none, or nothing that can be read."""
        try:
            record = json.loads((self.data_dir / _FILE).read_text())
            said_at, until = (datetime.fromisoformat(record[name]) for name in ("said_at", "until"))
            is_known = record["exchange"] == self.place and said_at.tzinfo and until.tzinfo
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return Silence(said_at, until) if is_known else None

    def keep(self, silence: Silence) -> None:
        """Write it, soon."""
        self._newest = silence
        asyncio.get_running_loop().run_in_executor(None, self._write)

    def _write(self) -> None:
        with self._turn:
            # The newest one, in whichever order the threads come.
            silence = self._newest
            if silence is None:
                return
            record = {
                "exchange": self.place,
                "said_at": silence.said_at.isoformat(),
                "until": silence.until.isoformat(),
            }
            try:
                replace_text(self.data_dir / _FILE, json.dumps(record))
            except OSError as error:
                # A restart asks once then, as it did before.
                logger.warning("silence_not_kept", extra={"error": str(error)})
