"""Lines: exact prices, and the times at which they stop making sense."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import NOON
from tests.catalogue import fired
from tests.unit.trading.trackers.make import d, line
from trading.domain.errors import Refused
from trading.domain.time import to_ms
from trading.domain.tracker import Line, LinePoint
from trading.trackers import lines

_NOON_MS = to_ms(NOON)
_HOUR_MS = 3_600_000
_price = st.decimals("0.00000001", "1000000", places=8)


def test_a_constant_level_is_the_same_at_all_times() -> None:
    assert lines.price_at(d("58000.5"), 0) == lines.price_at(d("58000.5"), 10**13) == d("58000.5")


def test_a_line_goes_through_both_anchors_and_on_without_end() -> None:
    rising = line(100, 124, hours=24)
    prices = [lines.price_at(rising, _NOON_MS + hour * _HOUR_MS) for hour in (-1, 0, 12, 24, 48)]
    assert prices == [99, 100, 112, 124, 148]


@given(_price, _price, st.integers(1, 10**10), st.integers(0, 10**12))
def test_a_line_is_exact_to_forty_digits(
    first: Decimal, last: Decimal, length_ms: int, at_ms: int
) -> None:
    rising = Line(LinePoint(NOON, first), LinePoint(NOON + timedelta(milliseconds=length_ms), last))
    exact = Fraction(first) + (Fraction(last) - Fraction(first)) * (at_ms - _NOON_MS) / length_ms
    error = abs(Fraction(lines.price_at(rising, at_ms)) - exact)
    assert error <= (abs(exact) + Fraction(first)) * Fraction(1, 10**25)


@given(_price, _price, _price, _price, st.integers(1, 10**9))
def test_lines_cross_at_the_first_millisecond_at_which_they_are_inverted(
    low: Decimal, low_end: Decimal, high: Decimal, high_end: Decimal, length_ms: int
) -> None:
    end = NOON + timedelta(milliseconds=length_ms)
    support = Line(LinePoint(NOON, low), LinePoint(end, low_end))
    resistance = Line(LinePoint(NOON, high), LinePoint(end, high_end))
    crossing = lines.crossing_ms(support, resistance, _NOON_MS)
    if crossing is None:
        assert high > low
        assert high_end - high >= low_end - low
    elif crossing > _NOON_MS:
        assert not lines.is_inverted(support, resistance, crossing - 1)
    else:
        assert low >= high


def test_converging_lines_cross_when_their_gap_is_used_up() -> None:
    # 10 apart, closing by 1 an hour.
    crossing = lines.crossing_ms(line(100, 112), line(110, 98), _NOON_MS)
    assert crossing == _NOON_MS + 10 * _HOUR_MS


def test_a_support_that_touches_its_resistance_is_inverted() -> None:
    support, resistance = line(100, 112), line(110, 98)
    met_ms = _NOON_MS + 10 * _HOUR_MS
    assert lines.is_inverted(support, resistance, met_ms)
    assert not lines.is_inverted(support, resistance, met_ms - _HOUR_MS)
    assert lines.is_inverted(support, resistance, met_ms + _HOUR_MS)


def test_parallel_lines_never_cross() -> None:
    assert lines.crossing_ms(line(100, 110), line(120, 130), _NOON_MS) is None


def test_a_falling_line_reaches_zero_and_a_rising_one_does_not() -> None:
    assert lines.zero_ms(line(48, 24), _NOON_MS) == _NOON_MS + 48 * _HOUR_MS
    assert lines.zero_ms(line(24, 48), _NOON_MS) is None
    assert lines.zero_ms(line(48, 24), _NOON_MS + 99 * _HOUR_MS) == _NOON_MS + 99 * _HOUR_MS


def test_a_line_that_comes_up_from_below_is_at_zero_only_where_it_is() -> None:
    # By 1 an hour up to 24: a day before that it is at 0, an hour later at 1.
    rising, day_before_ms = line(24, 48), _NOON_MS - 24 * _HOUR_MS
    assert lines.zero_ms(rising, day_before_ms) == day_before_ms
    assert lines.zero_ms(rising, day_before_ms + _HOUR_MS) is None


@pytest.mark.fault("C04")
def test_anchors_mean_the_same_in_every_timezone() -> None:
    # Naive local anchors moved the ancestor's lines with the machine's clock.
    east = timezone(timedelta(hours=9))
    here = line(100, 124)
    there = Line(
        LinePoint(here.first.at.astimezone(east), here.first.price),
        LinePoint(here.last.at.astimezone(east), here.last.price),
    )
    assert lines.price_at(here, _NOON_MS + _HOUR_MS) == lines.price_at(there, _NOON_MS + _HOUR_MS)
    fired([one for one in (here.first.at, there.first.at) if one.utcoffset()])


def test_an_anchor_without_timezone_is_an_error_of_ours() -> None:
    naive = Line(
        LinePoint(datetime(2026, 11, 20), d(1)),  # noqa: DTZ001
        LinePoint(datetime(2026, 11, 21, tzinfo=UTC), d(2)),
    )
    with pytest.raises(ValueError, match="aware"):
        lines.validate(naive, "support")


@pytest.mark.parametrize(
    ("first", "last", "hours", "rule"),
    [
        (1, 2, 0, "earlier to a later"),
        (1, 2, -1, "earlier to a later"),
        (0, 2, 1, "above 0"),
        (1, -2, 1, "above 0"),
        (1, "NaN", 1, "above 0"),
    ],
)
def test_anchors_that_make_no_line_are_refused(
    first: object, last: object, hours: float, rule: str
) -> None:
    with pytest.raises(Refused, match=rule):
        lines.validate(line(first, last, hours), "support")
