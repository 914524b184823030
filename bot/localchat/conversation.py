"""The state of the local chat: people, chats, messages and what waits for the bot; no network."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from bot.localchat.commands import CommandMenus
from bot.localchat.entities import FormattedText
from bot.localchat.errors import BotApiError, ClientError, bad_request
from bot.localchat.facts import (
    Bot,
    CallbackAnswer,
    CallbackQuery,
    Chat,
    Json,
    Message,
    Person,
)
from bot.localchat.files import FileStore
from bot.localchat.flood import FloodGate
from bot.localchat.updates import UpdateQueue
from bot.localchat.wire import (
    bot_json,
    chat_json,
    keyboard_json,
    media_json,
    page_json,
    person_json,
    text_json,
)
from trading.ports.clock import Clock

# Telegram refuses answers to buttons pressed longer ago than about this.
CALLBACK_LIFETIME_S: Final = 60.0
MESSAGES_MAX: Final = 20_000
PEOPLE_MAX: Final = 10_000
CALLBACKS_MAX: Final = 1_000
ID_MAX: Final = 2**52

Listener = Callable[[Json], None]


@dataclass(slots=True)
class Conversation:
    """All that the server knows; every change is told to the listeners as JSON for the page."""

    clock: Clock
    bot: Bot
    updates: UpdateQueue
    next_message_id: int = 1
    flood: FloodGate = field(default_factory=FloodGate)
    files: FileStore = field(default_factory=FileStore)
    menus: CommandMenus = field(default_factory=CommandMenus)
    people: dict[int, Person] = field(default_factory=dict)
    chats: dict[int, Chat] = field(default_factory=dict)
    messages: dict[int, Message] = field(default_factory=dict)
    pins: dict[int, list[int]] = field(default_factory=dict)
    # The newest message of each chat that the bot has fetched: what the page ticks twice.
    read: dict[int, int] = field(default_factory=dict)
    callbacks: dict[str, CallbackQuery] = field(default_factory=dict)
    profile: dict[str, Any] = field(default_factory=dict)
    listeners: list[Listener] = field(default_factory=list)
    _callback_count: int = 0

    def now_s(self) -> float:
        """Wall time in seconds, as on the wire."""
        return self.clock.now().timestamp()

    def tell(self, change: Json) -> None:
        """Let pages and waiting requests know of a change."""
        for listener in tuple(self.listeners):
            listener(change)

    # ------------------------------------------------------------ people and chats

    def person(self, user_id: int) -> Person:
        """The person of this id, made on first use."""
        if not 0 < user_id < ID_MAX:
            raise ClientError(f"user_id should be a positive number below 2**52, was {user_id}")
        if user_id not in self.people:
            if len(self.people) >= PEOPLE_MAX:
                raise ClientError(f"at most {PEOPLE_MAX} people can be played")
            self.save_person(Person(user_id, f"Person {user_id}"))
        return self.people[user_id]

    def save_person(self, person: Person) -> None:
        """Make or change a person."""
        self.people[person.user_id] = person
        self.tell({"type": "people"})

    def chat(self, chat_id: int) -> Chat:
        """The chat of this id, made on first use; a positive id is a person's private chat."""
        if chat_id == 0 or abs(chat_id) >= ID_MAX:
            raise ClientError(f"chat_id should be a number other than 0, was {chat_id}")
        if chat_id not in self.chats:
            if chat_id > 0:
                self.person(chat_id)
            members = frozenset({chat_id} if chat_id > 0 else ())
            title = "" if chat_id > 0 else f"Group {-chat_id}"
            if len(self.chats) >= PEOPLE_MAX:
                raise ClientError(f"at most {PEOPLE_MAX} chats can exist")
            self.chats[chat_id] = Chat(chat_id, title, members)
            self.tell({"type": "people"})
        return self.chats[chat_id]

    def join(self, chat_id: int, user_id: int) -> None:
        """Make a person a member of a chat."""
        chat = self.chat(chat_id)
        if user_id not in chat.members:
            self.chats[chat_id] = replace(chat, members=chat.members | {user_id})

    def leave(self, chat: Chat) -> None:
        """Take the bot out of a group."""
        self._set_has_bot(chat, has_bot=False)

    def rejoin(self, chat: Chat) -> None:
        """Take the bot into a group again."""
        self._set_has_bot(chat, has_bot=True)

    def _set_has_bot(self, chat: Chat, *, has_bot: bool) -> None:
        self.chats[chat.chat_id] = replace(chat, has_bot=has_bot)
        self.tell({"type": "people"})

    # ------------------------------------------------------------ messages

    def add_message(
        self, chat_id: int, sender_id: int, content: FormattedText, **details: Any
    ) -> Message:
        """Append a message to a chat; details are fields of Message."""
        message = Message(
            message_id=self.next_message_id,
            chat_id=chat_id,
            sender_id=sender_id,
            is_from_bot=sender_id == self.bot.user_id,
            date_s=int(self.now_s()),
            content=content,
            **details,
        )
        self.next_message_id += 1
        self.messages[message.message_id] = message
        if len(self.messages) > MESSAGES_MAX:
            self.messages.pop(next(iter(self.messages)))
        self.tell({"type": "message", "chat_id": chat_id, "message": page_json(message)})
        return message

    def change_message(self, message: Message, **changes: Any) -> Message:
        """Replace a message by its edited form, counting the edit."""
        changed = replace(message, edits=message.edits + 1, edited_s=int(self.now_s()), **changes)
        return self.keep(changed)

    def keep(self, message: Message) -> Message:
        """Replace a message without counting an edit (a reaction, for example)."""
        self.messages[message.message_id] = message
        self.tell({"type": "message", "chat_id": message.chat_id, "message": page_json(message)})
        return message

    def delete_message(self, message: Message) -> None:
        """Remove a message and its pin."""
        self.messages.pop(message.message_id, None)
        chat_id, message_id = message.chat_id, message.message_id
        self.tell({"type": "deleted", "chat_id": chat_id, "message_id": message_id})
        if message_id in self.pins.get(chat_id, ()):
            self.set_pins(chat_id, (i for i in self.pins[chat_id] if i != message_id))

    def message(self, chat_id: int, message_id: int) -> Message | None:
        """The message of this id, if it is in this chat."""
        message = self.messages.get(message_id)
        return message if message is not None and message.chat_id == chat_id else None

    def history(self, chat_id: int, after: int = 0) -> list[Message]:
        """Messages of a chat with a greater id, in order."""
        return [
            message
            for message in self.messages.values()
            if message.chat_id == chat_id and message.message_id > after
        ]

    def set_pins(self, chat_id: int, message_ids: Iterable[int]) -> None:
        """Replace the pinned messages of a chat; the last one is shown."""
        self.pins[chat_id] = list(message_ids)
        self.tell({"type": "pinned", "chat_id": chat_id, "message_ids": self.pins[chat_id]})

    # ------------------------------------------------------------ towards the bot

    def push_update(self, body: Json, update_id: int | None = None) -> int | None:
        """Queue an update for the bot; None when the bot does not want its kind."""
        queued = self.updates.push(body, self.now_s(), update_id)
        self.tell({"type": "update"})
        return queued

    def mark_read(self, update: Json) -> None:
        """Note that the bot has fetched this update."""
        message = update.get("message")
        message_id = message.get("message_id") if isinstance(message, dict) else None
        known = self.messages.get(message_id) if isinstance(message_id, int) else None
        if known is not None and known.message_id > self.read.get(known.chat_id, 0):
            self.read[known.chat_id] = known.message_id
            change = {"type": "read", "chat_id": known.chat_id, "message_id": known.message_id}
            self.tell(change)

    def press(self, user_id: int, message: Message, data: str) -> CallbackQuery:
        """Queue the callback query of a pressed button."""
        self._callback_count += 1
        query = CallbackQuery(
            query_id=f"{user_id}{self._callback_count:09d}",
            user_id=user_id,
            chat_id=message.chat_id,
            message_id=message.message_id,
            pressed_at_s=self.clock.monotonic(),
        )
        self.callbacks[query.query_id] = query
        if len(self.callbacks) > CALLBACKS_MAX:
            self.callbacks.pop(next(iter(self.callbacks)))
        self.push_update(
            {
                "callback_query": {
                    "id": query.query_id,
                    "from": person_json(self.person(user_id)),
                    "chat_instance": str(message.chat_id),
                    "message": self.message_json(message),
                    "data": data,
                }
            }
        )
        return query

    def answer_callback(self, query_id: str, answer: CallbackAnswer) -> None:
        """Give the bot's answer to a pressed button; late or doubled answers are refused."""
        query = self.callbacks.get(query_id)
        age_s = 0.0 if query is None else self.clock.monotonic() - query.pressed_at_s
        if query is None or query.answer is not None or age_s > CALLBACK_LIFETIME_S:
            raise bad_request(
                "query is too old and response timeout expired or query ID is invalid"
            )
        self.callbacks[query_id] = replace(query, answer=answer)
        self.tell(
            {
                "type": "answer",
                "chat_id": query.chat_id,
                "user_id": query.user_id,
                "message_id": query.message_id,
                "query_id": query_id,
                "text": answer.text,
                "show_alert": answer.show_alert,
                "url": answer.url,
            }
        )

    def message_json(self, message: Message, *, with_reply: bool = True) -> Json:
        """The Message of the Bot API."""
        chat = self.chat(message.chat_id)
        body: Json = {
            "message_id": message.message_id,
            "date": message.date_s,
            "chat": chat_json(chat, self.people.get(message.chat_id)),
            "from": bot_json(replace(self.bot, user_id=message.sender_id))
            if message.is_from_bot
            else person_json(self.person(message.sender_id)),
            **text_json(message.content, is_caption=message.media is not None),
        }
        if message.media is not None:
            body |= media_json(message.media)
        if message.keyboard:
            body["reply_markup"] = keyboard_json(message.keyboard)
        optional = {
            "edit_date": message.edited_s,
            "forward_origin": message.forward_origin,
            "media_group_id": message.media_group_id,
            "has_protected_content": message.is_protected or None,
        }
        body |= {name: value for name, value in optional.items() if value is not None}
        replied = None if message.reply_to is None else self.messages.get(message.reply_to)
        if with_reply and replied is not None:
            body["reply_to_message"] = self.message_json(replied, with_reply=False)
        return body


def refuse_if_unreachable(conversation: Conversation, chat_id: int) -> Chat:
    """The chat the bot may write to, or the refusal Telegram gives."""
    try:
        chat = conversation.chat(chat_id)
    except ClientError as error:
        raise bad_request("chat not found") from error
    person = conversation.people.get(chat_id)
    if person is not None and person.has_blocked_bot:
        raise BotApiError("Forbidden: bot was blocked by the user", 403)
    if not chat.has_bot:
        raise BotApiError(f"Forbidden: bot was kicked from the {chat.kind} chat", 403)
    return chat
