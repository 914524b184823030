"""Commands back into the words that say them: what confirmations store and cards repeat."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from bot import modes
from trading.domain.commands import (
    AbortIntent,
    AbortOrders,
    AcknowledgeAlerts,
    ArmTracker,
    CancelTracker,
    CloseAll,
    ClosePosition,
    Command,
    EditTracker,
    ExitNow,
    Panic,
    PauseTracker,
    PlaceOrder,
    ResumeTracker,
    SetTradingMode,
)
from trading.domain.instrument import base_and_quote
from trading.domain.money import EXACT, ONE, plain
from trading.domain.order import Side
from trading.domain.position import TradingMode
from trading.domain.tracker import (
    Amount,
    AmountKind,
    Confirm,
    ConfirmKind,
    Distance,
    Level,
    Line,
    PriceKind,
    Then,
    ThenKind,
    Tracker,
    TrackerKind,
    TrackerSpec,
)

_TRACKER_VERBS = {
    PauseTracker: "pause",
    ResumeTracker: "resume",
    CancelTracker: "cancel",
    ExitNow: "exit",
}


def phrase(command: Command) -> str:
    """Write a command so that `grammar.parse` reads the same command back."""
    match command:
        case ArmTracker(spec):
            said = (each.words for each in _options(spec) if not each.is_default)
            return " ".join(("/track", spec.symbol, rule(spec), amount(spec), *said))
        case EditTracker():
            return f"/tracker {command.tracker_id} {_changes(command)}"
        case PauseTracker() | ResumeTracker() | CancelTracker() | ExitNow():
            return f"/tracker {command.tracker_id} {_TRACKER_VERBS[type(command)]}"
        case AbortIntent(what) | AbortOrders(what):
            return f"/abort {what}"
        case AcknowledgeAlerts(alert_id):
            return "/ack" if alert_id is None else f"/ack {alert_id}"
        case _:
            return _trading_phrase(command)


def _trading_phrase(command: Command) -> str:
    match command:
        case PlaceOrder(symbol, side, size, limit):
            suffix = "" if limit is None else f" limit {plain(limit)}"
            return f"/trade {symbol} {side.value} {_amount(size, symbol)}{suffix}"
        case ClosePosition(symbol, share):
            return f"/close {symbol}" + ("" if share == ONE else f" {percent(share)}")
        case CloseAll():
            return "/closeall"
        case Panic(everything):
            return "/panic everything" if everything else "/panic"
        case SetTradingMode(mode, reason):
            return _mode_phrase(mode, reason)
        case _:
            raise TypeError(f"no words for {type(command).__name__}")


def _mode_phrase(mode: TradingMode, reason: str) -> str:
    if mode is TradingMode.REDUCING:
        return "/reduce" if reason == "reduce" else "/pause"
    note = modes.note_of(reason)
    return {
        TradingMode.ACTIVE: f"/resume {note}" if note else "/resume",
        TradingMode.HALTED: "/halt",
        TradingMode.HALTED_EVERYTHING: "/halt everything",
    }[mode]


def rule(spec: TrackerSpec) -> str:
    """Write the first half of a tracker's line: `stop 58000 trail 2%`."""
    trail = f" trail {distance(spec.trail)}" if spec.trail else ""
    if spec.kind is TrackerKind.TRAIL:
        return trail.strip()
    if spec.kind is TrackerKind.LINES and spec.support and spec.resistance:
        return f"lines {_points(spec.support)} / {_points(spec.resistance)}{trail}"
    word = {
        TrackerKind.STOP: "stop",
        TrackerKind.TAKE_PROFIT: "sell above",
        TrackerKind.DIP: "buy below",
        TrackerKind.BREAKOUT: "buy stop",
    }[spec.kind]
    return f"{word} {level(spec.level)}{trail}"


def short_rule(spec: TrackerSpec) -> str:
    """Write a rule for a list: lines without their points, which a chart shows better."""
    if spec.kind is TrackerKind.LINES and spec.trail:
        return f"lines trail {distance(spec.trail)}"
    return rule(spec)


def rule_now(tracker: Tracker) -> str:
    """Write what a tracker does now: a later half of a swing has a side and a level of its own."""
    if not tracker.is_swinging or tracker.level_price is None:
        return rule(tracker.spec)
    word = "buy below" if tracker.side is Side.BUY else "sell above"
    if tracker.spec.kind is TrackerKind.LINES:
        line = "the support" if tracker.side is Side.BUY else "the resistance"
        # The line or the level that gains, whichever is further from the last fill.
        word = f"{word} {line} and"
    trail = f" trail {distance(tracker.spec.trail)}" if tracker.spec.trail else ""
    return f"{word} {plain(tracker.level_price)}{trail}"


