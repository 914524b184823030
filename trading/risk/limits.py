"""The caps that bind whatever adds risk, and the exits' own bounds, with safe defaults."""

from dataclasses import dataclass
from decimal import Decimal

from trading.domain.money import ONE


@dataclass(frozen=True, slots=True)
class RiskLimits:
    """Bounds of the gate; money in units of `currency`, shares as fractions of one.

    They come from the settings of the machine that Umbra runs on; no command carries one.
    """

    currency: str = "USDT"
    order_notional_max: Decimal = Decimal(25_000)
    # Of the account's whole worth; one leaves the bound to `order_notional_max`.
    order_share_max: Decimal = ONE
    notional_per_day_max: Decimal = Decimal(250_000)
    orders_per_minute_max: int = 60
    orders_open_max: int = 100
    # Between two decisions for the very same purchase.
    duplicate_window_s: float = 5.0
    price_collar: Decimal = Decimal("0.05")
    # Between bid and ask, of their middle: a book wider than that says no price.
    spread_max: Decimal = Decimal("0.10")
    daily_loss_max: Decimal = Decimal("0.10")
    exit_attempts_per_minute_max: int = 20
    # Past twice the permitted rate it is no longer a person ordering, but something running away.
    runaway_factor: int = 2
