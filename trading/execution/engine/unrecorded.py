"""Without storage an exit goes out all the same, once.

Nothing is durable then but the way in which its id is derived, and by that a restart finds the
order and its decision claims it.
"""

from collections.abc import Sequence

from trading.domain.events import AttemptPrepared, Event
from trading.domain.order import Attempt, OrderType, TimeInForce
from trading.execution import ladder
from trading.execution.engine.booking import Booking
from trading.execution.engine.case import Case
from trading.execution.engine.sending import Sending
from trading.execution.engine.surroundings import Surroundings
from trading.execution.ladder import Send


class Unrecorded:
    """Says what may leave without a record, sends it, and tells that it did."""

    def __init__(self, surroundings: Surroundings, booking: Booking, sending: Sending) -> None:
        self._s = surroundings
        self._booking = booking
        self._sending = sending

    def attempt(self, case: Case, prepared: Attempt | None) -> Attempt | None:
        """Return the one attempt of an exit that cannot be written, None when it must not leave.

        With no second one to follow it goes to the market, unless the person set a floor. Its
        decision is marked, for whoever starts next.
        """
        if not (case.is_exit and self._s.may_send(case)) or self._has_tried(case):
            return None
        self._s.unrecorded.leave(case.intent.intent_id)
        if ladder.sale_floor(case.intent) is not None:
            return prepared
        instrument = self._s.rules[case.intent.symbol]
        wanted = case.intent.quantity if prepared is None else prepared.request.quantity
        send = Send(OrderType.MARKET, instrument.at_market(wanted), None, TimeInForce.GTC)
        window = self._s.settings.absence.exit_recv_window_ms
        return case.prepare(send, self._s.prefix, window, self._s.now())

    @staticmethod
    def _has_tried(case: Case) -> bool:
        # What rested at a price that a closing has taken from it was no try to sell now.
        return any(not one.request.rests or ladder.is_resting(case.intent) for one in case.attempts)

    async def go(self, case: Case, prepared: Attempt, before: Sequence[Event], why: str) -> bool:
        """Send a case's next attempt without a record, if it may; whether it has left.

        `before` are facts that go before it; memory keeps all of them. The caller holds the lock.
        """
        attempt = self.attempt(case, prepared)
        if attempt is None:
            return False
        self._sending.start(case, attempt)
        facts = [*before, AttemptPrepared(attempt, self._s.now())]
        self._s.writer.hold(facts)
        self._s.writer.publish(facts)
        await self.tell(case, why)
        return True

    async def tell(self, case: Case, why: str) -> None:
        """Tell that a sale has left without a record."""
        await self._booking.alert(
            case,
            "storage",
            f"{case.intent.symbol}: the journal cannot be written ({why}); the sale was sent once "
            "without it",
        )
