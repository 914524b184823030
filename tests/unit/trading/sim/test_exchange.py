"""The in-process exchange: orders, money, fees; and money is conserved whatever happens."""

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.domain.instrument import Instrument, InstrumentStatus
from trading.domain.market import BookLevel
from trading.domain.order import OrderStatus, Side, TimeInForce
from trading.sim.catalogue import instrument
from trading.sim.exchange import Exchange, OrderRefusal, OrderRefused, UnknownOrder
from trading.sim.models import FeeSchedule
from trading.sim.orders import (
    EndReason,
    Execution,
    OrderChange,
    OrderKind,
    OrderTicket,
    PlacedOrder,
    SelfTrade,
    Traded,
)

BTC = instrument("BTC", "USDT", Decimal("0.01"), Decimal("0.00001"), Decimal(60_000))
# As ETH/BTC: a price times a quantity has more decimals than an account keeps.
FINE = replace(BTC, price_tick=Decimal("0.00001"), quantity_step=Decimal("0.0001"))
FREE = FeeSchedule(Decimal(0), Decimal(0))


class Heard:
    """Remembers what the exchange told."""

    def __init__(self) -> None:
        self.changes: list[tuple[OrderChange, OrderStatus]] = []
        self.fees: list[tuple[str, Decimal]] = []
        self.assets: set[str] = set()
        self.prints = 0

    def trade_printed(self, symbol: str, trade: Traded, now_ms: int) -> None:
        self.prints += 1

    def order_changed(
        self, order: PlacedOrder, change: OrderChange, execution: Execution | None, now_ms: int
    ) -> None:
        self.changes.append((change, order.status))
        if execution:
            self.fees.append((execution.fee.asset, execution.fee.amount))

    def balances_changed(self, assets: tuple[str, ...], now_ms: int) -> None:
        self.assets.update(assets)


def level(price: str, quantity: str) -> BookLevel:
    return BookLevel(Decimal(price), Decimal(quantity))


def exchange(
    fees: FeeSchedule | None = None,
    bids: Iterable[BookLevel] = (level("59990", "1"), level("59980", "2")),
    asks: Iterable[BookLevel] = (level("60010", "1"), level("60020", "2")),
    listed: Instrument = BTC,
    **balances: str,
) -> Exchange:
    held = balances or {"USDT": "100000", "BTC": "5"}
    made = Exchange(
        {asset: Decimal(amount) for asset, amount in held.items()},
        fees,
        lambda asset, quote: Decimal(600) if (asset, quote) == ("BNB", "USDT") else None,
    )
    made.list_instrument(listed)
    made.refresh("BTC/USDT", bids, asks, 1)
    made.trade("BTC/USDT", Decimal(60_000), BTC.quantity_step, Side.BUY, 1)
    return made


def ticket(client_id: str = "a", side: Side = Side.BUY, **more: object) -> OrderTicket:
    exact = {name: Decimal(v) if isinstance(v, str) else v for name, v in more.items()}
    exact.setdefault("kind", OrderKind.MARKET)
    return OrderTicket("BTC/USDT", client_id, side, **exact)  # type: ignore[arg-type]


def test_a_buy_pays_its_fee_in_what_it_receives() -> None:
    made = exchange()
    order = made.place(ticket(quantity="1"), 10)
    assert order.status is OrderStatus.FILLED
    assert made.account.free("BTC") == Decimal("5.999")
    assert made.account.free("USDT") == Decimal(100_000 - 60_010)
    assert made.account.locked("USDT") == 0


def test_a_sell_pays_its_fee_in_quote() -> None:
    made = exchange()
    made.place(ticket(side=Side.SELL, quantity="1"), 10)
    assert made.account.free("BTC") == 4
    assert made.account.free("USDT") == 100_000 + Decimal(59_990) * Decimal("0.999")


@pytest.mark.parametrize(
    ("asset", "side", "fee_asset", "amount"),
    [
        ("base", Side.SELL, "BTC", "0.001"),
        ("quote", Side.BUY, "USDT", "60.01"),
        ("base", Side.BUY, "BTC", "0.001"),
        ("quote", Side.SELL, "USDT", "59.99"),
        # 59.99 USDT at 600 USDT a coin
        ("BNB", Side.SELL, "BNB", "0.09998333"),
        ("XYZ", Side.SELL, "USDT", "59.99"),
    ],
)
def test_fees_are_taken_in_the_asset_asked_for(
    asset: str, side: Side, fee_asset: str, amount: str
) -> None:
    made = exchange(FeeSchedule(asset=asset), USDT="100000", BTC="5", BNB="1")
    order = made.place(ticket(side=side, quantity="1"), 10)
    assert [(e.fee.asset, e.fee.amount) for e in order.executions] == [(fee_asset, Decimal(amount))]


