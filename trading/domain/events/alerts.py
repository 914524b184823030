"""What somebody must know: degradations, and what is said until a person has seen it."""

from dataclasses import dataclass
from datetime import datetime

from trading.domain.chat import Severity
from trading.domain.events.fact import Fact

# The topic of alarms that the journal may lack what was done: more may be managed than it says.
PUT_BACK = "put_back"


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
    """Something a person must know that no other event says; CRIT repeats until acknowledged.

    An `alert_id` begins with its topic, and goes on after a colon.
    """

    alert_id: str
    severity: Severity
    text: str
    at: datetime
    tracker_id: int | None = None

    @property
    def topic(self) -> str:
        """What it is about, in a word."""
        return self.alert_id.partition(":")[0]

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
