"""What Binance documents that it says of orders, read as it is meant, whatever else it may say.

`payloads/` holds examples of our own in the documented shapes of mid 2026: every status of an
order, every type of execution report, and the fields that are there in some cases only
(`optional`). A library that reads an answer differently, or a translation that trips over a new
field, fails here before a release.
"""

import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.catalogue import fired
from trading.domain.order import OrderReport, OrderStatus, SendEvidence, SendPhase, Side
from trading.domain.position import Movement
from trading.domain.time import to_ms
from trading.execution.classify import Verdict, classify
from trading.gateway.stream import AccountStream
from trading.gateway.translate import binance
from trading.gateway.translate.binance import orders
from trading.gateway.translate.values import Unusable

pytestmark = pytest.mark.uncounted

BTC = "BTC/USDT"
STATUSES = {
    *("NEW", "PENDING_NEW", "PARTIALLY_FILLED", "FILLED", "CANCELED", "PENDING_CANCEL"),
    *("REJECTED", "EXPIRED", "EXPIRED_IN_MATCH"),
}
EXECUTIONS = {
    *("NEW", "CANCELED", "REPLACED", "REJECTED", "TRADE", "EXPIRED", "TRADE_PREVENTION"),
}
_FOLDER = Path(__file__).parent / "payloads"

Payload = Mapping[str, Any]


def recorded(name: str) -> list[Any]:
    """The examples of a file."""
    return [
        pytest.param(each, id=each["name"]) for each in json.loads((_FOLDER / name).read_text())
    ]


ORDERS, REPORTS, EVENTS = (recorded(f"{name}.json") for name in ("orders", "reports", "events"))
EXAMPLES = [
    *(pytest.param(binance.order_report, BTC, *each.values, id=each.id) for each in ORDERS),
    *(
        pytest.param(binance.execution_report, _symbol_of, *each.values, id=f"report: {each.id}")
        for _symbol_of in ({"BTCUSDT": BTC}.get,)
        for each in REPORTS
    ),
]


def nothing(_said: object) -> None:
    """Take what an example does not hold."""


def meaning(report: OrderReport) -> dict[str, Any]:
    """A report in the words of an example."""
    return {
        "client_order_id": report.client_order_id,
        "status": report.status.name,
        "filled": report.filled_quantity,
        "price": report.price,
        "fills": [(one.quantity, one.price, one.fee, one.fee_asset) for one in report.fills],
        "reason": report.reason,
    }


def meant(means: Payload) -> dict[str, Any]:
    """The same of what an example says, with exact numbers."""
    price = means["price"]
    return {
        **means,
        "filled": Decimal(means["filled"]),
        "price": None if price is None else Decimal(price),
        "fills": [
            (Decimal(q), Decimal(p), Decimal(fee), asset) for q, p, fee, asset in means["fills"]
        ],
    }


@pytest.mark.fault("P12", "SAID")
@pytest.mark.parametrize(("read", "of", "example"), EXAMPLES)
def test_every_documented_shape_is_read_as_it_is_meant(
    read: Any, of: Any, example: Payload
) -> None:
    report = read(example["said"], of)
    assert meaning(report) == meant(example["means"])
    assert (report.symbol, report.side) == (BTC, Side.SELL)
    assert report.exchange_order_id == "9000000001"
    fired(example["means"], words=example["name"])


@pytest.mark.fault("P12", "SAID")
@pytest.mark.parametrize(
    ("read", "of", "example"), [one for one in EXAMPLES if one.values[2]["optional"]]
)
def test_a_field_that_is_there_in_some_cases_only_changes_nothing_by_its_absence(
    read: Any, of: Any, example: Payload
) -> None:
    said = example["said"]
    whole = read(said, of)
    for name in example["optional"]:
        without = {key: value for key, value in said.items() if key != name}
        assert read(without, of) == whole, name
    bare = {key: value for key, value in said.items() if key not in example["optional"]}
    assert read(bare, of) == whole
    fired(said.keys() - bare.keys(), words=f"left out of {example['name']}")


_NEW_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.text(max_size=20),
    st.lists(st.integers(), max_size=3),
)
# Longer than any that is documented, so that none is hidden.
_NEW_NAMES = st.text("abcdefgXYZ", min_size=24, max_size=30)


