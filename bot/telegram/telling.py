"""One message to the owner before there is a chat: when the database cannot be opened."""

import logging

from telegram.error import TelegramError

from bot.telegram.requesting import bot_of
from bot.telegram.settings import TelegramSettings

logger = logging.getLogger(__name__)


async def tell_before_start(settings: TelegramSettings, chat_id: int, text: str) -> bool:
    """Send a text; False when it was not taken."""
    try:
        async with bot_of(settings) as bot:
            await bot.send_message(chat_id, text[:3000])
    except TelegramError as error:
        # Not the message: the library puts the token into it.
        logger.warning("owner_not_told", extra={"error": type(error).__name__})
        return False
    return True
