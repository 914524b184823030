"""Faults hit the calls they name, as often as ordered, and are counted."""

from typing import Any

import pytest

from bot.localchat.errors import ClientError
from bot.localchat.faults import FaultPlan


def test_fault_hits_its_method_as_often_as_ordered() -> None:
    plan = FaultPlan()
    fault = plan.add("drop", 2, {"method": ["sendMessage"]}, 0.0)
    assert plan.take("getUpdates", 0.0) is None
    assert plan.take("sendmessage", 0.0) is fault
    assert plan.take("sendMessage", 0.0) is fault
    assert plan.take("sendMessage", 0.0) is None
    assert fault.as_json() == {
        "id": 1,
        "kind": "drop",
        "times": 0,
        "args": {"method": ["sendMessage"]},
        "fired": 2,
    }


def test_conflict_is_for_polling_unless_a_method_is_named() -> None:
    plan = FaultPlan()
    plan.add("conflict", 1, None, 0.0)
    assert plan.take("sendMessage", 0.0) is None
    assert plan.take("getUpdates", 0.0) is not None


def test_down_can_last_a_time_instead_of_a_number_of_calls() -> None:
    plan = FaultPlan()
    plan.add("down", 1, {"ms": 500}, 10.0)
    assert plan.take("getMe", 10.4) is not None
    assert plan.take("getMe", 10.4) is not None
    assert plan.take("getMe", 10.5) is None


def test_errors_carry_code_description_and_parameters() -> None:
    plan = FaultPlan()
    args = {"code": 429, "retry_after": 35}
    error = plan.add("error", 1, args, 0.0).error()
    assert error is not None
    assert error.as_json() == {
        "ok": False,
        "error_code": 429,
        "description": "Too Many Requests: retry after 35",
        "parameters": {"retry_after": 35},
    }
    hurried = plan.add("error", 1, {"code": 429}, 0.0).error()
    assert hurried is not None
    assert hurried.retry_after_s == 1
    gone = plan.add("unauthorized", 1, {}, 0.0).error()
    assert gone is not None
    assert gone.code == 401
    assert plan.add("drop", 1, {}, 0.0).error() is None


def test_a_delay_lasts_a_second_unless_told_otherwise() -> None:
    plan = FaultPlan()
    assert plan.add("delay", 1, {}, 0.0).args == {"ms": 1_000}
    assert plan.add("delay", 1, {"ms": 5}, 0.0).args == {"ms": 5}


def test_cleared_faults_do_not_happen() -> None:
    plan = FaultPlan()
    plan.add("drop", 5, {}, 0.0)
    plan.clear()
    assert plan.take("getMe", 0.0) is None


@pytest.mark.parametrize(
    ("kind", "args"),
    [
        ("earthquake", {}),
        ("delay", {"ms": -1}),
        ("delay", {"ms": "5"}),
        ("error", {"code": 200}),
        ("error", {"retry_after": True}),
        ("error", ["code"]),
        ("down", {"minutes": 1}),
        ("down", {"seconds": "12"}),
        ("down", {"seconds": 12, "ms": 5}),
        ("delay", {"seconds": 601}),
    ],
)
def test_senseless_faults_are_refused(kind: str, args: Any) -> None:
    with pytest.raises(ClientError):
        FaultPlan().add(kind, 1, args, 0.0)


def test_a_server_may_be_down_for_seconds() -> None:
    plan = FaultPlan()
    fault = plan.add("down", 1, {"seconds": 12}, 100.0)
    assert [plan.take("getMe", at_s) for at_s in (100.0, 111.9, 112.0)] == [fault, fault, None]
