"""The next step of a decision, from what is left of it, the quote, and what may be sold or spent.

Sales walk down: three bounded limit orders, then the market, until the rest is dust. Purchases
never reach beyond their bound. A price that the person set is never undercut: it blocks instead.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum

from trading.domain.instrument import Instrument, InstrumentStatus
from trading.domain.market import Quote
from trading.domain.money import ONE, ZERO, plain
from trading.domain.order import (
    BACKSTOP_SOLD,
    SELF_TRADE,
    Attempt,
    AttemptState,
    Intent,
    IntentState,
    OrderType,
    Purpose,
    Side,
    TimeInForce,
)
from trading.execution.settings import LadderSettings


@dataclass(frozen=True, slots=True)
class Sight:
    """What a step is decided on; every attempt is terminal.

    A `quote` with a bid of 0 is a book that nobody buys in, None is one that nobody could read.
    `available` is what may be sold now (managed and free, in base units) or spent now (free, in
    quote units), None when the balance is not known: the exchange's own check is the fence then.
    """

    intent: Intent
    attempts: Sequence[Attempt]
    instrument: Instrument
    quote: Quote | None
    available: Decimal | None
    now: datetime
    is_band_refused: bool = False


@dataclass(frozen=True, slots=True)
class Send:
    """Send this."""

    order_type: OrderType
    quantity: Decimal
    price: Decimal | None
    time_in_force: TimeInForce
    stop_price: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Finish:
    """Nothing more to do."""

    state: IntentState
    reason: str


class BlockReason(Enum):
    """Why a decision cannot be executed now; the words are what a person reads."""

    FLOOR = "price below the floor"
    BALANCE = "coins are not free"
    BIDS = "no bids"
    MARKET = "market closed"
    UNLISTED = "market gone"
    BAND = "price band"
    HALTED = "halted"
    KEY = "key refused"
    ATTEMPTS = "too many attempts"
    FILTER = "order rules"
    STORAGE = "storage lost"


@dataclass(frozen=True, slots=True)
class Block:
    """It cannot be executed now; a person must know."""

    reason: BlockReason
    text: str

    def __str__(self) -> str:
        return f"{self.reason.value}: {self.text}"


def unlisted(intent: Intent, live: Attempt | None) -> Block:
    """Say that the exchange lists no such market, what is not known for it, and who may end it."""
    unknown = "" if live is None else f"; what became of order {live.client_order_id} is not known"
    mend = "" if intent.tracker_id is None else f", /abort {intent.tracker_id} gives it up"
    return Block(
        BlockReason.UNLISTED,
        f"the exchange does not list {intent.symbol} now, nothing can be sold or asked there"
        f"{unknown}. It goes on when the market is back{mend}",
    )


HELD = Block(BlockReason.HALTED, "UNPROTECTED until a person releases it")
"""Why a protective exit waits under `/halt everything`."""

Step = Send | Finish | Block

_GONE = "its coins were sold or withdrawn outside of Umbra"


def is_resting(intent: Intent) -> bool:
    """Whether an order rests at a price that a person named, until it is filled or given up."""
    if intent.purpose is Purpose.BACKSTOP:
        return True
    return intent.limit_price is not None and intent.purpose in {Purpose.CLOSE, Purpose.ENTRY}


def filled(attempts: Sequence[Attempt]) -> Decimal:
    """Return the base units that all attempts together have filled."""
    return sum((attempt.filled_quantity for attempt in attempts), ZERO)


def spent(intent: Intent, attempts: Sequence[Attempt], quantity: Decimal) -> Decimal:
    """Return quote units spent: what fills say of `quantity`, the limit price for the rest.

    Executions that are not listed yet count at the worst price, so a budget is never exceeded.
    """
    unlisted = filled(attempts) - quantity
    worst = max((attempt.request.price or ZERO for attempt in attempts), default=ZERO)
    return intent.filled_notional + max(unlisted, ZERO) * worst


def rung(attempts: Sequence[Attempt]) -> int:
    """Return how many orders ended before they were filled: each moves the next one on."""
    ends = {AttemptState.EXPIRED, AttemptState.CANCELED}
    return sum(
        1
        for attempt in attempts
        if attempt.state in ends
        and attempt.filled_quantity < attempt.request.quantity
        # The book was not asked: an order of this account stood in the way.
        and attempt.reason != SELF_TRADE
    )


def pause_s(intent: Intent, attempts: Sequence[Attempt], settings: LadderSettings) -> float:
    """Return how long to let the book recover before the next attempt."""
    if not attempts or attempts[-1].state is not AttemptState.EXPIRED:
        return 0.0
    if not intent.purpose.reduces_risk:
        return settings.entry_pause_s
    is_market = attempts[-1].request.order_type is OrderType.MARKET
    return settings.market_pause_s if is_market else settings.exit_pause_s


def step(sight: Sight, settings: LadderSettings) -> Step:
    """Return what to do next for a decision whose attempts are all terminal."""
    if sight.intent.purpose is Purpose.BACKSTOP:
        return _backstop(sight)
    if is_resting(sight.intent):
        return _rest(sight)
    if sight.intent.side is Side.SELL and sight.intent.purpose.reduces_risk:
        return _exit(sight, settings)
    return _entry(sight, settings)


# ------------------------------------------------------------ exits


def patience_over(intent: Intent, attempts: Sequence[Attempt], now: datetime) -> Finish | None:
    """Return the end of a sale by hand of which nothing was sold for longer than it may wait.

    It was confirmed at the price of that moment; None while it may go on, as all others may.
    """
    if intent.side is Side.BUY or intent.expires_at is None:
        return None
    patience = intent.expires_at - intent.created_at
    sold = [attempt.prepared_at for attempt in attempts if attempt.filled_quantity]
    if now < max([intent.created_at, *sold]) + patience:
        return None
    minutes = f"{patience.total_seconds() / 60:.0f} min"
    why = f" ({intent.reason})" if intent.reason else ""
    text = f"nothing could be sold for {minutes}{why}, and the price may be another by now"
    return ended(attempts, f"{text}: /sell asks anew")


def _exit(sight: Sight, settings: LadderSettings) -> Step:
    intent, instrument = sight.intent, sight.instrument
    residual = intent.quantity - filled(sight.attempts)
    has_bids = sight.quote is not None and sight.quote.bid > 0
    price = sight.quote.bid if sight.quote is not None and has_bids else intent.reference_price
    if residual < instrument.quantity_step:
        return _nothing_left(intent)
    if _is_dust(instrument, residual, price):
        return Finish(IntentState.DUST, f"{plain(residual)} is below the exchange's minimum")
    if instrument.status is not InstrumentStatus.TRADING:
        return Block(BlockReason.MARKET, f"{intent.symbol} takes no orders now")
    wanted = residual if sight.available is None else min(residual, sight.available)
    if _is_dust(instrument, wanted, price):
        return _not_free(sight, wanted, residual)
    if sight.quote is not None and not has_bids:
        # An order would find nobody: what it costs is attempts, and the first one who bids.
        return Block(BlockReason.BIDS, f"nobody buys {instrument.base} now, it sells on a bid")
    return _sale(sight, wanted, settings)


def _is_dust(instrument: Instrument, quantity: Decimal, price: Decimal) -> bool:
    # What was decided when no price was known may be worth anything.
    return instrument.is_dust(quantity, price) if price else instrument.is_small(quantity)


def _not_free(sight: Sight, wanted: Decimal, residual: Decimal) -> Block:
    free = f"{plain(max(wanted, ZERO))} of {plain(residual)} {sight.instrument.base} can be sold"
    return Block(BlockReason.BALANCE, free)


def _nothing_left(intent: Intent) -> Finish:
    if intent.quantity > 0:
        return Finish(IntentState.DONE, "")
    # Cut down to nothing: by whom decides whether a person has to be told of it.
    if intent.reason == BACKSTOP_SOLD:
        return Finish(IntentState.DONE, BACKSTOP_SOLD)
    return Finish(IntentState.CLOSED_EXTERNAL, _GONE)


def _sale(sight: Sight, wanted: Decimal, settings: LadderSettings) -> Step:
    instrument, quote = sight.instrument, sight.quote
    floor = sale_floor(sight.intent)
    place = rung(sight.attempts)
    if quote is None:
        # No price is known and the person set none: the market is the only way out.
        return _market(instrument, wanted) if floor is None else _bounded(sight, wanted, floor)
    if floor is not None and quote.bid < floor:
        return Block(
            BlockReason.FLOOR, f"bid {plain(quote.bid)} is below your floor {plain(floor)}"
        )
    is_last = place >= len(settings.exit_steps)
    if is_last and floor is not None:
        return _bounded(sight, wanted, floor)
    if is_last and not sight.is_band_refused:
        return _market(instrument, wanted)
    share = settings.exit_steps[min(place, len(settings.exit_steps) - 1)]
    # The print that fired may be newer than the book: at first the lower of the two counts.
    bid = quote.bid if place else min(quote.bid, sight.intent.reference_price)
    return _bounded(sight, wanted, max(bid * (ONE - share), floor or ZERO))


def sale_floor(intent: Intent) -> Decimal | None:
    """Return the price that the person said a sale may not undercut, None without one."""
    floors = [intent.limit_price] if intent.limit_price is not None else []
    if intent.slippage_max is not None:
        floors.append(intent.reference_price * (ONE - intent.slippage_max))
    return max(floors, default=None)


def _bounded(sight: Sight, wanted: Decimal, price: Decimal) -> Step:
    instrument = sight.instrument
    price = _in_band(sight, price)
    floor = sale_floor(sight.intent)
    limit = instrument.price_down(price)
    if floor is not None and limit < floor:
        limit = instrument.price_up(floor)
    quantity = _capped(instrument, wanted, limit)
    if instrument.is_dust(quantity, limit) and floor is None:
        # Too small at this limit and large enough at the bid: only the market still takes it.
        return _market(instrument, wanted)
    if instrument.is_dust(quantity, limit):
        return Block(BlockReason.FLOOR, f"too small to sell at your floor {plain(limit)}")
    return Send(OrderType.LIMIT, quantity, limit, TimeInForce.IOC)


def _market(instrument: Instrument, wanted: Decimal) -> Send:
    return Send(OrderType.MARKET, instrument.at_market(wanted), None, TimeInForce.GTC)


def _in_band(sight: Sight, price: Decimal) -> Decimal:
    if sight.quote is None:
        return max(price, sight.instrument.price_up(sight.instrument.price_min))
    # A limit must stay inside the exchange's band, or it is refused instead of filled.
    lowest, _ = sight.instrument.price_band(sight.quote.mid)
    return max(price, lowest)


def _capped(instrument: Instrument, wanted: Decimal, price: Decimal) -> Decimal:
    most = instrument.largest(price)
    return instrument.quantity(wanted if most is None else min(wanted, most))


# ------------------------------------------------------------ entries


def entry_bound(intent: Intent, settings: LadderSettings) -> Decimal:
    """Return the price that a buy may not exceed."""
    share = settings.entry_drift_max if intent.slippage_max is None else intent.slippage_max
    return intent.reference_price * (ONE + share)


def entry_limit(
    instrument: Instrument, ask: Decimal, bound: Decimal, settings: LadderSettings
) -> Decimal:
    """Return the limit of a buy's next order, at which its budget is sized."""
    return instrument.price_down(min(bound, ask * (ONE + settings.entry_step)))


