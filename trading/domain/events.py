"""Events: facts in past tense. The journal keeps them; projections and alerts are made of them.

`key` makes a fact unique within its kind: the journal refuses a second one, which is what makes a
trigger, a fill, a confirmation or an update of the chat happen once.
"""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from trading.domain.chat import (
    Confirmation,
    ConfirmationAnswer,
    InboxUpdate,
    OutboxMessage,
    Person,
    Role,
    Severity,
)
from trading.domain.order import Attempt, Fill, Intent
from trading.domain.position import AdjustReason, RoundTrip, TradingMode
from trading.domain.tracker import Evidence, Tracker, TrackerChange
from trading.domain.watching import Attention, WatchedScore


class Fact:
    """What every event is; most may happen any number of times."""

    __slots__ = ()

    @property
    def key(self) -> str | None:
        """What may happen once only, None where there is no such bound."""
        return None


@dataclass(frozen=True, slots=True)
class Installed(Fact):
    """The first fact of a database: who this installation is and which account it serves."""

    install_id: str
    order_prefix: str
    account: str
    at: datetime

    @property
    def key(self) -> str | None:
        """One per database."""
        return "installed"


@dataclass(frozen=True, slots=True)
class ProcessStarted(Fact):
    """A start; `blind_since` is the last sign of life before it.

    `build` names the program beyond its version, `configured` the settings that are not at their
    defaults, each as `NAME=digest`; both are empty where an older program started.
    """

    version: str
    mode: str
    blind_since: datetime | None
    at: datetime
    build: str = ""
    configured: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ProcessStopped(Fact):
    """An orderly stop."""

    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Heartbeat(Fact):
    """A sign of life: prices were watched up to this moment."""

    at: datetime


@dataclass(frozen=True, slots=True)
class TrackerChanged(Fact):
    """A tracker's new value and why; a trigger carries its price evidence."""

    tracker: Tracker
    change: TrackerChange
    at: datetime
    evidence: Evidence | None = None
    reason: str = ""

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
    """A decision ended; its state tells how."""

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
    """An execution of one of our orders."""

    fill: Fill
    intent_id: str
    base: str
    quote: str
    at: datetime

    @property
    def key(self) -> str | None:
        """A trade id of a symbol is booked once."""
        return f"{self.fill.symbol}:{self.fill.trade_id}"


@dataclass(frozen=True, slots=True)
class PositionAdjusted(Fact):
    """Managed coins changed without an order of ours; `quantity` is signed, `price` values them."""

    symbol: str
    quantity: Decimal
    price: Decimal
    reason: AdjustReason
    note: str
    at: datetime


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


@dataclass(frozen=True, slots=True)
class ConditionChanged(Fact):
    """A degradation began or ended: stale data, exchange down, key lost …"""

    condition: str
    symbol: str | None
    is_active: bool
    severity: Severity
    text: str
    at: datetime


@dataclass(frozen=True, slots=True)
class AlertRaised(Fact):
    """Something a person must know that no other event says; CRIT repeats until acknowledged."""

    alert_id: str
    severity: Severity
    text: str
    at: datetime
    tracker_id: int | None = None

    @property
    def key(self) -> str | None:
        """One per alert id."""
        return self.alert_id


@dataclass(frozen=True, slots=True)
class AlertAcknowledged(Fact):
    """A person has seen an alert."""

    alert_id: str
    by: int
    at: datetime

    @property
    def key(self) -> str | None:
        """Once per alert."""
        return self.alert_id


@dataclass(frozen=True, slots=True)
class AlertEnded(Fact):
    """What an alert said is no longer true; nobody has to acknowledge it any more."""

    alert_id: str
    at: datetime

    @property
    def key(self) -> str | None:
        """Once per alert."""
        return self.alert_id


@dataclass(frozen=True, slots=True)
class RecoveryReported(Fact):
    """What a start found: lines for the recovery card, in order."""

    blind_seconds: int
    lines: tuple[str, ...]
    at: datetime


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
class PersonChanged(Fact):
    """Somebody was admitted, changed or revoked."""

    person: Person
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class ScoresTold(Fact):
    """What a person knows of the scores that they watch; the newest of each person counts.

    `card` numbers the card of what was not told aloud: a new one begins when they have looked.
    """

    user_id: int
    watched: tuple[WatchedScore, ...]
    attention: Attention
    card: int
    at: datetime


