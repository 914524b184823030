"""Summaries and the state of the machine: digest, chart caption, health, jobs, audit."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from decimal import Decimal

from bot.charts.drawing import LEVELS_MAX, level_marks
from bot.modes import MODES, THIS_MACHINE
from bot.telegram import phrase
from bot.telegram.render.earnings import exit_lines
from bot.telegram.render.status import (
    STREAMS,
    dot,
    position_lines,
    tracker_counts,
    unprotected,
)
from bot.telegram.render.text import (
    BLIND,
    CAPTION_LENGTH_MAX,
    HELD,
    Card,
    Line,
    age,
    card_text,
    count,
    moment,
    money,
    only_backstop,
    percent,
    price,
    quantity,
    signed,
    worth,
)
from trading.domain import events
from trading.domain.chat import ConfirmationAnswer
from trading.domain.instrument import Instrument
from trading.domain.money import plain
from trading.domain.order import Fill, Intent, IntentState, Purpose, Side
from trading.domain.tracker import Tracker, TrackerChange
from trading.overview import ChartView, HealthView, JobView, SummaryView
from trading.ports.storage import Recorded

_TROUBLES_MAX = 6
# A picture has less room for words.
_LEVELS = {"resist": "resistance", "hard": "hard stop"}


def summary_card(
    view: SummaryView,
    title: str = "Summary",
    timezone: tzinfo = UTC,
    more: Sequence[Line] = (),
) -> Card:
    """What happened since a moment, in at most a dozen lines; times as the person reads them.

    `more` is what the person watches besides.
    """
    status, account = view.status, view.account
    head = f"{title}: {money(account.equity)} {account.currency}"
    # A phone that is locked shows the first line.
    open_ones = unprotected(status)
    heads = [open_ones, head] if open_ones else [head]
    lines: list[Line] = [f"Since {view.since.astimezone(timezone):%b %d %H:%M} {timezone}"]
    lines += _profit_lines(view)
    if view.round_trips:
        lines += exit_lines(view.round_trips)
    if view.triggers:
        lines.append(f"{count(view.triggers, 'trigger')}, {count(len(view.fills), 'fill')}")
    if not view.round_trips and not view.triggers and not view.fills:
        lines.append("A quiet time: nothing fired.")
    lines.append(tracker_counts(status))
    for position in status.positions[:4]:
        lines.extend(position_lines(position))
    if len(status.positions) > 4:
        lines.append(f"+{len(status.positions) - 4} more: /positions")
    lines.extend(f"⚠️ {one.text}" for one in status.conditions if one.is_active)
    return Card(card_text(f"{dot(status)} {heads[0]}", *heads[1:], *lines, *more))


def _profit_lines(view: SummaryView) -> list[Line]:
    """What prices and trades have changed, and apart from it what came in or went out."""
    profit, before = view.profit, view.equity_before
    if profit is None or before is None:
        return []
    base = before + view.moved
    share = f" ({percent(profit / base)})" if base > 0 else ""
    way, what = ("in", "profit") if view.moved > 0 else ("out", "loss")
    currency = view.account.currency
    moved = f"Moved {way} {money(abs(view.moved))} {currency}, no {what}"
    return [f"Equity {signed(profit)} {currency}{share}", *[moved][: bool(view.moved)]]


def chart_caption(view: ChartView, instrument: Instrument) -> str:
    """The numbers of a chart picture, so that the picture is optional."""
    first, last = view.candles[0], view.candles[-1]
    change = (last.close - first.open) / first.open if first.open else None
    title = f"{view.symbol} {view.timeframe.name} {price(view.price, instrument)}"
    low = price(Decimal(str(min(candle.low for candle in view.candles))), instrument)
    high = price(Decimal(str(max(candle.high for candle in view.candles))), instrument)
    lines: list[Line] = [
        f"{percent(change)} in {len(view.candles)} candles",
        f"low {low}",
        f"high {high}",
        *_fill_lines(view.fills, instrument),
    ]
    stands = "HELD: " if view.are_stops_held else "BLIND: " if view.is_blind else ""
    if stands and any(each.side is Side.SELL for each in view.trackers):
        lines.append(HELD if view.are_stops_held else BLIND)
    if sum(len(level_marks(tracker, view)) for tracker in view.trackers) > LEVELS_MAX:
        lines.append(f"Drawn: the {LEVELS_MAX} levels nearest to the price")
    for tracker in view.trackers:
        hard_stop = tracker.hard_stop_price if tracker.side is Side.SELL else None
        stops = [each for each in (tracker.stop_price, hard_stop) if each is not None]
        # Of two stops under coins the higher one fires first.
        stop = max(stops, default=tracker.level_price)
        at = f" at {price(stop, instrument)}" if stop is not None else ""
        if stop is not None and stop == hard_stop and stop != tracker.stop_price:
            at = f", hard stop{at}"
        idle = "PAUSED: " if tracker.is_paused else stands
        lines.append(f"#{tracker.tracker_id} {idle}{phrase.short_rule_now(tracker)}{at}")
        backstop = view.backstops.get(tracker.tracker_id)
        if idle and backstop is not None:
            lines.append(f"  {only_backstop(backstop, instrument)}")
        if others := _other_levels(tracker, view, instrument, stop):
            lines.append(f"  {others}")
    return card_text(title, *lines, length_max=CAPTION_LENGTH_MAX)


def _other_levels(
    tracker: Tracker, view: ChartView, instrument: Instrument, told: Decimal | None
) -> str:
    """The levels that the picture shows of a tracker, but for the one that is told already."""
    found: list[str] = []
    # That it is paused, held or blind is said of the whole tracker.
    acting = replace(view, are_stops_held=False, is_blind=False)
    for mark in level_marks(replace(tracker, is_paused=False), acting):
        if told is not None and mark.right_price == float(told):
            continue
        name = mark.label.partition(" ")[2]
        at = price(Decimal(repr(mark.right_price)), instrument)
        found.append(f"{_LEVELS.get(name, name)} {at}")
    return ", ".join(found)


def _fill_lines(fills: Sequence[Fill], instrument: Instrument) -> list[Line]:
    if not fills:
        return []
    last = max(fills, key=lambda one: one.at)
    word = "bought" if last.side is Side.BUY else "sold"
    at = price(last.price, instrument)
    return [f"{count(len(fills), 'fill')}, the last {word} {quantity(last.quantity)} at {at}"]


def health_card(view: HealthView) -> Card:
    """How the process is."""
    wrong = list(view.troubles)
    if view.is_storage_degraded:
        wrong.insert(0, "The journal cannot be written")
    title = "🟢 Healthy"
    if not view.is_healthy:
        title = "🔴 Not healthy"
    elif view.stream == "down":
        title = "🟠 Live prices are interrupted"
    elif view.remarks:
        title = "🟠 At work, but not all is well"
    wrong += view.remarks
    lines: list[Line] = [f"⚠️ {each[:1].upper()}{each[1:]}" for each in wrong[:_TROUBLES_MAX]]
    if len(wrong) > _TROUBLES_MAX:
        lines.append(f"and {len(wrong) - _TROUBLES_MAX} more: /status")
    lines += [
        f"Up {age(view.uptime_s)}, {view.memory_mb:.0f} MB",
        f"Loop lag {view.loop_lag_ms_p99:.1f} ms p99",
        f"  {view.loop_lag_ms_max:.1f} ms at most",
        f"Prices {STREAMS.get(view.stream, view.stream)}"
        + (f", {age(view.data_age_s)} old" if view.data_age_s is not None else ""),
        f"Account stream {view.account_stream}",
        f"Clock {view.clock_offset_ms:+d} ms from the exchange"
        if view.clock_offset_ms is not None
        else "Clock: not compared now",
        f"At work {view.open_intents}, unknown {view.unresolved}",
        f"Messages waiting {view.messages_waiting}",
    ]
    if view.second_channel:
        lines.append(f"Second channel: {view.second_channel}")
    lines.extend(
        f"⚠️ {name} died, restarted {age(seconds)} ago" for name, seconds in view.tasks.items()
    )
    return Card(card_text(title, *lines))


def jobs_card(jobs: Sequence[JobView], now: datetime) -> Card:
    """The table of recurring jobs: last and next run."""
    lines: list[Line] = []
    for job in jobs:
        outcome = f" {job.last_outcome}" if job.last_outcome else ""
        lines.append(f"• {_JOBS.get(job.name, job.name.replace('_', ' '))}")
        lines.append(f"  {_rhythm(job.trigger)}")
        lines.append(f"  last {moment(job.last_run_at, now)}{outcome}")
        lines.append(f"  next {moment(job.next_run_at, now)}")
    return Card(card_text(f"⏱ {len(jobs)} jobs (UTC)", *lines))


# What each job is for, in the words of whoever only reads the table.
_JOBS = {
    "tracker_sweep": "look at every tracker",
    "staleness_watch": "are prices still coming?",
    "heartbeat": "sign of life",
    "exchange_probe": "does the exchange answer?",
    "open_attempts": "ask for open orders",
    "atr_distances": "tighten ATR trails",
    "full_reconcile": "compare with the exchange",
    "key_permissions": "rights of the API key",
    "daily_risk_reset": "a new day for the limits",
}


def _rhythm(trigger: str) -> str:
    """A rhythm as people say it: hours instead of many minutes; the title says that it is UTC."""
    words = trigger.removesuffix(" UTC").split()
    if words[:1] == ["every"] and words[2:] == ["min"] and int(float(words[1])) % 60 == 0:
        return f"every {int(float(words[1])) // 60} h"
    return " ".join(words)


def without_repeated_moves(rows: Sequence[Recorded]) -> list[Recorded]:
    """Leave of a stop that moved many times in a row only where it came to; newest first."""
    kept: list[Recorded] = []
    moving = None
    for row in rows:
        moved = _moved_tracker(row.event)
        if moved is None or moved != moving:
            kept.append(row)
        moving = moved
    return kept


def _moved_tracker(event: events.Event) -> int | None:
    if isinstance(event, events.TrackerChanged) and event.change is TrackerChange.MOVED:
        return event.tracker.tracker_id
    return None


def audit_card(
    rows: Sequence[Recorded],
    now: datetime,
    names: Mapping[int, str] | None = None,
    questions: Mapping[str, str] | None = None,
    currency: str = "",
) -> Card:
    """Who asked what and what was decided, newest first; `questions` are commands by nonce.

    `currency` is what the account is valued in.
    """
    lines: list[Line] = []
    for place, row in enumerate(rows):
        was = _stop_before(row.event, rows[place + 1 :])
        words = f"{moment(row.event.at, now)} {audit_words(row.event, names or {}, was, currency)}"
        if isinstance(row.event, events.ConfirmationAnswered):
            words = _with_reason(words, (questions or {}).get(row.event.nonce, ""))
        lines.append(words)
    return Card(card_text(f"🗒 Audit, newest {len(rows)}", *(lines or ["Nothing yet."])))


_DONE = {
    "ArmTracker": "set up a tracker",
    "EditTracker": "changed a tracker",
    "PauseTracker": "paused a tracker",
    "ResumeTracker": "resumed a tracker",
    "CancelTracker": "ended a tracker",
    "PlaceOrder": "placed an order",
    "ClosePosition": "closed a position",
    "CloseAll": "closed everything",
    "Panic": "hit panic",
    "SetTradingMode": "changed the mode",
    "AbortIntent": "gave up an exit",
    "AbortOrders": "gave up orders",
    "ExitNow": "asked for an exit now",
    "AcknowledgeAlerts": "acknowledged alerts",
}
_ANSWERS = {
    ConfirmationAnswer.CONFIRMED: "confirmed a question",
    ConfirmationAnswer.CANCELLED: "cancelled a question",
    # Also of who was revoked and could not answer any more.
    ConfirmationAnswer.EXPIRED: "left a question without answer",
}
_CHANGES = {
    TrackerChange.ARMED: "watches",
    TrackerChange.MOVED: "moved its stop",
    TrackerChange.EXITING: "is at work",
    TrackerChange.BLOCKED: "is BLOCKED",
    TrackerChange.CLOSED: "has ended",
    TrackerChange.RESTED: "rests",
    TrackerChange.REARMED: "watches again",
    TrackerChange.EDITED: "was changed",
    TrackerChange.RESUMED: "watches again",
    TrackerChange.ABORTED: "was given up",
    TrackerChange.REBUILT: "starts a new record",
}
_ENDS = {
    IntentState.DONE: "done",
    IntentState.DUST: "done, dust left",
    IntentState.EXPIRED: "expired",
    IntentState.CLOSED_EXTERNAL: "closed elsewhere",
    IntentState.ABORTED: "given up",
}


# One branch per fact, as short as a table.
def audit_words(
    event: events.Event,
    names: Mapping[int, str],
    was: Decimal | None = None,
    currency: str = "",
) -> str:
    """One fact in a few words; `names` of the people that it may mention.

    `was` is where a stop that moved had stood, as far as that is known; worth is in `currency`.
    """

    def who(number: int) -> str:
        if number == THIS_MACHINE:
            return "this machine"
        return names.get(number, f"person {number}")

    match event:
        case events.TradingModeChanged(mode, reason, by):
            actor = who(int(by)) if by.isdecimal() else by
            return _with_reason(f"{actor}: now {MODES[mode].name}", reason)
        case events.ConfirmationAnswered(_, answer, by):
            return f"{who(by)} {_ANSWERS[answer]}"
        case events.CommandExecuted(_, by, command):
            return f"{who(by)} {_DONE.get(command, command)}"
        case events.AlertAcknowledged(_, by):
            return f"{who(by)} has seen an alert"
        case events.FundsMoved(movement, value):
            way = "came in" if movement.quantity > 0 else "went out"
            amount = f"{plain(abs(movement.quantity))} {movement.asset}"
            # Nothing is worth 0: no market told it.
            told = f", worth {worth(abs(value), currency)}" if value else ""
            return f"{amount} {way}{told}: no trade"
        case _:
            return _people_words(event, who) or _own_words(event, was)


def _people_words(event: events.Event, who: Callable[[int], str]) -> str:
    """What somebody was allowed or refused; empty for every other fact."""
    match event:
        case events.AccessDenied(user_id, _, kind):
            return f"stranger {user_id} was ignored ({kind})"
        case events.InvitationMade(role=role, by=by):
            return f"{who(by)} made an invitation as {role.value}"
        case events.InvitationClosed(ending=ending, user_id=0):
            return f"an invitation was {ending}"
        case events.InvitationClosed(ending=ending, user_id=user_id):
            return f"an invitation was {ending} by {who(user_id)}"
        case events.PersonChanged(person, reason):
            return f"{person.name}: {reason}" if reason else f"{person.name} is {person.role.value}"
        case _:
            return ""


def _stop_before(event: events.Event, older: Sequence[Recorded]) -> Decimal | None:
    """Where the stop of a tracker that moved it had stood; newest first."""
    moved = _moved_tracker(event)
    if moved is None:
        return None
    for row in older:
        if isinstance(row.event, events.TrackerChanged) and row.event.tracker.tracker_id == moved:
            return row.event.tracker.stop_price or row.event.tracker.hard_stop_price
    return None


def _own_words(event: events.Event, was: Decimal | None) -> str:
    match event:
        case events.TrackerChanged(tracker, change):
            words = _CHANGES.get(change, f"was {change.value}")
            name = f"#{tracker.tracker_id} {tracker.symbol}"
            if change is TrackerChange.MOVED and tracker.stop_price is not None:
                origin = f" from {price(was)}" if was is not None else ""
                words = f"{words}{origin} to {price(tracker.stop_price)}"
            return _with_reason(f"{name} {words}", event.reason)
        case events.IntentOpened(intent):
            begins = "is placed" if intent.purpose is Purpose.BACKSTOP else "begins"
            return f"{_order(intent)} {begins}"
        case events.IntentClosed(intent):
            return f"{_order(intent)}: {_end(intent)}"
        case events.ProcessStarted(version, mode):
            return f"Umbra {version} started, {mode}"
        case events.ProcessStopped(reason, unsold=unsold):
            return _with_reason("Umbra stopped", "; ".join((*unsold, reason)))
        case _:
            # Unknown to this page: a name of ours, spelled as words.
            return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(event).__name__).lower()


def _order(intent: Intent) -> str:
    word = "backstop" if intent.purpose is Purpose.BACKSTOP else intent.side.value
    return f"{word} {intent.symbol}"


def _end(intent: Intent) -> str:
    if intent.purpose is Purpose.BACKSTOP:
        # It rests, and sells only while nobody else does.
        return "has sold" if intent.filled_quantity > 0 else "taken off"
    return _ENDS.get(intent.state, "at work")


def _with_reason(words: str, reason: str) -> str:
    return f"{words}: {reason}" if reason else words
