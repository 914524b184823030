"""Lines about symbols: what was named, over which candles and from which score on, or meant."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher, get_close_matches

from bot.telegram.commands.context import Services
from bot.telegram.keyboards import fits
from bot.telegram.render import watching as render
from bot.telegram.render.text import Card
from bot.telegram.words import quoted, shown
from trading.domain.chat import Person
from trading.domain.errors import Refused
from trading.domain.time import Timeframe

TIMEFRAMES_MAX = 8
_OFFERED_MAX = 6
_TIMEFRAME_LIKE = re.compile(r"[+-]?[0-9]+([.][0-9]+)?[a-zA-Z]", re.ASCII)
_QUOTES = ("USDT", "USDC", "USD", "EUR", "BTC", "ETH")
_FROM = ("threshold", "from")
_USUAL = "BTC/USDT"


@dataclass(frozen=True, slots=True)
class Line:
    """A line about symbols: what was named, over which candles (none said: empty), from where on.

    `threshold` is text as it was typed, empty where none was.
    """

    symbols: tuple[str, ...]
    timeframes: tuple[Timeframe, ...] = ()
    threshold: str = ""


def read_line(words: Sequence[str], find: Callable[[str], str], example: str) -> Line:
    """Read symbols, candle lengths and `threshold N`, in any order; raises Refused."""
    command = example.split(maxsplit=1)[0]
    symbols: list[str] = []
    timeframes: list[Timeframe] = []
    threshold = ""
    rest = iter(enumerate(words))
    for place, word in rest:
        if word.lower() in _FROM:
            _, threshold = next(rest, (0, ""))
            read_threshold(threshold, " ".join((command, *(words[:place] or [_USUAL]), word, "60")))
        elif is_length(word):
            timeframes.append(Timeframe.parse(word))
        else:
            symbols.append(find(word))
    lengths = sorted(set(timeframes), key=lambda one: one.length_ms)
    names = [one.name for one in lengths[:TIMEFRAMES_MAX]]
    if not symbols:
        raise Refused("the symbol is missing", " ".join((command, _USUAL, *names)))
    if len(lengths) > TIMEFRAMES_MAX:
        raise Refused(
            f"at most {TIMEFRAMES_MAX} candle lengths can be watched, were {len(lengths)}",
            " ".join((command, symbols[0], *names)),
        )
    return Line(tuple(dict.fromkeys(symbols)), tuple(lengths), threshold)


def is_length(word: str) -> bool:
    """Whether a word looks like a candle length, known or not."""
    return _TIMEFRAME_LIKE.fullmatch(word) is not None


def read_threshold(word: str, example: str) -> int | None:
    """Read 1 to 100, or `auto` as None; raises Refused."""
    if word.lower() == "auto":
        return None
    if word.lower() == "off":
        raise Refused("no threshold is off: the alerts are turned off instead", "/alerts rises off")
    if not _is_number(word) or not 1 <= int(word) <= 100:
        was = shown(word) if word else "nothing"
        near = _thresholds_near(word)
        raise Refused(
            f"a threshold should be between 1 and 100, or auto, was {was}",
            example,
            wrong=word,
            near=near,
        )
    return int(word)


def _thresholds_near(word: str) -> list[str]:
    bare = word.rstrip("%")
    if bare != word and _is_number(bare) and 1 <= int(bare) <= 100:
        return [bare]
    return get_close_matches(word.lower(), ("auto",), cutoff=0.7)


def _is_number(word: str) -> bool:
    return word.isascii() and word.isdigit() and len(word) <= 9


# ---------------------------------------------------------------- what was meant


def refuse_strays(command: str, words: Sequence[str]) -> None:
    """Refuse what cannot be a symbol or a candle length, with the line that was meant."""
    rest = iter(enumerate(words))
    for place, word in rest:
        if word.lower() in _FROM:
            next(rest, None)
            continue
        before, after = words[:place], words[place + 1 :]
        if "," in word:
            parts = [part for part in word.split(",") if part] or [_USUAL]
            line = " ".join((command, *before, *parts, *after))
            raise Refused(f"symbols are separated by spaces, was {shown(word)}", line)
        if word.isascii() and (word.isdigit() or word.lower() == "auto"):
            raise _stray_number(command, before, word, after)
        if get_close_matches(word.lower(), _FROM[:1], cutoff=0.75):
            raise Refused(f"{shown(word)} is not understood", wrong=word, near=_FROM[:1])


def _stray_number(command: str, before: Sequence[str], word: str, after: Sequence[str]) -> Refused:
    symbols = before or (_USUAL,)
    unit = after[0].lower() if after else ""
    if word.isdigit() and unit in {"m", "h", "d", "w", "min", "hour", "hours", "day", "days"}:
        length = f"{word[:3]}{unit[0]}"
        line = " ".join((command, *symbols, length, *after[1:]))
        said = quoted((word, after[0]))
        return Refused(f"a candle length is one word such as {length}, was {said}", line)
    wrong = f"{shown(word)} is neither a symbol nor a candle length"
    if command != "/watch":
        return Refused(wrong, " ".join((command, *symbols)))
    value = "60" if word.isdigit() and not 1 <= int(word[:9]) <= 100 else word
    line = " ".join((command, *symbols, _FROM[0], value))
    return Refused(f"{wrong}. A threshold follows the word threshold", line)


def own_symbol(word: str, person: Person) -> str:
    """Match what was typed against a person's own list, also when it is traded no longer."""
    wanted = word.upper().replace("-", "/").replace("_", "/")
    symbols = [one.symbol for one in person.wishes.interests]
    for symbol in symbols:
        if wanted in {symbol, symbol.replace("/", "")}:
            return symbol
    near = sorted(symbols, key=lambda one: -SequenceMatcher(None, wanted[:24], one).ratio())
    raise Refused(
        f"{shown(word)} is not on your list", "/watch", wrong=word, near=near[:_OFFERED_MAX]
    )


