"""How much the market is trusted: one set of limits for bad ticks and true crashes alike."""

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class SanitySettings:
    """The gate's limits as shares of a price, and how long it may delay."""

    jump_max: Decimal = Decimal("0.10")
    outside_book_max: Decimal = Decimal("0.05")
    agreement_max: Decimal = Decimal("0.05")
    believed_after_s: float = 1.5
    # A book that was on its way when the print was made proves nothing against it.
    contradiction_after_s: float = 0.25
    held_max: int = 16


@dataclass(frozen=True, slots=True)
class MarketSettings:
    """Limits of the market engine; the sweep that applies them adds up to a second.

    `quiet_s`, a sweep and a read stay within the 5 s after which a stalled stream is replaced.
    """

    sanity: SanitySettings = SanitySettings()
    spread_max: Decimal = Decimal("0.01")
    trade_fresh_s: float = 1.0
    quiet_s: float = 3.0
    event_lag_s_max: float = 3.0
    stale_s: float = 5.0
    grace_s: float = 1.0
    poll_near_s: float = 1.0
    poll_far_s: float = 3.0
    poll_all_near_max: int = 8
    green_s: float = 30.0
    audit_s: float = 5.0
    agreement_max: Decimal = Decimal("0.0005")
    disagreement_max: Decimal = Decimal("0.01")
    disagreement_s: float = 5.0
    read_timeout_s: float = 4.0
    readers: int = 4
    reads_per_s_max: int = 15
    reads_waiting_max: int = 1_000
    reconnect_s_first: float = 0.3
    reconnect_s_max: float = 30.0
    stable_s: float = 60.0
    restart_after_s: float = 10.0
    gap_told_s: float = 15.0


@dataclass(frozen=True, slots=True)
class CandleSettings:
    """Limits of the live candles.

    Requests are spread: with all that the market engine asks for while no stream is there they stay
    within the share of an account that exits leave (`GatewaySettings`).
    `jump_max` is what a price may move between two messages before REST is asked whether it did.
    """

    candles_kept: int = 2_000
    page_candles: int = 1_000
    pages_extra: int = 6
    requests_per_s_max: float = 10.0
    readers: int = 4
    read_timeout_s: float = 10.0
    load_timeout_s: float = 30.0
    # Trades that are still on their way when a candle ends.
    grace_s: float = 3.0
    plan_s: float = 1.0
    quiet_s: float = 45.0
    stale_s: float = 120.0
    down_after_s: float = 5.0
    poll_s_min: float = 5.0
    silent_s_max: float = 30.0
    restart_s_min: float = 300.0
    jump_max: float = 0.10
    unit_factor: float = 50.0
    doubted_read_s: float = 5.0
    believed_after_s: float = 10.0
    retry_s_first: float = 2.0
    retry_s_max: float = 120.0
    refused_retry_s: float = 900.0
    reconnect_s_first: float = 0.5
    reconnect_s_max: float = 30.0
    stable_s: float = 60.0
    unwritten_max: int = 50_000
    pasts_waiting_max: int = 64
    write_batch_max: int = 5_000
    write_timeout_s: float = 60.0
