"""What arming or resizing a tracker would do, before anybody is asked."""

from dataclasses import replace
from decimal import Decimal

from trading.desk import TrackerProposal
from trading.domain.money import ZERO, grouped
from trading.domain.order import Side
from trading.domain.time import to_ms
from trading.domain.tracker import Amount, ThenKind, TrackerSpec
from trading.proposals.holding import Holding
from trading.trackers import arming, rules, slices


def slice_for(amount: Amount, side: Side, holding: Holding, price: Decimal) -> slices.Slice:
    """Return the slice that a tracker of this amount would own; raises Refused."""
    instrument = holding.instrument
    if side is Side.SELL:
        holding.check_here()
    rivals = slices.rivals(holding.trackers, side, instrument)
    shared = holding.shared
    if side is Side.SELL:
        managed = max(shared.managed - holding.bound, ZERO)
        shared = replace(shared, managed=managed, held_back=holding.kept_from_trackers)
    return slices.allocate(amount, side, shared, rivals, instrument, price)


def tracker(
    spec: TrackerSpec, owner: tuple[int, int], holding: Holding, present: arming.Present
) -> tuple[arming.Armed, TrackerProposal]:
    """Check a tracker and say what arming it would do; raises Refused."""
    owned = slice_for(spec.amount, spec.first_side, holding, present.price)
    armed = arming.arm(spec, owner, owned, present, holding.instrument)
    worst = None
    if armed.is_protected and armed.worst_price is not None:
        worst = (armed.worst_price - present.price) * armed.tracker.quantity
    notes = armed.notes
    if armed.adopted:
        base = holding.instrument.base
        notes = (*notes, f"{grouped(armed.adopted)} {base} come under Umbra's care")
    notes = (*notes, *_cycle_notes(armed, holding, present.price))
    next_level, level = rules.next_level(armed.tracker, to_ms(present.at))
    proposal = TrackerProposal(
        tracker=armed.tracker,
        instrument=holding.instrument,
        price=present.price,
        is_protecting=armed.is_protected,
        worst_case=worst,
        notes=notes,
        level=level,
        next_level=next_level,
    )
    return armed, proposal


def _cycle_notes(armed: arming.Armed, holding: Holding, price: Decimal) -> tuple[str, ...]:
    """Say of a tracker that is to go round that as things are it will find nothing to go on."""
    new, instrument = armed.tracker, holding.instrument
    if new.spec.then.kind is not ThenKind.COOLDOWN:
        return ()
    if new.side is Side.SELL:
        owned = slices.to_sell(holding.trackers, instrument.symbol)
        left = holding.managed + armed.adopted - new.quantity - owned
        is_enough, what = not instrument.is_dust(max(left, ZERO), price), instrument.base
    else:
        left = holding.quote_free - new.quote
        is_enough, what = left >= instrument.notional_min, instrument.quote
    if is_enough:
        return ()
    verb = "sell" if new.side is Side.SELL else "buy"
    return (f"it can {verb} once and no more: no {what} is left for `then cooldown` after that",)