def entry_ends_at(intent: Intent, settings: LadderSettings) -> datetime:
    """Return when a buy's trigger has lived long enough."""
    return intent.expires_at or intent.created_at + timedelta(seconds=settings.entry_lifetime_s)


def _entry(sight: Sight, settings: LadderSettings) -> Step:
    intent, instrument, quote = sight.intent, sight.instrument, sight.quote
    bound = entry_bound(intent, settings)
    # What sizing at the limit left over is not worth another order, nor a word about its end.
    slack = (intent.quote_budget or ZERO) * settings.entry_step * 2
    if sight.attempts and _unspent(sight, bound) <= slack:
        return _ended(sight, "")
    if sight.now >= entry_ends_at(intent, settings):
        return _ended(sight, f"not filled in time ({settings.entry_lifetime_s:.0f} s)")
    is_open = instrument.status is InstrumentStatus.TRADING
    if quote is None or quote.ask <= 0 or not is_open:
        why = "no fresh price" if is_open else f"{intent.symbol} takes no orders now"
        return _ended(sight, why)
    if quote.ask > bound:
        return _ended(sight, f"ask {plain(quote.ask)} is beyond the bound {plain(bound)}")
    limit = entry_limit(instrument, quote.ask, bound, settings)
    wanted = _affordable(sight, limit)
    quantity = _capped(instrument, wanted, limit)
    is_rest = bool(sight.attempts) and quantity * limit <= slack
    if is_rest or instrument.is_dust(quantity, limit):
        return _ended(sight, _why_so_little(sight, limit))
    return Send(OrderType.LIMIT, quantity, limit, TimeInForce.IOC)


