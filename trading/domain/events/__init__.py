"""Events: facts in past tense. The journal keeps them; projections and alerts are made of them.

`key` makes a fact unique within its kind: the journal refuses a second one, which is what makes a
trigger, a fill, a confirmation or an update of the chat happen once.
"""

from trading.domain.events.alerts import (
    PUT_BACK,
    AlertAcknowledged,
    AlertEnded,
    AlertRaised,
    ConditionChanged,
)
from trading.domain.events.fact import Fact
from trading.domain.events.orders import (
    TRACKER_MOVED,
    AccountCounted,
    AttemptChanged,
    AttemptPrepared,
    DayOpened,
    FillBooked,
    FundsMoved,
    IntentChanged,
    IntentClosed,
    IntentOpened,
    PositionAdjusted,
    RoundTripClosed,
    TrackerChanged,
    TradingModeChanged,
)
from trading.domain.events.people import (
    AccessDenied,
    InvitationClosed,
    InvitationMade,
    PersonChanged,
    ScoresTold,
)
from trading.domain.events.process import (
    Heartbeat,
    Installed,
    JobRan,
    ProcessStarted,
    ProcessStopped,
    RecoveryReported,
)
from trading.domain.events.talking import (
    CommandExecuted,
    ConfirmationAnswered,
    ConfirmationAsked,
    EventsAddressed,
    MessageDelivered,
    MessageQueued,
    UpdateHandled,
    UpdateReceived,
)

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
    | AccountCounted
    | FundsMoved
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

__all__ = [
    "PUT_BACK",
    "TRACKER_MOVED",
    "AccessDenied",
    "AccountCounted",
    "AlertAcknowledged",
    "AlertEnded",
    "AlertRaised",
    "AttemptChanged",
    "AttemptPrepared",
    "CommandExecuted",
    "ConditionChanged",
    "ConfirmationAnswered",
    "ConfirmationAsked",
    "DayOpened",
    "Event",
    "EventsAddressed",
    "Fact",
    "FillBooked",
    "FundsMoved",
    "Heartbeat",
    "Installed",
    "IntentChanged",
    "IntentClosed",
    "IntentOpened",
    "InvitationClosed",
    "InvitationMade",
    "JobRan",
    "MessageDelivered",
    "MessageQueued",
    "PersonChanged",
    "PositionAdjusted",
    "ProcessStarted",
    "ProcessStopped",
    "RecoveryReported",
    "RoundTripClosed",
    "ScoresTold",
    "TrackerChanged",
    "TradingModeChanged",
    "UpdateHandled",
    "UpdateReceived",
]
