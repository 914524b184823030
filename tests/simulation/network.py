"""The wires of the simulated exchange, in process, from ccxt's session to the exchange's service.

A request is answered by `trading.sim.binance.rest`, a socket is written by its outlets; between
them lie seeded delays and what a network does wrong. What has left goes on without its sender.
"""

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from socket import gaierror
from typing import Any, NamedTuple

import aiohttp
import orjson
from aiohttp import WSMsgType
from aiohttp.client_reqrep import ConnectionKey
from yarl import URL

from tests.simulation.loop import SimLoop, Trace
from trading.gateway.client import until_durable
from trading.sim.binance.outlet import Outlet, Scope
from trading.sim.binance.rest import Reply, Request
from trading.sim.binance.service import Service
from trading.sim.binance.sockets import Sockets
from trading.sim.binance.stream import Subscriber

_PLACE = ConnectionKey("exchange", 443, True, True, None, None, None)


@dataclass(slots=True)
class Weather:
    """What the network to the exchange does wrong now; shares are chances per message."""

    latency_s: tuple[float, float] = (0.004, 0.06)
    is_refusing: bool = False
    # What the system says when nothing can be connected to.
    refusal: OSError = field(default_factory=lambda: ConnectionRefusedError(111, "refused"))
    is_black_hole: bool = False
    lost_answers: float = 0.0
    slow: float = 0.0
    slow_s: float = 4.0
    user_duplicates: float = 0.0
    user_reordered: float = 0.0
    user_dropped: float = 0.0
    fired: dict[str, int] = field(default_factory=dict)

    def count(self, name: str) -> None:
        """Note that a fault acted."""
        self.fired[name] = self.fired.get(name, 0) + 1


class Network:
    """Carries requests and frames; every delay is drawn from one generator."""

    def __init__(self, loop: SimLoop, service: Service, chance: Random, trace: Trace) -> None:
        self.loop, self.service, self.trace = loop, service, trace
        self.weather = Weather()
        # Beginnings of paths that no socket can be opened to.
        self.refuses: frozenset[str] = frozenset()
        self.on_request: Callable[[Request], None] = lambda _request: None
        # How many have begun to travel, and how many answers of each status left the exchange.
        self.messages = 0
        self.answered: Counter[int] = Counter()
        self._chance = chance
        self._commands = _Commands(service)
        self._sockets: list[ClientSocket] = []
        self._numbers = itertools.count(1)

    def session(self) -> "Session":
        """What ccxt takes for an aiohttp session."""
        return Session(self)

    def delay_s(self) -> float:
        """How long the next message travels."""
        self.messages += 1
        delay_s = self._chance.uniform(*self.weather.latency_s)
        if self.weather.slow and self._chance.random() < self.weather.slow:
            self.weather.count("slow")
            delay_s += self._chance.uniform(0, self.weather.slow_s)
        return delay_s

    def happens(self, share: float, name: str) -> bool:
        """Whether a fault of this chance acts now."""
        if share <= 0 or self._chance.random() >= share:
            return False
        self.weather.count(name)
        return True

    # ------------------------------------------------------------ requests

    async def ask(self, request: Request) -> Reply:
        """Send a request and wait for its answer."""
        if self.loop.is_power_cut:
            await self.loop.create_future()
        if self.weather.is_refusing:
            self.weather.count("refused")
            await asyncio.sleep(0.001)
            raise self._no_connection()
        answer: asyncio.Future[Reply] = self.loop.create_future()
        self.loop.spawn(self._carry(request, answer))
        return await answer

    def _no_connection(self) -> aiohttp.ClientConnectorError:
        error = self.weather.refusal
        if isinstance(error, gaierror):
            return aiohttp.ClientConnectorDNSError(_PLACE, error)
        return aiohttp.ClientConnectorError(_PLACE, error)

    async def _carry(self, request: Request, answer: asyncio.Future[Reply]) -> None:
        self.on_request(request)
        if self.weather.is_black_hole:
            self.weather.count("black_hole")
            return
        await asyncio.sleep(self.delay_s())
        shown = f"{request.method} {request.path} {request.query or request.body}"
        self.trace.note(self.loop.time(), f"ask {_unsigned(shown)}")
        reply = await self.service.rest.answer(request)
        self.answered[reply.status] += 1
        if request.path.endswith("/order"):
            self.trace.note(self.loop.time(), f"reply {reply.status} {reply.body!r}")
        await asyncio.sleep(self.delay_s())
        if answer.done():
            return
        if reply.body is None or self.happens(self.weather.lost_answers, "lost_answers"):
            answer.set_exception(aiohttp.ServerDisconnectedError())
        elif self.weather.is_black_hole:
            self.weather.count("black_hole")
        else:
            answer.set_result(reply)

    # ------------------------------------------------------------ sockets

    async def connect(self, url: URL) -> "ClientSocket":
        """Open a socket: the market's or the user's."""
        if self.loop.is_power_cut:
            await self.loop.create_future()
        await asyncio.sleep(self.delay_s())
        is_refused = any(url.path.startswith(path) for path in self.refuses)
        if self.weather.is_refusing or self.weather.is_black_hole or is_refused:
            self.weather.count("refused")
            raise self._no_connection()
        scope = Scope.USER if url.path.startswith("/ws-api") else Scope.MARKET
        client = ClientSocket(self, scope)
        self._sockets.append(client)
        client.handler = self.loop.spawn(self._serve(client))
        return client

    def drop_all(self) -> None:
        """The agent's machine is gone, and its sockets with it."""
        sockets, self._sockets = self._sockets, []
        for socket in sockets:
            socket.hang_up()

    async def _serve(self, socket: "ClientSocket") -> None:
        outlet = self.service.connected(socket.server, socket.scope, socket.abort)  # type: ignore[arg-type]
        writer = self.loop.spawn(outlet.run())
        subscriber = _Subscriber(outlet, next(self._numbers))
        streams = self.service.market_streams
        if socket.scope is Scope.MARKET:
            streams.subscribers.add(subscriber)
        closing = self.loop.spawn(outlet.close_asked())
        try:
            while not socket.server.closed:
                reading = self.loop.spawn(socket.inbox.get())
                await asyncio.wait({reading, closing}, return_when=asyncio.FIRST_COMPLETED)
                if not reading.done():
                    reading.cancel()
                    socket.closed_by_server(outlet.close_code or 1000)
                    return
                text = reading.result()
                if text is None:
                    return
                self._obey(socket, subscriber, text)
        finally:
            socket.server.closed = True
            closing.cancel()
            writer.cancel()
            if socket.scope is Scope.MARKET:
                streams.leave(subscriber)
            self.service.disconnected(socket.server)  # type: ignore[arg-type]

    def _obey(self, socket: "ClientSocket", subscriber: Subscriber, text: str) -> None:
        self.trace.note(self.loop.time(), f"frame {_unsigned(text)}")
        if socket.scope is Scope.USER:
            self.service.ws_api.answer(text, subscriber.outlet)
        else:
            subscriber.outlet.send(self._commands.answer(subscriber, text))


