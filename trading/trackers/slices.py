"""Whose coins, whose money: every tracker owns a slice, and no two slices overlap."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Context, Decimal

from trading.domain.errors import Refused
from trading.domain.instrument import Instrument
from trading.domain.money import EXACT, ZERO, floor_to, plain
from trading.domain.order import Side
from trading.domain.tracker import Amount, AmountKind, Tracker

GONE = "its coins are gone"
# What is so small that it would be rounded to nothing is told in so many digits.
_TWO_DIGITS = Context(prec=2)


@dataclass(frozen=True, slots=True)
class Holdings:
    """What a symbol's trackers may share out.

    `managed` base units under Umbra's care, `unmanaged` base units of the account that a sell
    tracker would put there, `quote_free` quote units that no order holds.
    """

    managed: Decimal = ZERO
    unmanaged: Decimal = ZERO
    quote_free: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Slice:
    """What one tracker gets: coins or money, and how many coins come under care with it."""

    quantity: Decimal = ZERO
    quote: Decimal = ZERO
    adopted: Decimal = ZERO


def owned(trackers: Iterable[Tracker]) -> tuple[Decimal, Decimal]:
    """Return the base and quote units that these trackers own."""
    quantity = quote = ZERO
    for tracker in trackers:
        if not tracker.state.is_terminal:
            quantity += tracker.quantity if tracker.side is Side.SELL else ZERO
            quote += tracker.quote if tracker.side is Side.BUY else ZERO
    return quantity, quote


def allocate(
    amount: Amount,
    side: Side,
    holdings: Holdings,
    others: Sequence[Tracker],
    instrument: Instrument,
    price: Decimal,
) -> Slice:
    """Return the slice for an amount, or refuse: too much, nothing left, or dust.

    `others` are the live trackers of the same base (for a sell) or quote (for a buy); `price`
    turns quote amounts into base and the other way round.
    """
    if side is Side.BUY:
        return _money(amount, holdings, others, instrument, price)
    taken, _ = owned(others)
    total = holdings.managed + holdings.unmanaged
    wanted = _wanted(amount, total, total - taken, price, side)
    quantity = instrument.quantity(wanted)
    _check_left(wanted, total - taken, total, instrument.base, _owners(others, side))
    if instrument.is_dust(quantity, price):
        raise _dust(wanted, total - taken, instrument, price)
    return Slice(
        quantity=quantity, adopted=max(quantity - max(holdings.managed - taken, ZERO), ZERO)
    )


def _dust(wanted: Decimal, left: Decimal, instrument: Instrument, price: Decimal) -> Refused:
    worth = f"{_told(wanted * price, 2)} {instrument.quote}"
    # Who asked for a little is not offered everything, unless that is a little, too.
    enough = instrument.quantity(EXACT.divide(instrument.notional_min * 2, price))
    example = plain(enough) if enough <= left and not instrument.is_dust(enough, price) else "all"
    return Refused(
        f"{_told(wanted, 8)} {instrument.base}, worth {worth}, is too "
        f"small to sell: the exchange takes at least {plain(instrument.quantity_min)} "
        f"{instrument.base}, and from {plain(instrument.notional_min)} {instrument.quote} on",
        example="/balance" if instrument.is_dust(left, price) else example,
    )


def _told(value: Decimal, places: int) -> str:
    """Write what is left of a value after rounding, and never 0 for what is something."""
    return plain(round(value, places) or _TWO_DIGITS.plus(value))


def _money(
    amount: Amount,
    holdings: Holdings,
    others: Sequence[Tracker],
    instrument: Instrument,
    price: Decimal,
) -> Slice:
    _, taken = owned(others)
    left = holdings.quote_free - taken
    wanted = _wanted(amount, holdings.quote_free, left, price, Side.BUY)
    owners = _owners(others, Side.BUY)
    _check_left(wanted, left, holdings.quote_free, instrument.quote, owners, is_money=True)
    if wanted < instrument.notional_min or instrument.is_dust(wanted / price, price):
        # What is bought for the least alone, a fee or a falling price makes dust of.
        enough = instrument.notional_min * 2
        raise Refused(
            f"{plain(wanted)} {instrument.quote} is too small to buy with: the exchange takes at "
            f"least {plain(instrument.notional_min)} {instrument.quote}",
            example=plain(enough) if left >= enough else "/balance",
        )
    return Slice(quote=wanted)


def _wanted(amount: Amount, total: Decimal, left: Decimal, price: Decimal, side: Side) -> Decimal:
    if amount.kind is AmountKind.ALL:
        return left
    if amount.value <= 0:
        raise Refused(f"amount should be above 0, was {plain(amount.value)}", example="all")
    if amount.kind is AmountKind.SHARE:
        if amount.value > 1:
            raise Refused(
                f"amount should be at most 100%, was {plain(amount.value * 100)}%", example="50%"
            )
        return EXACT.multiply(total, amount.value)
    is_own_unit = (amount.kind is AmountKind.BASE) == (side is Side.SELL)
    if is_own_unit:
        return amount.value
    if side is Side.SELL:
        return EXACT.divide(amount.value, price)
    return EXACT.multiply(amount.value, price)


def _check_left(
    wanted: Decimal,
    left: Decimal,
    total: Decimal,
    asset: str,
    owners: Sequence[int],
    *,
    is_money: bool = False,
) -> None:
    if total <= 0:
        raise Refused(f"there is no {asset} to use: the account holds none", example="/balance")
    names = " ".join(f"#{number}" for number in owners)
    if left <= 0:
        raise Refused(
            f"all {plain(total)} {asset} already belong to {names}: give one of them less, or end "
            "it, first",
            example=f"/tracker {owners[0]} amount 50%" if owners else "/trackers",
        )
    if wanted > left:
        taken = f", {names} own the rest" if owners else ""
        most = plain(rounded_down(left) if is_money else left)
        raise Refused(
            f"amount should be at most {most} {asset}, was {plain(wanted)}{taken}",
            example=most,
        )


def rounded_down(money: Decimal) -> Decimal:
    """Return money as a person would type it: never more than there is, small amounts whole."""
    return floor_to(money, Decimal("0.01")) if money >= 1 else money


def _owners(others: Sequence[Tracker], side: Side) -> list[int]:
    return [
        tracker.tracker_id
        for tracker in others
        if tracker.side is side and not tracker.state.is_terminal
    ]


def resize(trackers: Sequence[Tracker], managed: Decimal, instrument: Instrument) -> list[Tracker]:
    """Return the waiting sell trackers whose slice changes with the managed quantity.

    Shrinkage takes from the youngest first; what has fired keeps its slice, its exit asks the
    exchange. Growth goes to the oldest that owns `all`: a share was one of what there was.
    """
    selling = sorted(
        (t for t in trackers if t.side is Side.SELL and not t.state.is_terminal),
        key=lambda tracker: tracker.tracker_id,
    )
    left = managed - sum((t.quantity for t in selling if t.state.is_acting), ZERO)
    sizes: dict[int, Decimal] = {}
    waiting = [t for t in selling if t.state.is_waiting]
    for tracker in waiting:
        sizes[tracker.tracker_id] = min(tracker.quantity, max(left, ZERO))
        left -= sizes[tracker.tracker_id]
    for tracker in waiting:
        if tracker.spec.amount.kind is AmountKind.ALL and left > 0:
            sizes[tracker.tracker_id] = instrument.quantity(sizes[tracker.tracker_id] + left)
            break
    return [
        replace(tracker, quantity=sizes[tracker.tracker_id])
        for tracker in waiting
        if sizes[tracker.tracker_id] != tracker.quantity
    ]
