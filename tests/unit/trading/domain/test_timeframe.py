"""A candle length is one of those that exchanges know, or is refused with the nearest."""

from datetime import UTC, datetime

import pytest

from trading.domain.errors import Refused
from trading.domain.time import MONTH_MS, Timeframe, divides, from_ms, shifted_ms, to_ms


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("7m", ("5m", "15m", "3m", "30m", "1m")),
        ("1H", ("1h", "30m", "2h", "15m", "4h")),
        ("99w", ("1M", "1w", "3d", "1d", "12h")),
        ("15M", ("15m", "1M", "30m", "5m", "1h")),
        ("month", ("1M", "1h", "15m", "4h", "5m", "1d")),
        ("hourly", ("1h", "15m", "4h", "5m", "1d")),
        ("0m", ("1h", "15m", "4h", "5m", "1d")),
    ],
)
def test_an_unknown_length_is_refused_with_the_nearest_known_ones(
    text: str, near: tuple[str, ...]
) -> None:
    with pytest.raises(Refused, match="timeframe should be one of") as refused:
        Timeframe.parse(text)
    assert refused.value.near == near
    assert (refused.value.wrong, refused.value.example) == (text, near[0])
    assert [Timeframe.parse(name).name for name in near] == list(near)


def test_a_month_and_a_minute_differ_by_their_case_alone() -> None:
    month, minute = Timeframe.parse("1M"), Timeframe.parse("1m")
    assert month != minute
    assert (month.name, minute.name) == ("1M", "1m")
    assert (month.length_ms, minute.length_ms) == (MONTH_MS, 60_000)


def test_months_are_counted_by_the_calendar() -> None:
    january = to_ms(datetime(2024, 1, 1, tzinfo=UTC))
    assert from_ms(shifted_ms(january, 2, MONTH_MS)) == datetime(2024, 3, 1, tzinfo=UTC)
    assert from_ms(shifted_ms(january, -13, MONTH_MS)) == datetime(2022, 12, 1, tzinfo=UTC)
    assert shifted_ms(january, -3, 60_000) == january - 180_000


@pytest.mark.parametrize(
    ("shorter", "longer", "does"),
    [
        ("1d", "1M", True),
        ("8h", "1M", True),
        ("1w", "1M", False),
        ("3d", "1M", False),
        ("1M", "1M", True),
        ("1M", "1d", False),
        ("1d", "3d", True),
        ("3d", "1w", False),
        ("12h", "1d", True),
    ],
)
def test_only_what_divides_a_day_makes_months(shorter: str, longer: str, does: bool) -> None:
    assert divides(Timeframe(shorter).length_ms, Timeframe(longer).length_ms) is does
