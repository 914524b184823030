"""Lines that fit a phone: width, wrapping, escaping, and numbers as people read them."""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal
from html import escape, unescape
from zoneinfo import ZoneInfo

from trading.domain.chat import Button
from trading.domain.instrument import Instrument, base_and_quote
from trading.domain.money import EXACT, grouped, plain
from trading.domain.position import DOLLARS
from trading.domain.time import Timeframe

WIDTH = 34
_INDENT_MAX = 4
# Telegram allows 4096 and 1024; HTML and surrogate pairs are counted generously.
TEXT_LENGTH_MAX = 3400
CAPTION_LENGTH_MAX = 850
_THREE_DIGITS = Context(prec=3, rounding=ROUND_HALF_EVEN)
_SIX_DIGITS = Context(prec=6, rounding=ROUND_HALF_EVEN)
# A little of a quote may be much where it is a coin: it keeps more than two places.
_LITTLE = 10


@dataclass(frozen=True, slots=True)
class Code:
    """A line to copy: shown in a fixed font; a tap copies it."""

    text: str


@dataclass(frozen=True, slots=True)
class Card:
    """One message before it is addressed: HTML, rows of buttons, perhaps a file.

    A card with a `name` lives on: what it shows is brought up to date when it changes.
    """

    text: str
    buttons: tuple[tuple[Button, ...], ...] = ()
    picture: str | None = None
    document: str | None = None
    name: str | None = None


Line = str | Code


def columns(text: str) -> int:
    """How many columns a line takes; wide characters and emoji take two."""
    if text.isascii():
        return len(text)
    width = 0
    for character in text:
        if unicodedata.combining(character) or character in "\ufe0f\u200d":
            continue
        width += 2 if unicodedata.east_asian_width(character) in "WF" else 1
    return width


def wrap(text: str, width: int = WIDTH) -> list[str]:
    """Break text into lines of at most `width` columns, at spaces where there are any.

    Spaces in front are an indentation, which the following lines share.
    """
    words = text.lstrip(" ")
    indent = " " * min(len(text) - len(words), _INDENT_MAX)
    lines: list[str] = []
    line = ""
    for word in words.split(" "):
        for piece in _pieces(word, width - len(indent)):
            joined = f"{line} {piece}" if line else piece
            if columns(joined) <= width - len(indent):
                line = joined
            else:
                lines.append(indent + line)
                line = piece
    return [*lines, indent + line]


def _pieces(word: str, width: int) -> Iterable[str]:
    if columns(word) <= width:
        yield word
        return
    piece = ""
    for character in word:
        if columns(piece + character) > width:
            yield piece
            piece = ""
        piece += character
    yield piece


def card_text(title: str, *lines: Line, length_max: int = TEXT_LENGTH_MAX) -> str:
    """Make the HTML of a card: bold title first, then lines; what does not fit is counted."""
    rendered = [f"<b>{escape(line)}</b>" for line in wrap(_one_line(title))]
    length = sum(len(line) + 1 for line in rendered)
    for number, line in enumerate(lines):
        html = _render(line)
        length += len(html) + 1
        if length > length_max:
            rendered.append(f"… and {len(lines) - number} more lines")
            break
        rendered.append(html)
    return "\n".join(rendered)


def _render(line: Line) -> str:
    if isinstance(line, Code):
        return f"<code>{escape(chr(10).join(wrap(_one_line(line.text))))}</code>"
    return escape("\n".join(wrap(line.replace("\n", " "))))


def _one_line(text: str) -> str:
    return " ".join(text.split())


def strip_markup(html: str) -> str:
    """The text of a card without its tags."""
    out = []
    for part in html.split("<"):
        _, closed, rest = part.partition(">")
        out.append(rest if closed else part)
    return unescape("".join(out))


def headline(html: str) -> str:
    """The title of a card as one line without its tags."""
    title = [line for line in html.splitlines() if line.startswith("<b>")]
    return " ".join(map(strip_markup, title)) or strip_markup(html).partition("\n")[0]


# ---------------------------------------------------------------- numbers