class _Subscriber(Subscriber):
    """One whose place in a set depends on its number and not on its address."""

    def __init__(self, outlet: Outlet, number: int) -> None:
        super().__init__(outlet, is_combined=False)
        self._number = number

    def __hash__(self) -> int:
        return self._number


class _Commands(Sockets):
    """The exchange's own reading of subscriptions, without its sockets."""

    def answer(self, subscriber: Subscriber, text: str) -> bytes:
        return orjson.dumps(self._command(subscriber, text))


def _unsigned(text: str) -> str:
    return text.partition("&signature=")[0].partition('"signature"')[0]


# ---------------------------------------------------------------- the client's end


class Message(NamedTuple):
    """What aiohttp hands out for a frame."""

    type: WSMsgType
    data: Any = None
    extra: Any = None


class ServerSocket:
    """The exchange's end of a socket, as an outlet writes into it."""

    def __init__(self, client: "ClientSocket") -> None:
        self.closed = False
        self._client = client

    async def send_frame(self, frame: bytes, _kind: WSMsgType) -> None:
        """Put a frame onto the wire."""
        if self.closed:
            raise ConnectionResetError("the reader is gone")
        self._client.carry(frame)


class ClientSocket:
    """The agent's end of a socket, as ccxt reads it; frames arrive in order, after a delay."""

    # ccxt drains aiohttp's own buffer when there is one.
    _conn = None

    def __init__(self, network: Network, scope: Scope) -> None:
        self.scope = scope
        self.closed = False
        self.inbox: asyncio.Queue[str | None] = asyncio.Queue()
        self.server = ServerSocket(self)
        self.handler: asyncio.Task[None] | None = None
        self._network = network
        self._loop = network.loop
        self._frames: asyncio.Queue[Message] = asyncio.Queue()
        self._due_s = {"in": 0.0, "out": 0.0}

    # what the exchange sends

    def carry(self, frame: bytes) -> None:
        """Let a frame arrive in its turn, or as faults want it."""
        network = self._network
        message = Message(WSMsgType.TEXT, frame.decode())
        if self.scope is Scope.USER and b'"executionReport"' in frame:
            weather = network.weather
            if network.happens(weather.user_dropped, "user_dropped"):
                return
            if network.happens(weather.user_duplicates, "user_duplicates"):
                self._arrive(message)
            if network.happens(weather.user_reordered, "user_reordered"):
                self._loop.call_later(network.delay_s() + 0.3, self._push, message)
                return
        self._arrive(message)

    def _arrive(self, message: Message) -> None:
        self._loop.call_at(self._turn("in"), self._push, message)

    def _turn(self, way: str) -> float:
        due_s = max(self._loop.time() + self._network.delay_s(), self._due_s[way] + 1e-6)
        self._due_s[way] = due_s
        return due_s

    def _push(self, message: Message) -> None:
        if self.closed:
            return
        if self.scope is Scope.USER and message.type is WSMsgType.TEXT:
            self._network.trace.note(self._loop.time(), f"event {message.data}", 300)
        self._frames.put_nowait(message)

    def closed_by_server(self, code: int) -> None:
        """Say goodbye."""
        self._arrive(Message(WSMsgType.CLOSE, code))

    def abort(self) -> None:
        """Cut the connection from the exchange's side."""
        self.hang_up()
        self._frames.put_nowait(Message(WSMsgType.CLOSED))

    def hang_up(self) -> None:
        """End both ends without a word."""
        self.closed = True
        self.server.closed = True
        self.inbox.put_nowait(None)

    # what ccxt calls

    async def receive(self) -> Message:
        """The next frame."""
        return await self._frames.get()

    async def send_str(self, text: str) -> None:
        """Send a frame."""
        if self._loop.is_power_cut:
            return
        if self.closed:
            raise ConnectionResetError("Cannot write to closing transport")
        self._loop.call_at(self._turn("out"), self.inbox.put_nowait, text)

    async def ping(self) -> None:
        """Ping; the exchange's socket answers as long as the network carries anything."""
        if not self._network.weather.is_black_hole:
            self._arrive(Message(WSMsgType.PONG, b""))

    async def pong(self, _data: bytes = b"") -> None:
        """Answer a ping."""

    async def close(self) -> None:
        """Close it from the agent's side."""
        self.hang_up()
        self._frames.put_nowait(Message(WSMsgType.CLOSED))


