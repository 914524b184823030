"""The file HALT in the data directory: while it lies there, nothing new is bought."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

from bot.modes import THIS_MACHINE
from trading.desk import Desk
from trading.domain.commands import Command, SetTradingMode
from trading.domain.errors import Refused, StorageLost
from trading.domain.position import TradingMode
from trading.ports.clock import Clock

logger = logging.getLogger(__name__)

FILE = "HALT"
_LOOK_S = 0.5


class HaltFile:
    """Halts what runs while the file is there, and refuses every way out of the halt."""

    def __init__(self, data_dir: Path, clock: Clock) -> None:
        self.path = data_dir / FILE
        self._clock = clock
        self._is_unseen = False

    @property
    def is_there(self) -> bool:
        """Whether the file lies there, whatever is in it; raises OSError where nobody can tell."""
        try:
            self.path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    @property
    def note(self) -> str:
        """What the file means where nothing runs; empty without it."""
        try:
            is_there = self.is_there
        except OSError as error:
            return f"Whether a file {self.path} lies there cannot be told ({error.strerror})."
        return f"The file {self.path} lies there: the start comes up halted." * is_there

    def leave(self) -> None:
        """Leave the file, for the agent that runs or the next one; raises OSError."""
        self.path.touch(mode=0o600)

    def forbid(self, command: Command) -> None:
        """Raise Refused for a command that would end the halt."""
        if not isinstance(command, SetTradingMode) or command.mode.is_halted:
            return
        try:
            is_there = self.is_there
        except OSError as error:
            raise Refused(
                f"whether a file {self.path} keeps Umbra halted cannot be told ({error.strerror})",
                example="/resume",
            ) from None
        if is_there:
            raise Refused(
                f"the file {self.path} keeps Umbra halted; remove it first, on the machine"
                f" itself: rm {self.path}",
                example="/resume",
            )

    async def check(self, desk: Desk) -> None:
        """Halt if the file lies there; a stricter halt stays. Works before recovery, too."""
        if not self._is_seen() or desk.status().state.is_halted:
            return
        # It is read for as long as the halt stands, and the file may be gone before that.
        path = self.path
        reason = f"Halted by the file {path}. To go on: /resume, once it is gone (rm {path})."
        cause = f"local:halt-file:{self._clock.now().isoformat()}"
        try:
            await desk.execute(SetTradingMode(TradingMode.HALTED, reason), THIS_MACHINE, cause)
        except StorageLost as error:
            # Without a journal nothing is bought anyway; the next look tries again.
            logger.warning("halt_not_written", extra={"error": str(error)})

    def _is_seen(self) -> bool:
        try:
            is_there = self.is_there
        except OSError as error:
            # Stops go on: a directory that is lost is no halt, and no reason to end.
            if not self._is_unseen:
                logger.warning("halt_file_not_seen", extra={"error": str(error)})
            self._is_unseen = True
            return False
        self._is_unseen = False
        return is_there

    async def run(
        self, desk: Desk, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        """Look twice a second until cancelled."""
        while True:
            await self.check(desk)
            await sleep(_LOOK_S)
