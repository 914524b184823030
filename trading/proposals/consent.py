"""What a question said, and whether what it asked for is still that when the answer comes."""

import hashlib
import json
from dataclasses import asdict, replace
from decimal import Decimal

from trading.decide import SizedOrder
from trading.desk import Shown
from trading.domain.commands import EditTracker, PlaceOrder
from trading.domain.errors import Outgrown, Refused
from trading.domain.money import EXACT, ONE, ZERO, plain
from trading.domain.order import Side
from trading.domain.tracker import Amount, AmountKind, Tracker, TrackerSpec
from trading.proposals.holding import Holding


def shown_of_tracker(tracked: Tracker, adopted: Decimal) -> Shown:
    """Return what a question says of a tracker's amount."""
    size = tracked.quantity if tracked.side is Side.SELL else tracked.quote
    return Shown(size, adopted)


def shown_of_order(command: PlaceOrder, sized: SizedOrder, holding: Holding) -> Shown:
    """Return what a question says of an order's amount."""
    is_relative = command.amount.kind in {AmountKind.ALL, AmountKind.SHARE}
    if command.side is Side.BUY:
        return Shown(sized.quote_budget if is_relative else None)
    adopted = max(sized.quantity - holding.managed, ZERO)
    return Shown(sized.quantity if is_relative else None, adopted)


def shown_of_edit(before: Tracker, after: Tracker, adopted: Decimal, command: EditTracker) -> Shown:
    """Return what a question says of a change: its beginning, and the amount if that changes."""
    rules = hashlib.sha256(_written(before.spec).encode()).hexdigest()[:8]
    if command.amount is None:
        return Shown(adopted=adopted, rules=rules)
    return replace(shown_of_tracker(after, adopted), rules=rules)


def _written(spec: TrackerSpec) -> str:
    # The same before and after it was stored: several objects stand for one zone, one text does.
    return json.dumps(asdict(spec), default=str)


def as_shown(command: PlaceOrder, holding: Holding, shown: Shown | None) -> PlaceOrder:
    """Return a sale of a share as one of coins, where a question has said how many these are."""
    is_share = command.side is Side.SELL and command.amount.kind is AmountKind.SHARE
    if not is_share or shown is None or not holding.held:
        return command
    wanted = share_of(holding.held, command.amount.value, shown)
    return replace(command, amount=Amount(AmountKind.BASE, wanted))


def share_of(held: Decimal, share: Decimal, shown: Shown | None) -> Decimal:
    """Return a share of what is held: never less than the question said while as much is there.

    Half of what another sale has left meanwhile would be a quarter, which nobody has asked for.
    """
    said = ZERO if shown is None or shown.size is None else shown.size
    return max(EXACT.multiply(held, share), min(said, held))


def check_growth(now: Shown, shown: Shown | None, verb: str) -> None:
    """Refuse what has outgrown its question: it would `verb` more, or other people's coins."""
    if shown is None:
        return
    if now.size is not None and shown.size is not None and now.size > shown.size:
        raise Outgrown(
            f"it would {verb} {plain(now.size)} now, the question said {plain(shown.size)}"
        )
    if now.adopted > shown.adopted:
        raise Outgrown(
            f"{plain(now.adopted)} of it are coins that Umbra does not manage now, the question "
            f"said {plain(shown.adopted)}"
        )


def check_drift(reference: Decimal | None, price: Decimal, drift_max: Decimal) -> None:
    """Refuse to add risk at a price that is no longer the one that the person saw."""
    if reference is None:
        return
    drift = abs(price / reference - ONE)
    if drift > drift_max:
        raise Refused(
            f"the price moved {plain(round(drift * 100, 2))}% to {plain(price)} since the card, "
            f"at most {plain(drift_max * 100)}% is taken as a yes"
        )
