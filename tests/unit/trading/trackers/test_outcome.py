"""What follows a closed intent: the end, a rest, or the other half of a swing."""

from dataclasses import replace

import pytest

from tests.builders import NOON, fill
from tests.unit.trading.trackers.make import BTC, armed, d, line
from trading.domain.events import TrackerChanged
from trading.domain.order import Fill, Intent, IntentState, Purpose, Side
from trading.domain.tracker import (
    NOTHING_LEFT,
    TOO_LITTLE_LEFT,
    Then,
    ThenKind,
    Tracker,
    TrackerChange,
    TrackerKind,
    TrackerState,
)
from trading.trackers import outcome, rules
from trading.trackers.slices import Slice

_SWING = Then(ThenKind.SWING, d("0.04"))


def _fired(then: Then = _SWING, **fields: object) -> Tracker:
    tracker = armed(TrackerKind.TRAIL, 60000, trail="0.01", then=then, **fields)
    return replace(tracker, state=TrackerState.EXITING, fired_rule="trailing stop")


def _after(
    tracker: Tracker,
    *fills: Fill,
    state: IntentState = IntentState.DONE,
    purpose: Purpose = Purpose.PROTECT,
    then: Slice | None = None,
) -> TrackerChanged:
    intent = Intent(
        "i",
        tracker.symbol,
        tracker.side,
        purpose,
        d(60000),
        NOON,
        tracker_id=1,
        arm_seq=tracker.arm_seq,
        state=state,
    )
    # Of what a swing has bought nobody else owns any.
    free = Slice(d(100)) if tracker.spec.then.kind is ThenKind.SWING else Slice()
    return outcome.after(tracker, intent, fills, BTC, then or free, NOON)


def test_once_is_the_end_and_it_owns_nothing_any_more() -> None:
    fact = _after(_fired(Then()), fill())
    assert (fact.tracker.state, fact.change) == (TrackerState.CLOSED, TrackerChange.CLOSED)
    assert (fact.tracker.quantity, fact.tracker.last_fill_price) == (0, d(60000))


def test_after_a_sale_a_swing_owns_exactly_its_proceeds_and_buys_a_share_lower() -> None:
    # 0.5 * 60000 less a fee of 30.
    fact = _after(
        _fired(), fill(quantity="0.2", fee="12"), fill(quantity="0.3", fee="18", trade_id="2")
    )
    swung = fact.tracker
    assert (swung.side, swung.state, swung.arm_seq) == (Side.BUY, TrackerState.WATCHING, 2)
    assert (swung.quote, swung.quantity) == (d(29970), 0)
    assert swung.level_price == d(57600)
    assert rules.touch_level(swung, 0) == d(57600)
    assert (swung.record_price, swung.stop_price) == (None, None)


def test_after_a_buy_a_swing_owns_the_coins_less_the_fee_in_coins_and_sells_a_share_higher() -> (
    None
):
    bought = replace(_fired(), side=Side.BUY, quantity=d(0), quote=d(29970), arm_seq=2)
    coins = fill(Side.BUY, "0.5", "57600", "0.0005", "BTC")
    swung = _after(bought, coins, purpose=Purpose.ENTRY).tracker
    assert (swung.side, swung.quantity, swung.quote) == (Side.SELL, d("0.4995"), 0)
    assert swung.level_price == d(59904)
    assert swung.arm_seq == 3


def test_the_state_is_read_anew_from_the_fill_so_that_nothing_is_sold_twice() -> None:
    # The ancestor kept what it had read at its start and sold what it no longer had.
    swung = _after(_fired(), fill()).tracker
    assert swung.quantity == 0
    assert rules.hard_stop_at(swung, 0) is None


def test_a_fee_in_a_third_coin_costs_neither_coins_nor_money() -> None:
    assert _after(_fired(), fill(fee="0.1", fee_asset="BNB")).tracker.quote == d(30000)


def test_levels_of_a_swing_are_rounded_away_from_the_fill() -> None:
    # 60000.01 * 0.96 = 57600.0096.
    assert _after(_fired(), fill(price="60000.01")).tracker.level_price == d("57600.00")


