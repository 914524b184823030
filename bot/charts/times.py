"""The times below a picture: round ones on somebody's own clock, no more than can be read."""

from collections.abc import Iterator
from datetime import date, datetime, time, tzinfo

from trading.domain.time import from_ms, to_ms

# More of them would touch each other, and further left half of one would be cut off.
TIMES_MAX = 5
TIME_SHARE_MIN = 0.05
_MINUTE_MS, _DAY_MS = 60_000, 86_400_000
_MINUTES = (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720)
_DAYS = (1, 2, 4, 7, 14, 21)
_MONTHS = (1, 2, 3, 6, 12, 24, 60, 120)
_MONTH_DAYS = 30.44

Ticks = tuple[tuple[int, str], ...]


def time_ticks(first_ms: int, last_ms: int, zone: tzinfo, most: int) -> Ticks:
    """Return at most so many round moments of a span, in ms, and what is written there.

    The date is added where it is new below times, and the year where it is new below dates. There
    is at least one moment: the first, where the span holds no round one.
    """
    first, last = from_ms(first_ms).astimezone(zone), from_ms(last_ms).astimezone(zone)
    for length_ms, moments, above, below in _steps(first, last):
        # Not all minutes of a year, only to find that they are too many.
        if (last_ms - first_ms) / length_ms > most + 1:
            continue
        within = [at for at in moments if first_ms <= to_ms(at) <= last_ms]
        if 0 < len(within) <= most:
            return _written(within, above, below)
    return _written([first], "%H:%M", "%b %d")


def zone_name(at_ms: int, zone: tzinfo) -> str:
    """Return what a zone is called at a moment, such as `CET` or `+0545`."""
    return from_ms(at_ms).astimezone(zone).strftime("%Z")


def _steps(first: datetime, last: datetime) -> Iterator[tuple[float, Iterator[datetime], str, str]]:
    for count in _MINUTES:
        yield count * _MINUTE_MS, _minutes(first, last, count), "%H:%M", "%b %d"
    for count in _DAYS:
        yield count * _DAY_MS, _days(first, last, count), "%b %d", "%Y"
    for count in _MONTHS:
        above, below = ("%Y", "") if count >= 12 else ("%b", "%Y")
        yield count * _MONTH_DAYS * _DAY_MS, _months(first, last, count), above, below


def _minutes(first: datetime, last: datetime, count: int) -> Iterator[datetime]:
    for day in _days(first, last, 1):
        for minute in range(0, 1440, count):
            yield datetime.combine(day, time(minute // 60, minute % 60), first.tzinfo)


def _days(first: datetime, last: datetime, count: int) -> Iterator[datetime]:
    """Midnights; weeks begin on Monday, as day 1 was one."""
    for ordinal in range(first.toordinal(), last.toordinal() + 1):
        if ordinal % count == 1 % count:
            yield datetime.combine(date.fromordinal(ordinal), time(), first.tzinfo)


def _months(first: datetime, last: datetime, count: int) -> Iterator[datetime]:
    for number in range(first.year * 12 + first.month - 1, last.year * 12 + last.month):
        if number % count == 0:
            yield datetime(number // 12, number % 12 + 1, 1, tzinfo=first.tzinfo)


def _written(moments: list[datetime], above: str, below: str) -> Ticks:
    written: dict[int, str] = {}
    before = ""
    for at in moments:
        under = at.strftime(below)
        # An hour that the clock leaves out is the one after it.
        written.setdefault(
            to_ms(at), at.strftime(above) + (f"\n{under}" if under != before else "")
        )
        before = under
    return tuple(sorted(written.items()))
