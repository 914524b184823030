"""A local chat on a free port, a phone that plays people on it, and a real bot library."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from telegram.ext import Application, ApplicationBuilder

from bot.clock import SystemClock
from bot.localchat import FloodLimits, build_app, serving

TOKEN = "4242:TEST"


class Phone:
    """Speaks to the server as people, tests and a raw bot do."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url
        self._session = session

    async def post(self, path: str, body: Any) -> tuple[int, Any]:
        """POST JSON; answers with status and body."""
        async with self._session.post(f"{self.url}{path}", json=body) as response:
            return response.status, await response.json()

    async def get(self, path: str, **params: Any) -> Any:
        """GET JSON."""
        async with self._session.get(f"{self.url}{path}", params=params) as response:
            return await response.json()

    async def download(self, path: str) -> bytes:
        """GET bytes that are there."""
        async with self._session.get(f"{self.url}{path}") as response:
            assert response.status == 200
            return await response.read()

    async def bot(self, method: str, *, token: str = TOKEN, **params: Any) -> tuple[int, Any]:
        """Call a Bot API method as JSON."""
        return await self.post(f"/bot{token}/{method}", params)

    async def send(self, text: str, user_id: int = 7, **more: Any) -> int:
        """Write as a person; answers with the message's id."""
        status, body = await self.post("/client/send", {"user_id": user_id, "text": text, **more})
        assert status == 200, body
        return int(body["message_id"])

    async def press(self, message_id: int, label: str, user_id: int = 7) -> Any:
        """Press a button as a person."""
        status, body = await self.post(
            "/client/press",
            {"user_id": user_id, "message_id": message_id, "text": label, "wait_ms": 5_000},
        )
        assert status == 200, body
        return body

    async def from_bot(self, after: int = 0, chat_id: int = 7) -> dict[str, Any]:
        """The first message of the bot with a greater id; waits for it."""
        for _ in range(20):
            found = await self.get("/client/messages", chat_id=chat_id, after=after, wait_ms=5000)
            answers = [message for message in found if message["from"] == "bot"]
            if answers:
                return dict(answers[0])
            after = found[-1]["message_id"] if found else after
        raise AssertionError("the bot did not answer")

    async def fault(self, kind: str, times: int = 1, **args: Any) -> None:
        """Order a fault."""
        order = {"kind": kind, "times": times, "args": args}
        status, body = await self.post("/client/fault", order)
        assert status == 200, body

    async def fired(self) -> int:
        """How many faults have happened."""
        return sum(fault["fired"] for fault in await self.get("/client/faults"))


@pytest.fixture
async def phone() -> AsyncIterator[Phone]:
    """A phone on a fresh server that knows the token."""
    app = build_app(TOKEN, SystemClock(), limits=FloodLimits(), seed=1)
    async with serving(app, "127.0.0.1", 0) as url, aiohttp.ClientSession() as session:
        yield Phone(url, session)


@pytest.fixture
async def application(
    phone: Phone, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Application[Any, Any, Any, Any, Any, Any]]:
    """An unmodified python-telegram-bot application that polls the server."""
    # The library's own way to choose the coming type of retry_after instead of a warning.
    monkeypatch.setenv("PTB_TIMEDELTA", "true")
    application = (
        ApplicationBuilder()
        .token(TOKEN)
        .base_url(f"{phone.url}/bot")
        .base_file_url(f"{phone.url}/file/bot")
        .build()
    )
    await application.initialize()
    await application.start()
    assert application.updater is not None
    await application.updater.start_polling(timeout=5)
    try:
        yield application
    finally:
        await application.updater.stop()
        await application.stop()
        await application.shutdown()