def short_rule_now(tracker: Tracker) -> str:
    """Write what a tracker does now for a list."""
    return rule_now(tracker) if tracker.is_swinging else short_rule(tracker.spec)


def amount(spec: TrackerSpec) -> str:
    """Write a tracker's amount: `all`, `50%`, `0.5` or `500 USDT`."""
    return _amount(spec.amount, spec.symbol)


def _amount(size: Amount, symbol: str) -> str:
    if size.kind is AmountKind.ALL:
        return "all"
    if size.kind is AmountKind.SHARE:
        return percent(size.value)
    if size.kind is AmountKind.QUOTE:
        return f"{plain(size.value)} {base_and_quote(symbol)[1] or 'quote'}"
    return plain(size.value)


@dataclass(frozen=True, slots=True)
class _Option:
    """One option in the words that set it; `words` is empty where it is not set."""

    name: str
    words: str
    is_default: bool = False


def _option(name: str, value: object, write: Callable[[Any], str]) -> _Option:
    if value is None:
        return _Option(name, "", is_default=True)
    return _Option(name, f"{name} {write(value)}", is_default=value in _DEFAULTS)


_DEFAULTS = (Then(), Confirm(), PriceKind.DECISION)
_NOT_SET = {"backstop": "no backstop", "slippage": "no slippage bound"}


def _options(said: TrackerSpec | EditTracker) -> tuple[_Option, ...]:
    return (
        _option("stop", said.stop, level),
        _option("stop", said.stop_share, percent),
        _option("then", said.then, then),
        _option("confirm", said.confirm, confirm),
        _option("backstop", said.backstop, plain),
        _option("backstop", said.backstop_share, percent),
        _option("slippage", said.slippage_max, percent),
        _option("price", said.price_kind, lambda kind: kind.value),
    )


def options(spec: TrackerSpec) -> Mapping[str, str]:
    """Write every option by its name, what is not set included; a stop belongs to the rule."""
    said = {each.name: each.words for each in _options(spec) if each.words and each.name != "stop"}
    return _NOT_SET | said


def _changes(edit: EditTracker) -> str:
    words = (
        "" if edit.level is None else f"level {level(edit.level)}",
        "" if edit.trail is None else f"trail {distance(edit.trail)}",
        "" if edit.amount is None else f"amount {_amount(edit.amount, '')}",
        *(each.words for each in _options(edit)),
        "backstop off" if edit.is_backstop_off else "",
        "slippage off" if edit.is_slippage_off else "",
        "stop off" if edit.is_stop_off else "",
    )
    return " ".join(word for word in words if word)


def level(value: Level | None) -> str:
    """Write a price, or `line T1 P1 T2 P2`."""
    if value is None:
        return "?"
    return f"line {_points(value)}" if isinstance(value, Line) else plain(value)


def _points(line: Line) -> str:
    ends = (line.first, line.last)
    return " ".join(f"{_time(end.at)} {plain(end.price)}" for end in ends)


def _time(at: datetime) -> str:
    utc = at.astimezone(UTC).replace(tzinfo=None)
    return utc.isoformat(timespec="seconds" if utc.second else "minutes")


def distance(value: Distance) -> str:
    """Write a trailing distance: `2%` or `2.5 atr 1h`."""
    if value.share is not None:
        return percent(value.share)
    return f"{plain(value.atr_multiple or ONE)} atr {value.timeframe.name}"


def then(value: Then) -> str:
    """Write what follows a close: `swing 1.5%`."""
    has_share = value.kind is ThenKind.SWING and value.share is not None
    return f"{value.kind.value} {percent(value.share or ONE)}" if has_share else value.kind.value


def confirm(value: Confirm) -> str:
    """Write a confirmation rule: `3 ticks max 1%`."""
    words = {
        ConfirmKind.TOUCH: "touch",
        ConfirmKind.TICKS: f"{value.count} ticks",
        ConfirmKind.RUN: f"run {value.count}",
        ConfirmKind.SECONDS: f"{value.count}s",
        ConfirmKind.CLOSE: f"close {value.timeframe.name if value.timeframe else '15m'}",
    }[value.kind]
    return words if value.loss_max is None else f"{words} max {percent(value.loss_max)}"


def percent(share: Decimal) -> str:
    """Write a share as an exact percentage: 0.015 becomes `1.5%`."""
    return f"{plain(share.scaleb(2, context=EXACT))}%"
