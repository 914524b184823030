"""Tracker cards: where a private stop stands, what it protects, what may be done about it."""

from collections.abc import Sequence

from bot.telegram import phrase
from bot.telegram.keyboards import Rows, does, in_rows, pager, shows
from bot.telegram.render.status import paged
from bot.telegram.render.text import (
    BLIND,
    HELD,
    Card,
    Code,
    Line,
    age,
    being_checked,
    card_text,
    count,
    down,
    gain,
    in_other_orders,
    only_backstop,
    percent,
    price,
    quantity,
    unsigned_percent,
)
from bot.telegram.render.tracker_words import (
    KINDS,
    LEVELS,
    crossed,
    kind_name,
    owned,
    protection,
    short_owned,
    slipped,
    spec_lines,
    state_name,
    view_state,
)
from trading.domain.instrument import base_and_quote
from trading.domain.order import Side
from trading.domain.tracker import (
    ConfirmKind,
    NextLevel,
    PriceKind,
    Tracker,
    TrackerSpec,
    TrackerState,
)
from trading.overview import EndedTrackerView, Signature, TrackerView

_PAUSED_LEVELS = {
    NextLevel.FIRES: "PAUSED, would fire at",
    NextLevel.TOUCH: "PAUSED, touch would be at",
    NextLevel.BAND: "PAUSED, would watch again at",
}

_AFTERWARDS = {
    NextLevel.FIRES: "",
    NextLevel.TOUCH: ": the touch, from then on it trails",
    NextLevel.BAND: ", then it watches again",
}

PRICES = {
    PriceKind.DECISION: "the last trade, else the middle of bid and ask",
    PriceKind.LAST: "the last trade",
    PriceKind.BID: "the bid",
    PriceKind.MID: "the middle of bid and ask",
}


def trackers_card(views: Sequence[TrackerView], page: int = 1, *, may_act: bool = True) -> Card:
    """Every live tracker, nearest to fire first, with a button; who `may_act` is told of /track."""
    if not views:
        text = card_text("📍 No tracker is watching", *(("Start one:", Code("/track")) * may_act))
        return Card(text, ((does("🎯 Track", "/track"),),) * may_act)
    pages, shown = paged(views, page)
    lines: list[Line] = []
    picks = []
    for view in shown:
        tracker = view.tracker
        gap = f" ({percent(view.gap)})" if view.gap is not None else ""
        lines.append(f"#{tracker.tracker_id} {tracker.symbol} {view_state(view)}")
        lines.append(f"  {phrase.short_rule_now(tracker)} · {short_owned(tracker)}")
        is_acting = tracker.state.is_acting
        if is_acting:
            lines.append(f"  {_at_work(tracker)}")
        elif view.crossing is not None:
            lines.extend(f"  {line.lower()}" for line in crossed(view))
        elif view.level is not None:
            words = _level_words(view)
            if words == LEVELS[view.next_level]:
                words = words.lower()
            lines.append(f"  {words} {price(view.level, view.instrument)}{gap}")
        if view.hard_stop not in {None, view.level} and not is_acting and not tracker.is_paused:
            lines.append(f"  {_hard_stop(view).lower()}")
        lines.extend(f"  {line}" for line in _warnings(view))
        label = f"#{tracker.tracker_id} {tracker.symbol}"
        picks.append(does(label, f"/tracker {tracker.tracker_id}"))
    rows = (*in_rows(picks), (shows("🔄 Refresh", f"/trackers {page}"), does("🎯 Track", "/track")))
    title = f"📍 {count(len(views), 'tracker')}, nearest first"
    return Card(card_text(title, *lines), (*rows, *pager("/trackers", page, pages)))


def tracker_card(view: TrackerView, headline: str = "") -> Card:
    """One tracker with everything about it and its buttons."""
    tracker = view.tracker
    title = headline or f"{view_state(view)} · {tracker.symbol} #{tracker.tracker_id}"
    lines: list[Line] = []
    if headline:
        lines.append(f"{view_state(view)} · {tracker.symbol} #{tracker.tracker_id}")
    lines.append(_named(kind_name(tracker), phrase.rule_now(tracker)))
    lines.append(owned(tracker))
    lines.extend(_place_lines(view))
    if not tracker.state.is_acting or tracker.state is TrackerState.BLOCKED:
        lines.extend(_protection_now(view))
    lines.extend(spec_lines(tracker))
    lines.extend(_signature_lines(view))
    lines.extend(view.notes)
    if tracker.reason:
        lines.append(tracker.reason)
    text = card_text(title, *lines)
    return Card(text, _tracker_buttons(tracker), name=card_name(tracker.tracker_id))


