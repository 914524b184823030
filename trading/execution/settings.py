"""The timings and bounds of execution, with the defaults of the fault catalogue."""

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class LadderSettings:
    """How an exit walks down and how far an entry may reach; shares of the price, seconds."""

    exit_steps: tuple[Decimal, ...] = (Decimal("0.005"), Decimal("0.01"), Decimal("0.02"))
    exit_pause_s: float = 0.25
    market_pause_s: float = 0.5
    entry_step: Decimal = Decimal("0.001")
    entry_drift_max: Decimal = Decimal("0.003")
    entry_lifetime_s: float = 10.0
    entry_pause_s: float = 0.5


@dataclass(frozen=True, slots=True)
class AbsenceSettings:
    """When an order that nobody has seen may be called absent.

    Settled = recvWindow + the exchange's own wait for its engine + a margin, after the last byte.
    """

    recv_window_ms: int = 5000
    exit_recv_window_ms: int = 3000
    engine_wait_s: float = 10.0
    margin_s: float = 5.0
    # What a process that is gone sent at its end appears by then: an exit's window and a margin.
    sent_late_s: float = 8.0
    first_queries_s: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0, 4.0)
    query_every_s: float = 5.0
    unanswered_every_s: float = 0.5
    not_found_apart_s: float = 3.0
    not_found_min: int = 2
    lookback_s: float = 60.0
    watch_s: float = 86_400.0
    look_every_s_min: float = 9.0
    look_again_share: float = 1 / 60

    def settled_s(self, recv_window_ms: int) -> float:
        """Return for how long after it was sent an order with this window may still appear."""
        return recv_window_ms / 1000 + self.engine_wait_s + self.margin_s


@dataclass(frozen=True, slots=True)
class ExecutionSettings:
    """Everything that the engine can be told; seconds unless a name says otherwise."""

    ladder: LadderSettings = LadderSettings()
    absence: AbsenceSettings = AbsenceSettings()
    # The gateway answers within its own 15 s; this is for a gateway that does not.
    send_deadline_s: float = 18.0
    read_deadline_s: float = 16.0
    exit_attempts_per_minute_max: int = 20
    insufficient_balance_max: int = 3
    not_sent_retry_s: float = 0.5
    not_sent_fresh_s: float = 5.0
    quote_age_max_s: float = 5.0
    orders_per_window: int = 50
    order_window_s: float = 10.0
    exit_share_reserved: Decimal = Decimal("0.3")
    market_poll_s: float = 3.0
    probe_s: float = 10.0
    auth_probe_s: float = 30.0
    band_retry_s: float = 5.0
    floor_poll_s: float = 1.0
    backstop_alarm_s: float = 2.0
    # The stream is looked at often, the book is asked for over REST at the slower pace.
    bids_poll_s: float = 0.2
    book_read_every_s: float = 5.0
    remind_s: float = 60.0
    silence_default_s: float = 60.0
    # A stop that has fired and may not sell for longer than this is told until acknowledged.
    silence_crit_s: float = 10.0
    # A person who saw a stop fire looks at the chat: silence is no answer.
    unanswered_told_s: float = 3.0
    unresolved_warn_s: float = 30.0
    unresolved_crit_s: float = 120.0
    fills_deadline_s: float = 30.0
    stop_deadline_s: float = 5.0
    reports_max: int = 10_000
    # How long an order of ours that the journal does not know may be claimed by its decision.
    orphan_wait_s: float = 60.0
    recover_deadline_s: float = 10.0
