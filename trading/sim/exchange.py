"""The in-process exchange: books, orders and one account, without sockets and without a clock.

The simulated exchange and paper mode share it. Whoever drives it says what the market does
(`refresh`, `trade`) and what time it is; all calls are synchronous and finish what they start.
Listeners hear of every change in the order in which it happened.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from enum import Enum
from heapq import heappop, heappush
from typing import Protocol

from trading.domain.errors import Refused
from trading.domain.instrument import Instrument, InstrumentStatus
from trading.domain.market import BookLevel
from trading.domain.money import ZERO, ceil_to, plain
from trading.domain.order import OrderStatus, Side
from trading.sim.account import Account
from trading.sim.matching import Book
from trading.sim.models import AMOUNT_STEP, Fee, FeeSchedule, FillSize, PriceIn, settled
from trading.sim.orders import (
    BookEvent,
    BookOrder,
    Ended,
    EndReason,
    Execution,
    OrderChange,
    OrderKind,
    OrderTicket,
    PlacedOrder,
    Traded,
    Triggered,
)


class OrderRefusal(Enum):
    """Why the exchange does not take an order, beyond the instrument's rules."""

    INSUFFICIENT_BALANCE = "insufficient_balance"
    DUPLICATE_ID = "duplicate_id"
    WOULD_TAKE = "would_take"
    WOULD_TRIGGER = "would_trigger"
    MARKET_CLOSED = "market_closed"


class OrderRefused(Refused):
    """The order changed nothing; `refusal` says why."""

    def __init__(self, refusal: OrderRefusal, message: str) -> None:
        super().__init__(message)
        self.refusal = refusal


class UnknownOrder(Refused):
    """No open order has this id."""


class ExchangeListener(Protocol):
    """Hears what happens, in order, from within the call that caused it."""

    def trade_printed(self, symbol: str, trade: Traded, now_ms: int) -> None:
        """A trade appeared on the tape."""
        ...

    def order_changed(
        self, order: PlacedOrder, change: OrderChange, execution: Execution | None, now_ms: int
    ) -> None:
        """An order of the account changed."""
        ...

    def balances_changed(self, assets: tuple[str, ...], now_ms: int) -> None:
        """Balances of the account changed."""
        ...


