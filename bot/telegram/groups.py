"""Groups: the bot stays in none that was not opened to it, and follows none that moves."""

from dataclasses import dataclass
from typing import Final

from telegram import ChatMember, Update

from bot.telegram.access import AccessRules

# How it is kept in the journal that the bot was found in a group; which group follows.
LEFT_GROUP: Final = "group that was not opened: "
MOVED_GROUP: Final = "group that moved to "
_GONE: Final = frozenset({ChatMember.LEFT, ChatMember.BANNED})


@dataclass(frozen=True, slots=True)
class Found:
    """A group that is none of ours; `kind` names it for the journal."""

    chat_id: int
    kind: str
    is_left: bool


def found_in(update: Update, rules: AccessRules) -> Found | None:
    """Return the group that an update shows the bot to be in, None where that is as it should be.

    An opened group that moves has another number from then on; numbers are only ever opened on the
    host, so the new one is a strange group like any other.
    """
    chat = update.effective_chat
    if chat is None or chat.type == chat.PRIVATE or chat.id == 0:
        return None
    if rules.allow_groups and chat.id in rules.allowed_chat_ids:
        moved = update.message.migrate_to_chat_id if update.message else None
        return Found(chat.id, f"{MOVED_GROUP}{moved}", is_left=False) if moved else None
    member = update.my_chat_member
    if member is not None and member.new_chat_member.status in _GONE:
        return None
    return Found(chat.id, f"{LEFT_GROUP}{chat.id}", is_left=True)
