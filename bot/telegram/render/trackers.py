"""Tracker cards: where a private stop stands, what it protects, what may be done about it."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

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
    card_text,
    count,
    down,
    money,
    only_backstop,
    percent,
    price,
    quantity,
    signed,
    unsigned_percent,
)
from trading.desk import EditProposal, TrackerProposal
from trading.domain.commands import ArmTracker
from trading.domain.instrument import Instrument
from trading.domain.money import EXACT
from trading.domain.order import Side
from trading.domain.tracker import (
    ConfirmKind,
    NextLevel,
    PriceKind,
    Then,
    Tracker,
    TrackerKind,
    TrackerSpec,
    TrackerState,
)
from trading.overview import EndedTrackerView, Signature, TrackerView

KINDS = {
    TrackerKind.STOP: "protective stop",
    TrackerKind.TRAIL: "trailing stop",
    TrackerKind.TAKE_PROFIT: "take profit",
    TrackerKind.DIP: "buy the dip",
    TrackerKind.BREAKOUT: "breakout buy",
    TrackerKind.LINES: "lines",
}
_STATES = {
    TrackerState.WATCHING: "👀 watching",
    TrackerState.TRAILING: "🎯 trailing",
    TrackerState.RESTING: "💤 resting until the band",
    TrackerState.TRIGGERED: "⚡ triggered",
    TrackerState.EXITING: "⚡ at work",
    TrackerState.BLOCKED: "🚨 BLOCKED",
    TrackerState.CLOSED: "✅ closed",
    TrackerState.DUST: "✅ closed, dust left",
    TrackerState.CANCELLED: "✖️ cancelled",
    TrackerState.CLOSED_EXTERNAL: "✖️ closed elsewhere",
    TrackerState.EXPIRED: "✖️ expired",
    TrackerState.ABORTED: "✖️ given up",
}


_LEVELS = {
    NextLevel.FIRES: "Fires at",
    NextLevel.TOUCH: "Touch at",
    NextLevel.BAND: "Watches again at",
}

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


def _level_words(view: TrackerView) -> str:
    if view.is_held and not view.tracker.is_paused and view.next_level is NextLevel.FIRES:
        return "HELD, would fire at"
    return (_PAUSED_LEVELS if view.tracker.is_paused else _LEVELS)[view.next_level]


def state_name(tracker: Tracker) -> str:
    """Where a tracker stands, in the words of cards and alerts."""
    if tracker.is_paused:
        return "⏸ PAUSED"
    if tracker.state is TrackerState.TRAILING and tracker.distance is None:
        # Nothing is trailed by a level that stands still.
        return "👀 watching"
    return _STATES[tracker.state]


def kind_name(tracker: Tracker) -> str:
    """What sort of tracker it is; in a later half of a swing what it was set up as is over."""
    return "swing" if tracker.is_swinging else KINDS[tracker.spec.kind]


def tracker_card(view: TrackerView, headline: str = "") -> Card:
    """One tracker with everything about it and its buttons."""
    tracker = view.tracker
    title = headline or f"{state_name(tracker)} · {tracker.symbol} #{tracker.tracker_id}"
    lines: list[Line] = []
    if headline:
        lines.append(f"{state_name(tracker)} · {tracker.symbol} #{tracker.tracker_id}")
    lines.append(f"{kind_name(tracker)}: {phrase.rule_now(tracker)}")
    lines.append(owned(tracker, view.instrument))
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


def ended_card(view: EndedTrackerView) -> Card:
    """What a tracker's card says once nothing is watched any more."""
    tracker, intent, instrument = view.tracker, view.intent, view.instrument
    title = f"{state_name(tracker)} · {tracker.symbol} #{tracker.tracker_id}"
    lines: list[Line] = [f"{KINDS[tracker.spec.kind]}: {phrase.rule(tracker.spec)}"]
    if intent is not None and intent.filled_quantity > 0:
        # Not "Sold": the news is told once, by the message that announces it.
        lines.append(f"done: {quantity(intent.filled_quantity)} {instrument.base}")
        lines.append(f"at {price(intent.average_price, instrument)} {instrument.quote} on average")
    lines.append("Nothing is watched any more")
    if tracker.reason:
        lines.append(tracker.reason)
    row = (does("📊 Status", "/status"), does("📜 History", "/history"))
    return Card(card_text(title, *lines), (row,), name=card_name(tracker.tracker_id))


