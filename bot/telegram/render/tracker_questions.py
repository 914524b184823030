"""The questions about a tracker: before it is armed, and before a live one is loosened."""

from decimal import Decimal

from bot.telegram import phrase
from bot.telegram.render.text import (
    Code,
    Line,
    down,
    gain,
    only_backstop,
    price,
    quantity,
)
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
        owned(tracker),
        f"Price now {price(proposal.price, instrument)}",
    ]
    if proposal.level is not None:
        lines.append(f"{LEVELS[proposal.next_level]} {price(proposal.level, instrument)}")
    if tracker.hard_stop_price is not None:
        lines.append(f"Hard stop {price(tracker.hard_stop_price, instrument)}")
    quote = instrument.quote
    lines.append(protection(proposal.is_protecting, tracker.side, proposal.worst_case, quote))
    lines.extend(slipped(tracker, proposal.worst_case, proposal.price))
    lines.extend(spec_lines(tracker))
    if tracker.spec.backstop is not None:
        lines.extend(_public(tracker.spec.backstop, instrument))
        lines.extend(down(_worst_down(tracker, proposal.price), instrument.quote))
    lines.extend(proposal.notes)
    lines.append(Code(phrase.phrase(ArmTracker(tracker.spec))))
    return title, lines


def _public(backstop: Decimal, instrument: Instrument) -> list[Line]:
    return [
        f"Backstop {price(backstop, instrument)} on the exchange:",
        "  works while I am down, is seen there, locks its coins",
    ]


def _worst_down(tracker: Tracker, now: Decimal | None) -> Decimal | None:
    """What a backstop alone would come to against the present price, None without one."""
    backstop = tracker.spec.backstop
    # What has to be bought first has no price yet.
    if backstop is None or now is None or tracker.side is Side.BUY:
        return None
    return (backstop - now) * tracker.quantity


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
        *_worst_lines(proposal, before, proposal.worst_case_before),
        f"new {_standing(after, instrument)}{new}",
        *_worst_lines(proposal, after, proposal.worst_case_after),
    ]
    lines.extend(_backstop_lines(before, after, instrument))
    less = before.quantity - after.quantity
    if before.side is Side.SELL and less > 0 and after.state.is_waiting:
        is_loss = proposal.worst_case_before is not None
        what = "will NOT be protected" if is_loss else "will not be watched"
        lines.append(f"⚠️ {quantity(less)} {instrument.base} {what}")
    return title, lines


def _backstop_lines(before: Tracker, after: Tracker, instrument: Instrument) -> list[Line]:
    had, has = before.spec.wants_backstop, after.spec.wants_backstop
    if after.spec.backstop is not None and not had:
        return _public(after.spec.backstop, instrument)
    if had and not has:
        return ["⚠️ Its order on the exchange is cancelled: while I am down, nothing sells"]
    return []


def _worst_lines(
    proposal: EditProposal, tracker: Tracker, worst_case: Decimal | None
) -> list[Line]:
    """What one side of a change may cost, and what it may cost while Umbra is down."""
    if tracker.side is Side.BUY:
        return []
    quote = proposal.instrument.quote
    lines: list[Line] = []
    if tracker.is_paused:
        lines.append(_while_paused(tracker, proposal.instrument))
    if worst_case is None:
        lines.append("  ⚠️ NOT PROTECTED if it falls")
    else:
        when = "once resumed: " if tracker.is_paused else ""
        lines.append(f"  {when}worst {gain(worst_case, quote)} before fees")
        lines.extend(slipped(tracker, worst_case, proposal.price))
    if any(each.spec.backstop is not None for each in (proposal.before, proposal.after)):
        stopped = down(_worst_down(tracker, proposal.price), quote)
        lines.extend(f"  {line}" for line in stopped or ["If Umbra is down: nothing sells"])
    return lines


def _while_paused(tracker: Tracker, instrument: Instrument) -> str:
    if tracker.spec.backstop is None:
        return "  paused, nothing watched"
    return f"  paused, {only_backstop(tracker.spec.backstop, instrument)}"


def _differing(before: TrackerSpec, after: TrackerSpec) -> tuple[str, str]:
    """The options that a change touches, in the words that set them, with what stands now."""
    old, new = phrase.options(before), phrase.options(after)
    changed = [name for name in old if old[name] != new[name]]
    was, now = ("".join(f", {words[name]}" for name in changed) for words in (old, new))
    return was, now


def _standing(tracker: Tracker, instrument: Instrument) -> str:
    if tracker.state is TrackerState.CANCELLED:
        return "ended, nothing watched"
    parts = [phrase.rule_now(tracker)]
    if tracker.stop_price is not None and tracker.spec.trail is not None:
        parts.append(f"fires at {price(tracker.stop_price, instrument)}")
    if tracker.hard_stop_price is not None:
        parts.append(f"hard stop {price(tracker.hard_stop_price, instrument)}")
    return f"{', '.join(parts)}, {short_owned(tracker)}"
