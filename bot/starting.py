"""The start of one agent: recovers again and again, until exchange and disk let it."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence

from bot.in_hand import MarkedInHand
from bot.refused_start import TELL_S
from storage.store import Store
from trading.agent import TradingAgent
from trading.domain.errors import (
    AuthLost,
    InstanceConflict,
    Retryable,
    SettingsInvalid,
    StorageLost,
    UmbraError,
    Unreachable,
)
from trading.installation import asked_in_vain
from trading.ports.clock import Clock

logger = logging.getLogger(__name__)

_RETRY_S = 1.0
_PAUSE_S_MAX = 15.0
_TOLD_AFTER_S = 10.0


class Start:
    """Recovers one agent; who is not at the terminal learns why that takes long, or fails."""

    def __init__(
        self,
        agent: TradingAgent,
        store: Store,
        in_hand: MarkedInHand,
        clock: Clock,
        tell: Callable[[str], Awaitable[bool]],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._agent = agent
        self._store = store
        self._in_hand = in_hand
        self._clock = clock
        self._tell = tell
        self._sleep = sleep
        # Of what came in vain last.
        self._kind: tuple[type[UmbraError], int | None] | None = None
        self._pause_s = _RETRY_S
        self._is_told = False

    async def run(
        self, restore: Callable[[], Awaitable[None]], findings: Sequence[str] = ()
    ) -> None:
        """Restore the account once, and recover; raises Fatal where waiting helps nobody.

        `findings` are told with those of the store.
        """
        is_restored, began_s = False, self._clock.monotonic()
        while True:
            try:
                if not is_restored:
                    await restore()
                    is_restored = True
                await self._agent.recover()
            except (AuthLost, InstanceConflict, SettingsInvalid) as error:
                await self._tell_refused(str(error))
                raise
            except Retryable as error:
                await self._wait_for_exchange(error, self._clock.monotonic() - began_s)
            except StorageLost as error:
                # What watches already is not started a second time in one process.
                if self._store.is_broken or self._agent.is_ready:
                    raise
                self._note(error, "start_waits_for_storage")
                await self._until_written()
            else:
                break
        await self._tell_findings((*self._store.findings, *findings))

    async def _wait_for_exchange(self, error: Retryable, waited_s: float) -> None:
        advice = asked_in_vain(self._agent.settings, error)
        is_news = self._note(error, "exchange_unreachable_at_start", advice)
        # Who answers and refuses says the same in a second, and is not asked each second for it.
        # Who is silent may be back at any moment, and stops wait for that.
        slower_s = min(self._pause_s * 2, _PAUSE_S_MAX)
        self._pause_s = slower_s if _is_refusal(error) and not is_news else _RETRY_S
        if not self._is_told and waited_s >= _TOLD_AFTER_S:
            with contextlib.suppress(StorageLost):
                await self._agent.tell_unreached(advice)
                self._is_told = True
        await self._sleep(self._pause_s)

    def _note(self, error: UmbraError, name: str, advice: str = "") -> bool:
        """Log what a start waits for, unless its kind came last; returns whether it did."""
        kind = type(error), getattr(error, "status", None)
        if kind == self._kind:
            return False
        self._kind = kind
        logger.warning(name, extra={"error": str(error), **({"advice": advice} if advice else {})})
        return True

    async def _until_written(self) -> None:
        """Wait for a full disk or a held database; raises StorageLost where none comes back."""
        while True:
            await self._sleep(_RETRY_S)
            try:
                await self._store.journal.append()
            except StorageLost:
                if self._store.is_broken:
                    raise
            else:
                return

    async def _tell_findings(self, findings: Sequence[str]) -> None:
        # What the journal lacks of an earlier one is in it by now, as a mode and an alarm.
        self._store.forget_lost()
        for number, finding in enumerate(findings):
            await self._alert(f"storage:{self._clock.now().isoformat()}:{number}", finding)
        for name, finding in self._in_hand.findings().items():
            await self._alert(f"apart:{name}", finding)

    async def _alert(self, alert_id: str, text: str) -> None:
        """Raise an alarm once it can be written: stops are watched, and do not end for it."""
        while True:
            try:
                await self._agent.alarms.alert(alert_id, text)
            except StorageLost:
                if self._store.is_broken:
                    raise
                await self._until_written()
            else:
                return

    async def _tell_refused(self, why: str) -> None:
        # Whoever is not at the terminal must learn that no stop is watched.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TELL_S):
                left = await self._left_undone()
                await self._tell(". ".join((f"Umbra does not start: {why}", *left)))

    async def _left_undone(self) -> Sequence[str]:
        try:
            return await self._agent.unwatched()
        except StorageLost as error:
            logger.warning("state_not_read", extra={"error": str(error)})
            return ("PRIVATE STOPS ARE NOT WATCHED. Which there are, and what is sold, is unknown",)


def _is_refusal(error: Retryable) -> bool:
    status = error.status if isinstance(error, Unreachable) else None
    return status is not None and 400 <= status < 500
