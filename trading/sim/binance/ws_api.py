"""The ws-api: requests over a WebSocket, above all the subscription to the user stream."""

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from trading.sim.binance.codes import ApiError, known, unread
from trading.sim.binance.limits import weight_of
from trading.sim.binance.outlet import Outlet
from trading.sim.binance.rest import ROUTES, Rest
from trading.sim.binance.tickets import read_int
from trading.sim.binance.user_stream import UserStream

_METHODS = {
    "ping": ("GET", "/api/v3/ping"),
    "time": ("GET", "/api/v3/time"),
    "exchangeInfo": ("GET", "/api/v3/exchangeInfo"),
    "depth": ("GET", "/api/v3/depth"),
    "trades.recent": ("GET", "/api/v3/trades"),
    "klines": ("GET", "/api/v3/klines"),
    "ticker.24hr": ("GET", "/api/v3/ticker/24hr"),
    "ticker.price": ("GET", "/api/v3/ticker/price"),
    "ticker.book": ("GET", "/api/v3/ticker/bookTicker"),
    "account.status": ("GET", "/api/v3/account"),
    "order.place": ("POST", "/api/v3/order"),
    "order.test": ("POST", "/api/v3/order/test"),
    "order.status": ("GET", "/api/v3/order"),
    "order.cancel": ("DELETE", "/api/v3/order"),
    "order.cancelReplace": ("POST", "/api/v3/order/cancelReplace"),
    "openOrders.status": ("GET", "/api/v3/openOrders"),
    "openOrders.cancelAll": ("DELETE", "/api/v3/openOrders"),
    "allOrders": ("GET", "/api/v3/allOrders"),
    "myTrades": ("GET", "/api/v3/myTrades"),
}
_SESSION_WEIGHT = 2
_NOT_OF_REST = frozenset({"apiKey", "returnRateLimits"})


class WsApi:
    """Answers ws-api requests of all connections."""

    def __init__(self, rest: Rest, user_stream: UserStream) -> None:
        self._rest = rest
        self._user_stream = user_stream

    def answer(self, text: str, outlet: Outlet) -> None:
        """Handle one frame and queue its answer, behind the events it caused."""
        request_id: Any = None
        try:
            request = _read(text)
            request_id = request.get("id")
            result = self._run(request, outlet)
            reply = {"id": request_id, "status": 200, "result": result, "rateLimits": []}
        except ApiError as error:
            reply = {
                "id": request_id,
                "status": error.status,
                "error": error.body(),
                "rateLimits": [],
            }
        outlet.send(orjson.dumps(reply))

    def _run(self, request: Mapping[str, Any], outlet: Outlet) -> Any:
        method = request.get("method", "")
        params = _texts(request.get("params") or {})
        now_ms = self._rest.venue.now_ms()
        own = _OF_SESSIONS.get(method)
        if own is not None:
            self._rest.limits.count(_SESSION_WEIGHT, now_ms)
            return own(self, params, outlet, now_ms)
        if method not in _METHODS:
            raise ApiError(-1000, f"Unknown method {method!r}.")
        route = ROUTES[_METHODS[method]]
        path = _METHODS[method][1]
        self._rest.limits.count(weight_of(path, params, route.weight), now_ms)
        if route.is_signed:
            self._check(params, now_ms)
        asked = {name: value for name, value in params.items() if name not in _NOT_OF_REST}
        return self._rest.call(route, asked, now_ms)

    def _check(self, params: Mapping[str, str], now_ms: int) -> None:
        signed = sorted((name, value) for name, value in params.items() if name != "signature")
        payload = "&".join(f"{name}={value}" for name, value in signed)
        self._rest.check_credentials(params, payload, params.get("apiKey"), now_ms)

    def _session(self, params: Mapping[str, str], outlet: Outlet, now_ms: int) -> Any:
        # Nobody is logged on: for that Binance takes Ed25519 keys alone, and there are none here.
        return {
            "apiKey": None,
            "authorizedSince": None,
            "connectedSince": outlet.connected_ms,
            "returnRateLimits": True,
            "serverTime": now_ms,
            "userDataStream": bool(self._user_stream.subscriptions_of(outlet)),
        }

    def _subscriptions(self, params: Mapping[str, str], outlet: Outlet, now_ms: int) -> Any:
        numbers = self._user_stream.subscriptions_of(outlet)
        return [{"subscriptionId": number} for number in numbers]

    def _subscribe(self, params: Mapping[str, str], outlet: Outlet, now_ms: int) -> Any:
        if params:
            raise unread(len(params), 0)
        raise known(-2015)

    def _subscribe_signed(self, params: Mapping[str, str], outlet: Outlet, now_ms: int) -> Any:
        self._check(params, now_ms)
        return {"subscriptionId": self._user_stream.subscribe(outlet)}

    def _unsubscribe(self, params: Mapping[str, str], outlet: Outlet, now_ms: int) -> Any:
        number = read_int(params, "subscriptionId")
        if number is not None and number not in self._user_stream.subscriptions_of(outlet):
            raise known(-2036)
        self._user_stream.unsubscribe(outlet)
        return {}


_OF_SESSIONS: dict[str, Callable[[WsApi, Mapping[str, str], Outlet, int], Any]] = {
    "session.status": WsApi._session,
    "session.subscriptions": WsApi._subscriptions,
    "userDataStream.subscribe": WsApi._subscribe,
    "userDataStream.subscribe.signature": WsApi._subscribe_signed,
    "userDataStream.unsubscribe": WsApi._unsubscribe,
}


def _read(text: str) -> dict[str, Any]:
    try:
        request = orjson.loads(text)
    except orjson.JSONDecodeError:
        request = None
    if not isinstance(request, dict):
        raise ApiError(-1000, "Request should be a JSON object.")
    return request


def _texts(params: Any) -> dict[str, str]:
    if not isinstance(params, dict):
        raise ApiError(-1000, "params should be an object.")
    return {name: _text(value) for name, value in params.items()}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return orjson.dumps(value).decode()
    return str(value)
