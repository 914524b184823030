"""Bot API methods that change, remove or pin messages which are already there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from bot.localchat.call import Call
from bot.localchat.errors import bad_request
from bot.localchat.facts import Json, Message
from bot.localchat.keyboards import inline_keyboard
from bot.localchat.sending import input_media

# The bot may delete what is younger than two days.
DELETABLE_S: Final = 48 * 3600
DELETE_MAX: Final = 100
_EDITABLE_MEDIA: Final = frozenset({"photo", "document", "video", "animation", "audio"})
_NOT_MODIFIED: Final = (
    "message is not modified: specified new message content and reply markup are exactly"
    " the same as a current content and reply markup of the message"
)


def edit_text(call: Call) -> Json:
    """Change the text of the bot's message."""
    message = _editable(call)
    if message.media is not None:
        raise bad_request("there is no text in the message to edit")
    return _changed(call, message, content=call.message_text())


def edit_caption(call: Call) -> Json:
    """Change the caption of the bot's picture or document."""
    message = _editable(call)
    if message.media is None:
        raise bad_request("there is no caption in the message to edit")
    return _changed(call, message, content=call.caption())


def edit_media(call: Call) -> Json:
    """Replace the picture or document of the bot's message, caption included."""
    message = _editable(call)
    media, item = input_media(call, call.structure("media"), _EDITABLE_MEDIA)
    same_file = message.media is not None and media.file.unique_id == message.media.file.unique_id
    kept = (
        message.media if same_file and message.media and media.kind == message.media.kind else media
    )
    return _changed(call, message, media=kept, content=item.caption())


def edit_reply_markup(call: Call) -> Json:
    """Change only the buttons of the bot's message."""
    return _changed(call, _editable(call))


def delete_message(call: Call) -> bool:
    """Remove a message for everyone."""
    message = call.message("message to delete")
    if call.conversation.now_s() - message.date_s > DELETABLE_S:
        raise bad_request("message can't be deleted for everyone")
    call.conversation.delete_message(message)
    return True


def delete_messages(call: Call) -> bool:
    """Remove up to a hundred messages; those that are not there are passed over."""
    chat = call.chat()
    for message_id in _message_ids(call.structure("message_ids")):
        message = call.conversation.message(chat.chat_id, message_id)
        if message is not None:
            call.conversation.delete_message(message)
    return True


def pin_message(call: Call) -> bool:
    """Pin a message; the newest pin is shown."""
    message = call.message("message to pin")
    pins = call.conversation.pins.get(message.chat_id, [])
    others = [pinned for pinned in pins if pinned != message.message_id]
    call.conversation.set_pins(message.chat_id, [*others, message.message_id])
    return True


def unpin_message(call: Call) -> bool:
    """Unpin one message, the newest pin when none is named."""
    chat = call.chat()
    pins = call.conversation.pins.get(chat.chat_id, [])
    wanted = call.whole("message_id") if call.has("message_id") else (pins[-1] if pins else 0)
    if wanted not in pins:
        raise bad_request("message to unpin not found")
    call.conversation.set_pins(chat.chat_id, [pinned for pinned in pins if pinned != wanted])
    return True


def unpin_all(call: Call) -> bool:
    """Unpin everything in a chat."""
    call.conversation.set_pins(call.chat().chat_id, [])
    return True


def set_reaction(call: Call) -> bool:
    """Put the bot's emoji under a message, or take it away."""
    message = call.message("message to react")
    given = call.structure("reaction")
    emoji = (
        [each.get("emoji") for each in given if isinstance(each, dict)]
        if (isinstance(given, list))
        else []
    )
    reaction = next((each for each in emoji if isinstance(each, str)), "")
    call.conversation.keep(replace(message, reaction=reaction[:8]))
    return True


def _editable(call: Call) -> Message:
    if call.has("inline_message_id"):
        raise bad_request("message to edit not found")
    message = call.message("message to edit")
    if not message.is_from_bot or message.forward_origin is not None:
        raise bad_request("message can't be edited")
    return message


def _changed(call: Call, message: Message, **changes: Any) -> Json:
    # As in Telegram, an edit without buttons takes the buttons away.
    changes["keyboard"] = inline_keyboard(call.structure("reply_markup"))
    if replace(message, **changes) == message:
        raise bad_request(_NOT_MODIFIED)
    changed = call.conversation.change_message(message, **changes)
    return call.conversation.message_json(changed)


def _message_ids(value: Any) -> list[int]:
    if not isinstance(value, list) or not 1 <= len(value) <= DELETE_MAX:
        raise bad_request("message_ids should be an Array of 1-100 message identifiers")
    return [each for each in value if isinstance(each, int)]
