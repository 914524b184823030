"""The one fill model: price-time priority between our orders and the liquidity of all others.

The simulated exchange, paper mode and backtests use this same book:

    book = Book(quantity_step=Decimal("0.00001"))
    events = book.refresh(bids, asks)      # what the others show now, best level first
    events = book.trade(price, quantity, aggressor)   # a print between others
    events = book.submit(order)            # ours: matched at once, rests, waits or ends
    events = book.cancel(order_id)

Every call is synchronous and answers with what happened, in order. The book knows no clock, no
account and no fees: the caller stamps events, books money and decides what an order may spend.

Assumptions, all on the cautious side:
- an order that joins a level stands behind everything shown there; only prints, or the level
  shrinking, bring it forward;
- a resting order is filled at its own price, by prints at or through it and by the others'
  quotes that cross it, never for more than they hold;
- stops are released by the last trade price, in the order of their arrival.
"""

from bisect import insort
from collections.abc import Iterable
from decimal import Decimal

from trading.domain.market import BookLevel
from trading.domain.money import ZERO, floor_to
from trading.domain.order import OrderStatus, Side, TimeInForce
from trading.sim.orders import (
    BookEvent,
    BookOrder,
    Ended,
    EndReason,
    OrderKind,
    SelfTrade,
    Traded,
    Triggered,
)


class _Working:
    """An order on its way through the book, with what is left of it."""

    __slots__ = ("ahead", "executed", "order", "remaining", "spent")

    def __init__(self, order: BookOrder) -> None:
        self.order = order
        self.remaining = order.quantity
        self.executed = ZERO
        self.spent = ZERO
        self.ahead = ZERO

    def accepts(self, price: Decimal) -> bool:
        limit = self.order.price
        return limit is None or (price - limit) * self.order.side.sign <= 0

    def room(self, price: Decimal, step: Decimal) -> Decimal:
        order = self.order
        if order.quote_quantity is not None:
            room = floor_to((order.quote_quantity - self.spent) / price, step)
        else:
            room = self.remaining
        if order.spend_max is not None and order.side is Side.BUY:
            room = min(room, floor_to((order.spend_max - self.spent) / price, step))
        return room

    def book(self, price: Decimal, quantity: Decimal) -> None:
        self.remaining -= quantity
        self.executed += quantity
        self.spent += price * quantity

    def is_done(self, last_price: Decimal | None, step: Decimal) -> bool:
        if self.order.quote_quantity is None:
            return bool(self.executed) and self.remaining <= 0
        # A quote order is filled when what is left of its money buys no further step.
        return bool(self.executed) and last_price is not None and not self.room(last_price, step)