@pytest.mark.fault("P12", "SAID")
@pytest.mark.parametrize(("read", "of", "example"), EXAMPLES)
@settings(max_examples=20)
@given(news=st.dictionaries(_NEW_NAMES, _NEW_VALUES, min_size=1, max_size=5))
def test_fields_that_nobody_has_documented_yet_change_nothing(
    read: Any, of: Any, example: Payload, news: dict[str, object]
) -> None:
    said = {**news, **example["said"], **news}
    if said.get("fills"):
        said["fills"] = [{**each, **news} for each in said["fills"]]
    assert read(said, of) == read(example["said"], of)
    fired(said.keys() - example["said"].keys())


def test_every_documented_status_and_execution_has_an_example() -> None:
    said = [each.values[0]["said"] for each in ORDERS]
    streamed = [each.values[0]["said"] for each in REPORTS]
    assert {each["status"] for each in said} == STATUSES
    # A status that is unused by the exchange today is not streamed either.
    assert {each["X"] for each in streamed} == STATUSES - {"PENDING_CANCEL"}
    assert {each["x"] for each in streamed} == EXECUTIONS
    assert set(orders._STATUS) == STATUSES
    assert {each.values[0]["means"]["status"] for each in ORDERS} == {s.name for s in OrderStatus}


@pytest.mark.fault("P12", "SAID")
@pytest.mark.parametrize("status", ["SUSPENDED", "", None, 7, "filled"])
def test_a_status_of_tomorrow_is_no_word_about_the_order(status: object) -> None:
    [filled] = [e.values[0] for e in ORDERS if e.id == "queried: FILLED"]
    [traded] = [e.values[0] for e in REPORTS if e.id == "a part was filled"]
    with pytest.raises(Unusable, match="status of an order"):
        binance.order_report({**filled["said"], "status": status}, BTC)
    with pytest.raises(Unusable, match="status of an order"):
        binance.execution_report({**traded["said"], "X": status}, {"BTCUSDT": BTC}.get)
    # An answer that nobody can read comes after the order was sent: its fate has to be asked for.
    unread = SendEvidence(SendPhase.SENT, http_status=200, message="cannot be read")
    assert classify(unread).verdict is Verdict.UNKNOWN
    known = {each.values[0]["said"].get("status") for each in ORDERS}
    fired({status} - known, words=f"{status!r} is no status of today")


@pytest.mark.fault("P12", "SAID")
def test_an_execution_of_tomorrow_tells_its_order_and_books_nothing() -> None:
    [traded] = [e.values[0] for e in REPORTS if e.id == "a part was filled"]
    tomorrows = {**traded["said"], "x": "SETTLED_LATER"}
    report = binance.execution_report(tomorrows, {"BTCUSDT": BTC}.get)
    assert (report.status, report.filled_quantity) == (
        OrderStatus.PARTIALLY_FILLED,
        Decimal("0.1"),
    )
    # What it filled is read from the list of executions.
    assert report.fills == ()
    fired({tomorrows["x"]} - {each.values[0]["said"]["x"] for each in REPORTS})


@pytest.mark.fault("P12", "SAID")
@pytest.mark.parametrize("wrapped", [True, False])
@pytest.mark.parametrize("example", EVENTS)
def test_every_other_event_of_the_account_is_taken_and_tells_nothing_of_orders(
    example: Payload, wrapped: bool
) -> None:
    seen: list[object] = []
    ends: list[str] = []
    moved: list[Movement] = []
    stream = AccountStream({"BTCUSDT": BTC}.get, seen.append, seen.append, moved.append)
    stream._ended = ends.append
    said = example["said"]
    assert stream.take({"subscriptionId": 0, "event": said} if wrapped else said)
    assert seen == []
    told = [[one.asset, str(one.quantity), to_ms(one.cleared_at)] for one in moved]
    assert told == example.get("moves", [])
    assert bool(ends) is example["is_end"]
    fired({said["e"]} - {each.values[0]["said"]["e"] for each in REPORTS})


@pytest.mark.parametrize("example", REPORTS)
def test_every_report_reaches_whoever_listens(example: Payload) -> None:
    seen: list[OrderReport] = []
    stream = AccountStream({"BTCUSDT": BTC}.get, seen.append, nothing, nothing)
    assert stream.take({"subscriptionId": 0, "event": example["said"]})
    assert [meaning(one) for one in seen] == [meant(example["means"])]


def test_an_acknowledgement_alone_is_no_word_about_the_order() -> None:
    bare = {"symbol": "BTCUSDT", "orderId": 1, "orderListId": -1, "clientOrderId": "a"}
    with pytest.raises(Unusable):
        binance.order_report({**bare, "transactTime": 1_764_417_600_000}, BTC)
