"""What Binance says becomes our words exactly, or is refused: never a crash or a wrong number."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import builders
from tests.catalogue import fired
from trading.domain.instrument import InstrumentStatus
from trading.domain.market import PriceSource
from trading.domain.order import OrderRequest, OrderStatus, OrderType, Side, TimeInForce
from trading.domain.time import from_ms, to_ms
from trading.gateway.translate import binance
from trading.gateway.translate.values import Unusable

BTC = "BTC/USDT"
NOW_MS = to_ms(builders.NOON)

SYMBOL: dict[str, Any] = {
    "symbol": "BTCUSDT",
    "status": "TRADING",
    "baseAsset": "BTC",
    "quoteAsset": "USDT",
    "isSpotTradingAllowed": True,
    "filters": [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": "0.01",
            "maxPrice": "1000000",
            "tickSize": "0.01",
        },
        {"filterType": "LOT_SIZE", "minQty": "0.00001", "maxQty": "9000", "stepSize": "0.00001"},
        {"filterType": "MARKET_LOT_SIZE", "minQty": "0", "maxQty": "118.4", "stepSize": "0"},
        {
            "filterType": "PERCENT_PRICE_BY_SIDE",
            "bidMultiplierUp": "5",
            "bidMultiplierDown": "0.2",
            "askMultiplierUp": "5",
            "askMultiplierDown": "0.2",
        },
        {"filterType": "NOTIONAL", "minNotional": "5", "maxNotional": "9000000"},
        {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": 200},
    ],
}
ORDER: dict[str, Any] = {
    "symbol": "BTCUSDT",
    "orderId": 28,
    "clientOrderId": "uxaaaaaaaaaaaaaaaa-1",
    "transactTime": NOW_MS,
    "price": "0.00000000",
    "origQty": "0.50000000",
    "executedQty": "0.50000000",
    "status": "FILLED",
    "type": "MARKET",
    "side": "SELL",
    "fills": [
        {
            "price": "60000.00",
            "qty": "0.5",
            "commission": "1E-8",
            "commissionAsset": "BNB",
            "tradeId": 56,
        }
    ],
}
REPORT: dict[str, Any] = {
    "e": "executionReport",
    "E": NOW_MS,
    "s": "BTCUSDT",
    "c": "uxaaaaaaaaaaaaaaaa-1",
    "C": "",
    "S": "SELL",
    "q": "0.5",
    "p": "0.00000000",
    "x": "TRADE",
    "X": "FILLED",
    "r": "NONE",
    "i": 28,
    "l": "0.5",
    "z": "0.5",
    "L": "60000",
    "n": "30",
    "N": "USDT",
    "T": NOW_MS,
    "t": 56,
}
TRADE: dict[str, Any] = {
    "id": 56,
    "orderId": 28,
    "price": "60000",
    "qty": "0.5",
    "commission": "0",
    "commissionAsset": "USDT",
    "time": NOW_MS,
    "isBuyer": False,
}
KLINE = [NOW_MS - 60_000, "10", "12", "9", "11", "100", NOW_MS - 1, "0", 5, "0", "0", "0"]
BALANCE_UPDATE = {"e": "balanceUpdate", "E": 1, "a": "BTC", "d": "-1.5", "T": NOW_MS}
BOOK_TICKER = {"symbol": "BTCUSDT", "bidPrice": "1", "bidQty": "2", "askPrice": "3", "askQty": "4"}


def symbol_of(name: str) -> str | None:
    return BTC if name == "BTCUSDT" else None


def test_an_instrument_is_read_from_its_raw_filters() -> None:
    found = binance.instrument(SYMBOL)
    assert found is not None
    assert (found.symbol, found.exchange_symbol) == (BTC, "BTCUSDT")
    assert (found.price_tick, found.quantity_step) == (Decimal("0.01"), Decimal("0.00001"))
    assert found.market_quantity_max == Decimal("118.4")
    assert (found.notional_min, found.notional_max) == (5, 9_000_000)
    assert (found.price_ratio_min, found.price_ratio_max) == (Decimal("0.2"), 5)
    assert found.orders_open_max == 200


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("TRADING", InstrumentStatus.TRADING),
        ("CANCEL_ONLY", InstrumentStatus.CANCEL_ONLY),
        ("HALT", InstrumentStatus.HALTED),
        (None, InstrumentStatus.HALTED),
    ],
)
def test_anything_but_trading_takes_no_orders(said: object, status: InstrumentStatus) -> None:
    found = binance.instrument({**SYMBOL, "status": said})
    assert found is not None
    assert found.status is status


def test_older_filters_are_understood_and_missing_ones_do_not_bind() -> None:
    filters = [
        *SYMBOL["filters"][:2],
        {"filterType": "PERCENT_PRICE", "multiplierUp": "5", "multiplierDown": "0.2"},
        {"filterType": "MIN_NOTIONAL", "minNotional": "10"},
    ]
    found = binance.instrument({**SYMBOL, "filters": filters})
    assert found is not None
    assert (found.notional_min, found.notional_max) == (10, None)
    assert found.market_quantity_max == found.quantity_max == 9000
    assert found.price_ratio_min == Decimal("0.2")
    bare = binance.instrument({**SYMBOL, "filters": SYMBOL["filters"][:2]})
    assert bare is not None
    assert (bare.notional_min, bare.price_ratio_min, bare.orders_open_max) == (0, None, None)


def test_one_unusable_instrument_does_not_hide_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    broken = {**SYMBOL, "filters": []}
    futures = {**SYMBOL, "isSpotTradingAllowed": False}
    assert set(binance.instruments({"symbols": [broken, futures, SYMBOL]})) == {BTC}
    assert "instrument_unusable" in caplog.text
    with pytest.raises(Unusable, match="listed none"):
        binance.instruments({"symbols": [broken]})


@pytest.mark.fault("X27", "SAID")
def test_an_order_is_written_in_plain_digits_with_our_id() -> None:
    request = OrderRequest(
        "uxaaaaaaaaaaaaaaaa-1",
        BTC,
        Side.SELL,
        OrderType.LIMIT,
        Decimal("1E-5"),
        Decimal("6E+4"),
        TimeInForce.IOC,
        3000,
    )
    written = binance.order_parameters(request, "BTCUSDT")
    assert written == {
        "symbol": "BTCUSDT",
        "side": "SELL",
        "type": "LIMIT",
        "quantity": "0.00001",
        "price": "60000",
        "timeInForce": "IOC",
        "newClientOrderId": "uxaaaaaaaaaaaaaaaa-1",
        "newOrderRespType": "FULL",
        "recvWindow": "3000",
    }
    ours = {"quantity": str(request.quantity), "price": str(request.price)}
    fired([each for name, each in ours.items() if "E" in each and written[name] != each])


def test_a_stop_is_written_with_its_stop_price_and_without_a_limit() -> None:
    request = OrderRequest(
        "uxaaaaaaaaaaaaaaaa-1",
        BTC,
        Side.SELL,
        OrderType.STOP_LOSS,
        Decimal("0.5"),
        stop_price=Decimal("5.80E+4"),
    )
    assert binance.order_parameters(request, "BTCUSDT") == {
        "symbol": "BTCUSDT",
        "side": "SELL",
        "type": "STOP_LOSS",
        "quantity": "0.5",
        "stopPrice": "58000",
        "newClientOrderId": "uxaaaaaaaaaaaaaaaa-1",
        "newOrderRespType": "FULL",
        "recvWindow": "5000",
    }


def test_an_answer_is_read_with_its_executions() -> None:
    found = binance.order_report(ORDER, BTC)
    assert (found.status, found.exchange_order_id) == (OrderStatus.FILLED, "28")
    assert found.price is None
    assert found.updated_at == builders.NOON
    [fill] = found.fills
    assert (fill.trade_id, fill.fee, fill.fee_asset) == ("56", Decimal("1E-8"), "BNB")


def test_an_answer_to_a_cancel_names_the_order_it_ended() -> None:
    said = {**ORDER, "clientOrderId": "cancel-1", "origClientOrderId": "uxaaaaaaaaaaaaaaaa-1"}
    found = binance.order_report({**said, "status": "EXPIRED_IN_MATCH", "fills": []}, BTC)
    assert found.client_order_id == "uxaaaaaaaaaaaaaaaa-1"
    assert (found.status, found.reason) == (OrderStatus.EXPIRED, "self-trade prevention")


def test_a_streamed_report_carries_its_execution() -> None:
    found = binance.execution_report(REPORT, symbol_of)
    [fill] = found.fills
    assert (fill.trade_id, fill.quantity, fill.price, fill.fee) == (
        "56",
        Decimal("0.5"),
        60_000,
        30,
    )
    cancel = {**REPORT, "c": "web", "C": "uxaaaaaaaaaaaaaaaa-1", "x": "CANCELED", "X": "CANCELED"}
    ended = binance.execution_report(cancel, symbol_of)
    assert (ended.client_order_id, ended.fills) == ("uxaaaaaaaaaaaaaaaa-1", ())
    free = binance.execution_report({**REPORT, "N": None, "n": "0"}, symbol_of)
    assert free.fills[0].fee_asset == ""
    refused = binance.execution_report({**REPORT, "x": "REJECTED", "r": "PRICE"}, symbol_of)
    assert refused.reason == "PRICE"


def test_executions_and_balances_are_read() -> None:
    fill = binance.fill(TRADE, BTC, "uxaaaaaaaaaaaaaaaa-1")
    assert (fill.side, fill.notional) == (Side.SELL, 30_000)
    account = {
        "uid": 354937868,
        "balances": [
            {"asset": "BTC", "free": "0.1", "locked": "0.2"},
            {"asset": "ETH", "free": "0.0", "locked": "0.0"},
        ],
    }
    assert binance.account_id(account) == "354937868"
    [balance] = binance.balances(account).values()
    assert balance.total == Decimal("0.3")
    streamed = binance.streamed_balances({"B": [{"a": "ETH", "f": "0", "l": "0"}]})
    assert streamed[0].total == 0


@pytest.mark.parametrize(("told", "quantity"), [("100.00000000", 100), ("-0.5", Decimal("-0.5"))])
def test_what_comes_or_goes_without_a_trade_is_read_with_its_sign(
    told: str, quantity: Decimal
) -> None:
    moved = binance.streamed_movement({**BALANCE_UPDATE, "d": told})
    assert (moved.asset, moved.quantity) == ("BTC", quantity)
    assert to_ms(moved.cleared_at) == NOW_MS


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"d": "0.00000000"}, "d should be above 0"),
        ({"d": "--1"}, "d should be at least 0"),
        ({"d": "-"}, "d should be a finite number"),
        ({"d": None}, "d should be a number"),
        ({"T": 1_573_200_697}, "T should be a time in milliseconds"),
        ({"a": "B\x00C"}, "a should be the name of a coin"),
        ({"a": "\ud800"}, "a should be the name of a coin"),
        ({"a": "B" * 41}, "a should be the name of a coin"),
    ],
)
def test_a_movement_that_no_journal_should_hold_is_refused(
    changed: dict[str, object], words: str
) -> None:
    with pytest.raises(Unusable, match=words):
        binance.streamed_movement({**BALANCE_UPDATE, **changed})


def test_rights_that_are_not_said_are_not_good_ones() -> None:
    rights = binance.permissions({"ipRestrict": True})
    assert (rights.can_trade, rights.can_withdraw) == (False, True)
    good = binance.permissions(
        {"ipRestrict": True, "enableWithdrawals": False, "enableSpotAndMarginTrading": True}
    )
    assert (good.can_trade, good.can_withdraw, good.can_transfer) == (True, False, False)
    assert not good.can_borrow
    assert binance.permissions({"enableFutures": True}).can_borrow


def test_market_data_is_read() -> None:
    quote = binance.quote(BOOK_TICKER, BTC, 7, 1.0, PriceSource.REST)
    assert (quote.bid, quote.ask, quote.event_time_ms) == (1, 3, 7)
    streamed = binance.streamed_quote({"b": "1", "B": "2", "a": "3", "A": "4"}, BTC, 7, 1.0)
    assert streamed.event_time_ms == 7
    timed = {"b": "1", "B": "2", "a": "3", "A": "4", "E": NOW_MS}
    assert binance.streamed_quote(timed, BTC, 7, 1.0).event_time_ms == NOW_MS
    trade = binance.streamed_trade({"p": "1", "q": "2", "E": NOW_MS}, BTC, 1.0)
    assert (trade.price, trade.source) == (1, PriceSource.STREAM)
    last = binance.last_trade([{"p": "1", "q": "2", "T": NOW_MS}], BTC, 1.0)
    assert last.source is PriceSource.REST
    book = binance.order_book({"bids": [["1", "2"]], "asks": [["3", "4"]]}, BTC, 7)
    assert (book.bids[0].price, book.asks[0].quantity) == (1, 4)
    closed, running = binance.candles([KLINE, [*KLINE[:6], NOW_MS + 1]], NOW_MS)
    assert (closed.is_closed, running.is_closed) == (True, False)


def test_a_candle_knows_its_quote_volume_its_trades_and_what_takers_bought() -> None:
    [told] = binance.candles([[*KLINE[:7], "1050.5", 5, "60.25", "633", "0"]], NOW_MS)
    assert (told.quote_volume, told.trades, told.taker_buy_volume) == (1050.5, 5, 60.25)
    [beyond] = binance.candles([[*KLINE[:7], "1050.5", 5, "100.5", "633", "0"]], NOW_MS)
    assert (beyond.volume, beyond.taker_buy_volume) == (100, None)
    [short] = binance.candles([KLINE[:7]], NOW_MS)
    assert (short.quote_volume, short.trades, short.taker_buy_volume) == (None, None, None)


def kline_of(at: datetime) -> list[object]:
    opened_ms = to_ms(at)
    return [opened_ms, *KLINE[1:6], opened_ms + 86_399_999]


def test_candles_of_before_binance_count_and_those_of_before_any_market_are_left_out() -> None:
    years = (1998, 2008, 2009, 2014, 2026)
    told = binance.candles([kline_of(datetime(year, 1, 1, tzinfo=UTC)) for year in years], NOW_MS)
    assert [from_ms(one.open_time_ms).year for one in told] == [2009, 2014, 2026]


@pytest.mark.parametrize("factor", [Fraction(1, 1000), 1_000, 1_000_000])
def test_a_page_in_another_unit_of_time_is_refused_whatever_its_age(factor: Fraction) -> None:
    for year in (2009, 2014, 2026):
        told = kline_of(datetime(year, 1, 2, tzinfo=UTC))
        told[0] = int(to_ms(datetime(year, 1, 2, tzinfo=UTC)) * factor)
        with pytest.raises(Unusable, match="milliseconds"):
            binance.candles([told], NOW_MS)


# What is broken, and where: each is refused.
BROKEN: list[tuple[Callable[[], object], str]] = [
    (lambda: binance.order_report({}, BTC), "order should be an object"),
    (lambda: binance.order_report("<html>", BTC), "order should be an object"),
    (lambda: binance.order_report({**ORDER, "executedQty": "NaN"}, BTC), "finite"),
    (lambda: binance.order_report({**ORDER, "executedQty": "1e999999999"}, BTC), "finite"),
    (lambda: binance.order_report({**ORDER, "executedQty": "-1"}, BTC), "at least 0"),
    (lambda: binance.order_report({**ORDER, "executedQty": None}, BTC), "a number"),
    (lambda: binance.order_report({**ORDER, "executedQty": True}, BTC), "a number"),
    (lambda: binance.order_report({**ORDER, "executedQty": "0.6"}, BTC), "at most origQty"),
    (lambda: binance.order_report({**ORDER, "clientOrderId": None}, BTC), "a text"),
    (lambda: binance.order_report({**ORDER, "orderId": ""}, BTC), "a text"),
    (lambda: binance.order_report({**ORDER, "status": "DREAMING"}, BTC), "a status"),
    (lambda: binance.order_report({**ORDER, "status": 7}, BTC), "a status"),
    (lambda: binance.order_report({**ORDER, "side": "HOLD"}, BTC), "BUY or SELL"),
    (lambda: binance.order_report({**ORDER, "transactTime": 12}, BTC), "milliseconds"),
    (lambda: binance.order_report({**ORDER, "transactTime": "soon"}, BTC), "whole number"),
    (lambda: binance.order_report({**ORDER, "fills": [{}]}, BTC), "fill should be"),
    (lambda: binance.execution_report({**REPORT, "s": "NOSUCH"}, symbol_of), "known instrument"),
    (lambda: binance.execution_report({**REPORT, "z": "0.6"}, symbol_of), "at most q"),
    (lambda: binance.execution_report({**REPORT, "L": "0"}, symbol_of), "above 0"),
    (lambda: binance.fill({**TRADE, "isBuyer": "no"}, BTC, ""), "true or false"),
    (lambda: binance.balances({"balances": None}), "a list"),
    (lambda: binance.last_trade([], BTC, 0.0), "listed none"),
    (lambda: binance.candles([["x"]], NOW_MS), "at least 7"),
    (lambda: binance.candles([[*KLINE[:7], "NaN", 5, "0"]], NOW_MS), "finite"),
    (lambda: binance.candles([[*KLINE[:3], "13", *KLINE[4:]]], NOW_MS), "low <= open"),
    (
        lambda: binance.quote({**BOOK_TICKER, "bidPrice": "0"}, BTC, 0, 0.0, PriceSource.REST),
        "above",
    ),
    (lambda: binance.instrument({**SYMBOL, "filters": SYMBOL["filters"][:1]}), "LOT_SIZE"),
]


@pytest.mark.fault("X25", "SAID")
@pytest.mark.parametrize(("read", "words"), BROKEN)
def test_what_cannot_be_believed_is_refused(read: Callable[[], object], words: str) -> None:
    with pytest.raises(Unusable, match=words) as refused:
        read()
    fired(refused, words=words)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)
READERS: list[tuple[Any, Callable[[Any], object]]] = [
    (ORDER, lambda said: binance.order_report(said, BTC)),
    (REPORT, lambda said: binance.execution_report(said, symbol_of)),
    (TRADE, lambda said: binance.fill(said, BTC, "x")),
    (SYMBOL, binance.instrument),
    ({"symbols": [SYMBOL]}, binance.instruments),
    ({"balances": [{"asset": "BTC", "free": "1", "locked": "0"}]}, binance.balances),
    ({"B": [{"a": "BTC", "f": "1", "l": "0"}]}, binance.streamed_balances),
    (BALANCE_UPDATE, binance.streamed_movement),
    (BOOK_TICKER, lambda said: binance.quote(said, BTC, 0, 0.0, PriceSource.REST)),
    ({"bids": [["1", "2"]], "asks": [["1", "2"]]}, lambda said: binance.order_book(said, BTC, 0)),
    ([KLINE], lambda said: binance.candles(said, NOW_MS)),
    ([{"p": "1", "q": "2", "T": NOW_MS}], lambda said: binance.last_trade(said, BTC, 0.0)),
    ({"ipRestrict": True}, binance.permissions),
]


@st.composite
def mutated(draw: st.DrawFn) -> tuple[Any, Callable[[Any], object]]:
    said, read = draw(st.sampled_from(READERS))
    if draw(st.integers(0, 5)) == 0:
        return draw(JUNK), read
    if isinstance(said, list):
        place = draw(st.integers(0, len(said) - 1))
        return [*said[:place], draw(JUNK), *said[place + 1 :]], read
    key = draw(st.sampled_from(sorted(said)))
    changed = dict(said)
    if draw(st.booleans()):
        changed[key] = draw(JUNK)
    else:
        del changed[key]
    return changed, read


@pytest.mark.slow
@given(mutated())
def test_whatever_arrives_is_read_or_refused_and_never_crashes(
    case: tuple[Any, Callable[[Any], object]],
) -> None:
    said, read = case
    try:
        found = read(said)
    except Unusable:
        return
    assert "NaN" not in repr(found)
    assert "Infinity" not in repr(found)


def test_last_prices_are_kept_for_known_instruments_that_have_traded() -> None:
    listed = [
        {"symbol": "BTCUSDT", "price": "60000.10"},
        {"symbol": "ETHUSDT", "price": "0.00"},
        {"symbol": "NOBODYKNOWS", "price": "1"},
    ]
    known = {"BTCUSDT": "BTC/USDT", "ETHUSDT": "ETH/USDT"}
    assert binance.last_prices(listed, known.get) == {"BTC/USDT": Decimal("60000.10")}