def owned(tracker: Tracker, instrument: Instrument) -> str:
    """The slice a tracker owns."""
    if tracker.side is Side.BUY:
        return f"spends up to {money(tracker.quote)} {instrument.quote}"
    return f"sells {quantity(tracker.quantity)} {instrument.base}"


def _place_lines(view: TrackerView) -> list[Line]:
    tracker, instrument = view.tracker, view.instrument
    old = f" ({age(view.price_age_s)} old)" if view.price_age_s is not None else ""
    lines: list[Line] = [f"Price {price(view.price, instrument)}{old}"]
    if tracker.state.is_acting:
        lines.append(f"It has fired: {_at_work(tracker)}")
    elif view.level is not None:
        gap = f" ({percent(view.gap)})" if view.gap is not None else ""
        lines.append(f"{_level_words(view)} {price(view.level, instrument)}{gap}")
    if tracker.record_price is not None and tracker.distance is not None:
        record = price(tracker.record_price, instrument)
        lines.append(f"Record {record}, trail {unsigned_percent(tracker.distance)}")
    if view.hard_stop is not None:
        lines.append(_hard_stop(view))
    return lines


def _hard_stop(view: TrackerView) -> str:
    gap = f" ({percent(view.hard_stop_gap)})" if view.hard_stop_gap is not None else ""
    return f"Hard stop {price(view.hard_stop, view.instrument)}{gap}"


def protection(
    is_protecting: bool, side: Side, worst_case: Decimal | None, instrument: Instrument
) -> str:
    """Whether this rule fires below the present price, and what that costs."""
    if side is Side.BUY:
        return "No position yet: nothing to protect"
    if not is_protecting:
        return "⚠️ NOT PROTECTED if it falls"
    if worst_case is None:
        return "🛡 protected"
    return f"🛡 protected, worst {signed(worst_case)} {instrument.quote} before fees"


def _slipped(tracker: Tracker, worst_case: Decimal | None, now: Decimal | None) -> list[Line]:
    """What a sale at the far end of the slippage that is allowed comes to; empty without a bound.

    The worst case beside it is of a sale where the stop fires.
    """
    share = tracker.spec.slippage_max
    if share is None or worst_case is None or now is None or tracker.side is Side.BUY:
        return []
    more = EXACT.multiply(now * tracker.quantity + worst_case, share)
    return [f"  slipping {unsigned_percent(share)}: worst {signed(worst_case - more)}"]


def _protection_now(view: TrackerView) -> list[Line]:
    tracker = view.tracker
    has_bought = tracker.spec.first_side is Side.BUY and tracker.last_fill_price is not None
    if tracker.side is Side.BUY and has_bought and not tracker.is_swinging:
        # It buys again and again: what it bought is there, and no business of its own.
        return ["⚠️ It sells nothing: what it bought needs a stop of its own"]
    if (hindered := _hindrance(view)) and view.worst_case is None:
        return hindered
    if view.only_backstop is not None:
        worst = f"worst {signed(view.worst_case)} {view.instrument.quote} before fees"
        return [*(hindered or _alone(view)), worst]
    return [
        protection(view.is_protecting, tracker.side, view.worst_case, view.instrument),
        *_slipped(tracker, view.worst_case, view.price),
        *down(view.worst_case_down, view.instrument.quote),
    ]


def _alone(view: TrackerView) -> list[Line]:
    if view.only_backstop is None:
        return []
    return [f"⚠️ {only_backstop(view.only_backstop, view.instrument)}"]


def _hindrance(view: TrackerView) -> list[Line]:
    """That its stop does not sell now, and what does instead; empty where it can."""
    if view.tracker.side is Side.BUY or not (view.is_held or view.is_blind):
        return []
    return [HELD if view.is_held else BLIND, *_alone(view)]


