"""The simulator's own endpoints under /control: prices, faults, clock, money, and what happened.

Loopback only, JSON in and out; a wrong request is answered with 400 and a sentence.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import orjson
from aiohttp import web

from trading.domain.errors import Refused
from trading.domain.instrument import InstrumentStatus
from trading.domain.money import parse_decimal, plain
from trading.domain.order import Side
from trading.loopback import is_own_name, is_own_page
from trading.sim.binance import account_rest, filters, messages
from trading.sim.binance.codes import ApiError
from trading.sim.binance.faults import IMMEDIATE, Fault
from trading.sim.binance.outlet import Scope
from trading.sim.binance.service import Service
from trading.sim.binance.tickets import read_ticket
from trading.sim.binance.traffic import Traffic, TrafficPlan
from trading.sim.binance.venue import Call
from trading.sim.orders import PlacedOrder
from trading.sim.world import Market

_LOOPBACK = ("127.", "::1", "::ffff:127.")
_STATUSES = {"TRADING": InstrumentStatus.TRADING, "HALT": InstrumentStatus.HALTED}
_STATUSES["CANCEL_ONLY"] = InstrumentStatus.CANCEL_ONLY
_BOOK_SIDES: dict[Any, Side | None] = {"bid": Side.BUY, "ask": Side.SELL, None: None}
_RULES = {
    "tick": "price_tick",
    "step": "quantity_step",
    "quantity_min": "quantity_min",
    "quantity_max": "quantity_max",
    "market_quantity_max": "market_quantity_max",
    "notional_min": "notional_min",
    "notional_max": "notional_max",
}

Body = Mapping[str, Any]
Answer = Callable[[Body], Awaitable[Any]]


class Control:
    """Handlers of /control, by method and name."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._venue = service.venue
        self._traffic = Traffic(service)
        self._posts: dict[str, Answer] = {
            "price": self.set_price,
            "fault": self.add_fault,
            "clock": self.set_clock,
            "account": self.transfer,
            "order": self.foreign_order,
            "cancel": self.foreign_cancel,
            "book": self.shape_book,
            "fees": self.set_fees,
            "permissions": self.set_permissions,
            "print": self.print_trade,
            "symbol": self.set_symbol,
            "traffic": self.start_traffic,
        }
        self._gets: dict[str, Callable[[], Any]] = {
            "orders": self.orders,
            "account": self.account,
            "faults": self.faults,
            "traps": lambda: {"count": len(self._venue.traps), "requests": self._venue.traps},
            "timings": lambda: list(service.timings),
            "streams": service.shown_streams,
        }

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request to /control."""
        if refusal := _foreign(request):
            return _json({"error": refusal}, 403)
        try:
            found = self._find(request.method, request.match_info["name"])
            return _json(await found(await request.read()))
        except web.HTTPNotFound as error:
            return _json({"error": error.text}, 404)
        except ApiError as error:
            return _json({"error": error.message, "code": error.code}, 400)
        except Refused as error:
            hint = {"example": error.example} if error.example else {}
            return _json({"error": str(error), **hint}, 400)

    def _find(self, method: str, name: str) -> Callable[[bytes], Awaitable[Any]]:
        async def get(_raw: bytes) -> Any:
            return self._gets[name]()

        async def post(raw: bytes) -> Any:
            return await self._posts[name](_read(raw))

        async def clear(_raw: bytes) -> Any:
            self._service.faults.clear()
            return self.faults()

        if method == "GET" and name in self._gets:
            return get
        if method == "POST" and name in self._posts:
            return post
        if method == "DELETE" and name in {"fault", "faults"}:
            return clear
        known = [f"GET {n}" for n in self._gets] + [f"POST {n}" for n in self._posts]
        raise web.HTTPNotFound(
            text=f"no {method} /control/{name}; there are {', '.join(known)}, DELETE faults"
        )

    async def close(self) -> None:
        """Stop what runs in the background."""
        await self._traffic.stop()

    # ------------------------------------------------------------ what one can see

    def orders(self) -> Any:
        """All orders since the start, oldest first."""
        return [self._order(order) for order in self._venue.exchange.orders()]

    def _order(self, order: PlacedOrder) -> dict[str, str]:
        ticket = order.ticket
        shown = {
            "symbol": self._venue.exchange.instruments[ticket.symbol].exchange_symbol,
            "side": ticket.side.name,
            "type": ticket.kind.value,
            "status": messages.status(order),
            "origQty": filters.number(order.quantity),
            "executedQty": filters.number(order.executed),
            "clientOrderId": ticket.client_order_id,
        }
        if ticket.stop_price is not None:
            shown["stopPrice"] = filters.number(ticket.stop_price)
        return shown

    def account(self) -> Any:
        """Every asset ever held."""
        account = self._venue.exchange.account
        return {
            "balances": {
                asset: {
                    "free": filters.number(account.free(asset)),
                    "locked": filters.number(account.locked(asset)),
                }
                for asset in account.assets
            }
        }

    def faults(self) -> Any:
        """Every fault with how often it fired."""
        return [fault.shown() for fault in self._service.faults.known]

    # ------------------------------------------------------------ market

    async def set_price(self, body: Body) -> Any:
        """Move a market; everything shows it before the answer."""
        market, price = self._market(body), _decimal(body, "price")
        began_s = asyncio.get_running_loop().time()
        now_ms = self._venue.now_ms()
        shown = self._venue.world.set_price(market.symbol, price, now_ms)
        self._service.push(market, now_ms)
        await self._service.drained()
        self._service.note("price", f"{market.symbol} {plain(shown)}", began_s)
        return {"symbol": market.instrument.exchange_symbol, "price": filters.number(shown)}

    async def shape_book(self, body: Body) -> Any:
        """Make a book thinner, deeper, one-sided or wider."""
        market = self._market(body)
        liquidity = market.liquidity
        if body.get("side") not in _BOOK_SIDES:
            raise Refused(f"side should be bid or ask, was {body.get('side')!r}", example="bid")
        if "quote_depth" in body:
            liquidity.set_depth(_decimal(body, "quote_depth"), _BOOK_SIDES[body.get("side")])
        if "spread" in body:
            liquidity.set_spread(_decimal(body, "spread"))
        if not {"quote_depth", "spread"} & set(body):
            raise Refused("book should be given quote_depth or spread", example="50000")
        now_ms = self._venue.now_ms()
        self._venue.world.reshape(market.symbol, now_ms)
        self._service.push(market, now_ms)
        await self._service.drained()
        return {"symbol": market.instrument.exchange_symbol}

    async def print_trade(self, body: Body) -> Any:
        """Print a trade that neither book nor REST knows, as a wrong tick would look."""
        market, price = self._market(body), _decimal(body, "price")
        quantity = (
            _decimal(body, "quantity") if "quantity" in body else market.instrument.quantity_step
        )
        self._venue.world.print_trade(market.symbol, price, quantity, self._venue.now_ms())
        await self._service.drained()
        return {"symbol": market.instrument.exchange_symbol, "price": filters.number(price)}

    async def set_symbol(self, body: Body) -> Any:
        """Change a market's status or rules while it runs."""
        market = self._market(body)
        changed: dict[str, Any] = {
            field: _decimal(body, name) for name, field in _RULES.items() if name in body
        }
        if "status" in body:
            if body["status"] not in _STATUSES:
                raise Refused(
                    f"status should be one of {' '.join(_STATUSES)}, was {body['status']!r}"
                )
            changed["status"] = _STATUSES[body["status"]]
        market.instrument = replace(market.instrument, **changed)
        self._venue.exchange.list_instrument(market.instrument)
        return messages_of(market)

    async def start_traffic(self, body: Body) -> Any:
        """Print many trades a second around the present prices, to load whoever listens."""
        markets = [self._named(name) for name in body.get("symbols", [])]
        plan = TrafficPlan(
            markets=tuple(markets or self._venue.world.markets.values()),
            rate_per_s=_number(body, "rate_per_s"),
            seconds=_number(body, "seconds"),
            reach=float(body.get("reach", 0.0002)),
        )
        await self._traffic.start(plan)
        return {"markets": len(plan.markets), "rate_per_s": plan.rate_per_s}

    # ------------------------------------------------------------ account

    async def transfer(self, body: Body) -> Any:
        """Deposit (positive delta) or withdraw (negative)."""
        asset = _text(body, "asset")
        delta = _signed_decimal(body, "delta")
        transfer = self._venue.transfer(asset, delta)
        self._service.user_stream.transferred(transfer)
        self._service.user_stream.flush(transfer.at_ms)
        return self.account()

    async def foreign_order(self, body: Body, client_order_id: str = "") -> Any:
        """Place an order on the account that Umbra did not send: the person's own."""
        market = self._market(body)
        params = {name: str(value) for name, value in body.items()}
        params["symbol"] = market.instrument.exchange_symbol
        params.setdefault("type", "MARKET")
        if params["type"] == "LIMIT":
            params.setdefault("timeInForce", "GTC")
        order_id = client_order_id or f"web_{self._venue.new_client_id()}"
        ticket = read_ticket(params, market.symbol, order_id, {})
        now_ms = self._venue.now_ms()
        order = account_rest.place(self._venue, market, ticket, Call(params, now_ms))
        self._service.settle(now_ms)
        return messages.order_full(order, market.instrument)

    async def foreign_cancel(self, body: Body) -> Any:
        """Cancel an open order as the exchange or the person would."""
        client_id = _text(body, "clientOrderId")
        exchange = self._venue.exchange
        found = [o for o in exchange.open_orders() if o.ticket.client_order_id == client_id]
        if not found:
            raise Refused(f"clientOrderId should name an open order, was {client_id!r}")
        now_ms = self._venue.now_ms()
        exchange.cancel(found[0].order_id, now_ms)
        self._service.settle(now_ms)
        return {"clientOrderId": client_id, "status": messages.status(found[0])}

    async def set_fees(self, body: Body) -> Any:
        """Change rates and the asset that fees are taken in."""
        fees = self._venue.exchange.fees
        rate = _decimal(body, "rate") if "rate" in body else None
        fees = replace(
            fees,
            asset=str(body.get("asset", fees.asset)),
            maker=_decimal(body, "maker") if "maker" in body else rate or fees.maker,
            taker=_decimal(body, "taker") if "taker" in body else rate or fees.taker,
        )
        self._venue.exchange.fees = fees
        return {"asset": fees.asset, "maker": plain(fees.maker), "taker": plain(fees.taker)}

    async def set_permissions(self, body: Body) -> Any:
        """Change what the key may do; `revoked` ends it altogether."""
        permissions = self._venue.permissions
        for name, value in body.items():
            if not isinstance(value, bool) or (name != "revoked" and name not in permissions):
                raise Refused(
                    f"permissions should be true or false for {' '.join(permissions)} revoked,"
                    f" was {name}: {value!r}"
                )
        self._venue.is_key_revoked = bool(body.get("revoked", self._venue.is_key_revoked))
        permissions.update((name, v) for name, v in body.items() if name != "revoked")
        return {**permissions, "revoked": self._venue.is_key_revoked}

    # ------------------------------------------------------------ faults and clock

    async def set_clock(self, body: Body) -> Any:
        """Set the exchange's clock off by some milliseconds."""
        offset = body.get("offset_ms")
        if not isinstance(offset, int) or isinstance(offset, bool):
            raise Refused(f"offset_ms should be a whole number, was {offset!r}", example="7000")
        self._venue.offset_ms = offset
        return {"offset_ms": offset, "serverTime": self._venue.now_ms()}

    async def add_fault(self, body: Body) -> Any:
        """Add a fault; disconnect, stalls and bans act at once, the others on requests to come."""
        unknown = sorted(set(body) - {"kind", "times", "args"})
        if unknown:
            raise Refused(f"a fault should have kind, times and args, had {' '.join(unknown)}")
        fault = self._service.faults.add(
            body.get("kind"), body.get("times", 1), body.get("args", {})
        )
        if fault.kind in IMMEDIATE:
            await self._act(fault)
        return fault.shown()

    async def _act(self, fault: Fault) -> None:
        fault.times = fault.fired = 1
        scope = Scope(fault.args.get("scope", "all"))
        if fault.kind == "ban":
            self._service.limits.ban(fault.seconds, self._venue.now_ms())
        elif fault.kind == "stall_stream":
            self._service.stall(scope, fault)
        elif fault.kind == "terminate_stream":
            fault.effects = self._service.user_stream.terminate(self._venue.now_ms())
        elif fault.kind == "announce_end":
            fault.effects = self._service.announce_end(scope, self._venue.now_ms())
        else:
            code = int(fault.args.get("code", 1001))
            is_abort = bool(fault.args.get("abort", False))
            fault.effects = await self._service.disconnect(scope, code, is_abort)

    def _market(self, body: Body) -> Market:
        return self._named(_text(body, "symbol"))

    def _named(self, name: Any) -> Market:
        market = self._venue.find_market(name) if isinstance(name, str) else None
        if market is None:
            raise Refused(f"symbol should be a listed market, was {name!r}", example="BTCUSDT")
        return market


