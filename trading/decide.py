"""The page to read first: how a fired rule or a command becomes an intent.

Today the decisions are private stops and the person's own orders; votes and setups join here.
What an intent may do is the risk gate's answer, how it is done the execution's.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from trading.domain.money import ZERO
from trading.domain.order import Intent, Purpose, Side
from trading.domain.time import to_ms
from trading.domain.tracker import Tracker


@dataclass(frozen=True, slots=True)
class DecisionSettings:
    """How long and how far a decision to buy lives; shares, not percent.

    Ids of intents begin with `installation`: client order ids are derived from them, and two
    databases that trade one account one after the other must never name an order alike.
    """

    installation: str = ""
    entry_lifetime_s: float = 10.0
    entry_drift_max: Decimal = Decimal("0.003")
    order_slippage_max: Decimal = Decimal("0.005")
    # So long nothing of a sale by hand may be sold before it is given up.
    sale_patience_s: float = 120.0


@dataclass(frozen=True, slots=True)
class SizedOrder:
    """A person's order after its amount was resolved: base units, or a quote budget for a buy.

    What `is_closing` ends a holding, and is sold whenever that can be.
    """

    symbol: str
    side: Side
    purpose: Purpose
    quantity: Decimal = ZERO
    quote_budget: Decimal | None = None
    limit_price: Decimal | None = None
    is_closing: bool = False


def intent_id(tracker: Tracker, settings: DecisionSettings) -> str:
    """Return the id of the one intent that this arming may ever make.

    When it was armed is part of it: a database that was put back from an older copy gives numbers
    a second time, and its trackers must not take orders of the first ones for theirs.
    """
    name = f"{tracker.tracker_id}:{tracker.arm_seq}:{to_ms(tracker.armed_at)}"
    return tracker.intent_id or f"{settings.installation}:trigger:{name}"


def on_trigger(
    tracker: Tracker, price: Decimal, now: datetime, settings: DecisionSettings
) -> Intent:
    """Turn a fired rule into its one intent: the id is the arming, so there is never a second.

    `price` is what the decision saw.
    """
    if tracker.side is Side.SELL:
        return Intent(
            intent_id=intent_id(tracker, settings),
            symbol=tracker.symbol,
            side=Side.SELL,
            purpose=Purpose.PROTECT,
            reference_price=price,
            created_at=now,
            quantity=tracker.quantity,
            slippage_max=tracker.spec.slippage_max,
            tracker_id=tracker.tracker_id,
            arm_seq=tracker.arm_seq,
        )
    return Intent(
        intent_id=intent_id(tracker, settings),
        symbol=tracker.symbol,
        side=Side.BUY,
        purpose=Purpose.ENTRY,
        reference_price=price,
        created_at=now,
        quote_budget=tracker.quote,
        slippage_max=tracker.spec.slippage_max or settings.entry_drift_max,
        tracker_id=tracker.tracker_id,
        arm_seq=tracker.arm_seq,
        expires_at=now + timedelta(seconds=settings.entry_lifetime_s),
    )


def on_backstop(
    tracker: Tracker,
    quantity: Decimal,
    stop_price: Decimal,
    now: datetime,
    settings: DecisionSettings,
) -> Intent:
    """Turn a tracker's wish for a stop on the exchange into an intent, a new one each time."""
    placed = f"{tracker.tracker_id}:{tracker.arm_seq}:{now:%Y%m%dT%H%M%S%f}"
    return Intent(
        intent_id=f"{settings.installation}:backstop:{placed}",
        symbol=tracker.symbol,
        side=Side.SELL,
        purpose=Purpose.BACKSTOP,
        reference_price=stop_price,
        created_at=now,
        quantity=quantity,
        tracker_id=tracker.tracker_id,
        arm_seq=tracker.arm_seq,
        stop_price=stop_price,
    )


def on_excess(
    bought: Intent, quantity: Decimal, price: Decimal, now: datetime, settings: DecisionSettings
) -> Intent:
    """Turn what an entry bought beyond its decision into a sale, a new one each time."""
    return Intent(
        intent_id=f"{settings.installation}:excess:{bought.intent_id}:{now:%Y%m%dT%H%M%S%f}",
        symbol=bought.symbol,
        side=Side.SELL,
        purpose=Purpose.CLOSE,
        reference_price=price,
        created_at=now,
        quantity=quantity,
    )


def on_order(
    order: SizedOrder,
    cause: str,
    reference_price: Decimal,
    now: datetime,
    settings: DecisionSettings,
) -> Intent:
    """Turn a person's order into its one intent: the id is the cause, so a repeat is refused.

    Without a price of its own a buy lives for seconds and within a bound, and a sale is given up
    once nothing of it could be sold for minutes; what is closed waits as long as it has to.
    """
    is_bounded = order.side is Side.BUY and order.limit_price is None
    lives_s = settings.entry_lifetime_s if is_bounded else settings.sale_patience_s
    is_endless = order.limit_price is not None or order.is_closing
    return Intent(
        intent_id=f"{settings.installation}:command:{cause}:{order.symbol}",
        symbol=order.symbol,
        side=order.side,
        purpose=order.purpose,
        reference_price=reference_price,
        created_at=now,
        quantity=order.quantity,
        quote_budget=order.quote_budget,
        slippage_max=settings.order_slippage_max if is_bounded else None,
        limit_price=order.limit_price,
        expires_at=None if is_endless else now + timedelta(seconds=lives_s),
    )