def spec_lines(tracker: Tracker) -> list[Line]:
    """The options that differ from the defaults; what waits is told with its hard bound."""
    spec = tracker.spec
    lines: list[Line] = []
    if spec.confirm.kind is not ConfirmKind.TOUCH:
        bounded = replace(spec.confirm, loss_max=round(tracker.loss_max, 4))
        lines.append(f"Confirm {phrase.confirm(bounded)}")
    elif spec.confirm.loss_max is not None:
        lines.append(f"Confirm {phrase.confirm(spec.confirm)}")
    if spec.then != Then():
        lines.append(f"Then {phrase.then(spec.then)}")
    if spec.stop_share is not None:
        lines.append(f"Stop {unsigned_percent(spec.stop_share)} from the entry")
    if spec.slippage_max is not None:
        lines.append(f"Slippage at most {unsigned_percent(spec.slippage_max)}")
    if spec.price_kind is not PriceKind.DECISION:
        lines.append(f"Decides on the {spec.price_kind.value} price")
    return lines


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


def trackers_card(views: Sequence[TrackerView], page: int = 1) -> Card:
    """Every live tracker, nearest to fire first, each with a button of its own."""
    if not views:
        text = card_text("📍 No tracker is watching", "Start one:", Code("/track"))
        return Card(text, ((does("🎯 Track", "/track"),),))
    pages, shown = paged(views, page)
    lines: list[Line] = []
    picks = []
    for view in shown:
        tracker = view.tracker
        gap = f" ({percent(view.gap)})" if view.gap is not None else ""
        lines.append(f"#{tracker.tracker_id} {tracker.symbol} {state_name(tracker)}")
        lines.append(
            f"  {phrase.short_rule_now(tracker)} · {_short_owned(tracker, view.instrument)}"
        )
        is_acting = tracker.state.is_acting
        if is_acting:
            lines.append(f"  {_at_work(tracker)}")
        elif view.level is not None:
            words = _level_words(view)
            if words == _LEVELS[view.next_level]:
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


def _warnings(view: TrackerView) -> list[Line]:
    """What a row of the list must not keep quiet about."""
    tracker = view.tracker
    if tracker.side is Side.BUY:
        return []
    if warned := _hindrance(view) or _alone(view):
        return warned
    return [] if view.is_protecting or tracker.state.is_acting else ["⚠️ NOT PROTECTED if it falls"]


def _at_work(tracker: Tracker) -> str:
    """What a tracker that has fired does now."""
    word = "sell" if tracker.side is Side.SELL else "buy"
    return f"cannot {word} yet" if tracker.state is TrackerState.BLOCKED else f"{word}ing …"


def _short_owned(tracker: Tracker, instrument: Instrument) -> str:
    if tracker.side is Side.BUY:
        return f"{money(tracker.quote)} {instrument.quote}"
    return f"{quantity(tracker.quantity)} {instrument.base}"


def proposal_lines(proposal: TrackerProposal) -> tuple[str, list[Line]]:
    """Title and lines of the question before a tracker is armed."""
    tracker, instrument = proposal.tracker, proposal.instrument
    title = f"❔ {tracker.symbol} {KINDS[tracker.spec.kind]}?"
    lines: list[Line] = [
        phrase.rule(tracker.spec),
        owned(tracker, instrument),
        f"Price now {price(proposal.price, instrument)}",
    ]
    if proposal.level is not None:
        lines.append(f"{_LEVELS[proposal.next_level]} {price(proposal.level, instrument)}")
    if tracker.hard_stop_price is not None:
        lines.append(f"Hard stop {price(tracker.hard_stop_price, instrument)}")
    lines.append(protection(proposal.is_protecting, tracker.side, proposal.worst_case, instrument))
    lines.extend(_slipped(tracker, proposal.worst_case, proposal.price))
    lines.extend(spec_lines(tracker))
    if tracker.spec.backstop is not None:
        lines.append(f"Backstop {price(tracker.spec.backstop, instrument)} on the exchange:")
        lines.append("  works while I am down, is seen there, locks its coins")
        lines.extend(_down_then(proposal, tracker.spec.backstop))
    lines.extend(proposal.notes)
    lines.append(Code(phrase.phrase(ArmTracker(tracker.spec))))
    return title, lines


def _down_then(proposal: TrackerProposal, backstop: Decimal) -> list[Line]:
    tracker = proposal.tracker
    # What has to be bought first has no price yet.
    if tracker.side is Side.BUY:
        return []
    return down((backstop - proposal.price) * tracker.quantity, proposal.instrument.quote)


