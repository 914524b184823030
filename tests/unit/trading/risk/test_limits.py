"""The caps that bind where the settings say nothing."""

from decimal import Decimal

from trading.risk.limits import RiskLimits


def test_without_a_word_in_the_settings_these_caps_bind() -> None:
    assert RiskLimits() == RiskLimits(
        currency="USDT",
        order_notional_max=Decimal(25_000),
        order_share_max=Decimal(1),
        notional_per_day_max=Decimal(250_000),
        orders_per_minute_max=60,
        orders_open_max=100,
        duplicate_window_s=5.0,
        price_collar=Decimal("0.05"),
        daily_loss_max=Decimal("0.1"),
        exit_attempts_per_minute_max=20,
        runaway_factor=2,
    )
