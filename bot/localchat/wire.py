"""Facts into JSON: the Bot API's objects, the short form for tests, the long form for the page."""

from __future__ import annotations

from bot.localchat.entities import FormattedText
from bot.localchat.facts import Bot, Button, Chat, Json, Keyboard, Media, Message, Person

_FILE_KINDS_WITH_SIZE = frozenset({"photo", "video", "animation"})


def bot_json(bot: Bot) -> Json:
    """The bot as a User."""
    return {
        "id": bot.user_id,
        "is_bot": True,
        "first_name": bot.first_name,
        "username": bot.username,
    }


def person_json(person: Person) -> Json:
    """A person as a User."""
    body: Json = {
        "id": person.user_id,
        "is_bot": False,
        "first_name": person.first_name,
        "language_code": "en",
    }
    return body if person.username is None else {**body, "username": person.username}


def chat_json(chat: Chat, person: Person | None) -> Json:
    """The Chat of a message; a private one carries the name of its person."""
    body: Json = {"id": chat.chat_id, "type": chat.kind}
    if not chat.is_private:
        return {**body, "title": chat.title}
    if person is not None:
        body["first_name"] = person.first_name
        if person.username is not None:
            body["username"] = person.username
    return body


def keyboard_json(keyboard: Keyboard) -> Json:
    """The InlineKeyboardMarkup of a message."""
    rows = [
        [{"text": button.text, button.action: button.value} for button in row] for row in keyboard
    ]
    return {"inline_keyboard": rows}


def media_json(media: Media) -> Json:
    """The part of a Message that holds its file."""
    file = media.file
    body: Json = {
        "file_id": file.file_id,
        "file_unique_id": file.unique_id,
        "file_size": len(file.content),
    }
    if media.kind in _FILE_KINDS_WITH_SIZE:
        body |= {"width": file.width, "height": file.height}
    if media.kind == "photo":
        return {"photo": [body]}
    if media.kind != "voice":
        body["file_name"] = file.name
    if media.kind != "document":
        body["duration"] = 0
    return {media.kind: {**body, "mime_type": file.mime}}


def text_json(content: FormattedText, *, is_caption: bool) -> Json:
    """Text or caption of a message with its entities; nothing when there is no text."""
    if not content.text:
        return {}
    text, entities = ("caption", "caption_entities") if is_caption else ("text", "entities")
    body: Json = {text: content.text}
    if content.entities:
        body[entities] = [entity.as_json() for entity in content.entities]
    return body


def client_json(message: Message) -> Json:
    """A message as tests see it: what a person would see, in plain text."""
    return {
        "message_id": message.message_id,
        "from": "bot" if message.is_from_bot else "user",
        "text": message.content.text,
        "buttons": [[button.text for button in row] for row in message.keyboard],
        "media": None if message.media is None else client_media_json(message.media),
        "edits": message.edits,
        "date": message.date_s,
    }


def client_media_json(media: Media) -> Json:
    """Kind and address of a file; the address is a path on this server."""
    return {"kind": media.kind, "url": f"/client/media/{media.file.file_id}/{media.file.name}"}


def page_json(message: Message) -> Json:
    """A message as the page draws it: the short form, and all that is only for the eye."""
    media = message.media
    return {
        **client_json(message),
        "chat_id": message.chat_id,
        "user_id": message.sender_id,
        "entities": [entity.as_json() for entity in message.content.entities],
        "keyboard": [[_button_json(button) for button in row] for row in message.keyboard],
        "file": None
        if media is None
        else {
            "name": media.file.name,
            "size": len(media.file.content),
            "mime": media.file.mime,
            "width": media.file.width,
            "height": media.file.height,
            "is_spoiler": media.is_spoiler,
        },
        "reply_markup": message.reply_markup,
        "reply_to": message.reply_to,
        "forward_origin": message.forward_origin,
        "media_group_id": message.media_group_id,
        "edited": message.edited_s,
        "silent": message.is_silent,
        "protected": message.is_protected,
        "reaction": message.reaction,
    }


def _button_json(button: Button) -> Json:
    # Callback data is the bot's own business: a person cannot see it either.
    shown = None if button.action == "callback_data" else button.value
    return {"text": button.text, "action": button.action, "value": shown}
