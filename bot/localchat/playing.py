"""What people do in the local chat: write, edit, forward, press; each becomes an update."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from bot.localchat.call import TEXT_MAX
from bot.localchat.conversation import ID_MAX, Conversation
from bot.localchat.errors import ClientError
from bot.localchat.facts import Button, CallbackQuery, Json, Media, Message
from bot.localchat.files import Upload
from bot.localchat.formatting import plain
from bot.localchat.wire import person_json

# A person's app cuts a long text into messages; more than this is a mistake.
_TEXT_TOTAL_MAX: Final = 16 * TEXT_MAX
_DECORATION: Final = re.compile(r"^[^\w/]+|[^\w)]+$")


@dataclass(frozen=True, slots=True)
class Pressed:
    """A pressed button, and the query that waits for the bot, if the button makes one."""

    button: Button
    query: CallbackQuery | None


def write(
    conversation: Conversation,
    user_id: int,
    chat_id: int,
    text: str,
    *,
    reply_to: int | None = None,
    forward_origin: Json | None = None,
) -> list[Message]:
    """Send a person's text; one over 4096 characters becomes several messages."""
    content = plain(text.replace("\r", "").replace("\x00", "")).text
    if not content:
        raise ClientError("text should not be empty")
    if len(content) > _TEXT_TOTAL_MAX:
        raise ClientError(f"text should be at most {_TEXT_TOTAL_MAX} characters")
    _enter(conversation, user_id, chat_id)
    if reply_to is not None and conversation.message(chat_id, reply_to) is None:
        raise ClientError(f"no message {reply_to} in chat {chat_id} to reply to", 404)
    return [
        _written(
            conversation,
            conversation.add_message(
                chat_id, user_id, plain(part), reply_to=reply_to, forward_origin=forward_origin
            ),
        )
        for part in _parts(content)
    ]


def upload(
    conversation: Conversation, user_id: int, chat_id: int, file: Upload, caption: str
) -> Message:
    """Send a person's picture (when it is one) or document."""
    _enter(conversation, user_id, chat_id)
    kind = "photo" if file.mime in {"image/png", "image/jpeg"} else "document"
    media = Media(kind, conversation.files.add(file, kind))
    message = conversation.add_message(chat_id, user_id, plain(caption[:1024]), media=media)
    return _written(conversation, message)


def edit(conversation: Conversation, user_id: int, message_id: int, text: str) -> Message:
    """Change a person's own message; the bot gets an edited_message."""
    message = conversation.messages.get(message_id)
    if message is None or message.sender_id != user_id:
        raise ClientError(f"no message {message_id} of person {user_id} to edit", 404)
    content = plain(text)
    if not 1 <= len(content.text) <= TEXT_MAX:
        raise ClientError(f"text should have 1 to {TEXT_MAX} characters")
    changed = conversation.change_message(message, content=content)
    if conversation.chat(changed.chat_id).has_bot:
        conversation.push_update({"edited_message": conversation.message_json(changed)})
    return changed


def press(
    conversation: Conversation, user_id: int, message_id: int, label: str, chat_id: int | None
) -> Pressed:
    """Press the button with this label; who presses is not checked, that is the bot's duty."""
    message = conversation.messages.get(message_id)
    if message is None or chat_id not in (None, message.chat_id):
        where = "" if chat_id is None else f" in chat {chat_id}"
        raise ClientError(f"there is no message {message_id}{where}", 404)
    button = _button(message, label)
    conversation.person(user_id)
    if button.action != "callback_data":
        return Pressed(button, None)
    return Pressed(button, conversation.press(user_id, message, button.value))


