"""The questions about a tracker: before it is armed, and before a live one is loosened."""

from decimal import Decimal

from bot.telegram import phrase
from bot.telegram.render.text import Code, Line, down, price, quantity, signed
from bot.telegram.render.tracker_words import (
    KINDS,
    LEVELS,
    owned,
    protection,
    short_owned,
    slipped,
    spec_lines,
)
from trading.desk import EditProposal, TrackerProposal
from trading.domain.commands import ArmTracker
from trading.domain.instrument import Instrument
from trading.domain.order import Side
from trading.domain.tracker import Tracker, TrackerSpec, TrackerState


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
        lines.append(f"{LEVELS[proposal.next_level]} {price(proposal.level, instrument)}")
    if tracker.hard_stop_price is not None:
        lines.append(f"Hard stop {price(tracker.hard_stop_price, instrument)}")
    lines.append(protection(proposal.is_protecting, tracker.side, proposal.worst_case, instrument))
    lines.extend(slipped(tracker, proposal.worst_case, proposal.price))
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
        *slipped(before, proposal.worst_case_before, proposal.price),
        f"new {_standing(after, instrument)}{new}",
        *_worst_lines(after, proposal.worst_case_after, instrument),
        *slipped(after, proposal.worst_case_after, proposal.price),
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
    return f"{', '.join(parts)}, {short_owned(tracker, instrument)}"
