"""The caps that bind whatever adds risk, and the exits' own bounds, with safe defaults."""

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class RiskLimits:
    """Bounds of the gate; money in units of `currency`, shares as fractions of one."""

    currency: str = "USDT"
    order_notional_max: Decimal = Decimal(25_000)
    notional_per_day_max: Decimal = Decimal(250_000)
    orders_per_minute_max: int = 60
    open_intents_max: int = 250
    price_collar: Decimal = Decimal("0.05")
    daily_loss_max: Decimal = Decimal("0.10")
    exit_attempts_per_minute_max: int = 20
    # Past twice the permitted rate it is no longer a person ordering, but something running away.
    runaway_factor: int = 2
