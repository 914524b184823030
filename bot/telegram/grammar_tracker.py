"""The one-line form of a tracker: words to a TrackerSpec, exactly or refused."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

from bot.telegram.words import Words, shown
from trading.domain.errors import Refused
from trading.domain.instrument import Instrument
from trading.domain.time import MONTH, Timeframe
from trading.domain.tracker import (
    Amount,
    AmountKind,
    Confirm,
    ConfirmKind,
    Distance,
    Level,
    Line,
    LinePoint,
    PriceKind,
    Then,
    ThenKind,
    TrackerKind,
    TrackerSpec,
)

_TIME = re.compile(
    r"\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2})?(Z|[+-]\d{2}:\d{2})?)?", re.ASCII | re.IGNORECASE
)
_TIMEFRAME = re.compile(r"[0-9]+[smhdw]", re.ASCII)
_SECONDS = re.compile(r"[0-9]{1,9}s", re.ASCII)
# What coins and currencies are called; a longer word is rather an option that was mistyped.
_UNIT = re.compile(r"[a-z0-9]{2,5}", re.ASCII)
# Everything short that may follow an amount: options, the changes of a tracker, a limit.
_AFTER_AMOUNT = frozenset(
    {"stop", "then", "price", "trail", "level", "limit", "sell", "buy", "lines"}
)
SHARE_LEAST, SHARE_MOST = "0.01%", "50%"


@dataclass(slots=True)
class _Rule:
    """What the first half of the line says."""

    kind: TrackerKind
    level: Level | None = None
    support: Line | None = None
    resistance: Line | None = None
    trail: Distance | None = None


@dataclass(slots=True)
class _Options:
    """What the second half says, each option once."""

    stop: Level | None = None
    stop_share: Decimal | None = None
    then: Then = field(default_factory=Then)
    confirm: Confirm = field(default_factory=Confirm)
    backstop: Decimal | None = None
    backstop_share: Decimal | None = None
    slippage_max: Decimal | None = None
    price_kind: PriceKind = PriceKind.DECISION


def read_spec(words: Words, instrument: Instrument) -> TrackerSpec:
    """Read everything that follows the symbol of `/track`."""
    rule = _read_rule(words)
    _refuse_second_rule(words, rule)
    amount = read_amount(words, instrument)
    options = _read_options(words, rule.kind)
    return TrackerSpec(
        kind=rule.kind,
        symbol=instrument.symbol,
        amount=amount,
        level=rule.level,
        support=rule.support,
        resistance=rule.resistance,
        trail=rule.trail,
        stop=options.stop,
        stop_share=options.stop_share,
        then=options.then,
        confirm=options.confirm,
        backstop=options.backstop,
        backstop_share=options.backstop_share,
        slippage_max=options.slippage_max,
        price_kind=options.price_kind,
    )


def _read_rule(words: Words) -> _Rule:
    kind = words.accept("stop", "trail", "sell", "buy", "lines")
    if kind == "stop":
        level = read_level(words, "stop")
        trail = read_distance(words) if words.accept("trail") else None
        return _Rule(TrackerKind.STOP, level=level, trail=trail)
    if kind == "trail":
        return _Rule(TrackerKind.TRAIL, trail=read_distance(words))
    if kind == "sell":
        words.expect("above", "sell")
        return _level_then_trail(words, TrackerKind.TAKE_PROFIT, "sell above")
    if kind == "buy":
        return _read_buy(words)
    if kind == "lines":
        return _read_lines(words)
    word = words.take("the rule (stop, trail, sell above, buy below, buy stop or lines)")
    raise words.refuse(
        f"the rule should be stop, trail, sell above, buy below, buy stop or lines, "
        f"was {shown(word)}"
    )


def _refuse_second_rule(words: Words, rule: _Rule) -> None:
    word = words.peek()
    said = _RULE_WORDS[rule.kind] | ({"trail"} if rule.trail is not None else set())
    if word in said:
        raise words.refuse(f"{word} should be said once, was said twice")
    if word in {"trail", "sell", "buy", "lines"}:
        raise words.refuse(f"a line has one rule: the amount should come before {word!r}")
    if word in _READERS:
        raise words.refuse(f"the amount should come before {word!r}")


_RULE_WORDS = {
    TrackerKind.STOP: {"stop"},
    TrackerKind.TRAIL: {"trail"},
    TrackerKind.TAKE_PROFIT: {"sell"},
    TrackerKind.DIP: {"buy"},
    TrackerKind.BREAKOUT: {"buy"},
    TrackerKind.LINES: {"lines"},
}


def _read_buy(words: Words) -> _Rule:
    if words.accept("stop"):
        return _Rule(TrackerKind.BREAKOUT, level=read_level(words, "buy stop"))
    words.expect("below", "buy (or `buy stop`)")
    return _level_then_trail(words, TrackerKind.DIP, "buy below")


def _level_then_trail(words: Words, kind: TrackerKind, name: str) -> _Rule:
    level = read_level(words, name)
    words.expect("trail", f"the level of {name}")
    return _Rule(kind, level=level, trail=read_distance(words))


def _read_lines(words: Words) -> _Rule:
    support = _read_line(words, "support line")
    words.expect("/", "the support line")
    resistance = _read_line(words, "resistance line")
    words.expect("trail", "the resistance line")
    trail = read_distance(words)
    return _Rule(TrackerKind.LINES, support=support, resistance=resistance, trail=trail)


def read_level(words: Words, name: str) -> Level:
    """Read a price, or `line T1 P1 T2 P2`."""
    if words.accept("line"):
        return _read_line(words, f"{name} line")
    return words.number(name)


def _read_line(words: Words, name: str) -> Line:
    first = LinePoint(_read_time(words, name), words.number(f"{name}'s first price"))
    last = LinePoint(_read_time(words, name), words.number(f"{name}'s second price"))
    if not first.at < last.at:
        raise words.refuse(f"{name} should run forward in time, its points were out of order")
    return Line(first, last)


def _read_time(words: Words, name: str) -> datetime:
    word = words.take(f"{name}'s time")
    refusal = words.refuse(f"{name}'s time should look like 2026-11-01T00:00, was {shown(word)}")
    if not _TIME.fullmatch(word):
        raise refusal
    try:
        at = datetime.fromisoformat(word.upper())
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise refusal from error


def read_distance(words: Words) -> Distance:
    """Read `2%` or `2.5 atr [1h]`."""
    if words.peek().endswith("%"):
        return Distance(share=words.share("trail", SHARE_LEAST, SHARE_MOST))
    multiple = words.number("trail")
    if not words.accept("atr"):
        raise words.refuse(f"trail should be like 2% or 2.5 atr, was {shown(str(multiple))[1:-1]}")
    if multiple > 100:
        raise words.refuse(f"trail should be at most 100 atr, was {multiple}")
    timeframe = _accept_timeframe(words)
    return (
        Distance(atr_multiple=multiple, timeframe=timeframe)
        if timeframe
        else Distance(atr_multiple=multiple)
    )


def _accept_timeframe(words: Words) -> Timeframe | None:
    # Nothing else that may stand here ends in a unit of time.
    return _take_timeframe(words) if _TIMEFRAME.fullmatch(words.peek()) else None


def read_amount(words: Words, instrument: Instrument, *, takes_all: bool = True) -> Amount:
    """Read `all`, `50%`, `0.5`, `0.5 BTC` or `500 USDT`."""
    some = f"50%, 0.5 or 500 {instrument.quote}"
    if words.is_done:
        raise words.refuse(f"the amount is missing: {'all, ' if takes_all else ''}{some}")
    if not takes_all and words.peek() == "all":
        raise words.refuse(f"the amount should be {some}, was 'all'")
    if words.accept("all"):
        return Amount(AmountKind.ALL)
    if words.peek().endswith("%"):
        return Amount(AmountKind.SHARE, words.share("the amount", "0.01%", "100%"))
    value = words.number("the amount")
    if words.accept(instrument.quote.lower()):
        return Amount(AmountKind.QUOTE, value)
    if not words.accept(instrument.base.lower()):
        _refuse_other_unit(words, instrument)
    return Amount(AmountKind.BASE, value)


def _refuse_other_unit(words: Words, instrument: Instrument) -> None:
    """Refuse an amount in a third coin; without it, the number would be one of another unit."""
    word = words.peek()
    if word in _AFTER_AMOUNT or not _UNIT.fullmatch(word):
        return
    typed = words.take("the unit")
    # The symbol of a tracker that runs is not known here.
    units = f"in {instrument.base} or {instrument.quote}" if instrument.symbol else "without a unit"
    raise Refused(
        f"the amount should be {units}, was in {shown(typed)}",
        example=words.example,
        wrong=typed,
    )


def _read_options(words: Words, kind: TrackerKind) -> _Options:
    options = _Options()
    seen = {"stop"} if kind is TrackerKind.STOP else set()
    while not words.is_done:
        name = words.accept(*_READERS)
        if name is None:
            words.finish()
            break
        if name in seen:
            raise words.refuse(f"{name} should be said once, was said twice")
        seen.add(name)
        _READERS[name](words, options)
    return options


def _read_stop(words: Words, options: _Options) -> None:
    if words.peek().endswith("%"):
        options.stop_share = words.share("stop", SHARE_LEAST, "99%")
    else:
        options.stop = read_level(words, "stop")


def _read_then(words: Words, options: _Options) -> None:
    options.then = read_then(words)


def read_then(words: Words) -> Then:
    """Read `once | cooldown | swing [1.5%]`."""
    word = words.accept("once", "cooldown", "swing")
    if word is None:
        found = shown(words.take("what follows `then`"))
        raise words.refuse(f"then should be once, cooldown or swing, was {found}")
    has_share = word == "swing" and words.peek().endswith("%")
    share = words.share("swing", SHARE_LEAST, SHARE_MOST) if has_share else None
    return Then(ThenKind(word), share)


def _read_confirm(words: Words, options: _Options) -> None:
    options.confirm = read_confirm(words)


def read_confirm(words: Words) -> Confirm:
    """Read `touch | 3 ticks | run 3 | 5s | close 15m [max 1%]`."""
    kind, count, timeframe = ConfirmKind.TOUCH, 1, None
    if words.accept("touch"):
        pass
    elif words.accept("run"):
        kind, count = ConfirmKind.RUN, words.whole("run (moves in a row)", 1, 100)
    elif words.accept("close"):
        kind, timeframe = ConfirmKind.CLOSE, _take_timeframe(words)
    elif _SECONDS.fullmatch(words.peek()):
        kind, count = ConfirmKind.SECONDS, int(words.take("seconds")[:-1])
        if not 1 <= count <= 3600:
            raise words.refuse(f"confirm should be between 1s and 3600s, was {count}s")
    else:
        count = words.whole("confirm (touch, 3 ticks, run 3, 5s or close 15m)", 1, 1000)
        if not words.accept("ticks", "tick"):
            raise words.refuse(
                f"confirm should be touch, 3 ticks, run 3, 5s or close 15m, was {count}"
            )
        kind = ConfirmKind.TICKS
    bounded = words.accept("max")
    loss_max = words.share("max", SHARE_LEAST, SHARE_MOST) if bounded else None
    return Confirm(kind, count, timeframe, loss_max)


def _take_timeframe(words: Words) -> Timeframe:
    word = words.take("the candle length")
    if word == MONTH:
        # In lower case it would be a minute, and no order should hang on which was meant.
        raise words.refuse("a tracker waits for no months: 1M is a month, 1m a minute")
    try:
        return Timeframe.parse(word.lower())
    except Refused as error:
        raise words.refuse(str(error)) from error


def _read_backstop(words: Words, options: _Options) -> None:
    options.backstop, options.backstop_share = read_backstop(words)


def read_backstop(words: Words) -> tuple[Decimal | None, Decimal | None]:
    """Read a price, or a share of the present one: one of the two is returned."""
    if words.peek().endswith("%"):
        return None, words.share("backstop", SHARE_LEAST, "99%")
    return words.number("backstop"), None


def _read_slippage(words: Words, options: _Options) -> None:
    options.slippage_max = read_slippage(words)


def read_slippage(words: Words) -> Decimal:
    """Read the share that an exit or entry may give away."""
    return words.share("slippage", SHARE_LEAST, SHARE_MOST)


def _read_price(words: Words, options: _Options) -> None:
    options.price_kind = read_price_kind(words)


def read_price_kind(words: Words) -> PriceKind:
    """Read `bid | last | mid | decision`, the last being what decides unless it is said."""
    word = words.accept("bid", "last", "mid", "decision")
    if word is None:
        found = shown(words.take("what follows `price`"))
        raise words.refuse(f"price should be bid, last, mid or decision, was {found}")
    return PriceKind(word)


_READERS: dict[str, Callable[[Words, _Options], None]] = {
    "stop": _read_stop,
    "then": _read_then,
    "confirm": _read_confirm,
    "backstop": _read_backstop,
    "slippage": _read_slippage,
    "price": _read_price,
}