def set_blocked(conversation: Conversation, user_id: int, *, is_blocked: bool) -> None:
    """Let a person block the bot or take it back; the bot gets a my_chat_member."""
    person = replace(conversation.person(user_id), has_blocked_bot=is_blocked)
    chat = conversation.chat(user_id)
    conversation.save_person(person)
    user = {"id": conversation.bot.user_id, "is_bot": True, "first_name": "Umbra"}
    before, after = ("member", "kicked") if is_blocked else ("kicked", "member")
    statuses: dict[str, Json] = {
        "member": {"user": user, "status": "member"},
        "kicked": {"user": user, "status": "kicked", "until_date": 0},
    }
    conversation.push_update(
        {
            "my_chat_member": {
                "chat": {"id": chat.chat_id, "type": chat.kind, "first_name": person.first_name},
                "from": person_json(person),
                "date": int(conversation.now_s()),
                "old_chat_member": statuses[before],
                "new_chat_member": statuses[after],
            }
        }
    )


def inject(conversation: Conversation, update: Any) -> int | None:
    """Queue a raw Update of any kind; returns its id, None when the bot does not want its kind."""
    if not isinstance(update, dict):
        raise ClientError("update should be a JSON object")
    body = {str(key): value for key, value in update.items() if key != "update_id"}
    if not body:
        raise ClientError("update should have a field besides update_id, such as message")
    update_id = update.get("update_id")
    if update_id is not None and (type(update_id) is not int or not 0 < update_id < ID_MAX):
        raise ClientError(f"update_id should be a positive number, was {str(update_id)[:40]}")
    _follow_membership(conversation, body.get("my_chat_member"))
    return conversation.push_update(body, update_id)


def _follow_membership(conversation: Conversation, change: Any) -> None:
    """Take the bot into a group, as an update says that somebody did."""
    try:
        chat_id, status = change["chat"]["id"], change["new_chat_member"]["status"]
    except (TypeError, KeyError):
        return
    if type(chat_id) is int and chat_id < 0 and status in {"member", "administrator"}:
        conversation.rejoin(conversation.chat(chat_id))


def forwarded_from(conversation: Conversation, value: Any) -> Json | None:
    """The origin of a forwarded message: true for an unknown person, an id, or a raw origin."""
    if value is None or value is False:
        return None
    date = int(conversation.now_s())
    if isinstance(value, dict):
        return {"type": "hidden_user", "sender_user_name": "Somebody", "date": date, **value}
    if type(value) is int:
        sender = person_json(conversation.person(value))
        return {"type": "user", "sender_user": sender, "date": date}
    name = value if isinstance(value, str) and value else "Somebody"
    return {"type": "hidden_user", "sender_user_name": name[:64], "date": date}


def _enter(conversation: Conversation, user_id: int, chat_id: int) -> None:
    # Somebody who writes in another's private chat is a forgery that real Telegram prevents;
    # here it is let through, so that a test can see the bot's own gate refuse it.
    conversation.person(user_id)
    conversation.join(chat_id, user_id)


def _written(conversation: Conversation, message: Message) -> Message:
    # Nobody tells a bot what is said where it is not.
    if conversation.chat(message.chat_id).has_bot:
        conversation.push_update({"message": conversation.message_json(message)})
    return message


def _parts(text: str) -> Iterator[str]:
    while len(text) > TEXT_MAX:
        cut = text.rfind("\n", TEXT_MAX // 2, TEXT_MAX)
        cut = TEXT_MAX if cut < 0 else cut
        if text[:cut].strip():
            yield text[:cut]
        text = text[cut:]
    if text.strip():
        yield text


def _button(message: Message, label: str) -> Button:
    buttons = [button for row in message.keyboard for button in row]
    exact = [button for button in buttons if button.text == label]
    bare = _DECORATION.sub("", label).casefold()
    # A label may carry an emoji in front; without one it still means that button, if only one.
    alike = [b for b in buttons if bare and _DECORATION.sub("", b.text).casefold() == bare]
    if exact:
        return exact[0]
    if len(alike) == 1:
        return alike[0]
    labels = ", ".join(repr(button.text) for button in buttons) or "none"
    raise ClientError(
        f"message {message.message_id} has no button {label[:64]!r}; its buttons: {labels}", 404
    )
