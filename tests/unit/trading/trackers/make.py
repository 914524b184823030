"""Trackers, prices and moments for the tracker tests."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.builders import NOON, bitcoin
from trading.domain.market import Candle, Observation, PriceSource
from trading.domain.order import Side
from trading.domain.time import to_ms
from trading.domain.tracker import (
    Amount,
    AmountKind,
    Distance,
    Line,
    LinePoint,
    PriceKind,
    Tracker,
    TrackerChange,
    TrackerKind,
    TrackerSpec,
)
from trading.trackers import arming, rules
from trading.trackers.arming import Present
from trading.trackers.confirming import Progress, Tick
from trading.trackers.rules import Moment, Step
from trading.trackers.slices import Slice

BTC = bitcoin()
FEE = Decimal("0.001")
ALL = Amount(AmountKind.ALL)


def d(value: object) -> Decimal:
    return Decimal(str(value))


def spec(kind: TrackerKind, **fields: Any) -> TrackerSpec:
    """A specification; `level`, `stop` and `trail` may be plain numbers."""
    for name in ("level", "stop"):
        if isinstance(fields.get(name), int | float | str):
            fields[name] = d(fields[name])
    if isinstance(fields.get("trail"), int | float | str | Decimal):
        fields["trail"] = Distance(share=d(fields["trail"]))
    fields.setdefault("symbol", BTC.symbol)
    fields.setdefault("amount", ALL)
    return TrackerSpec(kind, **fields)


def armed(kind: TrackerKind, price: object, tracker_id: int = 1, **fields: Any) -> Tracker:
    """A tracker armed at a price, owning half a bitcoin or 500 USDT."""
    what = spec(kind, **fields)
    is_buy = what.first_side is Side.BUY
    owned = Slice(quote=d(500)) if is_buy else Slice(quantity=d("0.5"))
    present = Present(d(price), NOON, FEE)
    return arming.arm(what, (tracker_id, 7), owned, present, BTC).tracker


def moment(seconds: float = 0, *, is_tick: bool = True) -> Moment:
    at = NOON + timedelta(seconds=seconds)
    return Moment(at, to_ms(at), 1000.0 + seconds, is_tick)


def tick(price: object, seconds: float = 0, kind: PriceKind = PriceKind.DECISION) -> Tick:
    event_ms = to_ms(NOON) + round(seconds * 1000)
    return Tick(d(price), kind, PriceSource.STREAM, event_ms, 1000.0 + seconds)


def step(
    tracker: Tracker, price: object, seconds: float = 0, progress: Progress | None = None
) -> Step:
    return rules.step(tracker, tick(price, seconds), moment(seconds), BTC, progress)


def walk(tracker: Tracker, *prices: object) -> Step:
    """Step through prices one second apart, stopping at a trigger."""
    last = Step(tracker)
    for number, price in enumerate(prices):
        last = step(last.tracker, price, number, last.progress)
        if last.change is TrackerChange.TRIGGERED:
            break
    return last


def line(first: object, last: object, hours: float = 24, start: datetime = NOON) -> Line:
    """A line from one price now to another after some hours."""
    end = start + timedelta(hours=hours)
    return Line(LinePoint(start, d(first)), LinePoint(end, d(last)))


def observation(
    price: object, seconds: float = 0, *, symbol: str = BTC.symbol, is_trade: bool = True
) -> Observation:
    value = d(price)
    event_ms = to_ms(NOON) + round(seconds * 1000)
    return Observation(
        symbol,
        value,
        value,
        None,
        None,
        None,
        event_ms,
        1000.0 + seconds,
        PriceSource.STREAM,
        is_trade,
    )


def candle(minute: int, low: float, high: float, *, open_: float | None = None) -> Candle:
    """A closed one-minute candle that begins some minutes after noon."""
    first = low if open_ is None else open_
    return Candle(to_ms(NOON) + minute * 60_000, first, high, low, high, 1.0, True)


def at(hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 11, 20, hour, minute, tzinfo=UTC)


def with_spec(tracker: Tracker, **fields: Any) -> Tracker:
    return replace(tracker, spec=replace(tracker.spec, **fields))
