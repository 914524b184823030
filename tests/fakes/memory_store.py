"""A journal and its records in memory, for tests of everything that needs a store.

It obeys the same contract suite as the real stores (tests/contract/storage), and has one switch
that they lack: `lose()` makes appends fail as a full disk does, `heal()` ends that.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from storage.codec import encode
from storage.fold import Fold
from trading.domain import events
from trading.domain.chat import InboxUpdate, OutboxMessage, Person, Severity
from trading.domain.errors import AlreadyRecorded, StorageLost
from trading.domain.events import Event
from trading.domain.order import Attempt, Fill, Intent
from trading.domain.position import RoundTrip
from trading.domain.tracker import Tracker
from trading.ports.clock import Clock
from trading.ports.storage import PendingUpdate, Recorded, StoredConfirmation, StoredState

_Kind = TypeVar("_Kind")


class SettableClock:
    """A clock that moves only when told."""

    def __init__(self, now: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self.time = now
        self.seconds = 0.0

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.seconds


class MemoryStore:
    """Journal and Records at once; `journal` and `records` are this object itself."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SettableClock()
        self._events: list[Event] = []
        self._hashes: list[bytes] = []
        self._keys: set[tuple[str, str]] = set()
        self._reserve: list[tuple[Event, ...]] = []
        self._lost: str | None = None
        self._reserve_takes: int | None = None
        self._reserve_events_max: int | None = None
        self._is_answer_lost = False
        self._fold = Fold()
        self.appends: list[tuple[Event, ...]] = []
        # Of each append, whether an order waited for it.
        self.urgencies: list[bool] = []
        self.appends_lost = 0

    @property
    def journal(self) -> "MemoryStore":
        return self

    @property
    def records(self) -> "MemoryStore":
        return self

    @property
    def written_seq(self) -> int:
        return len(self._events) if self.appends and self._lost is None else 0

    @property
    def is_degraded(self) -> bool:
        return self._lost is not None or bool(self._reserve)

    @property
    def all_events(self) -> list[Event]:
        """Every event in order, for assertions."""
        return list(self._events)

    def of(self, kind: type[_Kind]) -> list[_Kind]:
        """All events of one class in order, for assertions."""
        return [event for event in self._events if isinstance(event, kind)]

    def lose(
        self,
        reason: str = "database or disk is full",
        *,
        reserve_too: bool = False,
        reserve_takes: int | None = None,
        reserve_events_max: int | None = None,
    ) -> None:
        """Make appends fail from now on; with `reserve_too` the reserve takes nothing either.

        `reserve_takes` are the appends that it still has room for, `reserve_events_max` the facts
        of the largest of them.
        """
        self._lost = reason
        self._reserve_takes = 0 if reserve_too else reserve_takes
        self._reserve_events_max = reserve_events_max

    def lose_answer(self) -> None:
        """Keep the next append, and say that it failed."""
        self._is_answer_lost = True

    def heal(self) -> None:
        """Let appends succeed again; the next one drains the reserve first."""
        self._lost = None
        self._reserve_takes = self._reserve_events_max = None

    def _has_room(self, facts: int) -> bool:
        most = self._reserve_events_max
        return self._reserve_takes != 0 and (most is None or facts <= most)

    async def close(self) -> None:
        """Nothing to close."""

    # ------------------------------------------------------------ Journal

    async def append(self, *new: Event, reserve: bool = False, urgent: bool = False) -> int:
        self.urgencies.append(urgent)
        for event in new:
            encode(event)  # what a database could not keep should fail here too
        self._refuse_known(new)
        if self._lost is not None:
            self.appends_lost += 1
            if not reserve or not self._has_room(len(new)):
                raise StorageLost(f"the journal cannot be written: {self._lost}")
            if self._reserve_takes is not None:
                self._reserve_takes -= 1
            self._reserve.append(new)
            return 0
        for batch in self._reserve:
            self._record(event for event in batch if _identity(event) not in self._keys)
        self._reserve.clear()
        self._record(new)
        self.appends.append(new)
        if self._is_answer_lost:
            self._is_answer_lost = False
            self.appends_lost += 1
            raise StorageLost("the journal did not answer")
        return len(self._events)

    async def events(
        self, after_seq: int = 0, limit: int = 1000, kinds: Sequence[str] = ()
    ) -> Sequence[Recorded]:
        found = (one for one in self._recorded() if one.seq > after_seq and _is_of(one, kinds))
        return [one for _, one in zip(range(limit), found, strict=False)]

    async def latest(self, limit: int, kinds: Sequence[str] = ()) -> Sequence[Recorded]:
        return [one for one in reversed(self._recorded()) if _is_of(one, kinds)][:limit]

    async def verify(self) -> int:
        return len(self._events)

    def _refuse_known(self, new: Sequence[Event]) -> None:
        seen = set(self._keys) | {
            identity for batch in self._reserve for event in batch if (identity := _identity(event))
        }
        for event in new:
            identity = _identity(event)
            if identity is None:
                continue
            if identity in seen:
                raise AlreadyRecorded(*identity)
            seen.add(identity)

    def _record(self, new: Iterable[Event]) -> None:
        for event in new:
            self._events.append(event)
            before = self._hashes[-1] if self._hashes else b""
            self._hashes.append(hashlib.sha256(before + repr(event).encode()).digest())
            if identity := _identity(event):
                self._keys.add(identity)
            self._fold.add(len(self._events), event)

    def _recorded(self) -> list[Recorded]:
        return [Recorded(seq, event) for seq, event in enumerate(self._events, start=1)]

    # ------------------------------------------------------------ Records

    async def state(self) -> StoredState:
        return self._fold.state(self._clock.now())

    async def trackers(self, limit: int = 100) -> Sequence[Tracker]:
        return [one for _, one in sorted(self._fold.trackers.items(), reverse=True)][:limit]

    async def tracker(self, tracker_id: int) -> Tracker | None:
        found = [one for one in await self.trackers() if one.tracker_id == tracker_id]
        return found[0] if found else None

    async def intent(self, intent_id: str) -> Intent | None:
        return self._fold.intents.get(intent_id)

    async def attempts(self, intent_id: str) -> Sequence[Attempt]:
        found = (one for one in self._fold.attempts.values() if one.intent_id == intent_id)
        return sorted(found, key=lambda one: one.number)

    async def fills(
        self, symbol: str | None = None, since: datetime | None = None, limit: int = 1000
    ) -> Sequence[Fill]:
        found = [
            one.fill
            for one in reversed(self.of(events.FillBooked))
            if (symbol is None or one.fill.symbol == symbol)
            and (since is None or one.fill.at >= since)
        ]
        return sorted(found, key=lambda fill: fill.at, reverse=True)[:limit]

    async def intent_fills(self, intent_id: str) -> Sequence[Fill]:
        return [one.fill for one in self.of(events.FillBooked) if one.intent_id == intent_id]

    async def round_trips(
        self, since: datetime | None = None, limit: int = 100
    ) -> Sequence[RoundTrip]:
        found = [
            one.round_trip
            for one in reversed(self.of(events.RoundTripClosed))
            if since is None or one.round_trip.closed_at >= since
        ]
        return sorted(found, key=lambda trip: trip.closed_at, reverse=True)[:limit]

    async def people(self) -> Sequence[Person]:
        found = {one.person.user_id: one.person for one in self.of(events.PersonChanged)}
        return [found[user_id] for user_id in sorted(found)]

    async def pending_updates(self) -> Sequence[PendingUpdate]:
        handled = {one.update_id for one in self.of(events.UpdateHandled)}
        return [
            PendingUpdate(one.seq, one.event.update)
            for one in self._recorded()
            if isinstance(one.event, events.UpdateReceived)
            and one.event.update.update_id not in handled
        ]

    async def last_update_id(self) -> int | None:
        received: list[InboxUpdate] = [one.update for one in self.of(events.UpdateReceived)]
        return received[-1].update_id if received else None

    async def pending_messages(self, limit: int = 200) -> Sequence[OutboxMessage]:
        delivered = {one.message_key for one in self.of(events.MessageDelivered)}
        found = [
            one.message
            for one in self.of(events.MessageQueued)
            if one.message.message_key not in delivered
        ]
        return sorted(found, key=lambda one: one.severity is not Severity.CRIT)[:limit]

    async def messages_waiting(self) -> int:
        return len(await self.pending_messages(2**31))

    async def card_message_id(self, chat_id: int, card: str) -> int | None:
        found = await self.card_message_ids(chat_id, card, 1)
        return found[0] if found else None

    async def card_message_ids(self, chat_id: int, card: str, limit: int) -> Sequence[int]:
        queued = {one.message.message_key: one.message for one in self.of(events.MessageQueued)}
        found = set()
        for one in self.of(events.MessageDelivered):
            message = queued.get(one.message_key)
            if message is None or one.message_id is None:
                continue
            if message.chat_id == chat_id and message.card == card:
                found.add(one.message_id)
        return sorted(found, reverse=True)[:limit]

    async def card_chats(self, card: str) -> Sequence[int]:
        queued = [one.message for one in self.of(events.MessageQueued)]
        return sorted({message.chat_id for message in queued if message.card == card})

    async def addressed_seq(self) -> int:
        return max((one.up_to_seq for one in self.of(events.EventsAddressed)), default=0)

    async def confirmation(self, nonce: str) -> StoredConfirmation | None:
        for asked in self.of(events.ConfirmationAsked):
            if asked.confirmation.nonce == nonce:
                answers = (
                    one.answer for one in self.of(events.ConfirmationAnswered) if one.nonce == nonce
                )
                return StoredConfirmation(asked.confirmation, next(answers, None))
        return None

    async def last_runs(self) -> Mapping[str, datetime]:
        return {one.job: one.at for one in self.of(events.JobRan)}


def _identity(event: Event) -> tuple[str, str] | None:
    key = event.key
    return None if key is None else (type(event).__name__, key)


def _is_of(recorded: Recorded, kinds: Sequence[str]) -> bool:
    return not kinds or recorded.event.kind in kinds
