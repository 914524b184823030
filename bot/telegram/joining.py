"""The one thing that a stranger can do: come in by a code, the owner's own or an invitation's."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from telegram import Update

from bot.telegram import confirm, invitations
from bot.telegram.access import SERVICE_IDS
from bot.telegram.commands.context import Letter, Reply, Services
from bot.telegram.invitations import Tried
from bot.telegram.render.people import (
    join_question_text,
    joiner_told_card,
    paired_card,
    waiting_card,
)
from bot.telegram.render.text import Card
from bot.telegram.roster import Pairing
from trading.domain.chat import Confirmation, ConfirmationAnswer, Person, Role
from trading.domain.events import ConfirmationAsked, InvitationClosed, PersonChanged

# The action of the question whether somebody who sent a code may come in.
JOIN: Final = "Join"
# The owner may be asleep; the code itself had minutes.
_ANSWER_WITHIN_S: Final = 24 * 3600
_NAME_MAX: Final = 40


@dataclass(frozen=True, slots=True)
class Knock:
    """A plain message of a human in their own chat: one command and one word."""

    user_id: int
    name: str
    command: str
    word: str


def knock_of(update: Update) -> Knock | None:
    """Read what may carry a code; None for every other kind, chat, sender and form."""
    message = update.message
    user = message.from_user if message else None
    if message is None or user is None or message.sender_chat is not None:
        return None
    if user.is_bot or user.id in SERVICE_IDS:
        return None
    is_own_chat = message.chat.type == message.chat.PRIVATE and message.chat.id == user.id
    is_plain = message.forward_origin is None and message.via_bot is None
    words = (message.text or "").split()
    if not is_own_chat or not is_plain or len(words) != 2:
        return None
    command = words[0].partition("@")[0].lower()
    return Knock(user.id, shown_name(user.first_name), command, words[1])


def shown_name(first_name: str) -> str:
    """A name as cards show it: without marks that turn or hide what stands around it."""
    visible = "".join(one for one in first_name if one.isprintable())
    return " ".join(visible.split())[:_NAME_MAX] or "somebody"


def paired(knock: Knock, pairing: Pairing, arrived: datetime, now: datetime) -> Reply | None:
    """Make whoever sends the code of the start the owner, once."""
    if knock.command != "/pair" or not pairing.try_code(knock.word, knock.user_id, arrived):
        return None
    person = Person(knock.user_id, knock.user_id, knock.name, Role.OWNER)
    return Reply((paired_card(),), (PersonChanged(person, "paired by code", now),), "paired")


def ask_owner(
    knock: Knock, tried: Tried, owner: Person, services: Services, now: datetime
) -> Reply:
    """Use a right code up: the owner is asked, and the one who sent it is told to wait."""
    made = tried.invitation
    if made is None:
        raise ValueError("only a right code is taken to the owner")
    nonce = services.random_nonce()
    joiner = Joiner(knock.user_id, knock.name, made.role)
    put = confirm.ask(
        confirm.Question(JOIN, joiner.packed(), _ANSWER_WITHIN_S),
        nonce=nonce,
        user_id=owner.user_id,
        chat_id=owner.chat_id,
        card=f"join:{nonce}",
        now=now,
    )
    was_here = services.roster.get(knock.user_id) is not None
    question = join_question_text(
        knock.name, knock.user_id, made.role, has_code=services.step_up.is_on, was_here=was_here
    )
    closed = InvitationClosed(made.digest, invitations.USED, knock.user_id, now)
    return Reply(
        (waiting_card(),),
        (closed, ConfirmationAsked(put)),
        "joining",
        letters=(Letter(owner.chat_id, Card(question, confirm.buttons(put), name=put.card)),),
    )


@dataclass(frozen=True, slots=True)
class Joiner:
    """Who wants to come in, as the question to the owner carries it."""

    user_id: int
    name: str
    role: Role

    def packed(self) -> str:
        """Write the payload; the command in it is what the audit says was asked."""
        command = f"/role {self.user_id} {self.role.value}"
        return json.dumps({"command": command, "name": self.name})

    @staticmethod
    def read(payload: str) -> "Joiner":
        """Read a payload back."""
        content = json.loads(payload)
        _, number, role = content["command"].split()
        return Joiner(int(number), content["name"], Role(role))


def letter_after(asked: Confirmation | None, answer: ConfirmationAnswer) -> tuple[Letter, ...]:
    """What the one who waits is told of the owner's answer; nothing for other questions."""
    if asked is None or asked.action != JOIN:
        return ()
    joiner = Joiner.read(asked.payload)
    return (Letter(joiner.user_id, joiner_told_card(joiner.role, answer)),)
