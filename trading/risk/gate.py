"""The gate: the only way a decision becomes something that execution may send.

What adds risk has to keep every cap; what takes risk away has bounds of its own and no cap.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from trading.domain.instrument import Instrument, InstrumentStatus
from trading.domain.market import Quote
from trading.domain.money import EXACT, ONE, ZERO, plain
from trading.domain.order import Intent, Purpose, Side
from trading.domain.position import DOLLARS, Portfolio, TradingMode
from trading.risk import halts
from trading.risk.halts import Halt
from trading.risk.limits import RiskLimits


@dataclass(frozen=True, slots=True)
class Approved:
    """A decision that passed every check; execution accepts nothing else.

    `is_held` means: write it down as triggered, and send nothing until it is released.
    """

    intent: Intent
    is_held: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """A decision that may not be sent, with every reason and not only the first.

    `halt` is the mode that the account should be in because of it: a cap was reached.
    """

    intent: Intent
    reasons: tuple[str, ...]
    halt: Halt | None = None


@dataclass(frozen=True, slots=True)
class Decided:
    """An entry that was asked for within the last minute, and what the gate said."""

    intent: Intent
    age_s: float
    is_approved: bool = True


@dataclass(frozen=True, slots=True)
class Activity:
    """What has been going on, as the gate sees it.

    `market` is the price that was believed last, None for the quote's middle: a print may be newer
    than the book that it left behind.
    `exiting` is what other open exits of this instrument still want to sell, in base units;
    `reserved` the quote units that other open entries may still spend; `offered` those that sell
    orders of ours lock, where the quote is what another market manages; `lately` are the last
    minute's entries, refused ones included; `notional_today` counts what entries spent and may
    still spend, and `equity` is the account's worth, both in the limits' currency; `loss_today` is
    a share of one. `waits_for` are doubts about the exchange or the account, in words, that have to
    end first.
    """

    instrument: Instrument | None = None
    quote: Quote | None = None
    market: Decimal | None = None
    open_intent_ids: frozenset[str] = frozenset()
    entries_open: int = 0
    exiting: Decimal = ZERO
    reserved: Decimal = ZERO
    offered: Decimal = ZERO
    lately: tuple[Decided, ...] = ()
    notional_today: Decimal = ZERO
    equity: Decimal = ZERO
    loss_today: Decimal = ZERO
    is_stale: bool = False
    waits_for: tuple[str, ...] = ()


def review(
    intent: Intent,
    portfolio: Portfolio,
    limits: RiskLimits,
    mode: TradingMode,
    activity: Activity,
    now: datetime,
) -> Approved | Refusal:
    """Say yes, or every reason why not.

    What reduces risk is bound only by the exits' own bounds: nothing unmanaged, nothing twice.
    """
    if intent.purpose.reduces_risk:
        reasons = tuple(_exit_reasons(intent, portfolio, activity))
        if reasons:
            return Refusal(intent, reasons)
        # Under `/halt everything` a stop is written down and waits; a person's own sale does not.
        is_held = mode is TradingMode.HALTED_EVERYTHING and intent.purpose is Purpose.PROTECT
        return Approved(intent, is_held)
    own = tuple(_entry_reasons(intent, portfolio, limits, mode, activity, now))
    caps = tuple(_cap_reasons(intent, portfolio, limits, activity))
    if own or caps:
        return Refusal(intent, own + caps, _halt(intent, own, caps, limits, activity))
    return Approved(intent)


def oversized(
    intent: Intent, portfolio: Portfolio, limits: RiskLimits, activity: Activity
) -> tuple[str, ...]:
    """Return why an entry is too great by itself, whatever else is bought and when."""
    return tuple(_size_reasons(intent, portfolio, limits, activity))


def largest(portfolio: Portfolio, limits: RiskLimits, activity: Activity) -> Decimal | None:
    """Return the quote units that one entry may spend by itself, None where that is not known."""
    instrument = activity.instrument
    worth = instrument and _worth(instrument.quote, limits.currency, portfolio)
    if not instrument or not worth:
        return None
    caps = [limits.order_notional_max]
    if limits.order_share_max < ONE:
        caps.append(limits.order_share_max * activity.equity)
    free = portfolio.spendable(instrument.quote, activity.offered) - activity.reserved
    return max(min(free, EXACT.divide(min(caps), worth)), ZERO)


def beyond(intent: Intent, limits: RiskLimits, activity: Activity) -> Decimal | None:
    """Return the market's price where a limit is too far beyond it, None where it is not."""
    if intent.limit_price is None or activity.quote is None:
        return None
    market = _market(activity.quote, activity)
    return market if _distance(intent, market) > limits.price_collar else None


