"""What the exchange says against what was written: classified, and nothing is taken for a sale."""

from dataclasses import replace
from decimal import Decimal

import pytest

from tests import builders
from tests.catalogue import fired
from trading.domain.order import (
    Attempt,
    AttemptState,
    Intent,
    OrderReport,
    OrderRequest,
    OrderStatus,
    OrderType,
    Purpose,
    Side,
)
from trading.domain.position import Balance, Position
from trading.execution import reconcile
from trading.execution.identity import client_order_id
from trading.execution.reconcile import Difference
from trading.execution.round_trip import round_trip

BTC = "BTC/USDT"
ID = client_order_id("ux", "tracker:1:1", 1)


def report(status: OrderStatus, filled: str = "0", order_id: str = ID) -> OrderReport:
    return OrderReport(
        order_id,
        "1",
        BTC,
        Side.SELL,
        status,
        Decimal("0.5"),
        Decimal(filled),
        None,
        (),
        builders.NOON,
    )


def local(state: AttemptState, filled: str = "0") -> dict[str, Attempt]:
    request = OrderRequest(ID, BTC, Side.SELL, OrderType.MARKET, Decimal("0.5"))
    attempt = Attempt(
        "tracker:1:1", 1, request, state, builders.NOON, filled_quantity=Decimal(filled)
    )
    return {ID: attempt}


def kinds(attempts: dict[str, Attempt], *reports: OrderReport) -> list[Difference]:
    return [one.kind for one in reconcile.orders(attempts, reports, "ux")]


def test_what_is_found_of_orders_is_a_sentence_without_words_of_machines() -> None:
    def said(attempts: dict[str, Attempt], filled: str) -> str:
        [found] = reconcile.orders(attempts, [report(OrderStatus.CANCELED, filled)], "ux")
        return reconcile.sentence(found).removeprefix(f"{BTC}: order {ID} ")

    assert said({}, "0.2") == "is Umbra's and not in its journal, 0.2 filled"
    absent, waiting = local(AttemptState.ABSENT), local(AttemptState.PENDING_CANCEL)
    assert said(absent, "0.2") == "was taken for absent, and is there, 0.2 filled"
    assert said(waiting, "0") == "had come further than was known"
    assert AttemptState.PENDING_CANCEL.words == "being cancelled"
    assert {state for state in AttemptState if "_" in state.words} == set()


@pytest.mark.fault("W10")
@pytest.mark.fault("W11")
def test_an_order_of_our_form_without_a_record_is_an_orphan_and_a_foreign_one_is_nothing() -> None:
    found = kinds({}, report(OrderStatus.NEW))
    assert found == [Difference.ORPHAN]
    assert kinds({}, report(OrderStatus.NEW, order_id="web_1")) == []
    fired(found.count(Difference.ORPHAN))


def test_an_absent_order_that_is_listed_is_found_late() -> None:
    assert kinds(local(AttemptState.ABSENT), report(OrderStatus.NEW)) == [Difference.LATE_FOUND]


def test_a_record_is_behind_when_the_exchange_knows_more() -> None:
    filled = report(OrderStatus.FILLED, "0.5")
    assert kinds(local(AttemptState.UNKNOWN), report(OrderStatus.NEW)) == [Difference.BEHIND]
    assert kinds(local(AttemptState.OPEN), filled) == [Difference.BEHIND]
    assert kinds(local(AttemptState.EXPIRED, "0.2"), filled) == [Difference.BEHIND]
    assert kinds(local(AttemptState.OPEN), report(OrderStatus.NEW)) == []
    assert kinds(local(AttemptState.FILLED, "0.5"), filled) == []


@pytest.mark.fault("X32")
def test_missing_from_a_list_is_no_difference() -> None:
    known, listed = local(AttemptState.OPEN), ()
    assert kinds(known, *listed) == []
    fired(known.keys() - {one.client_order_id for one in listed})


def test_of_two_reports_the_one_that_is_further_counts() -> None:
    reports = [report(OrderStatus.FILLED, "0.5"), report(OrderStatus.NEW)]
    [found] = reconcile.orders(local(AttemptState.OPEN), reports, "ux")
    assert found.report == reports[0]
    [found] = reconcile.orders(local(AttemptState.OPEN), reversed(reports), "ux")
    assert found.report == reports[0]


def test_foreign_sales_are_summed_and_ours_are_not() -> None:
    fills = [
        replace(builders.fill(quantity="0.1", price="60000", trade_id="1"), client_order_id=""),
        replace(builders.fill(quantity="0.3", price="62000", trade_id="2"), client_order_id="w"),
        replace(builders.fill(quantity="9", trade_id="3"), client_order_id=ID),
        replace(builders.fill(quantity="9", trade_id="4"), client_order_id=""),
    ]
    found = reconcile.taken("BTC", BTC, fills, frozenset({"4"}), "ux")
    assert found is not None
    # (0.1 x 60,000 + 0.3 x 62,000) / 0.4
    assert (found.quantity, found.price) == (Decimal("0.4"), Decimal(61_500))
    assert reconcile.taken("BTC", BTC, fills[2:], frozenset({"4"}), "ux") is None


