"""Faults: which request they meet, how often, and what a wrong one is told."""

from typing import Any

import pytest

from trading.domain.errors import Refused
from trading.sim.binance.faults import KINDS, ON_REQUESTS, Faults

ORDER = ("POST", "/api/v3/order", "BTCUSDT")


def test_a_fault_fires_as_often_as_asked_and_counts_it() -> None:
    faults = Faults()
    fault = faults.add("drop_response", 2, {})
    fired = [len(faults.take(ON_REQUESTS, *ORDER)) for _ in range(4)]
    assert fired == [1, 1, 0, 0]
    assert fault.shown() == {
        "id": 1,
        "kind": "drop_response",
        "times": 2,
        "args": {},
        "fired": 2,
        "effects": 0,
        "active": False,
    }


def test_a_fault_meets_new_orders_unless_told_otherwise() -> None:
    faults = Faults()
    faults.add("status", None, {})
    assert not faults.take(ON_REQUESTS, "GET", "/api/v3/order", "BTCUSDT")
    assert not faults.take(ON_REQUESTS, "POST", "/api/v3/order/test", "BTCUSDT")
    assert faults.take(ON_REQUESTS, *ORDER)


@pytest.mark.parametrize(
    ("args", "request_", "is_met"),
    [
        ({"path": "/api/v3/account"}, ("GET", "/api/v3/account", ""), True),
        ({"path": "/api/v3/order", "method": "delete"}, ("DELETE", "/api/v3/order", "X"), True),
        ({"path": "/api/v3/order", "method": "DELETE"}, ORDER, False),
        ({"path": "*", "method": "GET"}, ("GET", "/api/v3/ping", ""), True),
        ({"symbol": "BTC/USDT"}, ORDER, True),
        ({"symbol": "ETHUSDT"}, ORDER, False),
    ],
)
def test_a_fault_can_be_aimed(
    args: dict[str, Any], request_: tuple[str, str, str], is_met: bool
) -> None:
    faults = Faults()
    faults.add("html200", 1, args)
    assert bool(faults.take(ON_REQUESTS, *request_)) is is_met


def test_a_fault_can_let_some_requests_pass_first() -> None:
    faults = Faults()
    faults.add("truncated", 1, {"skip": 2})
    assert [len(faults.take(ON_REQUESTS, *ORDER)) for _ in range(4)] == [0, 0, 1, 0]


def test_cleared_faults_stay_listed_but_do_nothing() -> None:
    faults = Faults()
    faults.add("empty_object", None, {})
    faults.take(ON_REQUESTS, *ORDER)
    faults.clear()
    assert not faults.take(ON_REQUESTS, *ORDER)
    assert [fault.fired for fault in faults.known] == [1]


@pytest.mark.parametrize(
    ("kind", "times", "args", "message"),
    [
        ("explode", 1, {}, "kind should be one of"),
        (None, 1, {}, "kind should be one of"),
        ("delay", "1", {}, "times should be a whole number"),
        ("delay", True, {}, "times should be a whole number"),
        ("delay", 0, {}, "times should be at least 1"),
        ("delay", 1, [], "args should be an object"),
        ("delay", 1, {"ms": -1}, "ms should be a number of at least 0, was -1"),
        ("delay", 1, {"ms": "5"}, "ms should be a number"),
        ("delay", 1, {"code": 1}, "args of delay should be among"),
        ("delay", 1, {"when": "never"}, "when should be before or after"),
        ("status", 1, {"status": 99}, "status should be an HTTP status"),
        ("status", 1, {"accept": "yes"}, "accept should be true or false"),
        ("error_code", 1, {"code": "x"}, "code should be a whole number"),
        ("stall_stream", 1, {"scope": "everything"}, "scope should be market, user or all"),
        ("late_match", 1, {"answer": "maybe"}, "answer should be accept or timeout"),
        ("terminate_stream", 1, {"x": 1}, "among nothing"),
    ],
)
def test_a_wrong_fault_is_told_what_it_should_be(
    kind: Any, times: Any, args: Any, message: str
) -> None:
    with pytest.raises(Refused, match=message):
        Faults().add(kind, times, args)


def test_lasting_faults_know_how_long() -> None:
    faults = Faults()
    assert faults.add("delay", 1, {"ms": 250}).seconds == 0.25
    assert faults.add("ban", 1, {"seconds": 7}).seconds == 7
    assert faults.add("stall_stream", 1, {}).seconds == 10
    assert {"drop_response", "delay", "status", "error_code", "disconnect"} <= KINDS
    assert {"stall_stream", "query_lag", "late_match", "ban"} <= KINDS
