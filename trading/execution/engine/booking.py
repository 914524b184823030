"""Every change of a case goes through here: journal first, then whoever listens."""

import logging
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import replace
from decimal import Decimal
from functools import partial

from trading.domain.chat import Severity
from trading.domain.events import (
    AttemptChanged,
    Event,
    FillBooked,
    IntentChanged,
    IntentClosed,
    RoundTripClosed,
)
from trading.domain.instrument import base_and_quote
from trading.domain.money import ZERO, plain
from trading.domain.order import (
    SELF_TRADE,
    Attempt,
    AttemptState,
    Fill,
    Intent,
    IntentState,
    Purpose,
    Side,
)
from trading.domain.position import Position
from trading.domain.valuation import price_in
from trading.execution import ladder
from trading.execution.engine import adding, alerting
from trading.execution.engine.case import Case
from trading.execution.engine.cutting import Cutting
from trading.execution.engine.surroundings import Surroundings
from trading.execution.excess import excess, too_much
from trading.execution.ladder import Block, Finish
from trading.execution.lifecycle import Merged
from trading.execution.round_trip import round_trip, valued, with_cost

logger = logging.getLogger(__name__)


class Booking:
    """Writes what happened to a case; the caller holds the case's lock."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._s = surroundings
        self.cutting = Cutting(surroundings)

    async def note(
        self,
        case: Case,
        changed: Attempt,
        text: str,
        fills: Sequence[Fill] = (),
        told: Sequence[Event] = (),
    ) -> None:
        """Write an attempt's new state and fills, and in the same breath the end if this is it.

        So is what is `told` of it.
        """
        async with self._undisturbed(case):
            await self._note(case, changed, text, fills, told)
        case.wake()

    async def _note(
        self,
        case: Case,
        changed: Attempt,
        text: str,
        fills: Sequence[Fill],
        told: Sequence[Event],
    ) -> None:
        live = case.live
        fills = self._valued(case, fills)
        sold = self._take(case, changed, fills)
        if live is not None and changed.number == live.number and changed.state.is_terminal:
            case.ended_s = self._s.monotonic()
            is_unmet = changed.state is AttemptState.EXPIRED and not changed.filled_quantity
            if is_unmet and changed.reason != SELF_TRADE:
                case.empty_s = case.ended_s
        events: list[Event] = [AttemptChanged(changed, text, self._s.now())]
        events += self._booked(case, fills)
        if changed.state not in {AttemptState.UNKNOWN, AttemptState.PENDING_CANCEL}:
            events += alerting.over(case, "unresolved", self._s.now())
            case.told_unresolved.clear()
        # A start asks about orders before it knows the trackers that end with them.
        finish = self._conclusion(case) if case.task is not None else None
        if finish is not None:
            events += self._closing(case, finish, fills)
        elif fills:
            if case.is_backstop and case.intent.state.is_terminal:
                events += self._sold_late(case, fills)
            if not case.is_watch_only:
                events.append(IntentChanged(case.intent, self._s.now()))
        await self._s.writer.keep(*events, *told)
        case.unbooked -= sold
        case.has_ended = case.intent.state.is_terminal
        if fills:
            self._excess(case)

    def _take(self, case: Case, changed: Attempt, fills: Sequence[Fill]) -> Decimal:
        """Put fills into the case; returns the base units that its position learns of later."""
        traded = sum((fill.quantity for fill in fills), ZERO)
        case.unbooked += traded
        if case.intent.side is Side.BUY or not fills:
            case.put(changed, fills)
            return traded
        position = self._s.portfolio_of().positions.get(case.intent.symbol)
        known = with_cost(case.intent, traded, position)
        case.put(changed, fills)
        case.intent = replace(case.intent, cost=known.cost, fees=known.fees)
        return traded

    def _valued(self, case: Case, fills: Sequence[Fill]) -> Sequence[Fill]:
        if not fills:
            return fills
        symbol, portfolio = case.intent.symbol, self._s.portfolio_of()
        price_of = partial(price_in, currency=base_and_quote(symbol)[1], prices=portfolio.prices)
        return valued(fills, portfolio.positions.get(symbol), price_of)

    def _undisturbed(self, case: Case) -> AbstractAsyncContextManager[None]:
        # What a tracker becomes is read from it, and is outdone by whatever is written after it.
        # What leaves care is what nobody else owns, and somebody may just be taking some of it.
        # A sale beside them may own of them what would leave care, until it has ended itself.
        intent = case.intent
        is_alone = intent.tracker_id is None and (
            intent.side is Side.BUY
            or not (intent.on_loan or adding.is_lending(self._s.cases.values(), intent.symbol))
        )
        return nullcontext() if is_alone else self._s.undisturbed()

    def _excess(self, case: Case) -> None:
        total = too_much(case.intent, case.fills)
        if total > case.beyond:
            before, case.beyond = case.beyond, total
            self._s.on_excess(excess(case.intent, before, total))

    async def merged(self, case: Case, merged: Merged, text: str) -> None:
        """Write what a report changed, and raise the alarm if it should not have come."""
        if not merged.is_changed:
            case.put(merged.attempt)
            return
        order, now = merged.attempt.client_order_id, self._s.now()
        told: list[Event] = []
        if merged.is_late:
            words = (
                f"{case.intent.symbol}: order {order} was proven absent and appeared late, "
                f"{plain(merged.attempt.filled_quantity)} filled"
            )
            told += alerting.raised(case, "late", words, now)
        if merged.is_contradiction:
            words = f"{case.intent.symbol}: the exchange reported two different ends of {order}"
            told += alerting.raised(case, "contradiction", words, now)
        await self.note(case, merged.attempt, text, merged.fills, told)

    async def close(self, case: Case, finish: Finish) -> None:
        """End a case."""
        async with self._undisturbed(case):
            await self._s.writer.keep(*self._closing(case, finish))
            case.has_ended = True
        case.wake()

    async def conclude(self, case: Case) -> None:
        """End a case whose orders have ended, if nothing is left of it to do or to book."""
        async with case.lock:
            finish = self._conclusion(case)
            if finish is not None:
                await self.close(case, finish)

    async def block(self, case: Case, block: Block) -> None:
        """Say that a case cannot go on now; a person is told once per reason."""
        case.obstacle = block
        case.looked_s = self._s.monotonic()
        reason = block.reason.value
        if case.intent.state is IntentState.BLOCKED and case.intent.reason.startswith(reason):
            return
        case.intent = replace(case.intent, state=IntentState.BLOCKED, reason=str(block))
        case.reminded_s = self._s.monotonic()
        await self._s.writer.keep(IntentChanged(case.intent, self._s.now()), *self.told(case))

    async def remind(self, case: Case) -> None:
        """Repeat that a case is blocked, once per interval."""
        if self._s.monotonic() - case.reminded_s < self._s.settings.remind_s:
            return
        case.reminded_s = self._s.monotonic()
        if told := self.told(case):
            await self._s.writer.keep(*told)

    def told(self, case: Case) -> Sequence[Event]:
        """Return the alarm about a blocked case; a tracker's own state is that alarm already."""
        if case.intent.tracker_id is not None and case.intent.purpose is Purpose.PROTECT:
            return ()
        return alerting.raised(case, "blocked", _blocked(case), self._s.now())

    def unblocked(self, case: Case) -> Sequence[Event]:
        """Return the event that ends a block; it is written with the next attempt."""
        case.obstacle = None
        if case.intent.state is not IntentState.BLOCKED:
            return ()
        case.intent = replace(case.intent, state=IntentState.OPEN, reason="")
        now = self._s.now()
        return (IntentChanged(case.intent, now), *alerting.over(case, "blocked", now))

    async def alert(
        self, case: Case, kind: str, text: str, severity: Severity = Severity.CRIT
    ) -> None:
        """Raise an alert about a case."""
        await self._s.writer.keep(*alerting.raised(case, kind, text, self._s.now(), severity))

    async def tell_unanswered(self, case: Case) -> None:
        """Say once of an order that its answer is awaited, or lost and asked for."""
        waited_s = self._s.monotonic() - case.sent_s
        is_early = waited_s < self._s.settings.unanswered_told_s
        if case.told_unresolved or is_early or ladder.is_resting(case.intent):
            return
        case.told_unresolved.add(Severity.INFO)
        text = (
            f"{case.intent.symbol}: no clear answer to {case.wording} yet. Umbra asks the exchange "
            "what became of it; nothing is sent twice"
        )
        await self.alert(case, "unresolved", text, Severity.INFO)

    async def over(self, case: Case, kind: str) -> None:
        """Withdraw what an alert said about a case, once it is no longer true."""
        if ended := alerting.over(case, kind, self._s.now()):
            await self._s.writer.keep(*ended)

    def _booked(self, case: Case, fills: Sequence[Fill]) -> list[Event]:
        (base, quote), events = base_and_quote(case.intent.symbol), list[Event]()
        for fill in fills:
            # Of a sale that has ended: it sold what was let go of, before anybody else's coins.
            gone = min(fill.quantity, case.intent.let_go)
            case.intent = replace(case.intent, let_go=case.intent.let_go - gone)
            now = self._s.now()
            events.append(FillBooked(fill, case.intent.intent_id, base, quote, now, gone))
        return events

    def _conclusion(self, case: Case) -> Finish | None:
        if case.intent.state.is_terminal or case.live is not None or case.missing_fills():
            return None
        if case.giving_up is not None:
            return case.giving_up
        if not self._s.is_listed(case.intent.symbol):
            return None
        quote = self._s.fresh_quote(case.intent.symbol)
        if quote is None and case.intent.side is Side.BUY:
            return None
        step = ladder.step(self._s.sight(case, quote), self._s.settings.ladder)
        return step if isinstance(step, Finish) else None

    def _closing(self, case: Case, finish: Finish, booking: Sequence[Fill] = ()) -> list[Event]:
        state = finish.state
        if state in {IntentState.EXPIRED, IntentState.ABORTED} and not case.is_exit:
            # What was bought, or sold by a backstop, stays so.
            state = IntentState.DONE if case.intent.filled_quantity > 0 else state
        unowned = self._unowned(case, booking)
        let_go = self._let_go(case, unowned)
        case.intent = replace(case.intent, state=state, reason=finish.reason, let_go=let_go)
        case.obstacle = None
        fills, now = case.fills, self._s.now()
        events: list[Event] = [IntentClosed(case.intent, now), *self._pass_on(case)]
        events += alerting.all_over(case, now)
        if case.intent.side is Side.SELL:
            position = self._s.portfolio_of().positions.get(case.intent.symbol)
            trip = round_trip(case.intent, fills, position, now)
            if trip is not None:
                events.append(RoundTripClosed(trip, now))
        events += self._ends_with(case, case.intent, fills, unowned)
        if case.is_backstop:
            events += self.cutting.sold_by(case, case.intent.filled_quantity)
        return events

    @staticmethod
    def _let_go(case: Case, unowned: Decimal) -> Decimal:
        return max(min(case.intent.to_let_go, unowned), ZERO)

    def _unowned(self, case: Case, booking: Sequence[Fill]) -> Decimal:
        """Return the managed base units that nobody else owns; `booking` are written with this end.

        They are what leaves care with a sale, or what a tracker owns that has bought.
        """
        intent = case.intent
        is_buy = intent.side is Side.BUY
        if not intent.on_loan and not (is_buy and intent.tracker_id is not None):
            return ZERO
        # Its own opening, and with it what came under care, may not have been told yet.
        self._s.writer.publish()
        position = self._s.portfolio_of().positions.get(intent.symbol) or Position(intent.symbol)
        for fill in booking:
            position = position.apply(fill, *base_and_quote(intent.symbol))
        return self._s.unowned(case, position)

    def _pass_on(self, ended: Case) -> list[Event]:
        """Return what newer sales let go of in its stead, having taken it over meanwhile.

        What was in the sale itself until now nobody can have taken.
        """
        intent = ended.intent
        taken = min(intent.to_let_go - intent.let_go, intent.to_let_go - intent.residual)
        events: list[Event] = []
        for case in adding.by_order(self._s.cases.values(), intent.symbol):
            part = min(taken, case.intent.unsold - case.intent.to_let_go)
            if part > 0:
                inherited = case.intent.inherited + part
                case.intent = replace(case.intent, inherited=inherited)
                events.append(IntentChanged(case.intent, self._s.now()))
                taken -= part
        return events

    def _sold_late(self, backstop: Case, fills: Sequence[Fill]) -> Sequence[Event]:
        """Return what follows when a backstop that had ended has sold after all."""
        sold = sum((fill.quantity for fill in fills), ZERO)
        late = replace(backstop.intent, state=IntentState.DONE, filled_quantity=sold)
        ended = self._ends_with(backstop, late, fills, ZERO)
        return [*ended, *self.cutting.sold_by(backstop, sold)]

    def _ends_with(
        self, case: Case, intent: Intent, fills: Sequence[Fill], unowned: Decimal
    ) -> Sequence[Event]:
        try:
            return self._s.closing(intent, fills, unowned)
        except Exception as error:
            # What was executed is a fact, and is booked whatever the tracker makes of it.
            logger.exception("closing_failed", extra={"intent": intent.intent_id})
            text = f"{intent.symbol}: the end of a sale could not be worked out: {error}"
            return alerting.raised(case, "closing", text, self._s.now())


def _blocked(case: Case) -> str:
    intent = case.intent
    left = max(intent.quantity - ladder.filled(case.attempts), ZERO)
    return f"{intent.symbol}: sale of {plain(left)} is blocked: {intent.reason}"
