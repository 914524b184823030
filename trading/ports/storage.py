"""Storage as ports: the journal of facts, and the records that are made of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from trading.domain.chat import Confirmation, ConfirmationAnswer, InboxUpdate, OutboxMessage, Person
from trading.domain.events import (
    AlertRaised,
    ConditionChanged,
    DayOpened,
    Event,
    FundsMoved,
    Installed,
    TradingModeChanged,
)
from trading.domain.order import Attempt, Fill, Intent
from trading.domain.position import Position, RoundTrip
from trading.domain.tracker import Tracker


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event with its place in the journal."""

    seq: int
    event: Event


class Journal(Protocol):
    """The append-only record; projections change in the same transaction."""

    @property
    def written_seq(self) -> int:
        """The seq of the newest append of this process; 0 where that is not known for certain."""
        ...

    async def append(self, *events: Event, reserve: bool = False, urgent: bool = False) -> int:
        """Make all events durable in one transaction and return the last seq.

        An `urgent` one, which an order waits for, may hold up everything else for a few ms; there
        is one turn for others, while the disk is at work.

        With `reserve` the events go to the pre-allocated reserve file, fsynced, when the database
        cannot take them (0 is returned); they enter the journal as soon as it can. Raises
        AlreadyRecorded (nothing is written) when a key exists, StorageLost when nothing durable
        was written, InstanceConflict when another process took over.
        """
        ...

    async def events(
        self, after_seq: int = 0, limit: int = 1000, kinds: Sequence[str] = ()
    ) -> Sequence[Recorded]:
        """Return events with a greater seq in order; `kinds` are names as `Fact.kind` has them."""
        ...

    async def latest(self, limit: int, kinds: Sequence[str] = ()) -> Sequence[Recorded]:
        """Return the newest events, newest first."""
        ...

    async def verify(self) -> int:
        """Check the hash chain and return the last seq; raises JournalCorrupt with the place."""
        ...


@dataclass(frozen=True, slots=True)
class PendingUpdate:
    """An update that was stored and not handled yet."""

    seq: int
    update: InboxUpdate


@dataclass(frozen=True, slots=True)
class StoredConfirmation:
    """A question and its answer, if it has one."""

    confirmation: Confirmation
    answer: ConfirmationAnswer | None


@dataclass(frozen=True, slots=True)
class LostRecords:
    """What a journal lacks: an earlier one of the same place had come to `reached_seq`.

    `count` is 0 where this one is as long and holds something else; `last_at` is the time of its
    own last record, None where it has none.
    """

    count: int
    last_at: datetime | None
    reached_seq: int


@dataclass(frozen=True, slots=True)
class StoredState:
    """What the trading core loads at start: the projections of everything that still matters."""

    installed: Installed | None = None
    trackers: Sequence[Tracker] = ()
    intents: Sequence[Intent] = ()
    attempts: Sequence[Attempt] = ()
    watched_attempts: Sequence[Attempt] = ()
    positions: Mapping[str, Position] = field(default_factory=dict)
    trading_mode: TradingModeChanged | None = None
    conditions: Sequence[ConditionChanged] = ()
    alerts: Sequence[AlertRaised] = ()
    day: DayOpened | None = None
    moved: Sequence[FundsMoved] = ()
    last_alive_at: datetime | None = None
    next_tracker_id: int = 1
    last_seq: int = 0
    lost: LostRecords | None = None


class Records(Protocol):
    """Read access to the projections; reads never wait for the writer."""

    async def state(self) -> StoredState:
        """Load what still matters at start.

        Waiting and acting trackers, open intents and their attempts, ABSENT attempts of the last
        24 h, non-zero positions, mode, active conditions, open CRIT alerts, the newest
        day, and what has moved in or out of the account since it was opened.
        """
        ...

    async def trackers(self, limit: int = 100) -> Sequence[Tracker]:
        """Return all trackers, newest first, ended ones included."""
        ...

    async def tracker(self, tracker_id: int) -> Tracker | None:
        """Return one tracker, live or ended."""
        ...

    async def intent(self, intent_id: str) -> Intent | None:
        """Return one decision."""
        ...

    async def attempts(self, intent_id: str) -> Sequence[Attempt]:
        """Return all attempts of an intent in order."""
        ...

    async def fills(
        self, symbol: str | None = None, since: datetime | None = None, limit: int = 1000
    ) -> Sequence[Fill]:
        """Return booked fills, newest first."""
        ...

    async def intent_fills(self, intent_id: str) -> Sequence[Fill]:
        """Return the fills of one decision in order."""
        ...

    async def round_trips(
        self, since: datetime | None = None, limit: int = 100
    ) -> Sequence[RoundTrip]:
        """Return finished exits, newest first."""
        ...

    async def people(self) -> Sequence[Person]:
        """Return everybody ever admitted; `is_active` tells who still is."""
        ...

    async def pending_updates(self) -> Sequence[PendingUpdate]:
        """Return stored, unhandled updates in order."""
        ...

    async def last_update_id(self) -> int | None:
        """Return the id of the update received last."""
        ...

    async def pending_messages(self, limit: int = 200) -> Sequence[OutboxMessage]:
        """Return undelivered messages: CRIT first, then by age."""
        ...

    async def messages_waiting(self) -> int:
        """Return how many messages are undelivered, without a look at them."""
        ...

    async def card_message_id(self, chat_id: int, card: str) -> int | None:
        """Return the chat service's id of the newest delivered message of a card."""
        ...

    async def card_message_ids(self, chat_id: int, card: str, limit: int) -> Sequence[int]:
        """Return the chat service's ids of the delivered messages of a card, newest first."""
        ...

    async def card_chats(self, card: str) -> Sequence[int]:
        """Return the chats that a card was sent to, or is about to be."""
        ...

    async def addressed_seq(self) -> int:
        """Return the seq up to which events have been turned into messages."""
        ...

    async def confirmation(self, nonce: str) -> StoredConfirmation | None:
        """Return one question."""
        ...

    async def last_runs(self) -> Mapping[str, datetime]:
        """Return when each recorded job ran last."""
        ...
