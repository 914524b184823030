"""The process's signs of life: on disk, to the service manager, and as numbers for the chat."""

import asyncio
import logging
import resource
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bot import heartbeat
from bot.control import wording
from bot.escalation import Escalation
from bot.supervisor import LagSampler, Supervisor
from bot.systemd import ServiceManager
from bot.telegram.render.text import count
from bot.watchdog_watch import WATCHDOG_SILENT, WatchdogWatch
from storage.store import Store
from trading.agent import TradingAgent
from trading.desk import Desk
from trading.ports.clock import Clock
from trading.reception import Vitals

logger = logging.getLogger(__name__)
# The greatest positions that a sign of life names, every five seconds.
_HOLDINGS_MAX = 20
# A beat ends before the next one is due.
_JOURNAL_S = 3.0
_LOST = ("the journal cannot be written",)


@dataclass(frozen=True, slots=True)
class Watched:
    """The parts of a process whose state is shown; `hanging` names those that came to a stand."""

    agent: TradingAgent
    store: Store
    supervisor: Supervisor
    escalation: Escalation
    hanging: Callable[[], Sequence[str]] = tuple


class VitalSigns:
    """Measures one running agent, and shows that it lives to whoever watches it."""

    def __init__(
        self, data_dir: Path, clock: Clock, watched: Watched, service: ServiceManager
    ) -> None:
        agent = watched.agent
        self._data_dir = data_dir
        self._clock = clock
        self._of = watched
        self._service = service
        self._lag = LagSampler(clock)
        self._watchdog = WatchdogWatch(
            data_dir, clock, agent.record, lambda: agent.state.has_condition(WATCHDOG_SILENT)
        )
        self._messages_waiting = 0
        self._journaling: asyncio.Task[None] | None = None
        self._beat_s = clock.monotonic()
        self._hanging: tuple[str, ...] = ()

    @property
    def tasks(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """What runs from the start on."""
        return {
            "loop_lag": self._lag.run,
            "service_manager": lambda: self._service.run(self._is_beating),
        }

    async def watch_watchdog(self) -> None:
        """Look back at the watchdog until cancelled; what it finds is journaled."""
        await self._watchdog.run()

    async def beat(self, desk: Desk) -> None:
        """Leave a sign of life on disk and in the journal; with a lost journal on disk alone."""
        self._beat_s = self._clock.monotonic()
        health = desk.health()
        watches = count(self._of.agent.trackers.count(), "tracker")
        wrong = "; ".join([*_LOST[: health.is_storage_degraded], *health.troubles])
        self._service.status(wrong or f"watching {watches}")
        # With the journal lost or held the stops are still watched, and the watchdog has to know.
        await self._sign(desk, wrong or watches, is_healthy=health.is_healthy)
        await self._journal()

    async def sign_off(self, desk: Desk) -> None:
        """Leave the last sign of life, that of an orderly end."""
        # First of all: ending takes a while, and silence would look like a death.
        await self._sign(desk, "stopped", is_healthy=False, is_stopped=True)

    async def _journal(self) -> None:
        """Go on with what the journal is asked; a held one keeps the next sign from nobody."""
        work = self._journaling or asyncio.create_task(self._ask_journal(), name="journaled beat")
        self._journaling = work
        await asyncio.wait({work}, timeout=_JOURNAL_S)
        if work.done():
            self._journaling = None
            await work

    async def _ask_journal(self) -> None:
        await self._of.agent.beat()
        self._messages_waiting = await self._of.store.records.messages_waiting()

    async def _sign(
        self, desk: Desk, note: str, *, is_healthy: bool, is_stopped: bool = False
    ) -> None:
        try:
            await asyncio.to_thread(
                heartbeat.write,
                self._data_dir,
                self._clock.now(),
                is_healthy=is_healthy,
                note=note,
                is_stopped=is_stopped,
                holdings=await _holdings(desk),
            )
        except OSError as error:
            # A disk that takes no sign may still take the journal's, and the next one.
            logger.warning("sign_not_written", extra={"note": note, "error": str(error)})

    def _is_beating(self) -> bool:
        # Before recovery has ended the exchange may be away for long: no restart would help.
        if not self._of.agent.is_ready:
            return True
        hanging = tuple(self._of.hanging())
        if self._clock.monotonic() - self._beat_s >= heartbeat.AGE_S_MAX:
            hanging = ("heartbeat", *hanging)
        if hanging and hanging != self._hanging:
            logger.critical("parts_hang", extra={"parts": ", ".join(hanging)})
        self._hanging = hanging
        return not hanging

    def measure(self) -> Vitals:
        """Return what only the process knows of itself."""
        memory_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return Vitals(
            loop_lag_ms_p99=self._lag.p99_ms,
            loop_lag_ms_max=self._lag.max_ms,
            is_storage_degraded=self._of.store.is_degraded,
            messages_waiting=self._messages_waiting,
            memory_mb=memory_kb / 1024,
            tasks=self._of.supervisor.restarts_s(),
            second_channel=self._of.escalation.state,
        )


async def _holdings(desk: Desk) -> list[str]:
    # What a beat looks at takes milliseconds in all: prices, and stops, have turns in between.
    await asyncio.sleep(0)
    lines: list[str] = []
    for position in desk.greatest_positions(_HOLDINGS_MAX):
        lines += wording.holdings((position,))
        await asyncio.sleep(0)
    return lines
