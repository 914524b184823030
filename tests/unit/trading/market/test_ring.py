"""The ring: the newest closed candles in order, as views that never change."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.candles.series import COLUMNS, REQUIRED, candles_of
from trading.domain.market import Candle
from trading.market.ring import CandleRing


def candle(minute: int, close: float = 100.0) -> Candle:
    return Candle(minute * 60_000, 100.0, 110.0, 90.0, close, 2.0, True, 200.0, 3, 1.5)


def minutes(ring: CandleRing) -> list[int]:
    return [opened_ms // 60_000 for opened_ms in ring.candles().open_time_ms.tolist()]


@given(
    kept=st.integers(1, 20),
    told=st.lists(st.integers(0, 60), max_size=120),
)
def test_the_ring_holds_what_a_sorted_list_would(kept: int, told: list[int]) -> None:
    ring = CandleRing(kept)
    model: list[int] = []
    for minute in told:
        is_too_old = len(model) == kept and minute < model[0]
        is_new = minute not in model and not is_too_old
        assert ring.put(candle(minute, 90 + minute / 10)) is is_new
        if is_new:
            model = sorted([*model, minute])[-kept:]
        assert minutes(ring) == model
    assert len(ring) == len(model)
    assert ring.candles().close == pytest.approx([90 + minute / 10 for minute in model])
    assert ring.newest_ms == (model[-1] * 60_000 if model else None)
    assert ring.oldest_ms == (model[0] * 60_000 if model else None)


@given(kept=st.integers(1, 12), told=st.lists(st.integers(0, 60), min_size=1, max_size=80))
def test_a_view_never_changes_whatever_comes_later(kept: int, told: list[int]) -> None:
    ring = CandleRing(kept)
    shown = []
    for minute in told:
        ring.put(candle(minute, 90 + minute / 10))
        view = ring.candles()
        shown.append((view, [view.open_time_ms.copy(), view.close.copy()]))
    for view, (times, closes) in shown:
        assert (view.open_time_ms == times).all()
        assert (view.close == closes).all()


def test_candles_are_views_of_one_memory_that_nobody_can_write() -> None:
    ring = CandleRing(100)
    for minute in range(50):
        ring.put(candle(minute))
    first, second = ring.candles(), ring.candles(10)
    for name in COLUMNS:
        assert np.shares_memory(getattr(first, name), getattr(second, name))
        with pytest.raises(ValueError, match="read-only"):
            getattr(first, name)[0] = 1
    assert second.open_time_ms[0] == 40 * 60_000


def test_prices_and_volumes_are_kept_and_what_is_unknown_is_nan() -> None:
    ring = CandleRing(3)
    ring.put(candle(1, 101.0))
    ring.put(Candle(120_000, 1.0, 4.0, 0.5, 2.0, 7.0, True))
    held = ring.candles()
    known = [name for name in COLUMNS if name not in {"quote_volume", "trades"}]
    assert [getattr(held, name)[0] for name in known] == [
        *(60_000, 100.0, 110.0, 90.0, 101.0, 2.0, 1.5)
    ]
    assert held.taker_sell_volume[0] == 0.5
    assert np.isnan(held.taker_buy_volume[1])
    assert np.isnan([held.quote_volume, held.trades]).all()


def test_seven_digits_are_kept_and_times_to_the_millisecond() -> None:
    ring = CandleRing(2)
    ring.put(Candle(1_700_000_040_000, 67_123.45, 67_999.99, 0.000012345678, 67_123.46, 1e9, True))
    held = ring.candles()
    assert held.open_time_ms[0] == 1_700_000_040_000
    told = (67_123.45, 67_999.99, 0.000012345678, 67_123.46, 1e9)
    kept = [held.column(name)[0] for name in REQUIRED]
    assert kept == pytest.approx(told, rel=1e-7)
    assert {held.column(name).dtype for name in COLUMNS[1:]} == {np.dtype(np.float32)}


def test_one_candle_is_found_by_its_time() -> None:
    ring = CandleRing(3)
    for minute in (1, 2, 4):
        ring.put(candle(minute, 90 + minute))
    assert ring.at(120_000).close.tolist() == [92.0]
    assert [len(ring.at(minute * 60_000)) for minute in (0, 3, 5)] == [0, 0, 0]


def test_a_ring_begins_with_the_newest_of_a_past() -> None:
    opens_ms = 60_000 * np.arange(5)
    ones = np.ones(5)
    past = candles_of({"open_time_ms": opens_ms, **dict.fromkeys(COLUMNS[1:6], ones)})
    ring = CandleRing(3)
    ring.put(candle(99))
    ring.fill(past)
    assert minutes(ring) == [2, 3, 4]
    assert ring.put(candle(5))
    assert minutes(ring) == [3, 4, 5]


def test_a_ring_for_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="candles_kept should be > 0, was 0"):
        CandleRing(0)
