"""Ends questions that nobody answered in time, or nobody may answer, and says so on their cards."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bot.telegram.confirm import is_past
from bot.telegram.delivery import with_banner
from bot.telegram.joining import JOIN, Joiner, letter_after
from bot.telegram.render.text import card_text
from trading.domain import events
from trading.domain.chat import Confirmation, ConfirmationAnswer, OutboxMessage
from trading.domain.errors import AlreadyRecorded
from trading.domain.events import Event
from trading.ports.clock import Clock
from trading.ports.storage import Journal, Records

_LOADED_MAX = 200
# A tap of the last moment may still be on its way from Telegram.
_GRACE = timedelta(seconds=2)


@dataclass(slots=True)
class Expiry:
    """Keeps the open questions; a tap that comes first wins, by the journal's key."""

    journal: Journal
    clock: Clock
    banner: Callable[[], str]
    kick_outbox: Callable[[], None]
    _open: dict[str, Confirmation] = field(default_factory=dict)
    _orphaned: set[str] = field(default_factory=set)

    async def load(self, records: Records) -> None:
        """Take over questions from before a restart."""
        for one in await self.journal.latest(_LOADED_MAX, ("ConfirmationAsked",)):
            if isinstance(one.event, events.ConfirmationAsked):
                stored = await records.confirmation(one.event.confirmation.nonce)
                if stored is not None and stored.answer is None:
                    self.note(one.event)

    def note(self, event: Event) -> None:
        """Remember a question, forget an answered one; those of who was revoked end soon."""
        if isinstance(event, events.ConfirmationAsked):
            self._open[event.confirmation.nonce] = event.confirmation
        elif isinstance(event, events.ConfirmationAnswered):
            self._open.pop(event.nonce, None)
        elif isinstance(event, events.PersonChanged) and not event.person.is_active:
            own = (one for one in self._open.values() if one.user_id == event.person.user_id)
            self._orphaned.update(one.nonce for one in own)

    def waits(self, user_id: int) -> bool:
        """Whether somebody sent a right code and the owner has not answered yet."""
        asked = (one for one in self._open.values() if one.action == JOIN)
        return any(Joiner.read(one.payload).user_id == user_id for one in asked)

    async def expire_due(self) -> None:
        """End what is past its time."""
        now = self.clock.now()
        for asked in [one for one in self._open.values() if self._is_due(one, now)]:
            del self._open[asked.nonce]
            self._orphaned.discard(asked.nonce)
            message = OutboxMessage(
                message_key=f"expired:{asked.nonce}",
                chat_id=asked.chat_id,
                text=with_banner(card_text("⌛ Expired", "Nothing was done."), self.banner()),
                created_at=now,
                is_silent=True,
                card=asked.card,
                edits=True,
            )
            answered = events.ConfirmationAnswered(
                asked.nonce, ConfirmationAnswer.EXPIRED, asked.user_id, now
            )
            letters = [
                events.MessageQueued(
                    OutboxMessage(
                        message_key=f"unanswered:{asked.nonce}",
                        chat_id=letter.chat_id,
                        text=with_banner(letter.card.text, self.banner()),
                        created_at=now,
                    )
                )
                for letter in letter_after(asked, ConfirmationAnswer.EXPIRED)
            ]
            try:
                await self.journal.append(answered, events.MessageQueued(message), *letters)
            except AlreadyRecorded:
                continue
            self.kick_outbox()

    def _is_due(self, asked: Confirmation, now: datetime) -> bool:
        return asked.nonce in self._orphaned or is_past(asked, now, _GRACE)
