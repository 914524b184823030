"""The reader of one connection: nothing ends it but the connection, and nobody waits for it."""

import asyncio
import gc
import logging
import ssl
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import WSMessage, WSMsgType

from trading.domain.errors import Unreachable
from trading.gateway.client import DirectReader, load_exchange, open_sessions
from trading.gateway.settings import GatewaySettings
from trading.right_of_way import Claim, RightOfWay

_HELLO = WSMessage(WSMsgType.TEXT, "hello", None)
_PING = WSMessage(WSMsgType.PING, b"", None)


@dataclass
class Library:
    """The part of a client of the library that the reader needs, with memory."""

    messages: deque[WSMessage | Exception]
    passed_on: list[WSMessage] = field(default_factory=list)
    rejected: list[Exception] = field(default_factory=list)
    closed_with: list[int] = field(default_factory=list)
    fails_at: str = ""
    receive_loop: Any = None
    pongs: list[bytes] = field(default_factory=list)
    is_lost: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def connection(self) -> "Library":
        return self

    async def pong(self, data: bytes) -> None:
        if self.is_lost:
            raise ConnectionResetError("Cannot write to closing transport")
        self.pongs.append(data)

    def closed(self) -> bool:
        return not self.messages

    async def receive(self) -> WSMessage:
        # Like a full buffer: it never waits.
        message = self.messages.popleft()
        if isinstance(message, Exception):
            raise message
        return message

    def handle_message(self, message: WSMessage) -> None:
        if message.data == self.fails_at:
            raise ValueError(message.data)
        self.passed_on.append(message)

    def reject(self, error: Exception) -> None:
        self.rejected.append(error)
        self.ended.set()

    def on_close(self, code: int) -> None:
        self.closed_with.append(code)
        self.ended.set()


async def _read(library: Library, taken: list[str]) -> None:
    def take(frame: str) -> bool:
        if frame == "declined":
            return False
        taken.append(frame)
        return True

    DirectReader(library, take)
    library.receive_loop()
    async with asyncio.timeout(10):
        await library.ended.wait()


async def test_text_goes_the_short_way_and_everything_else_the_librarys() -> None:
    declined = WSMessage(WSMsgType.TEXT, "declined", None)
    library = Library(deque([_HELLO, _PING, declined, _HELLO]))
    taken: list[str] = []
    await _read(library, taken)
    assert taken == ["hello", "hello"]
    assert library.passed_on == [declined]
    assert library.pongs == [_PING.data]
    assert library.closed_with == [1006]
    assert library.rejected == []


async def test_a_pong_that_a_lost_line_does_not_take_is_no_error_of_the_program() -> None:
    untold: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, told: untold.append(told))
    library = Library(deque([_PING, _HELLO]), is_lost=True)
    taken: list[str] = []
    await _read(library, taken)
    await asyncio.sleep(0)
    gc.collect()
    assert taken == ["hello"]
    assert untold == []


async def test_a_burst_lets_others_have_their_turn() -> None:
    library = Library(deque([_HELLO] * 1000))
    taken: list[str] = []
    seen: list[int] = []

    async def fire() -> None:
        seen.append(len(taken))

    def take(frame: str) -> bool:
        taken.append(frame)
        if len(taken) == 100:
            fired.append(asyncio.create_task(fire()))
        return True

    fired: list[asyncio.Task[None]] = []
    DirectReader(library, take)
    library.receive_loop()
    async with asyncio.timeout(10):
        await library.ended.wait()
    assert len(taken) == 1000
    assert seen
    assert seen[0] <= 200


async def test_a_trigger_that_goes_out_is_not_held_up_by_the_prices_behind_it() -> None:
    library = Library(deque([_HELLO] * 1000))
    way = RightOfWay()
    taken: list[str] = []
    sent_at: list[int] = []

    async def go_out(claim: Claim) -> None:
        for _ in range(12):
            await asyncio.sleep(0)
        sent_at.append(len(taken))
        claim.release()

    def take(frame: str) -> bool:
        taken.append(frame)
        if len(taken) == 100:
            going.append(asyncio.create_task(go_out(way.claim())))
        return True

    going: list[asyncio.Task[None]] = []
    DirectReader(library, take, way)
    library.receive_loop()
    async with asyncio.timeout(10):
        await library.ended.wait()
    assert sent_at == [100]
    assert len(taken) == 1000


async def test_a_message_that_nobody_can_read_is_told_and_the_next_one_is_read(
    caplog: pytest.LogCaptureFixture,
) -> None:
    library = Library(deque([WSMessage(WSMsgType.TEXT, "declined", None), _HELLO]))
    library.fails_at = "declined"
    taken: list[str] = []
    with caplog.at_level(logging.ERROR):
        await _read(library, taken)
    assert taken == ["hello"]
    assert [record.message for record in caplog.records] == ["message_unreadable"]


async def test_a_connection_that_breaks_is_unreachable() -> None:
    library = Library(deque([_HELLO, OSError("reset"), _HELLO]))
    await _read(library, [])
    [error] = library.rejected
    assert isinstance(error, Unreachable)
    assert "reset" in str(error)
    assert library.closed_with == []


async def test_the_certificates_of_an_exchange_are_read_once_and_checked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    exchange = load_exchange(GatewaySettings(), {})
    sessions = open_sessions(exchange, GatewaySettings())
    context = exchange.ssl_context
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    monkeypatch.setattr(ssl, "create_default_context", lambda **_: pytest.fail("read once more"))
    exchange.open()
    assert exchange.session is sessions.requests
    assert exchange.ssl_context is context
    await sessions.close()
    await exchange.close()


async def test_a_clock_that_is_set_back_keeps_no_connection_from_being_made_again() -> None:
    exchange = load_exchange(GatewaySettings("binance"), {})
    client = exchange.client("ws://127.0.0.1:9/ws")
    client.dial_failed = True
    exchange.on_error(client, ConnectionError("refused"))
    waits_s = exchange.ws_dial_delay(client.url)
    assert 0 < waits_s <= 1
    now_ms = exchange.milliseconds()
    exchange.milliseconds = lambda: now_ms - 3_600_000
    # An error of a connection that stands has no part in it.
    exchange.on_error(client, ConnectionError("lost"))
    assert 0 < exchange.ws_dial_delay(client.url) <= waits_s
    exchange.on_connected(client)
    assert exchange.ws_dial_delay(client.url) == 0
    await exchange.close()
