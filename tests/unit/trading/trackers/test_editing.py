"""Changing a live tracker: what tightens acts, what loosens shows both worst cases and asks."""

from dataclasses import replace
from typing import Any

import pytest

from tests.builders import NOON
from tests.unit.trading.trackers.make import BTC, FEE, armed, d, step
from trading.domain.commands import EditTracker
from trading.domain.errors import Refused
from trading.domain.time import Timeframe
from trading.domain.tracker import (
    Confirm,
    ConfirmKind,
    Distance,
    Then,
    ThenKind,
    Tracker,
    TrackerKind,
    TrackerState,
)
from trading.trackers import editing
from trading.trackers.arming import Present
from trading.trackers.editing import Edit
from trading.trackers.slices import Slice


def _edit(
    tracker: Tracker, price: object = 60000, owned: Slice | None = None, **fields: Any
) -> Edit:
    command = EditTracker(tracker.tracker_id, **fields)
    return editing.edit(tracker, command, Present(d(price), NOON, FEE), BTC, owned)


def _stop(**fields: Any) -> Tracker:
    return armed(TrackerKind.STOP, 60000, level=58000, **fields)


def _share(value: str) -> Distance:
    return Distance(share=d(value))


def test_a_higher_stop_tightens() -> None:
    edit = _edit(_stop(), level=d(59000))
    assert not edit.is_loosening
    assert (edit.old_worst, edit.new_worst) == (d(58000), d(59000))
    assert edit.tracker.stop_price == d(59000)


def test_a_lower_stop_loosens_and_shows_both_worst_cases() -> None:
    edit = _edit(_stop(), level=d(57000))
    assert edit.is_loosening
    assert (edit.old_worst, edit.new_worst) == (d(58000), d(57000))


def test_a_stop_edited_beyond_the_price_is_refused_with_the_price() -> None:
    with pytest.raises(Refused, match="already crossed: the price is 60000"):
        _edit(_stop(), level=d(60500))


def test_a_narrower_trail_counts_from_the_record_and_tightens() -> None:
    trail = step(armed(TrackerKind.TRAIL, 60000, trail="0.03"), 62000).tracker
    edit = _edit(trail, 61500, trail=_share("0.02"))
    assert (edit.is_loosening, edit.tracker.stop_price) == (False, d(60760))


def test_a_wider_trail_loosens_and_lowers_the_stop_only_when_asked_for() -> None:
    trail = step(armed(TrackerKind.TRAIL, 60000, trail="0.02"), 62000).tracker
    edit = _edit(trail, 61500, trail=_share("0.05"))
    assert (edit.is_loosening, edit.tracker.stop_price) == (True, d(58900))


def test_a_stop_that_learns_to_trail_starts_from_the_present_price() -> None:
    edit = _edit(_stop(), 61000, trail=_share("0.02"))
    assert (edit.tracker.record_price, edit.tracker.stop_price) == (d(61000), d(59780))
    assert edit.is_loosening is False


def test_the_same_share_while_waiting_for_the_touch_may_only_narrow_freely() -> None:
    waiting = armed(TrackerKind.TAKE_PROFIT, 60000, level=65000, trail="0.02")
    assert not _edit(waiting, trail=_share("0.01")).is_loosening
    assert _edit(waiting, trail=_share("0.03")).is_loosening


@pytest.mark.parametrize(
    ("old", "new", "is_loosening"),
    [
        (Confirm(), Confirm(ConfirmKind.TICKS, 3), True),
        (Confirm(ConfirmKind.TICKS, 3), Confirm(), False),
        (Confirm(ConfirmKind.TICKS, 3), Confirm(ConfirmKind.TICKS, 5), True),
        (Confirm(ConfirmKind.TICKS, 3), Confirm(ConfirmKind.TICKS, 2), False),
        (Confirm(ConfirmKind.TICKS, 3), Confirm(ConfirmKind.SECONDS, 1), True),
        (
            Confirm(ConfirmKind.CLOSE, timeframe=Timeframe("15m")),
            Confirm(ConfirmKind.CLOSE, timeframe=Timeframe("1h")),
            True,
        ),
        (
            Confirm(ConfirmKind.CLOSE, timeframe=Timeframe("1h")),
            Confirm(ConfirmKind.CLOSE, timeframe=Timeframe("15m")),
            False,
        ),
        (
            Confirm(ConfirmKind.TICKS, 3, loss_max=d("0.01")),
            Confirm(ConfirmKind.TICKS, 3, loss_max=d("0.02")),
            True,
        ),
    ],
)
def test_slower_confirmations_and_higher_bounds_loosen(
    old: Confirm, new: Confirm, is_loosening: bool
) -> None:
    assert _edit(_stop(confirm=old), confirm=new).is_loosening is is_loosening


