"""What was bought beyond a decision is sold again, within what is managed."""

from decimal import Decimal

from trading import decide
from trading.alarms import Alarms
from trading.commanding.workings import Workings
from trading.domain.chat import Severity
from trading.domain.errors import Refused
from trading.domain.events import AlertRaised
from trading.domain.money import ZERO, grouped
from trading.execution.engine import Excess
from trading.risk.gate import Refusal, review


class Flattening:
    """Sells what nobody asked for; coins that were managed before stay."""

    def __init__(self, workings: Workings, alarms: Alarms) -> None:
        self._of = workings
        self._alarms = alarms
        # What was booked and nobody has seen to yet, by the id of its alert.
        self._owed: dict[str, Excess] = {}

    def owe(self, excess: Excess) -> None:
        """Take note of what an entry has bought too much, until `sell` has seen to it."""
        self._owed[excess.alert_id] = excess

    def owed(self, symbol: str) -> Decimal:
        """Return the managed base units that are to be sold again: nobody's, and for no stop."""
        quantities = (one.quantity for one in self._owed.values() if one.bought.symbol == symbol)
        return sum(quantities, ZERO)

    async def sell(self, excess: Excess) -> None:
        """Tell loudly, and sell what an entry bought too much; one transaction for both."""
        try:
            await self._sell(excess)
        finally:
            self._owed.pop(excess.alert_id, None)

    async def _sell(self, excess: Excess) -> None:
        of, now = self._of, self._of.clock.now()
        bought, quantity, alert_id = excess.bought, excess.quantity, excess.alert_id
        symbol = bought.symbol
        instrument = of.instrument(symbol)
        price = of.prices.price(symbol) or bought.reference_price
        sellable = instrument.quantity(min(quantity, of.holding(symbol).managed))
        amount = f"{grouped(instrument.quantity(quantity))} {instrument.base}"
        said = f"{amount} were bought beyond what was decided: {excess.why}"
        if instrument.is_dust(sellable, price):
            await self._alarms.alert(alert_id, f"{said}; it is too little to sell")
            return
        intent = decide.on_excess(bought, sellable, price, now, of.decisions)
        verdict = review(
            intent, of.state.book.snapshot(), of.limits, of.state.mode, of.activity(intent), now
        )
        if isinstance(verdict, Refusal):
            await self._alarms.alert(alert_id, f"{said}; {'; '.join(verdict.reasons)}")
            return
        text = f"{said}. {grouped(sellable)} {instrument.base} are sold again"
        try:
            await of.execution.open(verdict, (AlertRaised(alert_id, Severity.CRIT, text, now),))
        except Refused as refused:
            await self._alarms.alert(alert_id, f"{said}; {refused}")
