"""Trackers as values: what a person asked for, and where the private stop stands now."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum

from trading.domain.money import ZERO
from trading.domain.order import Side
from trading.domain.time import Timeframe


class TrackerKind(Enum):
    """The kinds of `trackers.md` §1."""

    STOP = "stop"
    TRAIL = "trail"
    TAKE_PROFIT = "take_profit"
    DIP = "dip"
    BREAKOUT = "breakout"
    LINES = "lines"


@dataclass(frozen=True, slots=True)
class LinePoint:
    """One anchor of a line."""

    at: datetime
    price: Decimal


@dataclass(frozen=True, slots=True)
class Line:
    """A support or resistance line through two points, extrapolated without end."""

    first: LinePoint
    last: LinePoint


Level = Decimal | Line


_ATR_TIMEFRAME = Timeframe("1h")


@dataclass(frozen=True, slots=True)
class Distance:
    """A trailing distance: a share of the price, or a multiple of ATR(14) of closed candles."""

    share: Decimal | None = None
    atr_multiple: Decimal | None = None
    timeframe: Timeframe = _ATR_TIMEFRAME


class AmountKind(Enum):
    """How an amount was said."""

    ALL = "all"
    SHARE = "share"
    BASE = "base"
    QUOTE = "quote"


@dataclass(frozen=True, slots=True)
class Amount:
    """`all`, `50%` (value 0.5), `0.5` base units or `500 USDT` of quote."""

    kind: AmountKind
    value: Decimal = ZERO


class ThenKind(Enum):
    """What follows a close."""

    ONCE = "once"
    COOLDOWN = "cooldown"
    SWING = "swing"


@dataclass(frozen=True, slots=True)
class Then:
    """What follows a close; `share` is the swing's distance from the last fill."""

    kind: ThenKind = ThenKind.ONCE
    share: Decimal | None = None


class ConfirmKind(Enum):
    """How a level must be beyond before the rule is true."""

    TOUCH = "touch"
    TICKS = "ticks"
    RUN = "run"
    SECONDS = "seconds"
    CLOSE = "close"


@dataclass(frozen=True, slots=True)
class Confirm:
    """A confirmation rule with its hard bound: past `loss_max` beyond the level it fires anyway.

    `loss_max` None means the default: the trailing share, else 1 %.
    """

    kind: ConfirmKind = ConfirmKind.TOUCH
    count: int = 1
    timeframe: Timeframe | None = None
    loss_max: Decimal | None = None


class PriceKind(Enum):
    """Which price decides."""

    DECISION = "decision"
    LAST = "last"
    BID = "bid"
    MID = "mid"


@dataclass(frozen=True, slots=True)
class TrackerSpec:
    """What the person asked for; everything that the one-line form can say."""

    kind: TrackerKind
    symbol: str
    amount: Amount
    level: Level | None = None
    support: Line | None = None
    resistance: Line | None = None
    trail: Distance | None = None
    stop: Level | None = None
    stop_share: Decimal | None = None
    then: Then = Then()
    confirm: Confirm = Confirm()
    backstop: Decimal | None = None
    backstop_share: Decimal | None = None
    slippage_max: Decimal | None = None
    price_kind: PriceKind = PriceKind.DECISION

    @property
    def wants_backstop(self) -> bool:
        """Whether it asks for a stop on the exchange, its price known yet or not."""
        return self.backstop is not None or self.backstop_share is not None

    @property
    def first_side(self) -> Side:
        """The side of the first exit or entry."""
        is_buy = self.kind in {TrackerKind.DIP, TrackerKind.BREAKOUT}
        return Side.BUY if is_buy else Side.SELL


class TrackerState(Enum):
    """Where a tracker stands; `trackers.md` §2 draws the machine."""

    WATCHING = "watching"
    TRAILING = "trailing"
    RESTING = "resting"
    TRIGGERED = "triggered"
    EXITING = "exiting"
    BLOCKED = "blocked"
    CLOSED = "closed"
    DUST = "dust"
    CANCELLED = "cancelled"
    CLOSED_EXTERNAL = "closed_external"
    EXPIRED = "expired"
    ABORTED = "aborted"

    @property
    def is_waiting(self) -> bool:
        """Whether prices still matter to it."""
        return self in WAITING_STATES

    @property
    def is_acting(self) -> bool:
        """Whether it has fired and is not done."""
        return self in {TrackerState.TRIGGERED, TrackerState.EXITING, TrackerState.BLOCKED}

    @property
    def is_terminal(self) -> bool:
        """Whether it is over for good."""
        return not self.is_waiting and not self.is_acting


# The bound on a confirmation's extra loss where neither it nor a trail says one.
_LOSS_MAX_DEFAULT = Decimal("0.01")
# Why one that was to go round again has ended instead.
NOTHING_LEFT = "nothing is left for it to watch"
TOO_LITTLE_LEFT = "too little is left to swing with"
WAITING_STATES = frozenset({TrackerState.WATCHING, TrackerState.TRAILING, TrackerState.RESTING})


@dataclass(frozen=True, slots=True)
class Evidence:
    """The price that made a rule true: which price, from where, when, and against which level."""

    price: Decimal
    price_kind: PriceKind
    source: str
    event_time_ms: int
    observed_at: datetime
    level: Decimal
    rule: str


@dataclass(frozen=True, slots=True)
class Tracker:
    """One private stop or entry.

    `quantity` is the slice of managed base units it owns (sell side), `quote` the reserved quote
    units (buy side). `record_price` is the best price since the touch, `stop_price` the level that
    fires while TRAILING, `hard_stop_price` the fixed stop that stays active in every waiting state.
    `distance` is the trailing distance in force as a share (from an ATR: only tightened later).
    `fired_rule` names the rule that fired last: after a hard stop no cycle goes on.
    """

    tracker_id: int
    spec: TrackerSpec
    person_id: int
    side: Side
    state: TrackerState
    armed_at: datetime
    arm_seq: int = 1
    quantity: Decimal = ZERO
    quote: Decimal = ZERO
    distance: Decimal | None = None
    record_price: Decimal | None = None
    stop_price: Decimal | None = None
    hard_stop_price: Decimal | None = None
    level_price: Decimal | None = None
    touched_at: datetime | None = None
    is_paused: bool = False
    paused_at: datetime | None = None
    last_fill_price: Decimal | None = None
    intent_id: str | None = None
    reason: str = ""
    changed_at: datetime | None = None
    fired_rule: str = ""

    @property
    def symbol(self) -> str:
        """The instrument's name."""
        return self.spec.symbol

    @property
    def loss_max(self) -> Decimal:
        """The extra share of loss beyond the level at which no confirmation is waited for."""
        return self.spec.confirm.loss_max or self.distance or _LOSS_MAX_DEFAULT

    @property
    def is_swinging(self) -> bool:
        """Whether it is in a later half of a swing: its side and level come from the last fill."""
        return self.spec.then.kind is ThenKind.SWING and self.last_fill_price is not None


class NextLevel(Enum):
    """What happens at the next level of a tracker."""

    FIRES = "fires"
    TOUCH = "touch"
    BAND = "band"


class TrackerChange(Enum):
    """Why a tracker's value was written."""

    ARMED = "armed"
    TOUCHED = "touched"
    MOVED = "moved"
    TRIGGERED = "triggered"
    EXITING = "exiting"
    BLOCKED = "blocked"
    CLOSED = "closed"
    RESTED = "rested"
    REARMED = "rearmed"
    RESIZED = "resized"
    EDITED = "edited"
    PAUSED = "paused"
    RESUMED = "resumed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    ABORTED = "aborted"
    REBUILT = "rebuilt"
