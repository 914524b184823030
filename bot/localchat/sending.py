"""Bot API methods that put messages into a chat."""

from __future__ import annotations

import mimetypes
from dataclasses import replace
from typing import Any, Final

from bot.localchat.call import Call
from bot.localchat.errors import bad_request
from bot.localchat.facts import Chat, Json, Media, Message
from bot.localchat.files import Upload
from bot.localchat.keyboards import field_keyboard, inline_keyboard

MEDIA_KINDS: Final = ("photo", "document", "video", "animation", "audio", "voice", "sticker")
_GROUP_KINDS: Final = frozenset({"photo", "document", "video", "audio"})
_CHAT_ACTIONS: Final = frozenset(
    {
        *("typing", "upload_photo", "record_video", "upload_video", "record_voice"),
        *("upload_voice", "upload_document", "choose_sticker", "find_location"),
        *("record_video_note", "upload_video_note"),
    }
)


def send_message(call: Call) -> Json:
    """Send text."""
    chat = call.chat()
    return _sent(
        call,
        call.conversation.add_message(
            chat.chat_id, call.conversation.bot.user_id, call.message_text(), **_details(call, chat)
        ),
    )


def send_media(call: Call, kind: str) -> Json:
    """Send one file of this kind with a caption."""
    chat = call.chat()
    details = _details(call, chat)
    media = media_from(call, kind, call.values.get(kind), is_spoiler=call.flag("has_spoiler"))
    return _sent(
        call,
        call.conversation.add_message(
            chat.chat_id, call.conversation.bot.user_id, call.caption(), media=media, **details
        ),
    )


def send_media_group(call: Call) -> list[Json]:
    """Send two to ten files as one album."""
    chat = call.chat()
    items = call.structure("media")
    if not isinstance(items, list) or not 2 <= len(items) <= 10:
        raise bad_request("group send failed: media should be an Array of 2-10 items")
    details = _details(call, chat)
    # Every item is understood before the first is sent, so a bad one sends nothing.
    prepared = [input_media(call, item, _GROUP_KINDS) for item in items]
    group_id = str(call.conversation.next_message_id)
    sent = []
    for media, item_call in prepared:
        message = call.conversation.add_message(
            chat.chat_id,
            call.conversation.bot.user_id,
            item_call.caption(),
            media=media,
            media_group_id=group_id,
            **details,
        )
        sent.append(_sent(call, message))
    return sent


def input_media(call: Call, item: Any, kinds: frozenset[str]) -> tuple[Media, Call]:
    """The file of an InputMedia, and the item as a call of its own for its caption."""
    kind = item.get("type") if isinstance(item, dict) else None
    if not isinstance(kind, str) or kind not in kinds:
        raise bad_request("can't parse InputMedia: type should be one of photo, document, video")
    item_call = replace(call, values=item)
    item_call.caption()
    is_spoiler = item_call.flag("has_spoiler")
    return media_from(call, kind, item.get("media"), is_spoiler=is_spoiler), item_call


def media_from(call: Call, kind: str, value: Any, *, is_spoiler: bool = False) -> Media:
    """The file a parameter names: an upload, `attach://<part>`, or a file_id of this server."""
    files = call.conversation.files
    upload = call.uploads.get(kind) if value is None else None
    if isinstance(value, str) and value.startswith("attach://"):
        upload = call.uploads.get(value.removeprefix("attach://"))
    if upload is not None:
        return Media(kind, files.add(_with_mime(upload), kind), is_spoiler)
    if not isinstance(value, str) or not value:
        raise bad_request(f"there is no {kind} in the request")
    known = files.by_id(value)
    if known is None:
        raise bad_request("wrong remote file identifier specified: can't unserialize it")
    return Media(kind, known, is_spoiler)


def send_chat_action(call: Call) -> bool:
    """Show for some seconds that the bot is busy."""
    chat = call.chat()
    action = call.text("action").lower()
    if action not in _CHAT_ACTIONS:
        raise bad_request("wrong parameter action in request")
    call.conversation.tell({"type": "typing", "chat_id": chat.chat_id, "action": action})
    return True


def copy_message(call: Call) -> Json:
    """Send a message again as the bot's own; answers with its id only."""
    original = _original(call)
    content = call.caption() if call.has("caption") else original.content
    return {"message_id": _repeated(call, original, content=content)["message_id"]}


def forward_message(call: Call) -> Json:
    """Send a message again, saying whose it was."""
    original = _original(call)
    conversation = call.conversation
    sender = conversation.message_json(original)["from"]
    origin = original.forward_origin or {
        "type": "user",
        "sender_user": sender,
        "date": original.date_s,
    }
    return _repeated(call, original, content=original.content, forward_origin=origin)


def _original(call: Call) -> Message:
    source = replace(call, values={**call.values, "chat_id": call.values.get("from_chat_id")})
    original = source.message("message to copy")
    if original.is_protected:
        raise bad_request("message has protected content and can't be forwarded")
    return original


def _repeated(call: Call, original: Message, **details: Any) -> Json:
    chat = call.chat()
    message = call.conversation.add_message(
        chat.chat_id,
        call.conversation.bot.user_id,
        media=original.media,
        **{**_details(call, chat), **details},
    )
    return _sent(call, message)


def _details(call: Call, chat: Chat) -> dict[str, Any]:
    markup = call.structure("reply_markup")
    return {
        "keyboard": inline_keyboard(markup),
        "reply_markup": field_keyboard(markup),
        "reply_to": call.replied(chat),
        "is_silent": call.flag("disable_notification"),
        "is_protected": call.flag("protect_content"),
    }


def _sent(call: Call, message: Message) -> Json:
    return call.conversation.message_json(message)


def _with_mime(upload: Upload) -> Upload:
    if upload.mime and upload.mime != "application/octet-stream":
        return upload
    guessed, _ = mimetypes.guess_type(upload.name)
    return replace(upload, mime=guessed or "application/octet-stream")
