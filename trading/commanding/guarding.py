"""Keeps the stops that rest on the exchange in line with the trackers that want one."""

import logging
from decimal import Decimal

from trading import backstops, decide
from trading.commanding.workings import Workings
from trading.domain.errors import AlreadyRecorded
from trading.domain.money import plain
from trading.domain.order import Intent, IntentState, Purpose
from trading.domain.time import to_ms
from trading.domain.tracker import Tracker
from trading.risk.gate import Refusal, review
from trading.trackers import backstop

logger = logging.getLogger(__name__)
_PERSONAL = frozenset({Purpose.CLOSE, Purpose.PANIC})
_AGAIN_S = 60.0


class Guarding:
    """Places and withdraws backstops; one that was refused is tried again each minute."""

    def __init__(self, workings: Workings) -> None:
        self._of = workings
        # By tracker: when (monotonic seconds) a refused backstop may be tried again, and why not.
        self._refused: dict[int, tuple[float, str]] = {}

    async def sync(self) -> None:
        """Compare what rests with what is wanted, and act on the difference."""
        execution, trackers = self._of.execution, self._of.trackers
        busy = {each.symbol for each in execution.intents if each.purpose in _PERSONAL}
        acts = backstops.plan(
            [*trackers.with_backstop(), *trackers.acting()],
            [intent for intent, _ in execution.backstops],
            self._of.state.instruments,
            busy,
        )
        for act in acts:
            if isinstance(act, backstops.Withdraw):
                execution.withdraw(act.intent_id, act.reason)
            else:
                await self._place(act)

    def closed(self, intent: Intent) -> None:
        """Take note of how a backstop ended: one that was refused is not sent again at once."""
        if intent.tracker_id is None:
            return
        if intent.state is IntentState.EXPIRED:
            again_s = self._of.clock.monotonic() + _AGAIN_S
            self._refused[intent.tracker_id] = (again_s, intent.reason)
        else:
            self._refused.pop(intent.tracker_id, None)

    def resting(self, tracker_id: int) -> Decimal | None:
        """Return the price of a tracker's backstop that the exchange holds, None without one."""
        for intent, attempt in self._of.execution.backstops:
            is_held = attempt is not None and attempt.state in backstops.RESTING
            if intent.tracker_id == tracker_id and is_held:
                return intent.stop_price
        return None

    def words(self, tracker: Tracker) -> tuple[str, ...]:
        """Say where a tracker's backstop stands, and what is wrong with it; empty without one."""
        stop = tracker.spec.backstop
        if stop is None or not tracker.state.is_waiting:
            return ()
        instrument = self._of.instrument(tracker.symbol)
        warned = backstop.warning(tracker, to_ms(self._of.clock.now()), instrument)
        return (self._standing(tracker, stop), *((f"⚠️ {warned}",) if warned else ()))

    def _standing(self, tracker: Tracker, stop: Decimal) -> str:
        if self.resting(tracker.tracker_id) is not None:
            return f"Backstop {plain(stop)} rests on the exchange"
        refused = self._refused.get(tracker.tracker_id)
        if refused is not None:
            return f"⚠️ NO backstop on the exchange: {refused[1]}"
        return f"Backstop {plain(stop)} is not on the exchange yet"

    async def _place(self, act: backstops.Place) -> None:
        now_s = self._of.clock.monotonic()
        again_s, _ = self._refused.get(act.tracker.tracker_id, (float("-inf"), ""))
        if now_s < again_s:
            return
        of, now = self._of, self._of.clock.now()
        intent = decide.on_backstop(act.tracker, act.quantity, act.stop_price, now, of.decisions)
        book, activity = of.state.book.snapshot(), of.activity(intent)
        verdict = review(intent, book, of.limits, of.state.mode, activity, now)
        if isinstance(verdict, Refusal):
            reason = "; ".join(verdict.reasons)
            self._refused[act.tracker.tracker_id] = (now_s + _AGAIN_S, reason)
            logger.warning("backstop_refused", extra={"reason": reason})
            return
        try:
            await of.execution.open(verdict)
        except AlreadyRecorded:
            logger.info("backstop_known", extra={"intent": intent.intent_id})
