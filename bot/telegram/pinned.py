"""A silent card at the top of the chat that says each minute that all is well.

It is edited past the journal: a sign of life is worth nothing later. Only where it hangs is stored.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from telegram.error import BadRequest, TelegramError

from bot.telegram.delivery import with_banner
from bot.telegram.render.pinned import pinned_text
from bot.telegram.roster import Roster
from bot.telegram.sending import Sender
from bot.telegram.turns import each
from trading.desk import Desk
from trading.domain.chat import OutboxMessage, Person
from trading.domain.events import MessageQueued
from trading.domain.time import to_ms
from trading.ports.clock import Clock
from trading.ports.storage import Journal, Records

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class PinnedCards:
    """One card for each person who wishes it, edited in place."""

    sender: Sender
    desk: Desk
    journal: Journal
    records: Records
    roster: Roster
    clock: Clock
    banner: Callable[[], str]
    kick_outbox: Callable[[], None]
    _asked: set[int] = field(default_factory=set)
    _pinned: dict[int, int] = field(default_factory=dict)

    async def tick(self) -> int:
        """Bring every card up to date; the scheduler calls this each minute."""
        wishing = {one.user_id: one for one in self.roster.active.values() if one.wishes.is_pinned}
        edited = await each(partial(self._refresh, person) for person in wishing.values())
        # Also of whoever was revoked: a card that nobody edits says that Umbra is down.
        for person in self.roster.everybody:
            if person.user_id in self._pinned and person.user_id not in wishing:
                await self._take_down(person)
        return edited

    async def _refresh(self, person: Person) -> bool:
        now = self.clock.now()
        text = with_banner(pinned_text(self.desk.status(), person, now), self.banner())
        message_id = await self.records.card_message_id(person.chat_id, _card(person))
        if message_id is None:
            if person.user_id not in self._asked:
                await self._place(person, text, now)
            return False
        try:
            if self._pinned.get(person.user_id) != message_id:
                await self.sender.pin(person.chat_id, message_id)
                self._pinned[person.user_id] = message_id
            await self.sender.edit(_message(person, text, now), message_id)
        except BadRequest as error:
            if "not found" not in error.message.lower():
                return "not modified" in error.message.lower()
            # The person deleted it, and still wishes to have one.
            await self._place(person, text, now)
        except TelegramError as error:
            logger.debug("pinned_card_not_edited", extra={"error": type(error).__name__})
            return False
        return True

    async def _place(self, person: Person, text: str, now: datetime) -> None:
        await self.journal.append(MessageQueued(_message(person, text, now)))
        self._asked.add(person.user_id)
        self.kick_outbox()

    async def _take_down(self, person: Person) -> None:
        message_id = self._pinned.pop(person.user_id)
        self._asked.discard(person.user_id)
        try:
            await self.sender.unpin(person.chat_id, message_id)
        except TelegramError as error:
            logger.debug("pinned_card_stays", extra={"error": type(error).__name__})


def _card(person: Person) -> str:
    return f"pinned:{person.user_id}"


def _message(person: Person, text: str, now: datetime) -> OutboxMessage:
    return OutboxMessage(
        message_key=f"{_card(person)}:{to_ms(now)}",
        chat_id=person.chat_id,
        text=text,
        created_at=now,
        is_silent=True,
        card=_card(person),
    )
