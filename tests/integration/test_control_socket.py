"""The local socket is for its user alone, answers one bounded request, and waits for nobody."""

import asyncio
import errno
import logging
import os
import resource
import socket
import stat
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from bot.clock import SystemClock
from bot.control import sockets
from bot.control.messages import REQUEST_BYTES_MAX, Ask, Reply, Request, encode_request
from bot.control.sockets import SOCKET, ControlServer, NobodyListens, ask, patience_s
from bot.supervisor import Supervisor
from tests.fakes.virtual_time import VirtualTime
from trading.domain.errors import Ending, Refused, StorageLost

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


async def test_what_the_end_of_the_process_breaks_off_was_not_done_and_is_to_be_asked_again(
    tmp_path: Path,
) -> None:
    async def end(_: Request) -> Reply:
        raise Ending

    panic = Request(Ask.PANIC, "request-0")
    async with served(tmp_path, end):
        told = await asyncio.to_thread(ask, tmp_path, panic)
    # No inbox keeps what is asked here, so that no start goes on with it.
    assert not told.is_done
    assert "Umbra is stopping" in told.text
    assert "not done" in told.text
    assert "ask again" in told.text
    assert "goes on with it" not in told.text


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


async def test_a_socket_that_cannot_be_made_is_told_once_in_one_line_and_made_once_it_can(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    in_the_way = tmp_path / SOCKET
    in_the_way.mkdir()
    clock, deaths = VirtualTime(), list[str]()
    server = ControlServer(tmp_path, fine, sleep=clock.sleep)
    keeper = Supervisor(clock, lambda *_: None, clock.sleep)
    kept = keeper.keep_apart("way", server.run, lambda _, error: deaths.append(str(error)))
    with caplog.at_level(logging.INFO):
        task = asyncio.create_task(kept)
        await clock.pass_by(3_600)
    [told] = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert told.exc_info is None
    assert deaths == [told.__dict__["error"]]
    assert "no socket can be made at" in deaths[0]
    assert "UMBRA_DATA_DIR" in deaths[0]
    in_the_way.rmdir()
    await clock.pass_by(60)
    assert (await asyncio.to_thread(ask, tmp_path, STATUS)).is_done
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_socket_that_cannot_be_taken_away_keeps_nobody_from_ending(tmp_path: Path) -> None:
    server = Supervisor(VirtualTime(), lambda *_: None)
    kept = server.keep_apart("way", ControlServer(tmp_path, fine).run, lambda *_: None)
    task = asyncio.create_task(kept)
    async with asyncio.timeout(5):
        while not (tmp_path / SOCKET).exists():
            await asyncio.sleep(0.01)
    # As on a disk that takes no writes any more: it can neither be removed nor made again.
    (tmp_path / SOCKET).unlink()
    (tmp_path / SOCKET).mkdir()
    task.cancel()
    async with asyncio.timeout(5):
        await asyncio.wait({task})
    assert task.cancelled()


def test_a_status_is_waited_for_briefly_and_a_panic_until_its_sales_are_done() -> None:
    assert patience_s(Ask.STATUS) <= 5
    assert patience_s(Ask.PANIC) > 25


@contextmanager
def no_descriptor_free() -> Iterator[None]:
    """For as long as the block runs this process may open nothing more."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = os.open(os.devnull, os.O_RDONLY)
    os.close(taken)
    resource.setrlimit(resource.RLIMIT_NOFILE, (taken, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def until_read(asking: socket.socket) -> bytes:
    async with asyncio.timeout(5):
        return await asyncio.get_running_loop().sock_recv(asking, 4096)


async def answer_to(asking: socket.socket, path: Path, line: bytes) -> bytes:
    """What is answered to a request over a socket that was made beforehand."""
    asking.setblocking(False)
    asking.connect(str(path))
    asking.send(line)
    return await until_read(asking)


async def test_a_process_that_may_open_nothing_more_answers_again_and_again(
    tmp_path: Path,
) -> None:
    line = encode_request(Request(Ask.HALT, "request-6", SystemClock().monotonic() + 60))
    async with served(tmp_path, fine) as path:
        askers = [socket.socket(socket.AF_UNIX) for _ in range(3)]
        with no_descriptor_free():
            for asking in askers:
                assert b'"is_done": true' in await answer_to(asking, path, line)
        for asking in askers:
            asking.close()


async def test_what_is_kept_for_whoever_asks_is_had_by_nobody_else_in_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # However soon it is tried again: an accept may find nobody, and nothing free.
    monkeypatch.setattr(sockets, "_ACCEPT_AGAIN_S", 0.0)
    line = encode_request(Request(Ask.PANIC, "request-8", SystemClock().monotonic() + 60))
    async with served(tmp_path, fine) as path:
        askers = [socket.socket(socket.AF_UNIX) for _ in range(3)]
        with no_descriptor_free():
            for asking in askers:
                assert b'"is_done": true' in await answer_to(asking, path, line)
                for _ in range(20):
                    with pytest.raises(OSError, match="Too many open files"):
                        os.open(os.devnull, os.O_RDONLY)
                    await asyncio.sleep(0)
        for asking in askers:
            asking.close()
    assert "local_request_waits" not in [record.message for record in caplog.records]


async def test_one_that_could_not_accept_even_so_goes_on_once_it_can(tmp_path: Path) -> None:
    began, go_on = asyncio.Event(), asyncio.Event()

    async def slow(request: Request) -> Reply:
        began.set()
        await go_on.wait()
        return Reply(True, request.ask.value)

    line = encode_request(Request(Ask.HALT, "request-7", SystemClock().monotonic() + 60))
    async with served(tmp_path, slow) as path:
        askers = [socket.socket(socket.AF_UNIX) for _ in range(2)]
        with no_descriptor_free():
            for asking in askers:
                asking.setblocking(False)
                asking.connect(str(path))
                asking.send(line)
            await asyncio.wait_for(began.wait(), 5)
            go_on.set()
            assert b'"is_done": true' in await until_read(askers[0])
        assert b'"is_done": true' in await until_read(askers[1])
        for asking in askers:
            asking.close()


async def raw_open(path: Path, data: bytes) -> bytes:
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(data)
    said = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    return said


async def test_acts_that_never_end_are_bounded_and_the_next_asker_reads_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "_ACT_S", 0.0)
    hanging = asyncio.Event()
    begun: list[Request] = []

    async def hang(request: Request) -> Reply:
        begun.append(request)
        await hanging.wait()
        return Reply(True, request.ask.value)

    line = encode_request(Request(Ask.HALT, "request-9", SystemClock().monotonic() + 60))
    async with served(tmp_path, hang) as path:
        said = [await raw_open(path, line) for _ in range(17)]
        assert b"not finished within" in said[0]
        assert b"too many requests" in said[-1]
        assert len(begun) == 16
        hanging.set()


async def test_who_connects_and_says_nothing_uses_up_nothing(tmp_path: Path) -> None:
    async with served(tmp_path, fine) as path:
        silent = [await asyncio.open_unix_connection(str(path)) for _ in range(40)]
        async with asyncio.timeout(4):
            ended = [await reader.read() for reader, _ in silent[32:]]
        assert ended == [b""] * 8
        for _, writer in silent:
            writer.close()
        async with asyncio.timeout(5):
            while True:
                try:
                    assert (await asyncio.to_thread(ask, tmp_path, STATUS)).is_done
                    break
                except Refused:
                    await asyncio.sleep(0.01)


def trickling(path: Path, is_over: threading.Event) -> threading.Thread:
    """Answer one connection with a byte now and then, and never with a whole line."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def trickle() -> None:
        connected, _ = listener.accept()
        with listener, connected:
            while not is_over.wait(0.05):
                connected.send(b"x")

    thread = threading.Thread(target=trickle)
    thread.start()
    return thread


def test_an_answer_that_trickles_in_is_waited_for_no_longer_than_a_whole_one(
    tmp_path: Path,
) -> None:
    is_over = threading.Event()
    thread = trickling(tmp_path / SOCKET, is_over)
    try:
        with pytest.raises(Refused, match=r"does not answer \(TimeoutError\)"):
            ask(tmp_path, STATUS, 0.3)
    finally:
        is_over.set()
        thread.join()


def test_an_answer_that_breaks_off_says_nothing(tmp_path: Path) -> None:
    is_over = threading.Event()
    is_over.set()
    thread = trickling(tmp_path / SOCKET, is_over)
    with pytest.raises(Refused, match=r"does not answer \((ConnectionReset|BrokenPipe)Error\)"):
        ask(tmp_path, STATUS)
    thread.join()


@pytest.mark.parametrize(
    "number", [errno.EACCES, errno.EMFILE, errno.ENOTDIR, errno.EIO, errno.ENAMETOOLONG]
)
def test_a_directory_that_cannot_be_looked_into_is_not_one_where_nobody_listens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(sockets.os, "open", fail)
    with pytest.raises(Refused, match=os.strerror(number)) as refused:
        ask(tmp_path, Request(Ask.PANIC, "request-a"))
    assert not isinstance(refused.value, NobodyListens)
    assert "nothing was done" in str(refused.value)
    assert not sockets.is_served(tmp_path)


def test_an_asker_without_a_free_descriptor_says_so(tmp_path: Path) -> None:
    with no_descriptor_free(), pytest.raises(Refused, match="Too many open files") as refused:
        ask(tmp_path, STATUS)
    assert not isinstance(refused.value, NobodyListens)


def test_a_socket_of_another_user_names_who_may_ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Closed(socket.socket):
        def connect(self, _address: object) -> None:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(sockets.socket, "socket", Closed)
    with pytest.raises(Refused, match="as the user whose agent it is, or as root") as refused:
        ask(tmp_path, STATUS)
    assert "not be watched" not in str(refused.value)
