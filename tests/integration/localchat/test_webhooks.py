"""Webhooks: delivered with the secret, in order, again after failures."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from bot.localchat.webhooks import SECRET_HEADER
from tests.integration.localchat.conftest import Phone


class Receiver:
    """A bot's web server that remembers what was posted and answers as told."""

    def __init__(self) -> None:
        self.url = ""
        self.statuses: list[int] = []
        self.received: asyncio.Queue[tuple[str | None, dict[str, Any]]] = asyncio.Queue()

    async def take(self, request: web.Request) -> web.Response:
        """Remember one delivery."""
        status = self.statuses.pop(0) if self.statuses else 200
        await self.received.put((request.headers.get(SECRET_HEADER), await request.json()))
        return web.Response(status=status)

    async def next(self) -> tuple[str | None, dict[str, Any]]:
        """The next delivery."""
        return await asyncio.wait_for(self.received.get(), 10)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A receiver on a free port."""
    made = Receiver()
    app = web.Application()
    app.add_routes([web.post("/hook", made.take)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    yield made
    await runner.cleanup()


async def test_updates_are_posted_with_the_secret_until_they_are_taken(
    phone: Phone, receiver: Receiver
) -> None:
    receiver.statuses = [500, 503]
    status, body = await phone.bot("setWebhook", url=receiver.url, secret_token="s3cret_-")
    assert (status, body["result"]) == (200, True)
    await phone.send("first")
    await phone.send("second")
    texts = []
    for _ in range(4):
        secret, update = await receiver.next()
        assert secret == "s3cret_-"
        texts.append(update["message"]["text"])
    assert texts == ["first", "first", "first", "second"]
    _, info = await phone.bot("getWebhookInfo")
    assert info["result"]["url"] == receiver.url
    assert "503" in info["result"]["last_error_message"]


async def test_polling_is_refused_while_a_webhook_is_set(phone: Phone, receiver: Receiver) -> None:
    waiting = asyncio.create_task(phone.bot("getUpdates", timeout=20))
    while (await phone.get("/client/state"))["polls"] < 1:
        await asyncio.sleep(0.01)
    await phone.bot("setWebhook", url=receiver.url)
    status, body = await waiting
    assert status == 409
    assert "can't use getUpdates method while webhook is active" in body["description"]
    assert (await phone.bot("getUpdates"))[0] == 409
    await phone.bot("deleteWebhook", drop_pending_updates=True)
    assert (await phone.bot("getUpdates"))[0] == 200
    _, info = await phone.bot("getWebhookInfo")
    assert info["result"] == {
        "url": "",
        "has_custom_certificate": False,
        "pending_update_count": 0,
    }


async def test_pending_updates_can_be_dropped(phone: Phone) -> None:
    await phone.send("old")
    await phone.bot("deleteWebhook", drop_pending_updates="true")
    _, body = await phone.bot("getUpdates")
    assert body["result"] == []


@pytest.mark.parametrize(
    "params",
    [
        {"url": "http://192.0.2.1/hook"},
        {"url": "ftp://127.0.0.1/hook"},
        {"url": "http://[::1/hook"},
        {"url": "http://127.0.0.1:99999/hook"},
        {"url": "http://127.0.0.1/hook", "secret_token": "with space"},
        {"url": "http://127.0.0.1/hook", "allowed_updates": "message"},
    ],
)
async def test_wrong_webhooks_are_refused(phone: Phone, params: dict[str, str]) -> None:
    status, body = await phone.bot("setWebhook", **params)
    assert (status, body["ok"]) == (400, False)
