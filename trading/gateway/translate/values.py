"""Readers for foreign values: a number that is not one never gets any further than here."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from trading.domain.errors import Unreachable
from trading.domain.market import BookLevel

_TEXT_SHOWN_MAX = 80
DIGITS_MAX = 40
_EXPONENT_MAX = 30
# Between 2009, before which nothing was traded, and 2100 a time in milliseconds is believable: the
# same number of seconds or microseconds lies far outside.
TIME_MS_MIN = 1_230_768_000_000
TIME_MS_MAX = 4_102_444_800_000
# Fewer are no early time but another unit: so many seconds last until the year 5138.
_OLD_MS_MIN = 100_000_000_000

SymbolOf = Callable[[str], str | None]


class Unusable(Unreachable):
    """An answer came and cannot be believed; about an order it proves nothing."""

    @property
    def words(self) -> str:
        """It is no silence."""
        return "the exchange's answer cannot be read"


def mapping(value: object, name: str) -> Mapping[str, Any]:
    """Return a JSON object; an empty one is no answer."""
    if not isinstance(value, Mapping) or not value:
        raise Unusable(f"{name} should be an object, was {shown(value)}")
    return value


def sequence(value: object, name: str) -> Sequence[Any]:
    """Return a JSON array; text is none."""
    if not isinstance(value, list | tuple):
        raise Unusable(f"{name} should be a list, was {shown(value)}")
    return value


def text(source: Mapping[str, Any], key: str) -> str:
    """Return a non-empty text; exchanges write ids as numbers, too."""
    value = source.get(key)
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise Unusable(f"{key} should be a text, was {shown(value)}")
    return str(value)


def integer(source: Mapping[str, Any], key: str) -> int:
    """Return a whole number; one written as text counts."""
    value = source.get(key)
    if isinstance(value, str) and value.lstrip("-").isascii() and value.lstrip("-").isdigit():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise Unusable(f"{key} should be a whole number, was {shown(value)}")
    return value


def number(source: Mapping[str, Any], key: str) -> Decimal:
    """Return a finite number of at least 0, exactly as written."""
    return decimal_of(source.get(key), key)


def signed(source: Mapping[str, Any], key: str) -> Decimal:
    """Return a finite number other than 0, written as text where it is below."""
    value = source.get(key)
    if isinstance(value, str) and value.startswith("-"):
        return -positive({key: value[1:]}, key)
    return positive(source, key)


def positive(source: Mapping[str, Any], key: str) -> Decimal:
    """Return a finite number above 0."""
    value = decimal_of(source.get(key), key)
    if value <= 0:
        raise Unusable(f"{key} should be above 0, was {value}")
    return value


def decimal_of(value: object, name: str) -> Decimal:
    """Read a number from its text; a float only by its shortest text."""
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        raise Unusable(f"{name} should be a number, was {shown(value)}")
    written = repr(value) if isinstance(value, float) else str(value)
    try:
        found = Decimal(written) if len(written) <= DIGITS_MAX else None
    except InvalidOperation:
        found = None
    # abs(adjusted) keeps "1e999999999" from becoming a number that fills the memory.
    if found is None or not found.is_finite() or abs(found.adjusted()) > _EXPONENT_MAX:
        raise Unusable(f"{name} should be a finite number, was {shown(value)}")
    if found < 0:
        raise Unusable(f"{name} should be at least 0, was {shown(value)}")
    return found


def time_ms(source: Mapping[str, Any], key: str) -> int:
    """Return a believable time in milliseconds."""
    value = integer(source, key)
    if not TIME_MS_MIN <= value <= TIME_MS_MAX:
        raise Unusable(f"{key} should be a time in milliseconds, was {value}")
    return value


def is_before_trading(source: Mapping[str, Any], key: str) -> bool:
    """Whether a time in milliseconds lies before anything was traded."""
    return _OLD_MS_MIN <= integer(source, key) < TIME_MS_MIN


def levels(raw: object) -> tuple[BookLevel, ...]:
    """Return one side of a book, in the order in which it came."""
    return tuple(
        BookLevel(decimal_of(row[0], "price"), decimal_of(row[1], "quantity"))
        for row in (sequence(each, "level") for each in sequence(raw, "levels"))
        if len(row) >= 2
    )


def shown(value: object) -> str:
    """Return a short form of a foreign value for a message."""
    written = repr(value)
    return written if len(written) <= _TEXT_SHOWN_MAX else f"{written[:_TEXT_SHOWN_MAX]}…"
