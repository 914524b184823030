"""What only a person can mend: told loudly and once, and what takes leave to add risk away."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from trading.domain.chat import Severity
from trading.domain.errors import AlreadyRecorded, StorageLost
from trading.domain.events import AlertRaised, TradingModeChanged
from trading.domain.tracker import Tracker
from trading.ports.clock import Clock
from trading.risk import halts
from trading.risk.halts import Halt
from trading.state import AgentState


class Alarms:
    """Raises alerts that repeat until somebody acknowledges them."""

    def __init__(
        self, state: AgentState, clock: Clock, record: Callable[..., Awaitable[None]]
    ) -> None:
        self._state = state
        self._clock = clock
        self._record = record
        self._halting = asyncio.Lock()

    async def alert(self, alert_id: str, text: str, severity: Severity = Severity.CRIT) -> None:
        """Raise an alert; one that stands under this id already is not raised again."""
        with contextlib.suppress(AlreadyRecorded):
            await self._record(AlertRaised(alert_id, severity, text, self._clock.now()))

    async def halt(self, halt: Halt | None) -> bool:
        """Bring the account into a stricter mode; returns whether that changed anything."""
        async with self._halting:
            stricter = halts.stricter(self._state.mode, halt)
            if stricter is None:
                return False
            now = self._clock.now()
            await self._record(TradingModeChanged(stricter.mode, stricter.reason, halts.BY, now))
            return True

    async def halt_loudly(self, halt: Halt | None, kind: str, where: str = "it") -> None:
        """Halt, and ask a person to look into `where` (the log, say) before a resume."""
        if halt is not None and await self.halt(halt):
            await self.alert(
                f"{kind}:{self._clock.now().isoformat()}",
                f"{halt.reason}. Private stops are watched and sell unless everything is halted, "
                f"nothing new is bought. Look into {where}, then /resume",
            )

    async def stranded(self, tracker: Tracker) -> None:
        """Tell that a tracker has fired and nothing sells for it."""
        await self.alert(
            f"stranded:{tracker.tracker_id}:{tracker.arm_seq}",
            f"#{tracker.tracker_id} {tracker.symbol} had fired and nothing is being sold: "
            f"/close {tracker.symbol} sells, /abort {tracker.tracker_id} gives it up",
        )

    async def task_died(self, name: str, error: str) -> None:
        """Tell that a task of the process died and runs again, at most once an hour per task."""
        # A lost disk is told past the journal; it must not end the process here.
        with contextlib.suppress(StorageLost):
            await self.alert(
                f"task_died:{name}:{self._clock.now():%Y-%m-%dT%H}",
                f"A part of Umbra died and was started again: {name} ({error}). "
                "Five deaths within a minute end the process; the log says more",
            )

    async def advice_died(self, name: str, error: str) -> None:
        """Tell, at most once an hour, that a task died which no stop and no order needs."""
        with contextlib.suppress(StorageLost):
            await self.alert(
                f"advice_died:{name}:{self._clock.now():%Y-%m-%dT%H}",
                f"The {name} died and is started again ({error}). Stops and orders do not need it; "
                "the log says more",
                Severity.WARN,
            )
