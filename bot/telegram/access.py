"""The gate: who may ask, in which chat, by which kind of update. What is not named is denied."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from telegram import Message, Update, User

from bot.telegram.keyboards import Rows, is_command
from trading.domain.chat import Person, Role

# What stands in an update where a secret of this installation stood before it was stored.
WITHHELD: Final = "[a secret, not kept]"
# Telegram's own accounts: channel posts, anonymous group admins, channels writing in groups.
SERVICE_IDS: Final = frozenset({777000, 1087968824, 136817688})
UPDATE_KINDS: Final = tuple(
    sorted(name for name in Update.__slots__ if not name.startswith("_") and name != "update_id")
)
ALLOWED_KINDS: Final = ("message", "callback_query")
TRADER_COMMANDS: Final = frozenset(
    {
        *("track", "trade", "buy", "sell", "close", "closeall", "panic", "pause", "resume"),
        *("reduce", "halt", "abort", "ack"),
    }
)
OWNER_COMMANDS: Final = frozenset({"audit", "data", "export", "invite", "revoke", "role", "users"})
# What only looks, and what is everybody's own: their list, their alerts, their silence.
VIEWER_COMMANDS: Final = frozenset(
    {
        *("start", "help", "status", "positions", "balance", "orders", "history", "version"),
        *("trackers", "tracker", "chart", "summary", "health", "jobs", "join"),
        *("watch", "drop", "threshold", "scan", "rank", "post", "monitoring"),
        *("alerts", "digest", "quiet", "mute"),
    }
)


@dataclass(frozen=True, slots=True)
class AccessRules:
    """Which chats may be used besides everybody's own."""

    allowed_chat_ids: frozenset[int] = frozenset()
    allow_groups: bool = False


class Verdict(Enum):
    """What happens with an update."""

    ADMITTED = "admitted"
    STRANGER = "stranger"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True)
class Ruling:
    """The gate's answer; ids are 0 where the update names nobody.

    `hint` is for somebody admitted whose message had a form that is never acted on.
    """

    verdict: Verdict
    kind: str
    user_id: int = 0
    chat_id: int = 0
    person: Person | None = None
    hint: str = ""


def kind_of(update: Update) -> str:
    """Name the one kind of an update; `unknown` for kinds newer than this program."""
    for name in UPDATE_KINDS:
        if getattr(update, name) is not None:
            return name
    return "unknown"


def judge(update: Update, people: Mapping[int, Person], rules: AccessRules) -> Ruling:
    """Decide about one update before any handler sees it; `people` holds only active ones."""
    kind = kind_of(update)
    user, chat_id = update.effective_user, _chat_id(update)
    user_id = user.id if user else 0
    person = people.get(user_id) if _is_human(user) else None
    if kind not in ALLOWED_KINDS:
        verdict = Verdict.IGNORED if person else Verdict.STRANGER
        edited = update.edited_message if person and chat_id == user_id else None
        hint = (_secret_hint(edited) or _EDITED) if edited else ""
        return Ruling(verdict, kind, user_id, chat_id, person, hint)
    if person is None:
        return Ruling(Verdict.STRANGER, kind, user_id, chat_id)
    if not _may_use_chat(update, chat_id, user_id, rules):
        return Ruling(Verdict.IGNORED, kind, user_id, chat_id, person)
    hint = _form_hint(update.message) if update.message else ""
    verdict = Verdict.IGNORED if hint else Verdict.ADMITTED
    return Ruling(verdict, kind, user_id, chat_id, person, hint)


def may_use(command: str, role: Role) -> bool:
    """Whether a role reaches a command: viewers look, traders act, the owner does everything.

    A command that no list names is nobody's.
    """
    if command in OWNER_COMMANDS:
        return role is Role.OWNER
    if command in TRADER_COMMANDS:
        return role.rank >= Role.TRADER.rank
    return command in VIEWER_COMMANDS


def buttons_for(rows: Rows, role: Role) -> Rows:
    """Leave out the buttons of what a role may not do; answers to questions stay as they are."""
    left = (tuple(button for button in row if _is_for(button.data, role)) for row in rows)
    return tuple(row for row in left if row)


def _is_for(data: str, role: Role) -> bool:
    return not is_command(data) or may_send(data[1:], role)


def may_send(line: str, role: Role) -> bool:
    """Whether a role may send a whole line such as `/tracker 3 pause`."""
    name, *words = line.removeprefix("/").split()
    # The one command that looks with one word and acts with the next.
    is_acting = name == "tracker" and words[1:] not in ([], ["why"]) and words[1:2] != ["chart"]
    return may_use(name, role) and not (is_acting and role is Role.VIEWER)


_EDITED: Final = "Edited messages are not acted on. Send it again as a new message."
_FORWARDED: Final = "Forwarded messages are not acted on. Type the command yourself."
_GAVE_AWAY: Final = (
    "Your message held a key, a token or a password of Umbra. Umbra has not kept it, but this chat "
    "still shows it: delete the message here, and replace what it gave away."
)
_VIA: Final = "Messages through another bot are not acted on. Type the command yourself."


def _is_human(user: User | None) -> bool:
    return user is not None and not user.is_bot and user.id not in SERVICE_IDS


def _chat_id(update: Update) -> int:
    if update.callback_query is not None:
        message = update.callback_query.message
        return message.chat.id if message else 0
    chat = update.effective_chat
    return chat.id if chat else 0


def _may_use_chat(update: Update, chat_id: int, user_id: int, rules: AccessRules) -> bool:
    """A private chat has its person's id; every other chat has to be opted in and listed."""
    message = update.message or (update.callback_query and update.callback_query.message)
    if not message or chat_id == 0:
        return False
    if isinstance(message, Message) and update.message and message.sender_chat is not None:
        return False
    if message.chat.type == message.chat.PRIVATE:
        return chat_id == user_id
    return rules.allow_groups and chat_id in rules.allowed_chat_ids


def _secret_hint(message: Message) -> str:
    said = (message.text or "") + (message.caption or "")
    return _GAVE_AWAY if WITHHELD in said else ""


def _form_hint(message: Message) -> str:
    if secret := _secret_hint(message):
        return secret
    if message.forward_origin is not None or message.is_automatic_forward:
        return _FORWARDED
    if message.via_bot is not None:
        return _VIA
    return ""