class _Half:
    """One side of the book: the others' levels, best last, and our queue, best first."""

    __slots__ = ("levels", "queue", "sign")

    def __init__(self, side: Side) -> None:
        self.sign = side.sign
        self.levels: list[list[Decimal]] = []
        self.queue: list[tuple[Decimal, int, _Working]] = []

    def show(self, levels: Iterable[BookLevel]) -> None:
        ordered = sorted(levels, key=lambda level: level.price * self.sign)
        self.levels = [[level.price, level.quantity] for level in ordered if level.quantity > 0]
        self._bring_forward()

    def _bring_forward(self) -> None:
        if not self.queue:
            return
        shown = {level[0]: level[1] for level in self.levels}
        worst = self.levels[0][0] if self.levels else None
        for _, _, working in self.queue:
            price = _limit(working)
            # Beyond the last level shown nothing is known, so the place in the queue stays.
            if worst is None or (price - worst) * self.sign >= 0:
                working.ahead = min(working.ahead, shown.get(price, ZERO))

    def join(self, working: _Working, sequence: int) -> None:
        price = _limit(working)
        working.ahead = next((level[1] for level in self.levels if level[0] == price), ZERO)
        insort(self.queue, (-price * self.sign, sequence, working), key=lambda entry: entry[:2])

    def offer(self) -> tuple[Decimal, Decimal, _Working | None] | None:
        """Return price, quantity and owner (None: the others) of what trades next."""
        level = self.levels[-1] if self.levels else None
        if not self.queue:
            return None if level is None else (level[0], level[1], None)
        working = self.queue[0][2]
        price = _limit(working)
        if level is None or (price - level[0]) * self.sign > 0:
            return price, working.remaining, working
        if price == level[0]:
            if working.ahead <= 0:
                return price, working.remaining, working
            return price, min(working.ahead, level[1]), None
        return level[0], level[1], None

    def consume(self, price: Decimal, quantity: Decimal) -> None:
        """Take a quantity of the others' best level, which stands at this price."""
        level = self.levels[-1]
        level[1] -= quantity
        if level[1] <= 0:
            self.levels.pop()
        self.move_up(price, quantity)

    def move_up(self, price: Decimal, quantity: Decimal) -> None:
        for _, _, working in self.queue:
            if _limit(working) == price:
                working.ahead = max(ZERO, working.ahead - quantity)

    def remove(self, working: _Working) -> None:
        self.queue = [entry for entry in self.queue if entry[2] is not working]

    def top(self, limit: int | None) -> tuple[BookLevel, ...]:
        total: dict[Decimal, Decimal] = {level[0]: level[1] for level in self.levels}
        for _, _, working in self.queue:
            price = _limit(working)
            total[price] = total.get(price, ZERO) + working.remaining
        best_first = sorted(total, key=lambda price: -price * self.sign)[:limit]
        return tuple(BookLevel(price, total[price]) for price in best_first)