def count(number: int, noun: str) -> str:
    """Write a number of things: `1 tracker`, `2 trackers`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def price(value: Decimal | None, instrument: Instrument | None = None) -> str:
    """Write a price with thousands separators: to the tick, else with six significant digits."""
    if value is None:
        return "?"
    if instrument is not None:
        places = max(-int(instrument.price_tick.normalize().as_tuple().exponent), 0)
        return f"{round(value, places):,f}"
    if abs(value) < 1:
        return grouped(_SIX_DIGITS.plus(value))
    rounded = round(value, 2)
    return f"{rounded:,.0f}" if rounded == rounded.to_integral_value() else f"{rounded:,.2f}"


def quantity(value: Decimal) -> str:
    """Write a quantity exactly as the exchange counts it."""
    return grouped(value)


def money(value: Decimal | None) -> str:
    """Write an amount of quote money: two places, three digits where it is tiny."""
    if value is None:
        return "?"
    if value and abs(value) < Decimal("0.1"):
        return plain(_THREE_DIGITS.plus(value))
    return f"{round(value, 2):,.2f}"


def signed(value: Decimal | None) -> str:
    """Write an amount with its sign."""
    if value is None:
        return "?"
    return f"{'-' if value < 0 else '+'}{money(abs(value))}"


def six_digits(value: Decimal) -> str:
    """Write a number with six significant digits."""
    return grouped(_SIX_DIGITS.plus(value))


def worth(value: Decimal | None, quote: str) -> str:
    """Write an amount of any quote with its name: money, or a part of a coin."""
    if value is None:
        return "?"
    is_money = quote in DOLLARS or abs(value) >= _LITTLE
    return f"{money(value) if is_money else six_digits(value)} {quote}"


def gain(value: Decimal | None, quote: str) -> str:
    """Write a profit or a loss in any quote, with its sign and name."""
    if value is None:
        return f"? {quote}"
    return f"{'-' if value < 0 else '+'}{worth(abs(value), quote)}"


def down(worst_case: Decimal | None, quote: str) -> list[Line]:
    """What backstops on the exchange bound while nothing else watches."""
    if worst_case is None:
        return []
    return [f"If Umbra is down: worst {gain(worst_case, quote)} before fees"]


HELD = "⚠️ UNPROTECTED: stops are held"
BLIND = "⚠️ CANNOT SELL NOW"


def in_other_orders(amount: Decimal, symbol: str) -> list[Line]:
    """Say which coins lie where no stop of ours can sell them; empty for none."""
    if not amount:
        return []
    return [f"⚠️ {quantity(amount)} {base_and_quote(symbol)[0]} lie in orders not Umbra's"]


def being_checked(amount: Decimal, symbol: str) -> list[Line]:
    """Say of which coins it is not known whether they are still there; empty for none."""
    if not amount:
        return []
    return [f"⚠️ {quantity(amount)} {base_and_quote(symbol)[0]} missing: being checked"]


def only_backstop(stop: Decimal, instrument: Instrument | None = None) -> str:
    """What is left where no private stop can sell."""
    return f"only backstop {price(stop, instrument)} sells"


def percent(share: Decimal | float | None, places: int = 2) -> str:
    """Write a share as a signed percentage."""
    if share is None:
        return "?"
    exact = EXACT.multiply(Decimal(str(share)), Decimal(100))
    value = round(exact, places) or round(exact, 2 * places)
    if not value:
        return "0%"
    return f"{'-' if value < 0 else '+'}{plain(abs(value))}%"


def unsigned_percent(share: Decimal | float | None) -> str:
    """Write a share as a percentage without a sign."""
    return percent(share).lstrip("+-")


# ---------------------------------------------------------------- time


def age(seconds: float | None) -> str:
    """Write an age: `0.4 s`, `12 s`, `5 min`, `3 h 20 min`, `2 d 4 h`."""
    if seconds is None:
        return "never"
    if seconds < 10:
        return f"{max(seconds, 0):.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = int(seconds // 60)
    if minutes < 120:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} d {hours % 24} h"


def moment(at: datetime | None, now: datetime) -> str:
    """Write a time of day in UTC, with the date when it is not today."""
    if at is None:
        return "-"
    return at.strftime("%H:%M:%S" if at.date() == now.date() else "%b %d %H:%M")


def local(at: datetime, timezone: str, now: datetime) -> str:
    """Write a time of day in somebody's time zone, with the date when it is not today there."""
    there = at.astimezone(ZoneInfo(timezone))
    is_today = there.date() == now.astimezone(there.tzinfo).date()
    return there.strftime("%H:%M %Z" if is_today else "%b %d %H:%M %Z")


def span(minutes: int) -> str:
    """Write a length of time in its greatest whole unit: `45 min`, `90 min`, `4 h`, `2 d`."""
    for unit, length in (("d", 1440), ("h", 60)):
        if minutes >= length and minutes % length == 0:
            return f"{minutes // length} {unit}"
    return f"{minutes} min"


def since(at: datetime | None, now: datetime) -> str:
    """Write how long ago something was."""
    return "never" if at is None else age((now - at) / timedelta(seconds=1))


def timeframe_name(timeframe: Timeframe | None) -> str:
    """Write a candle length."""
    return timeframe.name if timeframe else ""
