"""The way of the money: from a tracker's change to the round trip, and what bounds it."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from trading.domain.events.fact import Fact
from trading.domain.money import ZERO, plain
from trading.domain.order import Attempt, Fill, Intent
from trading.domain.position import PAUSE, AdjustReason, Movement, RoundTrip, TradingMode
from trading.domain.time import to_ms
from trading.domain.tracker import Evidence, Tracker, TrackerChange

TRACKER_MOVED = "TrackerMoved"


@dataclass(frozen=True, slots=True)
class TrackerChanged(Fact):
    """A tracker's new value and why; a touch and a trigger carry their price evidence."""

    tracker: Tracker
    change: TrackerChange
    at: datetime
    evidence: Evidence | None = None
    reason: str = ""

    @property
    def kind(self) -> str:
        """A record that only moved has a name of its own: there may be hundreds a second."""
        return TRACKER_MOVED if self.change is TrackerChange.MOVED else type(self).__name__

    @property
    def key(self) -> str | None:
        """One arming per tracker, one trigger per arming."""
        if self.change is TrackerChange.ARMED:
            return f"armed:{self.tracker.tracker_id}"
        if self.change is TrackerChange.TRIGGERED:
            return f"triggered:{self.tracker.tracker_id}:{self.tracker.arm_seq}"
        return None


@dataclass(frozen=True, slots=True)
class IntentOpened(Fact):
    """A decision was made."""

    intent: Intent
    at: datetime

    @property
    def key(self) -> str | None:
        """One per intent."""
        return self.intent.intent_id


@dataclass(frozen=True, slots=True)
class IntentChanged(Fact):
    """A decision was blocked, unblocked, or filled further."""

    intent: Intent
    at: datetime


@dataclass(frozen=True, slots=True)
class IntentClosed(Fact):
    """A decision ended; its state tells how. What it lets go of leaves care with this fact."""

    intent: Intent
    at: datetime

    @property
    def key(self) -> str | None:
        """One per intent."""
        return self.intent.intent_id


@dataclass(frozen=True, slots=True)
class AttemptPrepared(Fact):
    """A request is about to be sent: durable before the first byte."""

    attempt: Attempt
    at: datetime

    @property
    def key(self) -> str | None:
        """A client order id is used once, for ever."""
        return self.attempt.client_order_id


@dataclass(frozen=True, slots=True)
class AttemptChanged(Fact):
    """An attempt moved on, and the evidence for it."""

    attempt: Attempt
    evidence: str
    at: datetime


@dataclass(frozen=True, slots=True)
class FillBooked(Fact):
    """An execution of one of our orders.

    `unmanaged` are base units of a sale that its decision had let go of before: no position counts
    them any more.
    """

    fill: Fill
    intent_id: str
    base: str
    quote: str
    at: datetime
    unmanaged: Decimal = ZERO

    @property
    def key(self) -> str | None:
        """A trade id of a symbol is booked once."""
        return f"{self.fill.symbol}:{self.fill.trade_id}"


@dataclass(frozen=True, slots=True)
class PositionAdjusted(Fact):
    """Managed coins changed without an order of ours; `quantity` is signed, `price` values them.

    `cause` is that of the command which puts them under care; empty without one.
    """

    symbol: str
    quantity: Decimal
    price: Decimal
    reason: AdjustReason
    note: str
    at: datetime
    cause: str = ""

    @property
    def key(self) -> str | None:
        """One per command and symbol: where the answer is lost, it is written again."""
        return f"{self.symbol}:{self.cause}" if self.cause else None


@dataclass(frozen=True, slots=True)
class RoundTripClosed(Fact):
    """An exit finished and its profit is known."""

    round_trip: RoundTrip
    at: datetime

    @property
    def key(self) -> str | None:
        """One per exit."""
        return self.round_trip.intent_id


@dataclass(frozen=True, slots=True)
class TradingModeChanged(Fact):
    """Entries were allowed, refused, or everything was halted."""

    mode: TradingMode
    reason: str
    by: str
    at: datetime

    @property
    def ends_entries(self) -> bool:
        """Whether orders to buy that rest are cancelled: a pause only refuses new ones."""
        return self.mode.is_halted or (not self.mode.takes_entries and self.reason != PAUSE)


@dataclass(frozen=True, slots=True)
class DayOpened(Fact):
    """The daily risk reset: the account's value in quote at 00:00 UTC."""

    day: date
    equity: Decimal
    at: datetime

    @property
    def key(self) -> str | None:
        """One per day."""
        return self.day.isoformat()


@dataclass(frozen=True, slots=True)
class AccountCounted(Fact):
    """What the account holds of each asset, locked or not, as fills and movements explain it."""

    totals: tuple[tuple[str, Decimal], ...]
    at: datetime


@dataclass(frozen=True, slots=True)
class FundsMoved(Fact):
    """Something came into the account or left it without a trade: no profit and no loss.

    `value` is its signed worth at that time in the valuation currency, 0 where no market tells it.
    """

    movement: Movement
    value: Decimal
    at: datetime

    @property
    def key(self) -> str | None:
        """The exchange numbers none: one per asset, time and quantity."""
        of = self.movement
        return f"{of.asset}:{to_ms(of.cleared_at)}:{plain(of.quantity)}"