def card_name(tracker_id: int) -> str:
    """The name under which a tracker's card lives on in each chat."""
    return f"tracker:{tracker_id}"


def why_card(view: TrackerView) -> Card:
    """What has to happen before this tracker acts, in order, and where each step stands."""
    tracker, instrument = view.tracker, view.instrument
    spec = tracker.spec
    steps = [f"armed {tracker.armed_at:%b %d %H:%M} UTC ✓"]
    if tracker.touched_at is not None:
        steps.append(f"touched {tracker.touched_at:%H:%M:%S} ✓")
    if view.crossing is not None:
        steps.extend(f"{line[:1].lower()}{line[1:]}" for line in crossed(view))
    elif view.level is not None:
        steps.append(
            f"price {price(view.price, instrument)} has to reach "
            f"{price(view.level, instrument)} ({percent(view.gap)}){_AFTERWARDS[view.next_level]}"
        )
    steps.append(_confirmed_words(spec))
    steps.append(f"the price is {PRICES[spec.price_kind]}")
    steps.append("paused: nothing fires ✗" if tracker.is_paused else "not paused ✓")
    lines: list[Line] = [f"{number}. {step}" for number, step in enumerate(steps, start=1)]
    title = f"❓ Why #{tracker.tracker_id} {view_state(view)}"
    return Card(card_text(title, *lines, *view.notes))


def ended_card(view: EndedTrackerView) -> Card:
    """What a tracker's card says once nothing is watched any more."""
    tracker, intent, instrument = view.tracker, view.intent, view.instrument
    title = f"{state_name(tracker)} · {tracker.symbol} #{tracker.tracker_id}"
    lines: list[Line] = [_named(KINDS[tracker.spec.kind], phrase.rule(tracker.spec))]
    if intent is not None and intent.filled_quantity > 0:
        # Not "Sold": the news is told once, by the message that announces it.
        base, quote = base_and_quote(tracker.symbol)
        lines.append(f"done: {quantity(intent.filled_quantity)} {base}")
        lines.append(f"at {price(intent.average_price, instrument)} {quote} on average")
    lines.append("Nothing is watched any more")
    if tracker.reason:
        lines.append(f"Why: {tracker.reason}")
    row = (does("📊 Status", "/status"), does("📜 History", "/history"))
    return Card(card_text(title, *lines), (row,), name=card_name(tracker.tracker_id))


def _named(kind: str, rule: str) -> str:
    """A rule under its kind; one that begins with the same word needs no other."""
    return rule if rule.startswith(kind) else f"{kind}: {rule}"


def _place_lines(view: TrackerView) -> list[Line]:
    tracker, instrument = view.tracker, view.instrument
    old = f" ({age(view.price_age_s)} old)" if view.price_age_s is not None else ""
    lines: list[Line] = [f"Price {price(view.price, instrument)}{old}"]
    if tracker.state.is_acting:
        lines.append(f"It has fired: {_at_work(tracker)}")
    elif view.crossing is not None:
        lines.extend(crossed(view))
    elif view.level is not None:
        gap = f" ({percent(view.gap)})" if view.gap is not None else ""
        lines.append(f"{_level_words(view)} {price(view.level, instrument)}{gap}")
    if tracker.record_price is not None and tracker.distance is not None:
        record = price(tracker.record_price, instrument)
        lines.append(f"Record {record}, trail {unsigned_percent(tracker.distance)}")
    if view.hard_stop is not None:
        lines.append(_hard_stop(view))
    return lines


def _level_words(view: TrackerView) -> str:
    if view.is_held and not view.tracker.is_paused and view.next_level is NextLevel.FIRES:
        return "HELD, would fire at"
    return (_PAUSED_LEVELS if view.tracker.is_paused else LEVELS)[view.next_level]


