"""The fill model: price-time priority, limits that hold, nothing made and nothing lost."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.domain.market import BookLevel
from trading.domain.order import OrderStatus, Side, TimeInForce
from trading.sim.matching import Book
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

STEP = Decimal("0.1")


def levels(*pairs: tuple[str, str]) -> list[BookLevel]:
    return [BookLevel(Decimal(price), Decimal(quantity)) for price, quantity in pairs]


def book(bids: list[BookLevel] | None = None, asks: list[BookLevel] | None = None) -> Book:
    made = Book(STEP)
    made.refresh(
        levels(("99", "1"), ("98", "2")) if bids is None else bids,
        levels(("101", "1"), ("102", "2")) if asks is None else asks,
    )
    return made


def order(
    order_id: int, side: Side, kind: OrderKind = OrderKind.LIMIT, **more: object
) -> BookOrder:
    exact = {
        name: Decimal(value) if isinstance(value, str) and name != "owner" else value
        for name, value in more.items()
    }
    return BookOrder(order_id, side, kind, **exact)  # type: ignore[arg-type]


def trades(events: list[BookEvent]) -> list[tuple[str, str]]:
    return [(str(e.price), str(e.quantity)) for e in events if isinstance(e, Traded)]


def ends(events: list[BookEvent]) -> list[tuple[int, OrderStatus]]:
    return [(e.order_id, e.status) for e in events if isinstance(e, Ended)]


def test_a_market_order_takes_the_best_levels_first() -> None:
    events = book().submit(order(1, Side.BUY, OrderKind.MARKET, quantity="1.5"))
    assert trades(events) == [("101", "1"), ("102", "0.5")]
    assert ends(events) == [(1, OrderStatus.FILLED)]


def test_a_market_order_that_exhausts_the_book_ends_expired_half_filled() -> None:
    events = book().submit(order(1, Side.SELL, OrderKind.MARKET, quantity="6"))
    assert trades(events) == [("99", "1"), ("98", "2")]
    assert ends(events) == [(1, OrderStatus.EXPIRED)]


def test_a_market_order_in_an_empty_book_expires_without_a_fill() -> None:
    events = book(bids=[]).submit(order(1, Side.SELL, OrderKind.MARKET, quantity="1"))
    assert events == [Ended(1, OrderStatus.EXPIRED, EndReason.UNFILLED)]


def test_a_market_order_of_no_quantity_is_never_called_filled() -> None:
    events = book().submit(order(1, Side.SELL, OrderKind.MARKET, quantity="0"))
    assert ends(events) == [(1, OrderStatus.EXPIRED)]


def test_a_quote_order_spends_its_budget_down_to_the_last_step() -> None:
    events = book().submit(order(1, Side.BUY, OrderKind.MARKET, quote_quantity="152.5"))
    # 101 for the first level; 51.5 left buy 0.5 at 102 and half a quote unit stays.
    assert trades(events) == [("101", "1"), ("102", "0.5")]
    assert ends(events) == [(1, OrderStatus.FILLED)]


def test_a_quote_order_that_exhausts_the_book_expires() -> None:
    events = book().submit(order(1, Side.BUY, OrderKind.MARKET, quote_quantity="1000"))
    assert ends(events) == [(1, OrderStatus.EXPIRED)]


def test_a_quote_order_too_small_for_one_step_expires_without_a_fill() -> None:
    events = book().submit(order(1, Side.BUY, OrderKind.MARKET, quote_quantity="5"))
    assert events == [Ended(1, OrderStatus.EXPIRED, EndReason.UNFILLED)]


def test_a_buy_never_spends_more_than_allowed() -> None:
    events = book().submit(order(1, Side.BUY, OrderKind.MARKET, quantity="2", spend_max="130"))
    assert trades(events) == [("101", "1"), ("102", "0.2")]
    assert ends(events) == [(1, OrderStatus.EXPIRED)]


def test_a_limit_order_takes_up_to_its_price_and_rests_with_the_remainder() -> None:
    made = book()
    events = made.submit(order(1, Side.BUY, quantity="3", price="101"))
    assert trades(events) == [("101", "1")]
    assert ends(events) == []
    assert made.best(Side.BUY) == BookLevel(Decimal(101), Decimal(2))
    assert made.has_orders


def test_an_ioc_order_lets_its_remainder_expire() -> None:
    events = book().submit(
        order(1, Side.BUY, quantity="3", price="101", time_in_force=TimeInForce.IOC)
    )
    assert trades(events) == [("101", "1")]
    assert ends(events) == [(1, OrderStatus.EXPIRED)]


@pytest.mark.parametrize(
    ("quantity", "status"), [("3", OrderStatus.FILLED), ("3.1", OrderStatus.EXPIRED)]
)
def test_a_fok_order_fills_wholly_or_not_at_all(quantity: str, status: OrderStatus) -> None:
    events = book().submit(
        order(1, Side.BUY, quantity=quantity, price="102", time_in_force=TimeInForce.FOK)
    )
    assert ends(events) == [(1, status)]
    assert bool(trades(events)) is (status is OrderStatus.FILLED)


def test_a_fok_order_counts_orders_of_other_owners_but_not_its_own() -> None:
    for owner, status in (("b", OrderStatus.FILLED), ("a", OrderStatus.EXPIRED)):
        made = book(asks=[])
        made.submit(order(1, Side.SELL, quantity="1", price="101", owner=owner))
        made.submit(order(2, Side.SELL, quantity="1", price="105", owner="b"))
        events = made.submit(
            order(3, Side.BUY, quantity="1", price="101", time_in_force=TimeInForce.FOK, owner="a")
        )
        assert (3, status) in ends(events)


def test_a_maker_only_order_that_would_take_is_rejected_and_otherwise_rests() -> None:
    made = book()
    events = made.submit(order(1, Side.BUY, OrderKind.LIMIT_MAKER, quantity="1", price="101"))
    assert events == [Ended(1, OrderStatus.REJECTED, EndReason.WOULD_TAKE)]
    assert made.submit(order(2, Side.BUY, OrderKind.LIMIT_MAKER, quantity="1", price="100")) == []
    assert made.best(Side.BUY) == BookLevel(Decimal(100), Decimal(1))


def test_a_better_price_of_ours_trades_before_the_others() -> None:
    made = book()
    made.submit(order(1, Side.SELL, quantity="1", price="100.5", owner="a"))
    events = made.submit(order(2, Side.BUY, OrderKind.MARKET, quantity="1.5", owner="b"))
    assert trades(events) == [("100.5", "1"), ("101", "0.5")]
    assert ends(events) == [(1, OrderStatus.FILLED), (2, OrderStatus.FILLED)]


def test_at_one_price_those_who_came_first_trade_first() -> None:
    made = book()
    made.submit(order(1, Side.SELL, quantity="1", price="101", owner="a"))
    made.submit(order(2, Side.SELL, quantity="1", price="101", owner="a"))
    events = made.submit(order(3, Side.BUY, OrderKind.MARKET, quantity="2.5", owner="b"))
    shares = [(e.maker_id, str(e.quantity)) for e in events if isinstance(e, Traded)]
    # The others were there before us, then our orders in the order of their arrival.
    assert shares == [(None, "1"), (1, "1"), (2, "0.5")]


def test_a_print_fills_what_stands_behind_the_queue_only_after_the_queue() -> None:
    made = book()
    made.submit(order(1, Side.BUY, quantity="1", price="99"))
    assert [e.maker_id for e in made.trade(Decimal(99), Decimal("0.6"), Side.SELL)] == [None]  # type: ignore[union-attr]
    events = made.trade(Decimal(99), Decimal(1), Side.SELL)
    assert [(e.maker_id, str(e.quantity)) for e in events if isinstance(e, Traded)] == [
        (None, "0.4"),
        (1, "0.6"),
    ]
    assert ends(events) == []


def test_a_print_through_our_price_fills_us_at_our_price_without_queueing() -> None:
    made = book()
    made.submit(order(1, Side.BUY, quantity="1", price="99"))
    events = made.trade(Decimal("98.5"), Decimal(3), Side.SELL)
    assert trades(events) == [("99", "1"), ("98.5", "2")]
    assert ends(events) == [(1, OrderStatus.FILLED)]


def test_a_print_short_of_our_price_leaves_us_alone() -> None:
    made = book()
    made.submit(order(1, Side.BUY, quantity="1", price="98"))
    events = made.trade(Decimal(99), Decimal(3), Side.SELL)
    assert [e.maker_id for e in events if isinstance(e, Traded)] == [None]
    assert made.last_price == 99


def test_a_shrinking_level_brings_us_forward_and_a_growing_one_does_not_push_us_back() -> None:
    made = book()
    made.submit(order(1, Side.BUY, quantity="1", price="99"))
    made.refresh(levels(("99", "0.3"), ("98", "1")), levels(("101", "1")))
    made.refresh(levels(("99", "5"), ("98", "1")), levels(("101", "1")))
    events = made.trade(Decimal(99), Decimal("0.8"), Side.SELL)
    assert [(e.maker_id, str(e.quantity)) for e in events if isinstance(e, Traded)] == [
        (None, "0.3"),
        (1, "0.5"),
    ]


def test_a_level_beyond_those_shown_keeps_its_queue() -> None:
    made = book()
    made.submit(order(1, Side.BUY, quantity="1", price="98"))
    made.refresh(levels(("99", "1")), levels(("101", "1")))
    made.refresh([], levels(("101", "1")))
    events = made.trade(Decimal(98), Decimal(2), Side.SELL)
    # Both refreshes left 98 unknown or empty: an empty side knows of no queue.
    assert [e.maker_id for e in events if isinstance(e, Traded)] == [1, None]


def test_quotes_that_cross_a_resting_order_fill_it_at_its_own_price() -> None:
    made = book()
    made.submit(order(1, Side.SELL, quantity="3", price="101.5"))
    events = made.refresh(levels(("103", "1"), ("102", "1"), ("101", "9")), levels(("104", "1")))
    assert trades(events) == [("101.5", "1"), ("101.5", "1")]
    assert made.best(Side.SELL) == BookLevel(Decimal("101.5"), Decimal(1))
    assert made.best(Side.BUY) == BookLevel(Decimal(101), Decimal(9))


def test_own_orders_show_in_the_depth_and_vanish_when_cancelled() -> None:
    made = book()
    made.submit(order(1, Side.BUY, quantity="1", price="99"))
    bids, asks = made.depth(1)
    assert bids == (BookLevel(Decimal(99), Decimal(2)),)
    assert asks == (BookLevel(Decimal(101), Decimal(1)),)
    assert ends(made.cancel(1)) == [(1, OrderStatus.CANCELED)]
    assert made.depth(1)[0] == (BookLevel(Decimal(99), Decimal(1)),)
    assert not made.has_orders


def test_cancelling_an_order_that_is_not_there_is_an_error() -> None:
    with pytest.raises(LookupError, match="order 7"):
        book().cancel(7)


def test_an_empty_side_has_no_best_level() -> None:
    assert book(bids=[]).best(Side.BUY) is None


@pytest.mark.parametrize(
    ("side", "kind", "stop", "trigger"),
    [
        (Side.SELL, OrderKind.STOP_LOSS, "95", "95"),
        (Side.BUY, OrderKind.STOP_LOSS, "105", "105"),
        (Side.SELL, OrderKind.TAKE_PROFIT, "105", "106"),
        (Side.BUY, OrderKind.TAKE_PROFIT, "95", "94"),
    ],
)
def test_a_conditional_order_waits_for_its_price_and_then_goes_to_market(
    side: Side, kind: OrderKind, stop: str, trigger: str
) -> None:
    made = book()
    made.trade(Decimal(100), STEP, Side.BUY)
    assert made.submit(order(1, side, kind, quantity="1", stop_price=stop)) == []
    assert made.trade(Decimal(100), STEP, Side.BUY)[1:] == []
    events = made.trade(Decimal(trigger), STEP, Side.BUY)
    assert Triggered(1) in events
    assert (1, OrderStatus.FILLED) in ends(events)


def test_a_triggered_limit_stop_rests_at_its_limit() -> None:
    made = book()
    made.trade(Decimal(100), STEP, Side.BUY)
    made.submit(
        order(1, Side.SELL, OrderKind.STOP_LOSS_LIMIT, quantity="1", stop_price="95", price="100")
    )
    events = made.trade(Decimal(95), STEP, Side.SELL)
    assert Triggered(1) in events
    assert made.best(Side.SELL) == BookLevel(Decimal(100), Decimal(1))


def test_a_stop_can_be_cancelled_before_it_triggers() -> None:
    made = book()
    made.submit(order(1, Side.SELL, OrderKind.STOP_LOSS, quantity="1", stop_price="95"))
    assert made.has_orders
    assert ends(made.cancel(1)) == [(1, OrderStatus.CANCELED)]
    assert [e for e in made.trade(Decimal(90), STEP, Side.SELL) if isinstance(e, Triggered)] == []


def test_one_stop_can_release_the_next() -> None:
    made = book(bids=levels(("99", "1"), ("90", "5")))
    made.trade(Decimal(100), STEP, Side.BUY)
    made.submit(order(1, Side.SELL, OrderKind.STOP_LOSS, quantity="2", stop_price="98"))
    made.submit(order(2, Side.SELL, OrderKind.STOP_LOSS, quantity="1", stop_price="92"))
    events = made.trade(Decimal(98), STEP, Side.SELL)
    assert [e for e in events if isinstance(e, Triggered)] == [Triggered(1), Triggered(2)]


def test_a_last_price_alone_releases_the_stops_it_reaches_and_prints_nothing() -> None:
    made = book(bids=levels(("94", "1")))
    made.submit(order(1, Side.SELL, OrderKind.STOP_LOSS, quantity="1", stop_price="95"))
    assert not made.reaches_stop(Decimal("95.01"))
    assert made.mark(Decimal("95.01")) == []
    assert made.reaches_stop(Decimal(95))
    events = made.mark(Decimal(95))
    assert events[0] == Triggered(1)
    assert [(e.price, e.taker_id) for e in events if isinstance(e, Traded)] == [(Decimal(94), 1)]
    assert not made.reaches_stop(Decimal(95))


def test_nothing_would_trigger_before_there_was_a_price() -> None:
    stop = order(1, Side.SELL, OrderKind.STOP_LOSS, quantity="1", stop_price="95")
    assert not book().would_trigger(stop)
    made = book()
    made.trade(Decimal(90), STEP, Side.SELL)
    assert made.would_trigger(stop)
    assert not made.would_trigger(order(2, Side.SELL, quantity="1", price="95"))


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (SelfTrade.EXPIRE_MAKER, [(1, OrderStatus.EXPIRED), (2, OrderStatus.FILLED)]),
        (SelfTrade.EXPIRE_TAKER, [(2, OrderStatus.EXPIRED)]),
        (SelfTrade.EXPIRE_BOTH, [(1, OrderStatus.EXPIRED), (2, OrderStatus.EXPIRED)]),
        (SelfTrade.NONE, [(1, OrderStatus.FILLED), (2, OrderStatus.FILLED)]),
    ],
)
def test_an_owner_does_not_trade_with_itself_unless_it_wants_to(
    rule: SelfTrade, expected: list[tuple[int, OrderStatus]]
) -> None:
    made = book()
    made.submit(order(1, Side.SELL, quantity="1", price="100"))
    events = made.submit(order(2, Side.BUY, OrderKind.MARKET, quantity="1", self_trade=rule))
    assert ends(events) == expected
    assert trades(events) == {
        SelfTrade.EXPIRE_MAKER: [("101", "1")],
        SelfTrade.NONE: [("100", "1")],
    }.get(rule, [])
    reasons = {e.reason for e in events if isinstance(e, Ended) if e.status is OrderStatus.EXPIRED}
    assert reasons <= {EndReason.SELF_TRADE}


def test_a_sweep_tells_what_a_market_order_would_cost_without_trading() -> None:
    made = book()
    assert made.sweep(Side.BUY, quantity=Decimal("1.5")) == (Decimal("1.5"), Decimal("152.0"))
    assert made.sweep(Side.SELL, quote=Decimal(148)) == (Decimal("1.5"), Decimal("148.0"))
    assert made.sweep(Side.BUY) == (Decimal(3), Decimal(305))
    assert made.best(Side.SELL) == BookLevel(Decimal(101), Decimal(1))


def test_trade_ids_count_up_from_where_they_were_told_to_begin() -> None:
    made = Book(STEP, first_trade_id=500)
    assert made.take_trade_id() == 500
    event = made.trade(Decimal(1), STEP, Side.BUY)[0]
    assert isinstance(event, Traded)
    assert event.trade_id == 501


def test_a_resting_order_without_a_limit_price_is_an_error_of_the_caller() -> None:
    with pytest.raises(ValueError, match="order 1 should have a limit price"):
        book().submit(BookOrder(1, Side.BUY, OrderKind.LIMIT_MAKER, quantity=Decimal(1)))


prices = st.integers(90, 110).map(Decimal)
quantities = st.integers(1, 50).map(lambda tenths: Decimal(tenths) / 10)
sides = st.sampled_from(Side)
shown = st.lists(st.tuples(prices, quantities), max_size=5)


@st.composite
def actions(draw: st.DrawFn) -> tuple[object, ...]:
    kind = draw(st.sampled_from(["limit", "market", "stop", "print", "quotes", "cancel"]))
    if kind == "quotes":
        middle = draw(st.integers(92, 108))
        bids = [BookLevel(Decimal(middle - 1 - i), draw(quantities)) for i in range(3)]
        asks = [BookLevel(Decimal(middle + 1 + i), draw(quantities)) for i in range(3)]
        return kind, bids, asks
    tif = draw(st.sampled_from(TimeInForce))
    owner = draw(st.sampled_from(["a", "b"]))
    rule = draw(st.sampled_from(SelfTrade))
    return kind, draw(sides), draw(prices), draw(quantities), tif, owner, rule


@given(st.lists(actions(), max_size=40))
def test_whatever_happens_limits_hold_and_quantities_add_up(
    script: list[tuple[object, ...]],
) -> None:
    made = Book(STEP)
    orders: dict[int, BookOrder] = {}
    filled: dict[int, Decimal] = {}
    ended: dict[int, OrderStatus] = {}
    last_id = 0
    for number, action in enumerate(script, start=1):
        for event in _play(made, orders, number, action):
            if isinstance(event, Traded):
                assert event.trade_id > last_id
                last_id = event.trade_id
                assert event.quantity > 0
                for order_id in filter(None, (event.taker_id, event.maker_id)):
                    ours = orders[order_id]
                    assert order_id not in ended
                    filled[order_id] = filled.get(order_id, Decimal(0)) + event.quantity
                    assert filled[order_id] <= ours.quantity
                    if ours.price is not None:
                        assert (event.price - ours.price) * ours.side.sign <= 0
                if event.taker_id and event.maker_id:
                    taker, maker = orders[event.taker_id], orders[event.maker_id]
                    assert taker.owner != maker.owner or taker.self_trade is SelfTrade.NONE
            elif isinstance(event, Ended):
                assert event.order_id not in ended
                ended[event.order_id] = event.status
                is_full = filled.get(event.order_id) == orders[event.order_id].quantity
                assert (event.status is OrderStatus.FILLED) is is_full
        bids, asks = made.depth(1)
        # What could trade has traded: the book is never left crossed.
        assert not bids or not asks or bids[0].price < asks[0].price


def _play(
    made: Book, orders: dict[int, BookOrder], number: int, action: tuple[object, ...]
) -> list[BookEvent]:
    if action[0] == "quotes":
        return made.refresh(action[1], action[2])  # type: ignore[arg-type]
    kind, side, price, quantity, tif, owner, rule = action
    if kind == "print":
        return made.trade(price, quantity, side)  # type: ignore[arg-type]
    if kind == "cancel":
        try:
            return made.cancel(number // 2)
        except LookupError:
            return []
    kinds = {"limit": OrderKind.LIMIT, "market": OrderKind.MARKET, "stop": OrderKind.STOP_LOSS}
    placed = BookOrder(
        number,
        side,  # type: ignore[arg-type]
        kinds[str(kind)],
        quantity=quantity,  # type: ignore[arg-type]
        price=price if kind == "limit" else None,  # type: ignore[arg-type]
        stop_price=price if kind == "stop" else None,  # type: ignore[arg-type]
        time_in_force=tif if kind == "limit" else TimeInForce.GTC,  # type: ignore[arg-type]
        self_trade=rule,  # type: ignore[arg-type]
        owner=str(owner),
    )
    orders[number] = placed
    return made.submit(placed)


@given(st.lists(st.tuples(prices, quantities), min_size=1, max_size=8), quantities)
def test_among_our_orders_better_prices_then_earlier_ones_are_filled_first(
    asks: list[tuple[Decimal, Decimal]], wanted: Decimal
) -> None:
    made = Book(STEP)
    for number, (price, quantity) in enumerate(asks):
        made.submit(BookOrder(number, Side.SELL, OrderKind.LIMIT, quantity, price, owner="a"))
    events = made.submit(BookOrder(99, Side.BUY, OrderKind.MARKET, wanted, owner="b"))
    filled = [e.maker_id for e in events if isinstance(e, Traded)]
    by_priority = sorted(range(len(asks)), key=lambda number: (asks[number][0], number))
    assert filled == by_priority[: len(filled)]
    total = sum(e.quantity for e in events if isinstance(e, Traded))
    assert total == min(wanted, sum(quantity for _, quantity in asks))
