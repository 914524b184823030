"""What an order or a closing would do: pure sizing and estimates, before anybody is asked."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from decimal import Decimal

from trading.decide import SizedOrder
from trading.desk import CloseLine, OrderProposal, Shown, Shrinkage, TrackerProposal
from trading.domain.commands import EditTracker, PlaceOrder
from trading.domain.errors import Outgrown, Refused
from trading.domain.instrument import Instrument
from trading.domain.market import OrderBook, Quote
from trading.domain.money import EXACT, ONE, ZERO, plain, rounded
from trading.domain.order import Purpose, Side
from trading.domain.position import Portfolio
from trading.domain.time import to_ms
from trading.domain.tracker import Amount, AmountKind, ThenKind, Tracker, TrackerSpec
from trading.trackers import arming, rules, slices


@dataclass(frozen=True, slots=True)
class Holding:
    """What is true of one instrument while a command is checked."""

    instrument: Instrument
    portfolio: Portfolio
    trackers: Sequence[Tracker]
    exiting: Decimal = ZERO
    # Quote and base units that sell orders of ours lock, base units that others of them may lock,
    # base units that open purchases may spend, and those that others of them may have bought.
    offered: Decimal = ZERO
    offered_base: Decimal = ZERO
    in_doubt: Decimal = ZERO
    reserved: Decimal = ZERO
    arriving: Decimal = ZERO

    @property
    def managed(self) -> Decimal:
        """Managed base units that no exit is already selling."""
        return max(self.portfolio.managed(self.instrument.symbol) - self.exiting, ZERO)

    @property
    def held(self) -> Decimal:
        """Base units that `all` and shares are of: those managed, else those that nobody does."""
        return self.managed - self.bound or self.available

    @property
    def unmanaged(self) -> Decimal:
        """Base units that no position manages, no order locks and no open purchase claims.

        What a purchase has just bought is managed as soon as it is booked.
        """
        spendable = self.portfolio.spendable(self.instrument.base, self.offered_base)
        return min(self.unclaimed, max(spendable - self.arriving, ZERO))

    @property
    def unclaimed(self) -> Decimal:
        """The same with those that orders of others lock."""
        claimed = self.reserved + self.arriving
        return max(self.portfolio.unmanaged(self.instrument.base) - claimed, ZERO)

    @property
    def bound(self) -> Decimal:
        """Managed base units that orders of others lock, as far as this market needs them.

        While we sell nobody can tell whose the locked ones are.
        """
        if self.exiting:
            return ZERO
        base = self.instrument.base
        shown = min(self.managed, self.portfolio.total(base))
        own = self.portfolio.free(base) + self.offered_base + self.in_doubt
        return max(shown - own, ZERO)

    @property
    def locked(self) -> str:
        """How many base units orders lock, in words for a refusal; empty for none."""
        base = self.instrument.base
        if self.exiting:
            return (
                f"{plain(self.exiting)} {base} are in a sale at work; /orders shows it, and gives "
                "it up"
            )
        quantity = self.bound + self.unclaimed - self.unmanaged
        if quantity <= ZERO:
            return ""
        return f"{plain(quantity)} {base} lie in orders that are not Umbra's: cancel them first"

    @property
    def available(self) -> Decimal:
        """Those of the unmanaged base units that no tracker has reserved to buy with."""
        spent = slices.to_spend(self.trackers, self.instrument.base)
        return max(self.unmanaged - spent, ZERO)

    @property
    def shared(self) -> slices.Holdings:
        """What the trackers of this instrument may share out."""
        quote = self.instrument.quote
        return slices.Holdings(
            self.managed,
            self.unmanaged,
            self.portfolio.spendable(quote, self.offered),
            self.portfolio.managed_of(quote),
            self.portfolio.holders(quote),
        )

    @property
    def quote_free(self) -> Decimal:
        """Quote units that no order holds, no position manages and no tracker has reserved."""
        quote = self.instrument.quote
        spendable = self.portfolio.spendable(quote, self.offered)
        return max(spendable - slices.to_spend(self.trackers, quote), ZERO)

    @property
    def rest(self) -> str:
        """Whose the quote units are that a purchase may not spend, in words for a refusal."""
        quote = self.instrument.quote
        rivals = slices.rivals(self.trackers, Side.BUY, self.instrument)
        buying = [one for one in rivals if one.side is Side.BUY]
        parts = [slices.reserving(buying, quote), slices.keeping(self.shared, rivals, quote)]
        return "".join(f"; {part}" for part in parts if part)


def slice_for(amount: Amount, side: Side, holding: Holding, price: Decimal) -> slices.Slice:
    """Return the slice that a tracker of this amount would own; raises Refused."""
    instrument = holding.instrument
    if side is Side.SELL:
        _check_here(holding)
    rivals = slices.rivals(holding.trackers, side, instrument)
    shared = holding.shared
    if side is Side.SELL:
        shared = replace(shared, managed=shared.managed - holding.bound, locked=holding.locked)
    return slices.allocate(amount, side, shared, rivals, instrument, price)


def _check_here(holding: Holding) -> None:
    """Refuse to use coins that are all managed under another symbol."""
    base, symbol = holding.instrument.base, holding.instrument.symbol
    elsewhere = [name for name in holding.portfolio.holders(base) if name != symbol]
    if elsewhere and holding.managed + holding.unmanaged <= 0:
        total = plain(holding.portfolio.total(base))
        raise Refused(
            f"all {total} {base} are managed under {', '.join(elsewhere)}: trackers of that symbol "
            "share them",
            example="/positions",
        )


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
        notes = (*notes, f"{plain(armed.adopted)} {base} come under Umbra's care")
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


def order(
    command: PlaceOrder,
    holding: Holding,
    quote: Quote,
    book: OrderBook | None,
    fee: Decimal,
    limit: Decimal,
) -> tuple[SizedOrder, OrderProposal]:
    """Size a person's order and estimate its price, slippage and fee; raises Refused.

    A budget buys as much as it can pay for at `limit`, the price that its order will bear.
    """
    instrument = holding.instrument
    touch = quote.ask if command.side is Side.BUY else quote.bid
    price = command.limit_price or touch
    price_paid = limit if command.side is Side.BUY else price
    quantity, budget = _size(command, holding, price, price_paid)
    if instrument.is_dust(quantity, price_paid):
        least = plain(instrument.quantity_step)
        shown = plain(quantity) if quantity else f"less than {least}"
        raise Refused(
            f"{shown} {instrument.base} is too little: the exchange takes orders from "
            f"{plain(instrument.notional_min)} {instrument.quote} on",
            example=_enough(command, holding, price),
        )
    if command.limit_price is not None:
        _check_band(command, instrument, quantity, touch)
        _check_largest(command, instrument, quantity)
    estimate = price if command.limit_price else _walk(book, command.side, quantity, touch)
    sized = SizedOrder(
        symbol=instrument.symbol,
        side=command.side,
        purpose=Purpose.ENTRY if command.side is Side.BUY else Purpose.CLOSE,
        quantity=ZERO if budget is not None else quantity,
        quote_budget=budget,
        limit_price=command.limit_price,
    )
    notional = quantity * estimate
    return sized, OrderProposal(
        symbol=instrument.symbol,
        instrument=instrument,
        side=command.side,
        quantity=quantity,
        price=estimate,
        notional=notional,
        slippage=abs(estimate / touch - ONE) if not command.limit_price else ZERO,
        fee=notional * fee,
        limit_price=command.limit_price,
        notes=_order_notes(command, holding, quantity),
        shrunk=shrunk(holding, quantity) if command.side is Side.SELL else (),
    )


def _check_band(
    command: PlaceOrder, instrument: Instrument, quantity: Decimal, price: Decimal
) -> None:
    """Refuse a limit that the exchange would refuse: nobody should confirm it before."""
    limit = command.limit_price or ZERO
    lowest, highest = instrument.price_band(price)
    if limit < lowest:
        taken, bound = lowest, f"from {plain(lowest)} on"
    elif highest is not None and limit > highest:
        taken, bound = highest, f"up to {plain(highest)}"
    else:
        return
    verb = "sell"
    if command.side is Side.BUY:
        verb, quantity = "buy", instrument.quantity(EXACT.divide(quantity * limit, taken))
    raise Refused(
        f"the limit {plain(limit)} is too far from the price {plain(price)}: the exchange takes "
        f"limits {bound} now",
        example=f"/{verb} {instrument.symbol} {plain(quantity)} limit {plain(taken)}",
    )


def _check_largest(command: PlaceOrder, instrument: Instrument, quantity: Decimal) -> None:
    """Refuse what one order cannot be: an order that rests has no second one to go on with."""
    limit = command.limit_price or ZERO
    is_buy = command.side is Side.BUY
    limit = instrument.price_down(limit) if is_buy else instrument.price_up(limit)
    most = instrument.largest(limit)
    if most is not None and quantity > most:
        verb = "buy" if is_buy else "sell"
        raise Refused(
            f"{plain(quantity)} {instrument.base} is more than one order at {plain(limit)} may be: "
            f"the exchange takes {plain(most)} {instrument.base} at most. Order it in parts",
            example=f"/{verb} {instrument.symbol} {plain(most)} limit {plain(limit)}",
        )


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


def _enough(command: PlaceOrder, holding: Holding, price: Decimal) -> str:
    """Return a line that is large enough for the exchange, or where to see that none would be."""
    instrument = holding.instrument
    least = instrument.notional_min * 2
    if command.side is Side.SELL:
        held = holding.managed or holding.available
        if instrument.is_dust(held, price):
            return "/balance"
        # Who asked for a little is not offered to sell everything, unless that is a little, too.
        enough = EXACT.divide(least, price)
        is_enough = enough <= held and not instrument.is_dust(enough, price)
        amount = f"{plain(least)} {instrument.quote}" if is_enough else "all"
        return f"/sell {command.symbol} {amount}"
    if holding.quote_free < least:
        return "/balance"
    return f"/buy {command.symbol} {plain(least)} {instrument.quote}"


def _size(
    command: PlaceOrder, holding: Holding, price: Decimal, limit: Decimal
) -> tuple[Decimal, Decimal | None]:
    instrument, amount = holding.instrument, command.amount
    if command.side is Side.BUY:
        return _size_buy(amount, holding, price, limit)
    own, held = holding.managed - holding.bound, holding.held
    total = own + holding.available
    _check_here(holding)
    rivals = slices.rivals(holding.trackers, side=Side.SELL, instrument=instrument)
    reserved = slices.reserving([one for one in rivals if one.side is Side.BUY], instrument.base)
    kept = "; ".join(filter(None, (reserved, holding.locked)))
    if total <= 0:
        why = kept or "the account holds none"
        raise Refused(f"there is no {instrument.base} to sell: {why}", "/balance")
    match amount.kind:
        case AmountKind.ALL:
            wanted = held
        case AmountKind.SHARE:
            wanted = EXACT.multiply(held, amount.value)
        case AmountKind.BASE:
            wanted = amount.value
        case _:
            wanted = EXACT.divide(amount.value, price)
    if wanted > total:
        raise Refused(
            f"{plain(wanted)} {instrument.base} is more than can be sold: {plain(total)}"
            + (f"; {kept}" if kept else ""),
            # Of what is too little for the exchange, nothing can be offered.
            example="/balance"
            if instrument.is_dust(held, price)
            else f"/sell {instrument.symbol} all",
        )
    return instrument.quantity(wanted), None


def as_shown(command: PlaceOrder, holding: Holding, shown: Shown | None) -> PlaceOrder:
    """Return a sale of a share as one of coins, where a question has said how many these are."""
    is_share = command.side is Side.SELL and command.amount.kind is AmountKind.SHARE
    if not is_share or shown is None or not holding.held:
        return command
    wanted = _share_of(holding.held, command.amount.value, shown)
    return replace(command, amount=Amount(AmountKind.BASE, wanted))


def _share_of(held: Decimal, share: Decimal, shown: Shown | None) -> Decimal:
    """Return a share of what is held: never less than the question said while as much is there.

    Half of what another sale has left meanwhile would be a quarter, which nobody has asked for.
    """
    said = ZERO if shown is None or shown.size is None else shown.size
    return max(EXACT.multiply(held, share), min(said, held))


def _size_buy(
    amount: Amount, holding: Holding, price: Decimal, limit: Decimal
) -> tuple[Decimal, Decimal | None]:
    instrument = holding.instrument
    free = holding.quote_free
    match amount.kind:
        case AmountKind.BASE:
            quantity, budget = instrument.quantity(amount.value), None
            needed = quantity * price
        case AmountKind.QUOTE:
            budget = needed = amount.value
            quantity = instrument.quantity(EXACT.divide(budget, limit))
        case AmountKind.SHARE:
            budget = needed = EXACT.multiply(free, amount.value)
            quantity = instrument.quantity(EXACT.divide(budget, limit))
        case _:
            raise Refused(
                "a buy should say how much, was 'all'",
                example=f"/buy {instrument.symbol} 100 {instrument.quote}",
            )
    if needed > free:
        raise Refused(
            f"{_costs(amount, needed, instrument)} more than what is free: "
            f"{plain(slices.rounded_down(free))}{holding.rest}",
            example=_affordable(amount, free, instrument),
        )
    return quantity, budget


def _costs(amount: Amount, needed: Decimal, instrument: Instrument) -> str:
    """What a purchase needs; of coins, how many these were: 50 of them is not 50 to spend."""
    money = f"{plain(rounded(needed, 8))} {instrument.quote}"
    if amount.kind is not AmountKind.BASE:
        return f"{money} is"
    return f"{plain(amount.value)} {instrument.base} costs {money},"


def _affordable(amount: Amount, free: Decimal, instrument: Instrument) -> str:
    """What to send instead of a purchase that costs too much: the number as money, if it may be."""
    if amount.kind is AmountKind.BASE and instrument.notional_min * 2 <= amount.value <= free:
        return f"/buy {instrument.symbol} {plain(amount.value)} {instrument.quote}"
    return f"/buy {instrument.symbol} 50%" if free >= instrument.notional_min * 4 else "/balance"


def _walk(book: OrderBook | None, side: Side, quantity: Decimal, touch: Decimal) -> Decimal:
    """Return the average price of taking `quantity` from the book, the touch without a book."""
    levels = () if book is None else (book.asks if side is Side.BUY else book.bids)
    left, paid = quantity, ZERO
    for level in levels:
        taken = min(left, level.quantity)
        paid += taken * level.price
        left -= taken
        if left <= 0:
            return paid / quantity
    return touch


def _order_notes(command: PlaceOrder, holding: Holding, quantity: Decimal) -> tuple[str, ...]:
    if command.side is Side.BUY:
        return ("nothing protects it yet: set a stop afterwards",)
    notes = []
    base = holding.instrument.base
    adopted = quantity - holding.managed
    if adopted > 0:
        notes.append(f"{plain(adopted)} {base} of it were not managed by Umbra")
    return tuple(notes)


def left_of(holding: Holding, sold: Decimal) -> Decimal:
    """Return the base units that a sale leaves for trackers that wait."""
    left = max(holding.managed - sold, ZERO)
    # What the step cannot sell is not worth a tracker.
    return left if left >= holding.instrument.quantity_step else ZERO


def shrunk(holding: Holding, sold: Decimal) -> tuple[Shrinkage, ...]:
    """Return the waiting trackers that a sale of so many base units leaves with less."""
    instrument = holding.instrument
    waiting = {
        item.tracker_id: item for item in holding.trackers if item.symbol == instrument.symbol
    }
    left = left_of(holding, sold)
    return tuple(
        Shrinkage(each.tracker_id, before, each.quantity)
        for each in slices.resize(tuple(waiting.values()), left, instrument)
        if each.quantity < (before := waiting[each.tracker_id].quantity)
    )


def close_line(
    holding: Holding, share: Decimal, price: Decimal | None, shown: Shown | None = None
) -> CloseLine:
    """Return what closing a share of one holding would sell; Refused when that is nothing.

    `shown` is what the question said, None before it is asked.
    """
    instrument = holding.instrument
    wanted = _share_of(holding.managed, share, shown)
    quantity = instrument.quantity(min(wanted, holding.managed - holding.bound))
    if quantity <= 0:
        if holding.exiting or holding.bound:
            raise Refused(f"nothing of {instrument.symbol} is left: {holding.locked}", "/orders")
        raise Refused(f"nothing of {instrument.symbol} is managed", example="/positions")
    value = quantity * price if price is not None else None
    return CloseLine(instrument.symbol, instrument.base, quantity, value)


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