def _unspent(sight: Sight, limit: Decimal) -> Decimal:
    intent = sight.intent
    if intent.quote_budget is None:
        return (intent.quantity - filled(sight.attempts)) * limit
    return intent.quote_budget - spent(intent, sight.attempts, intent.filled_quantity)


def _affordable(sight: Sight, limit: Decimal) -> Decimal:
    left = _unspent(sight, limit)
    return (left if sight.available is None else min(left, sight.available)) / limit


def _why_so_little(sight: Sight, limit: Decimal) -> str:
    free = sight.available
    if free is None or free >= _unspent(sight, limit):
        return ""
    return f"only {plain(max(free, ZERO))} {sight.instrument.quote} are free"


def _ended(sight: Sight, reason: str) -> Finish:
    if not reason and not filled(sight.attempts):
        reason = "the amount is below the exchange's minimum"
    return ended(sight.attempts, reason)


def ended(attempts: Sequence[Attempt], reason: str) -> Finish:
    """Return the end of a decision that is no sale: what it filled stays, only less than wished."""
    return Finish(IntentState.DONE if filled(attempts) > 0 else IntentState.EXPIRED, reason)


# ------------------------------------------------------------ orders that rest


_BACKSTOP_TRIES = 2


def _has_lived(attempts: Sequence[Attempt]) -> bool:
    # One that never came to be may be sent again; one that lived has had its chance.
    never = {AttemptState.ABSENT, AttemptState.REJECTED}
    return any(attempt.state not in never for attempt in attempts)


