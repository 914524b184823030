"""Values that many tests start from."""

from datetime import UTC, datetime
from decimal import Decimal

from trading.domain.instrument import Instrument
from trading.domain.order import Fill, Side
from trading.domain.tracker import (
    Amount,
    AmountKind,
    Tracker,
    TrackerKind,
    TrackerSpec,
    TrackerState,
)

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def bitcoin() -> Instrument:
    """BTC/USDT with the simulated exchange's rules."""
    return Instrument(
        symbol="BTC/USDT",
        exchange_symbol="BTCUSDT",
        base="BTC",
        quote="USDT",
        price_tick=Decimal("0.01"),
        quantity_step=Decimal("0.00001"),
        quantity_min=Decimal("0.00001"),
        quantity_max=Decimal(9000),
        market_quantity_max=Decimal(100),
        notional_min=Decimal(5),
        notional_max=Decimal(9_000_000),
        price_ratio_min=Decimal("0.2"),
        price_ratio_max=Decimal(5),
        orders_open_max=200,
    )


def coin(base: str, quote: str = "USDT") -> Instrument:
    """Another instrument with coarser steps."""
    return Instrument(
        symbol=f"{base}/{quote}",
        exchange_symbol=base + quote,
        base=base,
        quote=quote,
        price_tick=Decimal("0.0001"),
        quantity_step=Decimal("0.1"),
        quantity_min=Decimal("0.1"),
        quantity_max=Decimal(900_000),
        market_quantity_max=Decimal(900_000),
        notional_min=Decimal(5),
    )


def fill(
    side: Side = Side.SELL,
    quantity: str = "0.5",
    price: str = "60000",
    fee: str = "0",
    fee_asset: str = "USDT",
    *,
    trade_id: str = "1",
    symbol: str = "BTC/USDT",
) -> Fill:
    """One execution."""
    return Fill(
        symbol=symbol,
        trade_id=trade_id,
        client_order_id="uxAAAAAAAAAAAAAAAA-1",
        side=side,
        quantity=Decimal(quantity),
        price=Decimal(price),
        fee=Decimal(fee),
        fee_asset=fee_asset,
        at=NOON,
    )


def protective_stop(
    tracker_id: int = 1, stop: str = "58000", quantity: str = "0.5", *, symbol: str = "BTC/USDT"
) -> Tracker:
    """An armed protective stop."""
    return Tracker(
        tracker_id=tracker_id,
        spec=TrackerSpec(TrackerKind.STOP, symbol, Amount(AmountKind.ALL), level=Decimal(stop)),
        person_id=1,
        side=Side.SELL,
        state=TrackerState.TRAILING,
        armed_at=NOON,
        quantity=Decimal(quantity),
        level_price=Decimal(stop),
        stop_price=Decimal(stop),
    )
