"""Which stops should rest on the exchange, far below the private ones: what to place and withdraw.

A backstop protects while nobody watches, and is public and locks its coins while it rests; so it
is asked for tracker by tracker, follows its tracker's slice, and is gone before an exit sends.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from trading.domain.instrument import Instrument
from trading.domain.money import ZERO, plain
from trading.domain.order import Attempt, AttemptState, Intent, Side
from trading.domain.tracker import Tracker

# One whose cancel was asked for rests, too, until its end is proven.
RESTING = frozenset({AttemptState.OPEN, AttemptState.PARTIAL, AttemptState.PENDING_CANCEL})


@dataclass(frozen=True, slots=True)
class Place:
    """Put this tracker's backstop on the exchange."""

    tracker: Tracker
    quantity: Decimal
    stop_price: Decimal


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Take an order off the exchange, and why."""

    intent_id: str
    reason: str


def plan(
    trackers: Iterable[Tracker],
    resting: Collection[Intent],
    instruments: Mapping[str, Instrument],
    busy: Collection[str],
    leaving: Collection[str] = (),
    grows: Collection[str] = (),
) -> list[Place | Withdraw]:
    """Return what brings the backstops that rest in line with the trackers that want one.

    `busy` are symbols whose coins a person's own sale needs now: they must not be locked again.
    One that is too small gives way to a greater one where `grows` names it, by id. Of symbols that
    one is `leaving` none is placed: until its end is proven it may sell its coins.
    What has fired keeps its backstop until its own exit takes it off: a held exit may never send.
    """
    trackers = list(trackers)
    firing = {tracker.tracker_id for tracker in trackers if tracker.state.is_acting}
    wanted = {
        tracker.tracker_id: place
        for tracker in trackers
        if (place := _wish(tracker, instruments, busy)) is not None
    }
    acts: list[Place | Withdraw] = []
    standing = set()
    for intent in resting:
        place = wanted.get(intent.tracker_id or 0)
        if intent.tracker_id in firing:
            continue
        if place is None:
            acts.append(Withdraw(intent.intent_id, "its tracker does not wait any more"))
        elif intent.stop_price != place.stop_price or intent.quantity > place.quantity:
            acts.append(Withdraw(intent.intent_id, "its tracker has changed"))
        elif intent.intent_id in grows:
            acts.append(Withdraw(intent.intent_id, "more of its coins are free"))
        standing.add(intent.tracker_id)
    acts += [
        place
        for number, place in sorted(wanted.items())
        if number not in standing and place.tracker.symbol not in leaving
    ]
    return acts


def growing(
    orders: Iterable[tuple[Tracker, Intent, Attempt]],
    free: Mapping[str, Decimal],
    instruments: Mapping[str, Instrument],
) -> frozenset[str]:
    """Return the ids of those that rest with less than a slice, and whose rest is `free` now.

    `free` are the units of each asset that no order locks; what one would take, the next lacks.
    """
    left, found = dict(free), set()
    for tracker, intent, attempt in orders:
        instrument = instruments.get(intent.symbol)
        if instrument is None or attempt.state is not AttemptState.OPEN:
            continue
        lacking = instrument.at_market(tracker.quantity) - attempt.request.quantity
        if ZERO < lacking <= left.get(instrument.base, ZERO):
            left[instrument.base] -= lacking
            found.add(intent.intent_id)
    return frozenset(found)


def resting(
    decided: Mapping[str, Intent], attempts: Iterable[Attempt]
) -> list[tuple[Intent, Attempt]]:
    """Return those that the exchange holds: it has shown them, and their end is not proven.

    `decided` are the decisions to place one that have not ended, by id; `attempts` all orders
    without a known end.
    """
    return [
        (decided[attempt.intent_id], attempt)
        for attempt in attempts
        if attempt.state in RESTING and attempt.intent_id in decided
    ]


def may_rest(
    decided: Mapping[str, Intent], attempts: Iterable[Attempt]
) -> list[tuple[Intent, Attempt]]:
    """Return those that the exchange holds, and those of which nobody knows whether it does."""
    return [
        (decided[attempt.intent_id], attempt)
        for attempt in attempts
        if attempt.intent_id in decided and not attempt.state.is_terminal
    ]


def told(held: Iterable[tuple[Intent, Attempt]]) -> str:
    """Say which of them the exchange holds, for whoever reads that nothing else protects."""
    held = sorted(held, key=lambda pair: (pair[0].tracker_id or 0, pair[0].created_at))
    if not held:
        return "no backstop rests on the exchange"
    return f"backstops on the exchange: {', '.join(_named(*pair) for pair in held)}"


def _named(intent: Intent, attempt: Attempt) -> str:
    doubt = ", its cancel is asked for" * (attempt.state is AttemptState.PENDING_CANCEL)
    if attempt.state not in RESTING:
        doubt = ", not known whether it rests: its order was not answered"
    price = plain(intent.stop_price or ZERO)
    return f"#{intent.tracker_id or 0} {intent.symbol} at {price}{doubt}"


def _wish(
    tracker: Tracker, instruments: Mapping[str, Instrument], busy: Collection[str]
) -> Place | None:
    instrument = instruments.get(tracker.symbol)
    stop = tracker.spec.backstop
    if instrument is None or stop is None or tracker.symbol in busy:
        return None
    if tracker.side is not Side.SELL or not tracker.state.is_waiting:
        return None
    # Where the slice is more than one order takes, its card says how much has none.
    quantity, price = instrument.at_market(tracker.quantity), instrument.price_down(stop)
    return None if instrument.is_dust(quantity, price) else Place(tracker, quantity, price)