def _backstop(sight: Sight) -> Step:
    intent, instrument = sight.intent, sight.instrument
    if _has_lived(sight.attempts):
        return _rested(sight)
    if len(sight.attempts) >= _BACKSTOP_TRIES:
        # Whoever wants it asks again later; an exchange that is away needs no orders in a row.
        return Finish(IntentState.EXPIRED, sight.attempts[-1].reason)
    quantity = instrument.at_market(_sellable(sight))
    stop = intent.stop_price or intent.reference_price
    if instrument.is_dust(quantity, stop):
        return Finish(IntentState.EXPIRED, "the amount is below the exchange's minimum")
    return Send(OrderType.STOP_LOSS, quantity, None, TimeInForce.GTC, stop)


def _rest(sight: Sight) -> Step:
    intent, instrument = sight.intent, sight.instrument
    limit = intent.limit_price or intent.reference_price
    if _has_lived(sight.attempts):
        return _rested(sight)
    is_buy = intent.side is Side.BUY
    # Rounded so that nobody pays more or gets less than was said.
    limit = instrument.price_down(limit) if is_buy else instrument.price_up(limit)
    wanted, residual = _sellable(sight), intent.quantity - filled(sight.attempts)
    if is_buy:
        wanted = _affordable(sight, limit)
    elif residual - wanted >= instrument.quantity_step:
        # It goes out but once: what it lacks would be sold by nobody.
        return _not_free(sight, wanted, residual)
    quantity = _capped(instrument, wanted, limit)
    if instrument.is_dust(quantity, limit):
        return Finish(IntentState.EXPIRED, "the amount is below the exchange's minimum")
    return Send(OrderType.LIMIT, quantity, limit, TimeInForce.GTC)


def _sellable(sight: Sight) -> Decimal:
    residual = sight.intent.quantity - filled(sight.attempts)
    return residual if sight.available is None else min(residual, sight.available)


def _rested(sight: Sight) -> Step:
    last = sight.attempts[-1]
    if last.state is AttemptState.FILLED:
        return Finish(IntentState.DONE, "")
    return _ended(sight, last.reason or f"the order ended {last.state.value}")
