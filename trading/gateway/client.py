"""The client library, loaded late and hooked, so that raw answers and raw messages reach us."""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import aiohttp

from trading.domain.errors import SettingsInvalid, Unreachable
from trading.gateway.errors import LAST_ANSWER, Outdated, answer, carrying_answer
from trading.gateway.library import STREAMING, library
from trading.gateway.settings import GatewaySettings
from trading.gateway.spare import SpareDescriptors, SparingResolver
from trading.right_of_way import RightOfWay

logger = logging.getLogger(__name__)

OnMessage = Callable[[Any, Any], bool]
# Messages of one connection, a third of a millisecond of work, before everything else on the loop
# has its turn; a trigger that is alone has it at once.
_MESSAGES_AT_ONCE = 16


# What the requests of a task wait for before their first byte.
HELD_BACK: ContextVar[Awaitable[None] | None] = ContextVar("HELD_BACK", default=None)
# How many seconds old its requests may be at their first byte, where their signature ages.
FRESH_S: ContextVar[float | None] = ContextVar("FRESH_S", default=None)


async def until_durable() -> None:
    """Wait until what this task is about to send may leave."""
    if (durable := HELD_BACK.get()) is not None:
        await durable


async def _hold_back(
    request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    # The request is complete here, and has no connection yet.
    await until_durable()
    return await send(request)


class AgingRequest(aiohttp.ClientRequest):
    """A request whose signature grows old while it waits: for the disk, or for a connection."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._made_s = asyncio.get_running_loop().time()

    async def send(self, conn: Any) -> aiohttp.ClientResponse:
        """Send it over a connection; raises Outdated, and sends nothing, when it is too old."""
        waited_s, fresh_s = asyncio.get_running_loop().time() - self._made_s, FRESH_S.get()
        if fresh_s is not None and waited_s > fresh_s:
            # Nothing was said over it: whoever signs anew finds a connection that stands.
            conn.release()
            raise Outdated(f"it waited {waited_s:.1f} s before its first byte")
        return await super().send(conn)


def load_exchange(settings: GatewaySettings, options: Mapping[str, Any]) -> Any:
    """Import the library (half a second of work: call it in a thread) and build one exchange."""
    pro = library(STREAMING)
    if settings.exchange_id not in pro.exchanges:
        raise SettingsInvalid(
            f"UMBRA_EXCHANGE_ID should be an exchange that streams, was "
            f"{settings.exchange_id!r}; for example: binance"
        )
    kind = hooked(getattr(pro, settings.exchange_id))
    exchange = kind(
        {
            "apiKey": settings.api_key,
            "secret": settings.secret,
            # Our own throttle knows what is urgent; theirs delays an exit behind a chart.
            "enableRateLimit": False,
            "timeout": int(settings.timeout_s * 1000),
            "options": dict(options),
        }
    )
    # Time to linger after closing: the connections are closed by then, so none is needed.
    exchange.timeout_on_exit = 0
    exchange.streaming = {**exchange.streaming, "keepAlive": int(settings.ping_s * 1000)}
    return exchange


@dataclass(frozen=True, slots=True)
class Sessions:
    """Two pools of connections: what streams and stays must not take the place of an order."""

    requests: aiohttp.ClientSession
    streams: aiohttp.ClientSession
    spare: SpareDescriptors

    def serve(self, exchange: Any) -> None:
        """Let an exchange connect through these, and not close them."""
        exchange.own_session = False
        exchange.session, exchange.stream_session = self.requests, self.streams

    async def close(self) -> None:
        """Close every connection."""
        await self.streams.close()
        await self.requests.close()
        self.spare.close()


def open_sessions(exchange: Any, settings: GatewaySettings) -> Sessions:
    """Give the exchange sessions whose idle connections live longer than a minute."""
    # The library would read the certificates once more at its first request.
    exchange.ssl_context = ssl.create_default_context(cafile=exchange.cafile)

    def pool(**more: Any) -> aiohttp.TCPConnector:
        return aiohttp.TCPConnector(
            ssl=exchange.ssl_context,
            limit=settings.connections_max,
            keepalive_timeout=settings.keepalive_s,
            **more,
        )

    spare = SpareDescriptors()
    sessions = Sessions(
        requests=aiohttp.ClientSession(
            connector=pool(socket_factory=spare.connecting, resolver=SparingResolver(spare)),
            middlewares=(_hold_back,),
            request_class=AgingRequest,
        ),
        streams=aiohttp.ClientSession(connector=pool()),
        spare=spare,
    )
    sessions.serve(exchange)
    return sessions


def point(exchange: Any, settings: GatewaySettings) -> None:
    """Lead an exchange to other roots, those of a simulation for example."""
    rest, ws = settings.rest_url, settings.ws_url
    if settings.exchange_id != "binance":
        exchange.urls = {**exchange.urls, "api": _everywhere(exchange.urls["api"], rest, ws)}
        return
    api = dict(exchange.urls["api"])
    if rest is not None:
        root = rest.rstrip("/")
        api |= {"public": f"{root}/api/v3", "private": f"{root}/api/v3"}
        api |= {"v1": f"{root}/api/v1", "sapi": f"{root}/sapi/v1"}
    if ws is not None:
        root = ws.rstrip("/")
        # "/stream" stays in the path: the library tells spot from futures by it.
        api["ws"] = {
            **api["ws"],
            "spot": f"{root}/stream/ws",
            "ws-api": {**api["ws"].get("ws-api", {}), "spot": f"{root}/ws-api/v3"},
        }
    exchange.urls = {**exchange.urls, "api": api}


class DirectReader:
    """Reads one connection of the library: the text of a frame goes to `take` first.

    What `take` declines, and everything that is no text, goes the library's own way. Unlike the
    library's loop this one gives the event loop its turn within a burst, stands back for a trigger
    that goes out, and outlives a message that nobody can read.
    """

    def __init__(
        self, client: Any, take: Callable[[str], bool], way: RightOfWay | None = None
    ) -> None:
        self._client = client
        self._take = take
        self._way = way or RightOfWay()
        self._task: asyncio.Task[None] | None = None
        # The library calls this once the connection is open, and holds us by it.
        client.receive_loop = self._start

    def _start(self) -> None:
        self._task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        client, take, way = self._client, self._take, self._way
        read = 0
        while not client.closed():
            try:
                message = await client.receive()
            except Exception as error:
                client.reject(Unreachable(f"{type(error).__name__}: {error}"))
                return
            if message.type is not aiohttp.WSMsgType.TEXT or not take(message.data):
                self._pass_on(message)
            read += 1
            if way.is_claimed:
                await way.stand_back()
            elif read % _MESSAGES_AT_ONCE == 0:
                # A full buffer never waits.
                await asyncio.sleep(0)
        client.on_close(aiohttp.WSCloseCode.ABNORMAL_CLOSURE)

    def _pass_on(self, message: Any) -> None:
        if message.type is aiohttp.WSMsgType.PING:
            # The library's own answer is a task that nobody awaits: a trace of it in the log where
            # the line is lost by then, which says so itself.
            _heard(asyncio.ensure_future(self._client.connection.pong(message.data)))
            return
        try:
            self._client.handle_message(message)
        except Exception:
            logger.exception("message_unreadable")


def _everywhere(urls: Any, rest: str | None, ws: str | None) -> Any:
    if isinstance(urls, dict):
        return {key: _everywhere(value, rest, ws) for key, value in urls.items()}
    if isinstance(urls, str) and urls.startswith("http"):
        return rest or urls
    return ws or urls if isinstance(urls, str) else urls


def _heard(wait: asyncio.Future[Any]) -> asyncio.Future[Any]:
    """Return what the library has made to be waited for, its failure noticed even if nobody does.

    A connection that is lost fails every wait on it, also those that only guard a subscription, and
    those of whom was cancelled while it subscribed.
    """
    wait.remove_done_callback(_notice)
    wait.add_done_callback(_notice)
    return wait


def _notice(wait: asyncio.Future[Any]) -> None:
    if not wait.cancelled():
        wait.exception()


def _dialling(base: Any) -> Any:
    """Return a class of the library whose pauses before a connection no clock makes longer.

    It counts them by the machine's: set back by an hour, it connected again after an hour.
    """

    class Dialling(base):
        def __init__(self, *arguments: Any, **named: Any) -> None:
            # When a connection may be made again, in monotonic seconds, by its address.
            self._dials_at_s: dict[str, float] = {}
            super().__init__(*arguments, **named)

        def on_error(self, client: Any, error: Any) -> None:
            url, before = client.url, self._backoff(client.url)
            super().on_error(client, error)
            if self._backoff(url) is not before:
                wait_s = super().ws_dial_delay(url)
                self._dials_at_s[url] = asyncio.get_running_loop().time() + wait_s

        def ws_dial_delay(self, url: str) -> float:
            if self._backoff(url) is None:
                return 0.0
            return max(self._dials_at_s.get(url, 0.0) - asyncio.get_running_loop().time(), 0.0)

        def _backoff(self, url: str) -> Any:
            return (getattr(self, "ws_dial_backoff", None) or {}).get(url)

    return Dialling


def hooked(base: Any) -> Any:
    """Return a class of the library whose raw answers and raw messages reach us."""

    # The library is loaded late, so its subclass can only be made here.
    class Hooked(_dialling(base)):  # type: ignore[misc]
        on_raw_message: OnMessage | None = None
        # For whatever streams; the other session takes requests.
        stream_session: Any = None

        def on_rest_response(self, *arguments: Any) -> Any:
            status, headers, body = arguments[0], arguments[4], arguments[5]
            LAST_ANSWER.set(answer(status, headers, body))
            return super().on_rest_response(*arguments)

        def handle_http_status_code(self, *arguments: Any) -> None:
            with carrying_answer():
                super().handle_http_status_code(*arguments)

        def client(self, url: str) -> Any:
            is_new = url not in (self.clients or {})
            client = super().client(url)
            if is_new:
                dial = client.connect
                # Connections that stay open must not use up those that orders go out by.
                client.connect = lambda session, pause_s=0: dial(
                    self.stream_session or session, pause_s
                )
                wait = client.future
                client.future = lambda message_hash: _heard(wait(message_hash))
            return client

        def on_connected(self, client: Any, message: Any = None) -> None:
            super().on_connected(client, message)
            if self.clients.get(client.url) is not client:
                # Given up while it was being made: the library would keep it open for good.
                self.spawn(client.close)

        def handle_message(self, client: Any, message: Any) -> None:
            if self.on_raw_message is None or not self.on_raw_message(client, message):
                super().handle_message(client, message)

    return Hooked
