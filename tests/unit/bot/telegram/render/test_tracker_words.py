"""A tracker is told in words that are true: what trails, what decides, what waits."""

from dataclasses import replace
from typing import Any

import pytest

from bot.telegram.render.tracker_words import spec_lines, state_name
from tests.unit.trading.trackers.make import armed, d
from trading.domain.time import Timeframe
from trading.domain.tracker import Confirm, ConfirmKind, PriceKind, Tracker, TrackerKind


def _stop(**fields: Any) -> Tracker:
    return armed(TrackerKind.STOP, 60000, level=58000, **fields)


def test_a_card_names_the_price_that_decides_when_it_is_not_the_usual_one() -> None:
    assert spec_lines(_stop(price_kind=PriceKind.BID)) == ["Decides on the bid price"]
    assert spec_lines(_stop()) == []


def test_a_confirmation_that_waits_says_past_which_loss_it_does_not() -> None:
    close = Confirm(ConfirmKind.CLOSE, timeframe=Timeframe.parse("15m"))
    assert spec_lines(_stop(confirm=close)) == ["Confirm close 15m max 1%"]
    trailing = armed(TrackerKind.TRAIL, 60000, trail="0.025", confirm=close)
    assert spec_lines(trailing) == ["Confirm close 15m max 2.5%"]
    narrow = replace(close, loss_max=d("0.005"))
    assert spec_lines(_stop(confirm=narrow)) == ["Confirm close 15m max 0.5%"]


@pytest.mark.parametrize(
    ("tracker", "word"),
    [
        (armed(TrackerKind.STOP, 60000, level=58000), "👀 watching"),
        (armed(TrackerKind.BREAKOUT, 60000, level=66000), "👀 watching"),
        (armed(TrackerKind.STOP, 60000, level=58000, trail="0.02"), "🎯 trailing"),
        (armed(TrackerKind.TRAIL, 60000, trail="0.02"), "🎯 trailing"),
    ],
)
def test_only_what_follows_the_price_is_called_trailing(tracker: Tracker, word: str) -> None:
    assert state_name(tracker) == word
