"""The second channel reaches a real server, hides secrets, and says when it was not heard."""

import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from bot import notify
from trading.domain.errors import SettingsInvalid


@dataclass
class _Receiver:
    status: int = 200
    port: int = 0
    heard: list[dict[str, Any]] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        self.heard.append(await request.json())
        return web.Response(status=self.status)


@pytest.fixture
async def receiver() -> AsyncIterator[_Receiver]:
    receiver = _Receiver()
    application = web.Application()
    application.router.add_post("/alerts", receiver.take)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.port = int(runner.addresses[0][1])
    yield receiver
    await runner.cleanup()


async def test_an_alert_arrives_without_the_secret_in_it(receiver: _Receiver) -> None:
    (way,) = notify.ways([f"json://127.0.0.1:{receiver.port}/alerts"], ["the-token"])
    assert await way.say("🚨 the exchange refuses https://bot/the-token/x")
    (heard,) = receiver.heard
    assert heard["title"] == "Umbra"
    assert "🚨 the exchange refuses" in heard["message"]
    assert "the-token" not in heard["message"]


async def test_a_refusal_and_an_absence_are_told(receiver: _Receiver) -> None:
    receiver.status = 500
    (way,) = notify.ways([f"json://127.0.0.1:{receiver.port}/alerts"], [])
    assert not await way.say("text")
    assert len(receiver.heard) == 1
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        (gone,) = notify.ways([f"json://127.0.0.1:{taken.getsockname()[1]}/alerts"], [])
        assert not await gone.say("text")


def test_the_name_of_an_address_holds_no_secret() -> None:
    (way,) = notify.ways(["json://user:password@127.0.0.1:9/alerts"], [])
    assert way.name == "json (1)"
    assert "password" not in way.way_id


def test_an_address_that_nobody_knows_is_refused_without_showing_it() -> None:
    with pytest.raises(SettingsInvalid, match="address 2 is none") as refused:
        notify.ways(["json://127.0.0.1:9/", "carrierpigeon://secret-nest"], [])
    assert "secret-nest" not in str(refused.value)
