"""What to send instead: as much of what was typed as was right, ended so that it works."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from bot.telegram.grammar_tracker import (
    SHARE_LEAST,
    read_backstop,
    read_confirm,
    read_distance,
    read_level,
    read_slippage,
    read_then,
)
from bot.telegram.phrase import phrase
from bot.telegram.words import Words
from trading.domain.commands import ArmTracker, Command, EditTracker
from trading.domain.errors import Refused
from trading.domain.instrument import Instrument
from trading.domain.money import parse_decimal, parse_percent, plain
from trading.domain.order import Side
from trading.domain.tracker import Amount, AmountKind, TrackerSpec

_SUPPORT = "2026-11-01T00:00 {price} 2026-11-18T00:00 {price}"
_RESISTANCE = "2026-11-01T00:00 {above} 2026-11-18T00:00 {above} trail 1.5% {all}"
# The first one that makes a whole command of a beginning is taken.
_TRACK_ENDINGS = (
    "1h {all}",
    "{all}",
    "2% {all}",
    "2%",
    "",
    "once",
    "last",
    "3 ticks",
    "ticks",
    "15m",
    "{price} {all}",
    "{price} trail 2% {all}",
    "trail 2% {all}",
    "below {price} trail 2% {all}",
    "2026-11-18T00:00 {price} {all}",
    "2026-11-01T00:00 {price} 2026-11-18T00:00 {price} {all}",
    # The rest of two lines: after `lines`, the support, the slash, and half of the resistance.
    f"{_SUPPORT} / {_RESISTANCE}",
    f"/ {_RESISTANCE}",
    _RESISTANCE,
    f"2026-11-18T00:00 {{price}} / {_RESISTANCE}",
    "2026-11-18T00:00 {above} trail 1.5% {all}",
)
_TRACKER_ENDINGS = (
    "2%",
    "1h",
    "",
    # A share fits a tracker of any symbol, whose price is not known here.
    "5%",
    "stop 5%",
    "once",
    "last",
    "3 ticks",
    "ticks",
    "15m",
    "50%",
)
# Each word less is tried with every ending, on the loop.
_WORDS_MAX = 20
# Of any other coin no price is known here, and the example is of a rule that needs none.
_PRICES = {"BTC": "58000", "ETH": "2500", "ADA": "0.4"}
_ABOVE = {"BTC": "65000", "ETH": "3200", "ADA": "0.5"}


def of_track(
    rest: Sequence[str],
    found: Instrument,
    read: Callable[[list[str]], Command],
    unit: str = "",
) -> str | None:
    """Return the longest beginning of a `/track` line that an ending makes whole.

    Before a wrong `unit` the number goes as well: by itself it would be one of coins.
    """
    if unit in rest:
        least = f"{plain(found.notional_min * 2)} {found.quote}"
        return _whole("/track", [found.symbol, *rest[1 : rest.index(unit) - 1]], [least], read)
    is_buy = [word.lower() for word in rest[1:2]] == ["buy"]
    values = {
        "all": f"500 {found.quote}" if is_buy else "all",
        "price": _PRICES.get(found.base, ""),
        "above": _ABOVE.get(found.base, ""),
    }
    is_priced = found.base in _PRICES
    endings = [
        ending.format(**values)
        for ending in _TRACK_ENDINGS
        if is_priced or ("{price}" not in ending and "{above}" not in ending)
    ]
    return _whole("/track", [found.symbol, *rest[1:]], endings, read)


def of_tracker(
    rest: Sequence[str], read: Callable[[list[str]], Command], unit: str = ""
) -> str | None:
    """Return the longest beginning of a change of a tracker that an ending makes whole."""
    if unit in rest:
        return _whole("/tracker", rest[: rest.index(unit) - 1], ["50%"], read)
    return _whole("/tracker", rest, _TRACKER_ENDINGS, read) if len(rest) > 1 else None


def _whole(
    name: str, rest: Sequence[str], endings: Sequence[str], read: Callable[[list[str]], Command]
) -> str | None:
    typed = list(rest[:_WORDS_MAX])
    for count in range(len(typed), 0, -1):
        for ending in endings:
            line = [*typed[:count], *ending.split()]
            try:
                read(line)
            except Refused:
                continue
            return " ".join((name, *line))
    return None


def fitting(error: Refused, command: Command) -> Refused:
    """Return the refusal with its example as a whole command: the same tracker, the right word."""
    part = error.example
    if not part or part.startswith("/"):
        return error
    number = getattr(command, "tracker_id", None)
    example = None
    if isinstance(command, ArmTracker):
        example = phrase(ArmTracker(_with_part(command.spec, part)))
    elif number is not None:
        example = f"/tracker {number} {_as_typed(_as_change(part), command)}"
    return Refused(str(error), example=example or part)


def _as_change(part: str) -> str:
    first, _, unit = part.partition(" ")
    if first in _PARTS:
        return part
    # Of a tracker that runs the symbol is not typed, and its unit is called by what it is.
    return f"amount {first} quote" if unit else f"amount {first}"


def _as_typed(part: str, command: Command) -> str:
    """Call a level `stop` to whom has typed it so: of a protective stop both are the same price."""
    if not isinstance(command, EditTracker) or command.stop is None or command.level is not None:
        return part
    return re.sub("^level ", "stop ", part)


def _with_part(spec: TrackerSpec, part: str) -> TrackerSpec:
    if part == "lines":
        return replace(spec, support=spec.resistance, resistance=spec.support)
    words = Words(part.split(), part)
    if words.peek() not in _PARTS:
        return replace(spec, amount=_amount(part, spec))
    while not words.is_done:
        spec = _PARTS[words.take("the part")](spec, words)
    return spec


def _amount(part: str, spec: TrackerSpec) -> Amount:
    if part == "all":
        return Amount(AmountKind.ALL)
    if part.endswith("%"):
        return Amount(AmountKind.SHARE, parse_percent(part))
    number, _, unit = part.partition(" ")
    is_coins = spec.first_side is Side.SELL and not unit
    return Amount(AmountKind.BASE if is_coins else AmountKind.QUOTE, parse_decimal(number))


def _with_stop(spec: TrackerSpec, words: Words) -> TrackerSpec:
    if words.accept("off"):
        return replace(spec, stop=None, stop_share=None)
    if words.peek().endswith("%"):
        return replace(spec, stop=None, stop_share=words.share("stop", SHARE_LEAST, "99%"))
    return replace(spec, stop=read_level(words, "stop"), stop_share=None)


def _with_backstop(spec: TrackerSpec, words: Words) -> TrackerSpec:
    price, share = read_backstop(words)
    return replace(spec, backstop=price, backstop_share=share)


_PARTS: dict[str, Callable[[TrackerSpec, Words], TrackerSpec]] = {
    "trail": lambda spec, words: replace(spec, trail=read_distance(words)),
    "confirm": lambda spec, words: replace(spec, confirm=read_confirm(words)),
    "level": lambda spec, words: replace(spec, level=read_level(words, "level")),
    "stop": _with_stop,
    "backstop": _with_backstop,
    "slippage": lambda spec, words: replace(spec, slippage_max=read_slippage(words)),
    "then": lambda spec, words: replace(spec, then=read_then(words)),
}
