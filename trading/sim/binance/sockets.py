"""WebSocket connections: market streams in all their URL forms, and the ws-api."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson
from aiohttp import WSMessage, WSMsgType, web

from trading.sim.binance.codes import ApiError
from trading.sim.binance.outlet import Outlet, Scope
from trading.sim.binance.service import Service
from trading.sim.binance.stream import Subscriber

_PING_S = 20.0
_FRAME_MAX_BYTES = 65_536
_STREAMS_MAX = 1_024
_CLOSE_S = 1.0
_METHODS = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")
_UNKNOWN_PROPERTY = 0
_ENDS = frozenset({WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR})


class Sockets:
    """Accepts connections and reads what clients ask for."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def market(self, request: web.Request) -> web.WebSocketResponse:
        """Serve /stream?streams=a/b (combined), /ws/a/b (raw) and what is subscribed later.

        Any other last part of the path, such as ccxt's connection numbers, is no stream.
        """
        is_combined = request.path.rstrip("/") == "/stream"
        if is_combined:
            text = request.query.get("streams", "")
        else:
            text = request.match_info.get("names", "")
        names = [name for name in text.split("/") if "@" in name]
        async with self._connection(request, Scope.MARKET) as (socket, outlet):
            streams = self._service.market_streams
            subscriber = Subscriber(outlet, is_combined)
            streams.subscribers.add(subscriber)
            try:
                streams.subscribe(subscriber, names)
                async for text in _frames(socket, outlet):
                    outlet.send(orjson.dumps(self._command(subscriber, text)))
            finally:
                streams.leave(subscriber)
            return socket

    async def ws_api(self, request: web.Request) -> web.WebSocketResponse:
        """Serve requests and user streams."""
        async with self._connection(request, Scope.USER) as (socket, outlet):
            async for text in _frames(socket, outlet):
                self._service.ws_api.answer(text, outlet)
            return socket

    @contextlib.asynccontextmanager
    async def _connection(
        self, request: web.Request, scope: Scope
    ) -> AsyncIterator[tuple[web.WebSocketResponse, Outlet]]:
        socket = web.WebSocketResponse(
            heartbeat=_PING_S, timeout=_CLOSE_S, compress=False, max_msg_size=_FRAME_MAX_BYTES
        )
        await socket.prepare(request)
        outlet = self._service.connected(socket, scope, _abort(request))
        writer = asyncio.create_task(outlet.run())
        try:
            yield socket, outlet
        finally:
            self._service.disconnected(socket)
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)

    def _command(self, subscriber: Subscriber, text: str) -> dict[str, Any]:
        number: Any = None
        try:
            frame = _read(text)
            number = frame.get("id")
            result = self._obey(subscriber, frame["method"], frame.get("params", []))
        except ApiError as error:
            # Of all refusals only that of a property names the request.
            return error.body() | ({"id": number} if error.code == _UNKNOWN_PROPERTY else {})
        return {"result": result, "id": number}

    def _obey(self, subscriber: Subscriber, method: str, named: list[Any]) -> Any:
        streams = self._service.market_streams
        if method.endswith("_PROPERTY"):
            return _property(subscriber, method, named)
        if method == "LIST_SUBSCRIPTIONS":
            return sorted(subscriber.streams)
        if not all(isinstance(name, str) for name in named):
            raise _wrong("params should be a list of streams")
        if method == "UNSUBSCRIBE":
            streams.unsubscribe(subscriber, named)
            return None
        if len(subscriber.streams) + len(named) > _STREAMS_MAX:
            raise _wrong(f"at most {_STREAMS_MAX} streams")
        streams.subscribe(subscriber, named)
        return None


def _read(text: str) -> dict[str, Any]:
    try:
        frame = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ApiError(3, f"Invalid JSON: {error}") from error
    if not isinstance(frame, dict) or "method" not in frame:
        raise _wrong("missing field `method`")
    if frame["method"] not in _METHODS:
        known = ", ".join(f"`{name}`" for name in _METHODS)
        raise _wrong(f"unknown variant `{frame['method']}`, expected one of {known}")
    if not isinstance(frame.get("params", []), list):
        raise _wrong("params should be a list")
    return frame


def _property(subscriber: Subscriber, method: str, named: list[Any]) -> bool | None:
    if not named or not isinstance(named[0], str):
        raise _wrong("property name must be a string")
    name, *values = named
    if len(values) > (method == "SET_PROPERTY"):
        raise _wrong("too many parameters")
    if name != "combined":
        raise ApiError(_UNKNOWN_PROPERTY, "Unknown property")
    if method == "GET_PROPERTY":
        return subscriber.is_combined
    if not values or not isinstance(values[0], bool):
        raise ApiError(1, "Invalid value type: expected Boolean")
    subscriber.is_combined = values[0]
    return None


async def _frames(socket: web.WebSocketResponse, outlet: Outlet) -> AsyncIterator[str]:
    """Text frames until either side ends the connection.

    The reading stops before we close: only then does aiohttp wait for the other side's close
    frame, without which clients see 1006 instead of our code.
    """
    closing = asyncio.ensure_future(outlet.close_asked())
    reading: asyncio.Future[WSMessage] | None = None
    try:
        while True:
            reading = asyncio.ensure_future(socket.receive())
            await asyncio.wait({reading, closing}, return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                break
            message = reading.result()
            if message.type in _ENDS:
                return
            if message.type is WSMsgType.TEXT:
                yield message.data
    finally:
        pending: list[asyncio.Future[Any]] = [closing]
        if reading is not None:
            pending.append(reading)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
    await socket.close(code=outlet.close_code or 1000, message=b"closed by the exchange")


def _abort(request: web.Request) -> Callable[[], None]:
    def abort() -> None:
        if request.transport is not None:
            request.transport.abort()

    return abort


def _wrong(text: str) -> ApiError:
    return ApiError(2, f"Invalid request: {text}")