def _at_work(tracker: Tracker) -> str:
    """What a tracker that has fired does now."""
    word = "sell" if tracker.side is Side.SELL else "buy"
    return f"cannot {word} yet" if tracker.state is TrackerState.BLOCKED else f"{word}ing …"


def _hard_stop(view: TrackerView) -> str:
    gap = f" ({percent(view.hard_stop_gap)})" if view.hard_stop_gap is not None else ""
    return f"Hard stop {price(view.hard_stop, view.instrument)}{gap}"


def _protection_now(view: TrackerView) -> list[Line]:
    tracker = view.tracker
    _, quote = base_and_quote(tracker.symbol)
    has_bought = tracker.spec.first_side is Side.BUY and tracker.last_fill_price is not None
    if tracker.side is Side.BUY and has_bought and not tracker.is_swinging:
        # It buys again and again: what it bought is there, and no business of its own.
        return ["⚠️ It sells nothing: what it bought needs a stop of its own"]
    if (hindered := _hindrance(view)) and view.worst_case is None:
        return hindered
    if view.only_backstop is not None:
        worst = f"worst {gain(view.worst_case, quote)} before fees"
        return [*(hindered or _alone(view)), worst]
    return [
        protection(view.is_protecting, tracker.side, view.worst_case, quote),
        *slipped(tracker, view.worst_case, view.price),
        *down(view.worst_case_down, quote),
    ]


def _alone(view: TrackerView) -> list[Line]:
    if view.only_backstop is None:
        return []
    return [f"⚠️ {only_backstop(view.only_backstop, view.instrument)}"]


def _hindrance(view: TrackerView) -> list[Line]:
    """That its stop does not sell now, and what does instead; empty where it can."""
    if view.tracker.side is Side.BUY:
        return []
    if not (view.is_held or view.is_blind):
        symbol = view.tracker.symbol
        return [*in_other_orders(view.bound, symbol), *being_checked(view.missing, symbol)]
    return [HELD if view.is_held else BLIND, *_alone(view)]


def _warnings(view: TrackerView) -> list[Line]:
    """What a row of the list must not keep quiet about."""
    tracker = view.tracker
    if tracker.side is Side.BUY:
        return []
    if warned := _hindrance(view) or _alone(view):
        return warned
    return [] if view.is_protecting or tracker.state.is_acting else ["⚠️ NOT PROTECTED if it falls"]


def _signature_lines(view: TrackerView) -> list[Line]:
    signature = view.signature
    if signature is None:
        return []
    return [
        f"Last {signature.ticks} ticks: range {unsigned_percent(signature.range_share)}",
        f"volatility {unsigned_percent(signature.volatility)}, turn {_turn(signature)}",
        _moves(signature),
    ]


def _turn(signature: Signature) -> str:
    # What is added takes the sign from a zero.
    return f"{round(signature.reversal, 2) + 0.0:.2f}"


def _moves(signature: Signature) -> str:
    length = signature.run_length
    if not length:
        return "the price did not move"
    rises = round((1 + signature.imbalance) * 50)
    return f"{rises}% of moves up, last {abs(length)} {'up' if length > 0 else 'down'}"


def _tracker_buttons(tracker: Tracker) -> Rows:
    this = f"/tracker {tracker.tracker_id}"
    refresh = shows("🔄 Refresh", this)
    if tracker.state is TrackerState.BLOCKED:
        return (
            (does("⚡ Exit now", f"{this} exit"), does("✖️ Abort", f"/abort {tracker.tracker_id}")),
            (refresh, does("❓ Why", f"{this} why")),
        )
    if not tracker.state.is_waiting:
        return ((refresh, does("❓ Why", f"{this} why")),)
    pause = (
        shows("▶️ Resume", f"{this} resume")
        if tracker.is_paused
        else does("⏸ Pause", f"{this} pause")
    )
    return (
        (pause, does("🔧 Change", f"{this} tighten"), refresh),
        (does("📈 Chart", f"/chart {tracker.symbol}"), does("❓ Why", f"{this} why")),
        (does("🗑 End it", f"{this} cancel"),),
    )


def _confirmed_words(spec: TrackerSpec) -> str:
    if spec.confirm.kind is ConfirmKind.TOUCH:
        return "the first price there is enough"
    return f"it has to stay there: {phrase.confirm(spec.confirm)}"
