"""One call of a Bot API method: its parameters, however they were sent, read with type checks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from bot.localchat.border import Unreadable, load_json
from bot.localchat.conversation import Conversation, refuse_if_unreachable
from bot.localchat.entities import FormattedText
from bot.localchat.errors import BotApiError, bad_request
from bot.localchat.facts import Chat, Message
from bot.localchat.files import Upload
from bot.localchat.formatting import parsed, with_entities

_WHOLE: Final = re.compile(r"\s*[+-]?\d{1,18}\s*")
TEXT_MAX: Final = 4096
CAPTION_MAX: Final = 1024
# More than this is refused before anybody spends time on its markup.
_RAW_TEXT_MAX: Final = 65_536


@dataclass(frozen=True, slots=True)
class Call:
    """A method call; values are text (forms) or JSON (bodies), and mean the same."""

    conversation: Conversation
    values: Mapping[str, Any]
    uploads: Mapping[str, Upload] = field(default_factory=dict)

    def has(self, name: str) -> bool:
        """Whether the parameter was sent with something in it."""
        return self.values.get(name) not in (None, "")

    def text(self, name: str) -> str:
        """A text, '' when it is missing."""
        value = self.values.get(name)
        if value is None or isinstance(value, str):
            return value or ""
        if isinstance(value, bool | int | float):
            return str(value)
        raise bad_request(f'parameter "{name}" should be a String')

    def whole(self, name: str, default: int = 0) -> int:
        """A whole number."""
        value = self.values.get(name)
        if value in (None, ""):
            return default
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**18:
            return value
        if isinstance(value, str) and _WHOLE.fullmatch(value):
            return int(value)
        raise bad_request(f'parameter "{name}" should be an Integer, was {str(value)[:40]!r}')

    def flag(self, name: str) -> bool:
        """A Boolean; forms say true, yes or 1."""
        value = self.values.get(name)
        if isinstance(value, str):
            return value.strip().lower() in {"true", "yes", "y", "1", "on"}
        return bool(value)

    def structure(self, name: str) -> Any:
        """An object or array; forms carry it as JSON text. None when it is missing."""
        value = self.values.get(name)
        if not isinstance(value, str) or value == "":
            return None if value == "" else value
        try:
            return load_json(value)
        except Unreadable as error:
            raise bad_request(f"can't parse {name} JSON object") from error

    # ------------------------------------------------------------ what many methods share

    def chat(self) -> Chat:
        """The chat that `chat_id` names, if the bot may write there."""
        if not self.has("chat_id"):
            raise bad_request("chat_id is empty")
        try:
            chat_id = self.whole("chat_id")
        except BotApiError as error:
            raise bad_request("chat not found") from error
        return refuse_if_unreachable(self.conversation, chat_id)

    def message_text(self) -> FormattedText:
        """The `text` of a message, understood and measured."""
        content = self._formatted(self.text("text"), "entities")
        if not content.text:
            raise bad_request("message text is empty")
        if len(content.text) > TEXT_MAX:
            raise bad_request("message is too long")
        return content

    def caption(self) -> FormattedText:
        """The `caption` of a picture or document, understood and measured."""
        content = self._formatted(self.text("caption"), "caption_entities")
        if len(content.text) > CAPTION_MAX:
            raise bad_request("message caption is too long")
        return content

    def replied(self, chat: Chat) -> int | None:
        """The id of the message that this one answers."""
        reply = self.structure("reply_parameters")
        if isinstance(reply, dict):
            asked, lenient = reply.get("message_id"), reply.get("allow_sending_without_reply")
        else:
            asked = self.whole("reply_to_message_id")
            lenient = self.flag("allow_sending_without_reply")
        if not asked:
            return None
        if isinstance(asked, int) and self.conversation.message(chat.chat_id, asked) is not None:
            return asked
        if lenient:
            return None
        raise bad_request("message to be replied not found")

    def message(self, what: str, name: str = "message_id") -> Message:
        """The message that `chat_id` and `message_id` name; `what` words the refusal."""
        chat = self.chat()
        if not self.has(name):
            raise bad_request("message identifier is not specified")
        message = self.conversation.message(chat.chat_id, self.whole(name))
        if message is None:
            raise bad_request(f"{what} not found")
        return message

    def _formatted(self, text: str, entities: str) -> FormattedText:
        if len(text) > _RAW_TEXT_MAX:
            raise bad_request("message is too long")
        clean = text.replace("\r", "").replace("\x00", "")
        given = self.structure(entities)
        if given is not None and not self.has("parse_mode"):
            return with_entities(clean, given)
        return parsed(clean, self.text("parse_mode") or None)
