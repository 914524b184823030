"""People, messages and confirmations as values; the chat's own words stay in bot.telegram."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum

from trading.domain.watching import Wishes


class Role(Enum):
    """What a person may do; `rank` orders them."""

    OWNER = "owner"
    TRADER = "trader"
    VIEWER = "viewer"

    @property
    def rank(self) -> int:
        """Owner 3, trader 2, viewer 1."""
        return {Role.OWNER: 3, Role.TRADER: 2, Role.VIEWER: 1}[self]


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody admitted, known by numeric id; times are in `timezone`.

    `muted_until` is their own wish, `silenced_until` what the owner has put on them.
    """

    user_id: int
    chat_id: int
    name: str
    role: Role
    timezone: str = "UTC"
    digest_at: str | None = "09:00"
    quiet_hours: str | None = None
    muted_until: datetime | None = None
    is_active: bool = True
    wishes: Wishes = field(default_factory=Wishes)
    silenced_until: datetime | None = None

    def put_out(self) -> "Person":
        """Return somebody without rights, watch list and silences."""
        return replace(
            self, is_active=False, wishes=Wishes(), muted_until=None, silenced_until=None
        )

    def is_silenced(self, now: datetime) -> bool:
        """Whether the owner has made this silent, and it has not ended."""
        return self.silenced_until is not None and now < self.silenced_until

    def silent_until(self, now: datetime) -> datetime | None:
        """Return until when it is silent, by whomever; None where it is not."""
        ends = (self.muted_until, self.silenced_until)
        return max((at for at in ends if at is not None and now < at), default=None)


@dataclass(frozen=True, slots=True)
class InboxUpdate:
    """One update of the chat service, stored before its offset is acknowledged."""

    update_id: int
    payload: str
    received_at: datetime


class Severity(Enum):
    """How loud a message is; CRIT repeats until acknowledged."""

    INFO = "info"
    WARN = "warn"
    CRIT = "crit"

    @property
    def priority(self) -> int:
        """Smaller is sent first."""
        return {Severity.CRIT: 0, Severity.WARN: 1, Severity.INFO: 2}[self]


@dataclass(frozen=True, slots=True)
class Button:
    """One inline button: what it says and the callback data it carries (64 bytes at most)."""

    label: str
    data: str


@dataclass(frozen=True, slots=True)
class OutboxMessage:
    """One message to one chat, durable until delivered.

    `card` names a living card: a later message with the same card and `edits` True edits the one
    delivered last, or the message `target` where its id is known. `is_refresh` marks an edit that
    only brings a card up to date: it goes after everything else and is dropped once a newer one
    waits. `picture` and `document` are paths of files in the data directory; the text is HTML.
    What waits of one `sort` may become one message, in which each has its `gist`, as plain text.
    """

    message_key: str
    chat_id: int
    text: str
    created_at: datetime
    severity: Severity = Severity.INFO
    buttons: tuple[tuple[Button, ...], ...] = field(default=())
    is_silent: bool = False
    card: str | None = None
    edits: bool = False
    target: int | None = None
    is_refresh: bool = False
    picture: str | None = None
    document: str | None = None
    sort: str = ""
    gist: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Confirmation:
    """A question for one tap: single use, bound to person and chat, gone at `expires_at`."""

    nonce: str
    user_id: int
    chat_id: int
    action: str
    payload: str
    asked_at: datetime
    expires_at: datetime
    card: str


class ConfirmationAnswer(Enum):
    """How a question ended."""

    CONFIRMED = "confirmed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
