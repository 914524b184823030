"""The account's own stream: reports of its orders, fills, balances and transfers."""

import asyncio
from typing import Any

import orjson

from trading.sim.binance import messages
from trading.sim.binance.codes import known
from trading.sim.binance.messages import ReportIds
from trading.sim.binance.outlet import Outlet, drain
from trading.sim.binance.venue import Transfer, Venue
from trading.sim.orders import Execution, OrderChange, PlacedOrder, Traded


class UserStream:
    """Sends each report to every subscription, in the order in which things happened.

    Balances are gathered and follow the reports of one request (`flush`), as on the real exchange.
    Subscriptions are numbered per connection, and of one account there is one at a time.
    """

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self.muted_until_s = 0.0
        self.muted_frames = 0
        self._subscriptions: dict[Outlet, int] = {}
        self._next_ids: dict[Outlet, int] = {}
        self._assets: dict[str, None] = {}
        self._reports = 0
        venue.exchange.listeners.append(self)

    def subscribe(self, outlet: Outlet) -> int:
        """Add a connection and return the number of its subscription; -2035 when it has one."""
        if outlet in self._subscriptions:
            raise known(-2035)
        number = self._next_ids.get(outlet, 0)
        self._next_ids[outlet] = number + 1
        self._subscriptions[outlet] = number
        return number

    def subscriptions_of(self, outlet: Outlet) -> list[int]:
        """Return the subscriptions of one connection."""
        return [self._subscriptions[outlet]] if outlet in self._subscriptions else []

    def unsubscribe(self, outlet: Outlet) -> None:
        """Take the subscription of a connection away."""
        self._subscriptions.pop(outlet, None)

    def leave(self, outlet: Outlet) -> None:
        """Forget a connection."""
        self.unsubscribe(outlet)
        self._next_ids.pop(outlet, None)

    def order_changed(
        self, order: PlacedOrder, change: OrderChange, execution: Execution | None, now_ms: int
    ) -> None:
        """Send an executionReport."""
        self._reports += 1
        cancel_id = (
            self.venue.cancel_ids.get(order.order_id, "") if change is OrderChange.CANCELED else ""
        )
        instrument = self.venue.exchange.instruments[order.ticket.symbol]
        ids = ReportIds(now_ms, self._reports, cancel_id)
        self._send(messages.execution_report(order, instrument, change, execution, ids))

    def balances_changed(self, assets: tuple[str, ...], now_ms: int) -> None:
        """Remember what changed."""
        self._assets.update(dict.fromkeys(assets))

    def trade_printed(self, symbol: str, trade: Traded, now_ms: int) -> None:
        """Public prints are not for this stream."""

    def transferred(self, transfer: Transfer) -> None:
        """Send a balanceUpdate."""
        update = messages.balance_update(transfer.asset, transfer.delta, transfer.at_ms)
        self._send(update)

    def flush(self, now_ms: int) -> None:
        """Send one outboundAccountPosition with all that changed."""
        if self._assets:
            assets, self._assets = self._assets, {}
            account = self.venue.exchange.account
            self._send(messages.account_position(account, assets, now_ms))

    def terminate(self, now_ms: int) -> int:
        """End all subscriptions while their connections stay; return how many there were."""
        self._send({"e": "eventStreamTerminated", "E": now_ms})
        ended = len(self._subscriptions)
        self._subscriptions.clear()
        return ended

    async def drained(self) -> None:
        """Wait until all subscriptions got what was sent."""
        await drain(self._subscriptions)

    def _send(self, event: dict[str, Any]) -> None:
        if not self._subscriptions:
            return
        if asyncio.get_running_loop().time() < self.muted_until_s:
            self.muted_frames += 1
            return
        body = orjson.dumps(event)
        for outlet, number in self._subscriptions.items():
            outlet.send(b'{"subscriptionId":%d,"event":%b}' % (number, body))
