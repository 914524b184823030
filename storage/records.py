"""The Records port on a database: what follows from the journal, as rows are read."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

from storage import queries
from storage.database import Database
from trading.domain.chat import OutboxMessage, Person
from trading.domain.order import Attempt, Fill, Intent
from trading.domain.position import RoundTrip
from trading.domain.tracker import Tracker
from trading.ports.clock import Clock
from trading.ports.storage import LostRecords, PendingUpdate, StoredConfirmation, StoredState


class SqlRecords:
    """The Records port on a database."""

    def __init__(
        self, database: Database, clock: Clock, lost_records: LostRecords | None = None
    ) -> None:
        self._read = database.read
        self._clock = clock
        self.lost_records = lost_records

    async def state(self) -> StoredState:
        """Load what still matters at start, and what the journal lacks of an earlier one."""
        found = await self._read(partial(queries.state, now=self._clock.now()))
        return replace(found, lost=self.lost_records)

    async def trackers(self, limit: int = 100) -> Sequence[Tracker]:
        """Return all trackers, newest first."""
        return await self._read(partial(queries.trackers, limit=limit))

    async def tracker(self, tracker_id: int) -> Tracker | None:
        """Return one tracker, live or ended."""
        return await self._read(partial(queries.tracker, tracker_id=tracker_id))

    async def intent(self, intent_id: str) -> Intent | None:
        """Return one decision."""
        return await self._read(partial(queries.intent, intent_id=intent_id))

    async def attempts(self, intent_id: str) -> Sequence[Attempt]:
        """Return all attempts of an intent in order."""
        return await self._read(partial(queries.attempts, intent_id=intent_id))

    async def fills(
        self, symbol: str | None = None, since: datetime | None = None, limit: int = 1000
    ) -> Sequence[Fill]:
        """Return booked fills, newest first."""
        return await self._read(partial(queries.fills, symbol=symbol, since=since, limit=limit))

    async def intent_fills(self, intent_id: str) -> Sequence[Fill]:
        """Return the fills of one decision in order."""
        return await self._read(partial(queries.intent_fills, intent_id=intent_id))

    async def round_trips(
        self, since: datetime | None = None, limit: int = 100
    ) -> Sequence[RoundTrip]:
        """Return finished exits, newest first."""
        return await self._read(partial(queries.round_trips, since=since, limit=limit))

    async def people(self) -> Sequence[Person]:
        """Return everybody ever admitted."""
        return await self._read(queries.people)

    async def pending_updates(self) -> Sequence[PendingUpdate]:
        """Return stored, unhandled updates in order."""
        return await self._read(queries.pending_updates)

    async def last_update_id(self) -> int | None:
        """Return the id of the update received last."""
        return await self._read(queries.last_update_id)

    async def pending_messages(self, limit: int = 200) -> Sequence[OutboxMessage]:
        """Return undelivered messages: CRIT first, then by age."""
        return await self._read(partial(queries.pending_messages, limit=limit))

    async def messages_waiting(self) -> int:
        """Return how many messages are undelivered, without a look at them."""
        return await self._read(queries.messages_waiting)

    async def card_message_id(self, chat_id: int, card: str) -> int | None:
        """Return the chat service's id of the newest delivered message of a card."""
        found = await self.card_message_ids(chat_id, card, 1)
        return found[0] if found else None

    async def card_message_ids(self, chat_id: int, card: str, limit: int) -> Sequence[int]:
        """Return the chat service's ids of the delivered messages of a card, newest first."""
        query = partial(queries.card_message_ids, chat_id=chat_id, card=card, limit=limit)
        return await self._read(query)

    async def card_chats(self, card: str) -> Sequence[int]:
        """Return the chats that a card was sent to, or is about to be."""
        return await self._read(partial(queries.card_chats, card=card))

    async def addressed_seq(self) -> int:
        """Return the seq up to which events have been turned into messages."""
        return await self._read(queries.addressed_seq)

    async def confirmation(self, nonce: str) -> StoredConfirmation | None:
        """Return one question."""
        return await self._read(partial(queries.confirmation, nonce=nonce))

    async def last_runs(self) -> Mapping[str, datetime]:
        """Return when each recorded job ran last."""
        return await self._read(queries.last_runs)
