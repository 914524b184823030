"""A sign that an answer takes its time: a silent card after a second, which becomes the answer."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from bot.telegram.delivery import with_banner
from bot.telegram.render.text import card_text
from bot.telegram.replying import Place
from trading.domain.chat import OutboxMessage
from trading.domain.errors import AlreadyRecorded, StorageLost
from trading.domain.events import MessageQueued
from trading.ports.clock import Clock
from trading.ports.storage import Journal

logger = logging.getLogger(__name__)
# What comes sooner needs no sign; a person who waits longer taps again.
_AFTER_S = 1.0


@dataclass(slots=True)
class Progress:
    """Says what is being done while it is done; the answer edits the same card, also after a death.

    The sign is as durable as the answer: a message of its own that has the answer's card name.
    """

    journal: Journal
    clock: Clock
    kick_outbox: Callable[[], None]
    after_s: float = _AFTER_S

    @contextlib.asynccontextmanager
    async def shown(self, place: Place, words: str, banner: str) -> AsyncIterator[None]:
        """Show `words` at a place when the body takes long; no words show nothing."""
        if not words:
            yield
            return
        done = asyncio.Event()
        sign = asyncio.create_task(self._say_unless(done, place, words, banner))
        try:
            yield
        finally:
            # Awaited and not cancelled: an append is never torn.
            done.set()
            await sign

    async def _say_unless(self, done: asyncio.Event, place: Place, words: str, banner: str) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.after_s):
                await done.wait()
        if done.is_set():
            return
        message = OutboxMessage(
            message_key=f"progress:{place.card}",
            chat_id=place.chat_id,
            text=with_banner(card_text(f"⏳ {words}"), banner),
            created_at=self.clock.now(),
            is_silent=True,
            card=place.card,
        )
        try:
            await self.journal.append(MessageQueued(message))
        except (AlreadyRecorded, StorageLost) as error:
            logger.info("progress_not_shown", extra={"error": type(error).__name__})
            return
        self.kick_outbox()
