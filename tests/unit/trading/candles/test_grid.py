"""Candles of a month open on the first of each, whatever its length; all others evenly."""

from datetime import UTC, datetime

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.trading.candles.make import MINUTE_MS, START_MS
from trading.candles.grid import are_apart, closes_of, is_on_grid
from trading.candles.spans import Span, gaps, unite
from trading.domain.time import (
    MONTH_MS,
    Timeframe,
    candle_open_ms,
    candles_between,
    following_ms,
    from_ms,
    preceding_ms,
    to_ms,
)

_LENGTHS = [Timeframe(name).length_ms for name in ("1m", "1h", "1d", "1w", "1M")]
_TIMES = st.integers(0, 4_000_000_000_000)


def _month(year: int, month: int) -> int:
    return to_ms(datetime(year, month, 1, tzinfo=UTC))


def test_a_month_closes_when_the_next_one_opens() -> None:
    opens_ms = np.array([_month(2023, 12), _month(2024, 1), _month(2024, 2), _month(2024, 4)])
    assert is_on_grid(opens_ms, MONTH_MS).all()
    assert not is_on_grid(opens_ms + 1, MONTH_MS).any()
    closes_ms = [_month(2024, 1), _month(2024, 2), _month(2024, 3), _month(2024, 5)]
    assert closes_of(opens_ms, MONTH_MS).tolist() == closes_ms
    assert are_apart(opens_ms, MONTH_MS).tolist() == [False, False, True]
    assert candle_open_ms(_month(2024, 3) - 1, MONTH_MS) == _month(2024, 2)


def test_gaps_of_months_are_counted_in_months() -> None:
    held = np.array([_month(2023, 1), _month(2023, 5), _month(2023, 6)])
    span = Span(_month(2022, 12), _month(2023, 7))
    assert span.count(MONTH_MS) == 8
    found = gaps(held, (span,), MONTH_MS)
    assert found == (
        Span(_month(2022, 12), _month(2022, 12)),
        Span(_month(2023, 2), _month(2023, 4)),
        Span(_month(2023, 7), _month(2023, 7)),
    )
    assert unite((*found[:1], Span(_month(2023, 1), _month(2023, 1))), MONTH_MS) == (
        Span(_month(2022, 12), _month(2023, 1)),
    )


@given(at_ms=_TIMES, length_ms=st.sampled_from(_LENGTHS), steps=st.integers(0, 40))
def test_single_times_and_rows_of_them_know_the_same_grid(
    at_ms: int, length_ms: int, steps: int
) -> None:
    opens_ms = candle_open_ms(at_ms, length_ms)
    later_ms = following_ms(opens_ms, length_ms)
    assert opens_ms <= at_ms < later_ms
    assert preceding_ms(later_ms, length_ms) == opens_ms
    row = np.array([opens_ms, later_ms])
    assert is_on_grid(row, length_ms).all()
    assert closes_of(row[:1], length_ms)[0] == later_ms
    assert not are_apart(row, length_ms).any()
    last_ms = opens_ms
    for _ in range(steps):
        last_ms = following_ms(last_ms, length_ms)
    assert candles_between(opens_ms, last_ms, length_ms) == steps


def test_the_mean_month_stands_for_no_other_length() -> None:
    assert Timeframe("1M").length_ms == MONTH_MS
    # A cycle of the calendar is 400 years.
    cycle_ms = to_ms(datetime(2400, 1, 1, tzinfo=UTC)) - to_ms(datetime(2000, 1, 1, tzinfo=UTC))
    assert cycle_ms == 4800 * MONTH_MS
    assert from_ms(START_MS).day == 1
    assert MONTH_MS % MINUTE_MS