def edit_lines(proposal: EditProposal) -> tuple[str, list[Line]]:
    """Title and lines of the question before a live tracker is loosened."""
    before, after = proposal.before, proposal.after
    instrument = proposal.instrument
    title = f"❔ Loosen #{before.tracker_id} {before.symbol}?"
    if not proposal.is_loosening:
        title = f"❔ Change #{before.tracker_id} {before.symbol}?"
    old, new = _differing(before.spec, after.spec)
    lines: list[Line] = [
        f"was {_standing(before, instrument)}{old}",
        *_worst_lines(before, proposal.worst_case_before, instrument),
        f"new {_standing(after, instrument)}{new}",
        *_worst_lines(after, proposal.worst_case_after, instrument),
    ]
    lines.extend(_backstop_lines(before, after))
    less = before.quantity - after.quantity
    if before.side is Side.SELL and less > 0 and after.state.is_waiting:
        is_loss = proposal.worst_case_before is not None
        what = "will NOT be protected" if is_loss else "will not be watched"
        lines.append(f"⚠️ {quantity(less)} {instrument.base} {what}")
    return title, lines


def _backstop_lines(before: Tracker, after: Tracker) -> list[Line]:
    had, has = (
        each.spec.backstop is not None or each.spec.backstop_share is not None
        for each in (before, after)
    )
    if not had or has:
        return []
    return ["⚠️ Its order on the exchange is cancelled: while I am down, nothing sells"]


def _worst_lines(
    tracker: Tracker, worst_case: Decimal | None, instrument: Instrument
) -> list[Line]:
    if worst_case is not None:
        return [f"  worst {signed(worst_case)} {instrument.quote} before fees"]
    return ["  ⚠️ NOT PROTECTED if it falls"] if tracker.side is Side.SELL else []


def _differing(before: TrackerSpec, after: TrackerSpec) -> tuple[str, str]:
    """The options that a change touches, in the words that set them, with what stands now."""
    old, new = phrase.options(before), phrase.options(after)
    changed = [name for name in old if old[name] != new[name]]
    was, now = ("".join(f", {words[name]}" for name in changed) for words in (old, new))
    return was, now


def _standing(tracker: Tracker, instrument: Instrument) -> str:
    if tracker.state is TrackerState.CANCELLED:
        return "ended, nothing watched"
    if tracker.is_paused:
        return "paused, nothing watched"
    parts = [phrase.rule_now(tracker)]
    if tracker.stop_price is not None and tracker.spec.trail is not None:
        parts.append(f"fires at {price(tracker.stop_price, instrument)}")
    if tracker.hard_stop_price is not None:
        parts.append(f"hard stop {price(tracker.hard_stop_price, instrument)}")
    return f"{', '.join(parts)}, {_short_owned(tracker, instrument)}"


PRICES = {
    PriceKind.DECISION: "the last trade, else the middle of bid and ask",
    PriceKind.LAST: "the last trade",
    PriceKind.BID: "the bid",
    PriceKind.MID: "the middle of bid and ask",
}


def _confirmed_words(spec: TrackerSpec) -> str:
    if spec.confirm.kind is ConfirmKind.TOUCH:
        return "the first price there is enough"
    return f"it has to stay there: {phrase.confirm(spec.confirm)}"


def why_card(view: TrackerView) -> Card:
    """What has to happen before this tracker acts, in order, and where each step stands."""
    tracker, instrument = view.tracker, view.instrument
    spec = tracker.spec
    steps = [f"armed {tracker.armed_at:%b %d %H:%M} UTC ✓"]
    if tracker.touched_at is not None:
        steps.append(f"touched {tracker.touched_at:%H:%M:%S} ✓")
    if view.level is not None:
        steps.append(
            f"price {price(view.price, instrument)} has to reach "
            f"{price(view.level, instrument)} ({percent(view.gap)}){_AFTERWARDS[view.next_level]}"
        )
    steps.append(_confirmed_words(spec))
    steps.append(f"the price is {PRICES[spec.price_kind]}")
    steps.append("paused: nothing fires ✗" if tracker.is_paused else "not paused ✓")
    lines: list[Line] = [f"{number}. {step}" for number, step in enumerate(steps, start=1)]
    title = f"❓ Why #{tracker.tracker_id} {state_name(tracker)}"
    return Card(card_text(title, *lines, *view.notes))
