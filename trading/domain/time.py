"""Time as values: UTC datetimes, milliseconds of the exchanges, candle lengths."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from trading.domain.errors import Refused

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
MONTH = "1M"
_KNOWN = (
    *("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w"),
    MONTH,
)
_USUAL = ("1h", "15m", "4h", "5m", "1d")
# Weeks of candles open on Monday; the epoch was a Thursday.
_MONDAY_MS = 4 * 86_400_000
_TIMEFRAME = re.compile(r"([1-9][0-9]?)([smhdw])", re.ASCII)
MONTH_MS = 2_629_746_000
"""The mean length of a calendar month, which stands for candles that open on the first of one."""


def from_ms(milliseconds: int) -> datetime:
    """Return the UTC datetime of a Unix time in milliseconds."""
    return _EPOCH + timedelta(milliseconds=milliseconds)


def to_ms(at: datetime) -> int:
    """Return the Unix time in milliseconds; a naive datetime is an error of ours."""
    if at.tzinfo is None:
        raise ValueError(f"datetime should be aware, was {at!r}")
    return (at - _EPOCH) // timedelta(milliseconds=1)


def grid_start_ms(length_ms: int) -> int:
    """Return a moment at which a candle of this length opens, from which all others follow."""
    return _MONDAY_MS if length_ms == _UNITS_MS["w"] else 0


def candle_open_ms(at_ms: int, length_ms: int) -> int:
    """Return when the candle of this length that holds a moment opens."""
    if length_ms == MONTH_MS:
        return _month_ms(at_ms, 0)
    start_ms = grid_start_ms(length_ms)
    return (at_ms - start_ms) // length_ms * length_ms + start_ms


def following_ms(open_ms: int, length_ms: int) -> int:
    """Return when the candle after the one that opens at `open_ms` opens, and so when that ends."""
    return _month_ms(open_ms, 1) if length_ms == MONTH_MS else open_ms + length_ms


def preceding_ms(open_ms: int, length_ms: int) -> int:
    """Return when the candle before the one that opens at `open_ms` opens."""
    return _month_ms(open_ms, -1) if length_ms == MONTH_MS else open_ms - length_ms


def shifted_ms(open_ms: int, candles: int, length_ms: int) -> int:
    """Return when the candle opens that is so many later than the one at `open_ms`, or earlier."""
    if length_ms == MONTH_MS:
        return _month_ms(open_ms, candles)
    return open_ms + candles * length_ms


def candles_between(first_ms: int, last_ms: int, length_ms: int) -> int:
    """Return how many candles lie from one that opens at `first_ms` to one at `last_ms`."""
    if length_ms == MONTH_MS:
        return _month_number(last_ms) - _month_number(first_ms)
    return (last_ms - first_ms) // length_ms


def divides(shorter_ms: int, longer_ms: int) -> bool:
    """Whether candles of one length can be put together to candles of another, or are of it."""
    if longer_ms == MONTH_MS:
        return shorter_ms == MONTH_MS or _UNITS_MS["d"] % shorter_ms == 0
    return longer_ms % shorter_ms == 0


def _month_ms(at_ms: int, later: int) -> int:
    year, month = divmod(_month_number(at_ms) + later, 12)
    return to_ms(datetime(year, month + 1, 1, tzinfo=UTC))


def _month_number(at_ms: int) -> int:
    at = from_ms(at_ms)
    return at.year * 12 + at.month - 1


@dataclass(frozen=True, slots=True)
class Timeframe:
    """A candle length such as `15m`; `1M` is a calendar month, and `1m` a minute."""

    name: str

    @staticmethod
    def parse(text: str) -> "Timeframe":
        """Read a candle length; unknown ones are Refused."""
        if text not in _KNOWN:
            near = _nearest(text)
            raise Refused(
                f"timeframe should be one of {' '.join(_KNOWN)}, was {text!r}",
                example=near[0],
                wrong=text,
                near=near,
            )
        return Timeframe(text)

    @property
    def length_ms(self) -> int:
        """The candle's length in milliseconds; that of a month is its mean."""
        if self.name == MONTH:
            return MONTH_MS
        match = _TIMEFRAME.fullmatch(self.name)
        if match is None:
            raise ValueError(f"timeframe should look like 15m, was {self.name!r}")
        return int(match[1]) * _UNITS_MS[match[2]]


def _nearest(text: str) -> tuple[str, ...]:
    """Return the known candle lengths nearest to what was asked for, best first."""
    match = _TIMEFRAME.fullmatch(text.lower().lstrip("+-"))
    if match is None:
        return (MONTH, *_USUAL) if text.lower().startswith("mo") else _USUAL
    asked_ms = int(match[1]) * _UNITS_MS[match[2]]

    def ratio(name: str) -> float:
        known_ms = Timeframe(name).length_ms
        return max(known_ms / asked_ms, asked_ms / known_ms)

    nearest = sorted(_KNOWN, key=ratio)
    if text.endswith("M") and MONTH not in nearest[:1]:
        # A minute was meant, or else a month.
        nearest.insert(1, MONTH)
    return tuple(dict.fromkeys(nearest[: len(_USUAL)]))