def test_what_others_bought_of_a_coin_is_no_loss_of_it_when_it_is_sold_again() -> None:
    bought = replace(
        builders.fill(Side.BUY, "0.6", trade_id="5"),
        client_order_id="",
        fee=Decimal("0.0006"),
        fee_asset="BTC",
    )
    sold = replace(builders.fill(quantity="0.5", trade_id="6"), client_order_id="")
    found = reconcile.taken("BTC", BTC, [bought, sold], frozenset(), "ux")
    assert found is not None
    assert found.quantity == Decimal("-0.0994")


def test_what_a_purchase_elsewhere_spent_of_a_coin_is_counted_in_that_coin() -> None:
    paid = replace(builders.fill(Side.BUY, "2", "0.05", symbol="ETH/BTC"), client_order_id="")
    found = reconcile.taken("BTC", "ETH/BTC", [paid], frozenset(), "ux")
    assert found is not None
    assert (found.asset, found.quantity, found.price) == ("BTC", Decimal("0.1"), 0)
    got = reconcile.taken("BTC", "ETH/BTC", [replace(paid, side=Side.SELL)], frozenset(), "ux")
    assert got is not None
    assert got.quantity == Decimal("-0.1")


def test_trades_are_looked_for_where_a_coin_is_managed_and_against_what_is_held() -> None:
    markets = ("BTC/USDT", "BTC/USDC", "BTC/EUR", "ETH/BTC", "XRP/BTC", "ETH/USDT")
    rules = {name: builders.coin(*name.split("/")) for name in markets}
    positions = {"BTC/USDT": Position("BTC/USDT", Decimal(1))}
    held = {name: Balance(name, Decimal(1), Decimal(0)) for name in ("ETH", "USDC", "BTC")}
    looked = reconcile.markets_of("BTC", positions, held, rules, 10)
    assert looked == ["BTC/USDT", "BTC/USDC", "ETH/BTC"]
    assert reconcile.markets_of("BTC", positions, held, rules, 2) == looked[:2]


def test_more_managed_than_held_is_a_shortfall_beyond_one_step() -> None:
    rules = {BTC: builders.bitcoin()}
    positions = {BTC: Position(BTC, Decimal("0.5")), "ADA/USDT": Position("ADA/USDT", Decimal(1))}
    held = {"BTC": Balance("BTC", Decimal("0.2"), Decimal("0.29999"))}
    assert reconcile.shortfalls(positions, held, rules) == []
    [found] = reconcile.shortfalls(positions, {}, rules)
    assert (found.kind, found.symbol, found.quantity) == (Difference.SHORT, BTC, Decimal("0.5"))


def test_instruments_that_share_coins_are_counted_together() -> None:
    other = replace(builders.bitcoin(), symbol="BTC/USDC", quote="USDC")
    positions = {
        BTC: Position(BTC, Decimal("0.3")),
        "BTC/USDC": Position("BTC/USDC", Decimal("0.4")),
    }
    held = {"BTC": Balance("BTC", Decimal("0.5"), Decimal(0))}
    [found] = reconcile.shortfalls(positions, held, {BTC: builders.bitcoin(), "BTC/USDC": other})
    assert (found.symbol, found.quantity) == ("BTC/USDC", Decimal("0.2"))


def test_a_round_trip_without_a_known_cost_invents_no_profit() -> None:
    intent = Intent("a", BTC, Side.SELL, Purpose.CLOSE, Decimal(1), builders.NOON)
    fills = [builders.fill(fee="0.01", fee_asset="XYZ")]
    trip = round_trip(intent, fills, None, builders.NOON)
    assert trip is not None
    assert (trip.profit, trip.fees_quote, trip.entry_price) == (0, 0, None)
    assert round_trip(intent, [], None, builders.NOON) is None


@pytest.mark.parametrize("is_turned", [False, True])
def test_two_orders_of_the_exchange_under_one_id_count_together(is_turned: bool) -> None:
    first = report(OrderStatus.FILLED, "0.5")
    second = replace(report(OrderStatus.PARTIALLY_FILLED, "0.2"), exchange_order_id="2")
    seen = [first, replace(second, filled_quantity=Decimal("0.1")), second, first]
    seen = seen[::-1] if is_turned else seen
    twice, behind = reconcile.orders(local(AttemptState.FILLED, "0.5"), seen, "ux")
    assert (twice.kind, twice.quantity) == (Difference.TWICE, Decimal("0.7"))
    assert {part.exchange_order_id: part.filled_quantity for part in twice.parts} == {
        "1": Decimal("0.5"),
        "2": Decimal("0.2"),
    }
    assert behind.kind is Difference.BEHIND
    assert behind.report is not None
    assert behind.report.filled_quantity == Decimal("0.7")
    assert not behind.report.status.is_terminal


def test_two_orders_of_somebody_else_under_one_id_are_nothing() -> None:
    theirs = report(OrderStatus.FILLED, "0.5", order_id="web_1")
    assert kinds({}, theirs, replace(theirs, exchange_order_id="2")) == []
