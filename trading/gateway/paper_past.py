"""What a paper account did before this process: its orders and executions, as they were booked."""

from collections.abc import Sequence
from datetime import datetime

from trading.domain.money import ZERO
from trading.domain.order import Fill, OrderReport, OrderStatus


class PaperPast:
    """Made of booked executions, oldest first; what was not booked never happened on paper."""

    def __init__(self) -> None:
        self._reports: dict[str, OrderReport] = {}
        self._fills: list[Fill] = []

    def take(self, fill: Fill) -> None:
        """Take the next execution."""
        self._fills.append(fill)
        before = self._reports.get(fill.client_order_id)
        fills = (*(before.fills if before else ()), fill)
        quantity = sum((one.quantity for one in fills), ZERO)
        self._reports[fill.client_order_id] = OrderReport(
            client_order_id=fill.client_order_id,
            exchange_order_id=f"paper-{fill.client_order_id}",
            symbol=fill.symbol,
            side=fill.side,
            # What had not filled when the process ended is gone with it.
            status=OrderStatus.CANCELED,
            quantity=quantity,
            filled_quantity=quantity,
            price=None,
            fills=fills,
            updated_at=fill.at,
        )

    def report(self, client_order_id: str) -> OrderReport | None:
        """Return what an order did, None where it did nothing."""
        return self._reports.get(client_order_id)

    def reports_since(self, symbol: str, since: datetime) -> Sequence[OrderReport]:
        """Return the orders of a symbol that did something since a time."""
        found = self._reports.values()
        return [one for one in found if one.symbol == symbol and one.updated_at >= since]

    def fills_since(self, symbol: str, since: datetime) -> Sequence[Fill]:
        """Return executions of a symbol since a time."""
        return [one for one in self._fills if one.symbol == symbol and one.at >= since]
