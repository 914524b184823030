"""Commands: what a person may ask of the trading core; imperative, and may be refused."""

from dataclasses import dataclass
from decimal import Decimal

from trading.domain.order import Side
from trading.domain.position import TradingMode
from trading.domain.tracker import (
    Amount,
    Confirm,
    Distance,
    Level,
    PriceKind,
    Then,
    TrackerSpec,
)


@dataclass(frozen=True, slots=True)
class ArmTracker:
    """Watch a private stop or entry."""

    spec: TrackerSpec


@dataclass(frozen=True, slots=True)
class EditTracker:
    """Change a live tracker; fields that are None stay as they are."""

    tracker_id: int
    level: Level | None = None
    trail: Distance | None = None
    stop: Level | None = None
    stop_share: Decimal | None = None
    confirm: Confirm | None = None
    amount: Amount | None = None
    then: Then | None = None
    backstop: Decimal | None = None
    backstop_share: Decimal | None = None
    is_backstop_off: bool = False
    slippage_max: Decimal | None = None
    is_slippage_off: bool = False
    price_kind: PriceKind | None = None
    is_stop_off: bool = False


@dataclass(frozen=True, slots=True)
class PauseTracker:
    """Stop watching for a while; reminded within the hour."""

    tracker_id: int


@dataclass(frozen=True, slots=True)
class ResumeTracker:
    """Watch again."""

    tracker_id: int


@dataclass(frozen=True, slots=True)
class CancelTracker:
    """End a tracker without a trade."""

    tracker_id: int


@dataclass(frozen=True, slots=True)
class PlaceOrder:
    """Buy or sell by hand: an amount in base, quote, share of the holding, or all."""

    symbol: str
    side: Side
    amount: Amount
    limit_price: Decimal | None = None


@dataclass(frozen=True, slots=True)
class ClosePosition:
    """Sell a share of what is managed of one instrument."""

    symbol: str
    share: Decimal = Decimal(1)


@dataclass(frozen=True, slots=True)
class CloseAll:
    """Sell everything managed; stay active."""


@dataclass(frozen=True, slots=True)
class Panic:
    """Cancel ours, sell all that is managed (or `everything` that has a market), then HALTED."""

    everything: bool = False


@dataclass(frozen=True, slots=True)
class SetTradingMode:
    """Pause, resume, reduce or halt."""

    mode: TradingMode
    reason: str = ""


@dataclass(frozen=True, slots=True)
class AbortIntent:
    """Give up a blocked exit of a tracker."""

    tracker_id: int


@dataclass(frozen=True, slots=True)
class AbortOrders:
    """Give up what persons have ordered of a market, and what is still at work of it."""

    symbol: str


@dataclass(frozen=True, slots=True)
class ExitNow:
    """Send a blocked exit on although `/halt everything` holds it."""

    tracker_id: int


@dataclass(frozen=True, slots=True)
class AcknowledgeAlerts:
    """End repeating alerts: one, or all of them."""

    alert_id: str | None = None


Command = (
    ArmTracker
    | EditTracker
    | PauseTracker
    | ResumeTracker
    | CancelTracker
    | PlaceOrder
    | ClosePosition
    | CloseAll
    | Panic
    | SetTradingMode
    | AbortIntent
    | AbortOrders
    | ExitNow
    | AcknowledgeAlerts
)
