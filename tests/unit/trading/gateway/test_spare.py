"""What a request needs is there when the process may open nothing more."""

import asyncio
import errno
import os
import resource
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import aiohttp
import pytest

from trading.gateway.spare import SpareDescriptors, SparingResolver


@contextmanager
def no_descriptor_free() -> Iterator[None]:
    """For as long as the block runs this process may open nothing more."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    # A limit counts numbers and not descriptors: no number below it may be free.
    most = max(int(each.name) for each in Path("/proc/self/fd").iterdir()) + 1
    filling = [os.open(os.devnull, os.O_RDONLY)]
    while filling[-1] < most:
        filling.append(os.open(os.devnull, os.O_RDONLY))
    resource.setrlimit(resource.RLIMIT_NOFILE, (filling[-1] + 1, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        for each in filling:
            os.close(each)


@pytest.fixture
def spare() -> Iterator[SpareDescriptors]:
    made = SpareDescriptors()
    yield made
    made.close()


def address() -> tuple[object, ...]:
    return (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 1))


def test_sockets_are_made_until_the_last_spare_is_gone_and_had_back_after_that(
    spare: SpareDescriptors,
) -> None:
    for _ in range(2):
        made = []
        with no_descriptor_free():
            made += [spare.connecting(address()) for _ in range(4)]
            with pytest.raises(OSError, match="Too many open files"):
                spare.connecting(address())
        made.append(spare.connecting(address()))
        for each in made:
            each.close()


def test_what_fails_for_another_reason_takes_no_spare(
    spare: SpareDescriptors, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))

    with monkeypatch.context() as patch:
        patch.setattr(socket, "socket", refuse)
        with pytest.raises(OSError, match="not supported"):
            spare.connecting(address())
    assert len(spare._held) == 4


async def test_a_name_is_found_with_spares_and_an_unknown_one_takes_none(
    spare: SpareDescriptors, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolver = SparingResolver(spare)
    # The thread that asks is there before everything is used up.
    await resolver.resolve("localhost", 80)
    with no_descriptor_free():
        [found, *_] = await resolver.resolve("localhost", 80)
    assert found["host"] == "127.0.0.1"
    assert len(spare._held) == 4

    async def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", unknown)
    with pytest.raises(socket.gaierror):
        await resolver.resolve("nowhere", 80)
    assert len(spare._held) == 4


@asynccontextmanager
async def answering() -> AsyncIterator[int]:
    """A server of one connection that is there already when nothing more can be accepted."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nsold")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_a_request_makes_its_connection_by_spares(spare: SpareDescriptors) -> None:
    connector = aiohttp.TCPConnector(
        socket_factory=spare.connecting, resolver=SparingResolver(spare)
    )
    async with answering() as port, aiohttp.ClientSession(connector=connector) as session:
        with no_descriptor_free():
            asking = asyncio.ensure_future(session.get(f"http://127.0.0.1:{port}/"))
            async with asyncio.timeout(5):
                while len(spare._held) == 4:
                    await asyncio.sleep(0)
        # The server of this very process accepts with what is free by now.
        async with asyncio.timeout(5), await asking as reply:
            assert await reply.text() == "sold"
