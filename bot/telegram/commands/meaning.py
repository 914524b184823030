"""Times as people write them, read exactly or answered with what was meant."""

import re
import zoneinfo
from difflib import get_close_matches
from functools import cache

from bot.telegram.words import shown
from trading.domain.errors import Refused

HOUR = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]", re.ASCII)
_SPAN = re.compile(r"([1-9][0-9]{0,3})([mhd])", re.ASCII)
_SPAN_MEANT = re.compile(
    r"([1-9][0-9]{0,3}) ?(m|mins?|minutes?|h|hrs?|hours?|d|days?|w|weeks?)?", re.ASCII
)
_CLOCK_MEANT = re.compile(r"([0-9]{1,2})(?:[:.]?([0-9]{2}))? ?(am|pm)?", re.ASCII)
_MINUTES = {"m": 1, "h": 60, "d": 1440}
_WORDS = {"hourly": "1h", "hour": "1h", "day": "1d", "week": "7d", "weekly": "7d"}


def read_span(word: str, least_min: int, most_min: int) -> int | None:
    """Read `30m`, `4h` or `2d` in minutes; None where it is none, or out of bounds."""
    match = _SPAN.fullmatch(word)
    minutes = int(match[1]) * _MINUTES[match[2]] if match else 0
    return minutes if least_min <= minutes <= most_min else None


def spans_meant(text: str, least_min: int, most_min: int) -> list[str]:
    """Return what may have been meant by `4`, `4 hours` or `1w`, as it is read here."""
    match = _SPAN_MEANT.fullmatch(text.lower())
    if text.lower() in _WORDS:
        found = [_WORDS[text.lower()]]
    elif match is None:
        found = []
    elif match[2] is None:
        found = [f"{match[1]}h", f"{match[1]}m"]
    elif match[2][0] == "w":
        found = [f"{7 * int(match[1])}d"]
    else:
        found = [f"{match[1]}{match[2][0]}"]
    return [one for one in found if read_span(one, least_min, most_min) is not None]


def hour_meant(text: str) -> str | None:
    """Return the time of day that `9`, `9:00`, `0900` or `9pm` means, as it is read here."""
    match = _CLOCK_MEANT.fullmatch(text.strip().lower())
    if match is None:
        return None
    hour, minute = int(match[1]), int(match[2] or 0)
    if match[3] is not None:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if match[3] == "pm" else 0)
    return f"{hour:02}:{minute:02}" if hour < 24 and minute < 60 else None


def read_timezone(text: str, before: str) -> str:
    """Read the name of a time zone; `before` is the line in front of it. Raises Refused."""
    if text.isascii() and len(text) <= 40:
        try:
            return zoneinfo.ZoneInfo(text).key
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            pass
    near = _zones_near(text)
    raise Refused(
        f"the time zone should be like Europe/Berlin or UTC, was {shown(text)}",
        f"{before} Europe/Berlin",
        wrong=text,
        near=near,
    )


def _zones_near(text: str) -> list[str]:
    names = _zones()
    asked = text.lower()[:40]
    if asked in names:
        return [names[asked]]
    of_city = [name for key, name in names.items() if key.rpartition("/")[2] == asked]
    return of_city[:2] or [names[key] for key in get_close_matches(asked, names, n=2, cutoff=0.8)]


@cache
def _zones() -> dict[str, str]:
    # Once in the life of the process: the names are files of a folder.
    names = sorted(name for name in zoneinfo.available_timezones() if "/" in name or name == "UTC")
    return {name.lower(): name for name in names}