def test_a_swing_that_sells_again_has_its_hard_stop_again() -> None:
    bought = replace(
        _fired(stop_share=d("0.1")), side=Side.BUY, quantity=d(0), hard_stop_price=None
    )
    swung = _after(bought, fill(Side.BUY, price="50000"), purpose=Purpose.ENTRY).tracker
    assert rules.hard_stop_at(swung, 0) == d(45000)
    fixed = replace(_fired(stop=40000), side=Side.BUY, quantity=d(0))
    swung = _after(fixed, fill(Side.BUY, price="50000"), purpose=Purpose.ENTRY).tracker
    assert rules.hard_stop_at(swung, 0) == d(40000)


def test_a_swing_with_too_little_left_ends() -> None:
    fact = _after(_fired(), fill(quantity="0.00005"))
    assert fact.tracker.state is TrackerState.CLOSED
    assert fact.tracker.reason == TOO_LITTLE_LEFT


def test_after_a_hard_stop_nothing_is_bought_back() -> None:
    stopped = replace(_fired(stop=50000), fired_rule=rules.HARD_STOP)
    assert _after(stopped, fill()).tracker.state is TrackerState.CLOSED


def test_after_a_panic_nothing_goes_on() -> None:
    assert _after(_fired(), fill(), purpose=Purpose.PANIC).tracker.state is TrackerState.CLOSED


@pytest.mark.parametrize(
    ("state", "end", "change"),
    [
        (IntentState.DUST, TrackerState.DUST, TrackerChange.CLOSED),
        (IntentState.EXPIRED, TrackerState.EXPIRED, TrackerChange.EXPIRED),
        (IntentState.CLOSED_EXTERNAL, TrackerState.CLOSED_EXTERNAL, TrackerChange.CLOSED),
        (IntentState.ABORTED, TrackerState.ABORTED, TrackerChange.ABORTED),
    ],
)
def test_each_end_of_an_intent_is_an_end_of_its_tracker(
    state: IntentState, end: TrackerState, change: TrackerChange
) -> None:
    fact = _after(_fired(), state=state)
    assert (fact.tracker.state, fact.change) == (end, change)


def test_dust_that_a_sale_leaves_does_not_stop_a_swing_but_ends_a_tracker_of_once() -> None:
    assert _after(_fired(), fill(), state=IntentState.DUST).tracker.side is Side.BUY
    assert _after(_fired(Then()), fill(), state=IntentState.DUST).tracker.state is TrackerState.DUST


def test_an_entry_that_expired_half_filled_goes_on_with_what_it_got() -> None:
    bought = replace(_fired(), side=Side.BUY, quantity=d(0), quote=d(100))
    half = fill(Side.BUY, "0.1", "57600")
    fact = _after(bought, half, state=IntentState.EXPIRED, purpose=Purpose.ENTRY)
    assert (fact.tracker.side, fact.tracker.quantity) == (Side.SELL, d("0.1"))


def test_a_cooldown_rests_with_its_next_slice() -> None:
    cooldown = _fired(Then(ThenKind.COOLDOWN))
    fact = _after(cooldown, fill(), then=Slice(quantity=d("0.2")))
    rested = fact.tracker
    assert (fact.change, rested.state, rested.quantity) == (
        TrackerChange.RESTED,
        TrackerState.RESTING,
        d("0.2"),
    )
    # A hard stop that fires while it rests is another sale than the one before.
    assert (rested.arm_seq, rested.stop_price) == (2, cooldown.stop_price)


def test_a_cooldown_of_lines_rests_at_its_line() -> None:
    lines = armed(
        TrackerKind.LINES,
        60000,
        support=line(50000, 50001),
        resistance=line(70000, 70001),
        trail="0.01",
        then=Then(ThenKind.COOLDOWN),
    )
    rested = _after(replace(lines, stop_price=d(69000)), fill(), then=Slice(quantity=d(1))).tracker
    assert rested.stop_price is None


def test_a_cooldown_with_nothing_left_ends() -> None:
    fact = _after(_fired(Then(ThenKind.COOLDOWN)), fill())
    assert (fact.tracker.state, fact.reason) == (TrackerState.CLOSED, NOTHING_LEFT)