def _foreign(request: web.Request) -> str:
    """Return why whoever asks may not: any page of the same browser could move prices here."""
    if not (request.remote or "").startswith(_LOOPBACK):
        return "control should be used from this machine only"
    if not is_own_name(request.host):
        return "control answers to this machine's own names only"
    if not is_own_page(request.headers.get("Origin"), request.host):
        return "requests from other web pages are refused"
    return ""


def messages_of(market: Market) -> dict[str, Any]:
    """Return a market's status and rules."""
    return {
        "symbol": market.instrument.exchange_symbol,
        "status": market.instrument.status.value,
        "filters": filters.shown(market.instrument),
    }


def _read(raw: bytes) -> Body:
    try:
        body = orjson.loads(raw or b"{}")
    except orjson.JSONDecodeError as error:
        raise Refused(f"body should be JSON, {error}", example='{"symbol":"BTCUSDT"}') from error
    if not isinstance(body, dict):
        raise Refused(f"body should be a JSON object, was {type(body).__name__}")
    return body


def _text(body: Body, name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise Refused(f"{name} should be a text, was {value!r}")
    return value


def _decimal(body: Body, name: str) -> Decimal:
    value = body.get(name)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise Refused(f"{name} should be a number, was {value!r}", example="65000")
    if isinstance(value, str):
        return parse_decimal(value.strip(), name)
    # A float's shortest text is what was written in the JSON.
    number = Decimal(repr(value))
    if not number.is_finite() or number < 0:
        raise Refused(f"{name} should be a finite number of at least 0, was {value!r}")
    return number


def _signed_decimal(body: Body, name: str) -> Decimal:
    value = body.get(name)
    text = value if isinstance(value, str) else repr(value)
    if text.startswith("-"):
        return -parse_decimal(text[1:], name)
    return _decimal(body, name)


def _number(body: Body, name: str) -> float:
    return float(_decimal(body, name))


def _json(body: Any, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json")
