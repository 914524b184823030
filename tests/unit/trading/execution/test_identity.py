"""Ids follow from durable facts alone, are unique, and tell our orders from others'."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.execution import identity

intent_ids = st.text(min_size=1, max_size=60)


@given(intent_ids, st.integers(1, 10**6))
def test_an_id_is_derived_anew_and_recognised(intent_id: str, number: int) -> None:
    found = identity.client_order_id("ux", intent_id, number)
    assert found == identity.client_order_id("ux", intent_id, number)
    assert len(found) <= 36
    assert re.fullmatch(r"[A-Za-z0-9._:/-]+", found)
    assert identity.is_ours(found, "ux")
    assert not identity.is_ours(found, "uy")
    assert identity.attempt_number(found) == number
    assert found.startswith(identity.stem("ux", intent_id) + "-")


@given(st.sets(st.tuples(intent_ids, st.integers(1, 99)), max_size=50))
def test_ids_are_unique(keys: set[tuple[str, int]]) -> None:
    found = {identity.client_order_id("ux", intent_id, number) for intent_id, number in keys}
    assert len(found) == len(keys)


@pytest.mark.parametrize(
    "foreign", ["", "web_1", "x-TKT5PX2F1234", "ux", "ux-1", "uxABCDEFGHIJKLMNOP-1"]
)
def test_other_forms_are_not_ours(foreign: str) -> None:
    assert not identity.is_ours(foreign, "ux")


def test_decisions_are_named_for_their_cause() -> None:
    assert identity.tracker_intent_id(17, 2) == "tracker:17:2"
    assert identity.command_intent_id("9123", "BTC/USDT") == "command:9123:BTC/USDT"


def test_an_id_that_no_exchange_would_take_is_our_own_error() -> None:
    with pytest.raises(ValueError, match="two letters or digits"):
        identity.client_order_id("u", "a", 1)
    with pytest.raises(ValueError, match="at least 1"):
        identity.client_order_id("ux", "a", 0)
    with pytest.raises(ValueError, match="should fit"):
        identity.client_order_id("ux", "a", 10**20)
