"""Times below a picture: round ones on the reader's clock, few enough to be read."""

from datetime import UTC, datetime, tzinfo
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.charts.times import TIMES_MAX, time_ticks, zone_name
from trading.domain.time import from_ms, to_ms

DAY_MS = 86_400_000
ZONES = ("UTC", "Europe/Berlin", "Asia/Kathmandu", "America/New_York")


def texts(begins: datetime, ends: datetime, zone: tzinfo = UTC) -> list[str]:
    ticks = time_ticks(to_ms(begins), to_ms(ends), zone, TIMES_MAX)
    return [text for _, text in ticks]


@pytest.mark.parametrize(
    ("begins", "ends", "written"),
    [
        (
            datetime(2024, 9, 2, tzinfo=UTC),
            datetime(2026, 12, 7, tzinfo=UTC),
            ["Jan\n2025", "Jul", "Jan\n2026", "Jul"],
        ),
        (
            datetime(2020, 3, 1, tzinfo=UTC),
            datetime(2026, 10, 1, tzinfo=UTC),
            ["2022", "2024", "2026"],
        ),
        (
            datetime(2026, 11, 3, tzinfo=UTC),
            datetime(2027, 1, 20, tzinfo=UTC),
            ["Nov 16\n2026", "Dec 07", "Dec 28", "Jan 18\n2027"],
        ),
    ],
)
def test_the_year_is_written_where_it_is_new(
    begins: datetime, ends: datetime, written: list[str]
) -> None:
    assert texts(begins, ends) == written


def test_round_times_stay_round_when_the_clock_is_put_back() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    begins = datetime(2026, 10, 24, 21, tzinfo=berlin)
    ticks = time_ticks(to_ms(begins), to_ms(begins) + DAY_MS // 2, berlin, TIMES_MAX)
    assert [text for _, text in ticks] == [
        "21:00\nOct 24",
        "00:00\nOct 25",
        "03:00",
        "06:00",
    ]
    assert [(later - earlier) / 3_600_000 for (earlier, _), (later, _) in pairwise(ticks)] == [
        3,
        4,
        3,
    ]


def test_a_zone_is_named_as_it_is_called_then() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    summer, winter = (to_ms(datetime(2026, month, 1, tzinfo=UTC)) for month in (7, 12))
    assert [zone_name(at_ms, berlin) for at_ms in (summer, winter)] == ["CEST", "CET"]


@given(
    st.integers(1_500_000_000_000, 1_900_000_000_000),
    st.integers(0, 20_000 * DAY_MS // 10),
    st.sampled_from(ZONES),
)
def test_any_span_has_a_few_times_in_order_and_inside(
    begins_ms: int, lasts: int, name: str
) -> None:
    zone = ZoneInfo(name)
    ticks = time_ticks(begins_ms, begins_ms + lasts, zone, TIMES_MAX)
    assert 1 <= len(ticks) <= TIMES_MAX
    assert all(begins_ms <= at_ms <= begins_ms + lasts for at_ms, _ in ticks)
    assert all(earlier < later for (earlier, _), (later, _) in pairwise(ticks))
    local = from_ms(ticks[0][0]).astimezone(zone)
    assert ticks[0][1].splitlines()[0] in {
        local.strftime(pattern) for pattern in ("%H:%M", "%b %d", "%b", "%Y")
    }
