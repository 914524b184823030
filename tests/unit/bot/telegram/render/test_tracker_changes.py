"""The card that changes a tracker offers only what can be done where the tracker stands."""

from dataclasses import replace
from typing import Any

import pytest

from bot.telegram.render.tracker_changes import options, tighten_card
from tests.unit.trading.trackers.make import BTC, FEE, armed, d
from trading.domain.order import Side
from trading.domain.tracker import Then, ThenKind, Tracker, TrackerKind, TrackerState
from trading.overview import TrackerView
from trading.trackers import arming

SWING = Then(ThenKind.SWING, d("0.105"))


def _offers(tracker: Tracker, worst: str | None = None) -> set[str]:
    view = TrackerView(
        tracker, BTC, d(60000), 1.0, None, None, True, None if worst is None else d(worst), None
    )
    card = tighten_card(view, options(view))
    labels = {button.label for row in card.buttons for button in row}
    return {label for label in labels if label.startswith(("then", "backstop"))}


def _trail(**fields: Any) -> Tracker:
    return armed(TrackerKind.TRAIL, 60000, trail="0.05", **fields)


def test_every_other_mode_and_a_wide_backstop_are_offered() -> None:
    # Half a bitcoin that loses 1,500 at worst is sold at 57,000; a tenth below that is 51,300.
    assert _offers(_trail(), "-1500") == {"then cooldown", "then swing 10.5%", "backstop 51,300"}
    assert _offers(_trail(then=Then(ThenKind.COOLDOWN)), "-1500") > {"then once"}


def test_a_backstop_that_stands_can_be_taken_off() -> None:
    assert "backstop off" in _offers(_trail(backstop=d(50000)))


def test_a_rule_without_a_trail_cannot_swing() -> None:
    stop = armed(TrackerKind.STOP, 60000, level=58000)
    assert _offers(stop, "-1000") == {"then cooldown", "backstop 52,200"}


def test_a_later_half_of_a_swing_can_be_made_the_last() -> None:
    half = replace(_trail(then=SWING), side=Side.BUY, quantity=d(0), last_fill_price=d(57000))
    assert _offers(half) == {"then once"}


def test_a_tracker_that_rests_after_its_fill_keeps_its_mode() -> None:
    rested = replace(
        _trail(then=Then(ThenKind.COOLDOWN)),
        state=TrackerState.RESTING,
        last_fill_price=d(57000),
    )
    assert _offers(rested) == {"backstop 54,000"}


@pytest.mark.parametrize("trail", ["0.0001", "0.001", "0.01", "0.05", "0.1", "0.2"])
def test_the_swing_that_is_offered_gains(trail: str) -> None:
    tracker = armed(TrackerKind.TRAIL, 60000, trail=trail)
    [words] = [one for one in _offers(tracker) if one.startswith("then swing")]
    share = d(words.split()[-1].rstrip("%")) / 100
    spec = replace(tracker.spec, then=Then(ThenKind.SWING, share))
    arming.check_swing(spec, tracker.distance, FEE)
