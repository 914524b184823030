"""What a person's order would do: its size, its estimates, and what would refuse it."""

from decimal import Decimal

from trading.decide import SizedOrder
from trading.desk import OrderProposal
from trading.domain.commands import PlaceOrder
from trading.domain.errors import Refused
from trading.domain.instrument import Instrument
from trading.domain.market import OrderBook, Quote
from trading.domain.money import EXACT, ONE, ZERO, grouped, plain, rounded
from trading.domain.order import Purpose, Side
from trading.domain.tracker import Amount, AmountKind
from trading.proposals.closing import shrunk
from trading.proposals.holding import Holding
from trading.trackers import slices


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
            f"{plain(instrument.notional_least(price_paid))} {instrument.quote} on",
            example=_enough(command, holding, price_paid),
        )
    if command.limit_price is not None:
        _check_band(command, instrument, (quantity, budget), touch)
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


def _size(
    command: PlaceOrder, holding: Holding, price: Decimal, limit: Decimal
) -> tuple[Decimal, Decimal | None]:
    instrument, amount = holding.instrument, command.amount
    if command.side is Side.BUY:
        return _size_buy(amount, holding, price, limit)
    own, held = holding.managed - holding.bound, holding.held
    total = own + holding.available
    holding.check_here()
    rivals = slices.rivals(holding.trackers, side=Side.SELL, instrument=instrument)
    reserved = slices.reserving([one for one in rivals if one.side is Side.BUY], instrument.base)
    kept = "; ".join(filter(None, (reserved, holding.held_back)))
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
        asked = slices.said(amount, wanted, Side.SELL, instrument)
        raise Refused(
            f"{asked} is more than can be sold: {plain(total)}" + (f"; {kept}" if kept else ""),
            # Of what is too little for the exchange, nothing can be offered.
            example="/balance"
            if instrument.is_dust(held, price)
            else f"/sell {instrument.symbol} all",
        )
    return instrument.quantity(wanted), None


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
            example=_affordable(amount, free, instrument, limit),
        )
    return quantity, budget


def _costs(amount: Amount, needed: Decimal, instrument: Instrument) -> str:
    """What a purchase needs; of coins, how many these were: 50 of them is not 50 to spend."""
    money = f"{plain(rounded(needed, 8))} {instrument.quote}"
    if amount.kind is not AmountKind.BASE:
        return f"{money} is"
    return f"{plain(amount.value)} {instrument.base} costs {money},"


def _affordable(amount: Amount, free: Decimal, instrument: Instrument, price: Decimal) -> str:
    """What to send instead of a purchase that costs too much: the number as money, if it may be."""
    least = instrument.notional_least(price)
    if amount.kind is AmountKind.BASE and least * 2 <= amount.value <= free:
        return f"/buy {instrument.symbol} {plain(amount.value)} {instrument.quote}"
    return f"/buy {instrument.symbol} 50%" if free >= least * 4 else "/balance"


def _enough(command: PlaceOrder, holding: Holding, price: Decimal) -> str:
    """Return a line that is large enough for the exchange, or where to see that none would be."""
    instrument = holding.instrument
    least = instrument.notional_least(price) * 2
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


def _check_band(
    command: PlaceOrder,
    instrument: Instrument,
    size: tuple[Decimal, Decimal | None],
    price: Decimal,
) -> None:
    """Refuse a limit that the exchange would refuse: nobody should confirm it before.

    `size` is the quantity and, where money was named, the budget.
    """
    limit, (quantity, budget) = command.limit_price or ZERO, size
    lowest, highest = instrument.price_band(price)
    if limit < lowest:
        taken, bound = lowest, f"from {plain(lowest)} on"
    elif highest is not None and limit > highest:
        taken, bound = highest, f"up to {plain(highest)}"
    else:
        return
    if command.side is Side.SELL:
        example = f"/sell {instrument.symbol} {plain(quantity)} limit {plain(taken)}"
    elif limit > taken:
        # The highest that the exchange takes would be refused here: it is far above the market.
        example = at_the_market(instrument, quantity, budget, price)
    else:
        quantity = instrument.quantity(EXACT.divide(quantity * limit, taken))
        example = f"/buy {instrument.symbol} {plain(quantity)} limit {plain(taken)}"
    raise Refused(
        f"the limit {plain(limit)} is too far from the price {plain(price)}: the exchange takes "
        f"limits {bound} now",
        example=example,
    )


def at_the_market(
    instrument: Instrument, quantity: Decimal, budget: Decimal | None, price: Decimal
) -> str:
    """Return what to send instead of a purchase whose limit is far above the market."""
    amount = plain(quantity) if budget is None else f"{plain(budget)} {instrument.quote}"
    return f"/buy {instrument.symbol} {amount} limit {plain(instrument.price_down(price))}"


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
        notes.append(f"{grouped(adopted)} {base} of it were not managed by Umbra")
    return tuple(notes)
