"""What an update asks of Telegram beside its answer: sent once, past the journal, never again."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from telegram import Bot
from telegram.constants import ParseMode
from telegram.error import TelegramError

from bot.telegram.replying import Handled

logger = logging.getLogger(__name__)


class Asides:
    """Tasks of moments; `end` cancels those at work."""

    def __init__(self, bot: Bot) -> None:
        self._bot = bot
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, handled: Handled) -> None:
        """Stop the spinner of a tap, say what must not be stored, leave a strange group."""
        if handled.tap_id is not None:
            self._begin(self._send_toast(handled.tap_id, handled.toast))
        if handled.aside is not None:
            self._begin(self._send_aside(*handled.aside))
        if handled.leaves is not None:
            self._begin(self._leave(handled.leaves))

    def end(self) -> None:
        """Give up what is at work."""
        for task in list(self._tasks):
            task.cancel()

    def _begin(self, saying: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(saying)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send_aside(self, chat_id: int, html: str) -> None:
        try:
            await self._bot.send_message(chat_id, html, parse_mode=ParseMode.HTML)
        except TelegramError as error:
            # What must not be stored cannot be sent again; its card offers to make a new one.
            logger.warning("aside_not_sent", extra={"error": type(error).__name__})

    async def _leave(self, chat_id: int) -> None:
        try:
            await self._bot.leave_chat(chat_id)
        except TelegramError as error:
            # The next update from there tries again.
            logger.warning("group_not_left", extra={"error": type(error).__name__})

    async def _send_toast(self, tap_id: str, toast: str) -> None:
        try:
            await self._bot.answer_callback_query(tap_id, toast or None)
        except TelegramError as error:
            # Only the spinner on the button; an old tap cannot be answered any more.
            logger.debug("tap_not_answered", extra={"error": type(error).__name__})
