"""The vocabulary of the local chat: people, chats, messages, keyboards and files, all frozen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bot.localchat.entities import FormattedText

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who is played in this chat; `has_blocked_bot` makes every send to them a 403."""

    user_id: int
    first_name: str
    username: str | None = None
    has_blocked_bot: bool = False


@dataclass(frozen=True, slots=True)
class Bot:
    """The bot as people see it; its id is the number in its token."""

    user_id: int
    first_name: str = "Umbra"
    username: str = "umbra_local_bot"


@dataclass(frozen=True, slots=True)
class Chat:
    """A private chat (id = the person's id) or a group (negative id)."""

    chat_id: int
    title: str = ""
    members: frozenset[int] = frozenset()
    has_bot: bool = True

    @property
    def is_private(self) -> bool:
        """Whether this is the chat of one person with the bot."""
        return self.chat_id > 0

    @property
    def kind(self) -> str:
        """The type on the wire."""
        if self.is_private:
            return "private"
        return "supergroup" if str(self.chat_id).startswith("-100") else "group"


@dataclass(frozen=True, slots=True)
class Button:
    """An inline button; `action` is its key on the wire, such as callback_data or url."""

    text: str
    action: str
    value: Any


Keyboard = tuple[tuple[Button, ...], ...]


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file that the server keeps; `file_id` names this upload, `unique_id` its content."""

    file_id: str
    unique_id: str
    path: str
    name: str
    mime: str
    content: bytes
    width: int = 0
    height: int = 0


@dataclass(frozen=True, slots=True)
class Media:
    """What a message shows besides text: `kind` is photo, document, video, audio and so on."""

    kind: str
    file: StoredFile
    is_spoiler: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """The present state of one message; for media, `content` is the caption."""

    message_id: int
    chat_id: int
    sender_id: int
    is_from_bot: bool
    date_s: int
    content: FormattedText
    media: Media | None = None
    keyboard: Keyboard = ()
    # Keyboards under the input field are shown by the page, never acted on by the server.
    reply_markup: Json | None = None
    reply_to: int | None = None
    forward_origin: Json | None = None
    media_group_id: str | None = None
    edits: int = 0
    edited_s: int | None = None
    is_silent: bool = False
    is_protected: bool = False
    reaction: str = ""


@dataclass(frozen=True, slots=True)
class CallbackAnswer:
    """What the bot said to a pressed button."""

    text: str = ""
    show_alert: bool = False
    url: str = ""


@dataclass(frozen=True, slots=True)
class CallbackQuery:
    """A pressed button that waits for the bot's answer."""

    query_id: str
    user_id: int
    chat_id: int
    message_id: int
    pressed_at_s: float
    answer: CallbackAnswer | None = None