@dataclass(frozen=True, slots=True)
class Answered:
    """What ccxt reads of an HTTP answer."""

    reply: Reply

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.reply.status

    @property
    def reason(self) -> str:
        """The status in words."""
        return "OK" if self.reply.status < 400 else "Error"

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers, with the content's type."""
        return {**self.reply.headers, "Content-Type": self.reply.content_type}

    async def text(self, errors: str = "strict") -> str:
        """The body."""
        return (self.reply.body or b"").decode(errors=errors)


class Session:
    """Stands in for aiohttp's session."""

    closed = False

    def __init__(self, network: Network) -> None:
        self._network = network
        self.headers: dict[str, str] = {}
        for method in ("get", "post", "put", "delete"):
            setattr(self, method, self._method(method.upper()))

    def _method(self, method: str) -> Callable[..., "_Asking"]:
        def ask(url: URL, data: bytes | None = None, headers: Any = None, **_: Any) -> _Asking:
            key = {str(name).lower(): value for name, value in (headers or {}).items()}
            request = Request(
                method,
                url.path,
                url.raw_query_string,
                (data or b"").decode(),
                key.get("x-mbx-apikey"),
            )
            return _Asking(self._network, request)

        return ask

    def ws_connect(self, url: str, **_: Any) -> "_Connecting":
        """Open a socket."""
        return _Connecting(self._network, URL(url))

    async def close(self) -> None:
        """Nothing is open here."""


@dataclass(frozen=True, slots=True)
class _Asking:
    network: Network
    request: Request

    async def __aenter__(self) -> Answered:
        await until_durable()
        return Answered(await self.network.ask(self.request))

    async def __aexit__(self, *_: object) -> None:
        return None


@dataclass(frozen=True, slots=True)
class _Connecting:
    network: Network
    url: URL

    async def __aenter__(self) -> ClientSocket:
        return await self.network.connect(self.url)
