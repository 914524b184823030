"""Exact numbers: how text becomes a Decimal, or is refused, and how a Decimal becomes text."""

import re
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal

from trading.domain.errors import Refused

# 40 significant digits hold 10^12 units at 18 decimals with room for a product.
EXACT = Context(prec=40)
# For what is only shown: the longest number that is read, divided by the smallest.
_LONG = Context(prec=120)
ZERO = Decimal(0)
ONE = Decimal(1)
_DIGITS_MAX = 40
_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?|\.[0-9]+", re.ASCII)


def parse_decimal(text: str, name: str = "number", example: str = "58000.5") -> Decimal:
    """Read a plain non-negative decimal such as `0.5`; anything else is Refused, never guessed.

    `example` is what to send instead, as a whole where the number is only a part of it.
    """
    if len(text) > _DIGITS_MAX or not _NUMBER.fullmatch(text):
        raise Refused(
            f"{name} should be a plain number with a point, was {_shown(text)}", example=example
        )
    return Decimal(text)


def parse_percent(text: str, name: str = "share") -> Decimal:
    """Read `2%` as the share 0.02; a number without the sign is Refused."""
    if not text.endswith("%"):
        raise Refused(f"{name} should be a percentage, was {_shown(text)}", example="2%")
    return EXACT.divide(parse_decimal(text[:-1], name), Decimal(100))


def _shown(text: str) -> str:
    return repr(text if len(text) <= _DIGITS_MAX else text[:_DIGITS_MAX] + "…")


def rounded(value: Decimal, places: int) -> Decimal:
    """Return a value to so many places, however long it was typed: `round` takes 28 digits."""
    return value.quantize(Decimal(1).scaleb(-places), context=_LONG)


def floor_to(value: Decimal, step: Decimal) -> Decimal:
    """Return the greatest multiple of `step` that is at most `value`."""
    return (value / step).to_integral_value(rounding=ROUND_FLOOR, context=EXACT) * step


def ceil_to(value: Decimal, step: Decimal) -> Decimal:
    """Return the least multiple of `step` that is at least `value`."""
    return (value / step).to_integral_value(rounding=ROUND_CEILING, context=EXACT) * step


def plain(value: Decimal) -> str:
    """Write a Decimal without exponent and without trailing zeros: `0.50` becomes `0.5`."""
    return _without_zeros(format(value, "f"))


def grouped(value: Decimal) -> str:
    """Write the same for who only reads it, with its thousands apart; no command takes it so."""
    return _without_zeros(format(value, ",f"))


def _without_zeros(text: str) -> str:
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text
