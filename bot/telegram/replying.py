"""The end of an update: the facts to append, and the messages that go with them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bot.telegram.access import buttons_for
from bot.telegram.commands.context import Letter, Reply
from bot.telegram.delivery import is_silent, with_banner
from trading.domain.chat import OutboxMessage, Person, Severity
from trading.domain.events import Event, MessageQueued, UpdateHandled

_ANSWER = "reply"


@dataclass(frozen=True, slots=True)
class Handled:
    """The end of an update: what to append in one transaction, what to show over a tap.

    `aside` is a chat and the HTML to send there past the journal; `leaves` a group to go out of;
    `looked` who wrote or tapped, where that is a person who may.
    """

    events: tuple[Event, ...]
    toast: str = ""
    tap_id: str | None = None
    aside: tuple[int, str] | None = None
    leaves: int | None = None
    looked: int | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a reply goes: a chat, the card it is, the message it edits, the tap it answers.

    `is_begun`: the card may be in the chat already, as a sign that the reply takes its time.
    """

    chat_id: int
    card: str
    target: int | None = None
    tap_id: str | None = None
    is_begun: bool = False


@dataclass(frozen=True, slots=True)
class Surrounding:
    """What every message carries, who is there, and when."""

    banner: str
    people: Sequence[Person]
    now: datetime


def answered_update(message_key: str) -> int | None:
    """Return the id of the update that a message answers; None where it answers none."""
    kind, _, rest = message_key.partition(":")
    return int(rest.partition(":")[0]) if kind == _ANSWER else None


def is_answered(handled: Handled) -> bool:
    """Whether a message that answers goes out; a toast, or nothing, is there at once."""
    queued = (each for each in handled.events if isinstance(each, MessageQueued))
    return any(answered_update(each.message.message_key) is not None for each in queued)


def finish(
    handled: UpdateHandled, reply: Reply, place: Place | None, around: Surrounding
) -> Handled:
    """Turn a reply into what is appended; without a place nobody is told."""
    if place is None:
        return Handled((handled,))
    role = next((one.role for one in around.people if one.chat_id == place.chat_id), None)
    queued = [
        MessageQueued(
            OutboxMessage(
                message_key=f"{_ANSWER}:{handled.update_id}:{number}",
                chat_id=place.chat_id,
                text=with_banner(each.text, around.banner),
                created_at=around.now,
                severity=Severity.CRIT if reply.is_urgent else Severity.INFO,
                buttons=each.buttons if role is None else buttons_for(each.buttons, role),
                card=each.name or place.card,
                edits=number == 0 and (place.is_begun or place.target is not None),
                target=place.target if number == 0 else None,
                picture=each.picture,
                document=each.document,
            )
        )
        for number, each in enumerate(reply.cards)
    ]
    queued += [
        _letter(f"letter:{handled.update_id}:{number}", each, around)
        for number, each in enumerate(reply.letters)
    ]
    aside = (place.chat_id, with_banner(reply.aside, around.banner)) if reply.aside else None
    return Handled((handled, *reply.events, *queued), reply.toast, place.tap_id, aside)


def _letter(key: str, letter: Letter, around: Surrounding) -> MessageQueued:
    there = next((one for one in around.people if one.chat_id == letter.chat_id), None)
    return MessageQueued(
        OutboxMessage(
            message_key=key,
            chat_id=letter.chat_id,
            text=with_banner(letter.card.text, around.banner),
            created_at=around.now,
            buttons=letter.card.buttons,
            is_silent=there is not None and is_silent(there, Severity.INFO, around.now),
            card=letter.card.name,
        )
    )
