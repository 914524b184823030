"""The life of one attempt: a table of states and what was observed, and how reports merge.

Merging is monotone: whatever order reports arrive in, and however often, the end is the same.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import Enum

from trading.domain.money import ZERO
from trading.domain.order import Attempt, AttemptState, Fill, OrderReport, OrderStatus


class Observed(Enum):
    """What can be observed of an attempt."""

    SENDING = "sending"
    NOT_SENT = "not_sent"
    REFUSED = "refused"
    LOST = "lost"
    CANCEL_ASKED = "cancel_asked"
    ABSENCE_PROVED = "absence_proved"
    SEEN_OPEN = "seen_open"
    SEEN_PARTIAL = "seen_partial"
    SEEN_FILLED = "seen_filled"
    SEEN_CANCELED = "seen_canceled"
    SEEN_EXPIRED = "seen_expired"
    SEEN_REJECTED = "seen_rejected"


_S, _O = AttemptState, Observed

_SEEN = {
    _O.SEEN_OPEN: _S.OPEN,
    _O.SEEN_PARTIAL: _S.PARTIAL,
    _O.SEEN_FILLED: _S.FILLED,
    _O.SEEN_CANCELED: _S.CANCELED,
    _O.SEEN_EXPIRED: _S.EXPIRED,
    _O.SEEN_REJECTED: _S.REJECTED,
}
_ENDS = {seen: state for seen, state in _SEEN.items() if state.is_terminal}
_TERMINAL_BY_REPORT = (_S.FILLED, _S.CANCELED, _S.EXPIRED, _S.REJECTED)

TRANSITIONS: dict[tuple[AttemptState, Observed], AttemptState] = {
    (_S.JOURNALED, _O.SENDING): _S.SENT,
    # Cancelled between the journal and the first byte, or found so at a restart: maybe sent.
    (_S.JOURNALED, _O.LOST): _S.UNKNOWN,
    (_S.JOURNALED, _O.NOT_SENT): _S.JOURNALED,
    (_S.JOURNALED, _O.REFUSED): _S.REJECTED,
    # Proven never to have left: the same attempt may go again, under the same id.
    (_S.SENT, _O.NOT_SENT): _S.JOURNALED,
    (_S.SENT, _O.REFUSED): _S.REJECTED,
    (_S.SENT, _O.LOST): _S.UNKNOWN,
    (_S.UNKNOWN, _O.LOST): _S.UNKNOWN,
    # Only here, and only with evidence, does an unseen order become an absent one.
    (_S.UNKNOWN, _O.ABSENCE_PROVED): _S.ABSENT,
    # A refusal that arrives after we gave up waiting still is the exchange's definitive word.
    (_S.UNKNOWN, _O.REFUSED): _S.REJECTED,
    (_S.OPEN, _O.CANCEL_ASKED): _S.PENDING_CANCEL,
    (_S.PARTIAL, _O.CANCEL_ASKED): _S.PENDING_CANCEL,
    # An order that was seen and is queried in vain: lists and queries lag, the order is still ours.
    (_S.OPEN, _O.LOST): _S.OPEN,
    (_S.PARTIAL, _O.LOST): _S.PARTIAL,
    (_S.PENDING_CANCEL, _O.LOST): _S.PENDING_CANCEL,
    (_S.PENDING_CANCEL, _O.CANCEL_ASKED): _S.PENDING_CANCEL,
    # An open report after a cancel was asked for says nothing about the cancel.
    (_S.PENDING_CANCEL, _O.SEEN_OPEN): _S.PENDING_CANCEL,
    (_S.PENDING_CANCEL, _O.SEEN_PARTIAL): _S.PENDING_CANCEL,
    # NEW after a partial fill is an old report that was overtaken.
    (_S.PARTIAL, _O.SEEN_OPEN): _S.PARTIAL,
    (_S.PARTIAL, _O.SEEN_PARTIAL): _S.PARTIAL,
    (_S.OPEN, _O.SEEN_OPEN): _S.OPEN,
    (_S.OPEN, _O.SEEN_PARTIAL): _S.PARTIAL,
    # Whatever is not known yet becomes what the exchange says, also before our own answer comes.
    **{
        (state, seen): found
        for state in (_S.JOURNALED, _S.SENT, _S.UNKNOWN)
        for seen, found in _SEEN.items()
    },
    **{
        (state, seen): found
        for state in (_S.OPEN, _S.PARTIAL, _S.PENDING_CANCEL)
        for seen, found in _ENDS.items()
    },
    # Late: proven absent, and then it appears. Facts win; the caller raises the alarm.
    **{(_S.ABSENT, seen): found for seen, found in _SEEN.items()},
    # Terminal beats open, whatever arrives afterwards.
    **{
        (state, seen): state
        for state in _TERMINAL_BY_REPORT
        for seen in (_O.SEEN_OPEN, _O.SEEN_PARTIAL, _O.LOST, _O.CANCEL_ASKED, _O.NOT_SENT)
    },
    # Two ends: `merge` has decided by the exchange's time which one is later, and passes that one.
    **{(state, seen): found for state in _TERMINAL_BY_REPORT for seen, found in _ENDS.items()},
    **{(state, _O.REFUSED): state for state in _TERMINAL_BY_REPORT},
    # A refusal of a request whose order has been seen: the sighting is the stronger fact.
    **{(state, _O.REFUSED): state for state in (_S.OPEN, _S.PARTIAL, _S.PENDING_CANCEL)},
}

# Equal times of two ends: what moved coins counts, whatever order they arrived in.
_RANK = {_S.REJECTED: 1, _S.EXPIRED: 2, _S.CANCELED: 3, _S.FILLED: 4}
_NEVER = datetime.min.replace(tzinfo=UTC)
_SEEN_OF = {
    OrderStatus.NEW: _O.SEEN_OPEN,
    OrderStatus.PARTIALLY_FILLED: _O.SEEN_PARTIAL,
    OrderStatus.FILLED: _O.SEEN_FILLED,
    OrderStatus.CANCELED: _O.SEEN_CANCELED,
    OrderStatus.EXPIRED: _O.SEEN_EXPIRED,
    OrderStatus.REJECTED: _O.SEEN_REJECTED,
}


def next_state(state: AttemptState, observed: Observed) -> AttemptState:
    """Return the state after an observation; one that the table does not list is our own error."""
    try:
        return TRANSITIONS[state, observed]
    except KeyError:
        raise ValueError(
            f"attempt in state {state.value} should not see {observed.value}"
        ) from None


def advance(attempt: Attempt, observed: Observed, reason: str = "") -> Attempt:
    """Return the attempt after an observation of our own."""
    state = next_state(attempt.state, observed)
    if state is attempt.state:
        return attempt
    return replace(attempt, state=state, reason=reason or attempt.reason)


@dataclass(frozen=True, slots=True)
class Merged:
    """An attempt after a report: what is new, and whether the report should not have come."""

    attempt: Attempt
    fills: tuple[Fill, ...]
    is_changed: bool
    is_late: bool
    is_contradiction: bool


def merge(attempt: Attempt, report: OrderReport, known: Mapping[str, Fill]) -> Merged:
    """Apply what the exchange says: filled is a maximum, fills are a set, ends beat open.

    `known` are the fills of this attempt booked before, by trade id.
    """
    observed = _SEEN_OF[report.status]
    fills = _new_fills(report.fills, known)
    booked = sum((fill.quantity for fill in (*known.values(), *fills)), ZERO)
    filled = max(attempt.filled_quantity, report.filled_quantity, booked)
    is_end, was_end = report.status.is_terminal, attempt.state in _TERMINAL_BY_REPORT
    takes = not (is_end and was_end) or _is_later(attempt, report)
    state = next_state(attempt.state, observed) if takes else attempt.state
    if state in {_S.OPEN, _S.PARTIAL}:
        state = _S.PARTIAL if filled > 0 else _S.OPEN
    changed = replace(
        attempt,
        state=state,
        filled_quantity=filled,
        exchange_order_id=attempt.exchange_order_id or report.exchange_order_id or None,
        reason=report.reason or attempt.reason if state is not attempt.state else attempt.reason,
        reported_at=_reported_at(attempt, report, takes),
    )
    is_changed = bool(fills) or replace(changed, reported_at=attempt.reported_at) != attempt
    return Merged(
        attempt=changed,
        fills=fills,
        is_changed=is_changed,
        is_late=attempt.state is _S.ABSENT,
        # A rejection that we inferred from an answer and a sighting of the order, too.
        is_contradiction=is_end and was_end and not _is_one_end(_ENDS[observed], attempt.state),
    )


def _is_one_end(first: AttemptState, second: AttemptState) -> bool:
    # Whose word for an order without its rest it is differs between exchanges and their doors.
    return first is second or {first, second} == {_S.CANCELED, _S.EXPIRED}


def _new_fills(fills: Iterable[Fill], known: Mapping[str, Fill]) -> tuple[Fill, ...]:
    found: dict[str, Fill] = {}
    for fill in fills:
        if fill.trade_id not in known:
            found.setdefault(fill.trade_id, fill)
    return tuple(found.values())


def _is_later(attempt: Attempt, report: OrderReport) -> bool:
    theirs = (report.updated_at, _RANK[_ENDS[_SEEN_OF[report.status]]])
    return theirs > (attempt.reported_at or _NEVER, _RANK[attempt.state])


def _reported_at(attempt: Attempt, report: OrderReport, takes: bool) -> datetime | None:
    if report.status.is_terminal:
        return report.updated_at if takes else attempt.reported_at
    return attempt.reported_at