@dataclass(frozen=True, slots=True)
class InvitationMade(Fact):
    """A single-use code was made by which somebody may ask to be admitted; its hash alone is kept.

    `digest` is the SHA-256 of the code as hexadecimal text.
    """

    digest: str
    role: Role
    by: int
    ends_at: datetime
    at: datetime

    @property
    def key(self) -> str | None:
        """One per code."""
        return self.digest


@dataclass(frozen=True, slots=True)
class InvitationClosed(Fact):
    """A code was used by `user_id`, or withdrawn; it is worth nothing from now on."""

    digest: str
    ending: str
    user_id: int
    at: datetime

    @property
    def key(self) -> str | None:
        """A code is used once."""
        return self.digest


@dataclass(frozen=True, slots=True)
class AccessDenied(Fact):
    """A stranger tried; `tell_owner` is true for the one notice that the owner gets."""

    user_id: int
    chat_id: int
    update_kind: str
    tell_owner: bool
    at: datetime


@dataclass(frozen=True, slots=True)
class UpdateReceived(Fact):
    """An update of the chat is ours now; its offset may be acknowledged."""

    update: InboxUpdate

    @property
    def key(self) -> str | None:
        """An update id counts once."""
        return str(self.update.update_id)

    @property
    def at(self) -> datetime:
        """When it arrived."""
        return self.update.received_at


@dataclass(frozen=True, slots=True)
class UpdateHandled(Fact):
    """An update found its end: answered, refused, expired or failed."""

    update_id: int
    outcome: str
    at: datetime

    @property
    def key(self) -> str | None:
        """Once per update."""
        return str(self.update_id)


@dataclass(frozen=True, slots=True)
class MessageQueued(Fact):
    """A message waits for delivery."""

    message: OutboxMessage

    @property
    def key(self) -> str | None:
        """Once per message key."""
        return self.message.message_key

    @property
    def at(self) -> datetime:
        """When it was written."""
        return self.message.created_at


@dataclass(frozen=True, slots=True)
class MessageDelivered(Fact):
    """The chat service took a message (or it was dropped for a stated reason)."""

    message_key: str
    message_id: int | None
    reason: str
    at: datetime

    @property
    def key(self) -> str | None:
        """Once per message."""
        return self.message_key


@dataclass(frozen=True, slots=True)
class EventsAddressed(Fact):
    """Every event up to `up_to_seq` has been turned into messages."""

    up_to_seq: int
    at: datetime

    @property
    def key(self) -> str | None:
        """Once per position, so that two writers cannot both address an event."""
        return str(self.up_to_seq)


@dataclass(frozen=True, slots=True)
class ConfirmationAsked(Fact):
    """A question waits for a tap."""

    confirmation: Confirmation

    @property
    def key(self) -> str | None:
        """A nonce is asked once."""
        return self.confirmation.nonce

    @property
    def at(self) -> datetime:
        """When it was asked."""
        return self.confirmation.asked_at


@dataclass(frozen=True, slots=True)
class ConfirmationAnswered(Fact):
    """A question was answered: the first answer wins."""

    nonce: str
    answer: ConfirmationAnswer
    by: int
    at: datetime

    @property
    def key(self) -> str | None:
        """A nonce is answered once."""
        return self.nonce


@dataclass(frozen=True, slots=True)
class CommandExecuted(Fact):
    """A person's command took effect, in the same transaction as its effects."""

    cause: str
    by: int
    command: str
    at: datetime

    @property
    def key(self) -> str | None:
        """Once per cause: a repeated tap or a replayed update finds it done."""
        return self.cause


@dataclass(frozen=True, slots=True)
class JobRan(Fact):
    """A recurring job whose last run must survive a restart."""

    job: str
    outcome: str
    at: datetime


Event = (
    Installed
    | ProcessStarted
    | ProcessStopped
    | Heartbeat
    | TrackerChanged
    | IntentOpened
    | IntentChanged
    | IntentClosed
    | AttemptPrepared
    | AttemptChanged
    | FillBooked
    | PositionAdjusted
    | RoundTripClosed
    | TradingModeChanged
    | ConditionChanged
    | AlertRaised
    | AlertAcknowledged
    | AlertEnded
    | RecoveryReported
    | DayOpened
    | PersonChanged
    | ScoresTold
    | InvitationMade
    | InvitationClosed
    | AccessDenied
    | UpdateReceived
    | UpdateHandled
    | MessageQueued
    | MessageDelivered
    | EventsAddressed
    | ConfirmationAsked
    | ConfirmationAnswered
    | CommandExecuted
    | JobRan
)
