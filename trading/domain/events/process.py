"""The process in the journal: its beginnings, its ends, its signs of life."""

from dataclasses import dataclass
from datetime import datetime

from trading.domain.events.fact import Fact


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
    """An orderly stop; `unsold` names, in a sentence each, the sales that it leaves undone."""

    reason: str
    at: datetime
    unsold: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Heartbeat(Fact):
    """A sign of life: prices were watched up to this moment."""

    at: datetime


@dataclass(frozen=True, slots=True)
class RecoveryReported(Fact):
    """What a start found: lines for the recovery card, in order."""

    blind_seconds: int
    lines: tuple[str, ...]
    at: datetime


@dataclass(frozen=True, slots=True)
class JobRan(Fact):
    """A recurring job whose last run must survive a restart."""

    job: str
    outcome: str
    at: datetime
