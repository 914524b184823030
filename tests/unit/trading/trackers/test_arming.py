"""What may be armed, what is refused with the value and the rule, and what the card must say."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from tests.builders import NOON, coin
from tests.unit.trading.trackers.make import BTC, FEE, d, line, spec
from trading.domain.errors import Refused
from trading.domain.instrument import InstrumentStatus
from trading.domain.order import Side
from trading.domain.time import Timeframe
from trading.domain.tracker import (
    Confirm,
    ConfirmKind,
    Distance,
    Then,
    ThenKind,
    TrackerKind,
    TrackerSpec,
    TrackerState,
)
from trading.trackers import arming
from trading.trackers.arming import Armed, Present
from trading.trackers.slices import Slice


def _arm(
    what: TrackerSpec,
    price: object = 60000,
    atr_share: object = None,
    fee: Decimal = FEE,
) -> Armed:
    present = Present(d(price), NOON, fee, d(atr_share) if atr_share is not None else None)
    is_buy = what.first_side is Side.BUY
    owned = Slice(quote=d(500)) if is_buy else Slice(quantity=d("0.5"), adopted=d("0.5"))
    return arming.arm(what, (1, 7), owned, present, BTC)


@pytest.mark.parametrize(
    ("kind", "fields", "state"),
    [
        (TrackerKind.STOP, {"level": 58000}, TrackerState.TRAILING),
        (TrackerKind.TRAIL, {"trail": "0.03"}, TrackerState.TRAILING),
        (TrackerKind.TAKE_PROFIT, {"level": 65000, "trail": "0.02"}, TrackerState.WATCHING),
        (TrackerKind.DIP, {"level": 55000, "trail": "0.01"}, TrackerState.WATCHING),
        (TrackerKind.BREAKOUT, {"level": 62000}, TrackerState.TRAILING),
    ],
)
def test_kinds_without_a_touch_start_in_trailing(
    kind: TrackerKind, fields: dict[str, object], state: TrackerState
) -> None:
    assert _arm(spec(kind, **fields)).tracker.state is state


def test_a_stop_is_protected_from_its_confirmation_on() -> None:
    card = _arm(spec(TrackerKind.STOP, level=58000))
    assert (card.is_protected, card.worst_price, card.adopted) == (True, d(58000), d("0.5"))


def test_a_take_profit_without_a_stop_says_that_it_is_not_protected_below() -> None:
    card = _arm(spec(TrackerKind.TAKE_PROFIT, level=65000, trail="0.02"))
    assert not card.is_protected
    assert card.notes == ("not protected below until the level is touched",)


def test_a_take_profit_with_a_stop_is_protected() -> None:
    card = _arm(spec(TrackerKind.TAKE_PROFIT, level=65000, trail="0.02", stop=57000))
    assert (card.is_protected, card.worst_price, card.notes) == (True, d(57000), ())


def test_a_stop_share_counts_from_the_present_price() -> None:
    card = _arm(spec(TrackerKind.TAKE_PROFIT, level=65000, trail="0.02", stop_share=d("0.05")))
    assert card.tracker.hard_stop_price == d(57000)
    assert card.worst_price == d(57000)


@pytest.mark.parametrize("price", [58000, 57000])
def test_a_stop_already_crossed_is_refused_with_the_price(price: int) -> None:
    with pytest.raises(Refused, match=f"58000 is already crossed: the price is {price}") as refused:
        _arm(spec(TrackerKind.STOP, level=58000), price)
    assert refused.value.example in {"level 55100", "level 54200"}


def test_a_breakout_already_crossed_is_refused_with_the_price() -> None:
    with pytest.raises(Refused, match="62000 is already crossed: the price is 63000"):
        _arm(spec(TrackerKind.BREAKOUT, level=62000), 63000)


def test_a_hard_stop_already_crossed_is_refused_with_the_price() -> None:
    with pytest.raises(Refused, match="already crossed: the price is 60000"):
        _arm(spec(TrackerKind.TAKE_PROFIT, level=65000, trail="0.02", stop=60000))


def test_a_take_profit_already_touched_says_so_and_protects_from_the_start() -> None:
    card = _arm(spec(TrackerKind.TAKE_PROFIT, level=65000, trail="0.02"), 66000)
    assert card.notes == ("the level 65000 is already touched at 66000: it trails from the start",)
    assert (card.is_protected, card.worst_price) == (True, d(64680))
    tracker = card.tracker
    assert (tracker.state, tracker.touched_at) == (TrackerState.TRAILING, NOON)
    assert (tracker.record_price, tracker.stop_price) == (d(66000), d(64680))


def test_lines_whose_resistance_is_touched_trail_from_the_start() -> None:
    what = spec(
        TrackerKind.LINES, support=line(40000, 40000), resistance=line(50000, 50000), trail="0.01"
    )
    card = _arm(what)
    assert (card.is_protected, card.tracker.stop_price) == (True, d(59400))


def test_a_dip_already_touched_trails_from_the_start() -> None:
    tracker = _arm(spec(TrackerKind.DIP, level=61000, trail="0.01")).tracker
    assert (tracker.state, tracker.stop_price) == (TrackerState.TRAILING, d(60600))


@pytest.mark.parametrize("share", ["0.00009", "0.51", "2.5", "NaN", "-0.01", "0"])
def test_a_trail_outside_its_bounds_is_refused_with_the_value(share: str) -> None:
    percent = {"2.5": "250%", "0.51": "51%"}.get(share, "was")
    with pytest.raises(Refused, match=rf"between 0.01% and 50%, was .*|{percent}"):
        _arm(spec(TrackerKind.TRAIL, trail=share))


@pytest.mark.parametrize("share", ["0.0001", "0.5"])
def test_a_trail_at_its_bounds_is_taken(share: str) -> None:
    assert _arm(spec(TrackerKind.TRAIL, trail=share)).tracker.distance == d(share)


def test_an_atr_distance_is_its_multiple_of_the_price_and_refused_without_candles() -> None:
    by_atr = spec(
        TrackerKind.TRAIL, trail=Distance(atr_multiple=d("2.5"), timeframe=Timeframe("1h"))
    )
    assert _arm(by_atr, atr_share="0.025").tracker.stop_price == d(58500)
    with pytest.raises(Refused, match="no ATR"):
        _arm(by_atr)
    with pytest.raises(Refused, match=r"between 0.01% and 50%"):
        _arm(by_atr, atr_share="0.6")


@pytest.mark.parametrize(
    ("kind", "fields", "rule"),
    [
        (TrackerKind.STOP, {}, "needs a price"),
        (TrackerKind.TAKE_PROFIT, {"level": 65000}, "needs a trailing distance"),
        (TrackerKind.TRAIL, {}, "needs a trailing distance"),
        (TrackerKind.LINES, {"trail": "0.01"}, "need a support and a resistance"),
        (TrackerKind.STOP, {"level": 0}, "above 0, was 0"),
        (TrackerKind.STOP, {"level": "NaN"}, "above 0, was NaN"),
        (TrackerKind.STOP, {"level": 58000, "then": Then(ThenKind.SWING)}, "a swing needs a trail"),
        (TrackerKind.DIP, {"level": 55000, "trail": "0.01", "stop": 50000}, "only `then swing`"),
        (
            TrackerKind.TAKE_PROFIT,
            {"level": 55000, "trail": "0.01", "stop": 56000},
            "below the level",
        ),
        (TrackerKind.STOP, {"level": 58000, "stop_share": d("0.9")}, "stop should be between"),
        (
            TrackerKind.STOP,
            {"level": 58000, "slippage_max": d("0.9")},
            "slippage should be between",
        ),
        (
            TrackerKind.STOP,
            {"level": 58000, "backstop": d(61000)},
            "backstop 61000 should be below",
        ),
        (TrackerKind.STOP, {"level": 58000, "backstop_share": d(1)}, "backstop should be between"),
        (TrackerKind.STOP, {"level": 58000, "confirm": Confirm(ConfirmKind.TICKS, 0)}, "was 0"),
        (TrackerKind.STOP, {"level": 58000, "confirm": Confirm(ConfirmKind.RUN, 101)}, "100 run"),
        (TrackerKind.STOP, {"level": 58000, "confirm": Confirm(ConfirmKind.SECONDS, 9999)}, "3600"),
        (TrackerKind.STOP, {"level": 58000, "confirm": Confirm(ConfirmKind.CLOSE)}, "timeframe"),
        (TrackerKind.STOP, {"level": 58000, "confirm": Confirm(loss_max=d(2))}, "max should be"),
        (TrackerKind.STOP, {"level": line(50000, 40000, hours=-1)}, "earlier to a later"),
    ],
)
def test_what_breaks_a_rule_is_refused_with_the_rule(
    kind: TrackerKind, fields: dict[str, object], rule: str
) -> None:
    with pytest.raises(Refused, match=rule):
        _arm(spec(kind, **fields))


@pytest.mark.parametrize(
    ("kind", "fields", "proposed"),
    [
        (
            TrackerKind.TAKE_PROFIT,
            {"level": 55000, "trail": "0.01", "stop": 56000},
            "stop 52200",
        ),
        (
            TrackerKind.TAKE_PROFIT,
            {"level": 70000, "trail": "0.01", "stop": 65000},
            "stop 57000",
        ),
        (TrackerKind.STOP, {"level": 58000, "stop_share": d("0.9")}, "stop 5%"),
        (TrackerKind.STOP, {"level": 58000, "slippage_max": d("0.9")}, "slippage 0.5%"),
        (TrackerKind.STOP, {"level": 58000, "backstop": d(61000)}, "backstop 10%"),
        (TrackerKind.STOP, {"level": 58000, "backstop_share": d(1)}, "backstop 10%"),
        (TrackerKind.TRAIL, {"trail": "0.9"}, "trail 2%"),
        (
            TrackerKind.STOP,
            {"level": 58000, "confirm": Confirm(ConfirmKind.TICKS, 3, loss_max=d(2))},
            "confirm 3 ticks max 1%",
        ),
    ],
)
def test_what_breaks_a_rule_is_refused_with_what_would_do(
    kind: TrackerKind, fields: dict[str, object], proposed: str
) -> None:
    with pytest.raises(Refused) as refused:
        _arm(spec(kind, **fields))
    assert refused.value.example == proposed


@pytest.mark.parametrize(
    ("kind", "fields", "worst", "proposed"),
    [
        # 60000 * 0.95 = 57000; the backstop of 1 % would rest at 59400.
        (TrackerKind.TRAIL, {"trail": "0.05", "backstop_share": d("0.01")}, 57000, "54150"),
        (TrackerKind.TRAIL, {"trail": "0.05", "backstop": d(57000)}, 57000, "54150"),
        (TrackerKind.STOP, {"level": 58000, "backstop": d(58500)}, 58000, "55100"),
        (
            TrackerKind.TAKE_PROFIT,
            {"level": 65000, "trail": "0.02", "stop": 50000, "backstop": d(55000)},
            50000,
            "47500",
        ),
        # Its confirmation may wait down to 58000 * 0.95 = 55100: the exchange must not be first.
        (
            TrackerKind.STOP,
            {
                "level": 58000,
                "confirm": Confirm(ConfirmKind.TICKS, 3, loss_max=d("0.05")),
                "backstop": d(57000),
            },
            55100,
            "52345",
        ),
    ],
)
def test_a_backstop_that_would_sell_before_the_private_stop_is_refused_with_both_numbers(
    kind: TrackerKind, fields: dict[str, object], worst: int, proposed: str
) -> None:
    backstop = fields.get("backstop") or d(59400)
    with pytest.raises(Refused, match=rf"backstop {backstop} should be below {worst}") as refused:
        _arm(spec(kind, **fields))
    assert refused.value.example == f"backstop {proposed}"
    wide = {**fields, "backstop_share": None, "backstop": d(proposed)}
    assert _arm(spec(kind, **wide)).tracker.spec.backstop == d(proposed)


def test_a_backstop_of_a_take_profit_without_a_stop_only_has_to_be_below_the_price() -> None:
    what = spec(TrackerKind.TAKE_PROFIT, level=65000, trail="0.02", backstop=d(59000))
    assert _arm(what).tracker.spec.backstop == d(59000)


def test_a_line_that_is_below_zero_now_is_refused() -> None:
    falling = line(100, 1, hours=1, start=NOON - timedelta(hours=5))
    with pytest.raises(Refused, match="above 0 now"):
        _arm(spec(TrackerKind.STOP, level=falling))


def test_inverted_lines_are_refused_with_both_prices() -> None:
    what = spec(
        TrackerKind.LINES, support=line(70000, 70001), resistance=line(60000, 60001), trail="0.01"
    )
    with pytest.raises(Refused, match="at 70000 and the resistance at 60000"):
        _arm(what)


def test_lines_below_zero_are_refused() -> None:
    support = line(100, 1, hours=1, start=NOON - timedelta(hours=5))
    what = spec(TrackerKind.LINES, support=support, resistance=line(60000, 60001), trail="0.01")
    with pytest.raises(Refused, match="support should be above 0 now"):
        _arm(what)


def test_lines_that_will_meet_say_when_on_the_card() -> None:
    what = spec(
        TrackerKind.LINES, support=line(50000, 62000), resistance=line(70000, 58000), trail="0.01"
    )
    card = _arm(what)
    assert card.spent_at == NOON + timedelta(hours=20)
    assert card.notes[-1] == "no touch after 2026-11-21 08:00 UTC: its lines end there"


def test_a_single_line_that_will_reach_zero_says_when() -> None:
    falling = line(48000, 24000)
    assert _arm(spec(TrackerKind.STOP, level=falling)).spent_at == NOON + timedelta(hours=48)
    assert _arm(spec(TrackerKind.STOP, level=line(48000, 48000))).spent_at is None


def test_a_swing_that_cannot_gain_is_refused_with_what_it_would_lose() -> None:
    # 1.015 * 0.98 * 0.999² = 0.99271..., and 0.999² / (0.985 * 1.02) = 0.99333...
    what = spec(TrackerKind.TRAIL, trail="0.02", then=Then(ThenKind.SWING))
    with pytest.raises(Refused) as refused:
        _arm(what)
    assert refused.value.words == (
        "swing 1.5% with trail 2% cannot gain: coins bought for 100, sold 2% below a rise of 1.5%, "
        "bring 99.27, and 100 coins, bought back 2% above a fall of 1.5%, become 99.33, after two "
        "fees of 0.1%. A swing has to be wider than its trail and both fees together"
    )
    assert refused.value.example == "then swing 4%"


def test_a_swing_whose_buying_back_costs_too_much_is_refused() -> None:
    # 1.03 * 0.975 * 0.998001 = 1.00224; 0.97 * 1.025 = 0.99425 < 0.998001: fine at 0.1 %.
    what = spec(TrackerKind.TRAIL, trail="0.025", then=Then(ThenKind.SWING, d("0.03")))
    assert _arm(what).tracker.spec.then.share == d("0.03")
    # At 0.3 %: 1.03 * 0.975 * 0.994009 = 0.99823, and 0.994009 / (0.97 * 1.025) = 0.99976.
    with pytest.raises(Refused, match=r"bring 99\.82, and .* become 99\.97, after two"):
        _arm(what, fee=d("0.003"))
    # At 0.24 %: 1.03 * 0.975 * 0.995205... = 0.99943; 0.9952 / 0.99425 = 1.00096 gains.
    with pytest.raises(Refused, match=r"bring 99\.94, after two fees of 0\.24%"):
        _arm(what, fee=d("0.0024"))


def test_a_swing_share_outside_its_bounds_is_refused() -> None:
    with pytest.raises(Refused, match="swing should be between"):
        _arm(spec(TrackerKind.TRAIL, trail="0.01", then=Then(ThenKind.SWING, d("0.6"))))


def test_a_buy_may_carry_a_stop_for_what_it_buys_when_it_swings() -> None:
    what = spec(
        TrackerKind.DIP, level=55000, trail="0.01", stop=50000, then=Then(ThenKind.SWING, d("0.04"))
    )
    assert _arm(what).tracker.hard_stop_price is None


def test_a_halted_instrument_and_a_missing_price_are_refused() -> None:
    halted = replace(BTC, status=InstrumentStatus.HALTED)
    with pytest.raises(Refused, match="takes no orders now"):
        arming.check(spec(TrackerKind.TRAIL, trail="0.01"), Present(d(1), NOON, FEE), halted)
    with pytest.raises(Refused, match="no usable price"):
        _arm(spec(TrackerKind.TRAIL, trail="0.01"), "NaN")


def test_a_quantity_that_would_be_dust_where_a_slow_confirmation_ends_is_noted() -> None:
    few = Slice(quantity=d("0.0001"))
    slow = Confirm(ConfirmKind.TICKS, 3, loss_max=d("0.2"))
    what = spec(TrackerKind.STOP, level=58000, confirm=slow)
    card = arming.arm(what, (1, 7), few, Present(d(60000), NOON, FEE), BTC)
    assert card.notes == ("at 46400 this quantity would be too small to sell",)


@pytest.mark.parametrize(
    ("what", "words", "example"),
    [
        (spec(TrackerKind.STOP, level="0.01"), "the stop 0.01 could never sell", "level 57000"),
        (
            spec(TrackerKind.TAKE_PROFIT, level=65000, trail="0.02", stop=40000),
            "the stop 40000 could never sell: 0.0001 BTC would be worth 4 USDT there",
            "stop 57000",
        ),
        (spec(TrackerKind.TRAIL, trail="0.4"), "the stop 36000 could never sell", "trail 5%"),
        (
            spec(TrackerKind.STOP, level=58000, backstop=d(40000)),
            "the backstop 40000 could never sell",
            "backstop 10%",
        ),
    ],
)
def test_a_stop_whose_sale_the_exchange_would_refuse_as_too_small_is_refused(
    what: TrackerSpec, words: str, example: str
) -> None:
    few = Slice(quantity=d("0.0001"))
    with pytest.raises(Refused, match=words) as caught:
        arming.arm(what, (1, 7), few, Present(d(60000), NOON, FEE), BTC)
    assert "takes orders from 5 USDT on" in str(caught.value)
    assert caught.value.example == example


def test_what_is_worth_the_least_only_now_is_refused_with_everything_as_the_way_out() -> None:
    least = Slice(quantity=d("0.00009"))
    with pytest.raises(Refused, match="could never sell") as caught:
        arming.arm(
            spec(TrackerKind.STOP, level=50000), (1, 7), least, Present(d(58000), NOON, FEE), BTC
        )
    assert caught.value.example == "all"


@pytest.mark.parametrize(
    ("what", "words", "example"),
    [
        (
            spec(TrackerKind.STOP, level="58000.123456789"),
            "stop should be a multiple of 0.01, was 58000.123456789: 58000.12 or 58000.13",
            "level 58000.12",
        ),
        (
            spec(TrackerKind.TAKE_PROFIT, level=65000, trail="0.02", stop="58000.005"),
            "stop should be a multiple of 0.01, was 58000.005: 58000 or 58000.01",
            "stop 58000",
        ),
        (
            spec(TrackerKind.STOP, level=58000, backstop=d("50000.001")),
            "backstop should be a multiple of 0.01, was 50000.001",
            "backstop 50000",
        ),
        (
            spec(TrackerKind.STOP, level="0.00000001"),
            "stop should be a multiple of 0.01, was 0.00000001: 0.01 is the least",
            "level 0.01",
        ),
    ],
)
def test_a_price_between_two_steps_is_refused_with_both_neighbours(
    what: TrackerSpec, words: str, example: str
) -> None:
    with pytest.raises(Refused) as caught:
        _arm(what)
    assert words in str(caught.value)
    assert caught.value.example == example


def test_the_one_line_form_of_lines_in_the_handbook_arms() -> None:
    then = Then(ThenKind.SWING, d("0.04"))
    lines = {"support": line("0.41", "0.44"), "resistance": line("0.52", "0.50")}
    what = spec(TrackerKind.LINES, trail="0.015", then=then, stop="0.36", **lines)
    held = Slice(quantity=d(1000))
    tracker = arming.arm(what, (1, 7), held, Present(d("0.47"), NOON, FEE), coin("ADA")).tracker
    assert (tracker.state, tracker.level_price) == (TrackerState.WATCHING, None)
