"""The word *protected*: which live rule fires below the present price, and what is left open."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from trading.domain.instrument import Instrument
from trading.domain.money import ZERO
from trading.domain.order import Side
from trading.domain.tracker import Tracker, TrackerState
from trading.trackers import rules

_EXITING = frozenset({TrackerState.TRIGGERED, TrackerState.EXITING})


@dataclass(frozen=True, slots=True)
class Protection:
    """Whether one tracker protects its coins now, at which worst price, and in one word why.

    `is_by_backstop`: nothing but its stop on the exchange would sell.
    """

    is_protected: bool
    worst_price: Decimal | None
    word: str
    is_by_backstop: bool = False


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of a managed quantity is protected; `worst_value` in quote, open coins at 0."""

    symbol: str
    managed: Decimal
    protected: Decimal
    worst_value: Decimal
    tracker_ids: tuple[int, ...]

    @property
    def unprotected(self) -> Decimal:
        """Base units that no live rule would sell."""
        return max(self.managed - self.protected, ZERO)


def of(
    tracker: Tracker,
    price: Decimal | None,
    at_ms: int,
    backstop: Decimal | None = None,
    *,
    can_act: bool = True,
) -> Protection:
    """Say whether a tracker protects a holding: a live rule below the present price, or a backstop.

    Without a price nothing can be called protected, except by a live backstop; nor can what only
    watches, because everything is halted or nothing reaches the exchange: then not `can_act`.
    """
    if tracker.side is not Side.SELL or tracker.state.is_terminal:
        return Protection(False, None, "nothing held")
    if tracker.state in _EXITING and can_act:
        if backstop is not None:
            # Its coins are locked until the backstop is gone: nothing else sells them before that.
            return Protection(True, backstop, "selling", is_by_backstop=True)
        return Protection(True, rules.worst_price(tracker, at_ms), "selling")
    word = _open_word(tracker)
    if can_act and tracker.state.is_waiting and not tracker.is_paused:
        worst = rules.worst_price(tracker, at_ms)
        if worst is not None and price is not None and worst < price:
            return Protection(True, worst, "protected")
    if backstop is not None:
        return Protection(True, backstop, "backstop only", is_by_backstop=True)
    return Protection(False, None, word)


def is_too_little(quantity: Decimal, instrument: Instrument | None, price: Decimal | None) -> bool:
    """Whether no order could sell so little: it needs no protection, and nothing can give it any.

    Without a price only the exchange's step counts; of a market that is gone nothing is too little.
    """
    if instrument is None:
        return False
    if price is None:
        return quantity < instrument.quantity_step
    return instrument.is_dust(quantity, price)


def coverage(
    symbol: str, managed: Decimal, states: Iterable[tuple[Tracker, Protection]]
) -> Coverage:
    """Sum what the trackers of a symbol, each with what `of` says, protect of its managed part."""
    protected = worst_value = ZERO
    ids = []
    for tracker, state in states:
        if tracker.symbol == symbol and state.is_protected:
            protected += tracker.quantity
            worst_value += tracker.quantity * (state.worst_price or ZERO)
            ids.append(tracker.tracker_id)
    return Coverage(symbol, managed, min(protected, managed), worst_value, tuple(ids))


def _open_word(tracker: Tracker) -> str:
    if tracker.state is TrackerState.BLOCKED:
        return "UNPROTECTED"
    if tracker.is_paused:
        return "paused, not protected"
    return "not protected below"
