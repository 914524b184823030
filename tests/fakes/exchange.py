"""An exchange in memory behind the gateway's port: orders, fills, balances, and scripted faults.

It keeps every id that was ever sent and every request in order, so a test can say what really
happened on the other side. A fault counts how often it fired: a test of a fault asserts that.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.fakes.virtual_time import VirtualTime
from trading.domain.errors import AuthLost, RateLimited, Refused, Unreachable
from trading.domain.instrument import Instrument, InstrumentStatus
from trading.domain.market import BookLevel, Candle, MarketTrade, OrderBook, Quote
from trading.domain.money import ZERO
from trading.domain.order import (
    SELF_TRADE,
    Fill,
    OrderReport,
    OrderRequest,
    OrderStatus,
    OrderType,
    SendEvidence,
    SendPhase,
    Side,
    TimeInForce,
)
from trading.domain.position import Balance, Movement
from trading.domain.time import Timeframe
from trading.ports.exchange import KeyPermissions

# Of one symbol, as on the real exchange.
STOPS_MAX = 5
_CLIENT_TIMEOUT_S = 15.0


@dataclass(slots=True)
class Fault:
    """Something that goes wrong the next `times` times; `fired` says how often it did."""

    kind: str
    times: int = 1
    args: Mapping[str, Any] = field(default_factory=dict)
    fired: int = 0


@dataclass(slots=True)
class KeptOrder:
    """An order as the exchange keeps it."""

    request: OrderRequest
    number: int
    status: OrderStatus
    accepted_at: datetime
    accepted_s: float
    fills: list[Fill] = field(default_factory=list)
    visible_s: float = 0.0
    reason: str = ""
    updated_at: datetime | None = None
    locked: Decimal = ZERO

    @property
    def filled(self) -> Decimal:
        """Base units filled."""
        return sum((fill.quantity for fill in self.fills), ZERO)

    @property
    def is_open(self) -> bool:
        """Whether it rests in the book."""
        return not self.status.is_terminal


class FakeExchange:
    """One account; prices and depth move only when told."""

    # What nobody can reach it for while it is down.
    down_error = Unreachable("connection refused")
    # How far its clock is ahead of ours.
    clock_offset_s = 0
    # How often balances were asked for over the stream's connection, and whether none come there.
    stream_reads = 0
    is_line_silent = False

    def __init__(
        self,
        time: VirtualTime,
        instruments: Sequence[Instrument],
        balances: Mapping[str, str],
        prices: Mapping[str, str],
    ) -> None:
        self.time = time
        self.rules = {one.symbol: one for one in instruments}
        self.coins = {asset: Decimal(amount) for asset, amount in balances.items()}
        self.locked: dict[str, Decimal] = {}
        self.prices = {symbol: Decimal(price) for symbol, price in prices.items()}
        # Base units that the bid and the ask take at once; None is without end.
        self.depth: dict[str, Decimal] = {}
        # Symbols that nobody bids for: what is sold there expires unfilled.
        self.without_bids: set[str] = set()
        self.book_reads = 0
        self.fee_share = Decimal(0)
        self.fee_asset: str | None = None
        self.sent: list[OrderRequest] = []
        self.refused: list[tuple[OrderRequest, str]] = []
        self.cancelled: list[str] = []
        self.orders: dict[str, KeptOrder] = {}
        self.history: list[KeptOrder] = []
        self.foreign: list[Fill] = []
        self.faults: list[Fault] = []
        self.queries = 0
        self.clock_reads = 0
        self.rule_loads = 0
        self.balance_reads = 0
        # Of which symbols executions were asked for, in order.
        self.execution_reads: list[str] = []
        self.is_down = False
        # How often nobody could reach it.
        self.unreached = 0
        # Whether connections are taken and nothing is answered, and how many reads met that.
        self.is_hanging = False
        self.hung = 0
        self.is_key_lost = False
        self.keys_refused = 0
        self.lists_executions = True
        # What its stream said and nobody heard, and the ids that it took a second time.
        self.unheard: list[OrderReport] = []
        self.accepted_again: list[str] = []
        # How often it was asked for a quote, or sold to, where nobody bids.
        self.bids_missed = 0
        # Whether an order that would meet one of this account expires, and how often one did.
        self.prevents_self_trades = False
        self.self_trades = 0
        self.on_report: Callable[[OrderReport], None] | None = None
        self.on_balance: Callable[[Balance], None] | None = None
        self.on_movement: Callable[[Movement], None] | None = None
        self.before_accept: Callable[[OrderRequest], None] | None = None
        self._numbers = itertools.count(1)
        self._trades = itertools.count(1)

    # ------------------------------------------------------------ for tests

    def fail(self, kind: str, times: int = 1, **args: Any) -> Fault:
        """Script a fault."""
        fault = Fault(kind, times, args)
        self.faults.append(fault)
        return fault

    def set_price(self, symbol: str, price: str) -> None:
        """Move the price; resting orders that it crosses are filled."""
        self.prices[symbol] = Decimal(price)
        for order in list(self.orders.values()):
            if order.is_open and order.request.symbol == symbol and not self._waits(order.request):
                self._match(order)
                self._tell(order)

    def bring(self, asset: str, delta: str) -> Movement:
        """Let coins come in, or go out, without a trade; nobody is told yet."""
        self.coins[asset] = self.coins.get(asset, ZERO) + Decimal(delta)
        return Movement(asset, Decimal(delta), self.time.now())

    def tell_movement(self, movement: Movement) -> None:
        """Stream a movement."""
        if self.on_movement is not None:
            self.on_movement(movement)

    def end_account_stream(self) -> None:
        """Break the connection that tells of orders and balances."""
        self._account_end.set_exception(Unreachable("connection lost"))
        self.on_report = None

    def tell_balance(self, asset: str) -> None:
        """Stream a balance."""
        if self.on_balance is not None:
            self.on_balance(Balance(asset, self.coins[asset], self.locked.get(asset, ZERO)))

    def lock_by_hand(self, asset: str, quantity: str) -> None:
        """Have an order of the person's own rest for so much, or end where that is negative."""
        self._move(asset, Decimal(quantity))
        self.tell_balance(asset)

    def sell_by_hand(self, symbol: str, quantity: str) -> None:
        """What the person does in another window."""
        base = self.rules[symbol].base
        self.coins[base] -= Decimal(quantity)
        self._by_hand(symbol, Side.SELL, quantity)

    def buy_by_hand(self, symbol: str, quantity: str) -> None:
        """What the person pays for in another window with whatever the market asks for."""
        of = self.rules[symbol]
        self.coins[of.quote] -= Decimal(quantity) * self.prices[symbol]
        self.coins[of.base] = self.coins.get(of.base, ZERO) + Decimal(quantity)
        self._by_hand(symbol, Side.BUY, quantity)

    def _by_hand(self, symbol: str, side: Side, quantity: str) -> None:
        self.foreign.append(
            Fill(
                symbol,
                f"x{next(self._trades)}",
                "",
                side,
                Decimal(quantity),
                self.prices[symbol],
                ZERO,
                "USDT",
                self.time.now() + timedelta(seconds=self.clock_offset_s),
            )
        )

    def appear(self, request: OrderRequest) -> None:
        """Take an order that everybody had given up, long after it was sent."""
        order = self._accept(request)
        assert isinstance(order, KeptOrder)
        self._push(self.report_of(order))

    def quote_now(self, symbol: str) -> Quote:
        """One tick either side of the price."""
        tick = self.rules[symbol].price_tick
        price = self.prices[symbol]
        return Quote(
            symbol,
            price,
            Decimal(1),
            price + tick,
            Decimal(1),
            int(self.time.now().timestamp() * 1000),
            self.time.monotonic(),
        )

    @property
    def ids(self) -> list[str]:
        """Every client order id ever sent, in order."""
        return [request.client_order_id for request in self.sent]

    def filled(self, side: Side = Side.SELL) -> Decimal:
        """Base units that all our orders together filled on one side."""
        return sum((one.filled for one in self.history if one.request.side is side), ZERO)

    def report_of(self, order: KeptOrder) -> OrderReport:
        """What the exchange would say of an order."""
        request = order.request
        return OrderReport(
            client_order_id=request.client_order_id,
            exchange_order_id=str(order.number),
            symbol=request.symbol,
            side=request.side,
            status=order.status,
            quantity=request.quantity,
            filled_quantity=order.filled,
            price=request.price,
            fills=tuple(order.fills) if self.lists_executions else (),
            updated_at=order.updated_at or order.accepted_at,
            reason=order.reason,
        )

    # ------------------------------------------------------------ MarketFeed

    async def instruments(self) -> Mapping[str, Instrument]:
        await self._reach()
        self.rule_loads += 1
        return dict(self.rules)

    async def quote(self, symbol: str) -> Quote:
        await self._reach()
        if symbol in self.without_bids:
            self.bids_missed += 1
            raise Unreachable("bidPrice should be above 0, was 0")
        return self.quote_now(symbol)

    quotes_max = 100

    async def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        await self._reach()
        told = [symbol for symbol in symbols if symbol not in self.without_bids]
        return {symbol: self.quote_now(symbol) for symbol in told}

    async def last_trade(self, symbol: str) -> MarketTrade:
        await self._reach()
        quote = self.quote_now(symbol)
        return MarketTrade(symbol, quote.bid, Decimal(1), quote.event_time_ms, quote.received_s)

    async def last_prices(self) -> Mapping[str, Decimal]:
        await self._reach()
        listed = self.prices.keys() & self.rules.keys()
        return {symbol: self.quote_now(symbol).bid for symbol in listed}

    async def order_book(self, symbol: str, limit: int = 100) -> OrderBook:
        await self._reach()
        self.book_reads += 1
        quote = self.quote_now(symbol)
        bids = () if symbol in self.without_bids else (BookLevel(quote.bid, Decimal(1)),)
        asks = (BookLevel(quote.ask, Decimal(1)),)
        return OrderBook(symbol, bids, asks, quote.event_time_ms)

    async def candles(
        self, symbol: str, timeframe: Timeframe, limit: int, since: datetime | None = None
    ) -> Sequence[Candle]:
        raise Unreachable("this exchange shows no candles")

    async def stream_market(
        self,
        symbols: frozenset[str],
        on_trade: Callable[[MarketTrade], None],
        on_quote: Callable[[Quote], None],
        on_ending: Callable[[], None] = lambda: None,
    ) -> None:
        await asyncio.Event().wait()

    def candle_source(self, timeframe: Timeframe) -> Timeframe | None:
        return timeframe

    async def stream_candles(
        self,
        wanted: Mapping[str, frozenset[Timeframe]],
        on_candle: Callable[[str, Timeframe, Candle, int], None],
    ) -> None:
        await asyncio.Event().wait()

    # ------------------------------------------------------------ account

    @property
    def is_simulated(self) -> bool:
        return True

    async def connect(self) -> None:
        await self._reach()

    async def close(self) -> None:
        """Nothing to close."""

    async def account_id(self) -> str:
        await self._reach()
        return "fake-1"

    async def delistings(self) -> Mapping[str, datetime]:
        await self._reach()
        return {}

    async def permissions(self) -> KeyPermissions:
        await self._reach()
        return KeyPermissions(True, False, False, True)

    async def clock_offset_ms(self) -> int:
        await self._reach()
        self.clock_reads += 1
        return self.clock_offset_s * 1000

    async def balances(self) -> Mapping[str, Balance]:
        await self._reach()
        if self.is_key_lost:
            self.keys_refused += 1
            raise AuthLost("the key is not accepted any more")
        self.balance_reads += 1
        if self._take("empty_balances"):
            return {"USDT": Balance("USDT", self.coins.get("USDT", ZERO), ZERO)}
        return self._held()

    def _held(self) -> Mapping[str, Balance]:
        return {
            asset: Balance(asset, amount, self.locked.get(asset, ZERO))
            for asset, amount in self.coins.items()
            if amount or self.locked.get(asset)
        }

    async def balances_by_stream(self) -> Mapping[str, Balance]:
        await self._reach()
        if self.on_balance is None or self.is_line_silent:
            raise Unreachable("the account's stream is not connected")
        self.stream_reads += 1
        return self._held()

    # ------------------------------------------------------------ orders

    async def submit(
        self, request: OrderRequest, durable: Awaitable[None] | None = None
    ) -> SendEvidence:
        if durable is not None:
            await durable
        await asyncio.sleep(0)
        unsent = self._take("not_sent")
        if self.is_down or unsent is not None:
            self.unreached += 1
            silence_s = None if unsent is None else unsent.args.get("retry_after_s")
            message = (
                "connection refused" if silence_s is None else "the exchange asked for silence"
            )
            return SendEvidence(SendPhase.NOT_SENT, message=message, retry_after_s=silence_s)
        self.sent.append(request)
        if self.is_hanging:
            return await self._hang()
        before = self._before(request)
        if before is not None:
            return before
        late = self._take("late_match")
        if late is not None:
            asyncio.get_running_loop().create_task(self._match_late(request, late.args["after_s"]))
            return SendEvidence(SendPhase.SENT, message="timeout")
        order = self._accept(request)
        if isinstance(order, SendEvidence):
            return order
        return await self._after(order)

    def _before(self, request: OrderRequest) -> SendEvidence | None:
        fault = self._take("refuse")
        if fault is not None:
            return _answered(fault.args["status"], fault.args.get("code"), fault.args["message"])
        fault = self._take("lost_before")
        if fault is not None:
            return SendEvidence(SendPhase.SENT, message="connection reset")
        fault = self._take("limit")
        if fault is not None:
            return SendEvidence(
                SendPhase.ANSWERED,
                http_status=fault.args.get("status", 429),
                code=-1003,
                message="Too many requests.",
                retry_after_s=fault.args.get("retry_after_s"),
            )
        if request.client_order_id in self.orders and self.orders[request.client_order_id].is_open:
            return _answered(400, -2010, "Duplicate order sent.")
        return None

    async def _after(self, order: KeptOrder) -> SendEvidence:
        report = self.report_of(order)
        if self._take("report_first") is not None:
            self._push(report)
            await asyncio.sleep(0)
        fault = self._take("lost_after")
        if fault is not None:
            order.visible_s = self.time.monotonic() + float(fault.args.get("lag_s", 0))
            if fault.args.get("after_s"):
                await self.time.sleep(float(fault.args["after_s"]))
            return SendEvidence(SendPhase.SENT, message="connection reset")
        fault = self._take("answer_after")
        if fault is not None:
            order.visible_s = self.time.monotonic() + float(fault.args.get("lag_s", 0))
            return _answered(
                fault.args["status"], fault.args.get("code"), fault.args.get("message", "")
            )
        fault = self._take("hang")
        if fault is not None:
            await self.time.sleep(float(fault.args["after_s"]))
        if self._take("no_fills") is not None:
            report = replace(report, fills=())
        else:
            self._push(report)
        return SendEvidence(SendPhase.ANSWERED, http_status=200, report=report)

    async def _match_late(self, request: OrderRequest, after_s: float) -> None:
        await self.time.sleep(after_s)
        self.appear(request)

    def _accept(self, request: OrderRequest) -> "KeptOrder | SendEvidence":
        refusal = self._refusal(request)
        if refusal is not None:
            self.refused.append((request, refusal[1]))
            return _answered(400, *refusal)
        if self.before_accept is not None:
            self.before_accept(request)
        order = KeptOrder(
            request, next(self._numbers), OrderStatus.NEW, self.time.now(), self.time.monotonic()
        )
        if request.client_order_id in self.orders:
            self.accepted_again.append(request.client_order_id)
        self.orders[request.client_order_id] = order
        self.history.append(order)
        if request.order_type is OrderType.STOP_LOSS:
            self._lock(order)
        else:
            self._match(order)
        return order

    def _waits(self, request: OrderRequest) -> bool:
        stop, price = request.stop_price, self.prices[request.symbol]
        return stop is not None and (price - stop) * request.side.sign < 0

    def _lock(self, order: KeptOrder) -> None:
        request, rules = order.request, self.rules[order.request.symbol]
        is_sale = request.side is Side.SELL
        order.locked = request.quantity * (1 if is_sale else request.stop_price or ZERO)
        self._move(rules.base if is_sale else rules.quote, order.locked)

    def _unlock(self, order: KeptOrder) -> None:
        rules = self.rules[order.request.symbol]
        asset = rules.base if order.request.side is Side.SELL else rules.quote
        self._move(asset, -order.locked)
        order.locked = ZERO

    def _move(self, asset: str, locked: Decimal) -> None:
        if locked:
            self.coins[asset] = self.coins.get(asset, ZERO) - locked
            self.locked[asset] = self.locked.get(asset, ZERO) + locked

    def _refusal(self, request: OrderRequest) -> tuple[int, str] | None:
        rules = self.rules[request.symbol]
        if rules.status is not InstrumentStatus.TRADING:
            return -1013, "Market is closed."
        problem = broken_filter(request, rules)
        if problem is not None:
            return -1013, f"Filter failure: {problem}"
        price = request.price or request.stop_price or self.prices[request.symbol]
        selling = request.side is Side.SELL
        asset = rules.base if selling else rules.quote
        needed = request.quantity if selling else request.quantity * price
        if self._take("insufficient") is not None or self.coins.get(asset, ZERO) < needed:
            return -2010, "Account has insufficient balance for requested action."
        if request.order_type is OrderType.STOP_LOSS:
            return self._stop_refusal(request)
        return None

    def _stop_refusal(self, request: OrderRequest) -> tuple[int, str] | None:
        if not self._waits(request):
            return -2010, "Stop price would trigger immediately."
        waiting = [
            one
            for one in self.orders.values()
            if one.is_open and one.locked and one.request.symbol == request.symbol
        ]
        if len(waiting) >= STOPS_MAX:
            return -1013, "Filter failure: MAX_NUM_ALGO_ORDERS"
        return None

    def _match(self, order: KeptOrder) -> None:
        request = order.request
        self._unlock(order)
        price = self.quote_now(request.symbol)
        touch = price.bid if request.side is Side.SELL else price.ask
        crosses = request.price is None or (touch - request.price) * request.side.sign <= 0
        left = request.quantity - order.filled
        if crosses:
            take = min(left, self.depth.get(request.symbol, left))
            if request.side is Side.SELL and request.symbol in self.without_bids:
                self.bids_missed += 1
                take = ZERO
            if self._meets_own(request):
                self.self_trades += 1
                take, order.reason = ZERO, SELF_TRADE
            half = self._take("expire_half")
            if half is not None:
                take = self.rules[request.symbol].quantity(left / 2)
            if request.symbol in self.depth:
                self.depth[request.symbol] -= take
            if take > 0:
                self._fill(order, take, touch)
        left = request.quantity - order.filled
        order.updated_at = self.time.now()
        if left <= 0:
            order.status = OrderStatus.FILLED
        elif request.price is None or request.time_in_force is TimeInForce.IOC:
            order.status = OrderStatus.EXPIRED
        else:
            order.status = OrderStatus.PARTIALLY_FILLED if order.filled else OrderStatus.NEW

    def _meets_own(self, request: OrderRequest) -> bool:
        return self.prevents_self_trades and any(
            one.is_open
            and one.request.symbol == request.symbol
            and one.request.side is not request.side
            and one.request.price is not None
            and ((request.price or one.request.price) - one.request.price) * request.side.sign >= 0
            for one in self.orders.values()
        )

    def _fill(self, order: KeptOrder, quantity: Decimal, price: Decimal) -> None:
        request, rules = order.request, self.rules[order.request.symbol]
        got = rules.quote if request.side is Side.SELL else rules.base
        fee_asset = self.fee_asset or got
        worth = quantity * price if fee_asset == rules.quote else quantity
        fee = worth * self.fee_share
        self.coins[rules.base] = self.coins.get(rules.base, ZERO) + request.side.sign * quantity
        self.coins[rules.quote] = (
            self.coins.get(rules.quote, ZERO) - request.side.sign * quantity * price
        )
        self.coins[fee_asset] = self.coins.get(fee_asset, ZERO) - fee
        order.fills.append(
            Fill(
                request.symbol,
                str(next(self._trades)),
                request.client_order_id,
                request.side,
                quantity,
                price,
                fee,
                fee_asset,
                self.time.now(),
            )
        )

    async def cancel(self, symbol: str, client_order_id: str) -> SendEvidence:
        await asyncio.sleep(0)
        if self.is_down:
            self.unreached += 1
            return SendEvidence(SendPhase.NOT_SENT, message="connection refused")
        if self.is_hanging:
            return await self._hang()
        if self._take("cancel_mute") is not None:
            return SendEvidence(SendPhase.SENT, message="timeout")
        slow = self._take("cancel_slow")
        if slow is not None:
            await self.time.sleep(float(slow.args["after_s"]))
        self.cancelled.append(client_order_id)
        order = self.orders.get(client_order_id)
        if order is not None and self._take("fill_before_cancel") is not None:
            self._unlock(order)
            self._fill(order, order.request.quantity - order.filled, self.prices[symbol])
            order.status, order.updated_at = OrderStatus.FILLED, self.time.now()
            self._tell(order)
        if self._take("cancel_lost") is not None:
            return SendEvidence(SendPhase.SENT, message="connection reset")
        if order is None or not order.is_open or self._take("cancel_unknown") is not None:
            return _answered(400, -2011, "Unknown order sent.")
        self._unlock(order)
        order.status, order.updated_at = OrderStatus.CANCELED, self.time.now()
        report = self.report_of(order)
        self._push(report)
        return SendEvidence(SendPhase.ANSWERED, http_status=200, report=report)

    async def order(self, symbol: str, client_order_id: str) -> OrderReport | None:
        await self._reach(symbol)
        self.queries += 1
        fault = self._take("query_limit")
        if fault is not None:
            raise RateLimited("too many requests", float(fault.args["retry_after_s"]))
        order = self.orders.get(client_order_id)
        if order is None or self.time.monotonic() < order.visible_s:
            self._take("query_lag")
            return None
        return self.report_of(order)

    async def open_orders(self, symbol: str | None = None) -> Sequence[OrderReport]:
        await self._reach(symbol)
        return [
            self.report_of(one)
            for one in self._visible()
            if one.is_open and symbol in {None, one.request.symbol}
        ]

    async def orders_since(self, symbol: str, since: datetime) -> Sequence[OrderReport]:
        await self._reach(symbol)
        return [
            self.report_of(one)
            for one in self._visible()
            if one.request.symbol == symbol and one.accepted_at >= since
        ]

    async def fills_since(self, symbol: str, since: datetime) -> Sequence[Fill]:
        await self._reach(symbol)
        self.execution_reads.append(symbol)
        if self._take("no_listing") is not None:
            return []
        ours = [fill for one in self._visible() for fill in one.fills]
        return [
            fill for fill in (*ours, *self.foreign) if fill.symbol == symbol and fill.at >= since
        ]

    async def stream_account(
        self,
        on_report: Callable[[OrderReport], None],
        on_balance: Callable[[Balance], None],
        on_movement: Callable[[Movement], None] = lambda _movement: None,
    ) -> None:
        self.on_report = on_report
        self.on_balance, self.on_movement = on_balance, on_movement
        self._account_end = asyncio.get_running_loop().create_future()
        await self._account_end

    # ------------------------------------------------------------ inside

    def _visible(self) -> list[KeptOrder]:
        return [one for one in self.history if self.time.monotonic() >= one.visible_s]

    async def _reach(self, symbol: str | None = None) -> None:
        if symbol is not None and symbol not in self.rules:
            # A gateway has no name for it, and asks nothing.
            raise Refused(f"{symbol} is not traded on this exchange")
        if self.is_down:
            self.unreached += 1
            raise self.down_error
        if self.is_hanging:
            raise Unreachable((await self._hang()).message)

    async def _hang(self) -> SendEvidence:
        self.hung += 1
        await self.time.sleep(_CLIENT_TIMEOUT_S)
        return SendEvidence(SendPhase.SENT, message="no answer within 15 s")

    def _tell(self, order: KeptOrder) -> None:
        self._push(self.report_of(order))

    def _push(self, report: OrderReport) -> None:
        if self.on_report is not None and self._take("stream_lost") is None:
            self.on_report(report)
        else:
            self.unheard.append(report)

    def _take(self, kind: str) -> Fault | None:
        for fault in self.faults:
            if fault.kind == kind and fault.fired < fault.times:
                fault.fired += 1
                return fault
        return None


def broken_filter(request: OrderRequest, rules: Instrument) -> str | None:
    """The first rule of the instrument that a request breaks, by the exchange's name for it."""
    most = rules.quantity_max
    if request.price is None:
        most = min(most, rules.market_quantity_max)
    if rules.quantity(request.quantity) != request.quantity:
        return "LOT_SIZE"
    if not rules.quantity_min <= request.quantity <= most:
        return "LOT_SIZE"
    price = request.price or request.stop_price
    if price is not None:
        if rules.price_down(price) != price:
            return "PRICE_FILTER"
        if price * request.quantity < rules.notional_min:
            return "NOTIONAL"
    return None


def _answered(status: int, code: int | None, message: str) -> SendEvidence:
    return SendEvidence(SendPhase.ANSWERED, http_status=status, code=code, message=message)
