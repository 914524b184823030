"""Bursts pass, floods are told how long to wait, and waiting that long is enough."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.localchat.errors import BotApiError
from bot.localchat.flood import FloodGate, FloodLimits


def test_burst_of_twenty_passes_and_the_next_waits_a_second() -> None:
    gate = FloodGate()
    for _ in range(20):
        gate.admit("send", 7, 0.0)
    with pytest.raises(BotApiError) as refused:
        gate.admit("send", 7, 0.0)
    assert refused.value.as_json() == {
        "ok": False,
        "error_code": 429,
        "description": "Too Many Requests: retry after 1",
        "parameters": {"retry_after": 1},
    }
    gate.admit("send", 7, 1.0)


def test_groups_wait_longer() -> None:
    gate = FloodGate()
    for _ in range(20):
        gate.admit("send", -7, 0.0)
    with pytest.raises(BotApiError) as refused:
        gate.admit("send", -7, 0.0)
    assert refused.value.retry_after_s == 3


def test_edits_and_other_chats_have_their_own_count_but_share_the_whole() -> None:
    gate = FloodGate()
    for _ in range(20):
        gate.admit("send", 7, 0.0)
    for _ in range(10):
        gate.admit("edit", 7, 0.0)
    with pytest.raises(BotApiError):
        gate.admit("send", 8, 0.0)


def test_limits_can_be_changed_and_switched_off() -> None:
    gate = FloodGate(FloodLimits(chat_burst=1))
    gate.admit("send", 7, 0.0)
    with pytest.raises(BotApiError):
        gate.admit("send", 7, 0.0)
    gate.change(FloodLimits(chat_burst=0, overall_burst=0))
    for _ in range(1000):
        gate.admit("send", 7, 0.0)


@given(st.lists(st.floats(0.0, 2.0), max_size=80))
def test_who_waits_as_told_is_let_in(pauses_s: list[float]) -> None:
    gate, now_s = FloodGate(FloodLimits(chat_burst=3)), 0.0
    for pause_s in pauses_s:
        now_s += pause_s
        try:
            gate.admit("send", 7, now_s)
        except BotApiError as error:
            now_s += error.retry_after_s or 0
            gate.admit("send", 7, now_s)
