"""The library's common words become ours exactly, or are refused."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from tests import builders
from trading.domain.instrument import InstrumentStatus
from trading.domain.market import PriceSource
from trading.domain.order import OrderStatus, Side
from trading.domain.time import to_ms
from trading.gateway.translate import unified
from trading.gateway.translate.values import Unusable

NOW_MS = to_ms(builders.NOON)
BTC = "BTC/USD"
MARKET: dict[str, Any] = {
    "id": "XBTUSD",
    "symbol": BTC,
    "base": "BTC",
    "quote": "USD",
    "spot": True,
    "active": True,
    "precision": {"amount": "1e-8", "price": "0.1"},
    "limits": {"amount": {"min": "0.0001", "max": None}, "cost": {"min": "0.5"}, "price": {}},
}
ORDER: dict[str, Any] = {
    "id": "OQCLML",
    "clientOrderId": "uxaaaaaaaaaaaaaaaa-1",
    "symbol": BTC,
    "side": "sell",
    "status": "open",
    "amount": "0.5",
    "filled": "0",
    "price": "60000.1",
    "timestamp": NOW_MS,
}
TRADE: dict[str, Any] = {
    "id": "T1",
    "order": "OQCLML",
    "symbol": BTC,
    "side": "sell",
    "amount": "0.5",
    "price": "60000.1",
    "fee": {"cost": "30", "currency": "USD"},
    "timestamp": NOW_MS,
}


def test_a_market_s_steps_are_read_in_either_mode() -> None:
    found = unified.instruments({BTC: MARKET, "X": {**MARKET, "spot": False}}, 4)[BTC]
    assert (found.quantity_step, found.price_tick) == (Decimal("1E-8"), Decimal("0.1"))
    assert (found.quantity_min, found.notional_min) == (Decimal("0.0001"), Decimal("0.5"))
    assert found.status is InstrumentStatus.TRADING
    digits = {**MARKET, "precision": {"amount": 8, "price": 1}, "active": False}
    same = unified.instruments({BTC: digits}, 2)[BTC]
    assert (same.quantity_step, same.price_tick) == (Decimal("1E-8"), Decimal("0.1"))
    assert same.status is InstrumentStatus.HALTED


def test_markets_without_usable_rules_are_left_out() -> None:
    with pytest.raises(Unusable, match="listed none"):
        unified.instruments({BTC: {**MARKET, "precision": {}}}, 4)


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, OrderStatus.NEW),
        ({"filled": "0.1"}, OrderStatus.PARTIALLY_FILLED),
        ({"status": "closed", "filled": "0.5"}, OrderStatus.FILLED),
        # A closed order that did not fill can only have run out.
        ({"status": "closed", "filled": "0.1"}, OrderStatus.EXPIRED),
        ({"status": "canceled"}, OrderStatus.CANCELED),
        ({"status": "rejected"}, OrderStatus.REJECTED),
    ],
)
def test_a_status_is_read_with_what_is_filled(changes: dict[str, Any], status: OrderStatus) -> None:
    assert unified.order_report({**ORDER, **changes}).status is status


def test_the_id_that_we_asked_for_counts_where_none_is_repeated() -> None:
    said = {**ORDER, "clientOrderId": None, "trades": [{"id": "1", "amount": "1", "price": "2"}]}
    found = unified.order_report(said, "uxbbbbbbbbbbbbbbbb-1")
    assert found.client_order_id == "uxbbbbbbbbbbbbbbbb-1"
    [fill] = found.fills
    assert (fill.side, fill.at, fill.fee) == (Side.SELL, builders.NOON, 0)
    assert unified.order_report({**ORDER, "clientOrderId": None}).client_order_id == ""


def test_executions_balances_and_market_data_are_read() -> None:
    fill = unified.fill(TRADE, {"OQCLML": "ours"}.get)  # type: ignore[arg-type]
    assert (fill.client_order_id, fill.fee, fill.fee_asset) == ("ours", 30, "USD")
    found = unified.balances({"free": {"BTC": "0.1", "X": None}, "used": {"BTC": "0.2"}})
    assert set(found) == {"BTC"}
    assert found["BTC"].total == Decimal("0.3")
    ticker = {"symbol": BTC, "bid": "1", "ask": "2", "timestamp": None}
    assert unified.quote(ticker, 7, 1.0, PriceSource.REST).event_time_ms == 7
    trade = unified.trade(TRADE, 1.0, PriceSource.STREAM)
    assert trade.price == Decimal("60000.1")
    book = unified.order_book({"bids": [["1", "2"]], "asks": [["3", "4"]]}, BTC, 7)
    assert book.asks[0].price == 3
    rows = [[NOW_MS - 60_000, "1", "2", "1", "2", "9"], [NOW_MS, "1", "2", "1", "2", "9"]]
    assert [one.is_closed for one in unified.candles(rows, 60_000, NOW_MS)] == [True, False]


BROKEN: list[Callable[[], object]] = [
    lambda: unified.order_report({**ORDER, "status": None}),
    lambda: unified.order_report({**ORDER, "side": None}),
    lambda: unified.order_report({**ORDER, "id": None}),
    lambda: unified.order_report({**ORDER, "filled": None}),
    lambda: unified.order_report({**ORDER, "filled": "0.6"}),
    lambda: unified.order_report({**ORDER, "amount": "nan"}),
    lambda: unified.order_report({**ORDER, "timestamp": None}),
    lambda: unified.balances({"free": [], "used": "x"}),
    lambda: unified.candles([[None, "1", "2", "1", "2", "9"]], 1, 1),
    lambda: unified.candles([[1, None, "2", "1", "2", "9"]], 1, 1),
    lambda: unified.quote({"symbol": BTC, "bid": None, "ask": "2"}, 1, 1.0, PriceSource.REST),
]


@pytest.mark.parametrize("read", BROKEN)
def test_what_cannot_be_believed_is_refused(read: Callable[[], object]) -> None:
    with pytest.raises(Unusable):
        read()


def test_last_prices_leave_out_what_has_never_traded() -> None:
    tickers = {"BTC/USDT": {"last": "60000.10"}, "ETH/USDT": {"last": None}}
    assert unified.last_prices(tickers) == {"BTC/USDT": Decimal("60000.10")}
