"""One WebSocket connection's way out: a bounded queue, a writer, and what faults hold back.

Frames that only show a newest state (bookTicker, tickers, klines, partial depth) replace an older
one of the same stream that was not sent yet. Everything else is queued in order; a reader who
lets the queue grow past its bound is disconnected with code 1008, as Binance does with slow ones,
so that nobody mistakes a stream with holes for a whole one.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterable
from enum import Enum

from aiohttp import WSCloseCode, WSMsgType, web

_QUEUE_MAX = 20_000
_DRAIN_S = 1.0


class Scope(Enum):
    """Which connections a fault means."""

    MARKET = "market"
    USER = "user"
    ALL = "all"

    def covers(self, other: "Scope") -> bool:
        """Whether a fault of this scope touches a connection of the other one."""
        return self is Scope.ALL or self is other


class _Cell:
    __slots__ = ("frame", "stream")

    def __init__(self, frame: bytes, stream: str | None) -> None:
        self.frame = frame
        self.stream = stream


class Outlet:
    """Sends frames to one socket in order; `run` is its writer and ends with the connection.

    `connected_ms` is the exchange's time at which the connection came.
    """

    def __init__(self, socket: web.WebSocketResponse, scope: Scope, connected_ms: int) -> None:
        self.socket = socket
        self.scope = scope
        self.connected_ms = connected_ms
        self.queue_max = _QUEUE_MAX
        self.has_overflowed = False
        self.close_code: int | None = None
        self._close_asked = asyncio.Event()
        self._queue: deque[_Cell] = deque()
        self._newest: dict[str, _Cell] = {}
        self._work = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def waiting(self) -> int:
        """How many frames were not sent yet."""
        return len(self._queue)

    def send(self, frame: bytes, newest_of: str | None = None) -> None:
        """Queue a frame; with `newest_of` it replaces an unsent one of that stream."""
        if newest_of is not None:
            cell = self._newest.get(newest_of)
            if cell is not None:
                cell.frame = frame
                return
        if len(self._queue) >= self.queue_max:
            self.has_overflowed = True
            self._work.set()
            return
        cell = _Cell(frame, newest_of)
        self._queue.append(cell)
        if newest_of is not None:
            self._newest[newest_of] = cell
        self._idle.clear()
        self._work.set()

    def close(self, code: int) -> None:
        """Ask the connection's handler to close it with this code."""
        self.close_code = code
        self._close_asked.set()

    async def close_asked(self) -> None:
        """Wait until the connection should be closed."""
        await self._close_asked.wait()

    async def drained(self) -> None:
        """Wait until nothing is queued."""
        await self._idle.wait()

    async def run(self) -> None:
        """Write what is queued until the connection is closed or the reader is too slow."""
        try:
            while not self.socket.closed:
                await self._work.wait()
                self._work.clear()
                await self._write_all()
                if self.has_overflowed:
                    self.close(WSCloseCode.POLICY_VIOLATION)
                    return
        except ConnectionError:
            # The reader went away; its handler notices by itself.
            return
        finally:
            self._queue.clear()
            self._idle.set()

    async def _write_all(self) -> None:
        while self._queue and not self.has_overflowed:
            cell = self._queue[0]
            frame = cell.frame
            if cell.stream is not None:
                # A frame on its way can no longer be replaced.
                del self._newest[cell.stream]
            await self.socket.send_frame(frame, WSMsgType.TEXT)
            self._queue.popleft()
        if not self._queue:
            self._idle.set()


async def drain(outlets: Iterable[Outlet]) -> None:
    """Wait until these have sent what is queued; a slow reader is waited for one second."""
    waits = [outlet.drained() for outlet in outlets if outlet.waiting]
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN_S):
            await asyncio.gather(*waits)
