"""The proxy of the fault tests does what it says, and counts it: else no fault test means much."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from tests.proxy import Proxy


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(65_536):
        writer.write(chunk)
        await writer.drain()
    writer.close()


@pytest.fixture
async def line() -> AsyncIterator[Proxy]:
    """A proxy before a server that repeats what it hears."""
    server = await asyncio.start_server(_echo, "127.0.0.1", 0)
    async with server, Proxy.before(*server.sockets[0].getsockname()) as made:
        yield made


class Client:
    """One connection through the proxy."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def of(cls, line: Proxy) -> "Client":
        return cls(*await asyncio.open_connection("127.0.0.1", line.port))

    async def say(self, text: bytes, expected: int | None = None) -> bytes:
        self.writer.write(text)
        async with asyncio.timeout(5):
            return await self.reader.readexactly(len(text) if expected is None else expected)


async def test_a_healthy_line_changes_nothing_and_counts_bytes(line: Proxy) -> None:
    client = await Client.of(line)
    assert await client.say(b"x" * 100_000) == b"x" * 100_000
    assert (line.up.passed_bytes, line.down.passed_bytes) == (100_000, 100_000)
    assert (line.connections, line.open, line.up.swallowed_bytes) == (1, 1, 0)
    client.writer.close()


@pytest.mark.parametrize("direction", ["up", "down"])
async def test_latency_delays_one_direction(line: Proxy, direction: str) -> None:
    client = await Client.of(line)
    toxics = getattr(line, direction)
    toxics.latency_s, toxics.jitter_s = 0.1, 0.01
    began = time.monotonic()
    await client.say(b"hello")
    assert 0.1 <= time.monotonic() - began < 2
    assert (line.up.chunks_late, line.down.chunks_late) == ((1, 0) if direction == "up" else (0, 1))
    client.writer.close()


async def test_a_black_hole_swallows_and_keeps_the_connection(line: Proxy) -> None:
    client = await Client.of(line)
    line.down.is_blackhole = True
    client.writer.write(b"hello")
    while not line.down.swallowed_bytes:
        await asyncio.sleep(0.005)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.reader.read(1), 0.05)
    line.heal()
    assert await client.say(b"again") == b"again"
    assert (line.down.swallowed_bytes, line.open) == (5, 1)
    client.writer.close()


async def test_a_cut_resets_every_connection_and_later_ones_work(line: Proxy) -> None:
    clients = [await Client.of(line) for _ in range(3)]
    for client in clients:
        await client.say(b"hello")
    assert await line.cut() == 3
    for client in clients:
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(client.reader.read(1), 5)
        client.writer.close()
    fresh = await Client.of(line)
    assert await fresh.say(b"again") == b"again"
    assert (line.connections_cut, line.open) == (3, 1)
    fresh.writer.close()


async def test_a_closed_line_refuses_and_opens_again_on_its_port(line: Proxy) -> None:
    port = line.port
    await line.refuse()
    with pytest.raises(ConnectionRefusedError):
        await Client.of(line)
    await line.accept()
    client = await Client.of(line)
    assert await client.say(b"hello") == b"hello"
    assert line.port == port
    client.writer.close()


@pytest.mark.parametrize("reset", [True, False])
async def test_the_answer_to_one_request_is_lost_and_no_other(line: Proxy, reset: bool) -> None:
    first, second = await Client.of(line), await Client.of(line)
    line.lose_answer_to(b"order", reset=reset)
    assert await second.say(b"quote") == b"quote"
    first.writer.write(b"an order")
    if reset:
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(first.reader.read(1), 5)
    else:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(first.reader.read(1), 0.1)
    assert await second.say(b"an order") == b"an order"
    # The server has heard it: only the answer is gone.
    assert (line.up.passed_bytes, line.answers_lost) == (21, 1)
    first.writer.close()
    second.writer.close()


async def test_bytes_come_in_slices_and_slowly(line: Proxy) -> None:
    client = await Client.of(line)
    line.up.slice_bytes = 3
    assert await client.say(b"0123456789") == b"0123456789"
    assert line.up.slices == 4
    line.down.bytes_per_s = 100
    began = time.monotonic()
    assert await client.say(b"0123456789") == b"0123456789"
    assert time.monotonic() - began >= 0.09
    client.writer.close()


async def test_a_line_ends_after_so_many_bytes(line: Proxy) -> None:
    client = await Client.of(line)
    line.down.close_after_bytes = 5
    assert await client.say(b"01234", expected=5) == b"01234"
    assert await asyncio.wait_for(client.reader.read(1), 5) == b""
    assert line.down.closes == 1
    client.writer.close()


async def test_an_end_can_be_slow(line: Proxy) -> None:
    client = await Client.of(line)
    await client.say(b"hello")
    line.up.slow_close_s = 0.1
    began = time.monotonic()
    client.writer.write_eof()
    assert await asyncio.wait_for(client.reader.read(1), 5) == b""
    assert time.monotonic() - began >= 0.1
    client.writer.close()
