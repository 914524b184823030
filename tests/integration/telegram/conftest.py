"""The real front end, with python-telegram-bot over HTTP, against the local chat's server."""

import asyncio
import contextlib
import itertools
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot.charts.worker import Picture
from bot.clock import SystemClock
from bot.localchat import FloodLimits, build_app, serving
from bot.telegram import Surroundings, TelegramBot, TelegramSettings
from tests.fakes.desk import FakeDesk
from tests.fakes.memory_store import MemoryStore
from tests.fakes.scanner import FakeScanner
from trading.bus import Bus

TOKEN = "4242:SECRET-TOKEN"
OWNER = 7
_PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360606060000000050001a5f64540"
    "0000000049454e44ae426082"
)


class Phone:
    """Plays people on the local chat."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url
        self._session = session

    async def post(self, path: str, body: Any) -> Any:
        async with self._session.post(f"{self.url}/client/{path}", json=body) as response:
            answer = await response.json()
            assert response.status == 200, answer
            return answer

    async def messages(self, chat_id: int = OWNER, after: int = 0) -> list[dict[str, Any]]:
        params = {"chat_id": chat_id, "after": after}
        async with self._session.get(f"{self.url}/client/messages", params=params) as response:
            return list(await response.json())

    async def send(self, text: str, user_id: int = OWNER, **more: Any) -> int:
        answer = await self.post("send", {"user_id": user_id, "text": text, **more})
        return int(answer["message_id"])

    async def ask(self, text: str, user_id: int = OWNER, deadline_s: float = 5.0) -> dict[str, Any]:
        """Send a command and return the bot's first new message after it."""
        sent = await self.send(text, user_id)
        return await self.answer_after(sent, user_id, deadline_s)

    async def answer_after(
        self, message_id: int, chat_id: int = OWNER, deadline_s: float = 5.0
    ) -> dict[str, Any]:
        found = await self.until(
            lambda rows: [row for row in rows if row["from"] == "bot" and not _is_sign(row)],
            chat_id,
            message_id,
            deadline_s,
        )
        return dict(found[0])

    async def until(
        self,
        wanted: Callable[[list[dict[str, Any]]], Any],
        chat_id: int = OWNER,
        after: int = 0,
        deadline_s: float = 5.0,
    ) -> Any:
        """Wait until the chat's messages have what is wanted, and return it."""
        rows: list[dict[str, Any]] = []
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(deadline_s):
                while True:
                    rows = await self.messages(chat_id, after)
                    if found := wanted(rows):
                        return found
                    await asyncio.sleep(0.01)
        raise AssertionError(f"not seen within {deadline_s} s; the chat was {rows}")

    async def until_text(self, part: str, chat_id: int = OWNER, after: int = 0) -> dict[str, Any]:
        found = await self.until(
            lambda rows: [row for row in rows if part in row["text"]], chat_id, after
        )
        return dict(found[-1])

    async def press(self, message_id: int, label: str, user_id: int = OWNER) -> dict[str, Any]:
        body = {"user_id": user_id, "message_id": message_id, "text": label, "wait_ms": 5_000}
        return dict(await self.post("press", body))

    async def fault(self, kind: str, times: int = 1, **args: Any) -> None:
        await self.post("fault", {"kind": kind, "times": times, "args": args})

    async def fired(self, kind: str) -> int:
        async with self._session.get(f"{self.url}/client/faults") as response:
            return sum(one["fired"] for one in await response.json() if one["kind"] == kind)

    async def has_bot(self, chat_id: int) -> bool:
        """Whether the bot is in a chat."""
        async with self._session.get(f"{self.url}/client/state") as response:
            chats = (await response.json())["chats"]
        return any(chat["has_bot"] for chat in chats if chat["chat_id"] == chat_id)

    async def count(self, chat_id: int = OWNER) -> int:
        return sum(row["from"] == "bot" for row in await self.messages(chat_id))


def _is_sign(row: dict[str, Any]) -> bool:
    """Whether a message only says that an answer takes its time, as on a machine that is busy."""
    return re.match("⏳ .+…", row["text"]) is not None


class PixelCharts:
    """Draws the smallest PNG there is."""

    async def draw(self, picture: Picture, path: Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_PIXEL)
        return path


class World:
    """One store and desk that outlive the bots started on them."""

    def __init__(self, phone: Phone, data_dir: Path) -> None:
        self.phone = phone
        self.clock = SystemClock()
        self.store = MemoryStore(self.clock)
        self.desk = FakeDesk(self.clock, self.store)
        self.scanner = FakeScanner()
        self.charts = PixelCharts()
        self.data_dir = data_dir
        self.nonces = itertools.count(1)
        self.starts = 0
        self.pairing_code: str | None = None

    def bot(self, **settings: Any) -> TelegramBot:
        values = {
            "token": TOKEN,
            "base_url": f"{self.phone.url}/bot",
            "owner_id": OWNER,
            "poll_timeout_s": 2,
            **settings,
        }
        around = Surroundings(
            desk=self.desk,
            scanner=self.scanner,
            journal=self.store,
            records=self.store,
            record=self.store.append,
            clock=self.clock,
            bus=Bus(),
            charts=self.charts,
            random_nonce=lambda: f"nonce{next(self.nonces)}",
            random_code=lambda: "123456",
            export=self._export,
            data_dir=self.data_dir,
            version="1.2.3",
        )
        return TelegramBot(TelegramSettings(**values), around)

    async def _export(self, kind: str) -> Path:
        path = self.data_dir / f"{kind}.csv"
        path.write_text("a,b\n1,2\n")
        return path

    @contextlib.asynccontextmanager
    async def running(self, **settings: Any) -> AsyncIterator[TelegramBot]:
        """A started bot that is stopped in order."""
        bot = self.bot(**settings)
        self.pairing_code = await bot.start()
        self.starts += 1
        task = asyncio.create_task(bot.run())
        try:
            yield bot
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await bot.stop()


@pytest.fixture
async def phone() -> AsyncIterator[Phone]:
    limits = FloodLimits(chat_burst=0, overall_burst=0)
    app = build_app(TOKEN, SystemClock(), limits=limits)
    async with serving(app, "127.0.0.1", 0) as url, aiohttp.ClientSession() as session:
        yield Phone(url, session)


@pytest.fixture
def world(phone: Phone, tmp_path: Path) -> World:
    return World(phone, tmp_path)
