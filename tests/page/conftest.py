"""A headless Chromium, and the local chat for it to show."""

import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright

from bot.clock import SystemClock
from bot.localchat import FloodLimits, build_app, serving

TOKEN = "4242:PAGE"
PICTURES = Path(__file__).parent / "pictures"
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


def chromium() -> str | None:
    """Where a Chromium is installed, if one is."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next(filter(None, map(shutil.which, names)), None)


# A browser belongs to the loop that started it: every test of a module runs on the module's loop.
@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """A headless Chromium for a module; skips where none is installed."""
    path = chromium()
    if path is None:
        pytest.skip("no Chromium here (on Debian: apt-get install chromium)")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        await browser.close()


class ChatServer:
    """A running local chat and the bot's hand on it."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url
        self._session = session

    async def bot(self, method: str, **params: Any) -> Any:
        """Call a Bot API method."""
        return (await self._post(f"/bot{TOKEN}/{method}", json=params))["result"]

    async def client(self, path: str, **body: Any) -> Any:
        """Do what a person or a test does."""
        return await self._post(f"/client/{path}", json=body)

    async def picture(self, content: bytes, caption: str) -> None:
        """Send a picture as the bot."""
        form = aiohttp.FormData({"chat_id": "1", "caption": caption})
        form.add_field("photo", content, filename="chart.png", content_type="image/png")
        await self._post(f"/bot{TOKEN}/sendPhoto", data=form)

    async def updates(self, wait_s: int = 10) -> list[dict[str, Any]]:
        """Fetch and confirm what waits for the bot."""
        found: list[dict[str, Any]] = await self.bot("getUpdates", timeout=wait_s)
        if found:
            await self.bot("getUpdates", offset=found[-1]["update_id"] + 1)
        return found

    async def _post(self, path: str, **body: Any) -> Any:
        async with self._session.post(f"{self.url}{path}", **body) as response:
            answer = await response.json()
            assert answer["ok"], answer
            return answer


@pytest_asyncio.fixture(loop_scope="module")
async def chat() -> AsyncIterator[ChatServer]:
    """A local chat on a free port."""
    app = build_app(TOKEN, SystemClock(), limits=FloodLimits(chat_burst=0, overall_burst=0), seed=1)
    async with serving(app, "127.0.0.1", 0) as url, aiohttp.ClientSession() as session:
        yield ChatServer(url, session)


def is_error(message: ConsoleMessage) -> bool:
    """Whether the browser complains; a refusal by the server (400) is told on the page instead."""
    return message.type == "error" and "status of 400" not in message.text


OpenPage = Callable[..., Awaitable[Page]]


@pytest_asyncio.fixture(loop_scope="module")
async def open_page(browser: Browser, chat: ChatServer) -> AsyncIterator[OpenPage]:
    """Opens the chat page as a person; any error on the page fails the test."""
    errors: list[str] = []

    async def open_as(
        user_id: int = 1, *, width: int = 390, height: int = 844, scheme: Any = "light"
    ) -> Page:
        context = await browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme
        )
        page = await context.new_page()
        page.set_default_timeout(10_000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on(
            "console", lambda message: errors.append(message.text) if is_error(message) else None
        )
        page.on(
            "request",
            lambda request: (
                None
                if request.url.startswith((chat.url, "data:", "blob:"))
                else errors.append(f"asked elsewhere: {request.url}")
            ),
        )
        await page.goto(f"{chat.url}/?user={user_id}")
        await page.wait_for_selector("#status[data-state=online]")
        return page

    yield open_as
    for context in browser.contexts:
        await context.close()
    assert errors == []


async def keep_picture(page: Page, name: str) -> None:
    """Keep a screenshot when UMBRA_TEST_PICTURES is set, to be looked at."""
    if os.environ.get("UMBRA_TEST_PICTURES"):
        PICTURES.mkdir(exist_ok=True)
        await page.screenshot(path=PICTURES / f"{name}.png")