def _halt(
    intent: Intent,
    own: tuple[str, ...],
    caps: tuple[str, ...],
    limits: RiskLimits,
    activity: Activity,
) -> Halt | None:
    # An order that is wrong by itself, a typing error for example, has reached no cap.
    if caps and not own:
        return halts.capped(intent.symbol, caps)
    return halts.runaway(len(activity.lately) + 1, limits)


def _exit_reasons(intent: Intent, portfolio: Portfolio, activity: Activity) -> Iterable[str]:
    if intent.intent_id in activity.open_intent_ids:
        yield f"{intent.intent_id} is already being executed"
    if intent.side is not Side.SELL:
        yield "only a sale takes spot exposure away, was a buy"
    if intent.quantity <= 0:
        yield f"quantity should be above 0, was {plain(intent.quantity)}"
    managed = portfolio.managed(intent.symbol)
    left = managed - activity.exiting
    if intent.quantity > left:
        yield (
            f"{plain(intent.quantity)} is more than is managed of {intent.symbol}: "
            f"{plain(managed)}, of which {plain(activity.exiting)} is being sold already"
        )


def _entry_reasons(
    intent: Intent,
    portfolio: Portfolio,
    limits: RiskLimits,
    mode: TradingMode,
    activity: Activity,
    now: datetime,
) -> Iterable[str]:
    if not mode.takes_entries:
        yield f"new risk is refused while trading is {mode.value.replace('_', ' ')}"
    for doubt in activity.waits_for:
        yield f"new risk is refused while this stands: {doubt}"
    if intent.intent_id in activity.open_intent_ids:
        yield f"{intent.intent_id} is already being executed"
    if intent.expires_at is not None and now >= intent.expires_at:
        yield f"it expired at {intent.expires_at:%H:%M:%S} UTC"
    yield from _market_reasons(intent, limits, activity)
    yield from _money_reasons(intent, portfolio, activity)
    yield from _size_reasons(intent, portfolio, limits, activity)
    if _repeats(intent, limits, activity) == 1:
        yield (
            f"the same purchase was decided within the last {limits.duplicate_window_s:g} s: "
            "ask again if you mean it twice"
        )


def _market_reasons(intent: Intent, limits: RiskLimits, activity: Activity) -> Iterable[str]:
    instrument, quote = activity.instrument, activity.quote
    if instrument is None:
        yield f"{intent.symbol} is not traded on this exchange"
    elif instrument.status is not InstrumentStatus.TRADING:
        yield f"{intent.symbol} takes no orders now ({instrument.status.value})"
    if quote is None or activity.is_stale:
        yield f"the price of {intent.symbol} is not fresh"
        return
    spread = (quote.ask - quote.bid) / quote.mid
    if spread > limits.spread_max:
        yield (
            f"bid and ask of {intent.symbol} are {plain(round(spread * 100, 1))}% apart, "
            f"more than {plain(limits.spread_max * 100)}%"
        )
    market = _market(quote, activity)
    if _distance(intent, market) > limits.price_collar:
        price = intent.limit_price or intent.reference_price
        yield (
            f"price {plain(price)} is more than {plain(limits.price_collar * 100)}% from the "
            f"market at {plain(market)}"
        )


def _market(quote: Quote, activity: Activity) -> Decimal:
    return quote.mid if activity.market is None else activity.market


def _distance(intent: Intent, market: Decimal) -> Decimal:
    """Return how far beyond the market an intent would trade, as a share of the market's price."""
    price = intent.limit_price or intent.reference_price
    distance = (price - market) / market * intent.side.sign
    # A limit that rests on the far side of the market is the person's own choice.
    return abs(distance) if intent.limit_price is None else distance


