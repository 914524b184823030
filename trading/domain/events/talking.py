"""The talk with people: updates in, messages out, questions and the commands they lead to."""

from dataclasses import dataclass
from datetime import datetime

from trading.domain.chat import Confirmation, ConfirmationAnswer, InboxUpdate, OutboxMessage
from trading.domain.events.fact import Fact


@dataclass(frozen=True, slots=True)
class UpdateReceived(Fact):
    """An update of the chat is ours now; its offset may be acknowledged."""

    update: InboxUpdate

    @property
    def key(self) -> str | None:
        """An update id counts once."""
        return str(self.update.update_id)

    @property
    def at(self) -> datetime:
        """When it arrived."""
        return self.update.received_at


@dataclass(frozen=True, slots=True)
class UpdateHandled(Fact):
    """An update found its end: answered, refused, expired or failed."""

    update_id: int
    outcome: str
    at: datetime

    @property
    def key(self) -> str | None:
        """Once per update."""
        return str(self.update_id)


@dataclass(frozen=True, slots=True)
class MessageQueued(Fact):
    """A message waits for delivery."""

    message: OutboxMessage

    @property
    def key(self) -> str | None:
        """Once per message key."""
        return self.message.message_key

    @property
    def at(self) -> datetime:
        """When it was written."""
        return self.message.created_at


@dataclass(frozen=True, slots=True)
class MessageDelivered(Fact):
    """The chat service took a message (or it was dropped for a stated reason)."""

    message_key: str
    message_id: int | None
    reason: str
    at: datetime

    @property
    def key(self) -> str | None:
        """Once per message."""
        return self.message_key


@dataclass(frozen=True, slots=True)
class EventsAddressed(Fact):
    """Every event up to `up_to_seq` has been turned into messages."""

    up_to_seq: int
    at: datetime

    @property
    def key(self) -> str | None:
        """Once per position, so that two writers cannot both address an event."""
        return str(self.up_to_seq)


@dataclass(frozen=True, slots=True)
class ConfirmationAsked(Fact):
    """A question waits for a tap."""

    confirmation: Confirmation

    @property
    def key(self) -> str | None:
        """A nonce is asked once."""
        return self.confirmation.nonce

    @property
    def at(self) -> datetime:
        """When it was asked."""
        return self.confirmation.asked_at


@dataclass(frozen=True, slots=True)
class ConfirmationAnswered(Fact):
    """A question was answered: the first answer wins."""

    nonce: str
    answer: ConfirmationAnswer
    by: int
    at: datetime

    @property
    def key(self) -> str | None:
        """A nonce is answered once."""
        return self.nonce


@dataclass(frozen=True, slots=True)
class CommandExecuted(Fact):
    """A person's command took effect, in the same transaction as its effects."""

    cause: str
    by: int
    command: str
    at: datetime

    @property
    def key(self) -> str | None:
        """Once per cause: a repeated tap or a replayed update finds it done."""
        return self.cause
