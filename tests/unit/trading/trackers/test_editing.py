"""Changing a live tracker: what tightens acts, what loosens shows both worst cases and asks."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from tests.builders import NOON
from tests.unit.trading.trackers.make import BTC, FEE, armed, d, line, step, with_spec
from trading.domain.commands import EditTracker
from trading.domain.errors import Refused
from trading.domain.order import Side
from trading.domain.time import Timeframe
from trading.domain.tracker import (
    Amount,
    AmountKind,
    Confirm,
    ConfirmKind,
    Distance,
    PriceKind,
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


def test_a_level_edited_to_a_price_between_two_steps_is_refused() -> None:
    with pytest.raises(Refused, match=r"stop should be a multiple of 0\.01, was 58000\.001"):
        _edit(_stop(), level=d("58000.001"))


def test_a_stop_edited_to_where_its_sale_would_be_too_small_is_refused() -> None:
    with pytest.raises(Refused, match="the stop 1 could never sell"):
        _edit(_stop(), level=d(1))


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


COOLDOWN = Then(ThenKind.COOLDOWN)
SWING = Then(ThenKind.SWING, d("0.04"))


def _sold_half(kind: TrackerKind = TrackerKind.TRAIL, **fields: Any) -> Tracker:
    """A swing that has sold at 57,000 and waits to buy back 4 % lower, at 54,720."""
    first = armed(kind, 60000, trail="0.01", then=SWING, **fields)
    return replace(
        first,
        side=first.side.opposite,
        state=TrackerState.WATCHING,
        arm_seq=2,
        quantity=d(0),
        quote=d(28000),
        level_price=d(54720),
        record_price=None,
        stop_price=None,
        last_fill_price=d(57000),
    )


def _bought_half(tracker: Tracker) -> Tracker:
    """The same swing once it has bought at 54,720: it sells above 56,908.8."""
    return replace(
        tracker,
        side=tracker.side.opposite,
        arm_seq=3,
        quantity=d("0.51"),
        quote=d(0),
        level_price=d("56908.80"),
        last_fill_price=d(54720),
    )


def test_a_cooldown_in_place_of_once_protects_the_same_and_acts_at_once() -> None:
    edit = _edit(_stop(), then=COOLDOWN)
    assert (edit.is_loosening, edit.tracker.spec.then) == (False, COOLDOWN)
    assert not _edit(edit.tracker, then=Then()).is_loosening


def test_a_buy_that_would_buy_again_asks() -> None:
    dip = armed(TrackerKind.DIP, 60000, level=55000, trail="0.01")
    repeated = _edit(dip, then=COOLDOWN)
    assert repeated.is_loosening
    assert not _edit(repeated.tracker, then=Then()).is_loosening


def test_a_swing_that_is_switched_on_after_a_cooldown_begins_with_its_first_half() -> None:
    again = replace(
        armed(TrackerKind.STOP, 60000, level=58000, trail="0.01", then=COOLDOWN),
        arm_seq=2,
        last_fill_price=d(58000),
    )
    edit = _edit(again, then=SWING)
    assert edit.tracker.last_fill_price is None
    # 60000 * 0.99 = 59400 still is where it fires.
    assert edit.new_worst == edit.old_worst == d(59400)


def test_the_mode_of_a_tracker_that_rests_after_its_fill_waits_for_the_band() -> None:
    rested = replace(
        _stop(then=COOLDOWN), state=TrackerState.RESTING, last_fill_price=d(58000), arm_seq=1
    )
    for then in (Then(), SWING):
        with pytest.raises(Refused, match="rests after its fill at 58000") as refused:
            _edit(rested, 57000, then=then)
        assert refused.value.example == "/tracker 1 cancel"
    assert _edit(rested, 57000, then=COOLDOWN).tracker == replace(rested, changed_at=NOON)


@pytest.mark.parametrize("then", [COOLDOWN, Then(ThenKind.SWING, d("0.05"))])
def test_a_later_half_of_a_swing_can_only_be_made_the_last(then: Then) -> None:
    with pytest.raises(Refused, match="only `then once`") as refused:
        _edit(_sold_half(), 56000, then=then)
    assert refused.value.example == "/tracker 1 then once"


def test_a_swing_that_buys_back_for_the_last_time_is_a_dip_at_its_level_and_asks() -> None:
    edit = _edit(_sold_half(stop=50000), 56000, then=Then())
    spec = edit.tracker.spec
    assert (spec.kind, spec.level, spec.then) == (TrackerKind.DIP, d(54720), Then())
    assert (spec.stop, spec.amount) == (None, Amount(AmountKind.QUOTE, d(28000)))
    assert edit.is_loosening
    touched = step(edit.tracker, 54700).tracker
    assert step(touched, 55300).evidence is not None


@pytest.mark.parametrize("kind", [TrackerKind.TRAIL, TrackerKind.STOP])
def test_a_swing_that_sells_for_the_last_time_is_a_take_profit_at_its_level(
    kind: TrackerKind,
) -> None:
    fields = {"level": 58000} if kind is TrackerKind.STOP else {}
    edit = _edit(_bought_half(_sold_half(kind, stop=50000, **fields)), 55000, then=Then())
    spec = edit.tracker.spec
    assert (spec.kind, spec.level, spec.amount) == (
        TrackerKind.TAKE_PROFIT,
        d("56908.80"),
        Amount(AmountKind.ALL),
    )
    assert (edit.is_loosening, edit.new_worst) == (False, d(50000))
    touched = step(edit.tracker, 57000).tracker
    assert (touched.state, touched.stop_price) == (TrackerState.TRAILING, d(56430))


def test_a_dip_with_a_stop_that_swings_may_end_with_its_sale() -> None:
    bought = replace(
        armed(TrackerKind.DIP, 60000, level=55000, trail="0.01", stop=50000, then=SWING),
        side=Side.SELL,
        arm_seq=2,
        quantity=d("0.009"),
        quote=d(0),
        level_price=d(57200),
        last_fill_price=d(55000),
    )
    spec = _edit(bought, 55500, then=Then()).tracker.spec
    assert (spec.kind, spec.stop) == (TrackerKind.TAKE_PROFIT, d(50000))
    assert spec.amount == Amount(AmountKind.BASE, d("0.009"))


def test_lines_that_buy_back_cannot_be_made_the_last_half() -> None:
    lines = {"support": line(50000, 50001), "resistance": line(65000, 65001)}
    with pytest.raises(Refused, match="buys back between its lines"):
        _edit(_sold_half(TrackerKind.LINES, **lines), 56000, then=Then())


def test_the_last_half_of_a_swing_has_no_band_to_rest_in() -> None:
    lines = {"support": line(50000, 50001), "resistance": line(65000, 65001)}
    last = replace(_sold_half(TrackerKind.LINES, **lines), last_fill_price=None)
    last = replace(last, spec=replace(last.spec, then=Then()))
    with pytest.raises(Refused, match="no band of its own"):
        _edit(last, 56000, then=COOLDOWN)


def test_a_backstop_can_be_added_and_raised_freely_but_lowered_or_taken_off_on_request() -> None:
    added = _edit(_stop(), backstop_share=d("0.1"))
    assert (added.is_loosening, added.tracker.spec.backstop) == (False, d(54000))
    assert added.tracker.spec.backstop_share is None
    raised = _edit(added.tracker, backstop=d(55000))
    assert (raised.is_loosening, raised.tracker.spec.backstop) == (False, d(55000))
    assert _edit(raised.tracker, backstop=d(50000)).is_loosening
    off = _edit(raised.tracker, is_backstop_off=True)
    assert (off.is_loosening, off.tracker.spec.backstop) == (True, None)
    assert (off.old_worst, off.new_worst) == (d(58000), d(58000))


def test_the_backstop_is_the_worst_case_where_no_private_rule_would_act() -> None:
    waiting = armed(TrackerKind.TAKE_PROFIT, 60000, level=65000, trail="0.02", backstop=d(55000))
    off = _edit(waiting, is_backstop_off=True)
    assert (off.is_loosening, off.old_worst, off.new_worst) == (True, d(55000), None)


def test_a_backstop_that_would_sell_first_is_refused_with_a_command_that_works() -> None:
    trail = armed(TrackerKind.TRAIL, 60000, trail="0.05")
    with pytest.raises(Refused, match="backstop 59400 should be below 57000") as refused:
        _edit(trail, backstop_share=d("0.01"))
    assert refused.value.example == "/tracker 1 backstop 54150"
    assert not _edit(trail, backstop=d(54150)).is_loosening


def test_a_private_stop_cannot_be_moved_below_its_backstop() -> None:
    guarded = _stop(backstop=d(55000))
    for fields in (
        {"level": d(54000)},
        {"confirm": Confirm(ConfirmKind.TICKS, 3, loss_max=d("0.06"))},
    ):
        with pytest.raises(Refused, match="backstop 55000 should be below 54"):
            _edit(guarded, **fields)
    assert _edit(guarded, level=d(54000), backstop=d(50000)).tracker.spec.level == d(54000)
    trail = armed(TrackerKind.TRAIL, 60000, trail="0.05", backstop=d(55000))
    with pytest.raises(Refused, match="backstop 55000 should be below 54000"):
        _edit(trail, trail=_share("0.1"))


def test_what_only_tightens_is_not_refused_for_a_backstop_that_was_there_before() -> None:
    early = with_spec(_stop(), backstop=d(59500))
    assert _edit(early, level=d(59000)).tracker.stop_price == d(59000)
    assert _edit(early, owned=Slice(quantity=d("0.4"))).is_loosening


def test_a_tracker_that_holds_no_coins_takes_no_backstop_but_lets_one_go() -> None:
    with pytest.raises(Refused, match="holds no coins yet"):
        _edit(_sold_half(), 56000, backstop=d(50000))
    off = _edit(with_spec(_sold_half(), backstop=d(50000)), 56000, is_backstop_off=True)
    assert off.tracker.spec.backstop is None


@pytest.mark.parametrize("said", [{"stop": d(58000)}, {"stop_share": d("0.05")}])
def test_a_hard_stop_can_be_taken_off_and_that_asks(said: dict[str, Any]) -> None:
    waiting = armed(TrackerKind.TAKE_PROFIT, 60000, level=61000, trail="0.01", **said)
    assert waiting.hard_stop_price is not None
    edit = _edit(waiting, is_stop_off=True)
    assert edit.is_loosening
    assert (edit.old_worst, edit.new_worst) == (waiting.hard_stop_price, None)
    assert edit.tracker.hard_stop_price is None
    assert (edit.tracker.spec.stop, edit.tracker.spec.stop_share) == (None, None)


def test_of_a_tracker_without_a_hard_stop_none_is_taken_off() -> None:
    with pytest.raises(Refused, match="no hard stop"):
        _edit(_stop(), is_stop_off=True)


@pytest.mark.parametrize(
    ("old", "fields", "is_loosening"),
    [
        # Below its floor an exit stops: a floor, and a higher one, may leave coins unsold.
        (None, {"slippage_max": d("0.005")}, True),
        (d("0.01"), {"slippage_max": d("0.005")}, True),
        (d("0.005"), {"slippage_max": d("0.01")}, False),
        (d("0.005"), {"is_slippage_off": True}, False),
    ],
)
def test_a_floor_under_an_exit_asks_and_a_lower_one_does_not(
    old: Decimal | None, fields: dict[str, Any], is_loosening: bool
) -> None:
    edit = _edit(_stop(slippage_max=old), **fields)
    assert edit.is_loosening is is_loosening
    assert edit.tracker.spec.slippage_max == fields.get("slippage_max")


@pytest.mark.parametrize(
    ("old", "fields", "is_loosening"),
    [
        (None, {"slippage_max": d("0.005")}, True),
        (d("0.005"), {"slippage_max": d("0.01")}, True),
        (d("0.01"), {"slippage_max": d("0.005")}, False),
        (d("0.01"), {"is_slippage_off": True}, True),
        (d("0.01"), {"confirm": Confirm()}, False),
    ],
)
def test_a_buy_that_may_pay_more_asks(
    old: Decimal | None, fields: dict[str, Any], is_loosening: bool
) -> None:
    dip = armed(TrackerKind.DIP, 60000, level=55000, trail="0.01", slippage_max=old)
    assert _edit(dip, **fields).is_loosening is is_loosening


def test_a_price_that_shows_a_fall_later_asks() -> None:
    by_bid = _edit(_stop(), price_kind=PriceKind.BID)
    assert (by_bid.is_loosening, by_bid.tracker.spec.price_kind) == (False, PriceKind.BID)
    assert _edit(by_bid.tracker, price_kind=PriceKind.DECISION).is_loosening
    assert _edit(_stop(), price_kind=PriceKind.LAST).is_loosening
    assert not _edit(_stop(), price_kind=PriceKind.MID).is_loosening


def test_what_has_fired_can_no_longer_be_changed() -> None:
    fired = replace(_stop(), state=TrackerState.EXITING)
    with pytest.raises(Refused, match="too late to change it"):
        _edit(fired, level=d(59000))


def test_new_values_are_checked_like_those_of_a_new_tracker() -> None:
    with pytest.raises(Refused, match=r"between 0.01% and 50%, was 250%"):
        _edit(_stop(), trail=_share("2.5"))


def _passed(side: Side, price: object) -> Tracker:
    """A paused trail whose stop the price passed meanwhile."""
    kind, fields = TrackerKind.TRAIL, {}
    if side is Side.BUY:
        kind, fields = TrackerKind.DIP, {"level": 60500}
    trail = armed(kind, 60000, trail="0.02", **fields)
    assert trail.state is TrackerState.TRAILING
    return replace(trail, is_paused=True, paused_at=NOON)


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("share", ["0.02", "0.05", "0.1234", "0.3", "0.42"])
def test_a_trail_that_the_price_has_passed_is_offered_one_that_is_taken(
    side: Side, share: str
) -> None:
    price = 60000 * (1 + side.sign * d(share))
    tracker = _passed(side, price)
    with pytest.raises(Refused, match="already crossed") as refused:
        _edit(tracker, price, confirm=Confirm(ConfirmKind.TICKS, 2))
    word, percent = (refused.value.example or "").split()
    assert word == "trail"
    edited = _edit(tracker, price, trail=_share(str(d(percent.removesuffix("%")) / 100))).tracker
    assert edited.stop_price is not None
    assert abs(edited.stop_price / price - 1) > d("0.04")


@pytest.mark.parametrize(("side", "price"), [(Side.SELL, 30000), (Side.BUY, 95000)])
def test_a_trail_that_no_distance_saves_is_offered_its_end(side: Side, price: int) -> None:
    with pytest.raises(Refused, match="already crossed") as refused:
        _edit(_passed(side, price), price, confirm=Confirm(ConfirmKind.TICKS, 2))
    assert refused.value.example == "/tracker 1 cancel"


@pytest.mark.parametrize("distance", ["0.001", "0.01", "0.05", "0.1", "0.2"])
def test_a_swing_that_cannot_gain_is_offered_one_that_is_taken(distance: str) -> None:
    tracker = armed(TrackerKind.TRAIL, 60000, trail=distance)
    with pytest.raises(Refused, match="cannot gain") as refused:
        _edit(tracker, then=Then(ThenKind.SWING, d("0.001")))
    *words, percent = (refused.value.example or "").split()
    assert words == ["then", "swing"]
    swing = Then(ThenKind.SWING, d(percent.removesuffix("%")) / 100)
    assert _edit(tracker, then=swing).tracker.spec.then == swing


def test_where_no_swing_gains_the_end_of_it_is_offered() -> None:
    tracker = armed(TrackerKind.TRAIL, 60000, trail="0.4")
    with pytest.raises(Refused, match="cannot gain") as refused:
        _edit(tracker, then=Then(ThenKind.SWING))
    assert refused.value.example == "then once"


def test_a_swing_without_a_distance_is_offered_both() -> None:
    with pytest.raises(Refused, match="needs a trailing distance") as refused:
        _edit(_stop(), then=Then(ThenKind.SWING, d("0.001")))
    assert refused.value.example == "trail 2% then swing 4%"
    _edit(_stop(), trail=_share("0.02"), then=Then(ThenKind.SWING, d("0.04")))


def test_stop_off_leaves_a_swing_to_its_trail_and_asks() -> None:
    tracker = armed(TrackerKind.TRAIL, 60000, trail="0.01", stop=50000)
    edit = _edit(tracker, is_stop_off=True, then=Then(ThenKind.SWING, d("0.04")))
    assert edit.is_loosening
    assert (edit.tracker.spec.stop, edit.tracker.hard_stop_price) == (None, None)
