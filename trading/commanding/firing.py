"""From a fired rule to an order at work: fitted, reviewed and opened; again after a refusal."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import partial

from trading import decide
from trading.alarms import Alarms
from trading.commanding.workings import Workings
from trading.domain.errors import AlreadyRecorded, Refused, StorageLost
from trading.domain.events import Event, TrackerChanged
from trading.domain.money import ZERO
from trading.domain.order import BACKSTOP_SOLD, Intent, Side
from trading.domain.tracker import Evidence, Tracker, TrackerChange, TrackerState
from trading.execution.engine import BY_PERSON, HELD
from trading.risk.gate import Approved, Refusal, review
from trading.trackers import rules

_Write = Callable[[Sequence[Event]], Awaitable[None]]
_GONE = "its coins were sold by another order or outside of Umbra"


class Firing:
    """Opens the one intent of each arming; a sale that was refused is tried until it stands."""

    def __init__(self, workings: Workings, alarms: Alarms) -> None:
        self._of = workings
        self._alarms = alarms
        # Armings whose one sale was made before: there is never a second.
        self._spent: set[str] = set()
        self._given_up: set[int] = set()
        # Of armings: how to write anew what their trigger came to, whose record was taken for lost.
        self._unanswered: dict[str, Callable[[], Awaitable[None]]] = {}

    async def fire(self, tracker: Tracker, evidence: Evidence) -> None:
        """Write trigger, intent and first attempt in one transaction, or trigger and refusal."""
        arming = self._intent_id(tracker)
        try:
            await self._fire_anew(tracker, evidence)
        except AlreadyRecorded:
            if arming not in self._unanswered:
                raise
            # The trigger is durable with that: only the answer was lost.
            await self._unanswered[arming]()
        self._unanswered.pop(arming, None)

    async def _fire_anew(self, tracker: Tracker, evidence: Evidence) -> None:
        if tracker.side is Side.BUY:
            await self._fire(tracker, evidence)
            return
        if not ZERO < tracker.quantity <= self._left(tracker):
            # Its backstop or another exit may have sold these coins this moment.
            await self._of.execution.booked(tracker.symbol)
        async with self._of.execution.no_backstop_books(tracker.tracker_id):
            if (left := self._newest(tracker)) is not None:
                await self._fire(left, evidence)

    async def _fire(self, tracker: Tracker, evidence: Evidence) -> None:
        is_sale, is_gone = tracker.side is Side.SELL, False
        if is_sale and not ZERO < tracker.quantity <= self._left(tracker):
            tracker, is_gone = self._fitted(tracker), self._is_gone(tracker)
        now = self._of.clock.now()
        cause = TrackerChanged(tracker, TrackerChange.TRIGGERED, now, evidence)
        if is_gone:
            await self._write(tracker, self._record, cause, await self._ended(tracker))
            return
        intent = decide.on_trigger(tracker, evidence.price, now, self._of.decisions)
        verdict = self._review(intent)
        if isinstance(verdict, Refusal):
            await self._refuse(tracker, cause, "; ".join(verdict.reasons), verdict)
            return
        try:
            await self._open(tracker, verdict, cause)
        except Refused as refused:
            if isinstance(refused, AlreadyRecorded) or not is_sale:
                raise
            await self._refuse(tracker, cause, str(refused))

    # ------------------------------------------------------------ after a refusal

    def is_refused(self, tracker: Tracker) -> bool:
        """Whether a sale has fired in this arming, and its intent could not be opened."""
        return (
            (tracker.state, tracker.side) == (TrackerState.BLOCKED, Side.SELL)
            and tracker.intent_id == self._intent_id(tracker)
            and self.intent_of(tracker) is None
        )

    def intent_of(self, tracker: Tracker) -> str | None:
        """Return the id of a tracker's intent at work."""
        intent_id = self._intent_id(tracker)
        is_open = any(intent.intent_id == intent_id for intent in self._of.execution.intents)
        return intent_id if is_open else None

    async def retry(self) -> None:
        """Ask again for every sale that was refused: what stood in its way may be gone."""
        for seen in self._of.trackers.acting():
            # It may have moved on while another one was written.
            tracker = self._of.trackers.get(seen.tracker_id)
            if tracker is not None and self._may_try(tracker):
                await self._try(tracker, ())

    async def exit_now(self, tracker: Tracker, cause: Event) -> None:
        """Open a refused sale at a person's word; raises Refused with what stands in its way."""
        if not self._may_try(tracker):
            raise Refused(f"#{tracker.tracker_id} has no exit at work", "/orders")
        reasons = await self._try(tracker, (cause,))
        if reasons:
            raise Refused("; ".join(reasons), f"/abort {tracker.tracker_id}")

    async def give_up(self, tracker: Tracker, cause: Event) -> None:
        """End a blocked tracker that has no intent at work; its coins stay unsold.

        Raises StorageLost where nobody can tell whether that was written: it has ended even so.
        """
        now = self._of.clock.now()
        ended = replace(
            tracker,
            state=TrackerState.ABORTED,
            quantity=ZERO,
            quote=ZERO,
            reason=BY_PERSON,
            changed_at=now,
        )
        # Until it is durable nothing may open its intent.
        self._given_up.add(tracker.tracker_id)
        try:
            told = TrackerChanged(ended, TrackerChange.ABORTED, now, reason=BY_PERSON)
            await self._of.execution.insist((cause,), (told,))
        finally:
            self._given_up.discard(tracker.tracker_id)

    # ------------------------------------------------------------ inside

    def _may_try(self, tracker: Tracker) -> bool:
        return (
            self.is_refused(tracker)
            and tracker.symbol in self._of.state.instruments
            and tracker.tracker_id not in self._given_up
            and self._intent_id(tracker) not in self._spent
        )

    def _newest(self, tracker: Tracker) -> Tracker | None:
        """Return what has fired with what its backstop left of it, None where that was nothing."""
        known = self._of.trackers.get(tracker.tracker_id)
        if known is None or known.arm_seq != tracker.arm_seq:
            return None
        return replace(tracker, quantity=known.quantity)

    async def _try(self, tracker: Tracker, causes: Sequence[Event]) -> Sequence[str]:
        async with self._of.execution.no_backstop_books(tracker.tracker_id):
            left = self._newest(tracker)
            return () if left is None else await self._open_again(left, causes)

    async def _open_again(self, tracker: Tracker, causes: Sequence[Event]) -> Sequence[str]:
        if tracker.quantity <= 0 or self._is_gone(tracker):
            await self._of.record(*causes, await self._ended(tracker))
            return ()
        fitted, price = self._fitted(tracker), self._reference(tracker)
        if price is None:
            return (f"there is no price of {tracker.symbol} now",)
        now = self._of.clock.now()
        verdict = self._review(decide.on_trigger(fitted, price, now, self._of.decisions))
        if isinstance(verdict, Refusal):
            return verdict.reasons
        try:
            acting = self._acting(fitted, verdict)
            await self._of.execution.open(verdict, (*causes, acting))
        except AlreadyRecorded:
            await self._strand(tracker)
            return (f"the sale of #{tracker.tracker_id} was made before",)
        return ()

    def _reference(self, tracker: Tracker) -> Decimal | None:
        is_hard = tracker.fired_rule == rules.HARD_STOP
        level = tracker.hard_stop_price if is_hard else tracker.stop_price
        present = self._of.prices.price(tracker.symbol)
        if tracker.spec.slippage_max is not None:
            # The person's floor stays where it was when the rule came true.
            return level or present
        return present or level

    async def _open(self, tracker: Tracker, approved: Approved, trigger: TrackerChanged) -> None:
        if approved.is_held:
            held = replace(self._acting(tracker, approved), evidence=trigger.evidence)
            await self._of.execution.open(approved, (replace(trigger, reason=held.reason), held))
            return
        # What fires and is at work in one transaction is one fact, and written half as long.
        at_work = self._acting(tracker, approved).tracker
        trigger = replace(trigger, tracker=at_work)
        if tracker.side is Side.BUY:
            await self._of.execution.open(approved, (trigger,))
            return
        with self._of.execution.unwinding(tracker.symbol) as unwound:
            await self._of.execution.open(approved, (trigger, *unwound))

    def _acting(self, tracker: Tracker, approved: Approved) -> TrackerChanged:
        intent = approved.intent
        state, change, reason = TrackerState.EXITING, TrackerChange.EXITING, ""
        if approved.is_held:
            state, change, reason = TrackerState.BLOCKED, TrackerChange.BLOCKED, str(HELD)
        acting = replace(tracker, state=state, intent_id=intent.intent_id, reason=reason)
        return TrackerChanged(acting, change, intent.created_at, reason=reason)

    async def _refuse(
        self, tracker: Tracker, cause: TrackerChanged, reason: str, refusal: Refusal | None = None
    ) -> None:
        is_sale = tracker.side is Side.SELL
        state, change = TrackerState.EXPIRED, TrackerChange.EXPIRED
        if is_sale:
            # The id says that this arming has fired: it is tried again.
            state, change = TrackerState.BLOCKED, TrackerChange.BLOCKED
            tracker = replace(tracker, intent_id=self._intent_id(tracker))
        ended = replace(tracker, state=state, reason=reason)
        cause = replace(cause, reason=reason)
        end = TrackerChanged(ended, change, cause.at, cause.evidence, reason)
        unwind = partial(self._of.execution.unwind, tracker.symbol)
        write = unwind if is_sale else self._record
        if refusal is not None:
            write = partial(self._write_refusal, write, refusal)
        await self._write(tracker, write, cause, end)

    async def _write(self, tracker: Tracker, write: _Write, cause: Event, end: Event) -> None:
        """Write a trigger and what it came to; raises StorageLost, and it is asked for again."""
        try:
            await write((cause, end))
        except StorageLost:
            self._unanswered[self._intent_id(tracker)] = partial(write, (end,))
            raise

    async def _write_refusal(self, write: _Write, refusal: Refusal, facts: Sequence[Event]) -> None:
        """Write what the gate refused, and see to a cap that was reached, however late that is."""
        await write(facts)
        await self._of.refused(refusal)

    async def _record(self, facts: Sequence[Event]) -> None:
        await self._of.record(*facts)

    async def _ended(self, tracker: Tracker) -> TrackerChanged:
        step = self._of.state.instruments[tracker.symbol].quantity_step
        sold = await self._of.execution.backstop_sold(tracker)
        state, reason = TrackerState.CLOSED_EXTERNAL, _GONE
        if sold > tracker.quantity - step:
            state, reason = TrackerState.CLOSED, BACKSTOP_SOLD
        now = self._of.clock.now()
        ended = replace(tracker, state=state, quantity=ZERO, reason=reason, changed_at=now)
        return TrackerChanged(ended, TrackerChange.CLOSED, now, reason=reason)

    async def _strand(self, tracker: Tracker) -> None:
        self._spent.add(self._intent_id(tracker))
        await self._alarms.stranded(tracker)

    def _review(self, intent: Intent) -> Approved | Refusal:
        return review(
            intent,
            self._of.state.book.snapshot(),
            self._of.limits,
            self._of.state.mode,
            self._of.activity(intent),
            self._of.clock.now(),
        )

    def _intent_id(self, tracker: Tracker) -> str:
        return decide.intent_id(tracker, self._of.decisions)

    def _is_gone(self, tracker: Tracker) -> bool:
        return self._left(tracker) <= ZERO and not self._of.execution.exiting(tracker.symbol)

    def _left(self, tracker: Tracker) -> Decimal:
        execution, symbol = self._of.execution, tracker.symbol
        managed = self._of.state.book.managed(symbol) - execution.exiting(symbol)
        # A slice counts what its backstop is selling until that has ended.
        managed += execution.selling(tracker.tracker_id)
        return self._of.state.instruments[symbol].quantity(managed)

    def _fitted(self, tracker: Tracker) -> Tracker:
        # Coins sold elsewhere a moment ago may not have shrunk the slice yet: the rest still sells.
        if tracker.side is Side.BUY:
            return tracker
        left = self._left(tracker)
        return replace(tracker, quantity=left) if ZERO < left < tracker.quantity else tracker
