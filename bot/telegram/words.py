"""What a person typed as words that are read once, from left to right, with errors that help."""

from collections.abc import Callable, Sequence
from decimal import Decimal

from trading.domain.errors import Refused
from trading.domain.instrument import base_and_quote
from trading.domain.money import parse_decimal, parse_percent

TEXT_LENGTH_MAX = 500
# What takes risk away: no count holds it back, and what is said to it waits behind nothing else.
_URGENT = frozenset({"panic", "halt", "pause", "reduce", "close", "closeall", "ack"})
_SHOWN_MAX = 24
_LINE_MAX = 40


def split(text: str) -> tuple[str, list[str]]:
    """Take `/Track@umbra_bot BTC/USDT …` apart into `track` and the other words."""
    if len(text) > TEXT_LENGTH_MAX:
        raise Refused(
            f"a command should have at most {TEXT_LENGTH_MAX} characters, had {len(text)}",
            example="/track BTC/USDT stop 58000 all",
        )
    words = text.split()
    if not words or not words[0].startswith("/"):
        raise Refused("a command starts with a slash", example="/help")
    name = words[0][1:].partition("@")[0].lower()
    return name, words[1:]


def addressee(line: str) -> str:
    """Return the bot that a typed command names, as `/status@umbra_bot` does; mostly none."""
    first = line.split(maxsplit=1)[0] if line.startswith("/") else ""
    return first.partition("@")[2].lower()


def is_urgent(line: str) -> bool:
    """Whether a typed or tapped line takes risk away, so that it and its answer go first."""
    name = line.lstrip("+=").partition(" ")[0]
    return name.startswith("/") and name[1:].partition("@")[0].lower() in _URGENT


def shown(word: str) -> str:
    """Quote a word for an error message, shortened and on one line."""
    short = word if len(word) <= _SHOWN_MAX else word[:_SHOWN_MAX] + "…"
    return repr(short)


def quoted(words: Sequence[str]) -> str:
    """Quote all that was typed for an error message, shortened; `nothing` where nothing was."""
    said = " ".join(words)
    if not said:
        return "nothing"
    return repr(said if len(said) <= _LINE_MAX else said[:_LINE_MAX] + "…")


class Words:
    """Reads words one after the other; `example` goes with every refusal."""

    def __init__(self, words: list[str], example: str) -> None:
        self._words = words
        self._next = 0
        self.example = example

    @property
    def is_done(self) -> bool:
        """Whether every word has been read."""
        return self._next >= len(self._words)

    def example_with(self, symbol: str) -> str:
        """Return the example for another symbol: a whole line, whatever its amount was in."""
        name, known, *rest = self.example.split()
        quotes = (base_and_quote(known)[1], base_and_quote(symbol)[1])
        return " ".join((name, symbol, *(quotes[1] if one == quotes[0] else one for one in rest)))

    def refuse(self, message: str) -> Refused:
        """Make the error that says what was wrong, with the example."""
        return Refused(message, example=self.example)

    def peek(self) -> str:
        """Return the next word in lower case without reading it, `` at the end."""
        return "" if self.is_done else self._words[self._next].lower()

    def take(self, name: str) -> str:
        """Read one word as it was typed; `name` says what is missing when none is left."""
        if self.is_done:
            raise self.refuse(f"{name} is missing")
        word = self._words[self._next]
        self._next += 1
        return word

    def accept(self, *wanted: str) -> str | None:
        """Read the next word when it is one of `wanted`."""
        if not self.is_done and self.peek() in wanted:
            self._next += 1
            return self._words[self._next - 1].lower()
        return None

    def expect(self, wanted: str, after: str) -> None:
        """Read exactly this word."""
        if not self.accept(wanted):
            found = shown(self._words[self._next]) if not self.is_done else "nothing"
            raise self.refuse(f"{wanted!r} should follow {after}, was {found}")

    def number(self, name: str) -> Decimal:
        """Read an exact number above zero."""
        value = self._guarded(parse_decimal, self.take(name), name)
        if value <= 0:
            raise self.refuse(f"{name} should be above 0, was {value}")
        return value

    def share(self, name: str, least: str, most: str) -> Decimal:
        """Read a percentage between two bounds, both written like `0.01%`."""
        word = self.take(name)
        value = self._guarded(_as_share, word, name)
        if not parse_percent(least) <= value <= parse_percent(most):
            raise self.refuse(
                f"{name} should be between {least} and {most}, was {shown(word)[1:-1]}"
            )
        return value

    def whole(self, name: str, least: int, most: int) -> int:
        """Read a whole number between two bounds."""
        word = self.take(name)
        if not (word.isascii() and word.isdigit() and len(word) <= 9):
            raise self.refuse(
                f"{name} should be a whole number from {least} to {most}, was {shown(word)}"
            )
        if not least <= int(word) <= most:
            raise self.refuse(f"{name} should be between {least} and {most}, was {int(word)}")
        return int(word)

    def finish(self) -> None:
        """Refuse words that nobody asked for."""
        if not self.is_done:
            raise self.refuse(f"this was not understood: {shown(self._words[self._next])}")

    def _guarded(self, read: Callable[[str, str], Decimal], word: str, name: str) -> Decimal:
        try:
            return read(word, name)
        except Refused as error:
            raise self.refuse(str(error)) from error


def _as_share(word: str, name: str) -> Decimal:
    try:
        return parse_percent(word, name)
    except Refused as error:
        # With its sign, as it was typed.
        raise Refused(f"{name} should be a percentage like 2%, was {shown(word)}") from error
