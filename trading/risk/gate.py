"""The gate: the only way a decision becomes something that execution may send."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from trading.domain.instrument import Instrument, InstrumentStatus
from trading.domain.market import Quote
from trading.domain.money import ONE, ZERO, plain
from trading.domain.order import Intent, Purpose, Side
from trading.domain.position import Portfolio, TradingMode
from trading.risk.limits import RiskLimits

# Worth about one unit of the limits' currency where no market prices them against it.
_DOLLARS = frozenset({"USDT", "USDC", "FDUSD", "TUSD", "USD", "DAI", "BUSD"})


@dataclass(frozen=True, slots=True)
class Approved:
    """A decision that passed every check; execution accepts nothing else.

    `is_held` means: write it down as triggered, and send nothing until it is released.
    """

    intent: Intent
    is_held: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """A decision that may not be sent, with every reason and not only the first."""

    intent: Intent
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Activity:
    """What has been going on, as the gate sees it.

    `exiting` is what other open exits of this instrument still want to sell, in base units;
    `reserved` the quote units that other open entries may still spend; `entries_last_minute` and
    `notional_today` count entries only, the latter in the limits' currency.
    """

    instrument: Instrument | None = None
    quote: Quote | None = None
    open_intent_ids: frozenset[str] = frozenset()
    exiting: Decimal = ZERO
    reserved: Decimal = ZERO
    entries_last_minute: int = 0
    notional_today: Decimal = ZERO
    is_stale: bool = False


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
        checks = _exit_reasons(intent, portfolio, activity)
    else:
        checks = _entry_reasons(intent, portfolio, limits, mode, activity, now)
    reasons = tuple(checks)
    if reasons:
        return Refusal(intent, reasons)
    # Under `/halt everything` a stop is written down and waits; a person's own sale does not.
    is_held = mode is TradingMode.HALTED_EVERYTHING and intent.purpose is Purpose.PROTECT
    return Approved(intent, is_held)


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
    if intent.intent_id in activity.open_intent_ids:
        yield f"{intent.intent_id} is already being executed"
    if len(activity.open_intent_ids) >= limits.open_intents_max:
        yield (
            f"{limits.open_intents_max} decisions are the most at a time, "
            f"{len(activity.open_intent_ids)} are open"
        )
    if activity.entries_last_minute >= limits.orders_per_minute_max:
        yield (
            f"{limits.orders_per_minute_max} entries a minute are the most, "
            f"{activity.entries_last_minute} were made"
        )
    if intent.expires_at is not None and now >= intent.expires_at:
        yield f"it expired at {intent.expires_at:%H:%M:%S} UTC"
    yield from _market_reasons(intent, limits, activity)
    yield from _money_reasons(intent, portfolio, limits, activity)


def _market_reasons(intent: Intent, limits: RiskLimits, activity: Activity) -> Iterable[str]:
    instrument, quote = activity.instrument, activity.quote
    if instrument is None:
        yield f"{intent.symbol} is not traded on this exchange"
    elif instrument.status is not InstrumentStatus.TRADING:
        yield f"{intent.symbol} takes no orders now ({instrument.status.value})"
    if quote is None or activity.is_stale:
        yield f"the price of {intent.symbol} is not fresh"
        return
    price = intent.limit_price or intent.reference_price
    # A limit that rests on the far side of the market is the person's own choice.
    distance = (price - quote.mid) / quote.mid * intent.side.sign
    if intent.limit_price is None:
        distance = abs(distance)
    if distance > limits.price_collar:
        yield (
            f"price {plain(price)} is more than {plain(limits.price_collar * 100)}% from the "
            f"market at {plain(quote.mid)}"
        )


def _money_reasons(
    intent: Intent, portfolio: Portfolio, limits: RiskLimits, activity: Activity
) -> Iterable[str]:
    price = intent.limit_price or intent.reference_price
    notional = intent.quantity * price if intent.quote_budget is None else intent.quote_budget
    if notional <= 0:
        yield f"the amount should be above 0, was {plain(notional)}"
    instrument = activity.instrument
    if instrument is None:
        return
    free = portfolio.free(instrument.quote) - activity.reserved
    if intent.side is Side.BUY and notional > free:
        yield (
            f"{plain(notional)} {instrument.quote} is more than what is free: "
            f"{plain(max(free, ZERO))}"
        )
    if notional < instrument.notional_min:
        yield f"{plain(notional)} is below the exchange's least {plain(instrument.notional_min)}"
    worth = _worth(instrument.quote, limits.currency, portfolio)
    if worth is None:
        yield f"{instrument.quote} has no price in {limits.currency}, so no limit can be checked"
        return
    value = notional * worth
    if value > limits.order_notional_max:
        yield (
            f"{plain(value)} {limits.currency} is above the limit of "
            f"{plain(limits.order_notional_max)} per order"
        )
    if activity.notional_today + value > limits.notional_per_day_max:
        yield (
            f"{plain(value)} {limits.currency} on top of {plain(activity.notional_today)} is above "
            f"the limit of {plain(limits.notional_per_day_max)} per day"
        )


def _worth(asset: str, currency: str, portfolio: Portfolio) -> Decimal | None:
    if asset == currency:
        return ONE
    price = portfolio.prices.get(f"{asset}/{currency}")
    if price is not None:
        return price
    inverse = portfolio.prices.get(f"{currency}/{asset}")
    if inverse:
        return ONE / inverse
    return ONE if asset in _DOLLARS and currency in _DOLLARS else None
