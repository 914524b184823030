"""A TCP proxy that spoils what passes through it: one toxic at a time or several, and it counts.

Each direction has toxics of its own, and all of them can be switched while connections are open:

    async with Proxy.before("127.0.0.1", port) as line:
        line.down.is_blackhole = True       # answers vanish, the connection stays
        line.lose_answer_to(b"POST /api/v3/order", reset=True)
        await line.cut()                    # every connection is reset now
        await line.refuse(), await line.accept()
"""

import asyncio
import contextlib
import random
import socket
import struct
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass, field
from typing import Self

_CHUNK = 65_536
# Closing a socket that lingers for no time sends a reset instead of an orderly end.
_RESET = struct.pack("ii", 1, 0)


@dataclass(slots=True)
class Toxics:
    """What happens to the bytes of one direction, and what has happened to them."""

    latency_s: float = 0.0
    jitter_s: float = 0.0
    bytes_per_s: float = 0.0
    slice_bytes: int = 0
    close_after_bytes: int = 0
    slow_close_s: float = 0.0
    is_blackhole: bool = False

    passed_bytes: int = 0
    swallowed_bytes: int = 0
    chunks_late: int = 0
    slices: int = 0
    closes: int = 0

    def heal(self) -> None:
        """Let everything pass as it is; the counts stay."""
        self.latency_s = self.jitter_s = self.bytes_per_s = self.slow_close_s = 0.0
        self.slice_bytes = self.close_after_bytes = 0
        self.is_blackhole = False


@dataclass(frozen=True, slots=True)
class _Loss:
    pattern: bytes
    is_reset: bool


class Proxy:
    """Listens on a free port of this machine and passes on to one server."""

    def __init__(self, host: str, port: int, seed: int = 0) -> None:
        self._target = (host, port)
        self._random = random.Random(seed)
        self._server: asyncio.Server | None = None
        self._links: set[_Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._losses: list[_Loss] = []
        self.port = 0
        # From the client to the server, and back.
        self.up = Toxics()
        self.down = Toxics()
        self.connections = 0
        self.connections_cut = 0
        self.answers_lost = 0

    @classmethod
    @contextlib.asynccontextmanager
    async def before(cls, host: str, port: int) -> AsyncIterator[Self]:
        """Stand before a server for as long as the block runs."""
        made = cls(host, port)
        await made.accept()
        try:
            yield made
        finally:
            await made.refuse()

    @property
    def address(self) -> str:
        """Where clients connect to: `127.0.0.1:port`."""
        return f"127.0.0.1:{self.port}"

    @property
    def open(self) -> int:
        """How many connections are open now."""
        return len(self._links)

    async def accept(self) -> None:
        """Take connections, on the same port as before."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Refuse new connections and reset the open ones."""
        if self._server is not None:
            self._server.close()
            self._server = None
        await self.cut()
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def cut(self) -> int:
        """Reset every open connection at once; returns how many."""
        links = tuple(self._links)
        for link in links:
            link.end(is_reset=True)
        self.connections_cut += len(links)
        await asyncio.sleep(0)
        return len(links)

    def lose_answer_to(self, pattern: bytes, *, reset: bool) -> None:
        """Let the next request that holds the pattern through, and lose its answer."""
        self._losses.append(_Loss(pattern, reset))

    def heal(self) -> None:
        """Let everything pass in both directions."""
        self.up.heal()
        self.down.heal()
        self._losses.clear()

    # ------------------------------------------------------------ one connection

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.connections += 1
        try:
            server_reader, server_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.close()
            return
        link = _Link(writer, server_writer)
        self._links.add(link)
        try:
            await link.run(self._requests(link, reader), self._answers(link, server_reader))
        finally:
            self._links.discard(link)

    async def _requests(self, link: "_Link", reader: asyncio.StreamReader) -> None:
        while chunk := await reader.read(_CHUNK):
            loss = next((one for one in self._losses if one.pattern in chunk), None)
            if loss is not None:
                self._losses.remove(loss)
                link.loss = loss
            await self._pass(chunk, link.server, self.up)
        await self._end(link.server, self.up)

    async def _answers(self, link: "_Link", reader: asyncio.StreamReader) -> None:
        while chunk := await reader.read(_CHUNK):
            if link.loss is None:
                await self._pass(chunk, link.client, self.down)
                continue
            self.answers_lost += 1
            self.down.swallowed_bytes += len(chunk)
            if link.loss.is_reset:
                link.end(is_reset=True)
                return
        await self._end(link.client, self.down)

    async def _pass(self, chunk: bytes, to: asyncio.StreamWriter, toxics: Toxics) -> None:
        if toxics.latency_s or toxics.jitter_s:
            toxics.chunks_late += 1
            await asyncio.sleep(toxics.latency_s + toxics.jitter_s * self._random.random())
        for part in _parts(chunk, toxics):
            await self._write(part, to, toxics)
            if toxics.bytes_per_s and not toxics.is_blackhole:
                await asyncio.sleep(len(part) / toxics.bytes_per_s)

    async def _write(self, part: bytes, to: asyncio.StreamWriter, toxics: Toxics) -> None:
        if toxics.is_blackhole:
            toxics.swallowed_bytes += len(part)
            return
        to.write(part)
        await to.drain()
        toxics.passed_bytes += len(part)
        if toxics.close_after_bytes and toxics.passed_bytes >= toxics.close_after_bytes:
            toxics.closes += 1
            raise ConnectionResetError("the line has carried all that it carries")

    async def _end(self, to: asyncio.StreamWriter, toxics: Toxics) -> None:
        if toxics.slow_close_s:
            await asyncio.sleep(toxics.slow_close_s)
        toxics.closes += 1
        if to.can_write_eof():
            to.write_eof()


def _parts(chunk: bytes, toxics: Toxics) -> list[bytes]:
    size = toxics.slice_bytes or (1 if toxics.bytes_per_s else len(chunk))
    parts = [chunk[at : at + size] for at in range(0, len(chunk), size)]
    toxics.slices += len(parts) if size < len(chunk) else 0
    return parts


@dataclass(eq=False, slots=True)
class _Link:
    """One client's connection and its continuation to the server."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    loss: _Loss | None = None
    _tasks: list[asyncio.Future[None]] = field(default_factory=list)

    async def run(self, *ways: Coroutine[None, None, None]) -> None:
        """Carry both directions until both have ended or one has failed."""
        self._tasks = [asyncio.ensure_future(way) for way in ways]
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await asyncio.gather(*self._tasks)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.end(is_reset=False)

    def end(self, *, is_reset: bool) -> None:
        """Close both ends, orderly or as a broken line does."""
        for writer in (self.client, self.server):
            raw = writer.get_extra_info("socket")
            if is_reset and raw is not None and raw.fileno() >= 0:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            if is_reset:
                writer.transport.abort()
            else:
                writer.close()
        for task in self._tasks:
            if task is not asyncio.current_task():
                task.cancel()
