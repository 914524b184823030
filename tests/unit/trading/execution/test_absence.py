"""An order is absent only when every condition of the proof holds."""

from dataclasses import replace
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.catalogue import fired
from trading.domain.order import OrderRequest, OrderType, Side
from trading.execution import absence
from trading.execution.settings import AbsenceSettings

SETTINGS = AbsenceSettings()
EXIT = OrderRequest(
    "uxaaaaaaaaaaaaaaaa-1",
    "BTC/USDT",
    Side.SELL,
    OrderType.MARKET,
    Decimal(1),
    recv_window_ms=3000,
)
ENTRY = replace(EXIT, recv_window_ms=5000)


def proved(found: absence.Search, *, clock: bool = True) -> bool:
    return absence.is_proved(found, SETTINGS, is_clock_known=clock)


def test_an_exit_settles_after_18_seconds_and_an_entry_after_20() -> None:
    assert absence.search(EXIT, 100.0, 100.0, SETTINGS).settled_at_s == 118
    assert absence.search(ENTRY, 100.0, 100.0, SETTINGS).settled_at_s == 120


def test_a_not_found_before_the_request_has_expired_proves_nothing() -> None:
    found = absence.search(EXIT, 0.0, 0.0, SETTINGS)
    for second in range(18):
        found = absence.not_found(found, float(second), SETTINGS)
    assert found.not_found_s == ()


@pytest.mark.fault("X03b", "SAID")
def test_two_not_founds_apart_the_lists_and_a_known_clock_are_a_proof() -> None:
    found = absence.search(EXIT, 0.0, 0.0, SETTINGS)
    found = absence.not_found(found, 18.0, SETTINGS)
    found = absence.not_found(found, 20.9, SETTINGS)
    assert found.not_found_s == (18.0,)
    found = absence.not_found(found, 21.0, SETTINGS)
    fired(found.not_found_s)
    assert absence.needs_lists(found, SETTINGS)
    assert not proved(found)
    assert absence.lists_agree(found, 17.0).lists_s is None
    found = absence.lists_agree(found, 21.0)
    assert not absence.needs_lists(found, SETTINGS)
    assert proved(found)
    assert not proved(found, clock=False)
    text = absence.evidence(found)
    assert "not found at 18.0 s, 21.0 s" in text
    assert "lists without it at 21.0 s" in text


def test_the_evidence_says_when_no_list_was_read() -> None:
    assert "lists without it at -" in absence.evidence(absence.search(EXIT, 0.0, 0.0, SETTINGS))


def test_questions_come_quickly_then_steadily_and_as_soon_as_they_can_prove() -> None:
    found, now_s, asked = absence.search(EXIT, 0.0, 0.0, SETTINGS), 0.0, []
    while len(asked) < 11:
        now_s = absence.next_query_s(found, SETTINGS)
        asked.append(now_s)
        found = absence.not_found(absence.asked(found, now_s), now_s, SETTINGS)
    assert asked[:8] == [0.25, 0.5, 1.0, 2.0, 4.0, 9.0, 14.0, 18.0]
    assert asked[8] == 21.0
    assert found.not_found_s[:2] == (18.0, 21.0)


def test_questions_without_an_answer_never_come_in_a_rush() -> None:
    found, now_s, asked = absence.search(EXIT, 0.0, 0.0, SETTINGS), 0.0, []
    for _ in range(20):
        now_s = max(now_s, absence.next_query_s(found, SETTINGS))
        asked.append(now_s)
        found = absence.asked(found, now_s)
    gaps = [later - earlier for earlier, later in pairwise(asked)]
    assert all(gap > 0 for gap in gaps)
    assert all(gap >= 1 for gap in gaps[8:])


def test_a_link_that_is_gone_is_tried_often_and_less_often_the_longer_it_is_gone() -> None:
    found, asked = absence.search(EXIT, 0.0, 0.0, SETTINGS), []
    for _ in range(70):
        asked.append(absence.next_query_s(found, SETTINGS))
        found = absence.unanswered(absence.asked(found, asked[-1]))
    assert asked[:7] == [0.25, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0]
    gaps = [later - earlier for earlier, later in pairwise(asked)]
    for at_s, gap in zip(asked[2:], gaps[2:], strict=False):
        assert gap <= max(0.5, at_s / 10)
    assert gaps[-1] == SETTINGS.query_every_s


def test_an_answer_brings_the_steady_pace_back() -> None:
    found = replace(absence.search(EXIT, 0.0, 0.0, SETTINGS), queries=9)
    lost = absence.unanswered(absence.asked(found, 40.0))
    assert absence.unanswered(absence.asked(lost, 41.0)).unanswered_s == 40.0
    assert absence.next_query_s(lost, SETTINGS) == 40.5
    answered = absence.answered(absence.asked(lost, 41.0))
    assert absence.next_query_s(answered, SETTINGS) == 46.0


@given(st.lists(st.tuples(st.floats(0, 60), st.booleans()), max_size=40))
def test_no_proof_before_the_request_can_no_longer_be_accepted(
    answers: list[tuple[float, bool]],
) -> None:
    found = absence.search(ENTRY, 0.0, 0.0, SETTINGS)
    for now_s, lists in sorted(answers):
        found = absence.not_found(found, now_s, SETTINGS)
        if lists:
            found = absence.lists_agree(found, now_s)
        if proved(found):
            assert now_s >= 20
            assert found.not_found_s[-1] - found.not_found_s[0] >= 3
