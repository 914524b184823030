"""Keeps the stops that rest on the exchange in line with the trackers that want one."""

import logging
from collections.abc import Iterable, Sequence
from decimal import Decimal

from trading import backstops, decide
from trading.commanding.workings import Workings
from trading.domain.chat import Severity
from trading.domain.errors import AlreadyRecorded
from trading.domain.events import AlertEnded, AlertRaised
from trading.domain.instrument import base_and_quote
from trading.domain.money import ZERO, grouped, plain
from trading.domain.order import Attempt, Intent, IntentState, Purpose, Side
from trading.domain.time import to_ms
from trading.domain.tracker import Tracker
from trading.ports.storage import StoredState
from trading.reachability import EXCHANGE_DOWN
from trading.risk.gate import Refusal, review
from trading.trackers import backstop

logger = logging.getLogger(__name__)
_AGAIN_S = 60.0
_LOST = "backstop_lost:"


class Guarding:
    """Places and withdraws backstops; one that was refused is tried again each minute.

    One that is not below the price is held back, for the exchange would refuse it: told once.
    """

    def __init__(self, workings: Workings) -> None:
        self._of = workings
        # By tracker: when (monotonic seconds) a refused backstop may be tried again, and why not.
        self._refused: dict[int, tuple[float, str]] = {}
        # By tracker: the intent that has rested, and when (monotonic seconds) it was lost; then
        # what is to be told of those that could not be replaced.
        self._stood: dict[int, str] = {}
        self._lost: dict[int, float] = {}
        self._untold: list[AlertRaised] = []
        self._held_back: set[str] = set()

    def load(self, stored: StoredState) -> None:
        """Take in which ones rested as last known: what is missing by now was lost unseen."""
        placed = (one for one in stored.intents if one.purpose is Purpose.BACKSTOP)
        decided = {intent.intent_id: intent for intent in placed}
        self._note(intent for intent, _ in backstops.resting(decided, stored.attempts))

    def _note(self, resting: Iterable[Intent]) -> None:
        self._stood |= {intent.tracker_id or 0: intent.intent_id for intent in resting}

    async def sync(self) -> None:
        """Compare what rests with what is wanted, and act on the difference."""
        execution, trackers = self._of.execution, self._of.trackers
        self._note(
            intent
            for intent, attempt in execution.backstops
            if attempt is not None and attempt.state in backstops.RESTING
        )
        await self._tell()
        acts = backstops.plan(
            [*trackers.with_backstop(), *trackers.acting()],
            [intent for intent, _ in execution.backstops],
            self._of.state.instruments,
            execution.claimed,
            execution.backstops_leaving,
            self._growing(),
        )
        for act in acts:
            if isinstance(act, backstops.Withdraw):
                execution.withdraw(act.intent_id, act.reason)
            else:
                await self._place(act)

    def _growing(self) -> frozenset[str]:
        """Return those that a greater one may take the place of: a minute later or more.

        In between nothing rests, so none gives way to one that might not come, and a purchase in
        many parts makes it do so once.
        """
        of = self._of
        if of.state.mode.is_halted or of.state.has_condition(EXCHANGE_DOWN):
            return frozenset()
        orders = [
            (tracker, intent, attempt)
            for intent, attempt in of.backstops()
            if (tracker := of.trackers.get(intent.tracker_id or 0)) is not None
            and attempt.request.quantity < tracker.quantity
            and not self._wait_s(intent)
            and (price := of.prices.price(intent.symbol)) is not None
            and (intent.stop_price or price) < price
        ]
        # Nearly always there is none, and this is asked each second.
        if not orders:
            return frozenset()
        changing = of.execution.changing()
        calm = [each for each in orders if each[1].symbol not in changing]
        return backstops.growing(calm, self._free(), of.state.instruments)

    def _free(self) -> dict[str, Decimal]:
        """Return the units of each asset that no order locks and no sale at work is about to."""
        resting = {
            attempt.intent_id
            for attempt in self._of.execution.attempts
            if attempt.state in backstops.RESTING
        }
        balances = self._of.state.book.snapshot().balances
        free = {asset: balance.free for asset, balance in balances.items()}
        for intent in self._of.execution.intents:
            base = base_and_quote(intent.symbol)[0]
            if intent.side is Side.SELL and intent.intent_id not in resting and base in free:
                free[base] -= intent.residual
        return free

    async def _tell(self) -> None:
        """Tell of what is lost, and take back what is told where it is true no more."""
        while self._untold:
            alert = self._untold.pop(0)
            if self._is_missed(alert.tracker_id):
                await self._of.record(alert)
        for alert in self._of.state.alerts:
            if alert.alert_id.startswith(_LOST) and not self._is_missed(alert.tracker_id):
                await self._of.record(AlertEnded(alert.alert_id, self._of.clock.now()))

    def _is_missed(self, number: int | None) -> bool:
        """Whether a tracker waits that wants a backstop and has none."""
        return number is not None and self._is_wanted(number) and self.resting(number) is None

    def _is_wanted(self, number: int) -> bool:
        tracker = self._of.trackers.get(number)
        if tracker is None or tracker.spec.backstop is None:
            return False
        return tracker.state.is_waiting

    def closed(self, intent: Intent) -> None:
        """Take note of how a backstop ended: none is sent more than once a minute.

        One that had rested, and that the exchange took off, is placed again at once, unless it was
        so within the minute before; where that cannot be, a person must know.
        """
        number = intent.tracker_id
        if number is None:
            return
        if intent.state is not IntentState.EXPIRED:
            for known in (self._refused, self._stood, self._lost):
                known.pop(number, None)
            return
        now_s, wait_s = self._of.clock.monotonic(), self._wait_s(intent)
        is_replaced = self._is_replaced(intent, number)
        self._stood.pop(number, None)
        if is_replaced:
            self._lost[number], wait_s = now_s, 0.0
        elif wait_s:
            self._miss(intent.symbol, number, intent.reason, f"{_LOST}{intent.intent_id}")
        self._refused[number] = (now_s + wait_s, intent.reason)

    def gone(self, intent: Intent) -> Sequence[AlertRaised]:
        """Return the alarm about a lost backstop that this one should have replaced, or nothing.

        It is written with the end of `intent`: whoever reads of one finds the other beside it.
        """
        number = intent.tracker_id
        is_refused = intent.purpose is Purpose.BACKSTOP and intent.state is IntentState.EXPIRED
        if number is None or not is_refused or self._is_replaced(intent, number):
            return ()
        if number not in self._lost or not self._wait_s(intent) or not self._is_wanted(number):
            return ()
        return (self._alarm(intent.symbol, number, intent.reason, f"{_LOST}{intent.intent_id}"),)

    def _wait_s(self, intent: Intent) -> float:
        age_s = (self._of.clock.now() - intent.created_at).total_seconds()
        return max(_AGAIN_S - age_s, 0.0)

    def _is_replaced(self, intent: Intent, number: int) -> bool:
        """Whether one has rested, and none was lost so within the minute before."""
        since_s = self._of.clock.monotonic() - self._lost.get(number, float("-inf"))
        return self._stood.get(number) == intent.intent_id and since_s >= _AGAIN_S

    def _miss(self, symbol: str, number: int, reason: str, alert_id: str) -> bool:
        """Whether a backstop was lost and is not replaced, which a person is to be told then."""
        if self._lost.pop(number, None) is None:
            return False
        if alert_id not in {alert.alert_id for alert in self._of.state.alerts}:
            self._untold.append(self._alarm(symbol, number, reason, alert_id))
        return True

    def _alarm(self, symbol: str, number: int, reason: str, alert_id: str) -> AlertRaised:
        text = (
            f"The backstop of #{number} {symbol} is gone from the exchange and could not be "
            f"replaced: {reason}. The private stop watches; it is tried again each minute"
        )
        return AlertRaised(alert_id, Severity.CRIT, text, self._of.clock.now(), number)

    def resting(self, tracker_id: int) -> Decimal | None:
        """Return the price of a tracker's backstop that the exchange holds, None without one.

        One that an exit has cancelled rests, and sells, until its end is proven. One that a person
        took off may rest for another moment: nobody may count on it any more.
        """
        return self._held(tracker_id) if self._is_counted(tracker_id) else None

    def _is_counted(self, tracker_id: int | None) -> bool:
        tracker = None if tracker_id is None else self._of.trackers.get(tracker_id)
        return tracker is not None and tracker.spec.backstop is not None

    def all_left(self) -> dict[int, Decimal]:
        """Return the base units that the backstops which rest have left to sell, by tracker."""
        found: dict[int, Decimal] = {}
        for intent, attempt in self._of.backstops():
            left, number = _left(attempt), intent.tracker_id or 0
            found[number] = max(found.get(number, left), left)
        return found

    def _held(self, tracker_id: int) -> Decimal | None:
        held = (one for one, _ in self._of.backstops() if one.tracker_id == tracker_id)
        return next((intent.stop_price for intent in held), None)

    def leaving(self, symbol: str) -> tuple[tuple[Decimal, Decimal], ...]:
        """Return price and quantity of those that nobody counts on and the exchange still holds.

        Their trackers have ended or want none any more, and the end of their orders is not proven:
        until then they lock these coins, and may sell them.
        """
        return tuple(
            (intent.stop_price or intent.reference_price, _left(attempt))
            for intent, attempt in self._of.backstops()
            if intent.symbol == symbol and not self._is_counted(intent.tracker_id)
        )

    def all_resting(self, symbol: str | None = None) -> dict[int, Decimal]:
        """Return the prices of all that rest, or of those of one symbol, by tracker.

        Whoever shows many of them asks once: each look goes through every order at work.
        """
        return {
            intent.tracker_id or 0: intent.stop_price
            for intent, _ in reversed(self._of.backstops())
            if symbol in {None, intent.symbol}
            and intent.stop_price is not None
            and self._is_counted(intent.tracker_id)
        }

    def words(self, tracker: Tracker) -> tuple[str, ...]:
        """Say where a tracker's backstop stands, and what is wrong with it; empty without one."""
        stop, held = tracker.spec.backstop, self._held(tracker.tracker_id)
        if stop is None or not tracker.state.is_waiting:
            return () if held is None else (f"The {_leaving(held)}",)
        instrument = self._of.instrument(tracker.symbol)
        warned = backstop.warning(tracker, to_ms(self._of.clock.now()), instrument)
        return (self._standing(tracker, stop), *((f"⚠️ {warned}",) if warned else ()))

    def _standing(self, tracker: Tracker, stop: Decimal) -> str:
        held = self._held(tracker.tracker_id)
        if held is not None and held == self._of.instrument(tracker.symbol).price_down(stop):
            return f"Backstop {plain(stop)} rests on the exchange{self._in_part(tracker)}"
        refused = self._refused.get(tracker.tracker_id)
        if refused is not None:
            return f"⚠️ NO backstop on the exchange: {refused[1]}"
        old = "" if held is None else f"; the {_leaving(held)}"
        return f"Backstop {plain(stop)} is not on the exchange yet{old}"

    def _in_part(self, tracker: Tracker) -> str:
        """Say of how much it rests where that is not the whole slice; empty where it is."""
        rules = self._of.instrument(tracker.symbol)
        whole = rules.quantity(tracker.quantity)
        held = self.all_left().get(tracker.tracker_id, ZERO)
        if held >= whole:
            return ""
        is_cut = held >= rules.at_market(whole)
        why = "one order takes no more" if is_cut else "the rest follows once it is free"
        return f" for {grouped(held)} of {grouped(whole)} {rules.base} only: {why}"

    async def _place(self, act: backstops.Place) -> None:
        now_s, number = self._of.clock.monotonic(), act.tracker.tracker_id
        again_s, _ = self._refused.get(number, (float("-inf"), ""))
        # It may have fired while others were placed: nothing may lock what its exit sells.
        if now_s < again_s or await self._holds_back(act) or not self._is_wanted(number):
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

    async def _holds_back(self, act: backstops.Place) -> bool:
        """Whether the price is at or beyond a backstop, which the exchange would refuse."""
        tracker, stop = act.tracker, act.stop_price
        price = self._of.prices.price(tracker.symbol)
        if price is None or stop < price:
            return False
        number, now = tracker.tracker_id, self._of.clock.now()
        reason = f"the price {plain(price)} is not above it; it is sent once the price is"
        self._refused[number] = (self._of.clock.monotonic(), reason)
        alert_id = f"backstop_held_back:{number}:{tracker.arm_seq}:{plain(stop)}"
        if self._miss(tracker.symbol, number, reason, f"{_LOST}{number}:{now.isoformat()}"):
            # One fact, told once.
            self._held_back.add(alert_id)
        # Where the backstop would sell first, that is told already, with what to send.
        if alert_id not in self._held_back and backstop.sells_first_at(tracker, to_ms(now)) is None:
            text = (
                f"NO backstop for #{number} {tracker.symbol} at {plain(stop)}: {reason}. "
                f"To set it lower: /tracker {number} backstop 10%"
            )
            await self._of.record(AlertRaised(alert_id, Severity.WARN, text, now, number))
        self._held_back.add(alert_id)
        return True


def _left(attempt: Attempt) -> Decimal:
    # An order may have gone out with less than was decided.
    return attempt.request.quantity - attempt.filled_quantity


def _leaving(stop: Decimal) -> str:
    return f"backstop at {plain(stop)} rests on the exchange until its cancel is proven"
