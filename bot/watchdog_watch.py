"""Notices that the watchdog has died, and tells: agent and watchdog watch each other."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from bot import heartbeat
from bot.heartbeat import Sign
from trading.domain.chat import Severity
from trading.domain.errors import StorageLost
from trading.domain.events import ConditionChanged
from trading.ports.clock import Clock

WATCHDOG_SILENT = "watchdog_silent"
LOOK_S = 5.0
# Looks and not seconds: after a suspend this process may be the first of the two to go on.
SILENT_LOOKS = 4


@dataclass(slots=True)
class Silence:
    """Folds successive looks at the watchdog's sign of life; one that never ran owes none."""

    _seen: Sign | None = None
    _is_first: bool = True
    _unchanged: int = 0

    def look(self, sign: Sign | None) -> bool | None:
        """Whether the watchdog is dead; None when this look says nothing new."""
        # What cannot be read, or is gone, is no new sign.
        sign = sign or self._seen
        is_news = sign != self._seen and not self._is_first
        self._seen, self._is_first = sign, False
        if sign is None or sign.is_stopped or is_news:
            self._unchanged = 0
            return False
        self._unchanged += 1
        return True if self._unchanged > SILENT_LOOKS else None


class WatchdogWatch:
    """Looks each five seconds and records when the watchdog falls silent, and when it is back."""

    def __init__(
        self,
        data_dir: Path,
        clock: Clock,
        record: Callable[[ConditionChanged], Awaitable[None]],
        is_told: Callable[[], bool],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._data_dir = data_dir
        self._clock = clock
        self._record = record
        self._is_told = is_told
        self._sleep = sleep
        self._silence = Silence()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self.look()
            await self._sleep(LOOK_S)

    async def look(self) -> None:
        """Look once; tell what turned."""
        sign = await asyncio.to_thread(heartbeat.read_watchdog, self._data_dir)
        is_silent = self._silence.look(sign)
        if is_silent is None or is_silent == self._is_told():
            return
        severity = Severity.WARN if is_silent else Severity.INFO
        text = (
            "The watchdog gives no sign of life: if Umbra died now, nobody would tell you. "
            "Start it again with umbra watchdog"
            if is_silent
            else "the watchdog watches over Umbra, or was stopped in good order"
        )
        now = self._clock.now()
        # On a lost disk the storage watch tells what matters more; the next look tries again.
        with contextlib.suppress(StorageLost):
            await self._record(
                ConditionChanged(WATCHDOG_SILENT, None, is_silent, severity, text, now)
            )
