"""The running parts of the simulated exchange put together: venue, streams, limits, faults."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

import orjson
from aiohttp import web

from trading.sim.binance.faults import Fault, Faults
from trading.sim.binance.limits import Limits, LimitSettings
from trading.sim.binance.outlet import Outlet, Scope
from trading.sim.binance.rest import Rest
from trading.sim.binance.stream import MarketStreams
from trading.sim.binance.user_stream import UserStream
from trading.sim.binance.venue import Venue
from trading.sim.binance.ws_api import WsApi
from trading.sim.world import Market

_BEAT_S = 0.05
_BEATS_PER_TICK = 2
_TIMINGS_KEPT = 10_000
_CLOSE_S = 1.0


class Service:
    """Owns everything between the sockets and the world; `beat` keeps it moving."""

    def __init__(self, venue: Venue, limits: LimitSettings) -> None:
        self.venue = venue
        self.faults = Faults()
        self.limits = Limits(limits)
        self.user_stream = UserStream(venue)
        self.market_streams = MarketStreams(venue)
        self.rest = Rest(venue, self.user_stream, self.faults, self.limits)
        self.ws_api = WsApi(self.rest, self.user_stream)
        self.outlets: dict[web.WebSocketResponse, Outlet] = {}
        self.timings: deque[dict[str, Any]] = deque(maxlen=_TIMINGS_KEPT)
        self._transports: dict[web.WebSocketResponse, Callable[[], None]] = {}

    async def beat(self) -> None:
        """Let time pass until cancelled: the world each 50 ms, streams each 100 ms."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        count = 0
        while True:
            count += 1
            now_ms = self.venue.now_ms()
            self.venue.world.advance(now_ms, (loop.time() - began_s) * 1_000)
            self.user_stream.flush(now_ms)
            if count % _BEATS_PER_TICK == 0:
                self.market_streams.tick(now_ms, count // _BEATS_PER_TICK)
            # A late beat is not made up for: the world plays what it missed in one go.
            await asyncio.sleep(max(0.0, _BEAT_S - (loop.time() - began_s) % _BEAT_S))

    def settle(self, now_ms: int) -> None:
        """Tell everybody what a call changed."""
        self.venue.world.announce(now_ms)
        self.user_stream.flush(now_ms)

    def push(self, market: Market, now_ms: int) -> None:
        """Send everything that shows a market now."""
        self.settle(now_ms)
        self.market_streams.push(market, now_ms)

    async def drained(self) -> None:
        """Wait until all connections got what was sent; slow ones are not waited for."""
        await self.market_streams.drained()
        await self.user_stream.drained()

    def note(self, what: str, detail: str, began_s: float) -> None:
        """Keep when something began and ended on this machine's monotonic clock."""
        ended_s = asyncio.get_running_loop().time()
        self.timings.append(
            {"what": what, "detail": detail, "began_s": began_s, "ended_s": ended_s}
        )

    def connected(
        self, socket: web.WebSocketResponse, scope: Scope, abort: Callable[[], None]
    ) -> Outlet:
        """Add a WebSocket connection."""
        outlet = self.outlets[socket] = Outlet(socket, scope, self.venue.now_ms())
        self._transports[socket] = abort
        return outlet

    def disconnected(self, socket: web.WebSocketResponse) -> None:
        """Forget a WebSocket connection."""
        outlet = self.outlets.pop(socket, None)
        self._transports.pop(socket, None)
        if outlet is not None:
            self.user_stream.leave(outlet)

    def announce_end(self, scope: Scope, now_ms: int) -> int:
        """Tell connections that they end in some minutes; return how many there are."""
        frame = orjson.dumps({"e": "serverShutdown", "E": now_ms})
        chosen = [outlet for outlet in self.outlets.values() if scope.covers(outlet.scope)]
        for outlet in chosen:
            outlet.send(frame)
        return len(chosen)

    async def disconnect(self, scope: Scope, code: int, is_abort: bool) -> int:
        """Close the connections of a scope (or cut them) and return how many there were."""
        chosen = [(s, outlet) for s, outlet in self.outlets.items() if scope.covers(outlet.scope)]
        for socket, outlet in chosen:
            if is_abort:
                self._transports[socket]()
            else:
                outlet.close(code)
        deadline_s = asyncio.get_running_loop().time() + _CLOSE_S
        while any(socket in self.outlets for socket, _ in chosen):
            if asyncio.get_running_loop().time() > deadline_s:
                break
            await asyncio.sleep(_CLOSE_S / 100)
        return len(chosen)

    def stall(self, scope: Scope, fault: Fault) -> None:
        """Send no data for a while; connections stay up and pings are answered."""
        until_s = asyncio.get_running_loop().time() + fault.seconds
        if scope.covers(Scope.MARKET):
            self.market_streams.muted_until_s = until_s
            self.market_streams.is_frozen = bool(fault.args.get("frozen_event_time", False))
        if scope.covers(Scope.USER):
            self.user_stream.muted_until_s = until_s

    def shown_streams(self) -> Any:
        """Return what is connected and what stalls held back."""
        return {
            "connections": [
                {
                    "scope": outlet.scope.value,
                    "connected_ms": outlet.connected_ms,
                    "waiting": outlet.waiting,
                }
                for outlet in self.outlets.values()
            ],
            "streams": sorted(name for s in self.market_streams.subscribers for name in s.streams),
            "muted_market_frames": self.market_streams.muted_frames,
            "muted_user_frames": self.user_stream.muted_frames,
        }
