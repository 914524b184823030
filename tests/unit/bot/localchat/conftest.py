"""A conversation without a network, and a clock that moves only when told."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot.localchat import methods
from bot.localchat.call import Call
from bot.localchat.conversation import Conversation
from bot.localchat.facts import Bot
from bot.localchat.files import Upload
from bot.localchat.updates import UpdateQueue


class HandClock:
    """Time that stands still until `advance` is called."""

    def __init__(self) -> None:
        self.elapsed_s = 0.0

    def now(self) -> datetime:
        """Wall time."""
        return datetime(2026, 3, 1, tzinfo=UTC) + timedelta(seconds=self.elapsed_s)

    def monotonic(self) -> float:
        """Seconds since the test began."""
        return self.elapsed_s

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.elapsed_s += seconds


Bot_ = Callable[..., Any]


@pytest.fixture
def clock() -> HandClock:
    """A clock at the first of March."""
    return HandClock()


@pytest.fixture
def conversation(clock: HandClock) -> Conversation:
    """An empty conversation with bot 42."""
    return Conversation(clock, Bot(42), UpdateQueue(next_id=1000))


@pytest.fixture
def bot(conversation: Conversation) -> Bot_:
    """Calls Bot API methods without HTTP: `bot("sendMessage", chat_id=7, text="a")`."""

    def call(method: str, uploads: dict[str, Upload] | None = None, **values: Any) -> Any:
        return methods.run(method, Call(conversation, values, uploads or {}))

    return call