def test_a_third_coin_that_ran_out_leaves_the_fee_to_the_fill() -> None:
    made = exchange(FeeSchedule(asset="BNB"), BTC="5", BNB="0.05")
    order = made.place(ticket(side=Side.SELL, quantity="1"), 10)
    assert order.executions[0].fee.asset == "USDT"
    assert made.account.free("BNB") == Decimal("0.05")


def test_a_limit_buy_locks_its_notional_and_gets_back_what_a_better_price_saves() -> None:
    made = exchange(FREE)
    order = made.place(ticket(kind=OrderKind.LIMIT, quantity="1.5", price="60015"), 10)
    assert order.status is OrderStatus.PARTIALLY_FILLED
    assert made.account.locked("USDT") == Decimal("0.5") * 60015
    assert made.account.total("USDT") == 100_000 - 60_010
    made.cancel(order.order_id, 11)
    assert made.account.locked("USDT") == 0
    assert order.status is OrderStatus.CANCELED


def test_a_resting_sell_is_filled_when_the_market_comes_and_pays_the_maker_rate() -> None:
    made = exchange(FeeSchedule(maker=Decimal("0.0002"), taker=Decimal("0.001")))
    order = made.place(
        ticket(side=Side.SELL, kind=OrderKind.LIMIT, quantity="1", price="61000"), 10
    )
    assert made.account.locked("BTC") == 1
    made.refresh("BTC/USDT", [level("65000", "3")], [level("65001", "1")], 20)
    assert order.status is OrderStatus.FILLED
    assert order.executions[0].is_maker
    assert order.executions[0].fee.amount == Decimal("12.2")
    assert order.executions[0].price == 61_000


@pytest.mark.parametrize(
    ("wanted", "refusal"),
    [
        (ticket(quantity="2"), OrderRefusal.INSUFFICIENT_BALANCE),
        (
            ticket(side=Side.SELL, kind=OrderKind.LIMIT, quantity="6", price="60000"),
            OrderRefusal.INSUFFICIENT_BALANCE,
        ),
        (ticket(quote_quantity="200000"), OrderRefusal.INSUFFICIENT_BALANCE),
        (
            ticket(kind=OrderKind.LIMIT_MAKER, quantity="1", price="60010"),
            OrderRefusal.WOULD_TAKE,
        ),
        (
            ticket(side=Side.SELL, kind=OrderKind.STOP_LOSS, quantity="1", stop_price="60500"),
            OrderRefusal.WOULD_TRIGGER,
        ),
    ],
)
def test_a_refused_order_changes_nothing(wanted: OrderTicket, refusal: OrderRefusal) -> None:
    made = exchange(USDT="100000", BTC="5")
    with pytest.raises(OrderRefused) as caught:
        made.place(wanted, 10)
    assert caught.value.refusal is refusal
    assert made.account.total("USDT") == made.account.free("USDT") == 100_000
    assert list(made.orders()) == []


def test_a_closed_market_takes_no_orders() -> None:
    made = exchange()
    made.list_instrument(replace(BTC, status=InstrumentStatus.HALTED))
    with pytest.raises(OrderRefused) as caught:
        made.place(ticket(quantity="1"), 10)
    assert caught.value.refusal is OrderRefusal.MARKET_CLOSED


def test_a_client_id_is_unique_among_open_orders_only() -> None:
    made = exchange()
    limit = {"kind": OrderKind.LIMIT, "quantity": "0.1", "price": "50000"}
    first = made.place(ticket("same", **limit), 10)
    with pytest.raises(OrderRefused) as caught:
        made.place(ticket("same", **limit), 11)
    assert caught.value.refusal is OrderRefusal.DUPLICATE_ID
    made.cancel(first.order_id, 12)
    second = made.place(ticket("same", **limit), 13)
    assert made.latest_by_client_id("BTC/USDT", "same") is second
    assert made.open_orders() == made.open_orders("BTC/USDT") == [second]
    assert made.open_orders("ETH/USDT") == []


def test_only_open_orders_can_be_cancelled() -> None:
    made = exchange()
    order = made.place(ticket(quantity="1"), 10)
    with pytest.raises(UnknownOrder):
        made.cancel(order.order_id, 11)


