"""Follows orders and balances as the exchange tells them; queries cover what a gap has missed."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial

from trading.commanding.workings import Workings
from trading.domain.chat import Severity
from trading.domain.errors import AuthLost, Retryable, StorageLost
from trading.domain.events import ConditionChanged
from trading.domain.instrument import base_and_quote
from trading.domain.position import Balance, Movement
from trading.follow_ups import FollowUps
from trading.housekeeping import Housekeeping
from trading.reachability import EXCHANGE_DOWN

logger = logging.getLogger(__name__)
ACCOUNT_STREAM_DOWN = "account_stream_down"
_STABLE_S = 30.0
_TOLD_AFTER_S = 20.0
_RECONCILE_S = 5.0
# A subscription takes no longer, as a rule: what changed while it was made is asked for then.
_SUBSCRIBED_S = 2.0
_BACK_OFF_S = (0.2, 0.5, 1.0, 2.0, 5.0)


class AccountStream:
    """The account's side of the exchange's streams; `state` says how it is."""

    def __init__(
        self,
        workings: Workings,
        housekeeping: Housekeeping,
        follow_ups: FollowUps,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._of = workings
        self._housekeeping = housekeeping
        self._follow_ups = follow_ups
        self._sleep = sleep
        self._reconciled_s = float("-inf")
        # Monotonic seconds: when the present connection began, and since when none has held.
        self._began_s = workings.clock.monotonic()
        self._lost_s: float | None = None
        self._is_told = False
        # Whether the stream showed less than is managed, and nothing was compared since.
        self._is_short = False
        self.state = "connecting"

    async def run(self) -> None:
        """Follow until cancelled; what a lost stream missed is asked for before the next one."""
        of, failures = self._of, 0
        while True:
            began_s = self._began_s = of.clock.monotonic()
            self.state = "live"
            of.state.book.hear(began_s + _SUBSCRIBED_S)
            covering = asyncio.create_task(self._cover())
            try:
                await of.gateway.stream_account(
                    of.execution.on_report, self._on_balance, self._on_movement
                )
            except Retryable as error:
                logger.warning("account_stream_lost", extra={"error": str(error)})
            finally:
                covering.cancel()
            self.state = "reconnecting"
            of.state.book.hear(None)
            if self._lost_s is None:
                self._lost_s = of.clock.monotonic()
            if of.clock.monotonic() - began_s > _STABLE_S:
                failures = 0
            await self._sleep(_BACK_OFF_S[min(failures, len(_BACK_OFF_S) - 1)])
            failures += 1
            await self._catch_up(
                of.execution.check_open_attempts, self._housekeeping.refresh_balances
            )

    def load(self) -> None:
        """Take over what was told before this start, so that its end is told too."""
        self._is_told = self._of.state.has_condition(ACCOUNT_STREAM_DOWN)

    def judge(self) -> None:
        """Tell of a stream that does not come back, and of its return; called every few seconds."""
        now_s = self._of.clock.monotonic()
        self._look(now_s)
        is_held = self.state == "live" and now_s - self._began_s >= _STABLE_S
        if is_held:
            self._lost_s = None
        is_lost = self._lost_s is not None and now_s - self._lost_s >= _TOLD_AFTER_S
        # One that came back in time has still to hold before its loss is forgotten.
        is_down = is_lost and (self._is_told or self.state != "live")
        if is_down is self._is_told or (self._is_told and not is_held):
            return
        if is_down and self._of.state.has_condition(EXCHANGE_DOWN):
            # That nothing of it answers says so already.
            return
        self._is_told = is_down
        text, severity = "the account is followed live again", Severity.INFO
        if is_down:
            text = (
                "orders and balances are not told live: open orders are asked for every 10 s, so a "
                "fill may be known that much later"
            )
            severity = Severity.WARN
        now = self._of.clock.now()
        event = ConditionChanged(ACCOUNT_STREAM_DOWN, None, is_down, severity, text, now)
        self._follow_ups.add(partial(self._of.record, event))

    async def _cover(self) -> None:
        """Read balances once more: they may have changed before the subscription."""
        await self._sleep(_SUBSCRIBED_S)
        await self._catch_up(self._housekeeping.refresh_balances)

    async def _catch_up(self, *looks: Callable[[], Awaitable[None]]) -> None:
        try:
            for look in looks:
                await look()
        except (Retryable, AuthLost, StorageLost) as error:
            # The jobs ask again. A disk that takes nothing is told, and a broken one ends the
            # process, where it is watched.
            logger.warning("catch_up_failed", extra={"error": str(error)})

    def _on_balance(self, balance: Balance) -> None:
        book = self._of.state.book
        book.set_balance(balance)
        self._housekeeping.lost.missing.streamed(balance)
        now_s = self._of.clock.monotonic()
        is_short = book.managed_of(balance.asset) > balance.total
        is_quiet = not any(
            base_and_quote(each)[0] == balance.asset for each in self._of.execution.moving()
        )
        if is_short and is_quiet:
            self._is_short = True
            self._look(now_s)

    def _look(self, now_s: float) -> None:
        """Compare what the stream shows too little of; what comes too soon waits for `judge`."""
        if self._is_short and now_s - self._reconciled_s > _RECONCILE_S:
            self._is_short, self._reconciled_s = False, now_s
            self._follow_ups.add(self._housekeeping.reconcile)

    def _on_movement(self, movement: Movement) -> None:
        if not self._housekeeping.transfers.told(movement):
            return
        self._housekeeping.funds.take(movement)
        # What left counts at once, what came once it is known to be among the balances: in between
        # either looks like a gain, which ends nothing, and never like a loss.
        has_left = movement.quantity < 0
        settle = self._housekeeping.funds.settle
        self._follow_ups.add(settle if has_left else self._housekeeping.refresh_balances)