# ---------------------------------------------------------------- a coin alone


def pairs_offered(
    command: str, words: Sequence[str], services: Services, most: int | None = None
) -> Card | None:
    """Where one of the first `most` words is a coin, its pairs, each as the whole line it makes.

    Raises Refused at the first word that is neither coin nor symbol: near misses take time to find.
    """
    for place, word in enumerate(words[:most]):
        if not word.isalnum() or is_length(word):
            continue
        if word.lower() in _FROM:
            # A number or `auto` follows, and no symbol has to.
            return None
        line = {
            pair: " ".join((command, *words[:place], pair, *words[place + 1 :]))
            for pair in _pairs_of(word, services)
        }
        fitting = {pair: text for pair, text in line.items() if fits(text)}
        if fitting:
            return render.pairs_card(word.upper()[:12], fitting)
    return None


def _pairs_of(word: str, services: Services) -> list[str]:
    coin = word.upper()
    try:
        services.desk.instrument(word)
    except Refused as error:
        near = [one for one in error.near if one.startswith(f"{coin}/")]
        if not near:
            raise
    else:
        return []
    quotes = dict.fromkeys((services.desk.account().currency, *_QUOTES))
    usual = [f"{coin}/{quote}" for quote in quotes if is_listed(f"{coin}/{quote}", services)]
    return list(dict.fromkeys((*usual, *near)))[:_OFFERED_MAX]


def is_listed(symbol: str, services: Services) -> bool:
    """Whether a symbol is traded here under exactly this name."""
    try:
        return services.desk.instrument(symbol).symbol == symbol
    except Refused:
        return False


def refuse_order(command: str, words: Sequence[str]) -> None:
    """Refuse a candle length in front of its symbol, or alone."""
    if words and is_length(words[0]):
        symbol = words[1] if len(words) > 1 else _USUAL
        said = "the symbol comes first" if len(words) > 1 else "the symbol is missing"
        raise Refused(f"{said}, was {quoted(words)}", " ".join((command, symbol, words[0])))
