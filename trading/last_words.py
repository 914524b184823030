"""What a process that ends, or does not start, leaves undone, in words for people."""

from collections.abc import Container, Iterable
from decimal import Decimal

from trading import backstops
from trading.domain.instrument import base_and_quote
from trading.domain.money import grouped
from trading.domain.order import Attempt, AttemptState, Intent, Purpose, Side
from trading.domain.tracker import Tracker
from trading.ports.storage import StoredState

_NAMED_MAX = 8


def unsold(
    working: Iterable[Intent], acting: Iterable[Tracker], attempts: Iterable[Attempt]
) -> tuple[str, ...]:
    """Return a sentence per sale that was decided and is not done, those of trackers first.

    `working` are the decisions that have not ended, `acting` the trackers that have fired, one of
    which may have no decision yet; `attempts` are the orders whose end is not known.
    """
    sales = [one for one in working if one.side is Side.SELL]
    decided = {one.tracker_id: one for one in sales}
    left = {one.intent_id for one in attempts if one.state is not AttemptState.JOURNALED}
    fired = sorted((one for one in acting if one.side is Side.SELL), key=lambda one: one.tracker_id)
    sentences = []
    for tracker in fired:
        intent = decided.get(tracker.tracker_id)
        quantity = tracker.quantity if intent is None else intent.residual
        is_sent = intent is not None and intent.intent_id in left
        name = f"#{tracker.tracker_id} {tracker.symbol} HAS FIRED"
        sentences.append(f"{name} and {_undone(tracker.symbol, quantity, is_sent=is_sent)}")
    told = {tracker.tracker_id for tracker in fired}
    sentences += [
        f"of a sale, {_undone(one.symbol, one.residual, is_sent=one.intent_id in left)}"
        for one in sales
        if one.tracker_id not in told
    ]
    if len(sentences) > _NAMED_MAX:
        sentences[_NAMED_MAX:] = [f"{len(sentences) - _NAMED_MAX} more sales are NOT DONE"]
    return tuple(sentences)


def unsold_before(stored: StoredState, backstops: Container[str]) -> tuple[str, ...]:
    """Return the same of what a start has found and not taken up; `backstops` are decisions."""
    fired = [tracker for tracker in stored.trackers if tracker.state.is_acting]
    sales = [one for one in stored.intents if one.intent_id not in backstops]
    return unsold(sales, fired, stored.attempts)


def sold(ended: Iterable[Intent]) -> tuple[str, ...]:
    """Return a sentence per stop that has sold; `ended` are decisions that no record tells of."""
    return tuple(
        f"#{one.tracker_id} {one.symbol} has fired and sold {grouped(one.filled_quantity)} "
        f"{base_and_quote(one.symbol)[0]}"
        for one in ended
        if one.purpose is Purpose.PROTECT and one.filled_quantity
    )[:_NAMED_MAX]


def unwatched(stored: StoredState) -> tuple[str, ...]:
    """Return what nobody does while a start is refused: a sentence for each thing, from storage.

    Which stops are not watched, and what `left` says.
    """
    waiting = sorted(
        (one for one in stored.trackers if one.state.is_waiting), key=lambda one: one.tracker_id
    )
    if not waiting:
        return left(stored)
    names = [f"#{one.tracker_id} {one.symbol}" for one in waiting]
    if len(names) > _NAMED_MAX:
        names[_NAMED_MAX:] = [f"{len(names) - _NAMED_MAX} more"]
    return (f"PRIVATE STOPS ARE NOT WATCHED: {', '.join(names)}", *left(stored))


def left(stored: StoredState) -> tuple[str, ...]:
    """Return what was left by an agent that does not run: a sentence for each thing, from storage.

    Which stops have fired and are not sold, and which backstops the exchange held when it was last
    asked.
    """
    open_ = [one for one in stored.intents if not one.state.is_terminal]
    placed = {one.intent_id: one for one in open_ if one.purpose is Purpose.BACKSTOP}
    sales = [one for one in open_ if one.purpose is not Purpose.BACKSTOP]
    fired = [one for one in stored.trackers if one.state.is_acting]
    sentences = unsold(sales, fired, stored.attempts)
    if not stored.trackers:
        return sentences
    held = backstops.may_rest(placed, stored.attempts)
    return (*sentences, f"When Umbra last knew: {backstops.told(held)}")


def _undone(symbol: str, quantity: Decimal, *, is_sent: bool) -> str:
    amount = f"{grouped(quantity)} {base_and_quote(symbol)[0]}"
    return f"{amount} {'may be sold: its order was not answered' if is_sent else 'is NOT SOLD'}"
