"""What a slip of a finger could have written: the number is typed once more before it is done.

Nothing that only cuts risk is ever held up like this; a stop that would fire at once is no such
thing, for it sells what it was to keep.
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from bot.telegram.stepup import is_large
from trading.desk import OrderProposal, Proposal, TrackerProposal
from trading.domain.commands import ArmTracker, PlaceOrder
from trading.domain.money import ZERO, plain
from trading.domain.order import Side
from trading.domain.tracker import AmountKind, NextLevel, TrackerSpec

# A purchase of less, as a share of what the account is worth, is a usual one.
UNUSUAL_SHARE_MIN: Final = Decimal("0.25")
# The price moves as far as this many times a minute.
STOP_DISTANCE_MIN: Final = Decimal("0.0005")
_NUMBER: Final = re.compile(r"\d{1,20}(\.\d{1,20})?%?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Doubt:
    """What is unusual, in a sentence, and the number that a person types to mean it."""

    why: str
    number: str


def doubt_of(proposal: Proposal, notional_min: Decimal, *, needs_code: bool) -> Doubt | None:
    """Return what should be typed once more, None for the usual.

    A purchase worth `notional_min` or more is in doubt unless it asks for a code already; so is a
    stop closer to the price than `STOP_DISTANCE_MIN`.
    """
    if is_large(proposal, notional_min):
        return None if needs_code else _large(proposal)
    match proposal.facts:
        case TrackerProposal() as facts if facts.tracker.side is Side.SELL:
            return _near(facts)
        case _:
            return None


def is_meant(said: str, number: str) -> bool:
    """Whether what was typed is the number, perhaps with its currency behind it."""
    first, *rest = said.split() or [""]
    if not _NUMBER.fullmatch(first) or len(rest) > 1:
        return False
    return Decimal(first.rstrip("%")) == Decimal(number.rstrip("%"))


def _large(proposal: Proposal) -> Doubt | None:
    match proposal.facts:
        case OrderProposal(notional=value, instrument=instrument):
            pass
        case TrackerProposal(tracker=tracker, instrument=instrument, price=price):
            value = tracker.quote or tracker.quantity * price
        case _:
            return None
    # Whole units, for a phone; a coin that is worth thousands has none to spare.
    about = plain(Decimal(round(value) if value >= 100 else value.normalize()))
    return Doubt(f"This buys for about {about} {instrument.quote}.", _ordered(proposal) or about)


def _ordered(proposal: Proposal) -> str:
    """What a person has named to be spent, as it is written; empty where it follows from more."""
    match proposal.command:
        case PlaceOrder(amount=amount) | ArmTracker(spec=TrackerSpec(amount=amount)):
            return plain(amount.value) if amount.kind is AmountKind.QUOTE else ""
        case _:
            return ""


def _near(facts: TrackerProposal) -> Doubt | None:
    tracker, level = facts.tracker, facts.level
    if facts.next_level is not NextLevel.FIRES:
        return None
    if tracker.distance is not None:
        # Of its own, and not of the level, which the price's grid has rounded.
        share = tracker.distance
        number = f"{plain(share * 100)}%"
    elif level is not None and facts.price > ZERO:
        share = (facts.price - level) / facts.price
        number = plain(level)
    else:
        return None
    if share >= STOP_DISTANCE_MIN:
        return None
    shown = plain(round(share * 100, 3))
    return Doubt(f"{shown}% below the price: it sells almost at once.", number)
