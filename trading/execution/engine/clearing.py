"""What stands in the way of an exit: backstops that lock its coins, orders that it would meet."""

import logging
from collections.abc import Sequence

from trading.domain.chat import Severity
from trading.domain.errors import AuthLost, Retryable
from trading.domain.money import plain
from trading.domain.order import IntentState, OrderReport, Purpose, Side
from trading.execution.engine.booking import Booking
from trading.execution.engine.case import Case
from trading.execution.engine.surroundings import Surroundings
from trading.execution.ladder import Finish

logger = logging.getLogger(__name__)
_FIRST = "an exit goes first"
_FOREVER_S = 86_400.0


class Clearing:
    """Has such orders cancelled, and tells of it."""

    def __init__(self, surroundings: Surroundings, booking: Booking) -> None:
        self._s = surroundings
        self._booking = booking

    async def clear(self, case: Case, in_the_way: Sequence[Case]) -> None:
        """Have backstops cancelled before an exit: they lock its coins. Their end wakes the case.

        One that fires meanwhile sells the same coins; what it sold is booked and the exit cut down.
        """
        if not self._s.may_send(case):
            # No sale could follow: it protects until the next start.
            await self._s.wait(case, _FOREVER_S)
            return
        for backstop in in_the_way:
            if backstop.giving_up is None:
                backstop.giving_up = Finish(IntentState.ABORTED, _FIRST)
                backstop.wake()
        now_s = self._s.monotonic()
        if case.cleared_s is None:
            case.cleared_s = now_s
        elif now_s - case.cleared_s >= self._s.settings.backstop_alarm_s and not case.is_alarmed:
            case.is_alarmed = True
            text = f"{case.intent.symbol}: the backstop is not cancelled yet, the sale waits for it"
            await self._booking.alert(case, "backstop", text)
        await self._s.wait(case, self._s.settings.backstop_alarm_s)

    async def make_room(self, case: Case) -> None:
        """Cancel the purchases that the exchange keeps an exit from meeting, the person's too.

        A stop goes first: whoever wants to buy at that price can say so again.
        """
        symbol = case.intent.symbol
        entries = [
            other
            for other in self._s.cases.values()
            if other.intent.symbol == symbol and other.intent.purpose is Purpose.ENTRY
        ]
        ours = {each.client_order_id for other in entries for each in other.attempts}
        foreign = [one for one in await self._resting(symbol) if one.client_order_id not in ours]
        for other in entries:
            if other.giving_up is None:
                other.giving_up = Finish(IntentState.ABORTED, _FIRST)
                other.wake()
        for order in foreign:
            await self._s.gateway.cancel(symbol, order.client_order_id)
        if entries or foreign:
            amounts = [plain(order.quantity) for order in foreign]
            own = f" (by hand: {', '.join(amounts)})" if amounts else ""
            text = (
                f"{symbol}: a purchase of this account stood in the way of a sale{own}: cancelled"
            )
            await self._booking.alert(case, "self_trade", text, Severity.WARN)

    async def _resting(self, symbol: str) -> Sequence[OrderReport]:
        try:
            found = await self._s.read(self._s.gateway.open_orders(symbol))
        except (Retryable, AuthLost) as error:
            logger.warning("orders_not_read", extra={"error": str(error)})
            return ()
        return [order for order in found if order.side is Side.BUY]
