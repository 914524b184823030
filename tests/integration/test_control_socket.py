"""The local socket is for its user alone, answers one bounded request, and waits for nobody."""

import asyncio
import socket
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bot.control.messages import REQUEST_BYTES_MAX, Ask, Reply, Request
from bot.control.sockets import SOCKET, ControlServer, NobodyListens, ask, patience_s
from trading.domain.errors import Refused, StorageLost

STATUS = Request(Ask.STATUS, "request-1")


@asynccontextmanager
async def served(
    folder: Path, answer: Callable[[Request], Awaitable[Reply]]
) -> AsyncIterator[Path]:
    task = asyncio.create_task(ControlServer(folder, answer).run())
    async with asyncio.timeout(5):
        while not (folder / SOCKET).exists():
            await asyncio.sleep(0.01)
    try:
        yield folder / SOCKET
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def fine(request: Request) -> Reply:
    return Reply(True, request.ask.value)


async def raw(path: Path, data: bytes) -> bytes:
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(data)
    writer.write_eof()
    said = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    return said


async def test_a_request_is_answered_and_the_socket_is_private(tmp_path: Path) -> None:
    async with served(tmp_path, fine) as path:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert await asyncio.to_thread(ask, tmp_path, STATUS) == Reply(True, "status")
    assert not path.exists()


async def test_a_path_longer_than_a_socket_name_serves_too(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    async with served(folder, fine):
        assert (await asyncio.to_thread(ask, folder, STATUS)).is_done


@pytest.mark.parametrize(
    "nonsense", [b"", b"\n", b"{}\n", b"x" * (2 * REQUEST_BYTES_MAX), b'{"version":1}\n', b"\xff\n"]
)
async def test_nonsense_is_refused_and_the_next_request_is_answered(
    tmp_path: Path, nonsense: bytes
) -> None:
    async with served(tmp_path, fine) as path:
        assert b'"is_done": false' in await raw(path, nonsense)
        assert (await asyncio.to_thread(ask, tmp_path, STATUS)).is_done


async def test_what_cannot_be_done_is_said(tmp_path: Path) -> None:
    async def refuse(_: Request) -> Reply:
        raise StorageLost("the disk is full")

    async with served(tmp_path, refuse):
        assert await asyncio.to_thread(ask, tmp_path, STATUS) == Reply(False, "the disk is full")


async def test_a_request_whose_asker_has_gone_is_still_carried_out(tmp_path: Path) -> None:
    began, go_on, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow(_: Request) -> Reply:
        began.set()
        await go_on.wait()
        done.set()
        return Reply(True, "sold")

    async with served(tmp_path, slow):
        with pytest.raises(Refused, match=r"does not answer.*its stops may not be watched"):
            await asyncio.to_thread(ask, tmp_path, STATUS, 0.2)
        await asyncio.wait_for(began.wait(), 5)
        go_on.set()
        await asyncio.wait_for(done.wait(), 5)


def test_without_an_agent_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(NobodyListens):
        ask(tmp_path, STATUS)
    with pytest.raises(NobodyListens):
        ask(tmp_path / "missing", STATUS)
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(tmp_path / SOCKET))
    with pytest.raises(NobodyListens):
        ask(tmp_path, STATUS)


async def test_a_socket_left_behind_is_replaced(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(tmp_path / SOCKET))
    task = asyncio.create_task(ControlServer(tmp_path, fine).run())
    async with asyncio.timeout(5):
        while True:
            try:
                assert (await asyncio.to_thread(ask, tmp_path, STATUS)).is_done
                break
            except NobodyListens:
                await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_a_status_is_waited_for_briefly_and_a_panic_until_its_sales_are_done() -> None:
    assert patience_s(Ask.STATUS) <= 5
    assert patience_s(Ask.PANIC) > 25
