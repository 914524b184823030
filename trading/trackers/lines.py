"""Support and resistance lines: exact prices at a time, and when two of them stop making sense."""

from decimal import Decimal
from fractions import Fraction
from math import ceil

from trading.domain.errors import Refused
from trading.domain.money import EXACT, plain
from trading.domain.time import to_ms
from trading.domain.tracker import Level, Line


def validate(line: Line, name: str) -> Line:
    """Return the line, or refuse anchors that make none: same time, reversed time, price ≤ 0."""
    for point in (line.first, line.last):
        if not point.price.is_finite() or point.price <= 0:
            raise Refused(f"{name} should have prices above 0, was {plain(point.price)}")
    if to_ms(line.first.at) >= to_ms(line.last.at):
        raise Refused(
            f"{name} should go from an earlier to a later time, "
            f"was {line.first.at:%Y-%m-%dT%H:%M} to {line.last.at:%Y-%m-%dT%H:%M}",
            example="line 2026-11-01T00:00 0.41 2026-11-18T00:00 0.44",
        )
    return line


def price_at(level: Level, at_ms: int) -> Decimal:
    """Return the level's price at a Unix time in ms; exact to 40 digits, extrapolated both ways."""
    if isinstance(level, Decimal):
        return level
    first_ms = to_ms(level.first.at)
    rise = EXACT.multiply(level.last.price - level.first.price, Decimal(at_ms - first_ms))
    return level.first.price + EXACT.divide(rise, Decimal(to_ms(level.last.at) - first_ms))


def is_inverted(support: Line, resistance: Line, at_ms: int) -> bool:
    """Whether the support is not below the resistance at this time."""
    return price_at(support, at_ms) >= price_at(resistance, at_ms)


def crossing_ms(support: Line, resistance: Line, now_ms: int) -> int | None:
    """Return the first time from now on at which the support is not below the resistance."""
    gap, closing = _difference(support, resistance, now_ms)
    if gap <= 0:
        return now_ms
    return now_ms + ceil(gap / -closing) if closing < 0 else None


def zero_ms(line: Line, now_ms: int) -> int | None:
    """Return the first time from now on at which the line is at 0 or below."""
    price, slope = _at(line, now_ms), _slope(line)
    if price <= 0:
        return now_ms
    return now_ms + ceil(price / -slope) if slope < 0 else None


def _difference(support: Line, resistance: Line, at_ms: int) -> tuple[Fraction, Fraction]:
    return (
        _at(resistance, at_ms) - _at(support, at_ms),
        _slope(resistance) - _slope(support),
    )


def _slope(line: Line) -> Fraction:
    length_ms = to_ms(line.last.at) - to_ms(line.first.at)
    return (Fraction(line.last.price) - Fraction(line.first.price)) / length_ms


def _at(line: Line, at_ms: int) -> Fraction:
    return Fraction(line.first.price) + _slope(line) * (at_ms - to_ms(line.first.at))
