"""Who may take part, how they came in, and what each of them knows of the scores."""

from dataclasses import dataclass
from datetime import datetime

from trading.domain.chat import Person, Role
from trading.domain.events.fact import Fact
from trading.domain.watching import Attention, WatchedScore


@dataclass(frozen=True, slots=True)
class PersonChanged(Fact):
    """Somebody was admitted, changed or revoked."""

    person: Person
    reason: str
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
class ScoresTold(Fact):
    """What a person knows of the scores that they watch; the newest of each person counts.

    `card` numbers the card of what was not told aloud: a new one begins when they have looked.
    """

    user_id: int
    watched: tuple[WatchedScore, ...]
    attention: Attention
    card: int
    at: datetime