class Exchange:
    """Matches the account's orders and keeps its books. Prices come from whoever drives it."""

    def __init__(
        self,
        balances: Mapping[str, Decimal],
        fees: FeeSchedule | None = None,
        price_in: PriceIn = lambda _asset, _quote: None,
    ) -> None:
        self.account = Account(balances)
        self.fees = fees or FeeSchedule()
        self.instruments: dict[str, Instrument] = {}
        self.books: dict[str, Book] = {}
        self.listeners: list[ExchangeListener] = []
        self._price_in = price_in
        self._orders: dict[int, PlacedOrder] = {}
        self._open: dict[int, PlacedOrder] = {}
        self._by_client_id: dict[tuple[str, str], PlacedOrder] = {}
        self._executions: dict[str, list[Execution]] = {}
        self._late: list[tuple[int, int]] = []

    # ------------------------------------------------------------ market

    def list_instrument(self, instrument: Instrument) -> None:
        """Open a market, or change the rules of one."""
        self.instruments[instrument.symbol] = instrument
        self.books.setdefault(instrument.symbol, Book(instrument.quantity_step))
        self.books[instrument.symbol].quantity_step = instrument.quantity_step

    def refresh(
        self, symbol: str, bids: Iterable[BookLevel], asks: Iterable[BookLevel], now_ms: int
    ) -> None:
        """Show what the others offer now; orders of ours that it crosses are filled."""
        self._apply(symbol, self.books[symbol].refresh(bids, asks), now_ms)

    def trade(
        self, symbol: str, price: Decimal, quantity: Decimal, aggressor: Side, now_ms: int
    ) -> None:
        """Print a trade of the others; it fills and triggers orders of ours that it reaches."""
        self._apply(symbol, self.books[symbol].trade(price, quantity, aggressor), now_ms)

    def mark(self, symbol: str, price: Decimal, now_ms: int) -> None:
        """Take a last price of the others as it is; it triggers orders of ours that it reaches."""
        self._apply(symbol, self.books[symbol].mark(price), now_ms)

    def release_late(self, now_ms: int) -> None:
        """Match the orders whose delay is over."""
        while self._late and self._late[0][0] <= now_ms:
            _, order_id = heappop(self._late)
            order = self._orders[order_id]
            if order.is_open:
                self._match(order, now_ms)

    # ------------------------------------------------------------ orders

    def place(self, ticket: OrderTicket, now_ms: int, match_after_ms: int = 0) -> PlacedOrder:
        """Take an order and match it; OrderRefused when nothing was changed.

        With `match_after_ms` it is accepted now and matched by a later `release_late`.
        """
        reserve = self._check(ticket)
        if ticket.quote_quantity is not None and ticket.side is Side.SELL:
            # The account sells coins, not money: the book says now how many that takes.
            ticket = replace(ticket, quantity=reserve)
        order = PlacedOrder(len(self._orders) + 1, ticket, ticket.quantity, now_ms, now_ms)
        order.is_working = not ticket.kind.is_conditional
        order.working_ms = now_ms if order.is_working else None
        self.account.lock(self._paid_asset(ticket), reserve)
        order.reserved = reserve
        self._orders[order.order_id] = self._open[order.order_id] = order
        self._by_client_id[ticket.symbol, ticket.client_order_id] = order
        self._tell(order, OrderChange.ACCEPTED, None, now_ms)
        self._tell_balances({self._paid_asset(ticket)}, now_ms)
        if match_after_ms > 0:
            heappush(self._late, (now_ms + match_after_ms, order.order_id))
        else:
            self._match(order, now_ms)
        return order

    def cancel(self, order_id: int, now_ms: int) -> PlacedOrder:
        """Cancel an open order; UnknownOrder when it is not open."""
        order = self._open.get(order_id)
        if order is None:
            raise UnknownOrder(f"order {order_id} is not open")
        try:
            events = self.books[order.ticket.symbol].cancel(order_id)
        except LookupError:
            # Accepted, but its matching is still delayed.
            events = [Ended(order_id, OrderStatus.CANCELED, EndReason.CANCELED)]
        self._apply(order.ticket.symbol, events, now_ms)
        return order

    def order(self, order_id: int) -> PlacedOrder | None:
        """Return an order by the exchange's id."""
        return self._orders.get(order_id)

    def orders(self) -> Iterator[PlacedOrder]:
        """Iterate over all orders since the start, oldest first."""
        return iter(self._orders.values())

    def open_orders(self, symbol: str | None = None) -> list[PlacedOrder]:
        """Return the open orders, oldest first."""
        return [o for o in self._open.values() if symbol is None or o.ticket.symbol == symbol]

    def latest_by_client_id(self, symbol: str, client_order_id: str) -> PlacedOrder | None:
        """Return the newest order with this client id; ids may repeat once an order ended."""
        return self._by_client_id.get((symbol, client_order_id))

    def executions(self, symbol: str) -> list[Execution]:
        """Return the account's fills in one market, oldest first."""
        return self._executions.get(symbol, [])

    # ------------------------------------------------------------ money from outside

    def transfer(self, asset: str, delta: Decimal, now_ms: int) -> None:
        """Deposit a positive amount or withdraw a negative one."""
        if delta >= 0:
            self.account.deposit(asset, delta)
        else:
            self.account.withdraw(asset, -delta)
        self._tell_balances({asset}, now_ms)

    # ------------------------------------------------------------ inside

    def _check(self, ticket: OrderTicket) -> Decimal:
        instrument = self.instruments[ticket.symbol]
        if instrument.status is not InstrumentStatus.TRADING:
            raise OrderRefused(
                OrderRefusal.MARKET_CLOSED, f"{ticket.symbol} should be trading, is closed"
            )
        if any(o.ticket.client_order_id == ticket.client_order_id for o in self._open.values()):
            raise OrderRefused(
                OrderRefusal.DUPLICATE_ID,
                f"client order id should be new among open orders, was {ticket.client_order_id}",
            )
        self._check_against_book(ticket)
        reserve, asset = self._reserve(ticket), self._paid_asset(ticket)
        if reserve > self.account.free(asset):
            raise OrderRefused(
                OrderRefusal.INSUFFICIENT_BALANCE,
                f"{asset} free should be at least {plain(reserve)},"
                f" was {plain(self.account.free(asset))}",
            )
        return reserve

    def _check_against_book(self, ticket: OrderTicket) -> None:
        book = self.books[ticket.symbol]
        if ticket.kind is OrderKind.LIMIT_MAKER and book.would_take(
            ticket.side, ticket.price or ZERO
        ):
            raise OrderRefused(OrderRefusal.WOULD_TAKE, "order would immediately match and take")
        if ticket.kind.is_conditional and book.would_trigger(_book_order(0, ticket, None)):
            raise OrderRefused(OrderRefusal.WOULD_TRIGGER, "stop price would trigger immediately")

    def _reserve(self, ticket: OrderTicket) -> Decimal:
        if ticket.quote_quantity is not None:
            if ticket.side is Side.BUY:
                return ticket.quote_quantity
            return self.books[ticket.symbol].sweep(ticket.side, quote=ticket.quote_quantity)[0]
        if ticket.side is Side.SELL:
            return ticket.quantity
        price = ticket.price or ticket.stop_price
        if price is not None:
            return ceil_to(ticket.quantity * price, AMOUNT_STEP)
        quote = self.books[ticket.symbol].sweep(ticket.side, quantity=ticket.quantity)[1]
        return ceil_to(quote, AMOUNT_STEP)

    def _paid_asset(self, ticket: OrderTicket) -> str:
        instrument = self.instruments[ticket.symbol]
        return instrument.quote if ticket.side is Side.BUY else instrument.base

    def _match(self, order: PlacedOrder, now_ms: int) -> None:
        book_order = _book_order(order.order_id, order.ticket, order.reserved)
        events = self.books[order.ticket.symbol].submit(book_order)
        self._apply(order.ticket.symbol, events, now_ms)

    def _apply(self, symbol: str, events: list[BookEvent], now_ms: int) -> None:
        closing = _closing_trades(events)
        for event in events:
            if isinstance(event, Traded):
                self._book_trade(symbol, event, closing, now_ms)
            elif isinstance(event, Triggered):
                order = self._orders[event.order_id]
                order.is_working, order.working_ms, order.updated_ms = True, now_ms, now_ms
                self._tell(order, OrderChange.TRIGGERED, None, now_ms)
            else:
                self._book_end(self._orders[event.order_id], event, now_ms)

    def _book_trade(self, symbol: str, trade: Traded, closing: dict[int, int], now_ms: int) -> None:
        for order_id, is_maker in ((trade.maker_id, True), (trade.taker_id, False)):
            if order_id is not None:
                order = self._orders[order_id]
                is_last = closing.get(order_id) == trade.trade_id
                order.status = OrderStatus.FILLED if is_last else OrderStatus.PARTIALLY_FILLED
                self._book_fill(order, trade, is_maker, now_ms)
        for listener in self.listeners:
            listener.trade_printed(symbol, trade, now_ms)

    def _book_fill(self, order: PlacedOrder, trade: Traded, is_maker: bool, now_ms: int) -> None:
        ticket = order.ticket
        instrument = self.instruments[ticket.symbol]
        notional = settled(trade.price * trade.quantity)
        order.executed += trade.quantity
        order.notional += notional
        order.updated_ms = now_ms
        paid = notional if ticket.side is Side.BUY else trade.quantity
        self.account.spend(self._paid_asset(ticket), paid)
        order.reserved -= paid
        size = FillSize(trade.quantity, notional, is_maker)
        fee = self._receive(instrument, ticket.side, size)
        if ticket.quote_quantity is not None and ticket.side is Side.BUY:
            order.quantity = order.executed
        execution = Execution(
            trade_id=trade.trade_id,
            order_id=order.order_id,
            symbol=ticket.symbol,
            side=ticket.side,
            price=trade.price,
            quantity=trade.quantity,
            fee=fee,
            is_maker=is_maker,
            at_ms=now_ms,
        )
        order.executions.append(execution)
        self._executions.setdefault(ticket.symbol, []).append(execution)
        self._release_excess(order)
        self._tell(order, OrderChange.TRADED, execution, now_ms)
        self._tell_balances({instrument.base, instrument.quote, fee.asset}, now_ms)

    def _receive(self, instrument: Instrument, side: Side, size: FillSize) -> Fee:
        is_buy = side is Side.BUY
        received = instrument.base if is_buy else instrument.quote
        amount = size.quantity if is_buy else size.notional
        fee = self.fees.preferred(instrument, size, self._price_in)
        if fee is None or fee.asset == received or fee.amount > self.account.free(fee.asset):
            # What a fill brings can always pay for it; other assets may have run out.
            fee = self.fees.on_received(instrument, side, size)
            self.account.deposit(received, amount - fee.amount)
            return fee
        self.account.withdraw(fee.asset, fee.amount)
        self.account.deposit(received, amount)
        return fee

    def _release_excess(self, order: PlacedOrder) -> None:
        ticket = order.ticket
        if ticket.side is Side.SELL or ticket.price is None:
            return
        needed = ceil_to((order.quantity - order.executed) * ticket.price, AMOUNT_STEP)
        excess = order.reserved - needed
        if excess > 0:
            self.account.release(self._paid_asset(ticket), excess)
            order.reserved -= excess

    def _book_end(self, order: PlacedOrder, end: Ended, now_ms: int) -> None:
        order.status, order.end_reason, order.updated_ms = end.status, end.reason, now_ms
        order.is_working = False
        self._open.pop(order.order_id, None)
        asset = self._paid_asset(order.ticket)
        released, order.reserved = order.reserved, ZERO
        self.account.release(asset, released)
        if end.status is OrderStatus.CANCELED:
            self._tell(order, OrderChange.CANCELED, None, now_ms)
        elif end.status is not OrderStatus.FILLED:
            self._tell(order, OrderChange.EXPIRED, None, now_ms)
        if released:
            self._tell_balances({asset}, now_ms)

    def _tell(
        self, order: PlacedOrder, change: OrderChange, execution: Execution | None, now_ms: int
    ) -> None:
        for listener in self.listeners:
            listener.order_changed(order, change, execution, now_ms)

    def _tell_balances(self, assets: set[str], now_ms: int) -> None:
        for listener in self.listeners:
            listener.balances_changed(tuple(sorted(assets)), now_ms)


def _closing_trades(events: list[BookEvent]) -> dict[int, int]:
    # For each order that these events fill up, its last trade.
    filled = {e.order_id for e in events if isinstance(e, Ended) and e.reason is EndReason.FILLED}
    last: dict[int, int] = {}
    for event in events:
        if isinstance(event, Traded):
            last.update(
                (order_id, event.trade_id)
                for order_id in (event.maker_id, event.taker_id)
                if order_id in filled
            )
    return last


def _book_order(order_id: int, ticket: OrderTicket, spend_max: Decimal | None) -> BookOrder:
    return BookOrder(
        order_id=order_id,
        side=ticket.side,
        kind=ticket.kind,
        quantity=ticket.quantity,
        price=ticket.price,
        stop_price=ticket.stop_price,
        time_in_force=ticket.time_in_force,
        quote_quantity=ticket.quote_quantity if ticket.side is Side.BUY else None,
        spend_max=spend_max if ticket.side is Side.BUY else None,
        self_trade=ticket.self_trade,
    )
