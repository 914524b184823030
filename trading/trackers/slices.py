"""Whose coins, whose money: every tracker owns a slice, and no two slices overlap."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Context, Decimal

from trading.domain.errors import Refused
from trading.domain.instrument import Instrument, base_and_quote
from trading.domain.money import EXACT, ZERO, floor_to, plain, rounded
from trading.domain.order import Intent, Purpose, Side
from trading.domain.tracker import Amount, AmountKind, Tracker

GONE = "its coins are gone"
# What is so small that it would be rounded to nothing is told in so many digits.
_TWO_DIGITS = Context(prec=2)
_SHORT = Decimal("0.00000001")


@dataclass(frozen=True, slots=True)
class Holdings:
    """What a symbol's trackers may share out.

    `managed` base units under Umbra's care, `unmanaged` base units of the account that a sell
    tracker would put there, `quote_free` quote units that no order holds and no position manages,
    `kept` those that the positions of other markets, the `keepers`, manage. `held_back` says in
    words which base units nothing may sell here: orders lock them, or other markets manage them.
    """

    managed: Decimal = ZERO
    unmanaged: Decimal = ZERO
    quote_free: Decimal = ZERO
    kept: Decimal = ZERO
    keepers: tuple[str, ...] = ()
    held_back: str = ""


@dataclass(frozen=True, slots=True)
class Slice:
    """What one tracker gets: coins or money, and how many coins come under care with it."""

    quantity: Decimal = ZERO
    quote: Decimal = ZERO
    adopted: Decimal = ZERO


def to_sell(trackers: Iterable[Tracker], symbol: str) -> Decimal:
    """Return the base units of a symbol that these trackers own, of its managed ones."""
    return sum((one.quantity for one in trackers if _sells(one, symbol)), ZERO)


def owned(trackers: Sequence[Tracker], symbol: str, exits: Iterable[Intent]) -> Decimal:
    """Return the same of trackers that may have fired: of those no more than their exits want."""
    return to_sell(trackers, symbol) - cut(trackers, symbol, exits)


def cut(trackers: Iterable[Tracker], symbol: str, exits: Iterable[Intent]) -> Decimal:
    """Return the base units of fired slices that exits were cut down by: no coins are theirs."""
    wanted = {one.tracker_id: one.quantity for one in exits if one.purpose is Purpose.PROTECT}
    return sum(
        (
            max(one.quantity - wanted[one.tracker_id], ZERO)
            for one in trackers
            if one.state.is_acting and one.tracker_id in wanted and _sells(one, symbol)
        ),
        ZERO,
    )


def to_spend(trackers: Iterable[Tracker], asset: str) -> Decimal:
    """Return the units of an asset that these trackers have reserved, on any of its markets."""
    return sum((one.quote for one in trackers if _spends(one, asset)), ZERO)


def rivals(trackers: Iterable[Tracker], side: Side, instrument: Instrument) -> list[Tracker]:
    """Return the trackers that own of what another one of this side would own.

    What one market sells another spends: coins that a purchase of `ETH/BTC` has reserved are none
    that a stop of `BTC/USDT` may take, and the other way round.
    """
    if side is Side.SELL:
        return [
            one
            for one in trackers
            if _sells(one, instrument.symbol) or _spends(one, instrument.base)
        ]
    quote = instrument.quote
    return [
        one
        for one in trackers
        if _spends(one, quote) or _sells(one, f"{quote}/{base_and_quote(one.symbol)[1]}")
    ]


def _sells(tracker: Tracker, symbol: str) -> bool:
    is_live = not tracker.state.is_terminal
    return is_live and tracker.side is Side.SELL and tracker.symbol == symbol


def _spends(tracker: Tracker, asset: str) -> bool:
    is_live = not tracker.state.is_terminal
    return is_live and tracker.side is Side.BUY and base_and_quote(tracker.symbol)[1] == asset


def allocate(
    amount: Amount,
    side: Side,
    holdings: Holdings,
    others: Sequence[Tracker],
    instrument: Instrument,
    price: Decimal,
) -> Slice:
    """Return the slice for an amount, or refuse: too much, nothing left, or dust.

    `others` are its `rivals`; `price` turns quote amounts into base and the other way round.
    """
    if side is Side.BUY:
        return _money(amount, holdings, others, instrument, price)
    taken, spent = to_sell(others, instrument.symbol), to_spend(others, instrument.base)
    total = holdings.managed + holdings.unmanaged
    left = holdings.managed - taken + max(holdings.unmanaged - spent, ZERO)

    def is_enough(some: Decimal) -> bool:
        return not instrument.is_dust(some, price)

    least = (
        f"{plain(instrument.quantity_min)} {instrument.base}, and from "
        f"{plain(instrument.notional_min)} {instrument.quote} on"
    )
    purse = _Purse(total, left, instrument.base, others, is_enough, least, kept=holdings.held_back)
    wanted = _wanted(amount, total, purse.left, price, side)
    quantity = instrument.quantity(wanted)
    likely = _as_money(amount, purse, instrument, price)
    _check_left(wanted, purse, said(amount, wanted, side, instrument), likely)
    if not is_enough(quantity):
        raise _dust(wanted, purse, instrument, price)
    return Slice(
        quantity=quantity, adopted=max(quantity - max(holdings.managed - taken, ZERO), ZERO)
    )


@dataclass(frozen=True, slots=True)
class _Purse:
    """What an amount is taken from, in its own unit: coins to sell, or money to buy with."""

    total: Decimal
    left: Decimal
    asset: str
    owners: Sequence[Tracker]
    is_enough: Callable[[Decimal], bool]
    least: str
    is_money: bool = False
    kept: str = ""

    @property
    def most(self) -> Decimal:
        """The most that may be asked for, as a person would type it."""
        return rounded_down(self.left) if self.is_money else self.left

    def written(self, amount: Decimal) -> str:
        """Write an amount as it is typed: that of a purchase names its unit."""
        return f"{plain(amount)} {self.asset}" if self.is_money else plain(amount)


def _dust(wanted: Decimal, purse: _Purse, instrument: Instrument, price: Decimal) -> Refused:
    worth = f"{_told(wanted * price, 2)} {instrument.quote}"
    # Who asked for a little is not offered everything, unless that is a little, too.
    enough = instrument.quantity(EXACT.divide(instrument.notional_min * 2, price))
    is_offered = enough <= purse.left and purse.is_enough(enough)
    return Refused(
        f"{_told(wanted, 8)} {instrument.base}, worth {worth}, is too small to sell: the exchange "
        f"takes at least {purse.least}",
        example=plain(enough) if is_offered else "all",
    )


def _told(value: Decimal, places: int) -> str:
    """Write what is left of a value after rounding, and never 0 for what is something."""
    return plain(rounded(value, places) or _TWO_DIGITS.plus(value))


def _money(
    amount: Amount,
    holdings: Holdings,
    others: Sequence[Tracker],
    instrument: Instrument,
    price: Decimal,
) -> Slice:
    def is_enough(some: Decimal) -> bool:
        return some >= instrument.notional_min and not instrument.is_dust(some / price, price)

    free, quote = holdings.quote_free, instrument.quote
    least = instrument.notional_least(price)
    left = free - to_spend(others, quote)
    spenders = [one for one in others if one.side is Side.BUY]
    told, kept = f"{plain(least)} {quote}", keeping(holdings, others, quote)
    purse = _Purse(free, left, quote, spenders, is_enough, told, is_money=True, kept=kept)
    wanted = _wanted(amount, free, purse.left, price, Side.BUY)
    likely = _as_money(amount, purse, instrument, price)
    _check_left(wanted, purse, said(amount, wanted, Side.BUY, instrument), likely)
    if not is_enough(wanted):
        # What is bought for the least alone, a fee or a falling price makes dust of.
        enough = least * 2
        raise Refused(
            f"{_told(wanted, 8)} {instrument.quote} is too small to buy with: the exchange takes "
            f"at least {told}",
            example=purse.written(enough) if purse.left >= enough else "/balance",
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


def said(amount: Amount, wanted: Decimal, side: Side, instrument: Instrument) -> str:
    """Write what was asked for with its unit, and what it comes to where that is another one."""
    base, quote = instrument.base, instrument.quote
    if side is Side.SELL and amount.kind is AmountKind.QUOTE:
        return f"{plain(amount.value)} {quote} ({_told(wanted, 8)} {base})"
    if side is Side.BUY and amount.kind is AmountKind.BASE:
        return f"{plain(amount.value)} {base} ({_told(wanted, 8)} {quote})"
    return f"{plain(wanted)} {base if side is Side.SELL else quote}"


def _as_money(amount: Amount, purse: _Purse, instrument: Instrument, price: Decimal) -> str:
    """The number as money, where there are not as many coins; empty where that is no answer."""
    money = amount.value
    own = money if purse.is_money else EXACT.divide(money, price)
    is_likely = amount.kind is AmountKind.BASE and own <= purse.left and purse.is_enough(own)
    return f"{plain(money)} {instrument.quote}" if is_likely else ""


def _check_left(wanted: Decimal, purse: _Purse, asked: str, likely: str) -> None:
    total, asset = f"{plain(purse.total)} {purse.asset}", purse.asset
    if purse.kept and not purse.owners and not purse.is_enough(purse.most):
        verb = "spend" if purse.is_money else "use"
        some = f"{_told(purse.left, 8)} {asset} are too little" if purse.left > 0 else ""
        some = some or f"there is no {asset}"
        raise Refused(f"{some} to {verb}: {purse.kept}", example="/positions")
    if purse.total <= 0:
        raise Refused(f"there is no {asset} to use: the account holds none", example="/balance")
    if not purse.is_enough(purse.most):
        raise _nothing_left(total, purse)
    if wanted > purse.left:
        names = _names(purse.owners)
        taken = f", {names} own the rest" if names else ""
        taken += f"; {purse.kept}" if purse.kept else ""
        raise Refused(
            f"amount should be at most {plain(purse.most)} {asset}, was {asked}{taken}",
            example=likely or purse.written(purse.most),
        )


def _nothing_left(total: str, purse: _Purse) -> Refused:
    """Say who owns what is wanted, or that no amount would be enough."""
    if not purse.owners:
        return Refused(
            f"no amount can be offered: {total} are all there is, too small for an order: the "
            f"exchange takes at least {purse.least}",
            example="/balance",
        )
    all_of_it = "all"
    if purse.left > 0:
        all_of_it = f"all but {_told(purse.left, 8)} of"
    return Refused(
        f"{all_of_it} {total} already belong to {_names(purse.owners)}: give one of them less, or "
        "end it, first",
        example=_with_less(purse),
    )


def _with_less(purse: _Purse) -> str:
    """The change that has the greatest owner give up half; where half is no order, its card."""
    owner = max(purse.owners, key=_share)
    half, is_money = _share(owner) / 2, owner.side is Side.BUY
    this = f"/tracker {owner.tracker_id}"
    if not purse.is_enough(half):
        return this
    # What is less than one unit is money, too, where another coin is what is spent.
    half = rounded_down(half) if is_money and half >= 1 else floor_to(half, _SHORT)
    # Its symbol is not named there.
    return f"{this} amount {plain(half)}{' quote' * is_money}"


def _share(owner: Tracker) -> Decimal:
    return owner.quote if owner.side is Side.BUY else owner.quantity


def reserving(buying: Sequence[Tracker], asset: str) -> str:
    """Say what these trackers have reserved of an asset, nothing where that is nothing."""
    reserved = to_spend(buying, asset)
    verb = "has" if len(buying) == 1 else "have"
    return f"{plain(reserved)} {asset} {_names(buying)} {verb} reserved" if reserved else ""


def keeping(holdings: Holdings, others: Iterable[Tracker], asset: str) -> str:
    """Say which units of an asset no purchase may spend, and which trackers sell them."""
    kept = managed_as(holdings.keepers, holdings.kept, asset, others)
    return f"{kept}, and no purchase spends those" if kept else ""


def managed_as(
    symbols: Sequence[str], quantity: Decimal, asset: str, trackers: Iterable[Tracker]
) -> str:
    """Say how many units of an asset these symbols manage, and which trackers sell them."""
    if quantity <= 0:
        return ""
    owners = _names([one for one in trackers if any(_sells(one, symbol) for symbol in symbols)])
    sold = f", for {owners} to sell" if owners else ""
    return f"{plain(quantity)} {asset} are managed as {', '.join(symbols)}{sold}"


def _names(owners: Sequence[Tracker]) -> str:
    return " ".join(f"#{one.tracker_id}" for one in owners)


def rounded_down(money: Decimal) -> Decimal:
    """Return money as a person would type it: never more than there is, small amounts whole."""
    return floor_to(money, Decimal("0.01")) if money >= 1 else money


def resize(
    trackers: Sequence[Tracker],
    managed: Decimal,
    instrument: Instrument,
    bought: Decimal = ZERO,
) -> list[Tracker]:
    """Return the waiting sell trackers whose slice changes with the managed quantity.

    Shrinkage takes from the youngest first; what has fired keeps its slice, its exit asks the
    exchange. Growth goes to the oldest that owns `all`: a share was one of what there was. Of
    what purchases of trackers have `bought` by now nothing grows: their slices may be made of it.
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
    left -= bought
    for tracker in waiting:
        if tracker.spec.amount.kind is AmountKind.ALL and left > 0:
            sizes[tracker.tracker_id] = instrument.quantity(sizes[tracker.tracker_id] + left)
            break
    return [
        replace(tracker, quantity=sizes[tracker.tracker_id])
        for tracker in waiting
        if sizes[tracker.tracker_id] != tracker.quantity
    ]