class Book:
    """One instrument's book. `quantity_step` sizes orders given in quote; trade ids count up."""

    def __init__(self, quantity_step: Decimal, first_trade_id: int = 1) -> None:
        self.quantity_step = quantity_step
        self.last_price: Decimal | None = None
        self._next_trade_id = first_trade_id
        self._sequence = 0
        self._halves = {side: _Half(side) for side in Side}
        self._resting: dict[int, _Working] = {}
        self._stops: dict[int, BookOrder] = {}

    @property
    def has_orders(self) -> bool:
        """Whether any order of ours rests or waits here."""
        return bool(self._resting or self._stops)

    def refresh(self, bids: Iterable[BookLevel], asks: Iterable[BookLevel]) -> list[BookEvent]:
        """Replace what the others show; our orders that it crosses are filled at their price."""
        self._halves[Side.BUY].show(bids)
        self._halves[Side.SELL].show(asks)
        events: list[BookEvent] = []
        for side in Side:
            self._fill_crossed(side, events)
        self._release_stops(events)
        return events

    def trade(self, price: Decimal, quantity: Decimal, aggressor: Side) -> list[BookEvent]:
        """Take notice of a print: our orders at or through it share in it, in their turn."""
        events: list[BookEvent] = []
        half = self._halves[aggressor.opposite]
        left = quantity
        while left > 0 and half.queue:
            working = half.queue[0][2]
            own_price = _limit(working)
            distance = (own_price - price) * half.sign
            if distance < 0:
                break
            if distance == 0 and working.ahead > 0:
                before = min(working.ahead, left)
                half.move_up(price, before)
                self._print(events, price, before, aggressor)
                left -= before
                continue
            share = min(left, working.remaining)
            self._fill_resting(events, working, share, aggressor)
            left -= share
        if left > 0:
            self._print(events, price, left, aggressor)
        self._release_stops(events)
        return events

    def mark(self, price: Decimal) -> list[BookEvent]:
        """Take notice of the last price alone, without a print; stops that it reaches go out."""
        events: list[BookEvent] = []
        self.last_price = price
        self._release_stops(events)
        return events

    def reaches_stop(self, price: Decimal) -> bool:
        """Whether a waiting stop would be released by a last trade at this price."""
        return any(_is_reached(order, price) for order in self._stops.values())

    def submit(self, order: BookOrder) -> list[BookEvent]:
        """Match an order at once and let it rest, wait or end, as its kind says."""
        events: list[BookEvent] = []
        if order.kind.is_conditional:
            self._stops[order.order_id] = order
        else:
            self._activate(order, order.kind, events)
        self._release_stops(events)
        return events

    def cancel(self, order_id: int) -> list[BookEvent]:
        """Take an order out; LookupError when the book does not hold it."""
        if order_id in self._stops:
            del self._stops[order_id]
            return [Ended(order_id, OrderStatus.CANCELED, EndReason.CANCELED)]
        working = self._resting.get(order_id)
        if working is None:
            raise LookupError(f"order {order_id} is not in the book")
        events: list[BookEvent] = []
        self._end(events, working, OrderStatus.CANCELED, EndReason.CANCELED)
        return events

    def would_take(self, side: Side, price: Decimal) -> bool:
        """Whether a limit order at this price would trade at once."""
        offer = self._halves[side.opposite].offer()
        return offer is not None and (offer[0] - price) * side.sign <= 0

    def would_trigger(self, order: BookOrder) -> bool:
        """Whether the last price already satisfies the order's stop price."""
        return self.last_price is not None and _is_reached(order, self.last_price)

    def sweep(
        self, side: Side, quantity: Decimal | None = None, quote: Decimal | None = None
    ) -> tuple[Decimal, Decimal]:
        """Return base and quote that a market order would trade with the others now."""
        base, spent = ZERO, ZERO
        for price, shown in reversed(self._halves[side.opposite].levels):
            room = shown if quantity is None else min(shown, quantity - base)
            if quote is not None:
                room = min(room, floor_to((quote - spent) / price, self.quantity_step))
            if room <= 0:
                break
            base += room
            spent += room * price
        return base, spent

    def depth(
        self, limit: int | None = None
    ) -> tuple[tuple[BookLevel, ...], tuple[BookLevel, ...]]:
        """Return bids and asks, ours included, best first."""
        return self._halves[Side.BUY].top(limit), self._halves[Side.SELL].top(limit)

    def best(self, side: Side) -> BookLevel | None:
        """Return the best level of one side, or None when it is empty."""
        top = self._halves[side].top(1)
        return top[0] if top else None

    def take_trade_id(self) -> int:
        """Use up the next trade id."""
        trade_id = self._next_trade_id
        self._next_trade_id += 1
        return trade_id

    def _activate(self, order: BookOrder, kind: OrderKind, events: list[BookEvent]) -> None:
        working = _Working(order)
        if kind is OrderKind.LIMIT_MAKER and self.would_take(order.side, _limit(working)):
            self._end(events, working, OrderStatus.REJECTED, EndReason.WOULD_TAKE)
            return
        if order.time_in_force is not TimeInForce.FOK or self._can_fill(working):
            last_price, prevented = self._take(working, events)
            if prevented:
                return
            if working.is_done(last_price, self.quantity_step):
                self._end(events, working, OrderStatus.FILLED, EndReason.FILLED)
                return
        if kind is OrderKind.MARKET or order.time_in_force is not TimeInForce.GTC:
            self._end(events, working, OrderStatus.EXPIRED, EndReason.UNFILLED)
            return
        self._sequence += 1
        self._resting[order.order_id] = working
        self._halves[order.side].join(working, self._sequence)

    def _take(self, taker: _Working, events: list[BookEvent]) -> tuple[Decimal | None, bool]:
        """Trade while it fits; return the last price and whether self-trade ended the taker."""
        half = self._halves[taker.order.side.opposite]
        last_price = None
        while (offer := half.offer()) is not None and taker.accepts(offer[0]):
            price, shown, maker = offer
            if maker is not None and self._clash(taker, maker):
                if self._prevent(taker, maker, events):
                    return last_price, True
                continue
            last_price = price
            quantity = min(shown, taker.room(price, self.quantity_step))
            if quantity <= 0:
                break
            taker.book(price, quantity)
            if maker is None:
                half.consume(price, quantity)
                self._print(events, price, quantity, taker.order.side, taker.order.order_id)
            else:
                self._fill_resting(events, maker, quantity, taker.order.side, taker.order.order_id)
        return last_price, False

    def _can_fill(self, taker: _Working) -> bool:
        side = taker.order.side
        found = ZERO
        for price, shown in self._halves[side.opposite].levels:
            found += shown if taker.accepts(price) else ZERO
        for _, _, maker in self._halves[side.opposite].queue:
            if taker.accepts(_limit(maker)) and not self._clash(taker, maker):
                found += maker.remaining
        return found >= taker.remaining

    @staticmethod
    def _clash(taker: _Working, maker: _Working) -> bool:
        return (
            taker.order.self_trade is not SelfTrade.NONE and taker.order.owner == maker.order.owner
        )

    def _prevent(self, taker: _Working, maker: _Working, events: list[BookEvent]) -> bool:
        rule = taker.order.self_trade
        if rule is not SelfTrade.EXPIRE_TAKER:
            self._end(events, maker, OrderStatus.EXPIRED, EndReason.SELF_TRADE)
        if rule is not SelfTrade.EXPIRE_MAKER:
            self._end(events, taker, OrderStatus.EXPIRED, EndReason.SELF_TRADE)
            return True
        return False

    def _fill_crossed(self, side: Side, events: list[BookEvent]) -> None:
        own, others = self._halves[side], self._halves[side.opposite]
        while own.queue and others.levels:
            working = own.queue[0][2]
            price, shown = others.levels[-1]
            if not working.accepts(price):
                break
            share = min(shown, working.remaining)
            others.consume(price, share)
            self._fill_resting(events, working, share, side.opposite)

    def _fill_resting(
        self,
        events: list[BookEvent],
        maker: _Working,
        quantity: Decimal,
        aggressor: Side,
        taker_id: int | None = None,
    ) -> None:
        price = _limit(maker)
        maker.book(price, quantity)
        self._print(events, price, quantity, aggressor, taker_id, maker.order.order_id)
        if maker.remaining <= 0:
            self._end(events, maker, OrderStatus.FILLED, EndReason.FILLED)

    def _print(
        self,
        events: list[BookEvent],
        price: Decimal,
        quantity: Decimal,
        aggressor: Side,
        taker_id: int | None = None,
        maker_id: int | None = None,
    ) -> None:
        trade_id = self.take_trade_id()
        events.append(Traded(trade_id, price, quantity, aggressor, taker_id, maker_id))
        self.last_price = price

    def _end(
        self, events: list[BookEvent], working: _Working, status: OrderStatus, reason: EndReason
    ) -> None:
        order_id = working.order.order_id
        if self._resting.pop(order_id, None) is not None:
            self._halves[working.order.side].remove(working)
        events.append(Ended(order_id, status, reason))

    def _release_stops(self, events: list[BookEvent]) -> None:
        while self._stops:
            due = next((o for o in self._stops.values() if self.would_trigger(o)), None)
            if due is None:
                return
            del self._stops[due.order_id]
            events.append(Triggered(due.order_id))
            self._activate(due, due.kind.released_as, events)


def _is_reached(order: BookOrder, price: Decimal) -> bool:
    if order.stop_price is None:
        return False
    # A stop sells below and buys above the market, a take profit the other way round.
    direction = order.side.sign if order.kind.is_stop else -order.side.sign
    return (price - order.stop_price) * direction >= 0


def _limit(working: _Working) -> Decimal:
    price = working.order.price
    if price is None:
        raise ValueError(f"order {working.order.order_id} should have a limit price")
    return price