def _money_reasons(intent: Intent, portfolio: Portfolio, activity: Activity) -> Iterable[str]:
    notional = intent.budget
    if notional <= 0:
        yield f"the amount should be above 0, was {plain(notional)}"
    instrument = activity.instrument
    if instrument is None:
        return
    free = portfolio.spendable(instrument.quote, activity.offered) - activity.reserved
    if intent.side is Side.BUY and notional > free:
        holders = portfolio.holders(instrument.quote)
        kept = f", the rest is managed under {', '.join(holders)}" if holders else ""
        yield (
            f"{plain(notional)} {instrument.quote} is more than what is free: "
            f"{plain(max(free, ZERO))}{kept}"
        )
    if notional < instrument.notional_min:
        yield f"{plain(notional)} is below the exchange's least {plain(instrument.notional_min)}"


def _size_reasons(
    intent: Intent, portfolio: Portfolio, limits: RiskLimits, activity: Activity
) -> Iterable[str]:
    if activity.instrument is None:
        return
    value = _value(intent, portfolio, limits, activity.instrument)
    if value is None:
        quote = activity.instrument.quote
        yield f"{quote} has no price in {limits.currency}, so no limit can be checked"
        return
    if value > limits.order_notional_max:
        yield (
            f"{plain(value)} {limits.currency} is above the limit of "
            f"{plain(limits.order_notional_max)} per order"
        )
    most = limits.order_share_max * activity.equity
    if limits.order_share_max < ONE and value > most:
        yield (
            f"{plain(value)} {limits.currency} is above {plain(limits.order_share_max * 100)}% of "
            f"the account, {plain(round(most, 2))}"
        )


# ------------------------------------------------------------ caps


def _cap_reasons(
    intent: Intent, portfolio: Portfolio, limits: RiskLimits, activity: Activity
) -> Iterable[str]:
    made = sum(1 for other in activity.lately if other.is_approved)
    if made >= limits.orders_per_minute_max:
        yield f"{limits.orders_per_minute_max} entries a minute are the most, {made} were made"
    if activity.entries_open >= limits.orders_open_max:
        yield (
            f"{limits.orders_open_max} open entries are the most, {activity.entries_open} are open"
        )
    loss = halts.daily_loss(activity.loss_today, limits)
    if loss is not None:
        yield loss.reason
    instrument = activity.instrument
    value = _value(intent, portfolio, limits, instrument) if instrument is not None else None
    if value is not None and activity.notional_today + value > limits.notional_per_day_max:
        yield (
            f"{plain(value)} {limits.currency} on top of {plain(activity.notional_today)} is above "
            f"the limit of {plain(limits.notional_per_day_max)} per day"
        )
    repeats = _repeats(intent, limits, activity)
    if repeats > 1:
        yield (
            f"the same purchase was asked for {repeats + 1} times within "
            f"{limits.duplicate_window_s:g} s"
        )


def _repeats(intent: Intent, limits: RiskLimits, activity: Activity) -> int:
    # An ask that was refused may be asked again; only an approved one can be done twice.
    same = [
        other
        for other in activity.lately
        if other.age_s < limits.duplicate_window_s
        and _signature(other.intent) == _signature(intent)
    ]
    return len(same) if any(other.is_approved for other in same) else 0


def _signature(intent: Intent) -> tuple[object, ...]:
    # Two trackers that buy alike are two wishes; one tracker that buys twice is a fault.
    who = (intent.symbol, intent.side, intent.tracker_id)
    return (*who, intent.quantity, intent.quote_budget, intent.limit_price)


def _value(
    intent: Intent, portfolio: Portfolio, limits: RiskLimits, instrument: Instrument
) -> Decimal | None:
    worth = _worth(instrument.quote, limits.currency, portfolio)
    return None if worth is None else intent.budget * worth


def _worth(asset: str, currency: str, portfolio: Portfolio) -> Decimal | None:
    if asset == currency:
        return ONE
    price = portfolio.prices.get(f"{asset}/{currency}")
    if price is not None:
        return price
    inverse = portfolio.prices.get(f"{currency}/{asset}")
    if inverse:
        return ONE / inverse
    # Worth about one unit of the limits' currency where no market prices them against it.
    return ONE if asset in DOLLARS and currency in DOLLARS else None