def test_a_quote_buy_reports_what_it_bought_and_returns_the_rest() -> None:
    made = exchange(FREE)
    order = made.place(ticket(quote_quantity="1000"), 10)
    assert order.status is OrderStatus.FILLED
    assert order.quantity == order.executed == Decimal("0.01666")
    assert made.account.total("USDT") == 100_000 - Decimal("0.01666") * 60_010
    assert made.account.locked("USDT") == 0


def test_a_quote_sell_sells_as_many_coins_as_the_money_takes() -> None:
    made = exchange(FREE)
    order = made.place(ticket(side=Side.SELL, quote_quantity="1000"), 10)
    assert order.status is OrderStatus.FILLED
    assert order.quantity == order.executed == Decimal("0.01666")


def test_the_last_fill_of_an_order_reports_it_filled() -> None:
    made = exchange(FREE)
    heard = Heard()
    made.listeners.append(heard)
    made.place(ticket(quote_quantity="70000"), 10)
    assert heard.changes == [
        (OrderChange.ACCEPTED, OrderStatus.NEW),
        (OrderChange.TRADED, OrderStatus.PARTIALLY_FILLED),
        (OrderChange.TRADED, OrderStatus.FILLED),
    ]
    assert heard.prints == 2
    assert heard.assets == {"BTC", "USDT"}


def test_a_market_order_beyond_the_book_ends_expired_with_what_it_got() -> None:
    made = exchange(FREE)
    heard = Heard()
    made.listeners.append(heard)
    order = made.place(ticket(side=Side.SELL, quantity="4"), 10)
    assert (order.status, order.executed) == (OrderStatus.EXPIRED, Decimal(3))
    assert order.end_reason is EndReason.UNFILLED
    assert made.account.free("BTC") == 2
    assert heard.changes[-1] == (OrderChange.EXPIRED, OrderStatus.EXPIRED)


def test_a_stop_waits_locked_and_triggers_on_the_last_price() -> None:
    made = exchange(FREE)
    heard = Heard()
    made.listeners.append(heard)
    order = made.place(
        ticket(side=Side.SELL, kind=OrderKind.STOP_LOSS, quantity="1", stop_price="59000"), 10
    )
    assert made.account.locked("BTC") == 1
    assert not order.is_working
    made.trade("BTC/USDT", Decimal(58_900), Decimal(1), Side.SELL, 20)
    assert (OrderChange.TRIGGERED, OrderStatus.NEW) in heard.changes
    assert order.status is OrderStatus.FILLED
    assert made.executions("BTC/USDT") == order.executions


def test_a_stop_buy_spends_no_more_than_it_locked() -> None:
    made = exchange(FREE, USDT="61000", BTC="0")
    order = made.place(ticket(kind=OrderKind.STOP_LOSS, quantity="1", stop_price="61000"), 10)
    made.refresh("BTC/USDT", [level("61900", "1")], [level("62000", "5")], 20)
    made.trade("BTC/USDT", Decimal(62_000), Decimal(1), Side.BUY, 21)
    assert order.status is OrderStatus.EXPIRED
    assert Decimal("0.98") < order.executed < 1
    assert made.account.total("USDT") >= 0
    assert made.account.locked("USDT") == 0


def test_a_late_order_is_accepted_now_and_matched_later() -> None:
    made = exchange(FREE)
    order = made.place(ticket(quantity="1"), 10, match_after_ms=500)
    made.release_late(509)
    assert order.status is OrderStatus.NEW
    assert made.account.locked("USDT") == 60_010
    made.release_late(510)
    assert order.status is OrderStatus.FILLED


def test_a_late_order_can_be_cancelled_before_it_is_matched() -> None:
    made = exchange(FREE)
    order = made.place(ticket(quantity="1"), 10, match_after_ms=500)
    made.cancel(order.order_id, 20)
    made.release_late(1_000)
    assert (order.status, order.executed) == (OrderStatus.CANCELED, 0)
    assert made.account.locked("USDT") == 0


def test_own_orders_expire_rather_than_trade_with_each_other() -> None:
    made = exchange(FREE)
    resting = made.place(
        ticket("m", side=Side.SELL, kind=OrderKind.LIMIT, quantity="1", price="60005"), 10
    )
    made.place(ticket("t", quantity="0.5"), 11)
    assert (resting.status, resting.end_reason) == (OrderStatus.EXPIRED, EndReason.SELF_TRADE)
    assert made.account.locked("BTC") == 0


def test_deposits_and_withdrawals_are_told() -> None:
    made = exchange()
    heard = Heard()
    made.listeners.append(heard)
    made.transfer("SOL", Decimal(3), 10)
    made.transfer("SOL", Decimal(-1), 11)
    assert made.account.free("SOL") == 2
    assert heard.assets == {"SOL"}


