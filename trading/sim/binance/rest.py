"""Answers REST requests: routes, limits, keys and signatures, and the faults that bend answers."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl

import orjson

from trading.sim.binance import account_rest, market_rest, signing
from trading.sim.binance.codes import ApiError, known, status_of
from trading.sim.binance.faults import ON_ORDERS, ON_REQUESTS, Fault, Faults
from trading.sim.binance.limits import Limits, weight_of
from trading.sim.binance.user_stream import UserStream
from trading.sim.binance.venue import Call, OrderEffects, Venue

JSON = "application/json;charset=UTF-8"
HTML = "text/html"
_PAGE = (
    b"<html>\r\n<head><title>503 Service Temporarily Unavailable</title></head>\r\n"
    b"<body><center><h1>503 Service Temporarily Unavailable</h1></center></body>\r\n</html>\r\n"
)

Handler = Callable[[Venue, Call], Any]


@dataclass(frozen=True, slots=True)
class Route:
    """What serves an endpoint, what it weighs, and whether it is signed or takes an order."""

    handler: Handler
    weight: int = 1
    is_signed: bool = False
    is_order: bool = False


_PUBLIC = {
    "ping": Route(market_rest.ping),
    "time": Route(market_rest.server_time),
    "exchangeInfo": Route(market_rest.exchange_info, 20),
    "depth": Route(market_rest.depth, 5),
    "trades": Route(market_rest.trades, 25),
    "historicalTrades": Route(market_rest.trades, 25),
    "aggTrades": Route(market_rest.aggregate_trades, 4),
    "klines": Route(market_rest.klines, 2),
    "uiKlines": Route(market_rest.klines, 2),
    "avgPrice": Route(market_rest.average_price, 2),
    "ticker/24hr": Route(market_rest.day_ticker, 2),
    "ticker/price": Route(market_rest.price_ticker, 2),
    "ticker/bookTicker": Route(market_rest.book_ticker, 2),
}
_SIGNED = {
    ("GET", "/api/v3/account"): Route(account_rest.account, 20),
    ("GET", "/api/v3/account/commission"): Route(account_rest.commission, 20),
    ("POST", "/api/v3/order"): Route(account_rest.new_order, 1, is_order=True),
    ("POST", "/api/v3/order/test"): Route(account_rest.test_order),
    ("GET", "/api/v3/order"): Route(account_rest.get_order, 4),
    ("DELETE", "/api/v3/order"): Route(account_rest.cancel_order),
    ("POST", "/api/v3/order/cancelReplace"): Route(account_rest.replace_order, 1, is_order=True),
    ("GET", "/api/v3/openOrders"): Route(account_rest.open_orders, 6),
    ("DELETE", "/api/v3/openOrders"): Route(account_rest.cancel_open_orders),
    ("GET", "/api/v3/allOrders"): Route(account_rest.all_orders, 20),
    ("GET", "/api/v3/myTrades"): Route(account_rest.my_trades, 20),
    ("GET", "/sapi/v1/account/apiRestrictions"): Route(account_rest.api_restrictions),
    ("GET", "/sapi/v1/spot/delist-schedule"): Route(account_rest.delist_schedule, 100),
    ("GET", "/sapi/v1/asset/tradeFee"): Route(account_rest.trade_fee),
    ("GET", "/sapi/v1/capital/deposit/hisrec"): Route(account_rest.deposits),
    ("GET", "/sapi/v1/capital/withdraw/history"): Route(account_rest.withdrawals),
    ("GET", "/sapi/v1/capital/config/getall"): Route(account_rest.nothing, 10),
}
# What clients of all of Binance ask for before they come to spot.
_ELSEWHERE = {
    ("GET", "/sapi/v1/system/status"): Route(market_rest.system_status),
    ("GET", "/sapi/v1/margin/allPairs"): Route(market_rest.no_pairs),
    ("GET", "/sapi/v1/margin/isolated/allPairs"): Route(market_rest.no_pairs, 10),
    ("GET", "/fapi/v1/exchangeInfo"): Route(market_rest.no_contracts),
    ("GET", "/dapi/v1/exchangeInfo"): Route(market_rest.no_contracts),
}
ROUTES = {("GET", f"/api/v3/{name}"): route for name, route in _PUBLIC.items()}
ROUTES |= {key: replace(route, is_signed=True) for key, route in _SIGNED.items()} | _ELSEWHERE
# Umbra never moves money; whoever tries to is seen.
# What a trading agent has no business with; reading its own rights and history is fine.
_TRAPS = ("withdraw", "transfer", "sub-account", "apikey", "api-key", "apirestrictions")


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request with its raw query and body, as they were signed."""

    method: str
    path: str
    query: str = ""
    body: str = ""
    api_key: str | None = None

    @property
    def params(self) -> dict[str, str]:
        """All parameters; the query wins over the body."""
        return dict(
            parse_qsl(self.body, keep_blank_values=True)
            + parse_qsl(self.query, keep_blank_values=True)
        )

    @property
    def has_doubled_params(self) -> bool:
        """Whether the query or the body names a parameter twice; one in both is no doubled one."""
        for text in (self.query, self.body):
            names = [name for name, _ in parse_qsl(text, keep_blank_values=True)]
            if len(names) != len(set(names)):
                return True
        return False


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes back; None for a body means that the connection is cut instead."""

    status: int
    body: bytes | None
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = JSON


class Rest:
    """Serves requests against a venue, within limits, bent by faults."""

    def __init__(self, venue: Venue, user_stream: UserStream, faults: Faults, limits: Limits):
        self.venue = venue
        self.user_stream = user_stream
        self.faults = faults
        self.limits = limits

    async def answer(self, request: Request) -> Reply:
        """Answer one request, after what faults have in mind for it."""
        params = request.params
        symbol = params.get("symbol", "")
        bent = self.faults.take(ON_REQUESTS, request.method, request.path, symbol)
        for fault in bent:
            if fault.kind == "delay" and fault.args.get("when") == "before":
                await asyncio.sleep(fault.seconds)
        is_processed = all(_lets_process(fault) for fault in bent)
        reply = self.process(request, params) if is_processed else Reply(200, b"{}")
        for fault in bent:
            if fault.kind == "delay" and fault.args.get("when", "after") == "after":
                await asyncio.sleep(fault.seconds)
            reply = _bend(reply, fault)
        return reply

    def process(self, request: Request, params: Mapping[str, str]) -> Reply:
        """Answer a request without faults."""
        now_ms = self.venue.now_ms()
        route = ROUTES.get((request.method, request.path))
        headers: dict[str, str] = {}
        try:
            self._trap(request)
            result, status = self.call(self._admit(request, params, now_ms), params, now_ms), 200
        except ApiError as error:
            result, status = error.body(), error.status
            if error.retry_after_s is not None:
                headers["Retry-After"] = str(error.retry_after_s)
        headers.update(self.limits.headers(now_ms, route is not None and route.is_order))
        return Reply(status, orjson.dumps(result), headers)

    def call(self, route: Route, params: Mapping[str, str], now_ms: int) -> Any:
        """Run a handler whose request was admitted, and tell everybody what it changed."""
        if route.is_order:
            self.limits.count_order(now_ms)
        taken = self._order_faults(route, params)
        try:
            result = route.handler(self.venue, Call(params, now_ms, _effects(taken)))
        except ApiError:
            for fault in taken:
                # No order, so there was nothing to spoil.
                fault.fired -= 1
            raise
        finally:
            self.venue.world.announce(now_ms)
            self.user_stream.flush(now_ms)
        if any(fault.args.get("answer") == "timeout" for fault in taken):
            raise known(-1007)
        return result

    def check_credentials(
        self, params: Mapping[str, str], payload: str, api_key: str | None, now_ms: int
    ) -> None:
        """Check key, signature and time of a signed request."""
        if self.venue.is_key_revoked:
            raise known(-2015)
        signing.check_key(api_key, self.venue.key)
        signing.check_signature(params, payload, self.venue.secret)
        signing.check_time(params, now_ms)

    def _admit(self, request: Request, params: Mapping[str, str], now_ms: int) -> Route:
        route = ROUTES.get((request.method, request.path))
        if route is None:
            raise ApiError(-1000, f"No endpoint {request.method} {request.path}.", 404)
        self.limits.count(weight_of(request.path, params, route.weight), now_ms)
        if request.has_doubled_params:
            raise known(-1101)
        if route.is_signed:
            payload = signing.payload_without_signature(request.query, request.body)
            self.check_credentials(params, payload, request.api_key, now_ms)
        return route

    def _trap(self, request: Request) -> None:
        is_write = request.method != "GET"
        if is_write and any(word in request.path.lower() for word in _TRAPS):
            self.venue.traps.append(
                {
                    "method": request.method,
                    "path": request.path,
                    "query": request.query,
                    "body": request.body,
                    "time": self.venue.now_ms(),
                }
            )
            raise known(-1002, 403)

    def _order_faults(self, route: Route, params: Mapping[str, str]) -> list[Fault]:
        if not route.is_order:
            return []
        return self.faults.take(ON_ORDERS, "POST", "/api/v3/order", params.get("symbol", ""))


def _effects(taken: list[Fault]) -> OrderEffects:
    effects = OrderEffects()
    for fault in taken:
        lasting_ms = int(fault.seconds * 1_000)
        if fault.kind == "late_match":
            effects.match_after_ms = lasting_ms
        if fault.kind == "query_lag" or fault.args.get("answer") == "timeout":
            effects.hidden_ms = max(effects.hidden_ms, lasting_ms)
            effects.on_hidden_query = _counted(fault)
    return effects


def _counted(fault: Fault) -> Callable[[], None]:
    def count() -> None:
        fault.effects += 1

    return count


def _lets_process(fault: Fault) -> bool:
    usual = fault.kind not in {"status", "error_code"}
    return bool(fault.args.get("accept", usual))


def _bend(reply: Reply, fault: Fault) -> Reply:
    bend = _BENDERS.get(fault.kind)
    return reply if bend is None else bend(reply, fault)


def _dropped(reply: Reply, _fault: Fault) -> Reply:
    return replace(reply, body=None)


def _with_status(reply: Reply, fault: Fault) -> Reply:
    status = int(fault.args.get("status", 503))
    body = fault.args.get("body", "html")
    headers = dict(reply.headers)
    if "retry_after" in fault.args:
        headers["Retry-After"] = str(fault.args["retry_after"])
    if body == "html":
        return Reply(status, _PAGE, headers, HTML)
    if body == "json":
        return Reply(status, orjson.dumps(known(-1000).body()), headers)
    return Reply(status, str(body).encode(), headers)


def _with_code(reply: Reply, fault: Fault) -> Reply:
    code = int(fault.args.get("code", -1007))
    error = known(code)
    body = {"code": code, "msg": fault.args.get("msg", error.message)}
    status = int(fault.args.get("status", status_of(code)))
    return Reply(status, orjson.dumps(body), reply.headers)


def _with_page(reply: Reply, _fault: Fault) -> Reply:
    return Reply(200, _PAGE, reply.headers, HTML)


def _truncated(reply: Reply, _fault: Fault) -> Reply:
    body = reply.body or b""
    return replace(reply, body=body[: len(body) // 2])


def _emptied(reply: Reply, _fault: Fault) -> Reply:
    return replace(reply, status=200, body=b"{}")


_BENDERS: dict[str, Callable[[Reply, Fault], Reply]] = {
    "drop_response": _dropped,
    "status": _with_status,
    "error_code": _with_code,
    "html200": _with_page,
    "truncated": _truncated,
    "empty_object": _emptied,
}
