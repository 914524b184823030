"""Longer candles of shorter ones: what a slow reckoning makes of them, whatever is missing."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.trading.scanner.make import walk, with_holes
from trading.candles.lengthening import from_shorter, lengthened, shorter_needed, source_of
from trading.candles.rows import rows_of
from trading.candles.series import no_candles
from trading.domain.time import Timeframe, candle_open_ms, from_ms

WEEK_MS = Timeframe("1w").length_ms


@given(
    count=st.integers(1, 300),
    name=st.sampled_from(["5m", "15m", "1h", "1w", "1M"]),
    seed=st.integers(0, 50),
    share=st.sampled_from([0.0, 0.3, 0.9]),
)
def test_each_longer_candle_is_made_of_those_that_open_in_it(
    count: int, name: str, seed: int, share: float
) -> None:
    short, length_ms = with_holes(walk(count, seed), seed, share), Timeframe(name).length_ms
    long = lengthened(short, length_ms)
    opens_ms = [candle_open_ms(int(at_ms), length_ms) for at_ms in short.open_time_ms]
    assert long.open_time_ms.tolist() == sorted(set(opens_ms))
    for place, opened_ms in enumerate(long.open_time_ms.tolist()):
        own = short.take([one == opened_ms for one in opens_ms])
        assert long.open[place] == own.open[0]
        assert long.close[place] == own.close[-1]
        assert long.high[place] == max(own.high)
        assert long.low[place] == min(own.low)
        assert math.isclose(long.volume[place], math.fsum(own.volume))
        assert np.isnan(long.trades[place])


def test_weeks_open_on_monday() -> None:
    long = lengthened(walk(4_000), WEEK_MS)
    assert set((long.open_time_ms % WEEK_MS).tolist()) == {4 * 86_400_000}


def test_months_open_on_the_first_of_each() -> None:
    days = lengthened(walk(30_000), Timeframe("1d").length_ms)
    months = lengthened(days, Timeframe("1M").length_ms)
    assert len(months) >= 4
    assert {from_ms(at_ms).day for at_ms in months.open_time_ms.tolist()} == {1}
    assert months.close[1:-1].tolist() == [
        days.close[days.open_time_ms < next_ms][-1] for next_ms in months.open_time_ms[2:].tolist()
    ]


def test_no_candles_make_none() -> None:
    assert len(lengthened(no_candles(), WEEK_MS)) == 0


KRAKEN = ("1m", "5m", "15m", "30m", "1h", "4h", "1d", "1w", "2w")


@pytest.mark.parametrize(
    ("wanted", "names", "source"),
    [
        ("1h", KRAKEN, "1h"),
        ("3d", KRAKEN, "1d"),
        ("1M", KRAKEN, "1d"),
        ("12h", KRAKEN, "4h"),
        ("3m", KRAKEN, "1m"),
        ("1w", ("3d", "6h"), "6h"),
        ("1m", ("5m", "1h"), None),
        ("1M", ("1w", "3d"), None),
        ("1h", (), None),
    ],
)
def test_a_length_is_made_of_the_longest_that_divides_it(
    wanted: str, names: tuple[str, ...], source: str | None
) -> None:
    found = source_of(Timeframe(wanted), names)
    assert (found.name if found is not None else None) == source


DAY_MS, THREE_MS = Timeframe("1d").length_ms, Timeframe("3d").length_ms


def three_days(first: int, count: int, into_ms: int, *, is_running: bool = True) -> list[int]:
    """When the candles open that are made of so many days, from one of the grid's days on."""
    days = rows_of(walk(count, length_ms=DAY_MS, began_ms=first * DAY_MS))
    now_ms = (first + count - 1) * DAY_MS + into_ms
    if is_running:
        days[-1] = replace(days[-1], is_closed=False)
    made = from_shorter(days, DAY_MS, THREE_MS, now_ms)
    assert [one.is_closed for one in made[:-1]] == [True] * (len(made) - 1)
    return [one.open_time_ms // DAY_MS * (1 if one.is_closed else -1) for one in made]


def test_three_days_are_counted_from_1970_and_a_part_of_them_is_no_candle() -> None:
    # Day 19,998 is one on which three begin; negative is the one that runs.
    assert three_days(19_998, 7, 3_600_000) == [19_998, 20_001, -20_004]
    assert three_days(19_998, 6, 3_600_000) == [19_998, -20_001]
    assert three_days(19_998, 6, DAY_MS, is_running=False) == [19_998, 20_001]
    assert three_days(19_999, 6, 3_600_000) == [20_001, -20_004], "it began within three days"
    assert three_days(19_998, 5, 30 * DAY_MS, is_running=False) == [19_998], "it ends within three"
    assert three_days(19_998, 5, DAY_MS, is_running=False) == [19_998], "what runs is not known"
    assert three_days(19_999, 1, 3_600_000) == []
    assert from_shorter([], DAY_MS, THREE_MS, 0) == []


def test_a_month_takes_as_many_days_as_the_longest_has() -> None:
    assert shorter_needed(2, DAY_MS, Timeframe("1M").length_ms) == 62
    assert shorter_needed(2, DAY_MS, THREE_MS) == 6
