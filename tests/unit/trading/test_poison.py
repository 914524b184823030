"""What was in hand at three deaths is set apart; what was there by chance is not."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.catalogue import fired
from trading.poison import APART_FOR, DEATHS_MAX, Lane, Suspect, after_death, marked, told

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
FRAME = '{"e":"trade","E":1,"s":"BTCUSDT","t":%d,"p":"60000"}'
STREAMS = [Lane.FRAME, Lane.REPORT]


def died(times: int, lane: Lane, what: str, every: timedelta) -> tuple[Suspect, ...]:
    suspects: tuple[Suspect, ...] = ()
    for number in range(times):
        suspects = after_death(suspects, {lane: what}, NOW + number * every)
    return suspects


@pytest.mark.fault("P08", "SAID")
@pytest.mark.parametrize("lane", list(Lane))
def test_what_was_in_hand_at_three_deaths_is_set_apart(lane: Lane) -> None:
    what = "update 7"
    [twice] = died(DEATHS_MAX - 1, lane, what, timedelta(minutes=1))
    assert not twice.is_apart(NOW)
    [thrice] = died(DEATHS_MAX, lane, what, timedelta(minutes=1))
    assert thrice.is_apart(NOW + timedelta(minutes=3))
    assert str(DEATHS_MAX) in told(thrice)
    fired(thrice.deaths)


def test_frames_of_one_symbol_are_the_same_thing_and_reports_of_one_order() -> None:
    suspects: tuple[Suspect, ...] = ()
    for number in range(DEATHS_MAX):
        suspects = after_death(suspects, {Lane.FRAME: FRAME % number}, NOW)
    [frame] = suspects
    assert frame.is_apart(NOW)
    assert "BTCUSDT" in told(frame)
    assert Lane.FRAME.key_of(FRAME % 1) != Lane.FRAME.key_of(FRAME.replace("BTC", "ETH") % 1)
    report = '{"e":"executionReport","s":"BTCUSDT","c":"aa0123-1"}'
    assert Lane.REPORT.key_of(report) == '"c":"aa0123-1"'


@pytest.mark.parametrize("lane", STREAMS)
def test_deaths_that_lie_far_apart_are_no_series_of_a_stream(lane: Lane) -> None:
    [suspect] = died(5, lane, "x", timedelta(hours=2))
    assert len(suspect.deaths) == 1


@pytest.mark.parametrize("lane", STREAMS)
def test_a_stream_is_tried_again_after_a_day(lane: Lane) -> None:
    [suspect] = died(DEATHS_MAX, lane, "x", timedelta(minutes=1))
    assert suspect.is_apart(suspect.deaths[-1] + APART_FOR - timedelta(seconds=1))
    assert not suspect.is_apart(suspect.deaths[-1] + APART_FOR)
    [other] = after_death([suspect], {lane: "other"}, suspect.deaths[-1] + APART_FOR)
    assert other.key == "other"


def test_an_update_stays_apart_and_is_forgotten_a_week_later() -> None:
    [suspect] = died(DEATHS_MAX, Lane.UPDATE, "update 7", timedelta(hours=30))
    assert suspect.is_apart(NOW + timedelta(days=6))
    assert after_death([suspect], {}, NOW + timedelta(days=10)) == ()


@given(st.lists(st.sampled_from(["update 1", "update 2", "update 3"]), max_size=12))
def test_each_death_counts_for_what_was_in_hand_alone(in_hand: list[str]) -> None:
    suspects: tuple[Suspect, ...] = ()
    for what in in_hand:
        suspects = after_death(suspects, {Lane.UPDATE: what}, NOW)
    counted = {each.key: len(each.deaths) for each in suspects}
    assert counted == {what: in_hand.count(what) for what in set(in_hand)}


class Hand:
    """Takes everything and remembers what is held."""

    held: str | None = None

    def take(self, _lane: Lane, what: str) -> bool:
        self.held = what
        return True

    def put_down(self, _lane: Lane) -> None:
        self.held = None

    def is_suspicious(self, _lane: Lane) -> bool:
        return False

    def acquit(self, _lane: Lane, _is_done: Callable[[str], bool]) -> None:
        """Nobody is suspected."""


def test_a_failure_is_no_death() -> None:
    hand = Hand()
    held = []

    def fail() -> None:
        held.append(hand.held)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"), marked(hand, Lane.UPDATE, "update 1"):
        fail()
    assert (held, hand.held) == (["update 1"], None)


def test_what_is_cut_off_stays_marked() -> None:
    hand = Hand()
    with pytest.raises(KeyboardInterrupt), marked(hand, Lane.UPDATE, "update 1"):
        raise KeyboardInterrupt
    assert hand.held == "update 1"
