"""One outbox message as one call of the Bot API; every call has a deadline."""

from pathlib import Path

from telegram import (
    Bot,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    InputMediaDocument,
    InputMediaPhoto,
)
from telegram.constants import ParseMode

from trading.domain.chat import OutboxMessage

_DEADLINE_S = 20.0
_MEDIA_DEADLINE_S = 60.0


class Sender:
    """Sends and edits; raises telegram's own errors."""

    def __init__(self, bot: Bot) -> None:
        self._bot = bot

    async def send(self, message: OutboxMessage) -> int:
        """Send a message, with its file if that still exists; returns Telegram's id of it."""
        picture, document = _existing(message.picture), _existing(message.document)
        if picture is not None:
            sent = await self._bot.send_photo(
                message.chat_id,
                picture,
                caption=message.text,
                parse_mode=ParseMode.HTML,
                reply_markup=_markup(message),
                disable_notification=message.is_silent,
                read_timeout=_MEDIA_DEADLINE_S,
                write_timeout=_MEDIA_DEADLINE_S,
            )
        elif document is not None:
            sent = await self._bot.send_document(
                message.chat_id,
                document,
                caption=message.text,
                parse_mode=ParseMode.HTML,
                reply_markup=_markup(message),
                disable_notification=message.is_silent,
                read_timeout=_MEDIA_DEADLINE_S,
                write_timeout=_MEDIA_DEADLINE_S,
            )
        else:
            sent = await self._bot.send_message(
                message.chat_id,
                message.text,
                parse_mode=ParseMode.HTML,
                reply_markup=_markup(message),
                disable_notification=message.is_silent,
                read_timeout=_DEADLINE_S,
            )
        return sent.message_id

    async def send_plain(self, message: OutboxMessage) -> int:
        """Send bare text."""
        sent = await self._bot.send_message(
            message.chat_id,
            message.text[:4000],
            disable_notification=message.is_silent,
            read_timeout=_DEADLINE_S,
        )
        return sent.message_id

    async def edit(self, message: OutboxMessage, message_id: int) -> None:
        """Turn a message that was sent into this one."""
        media = _media(message)
        if media is not None:
            await self._bot.edit_message_media(
                media,
                message.chat_id,
                message_id,
                reply_markup=_markup(message),
                read_timeout=_MEDIA_DEADLINE_S,
                write_timeout=_MEDIA_DEADLINE_S,
            )
            return
        await self._bot.edit_message_text(
            message.text,
            message.chat_id,
            message_id,
            parse_mode=ParseMode.HTML,
            reply_markup=_markup(message),
            read_timeout=_DEADLINE_S,
        )

    async def pin(self, chat_id: int, message_id: int) -> None:
        """Pin a message without a sound."""
        await self._bot.pin_chat_message(
            chat_id, message_id, disable_notification=True, read_timeout=_DEADLINE_S
        )

    async def unpin(self, chat_id: int, message_id: int) -> None:
        """Take a pinned message down; it stays in the chat."""
        await self._bot.unpin_chat_message(chat_id, message_id, read_timeout=_DEADLINE_S)


def _media(message: OutboxMessage) -> InputMediaPhoto | InputMediaDocument | None:
    picture, document = _existing(message.picture), _existing(message.document)
    if picture is not None:
        return InputMediaPhoto(
            picture.read_bytes(),
            caption=message.text,
            parse_mode=ParseMode.HTML,
            # Without one, whoever saves it gets a file that no program opens.
            filename=picture.name,
        )
    if document is not None:
        return InputMediaDocument(
            document.read_bytes(),
            caption=message.text,
            parse_mode=ParseMode.HTML,
            filename=document.name,
        )
    return None


def _markup(message: OutboxMessage) -> InlineKeyboardMarkup | None:
    if not message.buttons:
        return None
    return InlineKeyboardMarkup(
        [
            [InlineKeyboardButton(button.label, callback_data=button.data) for button in row]
            for row in message.buttons
        ]
    )


def _existing(path: str | None) -> Path | None:
    return Path(path) if path is not None and Path(path).is_file() else None
