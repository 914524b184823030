"""An outbox with a chat that takes messages like Telegram, a store with memory, a clock by hand."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from telegram.error import TelegramError

from bot.telegram.folding import Folding
from bot.telegram.outbox import Outbox
from bot.telegram.render.text import strip_markup
from tests.fakes.desk import START
from tests.fakes.memory_store import MemoryStore, SettableClock
from trading.domain.chat import OutboxMessage
from trading.domain.events import MessageDelivered, MessageQueued


class Chat:
    """Takes messages like Telegram, and fails as it is told."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []
        self.errors: list[BaseException] = []
        self.edit_errors: list[TelegramError] = []
        self.failed: list[BaseException] = []

    def _fail_as_told(self) -> None:
        if self.errors:
            self.failed.append(self.errors.pop(0))
            raise self.failed[-1]

    async def send(self, message: OutboxMessage) -> int:
        self._fail_as_told()
        self.sent.append(("send", message.text))
        return len(self.sent)

    async def send_plain(self, message: OutboxMessage) -> int:
        self._fail_as_told()
        self.sent.append(("plain", message.text))
        return len(self.sent)

    async def edit(self, message: OutboxMessage, message_id: int) -> None:
        if self.edit_errors:
            raise self.edit_errors.pop(0)
        self.sent.append((f"edit {message_id}", message.text))


class World:
    def __init__(self, brief: Callable[[], Sequence[str]] = lambda: ()) -> None:
        self.clock = SettableClock(START)
        self.store = MemoryStore(self.clock)
        self.chat = Chat()
        self.outbox = Outbox(
            self.chat,  # type: ignore[arg-type]
            self.store,
            self.store,
            self.clock,
            folding=Folding(brief=brief),
        )

    async def queue(self, key: str, **values: Any) -> None:
        base = OutboxMessage(key, 7, f"<b>{key}</b>", self.clock.now())
        await self.store.append(MessageQueued(replace(base, **values)))

    async def pass_s(self, seconds: float) -> None:
        """Let time pass on both clocks, and send what may go."""
        self.clock.seconds += seconds
        self.clock.time += timedelta(seconds=seconds)
        await self.outbox.send_waiting()

    def titles(self) -> list[str]:
        return [text.splitlines()[0] for text in self.texts()]

    def reasons(self) -> list[str]:
        return [one.reason for one in self.store.of(MessageDelivered)]

    def texts(self) -> list[str]:
        return [strip_markup(text) for _, text in self.chat.sent]
