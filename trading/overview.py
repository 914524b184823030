"""What people get to see of the running agent: values, made in `trading.views` of its state."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from trading.domain.events import PUT_BACK, AlertRaised, ConditionChanged, TradingModeChanged
from trading.domain.instrument import Instrument
from trading.domain.market import Candle
from trading.domain.money import ZERO
from trading.domain.order import Fill, Intent
from trading.domain.position import Balance, Position, RoundTrip, TradingMode
from trading.domain.time import Timeframe
from trading.domain.tracker import NextLevel, Tracker

# The one condition that no journal can hold: it is known from the storage itself.
STORAGE_LOST = "storage_lost"


def is_in_doubt(alerts: Iterable[AlertRaised]) -> bool:
    """Whether the journal was found older than what was done, and nobody has seen that yet.

    What is managed may then be more than it says.
    """
    return any(alert.topic == PUT_BACK for alert in alerts)


@dataclass(frozen=True, slots=True)
class Signature:
    """What the tick buffer says (formulas: trading.market.buffer); shares, not percent."""

    ticks: int
    volatility: float
    range_share: float
    imbalance: float
    run_length: int
    reversal: float


@dataclass(frozen=True, slots=True)
class PositionView:
    """One managed holding, its value and its protection, in quote units where not said otherwise.

    `stops` are the prices of the live private rules, nearest first, with the quantity that each
    sells; while `is_blind` they are what would sell.
    `worst_case` is the loss against the present price if every live rule fires as planned
    (negative), None when nothing protects it; `worst_case_down` is the same while Umbra is away,
    None unless backstops on the exchange cover it. `unmanaged` are coins Umbra never sells.
    `backstops` are, in the same way, what rests on the exchange and alone would sell its part.
    `is_blind` says that its private stops cannot act now, for want of prices or of an exchange,
    `is_held` that everything is halted and they do not sell. `leaving` are backstops that nobody
    counts on any more, and that lock and may sell their coins until their end is proven. `bound`
    base units lie in orders of others, where nothing of ours can sell them. `missing` ones the
    account does not show: whether they are gone is being checked.
    """

    symbol: str
    position: Position
    price: Decimal | None
    price_age_s: float | None
    protected_quantity: Decimal
    stops: tuple[tuple[Decimal, Decimal], ...]
    worst_case: Decimal | None
    tracker_ids: tuple[int, ...]
    unmanaged: Decimal
    is_blind: bool = False
    worst_case_down: Decimal | None = None
    backstops: tuple[tuple[Decimal, Decimal], ...] = ()
    is_held: bool = False
    leaving: tuple[tuple[Decimal, Decimal], ...] = ()
    bound: Decimal = ZERO
    missing: Decimal = ZERO

    @property
    def value(self) -> Decimal | None:
        """Managed quantity at the present price."""
        return self.position.quantity * self.price if self.price is not None else None

    @property
    def profit(self) -> Decimal | None:
        """Value less cost."""
        value = self.value
        return value - self.position.cost if value is not None else None

    @property
    def is_protected(self) -> bool:
        """Whether a live rule below the price covers every managed coin, and can act."""
        return not self.is_blind and self.protected_quantity >= self.position.quantity > 0


@dataclass(frozen=True, slots=True)
class Crossing:
    """How far a price beyond the level is confirmed: ticks, moves in a row, and seconds there."""

    ticks: int
    run: int
    beyond_s: float


@dataclass(frozen=True, slots=True)
class TrackerView:
    """A tracker beside the present price; `gap` is the share the price must move to its level.

    `level` is the price that makes a difference next, `next_level` says which difference; a
    `hard_stop` fires whatever the other levels are. `worst_case_down` is what its backstop, resting
    on the exchange, makes of it while Umbra is away, in quote units. `only_backstop` is the price
    of that one where nothing else of it can sell now; `is_held` says that everything is halted,
    `is_blind` that it has no prices or no exchange. `bound` base units of its market lie in orders
    of others, where it cannot sell them; `missing` ones the account does not show, which is being
    checked. `crossing` is set while the price is beyond the level and the rule waits for more.
    `instrument` is None while the exchange does not list the market.
    """

    tracker: Tracker
    instrument: Instrument | None
    price: Decimal | None
    price_age_s: float | None
    level: Decimal | None
    gap: Decimal | None
    is_protecting: bool
    worst_case: Decimal | None
    signature: Signature | None
    notes: tuple[str, ...] = ()
    next_level: NextLevel = NextLevel.FIRES
    hard_stop: Decimal | None = None
    hard_stop_gap: Decimal | None = None
    worst_case_down: Decimal | None = None
    only_backstop: Decimal | None = None
    is_held: bool = False
    is_blind: bool = False
    bound: Decimal = ZERO
    missing: Decimal = ZERO
    crossing: Crossing | None = None


@dataclass(frozen=True, slots=True)
class EndedTrackerView:
    """A tracker that is over, with the decision it led to, None when it never fired.

    `instrument` is None while the exchange does not list the market.
    """

    tracker: Tracker
    instrument: Instrument | None
    intent: Intent | None


@dataclass(frozen=True, slots=True)
class BalanceView:
    """One asset with its value in the valuation currency, None where no market prices it."""

    balance: Balance
    value: Decimal | None
    managed: Decimal


@dataclass(frozen=True, slots=True)
class AccountView:
    """Everything the account holds, valued in one currency."""

    currency: str
    equity: Decimal
    balances: tuple[BalanceView, ...]
    balances_age_s: float | None


@dataclass(frozen=True, slots=True)
class StatusView:
    """The answer to *am I protected right now?*

    Before `is_ready` nothing is known of positions and trackers, and nothing is watched. What is
    `uncounted` is held, and no price values it: `equity` and `profit_today` lack it.
    `exits_blocked` should sell and cannot, seen or not; those of trackers are among the acting.
    """

    mode: str
    is_simulated: bool
    exchange: str
    trading_mode: TradingModeChanged | None
    positions: tuple[PositionView, ...]
    trackers_waiting: int
    trackers_acting: int
    trackers_paused: int
    data_age_s: float | None
    stream: str
    equity: Decimal
    currency: str
    profit_today: Decimal | None
    conditions: tuple[ConditionChanged, ...]
    alerts: tuple[AlertRaised, ...]
    unresolved: int
    started_at: datetime
    now: datetime
    is_ready: bool = True
    uncounted: tuple[Balance, ...] = ()
    exits_blocked: int = 0

    @property
    def state(self) -> TradingMode:
        """What the risk layer permits."""
        return self.trading_mode.mode if self.trading_mode else TradingMode.ACTIVE

    @property
    def is_in_doubt(self) -> bool:
        """Whether more may be managed than is known."""
        return is_in_doubt(self.alerts)

    @property
    def is_storage_lost(self) -> bool:
        """Whether nothing can be written but what protects."""
        return any(one.condition == STORAGE_LOST for one in self.conditions if one.is_active)


@dataclass(frozen=True, slots=True)
class StandingView:
    """What somebody must still know about: looked at each second, so it costs little.

    `halt` is the change of mode that halted the account, as long as it is halted.
    """

    conditions: tuple[ConditionChanged, ...]
    alerts: tuple[AlertRaised, ...]
    blocked: tuple[Tracker, ...]
    halt: TradingModeChanged | None = None

    @property
    def is_held(self) -> bool:
        """Whether even private stops wait for a person: `/halt everything`."""
        return self.halt is not None and self.halt.mode is TradingMode.HALTED_EVERYTHING


@dataclass(frozen=True, slots=True)
class JobView:
    """One recurring job."""

    name: str
    trigger: str
    last_run_at: datetime | None
    last_outcome: str
    next_run_at: datetime | None


@dataclass(frozen=True, slots=True)
class HealthView:
    """How the process is; ages in seconds, lag in milliseconds.

    `is_working` says that it has started and can write its journal: nothing a restart would mend.
    `troubles` are sentences on what is wrong besides, `remarks` on what it copes with;
    `clock_offset_ms` is None while it cannot be measured. `tasks` names those that have died, with
    the seconds since they were started again; `second_channel` says how each address of it is,
    empty without one.
    """

    is_working: bool
    troubles: tuple[str, ...]
    loop_lag_ms_p99: float
    loop_lag_ms_max: float
    stream: str
    data_age_s: float | None
    account_stream: str
    clock_offset_ms: int | None
    is_storage_degraded: bool
    open_intents: int
    unresolved: int
    messages_waiting: int
    memory_mb: float
    uptime_s: float
    tasks: Mapping[str, float] = field(default_factory=dict)
    second_channel: str = ""
    remarks: tuple[str, ...] = ()

    @property
    def is_healthy(self) -> bool:
        """Whether nothing is wrong with the process, its data or the exchange."""
        return self.is_working and not self.troubles


@dataclass(frozen=True, slots=True)
class ChartView:
    """All that a chart picture shows of one symbol; candles oldest first, the running one last.

    `are_stops_held` says that everything is halted, `is_blind` that stops cannot act for want of
    prices or of an exchange; `backstops` are the prices of those that rest on it, by tracker.
    """

    symbol: str
    timeframe: Timeframe
    candles: Sequence[Candle]
    trackers: Sequence[Tracker]
    fills: Sequence[Fill]
    price: Decimal | None
    now: datetime
    is_simulated: bool = False
    are_stops_held: bool = False
    backstops: Mapping[int, Decimal] = field(default_factory=dict)
    is_blind: bool = False


@dataclass(frozen=True, slots=True)
class SummaryView:
    """What happened since a moment.

    `equity_before` is what the account was worth when its day was opened, None where that was
    before, and `moved` what came in since without a trade, less what went out.
    """

    since: datetime
    status: StatusView
    account: AccountView
    round_trips: Sequence[RoundTrip]
    fills: Sequence[Fill]
    triggers: int
    equity_before: Decimal | None
    moved: Decimal = ZERO

    @property
    def profit(self) -> Decimal | None:
        """What the account has gained by prices and trades, None where nobody knows."""
        if self.equity_before is None:
            return None
        return self.account.equity - self.equity_before - self.moved