kinds = st.sampled_from(
    [OrderKind.MARKET, OrderKind.LIMIT, OrderKind.LIMIT_MAKER, OrderKind.STOP_LOSS]
)
moves = st.one_of(
    st.tuples(st.just("price"), st.integers(40_000, 80_000)),
    st.tuples(
        st.just("order"),
        st.sampled_from(Side),
        kinds,
        st.integers(1, 300_000),
        st.integers(45_000, 75_000),
        st.sampled_from(TimeInForce),
        st.sampled_from(SelfTrade),
        st.booleans(),
    ),
    st.tuples(st.just("cancel"), st.integers(1, 30)),
)


def test_an_account_keeps_eight_decimals_and_gives_back_all_that_an_order_did_not_spend() -> None:
    made = exchange(
        asks=[level("0.05123", "0.0001"), level("0.05125", "0.0002")],
        bids=[level("0.05121", "5")],
        listed=FINE,
        USDT="1",
        BTC="1",
    )
    order = made.place(ticket(kind=OrderKind.LIMIT, quantity="0.0007", price="0.05125"), 10)
    # 0.0001 at 0.05123 and 0.0002 at 0.05125: 0.000005123 and 0.00001025, each rounded down.
    assert order.notional == Decimal("0.00001537")
    assert made.account.total("USDT") == 1 - Decimal("0.00001537")
    assert made.account.locked("USDT") == Decimal("0.0000205")
    made.cancel(order.order_id, 11)
    assert made.account.free("USDT") == 1 - Decimal("0.00001537")


@given(
    st.lists(moves, max_size=30),
    st.sampled_from(["received", "base", "quote", "BNB"]),
)
def test_money_is_conserved_and_never_negative(
    script: list[tuple[object, ...]], asset: str
) -> None:
    made = exchange(
        FeeSchedule(Decimal("0.001"), Decimal("0.002"), asset), USDT="150000", BTC="2", BNB="0.1"
    )
    before = {a: made.account.total(a) for a in ("USDT", "BTC", "BNB")}
    for number, move in enumerate(script, start=1):
        _make(made, move, number)
        for name in made.account.assets:
            assert made.account.free(name) >= 0
            assert made.account.locked(name) >= 0
    expected = dict(before)
    for done in made.executions("BTC/USDT"):
        sign = done.side.sign
        expected["BTC"] += sign * done.quantity
        expected["USDT"] -= sign * done.notional
        expected[done.fee.asset] -= done.fee.amount
    assert {a: made.account.total(a) for a in expected} == expected
    locked = {"BTC": Decimal(0), "USDT": Decimal(0)}
    for order in made.open_orders():
        locked["USDT" if order.ticket.side is Side.BUY else "BTC"] += order.reserved
    assert {a: made.account.locked(a) for a in locked} == locked


def _make(made: Exchange, move: tuple[object, ...], number: int) -> None:
    if move[0] == "price":
        price = Decimal(int(str(move[1])))
        bids = [BookLevel(price - 1 - i, Decimal("0.3")) for i in range(3)]
        asks = [BookLevel(price + 1 + i, Decimal("0.3")) for i in range(3)]
        made.refresh("BTC/USDT", bids, asks, number)
        made.trade("BTC/USDT", price, Decimal("0.4"), Side.SELL, number)
        return
    try:
        if move[0] == "cancel":
            made.cancel(int(str(move[1])), number)
        else:
            made.place(_drawn(move, number), number)
    except (OrderRefused, UnknownOrder):
        return


def _drawn(move: tuple[object, ...], number: int) -> OrderTicket:
    _, side, kind, steps, price, tif, rule, is_in_quote = move
    assert isinstance(kind, OrderKind)
    quantity = Decimal(int(str(steps))) * BTC.quantity_step
    is_market_in_quote = kind is OrderKind.MARKET and bool(is_in_quote)
    return OrderTicket(
        "BTC/USDT",
        str(number),
        side,  # type: ignore[arg-type]
        kind,
        quantity=Decimal(0) if is_market_in_quote else quantity,
        quote_quantity=quantity * 50_000 if is_market_in_quote else None,
        price=Decimal(int(str(price))) if kind.has_limit else None,
        stop_price=Decimal(int(str(price))) if kind.is_conditional else None,
        time_in_force=tif if kind is OrderKind.LIMIT else TimeInForce.GTC,  # type: ignore[arg-type]
        self_trade=rule,  # type: ignore[arg-type]
    )
