"""What is kept is fit to be kept, whatever a source tells; the rest goes back with a reason."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.trading.candles.make import LATER_MS, MINUTE_MS, START_MS, bend, walk
from trading.candles.checking import Fault, Repair, check, in_another_unit
from trading.candles.series import COLUMNS, PRICES, Candles, candles_of, join, no_candles

_WILD = st.one_of(
    st.floats(),
    st.sampled_from([0.0, -1.0, 1.0, 50_000.0, 5e-324, 1e308, float("nan"), float("inf")]),
)
_TIMES = st.one_of(
    st.integers(0, 20).map(lambda place: START_MS + place * MINUTE_MS),
    st.integers(-(2**63), 2**63 - 1),
)


@st.composite
def _bent(draw: st.DrawFn) -> Candles:
    """A walk, shuffled, partly told again, and bent in a few places."""
    candles = walk(draw(st.integers(1, 30)), draw(st.integers(0, 99)))
    order = draw(st.lists(st.integers(0, len(candles) - 1), min_size=1, max_size=40))
    candles = candles.take(np.array(order))
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, len(candles) - 1))
        column = draw(st.sampled_from(COLUMNS))
        value = draw(_TIMES if column == "open_time_ms" else _WILD)
        candles = bend(candles, place, **{column: value})
    return candles


@given(_bent(), st.integers(START_MS, START_MS + 40 * MINUTE_MS))
def test_whatever_is_told_only_fit_closed_candles_are_kept_and_all_are_accounted_for(
    told: Candles, now_ms: int
) -> None:
    checked = check(told, MINUTE_MS, now_ms)
    kept = checked.candles
    assert (np.diff(kept.open_time_ms) > 0).all()
    assert (kept.open_time_ms % MINUTE_MS == 0).all()
    assert (kept.open_time_ms + MINUTE_MS <= now_ms).all()
    prices = np.stack([kept.column(name) for name in PRICES])
    assert np.isfinite(prices).all()
    assert (prices > 0).all()
    assert (kept.low <= prices.min(axis=0)).all()
    assert (kept.high >= prices.max(axis=0)).all()
    assert (kept.volume >= 0).all()
    taker = kept.taker_buy_volume
    assert (np.isnan(taker) | ((taker >= 0) & (kept.taker_sell_volume >= 0))).all()
    doubles = checked.repaired.get(Repair.DOUBLE, 0)
    assert len(told) == len(kept) + checked.rejected_count + checked.running + doubles
    again = check(kept, MINUTE_MS, now_ms)
    assert again.candles.equals(kept)
    assert (again.rejected, again.repaired, again.running) == ((), {}, 0)


@given(st.integers(1, 50), st.randoms(use_true_random=False), st.sampled_from([1, 3]))
def test_order_and_exact_doubles_are_put_right(count: int, chance: Any, times: int) -> None:
    candles = walk(count)
    order = list(range(count)) * times
    chance.shuffle(order)
    checked = check(candles.take(np.array(order)), MINUTE_MS, LATER_MS)
    assert checked.candles.equals(candles)
    assert checked.rejected == ()
    assert checked.repaired.get(Repair.DOUBLE, 0) == count * (times - 1)
    assert (Repair.ORDER in checked.repaired) == (order != sorted(order))


@pytest.mark.parametrize("per_ms", [0.001, 1000, 1_000_000], ids=["s", "us", "ns"])
def test_times_in_another_unit_are_turned_into_milliseconds(per_ms: float) -> None:
    candles = walk(10)
    times = (candles.open_time_ms * per_ms).astype(np.int64)
    checked = check(replace(candles, open_time_ms=times), MINUTE_MS, LATER_MS)
    assert checked.candles.equals(candles)
    assert checked.repaired == {Repair.TIME_UNIT: 10}


def test_a_time_in_seconds_among_milliseconds_is_refused_and_not_guessed() -> None:
    told = bend(walk(10), 4, open_time_ms=START_MS // 1000 + 240)
    checked = check(told, MINUTE_MS, LATER_MS)
    assert [one.fault for one in checked.rejected] == [Fault.TIME]
    assert len(checked.candles) == 9


@pytest.mark.parametrize(
    ("bent", "fault"),
    [
        ({"open_time_ms": START_MS + 4 * MINUTE_MS + 1}, Fault.OFF_GRID),
        ({"open_time_ms": LATER_MS + MINUTE_MS}, Fault.FUTURE),
        ({"open_time_ms": 0}, Fault.TIME),
        ({"close": np.nan}, Fault.NOT_A_NUMBER),
        ({"volume": np.inf}, Fault.NOT_A_NUMBER),
        ({"low": 0.0}, Fault.PRICE),
        ({"open": -50_000.0}, Fault.PRICE),
        ({"high": 40_000.0}, Fault.EXTREMES),
        ({"low": 60_000.0}, Fault.EXTREMES),
        ({"volume": -0.1}, Fault.VOLUME),
    ],
)
def test_a_candle_that_cannot_be_is_refused_alone(bent: dict[str, float], fault: Fault) -> None:
    candles = walk(10)
    told = bend(candles, 4, **bent)
    checked = check(told, MINUTE_MS, LATER_MS)
    assert [one.fault for one in checked.rejected] == [fault]
    assert checked.rejected[0].candles.equals(told.take(slice(4, 5)))
    assert checked.candles.equals(candles.take(np.arange(10) != 4))


def test_the_running_candle_is_left_out_however_often_it_is_told() -> None:
    candles = walk(10)
    looks = join(candles, bend(candles, 9, close=50_100.0, high=60_000.0).take(slice(9, 10)))
    closed_ms = START_MS + 10 * MINUTE_MS
    before = check(looks, MINUTE_MS, closed_ms - 1)
    assert before.candles.equals(candles.take(slice(0, 9)))
    assert (before.running, before.rejected) == (2, ())
    assert check(candles, MINUTE_MS, closed_ms).candles.equals(candles)


def test_of_two_different_answers_for_one_closed_candle_neither_is_kept() -> None:
    candles = walk(10)
    told = join(candles, bend(candles, 4, volume=candles.volume[4] * 2).take(slice(4, 5)))
    checked = check(told, MINUTE_MS, LATER_MS)
    assert [(one.fault, len(one.candles)) for one in checked.rejected] == [(Fault.TOLD_TWICE, 2)]
    assert checked.candles.equals(candles.take(np.arange(10) != 4))


def _scaled(candles: Candles, which: slice, factor: float) -> Candles:
    columns = {name: candles.column(name).copy() for name in PRICES}
    for column in columns.values():
        column[which] *= factor
    return candles.replace(**columns)


def _traded_at_closes(candles: Candles) -> Candles:
    return candles.replace(quote_volume=candles.volume * candles.close)


@pytest.mark.parametrize("which", [slice(0, 1), slice(4, 5), slice(3, 6), slice(9, 10)])
@pytest.mark.parametrize("factor", [0.001, 0.01, 100, 1000])
def test_prices_in_another_unit_are_refused(which: slice, factor: float) -> None:
    candles = walk(10)
    checked = check(_scaled(candles, which, factor), MINUTE_MS, LATER_MS)
    assert {one.fault for one in checked.rejected} == {Fault.UNIT}
    is_own = np.ones(10, np.bool_)
    is_own[which] = False
    assert checked.candles.equals(candles.take(is_own))


@pytest.mark.parametrize(
    "which",
    [slice(0, 10), slice(9, 10), slice(20, 30), slice(20, 21), slice(12, 13), slice(5, 25)],
    ids=["before", "right before", "after", "right after", "one of them", "around"],
)
def test_beside_those_held_a_whole_answer_can_be_in_another_unit(which: slice) -> None:
    whole = walk(30)
    candles, held = whole.take(slice(10, 20)), whole.take(which)
    in_cents = _scaled(candles, slice(0, 10), 100)
    assert not in_another_unit(in_cents, MINUTE_MS).any()
    assert in_another_unit(in_cents, MINUTE_MS, held).all()
    assert not in_another_unit(candles, MINUTE_MS, held).any()
    half = _scaled(candles, slice(5, 10), 100)
    assert in_another_unit(half, MINUTE_MS, held).tolist() == [False] * 5 + [True] * 5
    assert in_another_unit(no_candles(), MINUTE_MS, held).shape == (0,)


def test_what_is_held_over_a_pause_says_nothing_of_a_unit() -> None:
    whole = walk(30)
    in_cents = _scaled(whole, slice(0, 30), 100).take(slice(10, 20))
    held = whole.take(np.r_[0:9, 21:30])
    assert not in_another_unit(in_cents, MINUTE_MS, held).any()


def test_a_crash_is_no_mistake_of_the_unit_and_after_a_pause_anything_may_happen() -> None:
    crash = _scaled(walk(10), slice(5, 10), 0.03)
    crash = _traded_at_closes(bend(crash, 5, open=crash.close[4], high=crash.close[4]))
    assert check(crash, MINUTE_MS, LATER_MS).rejected == ()
    paused = _traded_at_closes(_scaled(walk(10), slice(5, 10), 0.001).take(np.arange(10) != 5))
    assert check(paused, MINUTE_MS, LATER_MS).rejected == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("taker_buy_volume", -1.0),
        ("taker_buy_volume", 21.0),
        ("trades", -1.0),
        ("trades", np.inf),
        ("quote_volume", 1.0),
        ("quote_volume", 1e9),
    ],
)
def test_an_optional_number_that_cannot_be_is_left_out_of_a_good_candle(
    name: str, value: float
) -> None:
    candles = walk(10)
    checked = check(bend(candles, 4, **{name: value}), MINUTE_MS, LATER_MS)
    assert checked.candles.equals(bend(candles, 4, **{name: np.nan}))
    assert checked.repaired == {Repair.FIELD: 1}
    assert checked.rejected == ()


_EVERY = slice(0, 300)
_FEW_RIGHT = slice(6, 300)


def _flipped(candles: Candles) -> Candles:
    prices = {name: 1 / candles.column(name) for name in PRICES}
    return candles.replace(**prices | {"high": prices["low"], "low": prices["high"]})


def _in_quote(candles: Candles, which: slice) -> Candles:
    volume = candles.volume.copy()
    volume[which] *= 50_000
    return candles.replace(volume=volume)


@pytest.mark.parametrize(
    "told",
    [
        _scaled(walk(300), _EVERY, 1000),
        _scaled(walk(300), _EVERY, 1.08),
        _flipped(walk(300)),
        _scaled(walk(300), _FEW_RIGHT, 1000),
        _in_quote(walk(300), _EVERY),
        _in_quote(walk(300), slice(0, 151)),
        _in_quote(walk(300), _EVERY).replace(quote_volume=walk(300).volume * 1.0),
        walk(300).replace(volume=walk(300).volume / 1000, quote_volume=np.full(300, np.nan)),
        _scaled(walk(300), _EVERY, 1000).take(slice(0, 1)),
    ],
    ids=[
        *("thousands", "another currency", "flipped", "six right", "quote as volume"),
        *("just most", "swapped", "takers above", "alone"),
    ],
)
def test_where_most_of_an_answer_contradicts_itself_nothing_of_it_is_kept(told: Candles) -> None:
    checked = check(told, MINUTE_MS, LATER_MS)
    assert [(one.fault, len(one.candles)) for one in checked.rejected] == [
        (Fault.ANSWER, len(told))
    ]
    assert len(checked.candles) == 0
    assert checked.repaired == {}
    assert checked.told_ms.tolist() == told.open_time_ms.tolist()


@pytest.mark.parametrize(
    "told",
    [
        _scaled(walk(300), slice(4, 5), 1.5),
        _scaled(walk(300), slice(4, 5), 12),
        _scaled(walk(300), slice(299, 300), 12),
        _in_quote(walk(300), slice(4, 5)),
        bend(walk(300), 4, volume=0.0, taker_buy_volume=0.0),
        # After a pause nothing but its own quote volume tells the unit.
        _scaled(walk(300), slice(290, 300), 1000).take(np.arange(300) != 289),
    ],
)
def test_a_candle_whose_price_or_volume_is_contradicted_is_refused_among_good_ones(
    told: Candles,
) -> None:
    checked = check(told, MINUTE_MS, LATER_MS)
    assert [one.fault for one in checked.rejected] == [Fault.CONTRADICTED]
    kept = np.isin(walk(300).open_time_ms, checked.candles.open_time_ms)
    assert checked.candles.equals(walk(300).take(kept))
    assert checked.rejected_count in (1, 10)
    assert checked.repaired == {}


def _coin(price: float, count: int = 300) -> Candles:
    """The same walk at another price, told as exchanges round: 8 decimals."""
    scaled = _scaled(walk(count), slice(0, count), price / 50_000)
    prices = {name: np.maximum(np.round(scaled.column(name), 8), 1e-8) for name in PRICES}
    volume = np.round(walk(count).volume, 8)
    quote = np.round(volume * (prices["open"] + prices["close"]) / 2, 8)
    return scaled.replace(**prices, volume=volume, quote_volume=quote)


def _with_pauses(candles: Candles) -> Candles:
    """Nothing is traded in most minutes: no volume, no quote volume, one price."""
    is_idle = np.arange(len(candles)) % 10 != 0
    idle = {name: np.where(is_idle, candles.close, candles.column(name)) for name in PRICES}
    none = {
        name: np.where(is_idle, 0.0, candles.column(name))
        for name in ("volume", "quote_volume", "trades", "taker_buy_volume")
    }
    return candles.replace(**idle, **none)


_UNKNOWN = np.full(300, np.nan)


@pytest.mark.parametrize(
    "told",
    [
        walk(300),
        walk(300).replace(quote_volume=_UNKNOWN),
        walk(300).replace(quote_volume=_UNKNOWN, taker_buy_volume=_UNKNOWN),
        _coin(0.00001234),
        _coin(0.00000003),
        _with_pauses(walk(300)),
        # A mean price rounded to cents, times the volume.
        walk(300).replace(
            quote_volume=walk(300).volume * np.round((walk(300).open + walk(300).close) / 2, 2)
        ),
        _in_quote(walk(300), slice(0, 0)).replace(
            volume=walk(300).volume * 1e-7,
            quote_volume=np.round(walk(300).quote_volume * 1e-7, 8),
            taker_buy_volume=walk(300).taker_buy_volume * 1e-7,
        ),
    ],
    ids=["usual", "no quote", "neither", "tiny", "one tick", "idle", "mean", "dust"],
)
def test_what_exchanges_round_or_leave_out_costs_no_good_candle(told: Candles) -> None:
    checked = check(told, MINUTE_MS, LATER_MS)
    assert checked.rejected == ()
    assert checked.candles.equals(told)
    assert checked.repaired == {}


def test_a_quote_volume_of_nothing_is_left_out_and_is_no_witness() -> None:
    told = walk(300).replace(quote_volume=np.zeros(300))
    checked = check(told, MINUTE_MS, LATER_MS)
    assert checked.rejected == ()
    assert checked.candles.equals(told.replace(quote_volume=_UNKNOWN))
    assert checked.repaired == {Repair.FIELD: 300}


def test_what_an_exchange_answers_instead_of_candles_keeps_nothing() -> None:
    empty_rows = candles_of({name: [None, None] for name in COLUMNS[:6]})
    checked = check(empty_rows, MINUTE_MS, LATER_MS)
    assert len(checked.candles) == 0
    assert checked.rejected_count == 2


@pytest.mark.parametrize("times", [2, 5, 60])
def test_candles_of_a_shorter_timeframe_are_all_refused_also_those_on_the_grid(times: int) -> None:
    told = walk(120)
    checked = check(told, times * MINUTE_MS, LATER_MS)
    (rejected,) = checked.rejected
    assert (rejected.fault, len(rejected.candles)) == (Fault.SHORTER, 120)
    assert len(checked.candles) == 0


def test_some_candles_off_the_grid_cost_no_others() -> None:
    told = walk(120)
    off_ms = told.open_time_ms + np.where(np.arange(120) % 3 == 0, 7, 0)
    checked = check(replace(told, open_time_ms=off_ms), MINUTE_MS, LATER_MS)
    assert [one.fault for one in checked.rejected] == [Fault.OFF_GRID]
    assert len(checked.candles) == 80
