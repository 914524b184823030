"""The local socket is for its user alone, answers one bounded request, and waits for nobody."""

import asyncio
import os
import socket
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bot.clock import SystemClock
from bot.control.messages import REQUEST_BYTES_MAX, Ask, Reply, Request, encode_request
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


async def test_a_request_is_not_begun_once_its_asker_has_gone_away(tmp_path: Path) -> None:
    asked: list[Request] = []

    async def note(request: Request) -> Reply:
        asked.append(request)
        return Reply(True, "done")

    async with served(tmp_path, note):
        # The loop stands still while it asks, as an agent that was stopped does.
        with pytest.raises(Refused, match="not begun later"):
            ask(tmp_path, Request(Ask.HALT, "request-2"), 0.05)
        assert (await asyncio.to_thread(ask, tmp_path, STATUS)).is_done
    assert [request.ask for request in asked] == [Ask.STATUS]


async def test_a_request_whose_asker_was_killed_is_not_begun_though_there_is_time(
    tmp_path: Path,
) -> None:
    asked: list[Request] = []

    async def note(request: Request) -> Reply:
        asked.append(request)
        return Reply(True, "done")

    early = Request(Ask.PANIC, "request-5", SystemClock().monotonic() + 60)
    async with served(tmp_path, note) as path:
        # Asked and gone before the loop has its turn, as a process is that was killed.
        with socket.socket(socket.AF_UNIX) as asker:
            asker.connect(str(path))
            asker.sendall(encode_request(early))
        assert (await asyncio.to_thread(ask, tmp_path, STATUS)).is_done
    assert [request.ask for request in asked] == [Ask.STATUS]


async def test_a_request_whose_time_has_passed_is_not_begun_though_its_asker_waits(
    tmp_path: Path,
) -> None:
    asked: list[Request] = []

    async def note(request: Request) -> Reply:
        asked.append(request)
        return Reply(True, "done")

    late = Request(Ask.PANIC, "request-3", SystemClock().monotonic() - 0.001)
    async with served(tmp_path, note) as path:
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(encode_request(late))
        said = await asyncio.wait_for(reader.read(), 5)
        writer.close()
    assert b"came too late and was not begun" in said
    assert asked == []


async def test_a_panic_that_is_not_answered_names_the_process_to_end(tmp_path: Path) -> None:
    async with served(tmp_path, fine):
        with pytest.raises(Refused, match=f"kill -9 {os.getpid()}.*umbra panic again"):
            ask(tmp_path, Request(Ask.PANIC, "request-4"), 0.05)


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