def test_a_smaller_slice_protects_less_and_asks() -> None:
    assert _edit(_stop(), owned=Slice(quantity=d("0.4"))).is_loosening
    larger = _edit(_stop(), owned=Slice(quantity=d("0.6"), adopted=d("0.1")))
    assert (larger.is_loosening, larger.adopted) == (False, d("0.1"))


def test_a_buy_with_more_money_asks() -> None:
    dip = armed(TrackerKind.DIP, 60000, level=55000, trail="0.01")
    assert _edit(dip, owned=Slice(quote=d(600))).is_loosening
    assert not _edit(dip, owned=Slice(quote=d(400))).is_loosening


def test_a_breakout_at_a_higher_price_pays_more_and_asks() -> None:
    breakout = armed(TrackerKind.BREAKOUT, 60000, level=62000)
    assert _edit(breakout, level=d(63000)).is_loosening
    assert not _edit(breakout, level=d(61000)).is_loosening


def test_a_hard_stop_can_be_added_and_raised_freely_but_lowered_only_on_request() -> None:
    waiting = armed(TrackerKind.TAKE_PROFIT, 60000, level=65000, trail="0.02")
    added = _edit(waiting, stop=d(57000))
    assert (added.is_loosening, added.old_worst, added.new_worst) == (False, None, d(57000))
    by_share = _edit(added.tracker, stop_share=d("0.04"))
    assert (by_share.is_loosening, by_share.new_worst) == (False, d(57600))
    assert _edit(by_share.tracker, stop=d(50000)).is_loosening


def test_a_touched_level_that_is_moved_out_of_reach_waits_again_and_asks() -> None:
    touched = step(armed(TrackerKind.TAKE_PROFIT, 60000, level=65000, trail="0.02"), 65500).tracker
    edit = _edit(touched, 65500, level=d(70000))
    assert (edit.tracker.state, edit.tracker.stop_price) == (TrackerState.WATCHING, None)
    assert (edit.is_loosening, edit.new_worst) == (True, None)
    near = _edit(touched, 65500, level=d(65200))
    assert (near.tracker.state, near.is_loosening) == (TrackerState.TRAILING, False)


def test_a_swing_can_be_switched_on_while_it_runs_but_adds_risk_and_asks() -> None:
    trail = armed(TrackerKind.TRAIL, 60000, trail="0.01")
    edit = _edit(trail, then=Then(ThenKind.SWING, d("0.04")))
    assert edit.is_loosening
    assert edit.tracker.spec.then.kind is ThenKind.SWING
    assert not _edit(edit.tracker, then=Then()).is_loosening
    with pytest.raises(Refused, match="cannot gain"):
        _edit(trail, then=Then(ThenKind.SWING, d("0.005")))


def test_the_level_of_a_swing_moves_with_its_fills_and_cannot_be_set() -> None:
    swung = replace(
        armed(TrackerKind.TRAIL, 60000, trail="0.01", then=Then(ThenKind.SWING, d("0.04"))),
        last_fill_price=d(60000),
    )
    with pytest.raises(Refused, match="moves with it"):
        _edit(swung, level=d(50000))


def test_what_has_fired_can_no_longer_be_changed() -> None:
    fired = replace(_stop(), state=TrackerState.EXITING)
    with pytest.raises(Refused, match="too late to change it"):
        _edit(fired, level=d(59000))


def test_new_values_are_checked_like_those_of_a_new_tracker() -> None:
    with pytest.raises(Refused, match=r"between 0.01% and 50%, was 250%"):
        _edit(_stop(), trail=_share("2.5"))
