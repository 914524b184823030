"""Paper trading: the live market's prices, a simulated account, and the one matching engine.

The account lives in memory and is rebuilt from booked executions at a start: what was not booked
never happened on paper.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from trading.domain.errors import Retryable
from trading.domain.instrument import Instrument
from trading.domain.market import Candle, MarketTrade, OrderBook, Quote
from trading.domain.money import ZERO
from trading.domain.order import (
    Attempt,
    Fill,
    OrderReport,
    OrderRequest,
    OrderType,
    SendEvidence,
    SendPhase,
    Side,
)
from trading.domain.position import Balance, Movement
from trading.domain.time import Timeframe, from_ms, to_ms
from trading.gateway.paper_market import PaperMarket
from trading.gateway.paper_past import PaperPast
from trading.ports.clock import Clock
from trading.ports.exchange import ExchangeGateway, KeyPermissions
from trading.sim.binance import filters
from trading.sim.binance.codes import MESSAGES, ApiError
from trading.sim.exchange import Exchange, OrderRefusal, OrderRefused, UnknownOrder
from trading.sim.models import FeeSchedule, settled
from trading.sim.orders import (
    Execution,
    OrderChange,
    OrderKind,
    OrderTicket,
    PlacedOrder,
    Traded,
)

_REFUSALS = {
    OrderRefusal.INSUFFICIENT_BALANCE: MESSAGES[-2010],
    OrderRefusal.DUPLICATE_ID: "Duplicate order sent.",
    OrderRefusal.MARKET_CLOSED: "Market is closed.",
    OrderRefusal.WOULD_TAKE: "Order would immediately match and take.",
    OrderRefusal.WOULD_TRIGGER: "Stop price would trigger immediately.",
}
_KINDS = {
    OrderType.MARKET: OrderKind.MARKET,
    OrderType.LIMIT: OrderKind.LIMIT,
    OrderType.STOP_LOSS: OrderKind.STOP_LOSS,
}
_ENDS_WITH_STREAM = frozenset({OrderChange.TRADED, OrderChange.CANCELED, OrderChange.EXPIRED})


class PaperGateway:
    """One paper account; `feed` needs no key."""

    def __init__(
        self,
        feed: ExchangeGateway,
        clock: Clock,
        balances: Mapping[str, Decimal],
        fees: FeeSchedule | None = None,
    ) -> None:
        self._feed = feed
        self._clock = clock
        self._exchange = Exchange(balances, fees)
        self._exchange.listeners.append(self)
        self._market = PaperMarket(feed, self._exchange, clock)
        self._past = PaperPast()
        self._waiting: list[Attempt] = []
        self._on_report: Callable[[OrderReport], None] | None = None
        self._on_balance: Callable[[Balance], None] | None = None

    @property
    def is_simulated(self) -> bool:
        """No real money can move."""
        return True

    def restore(
        self,
        fills: Iterable[Fill],
        instruments: Mapping[str, Instrument],
        attempts: Iterable[Attempt] = (),
    ) -> None:
        """Rebuild the account from booked executions, before `connect`.

        `attempts` are the open ones of the journal: those that rested come back at `connect`.
        """
        for fill in sorted(fills, key=lambda one: one.at):
            self._replay(fill, instruments[fill.symbol])
            self._past.take(fill)
        self._waiting = [one for one in attempts if one.exchange_order_id is not None]

    def _replay(self, fill: Fill, instrument: Instrument) -> None:
        is_buy = fill.side is Side.BUY
        moves = {
            instrument.base: fill.quantity if is_buy else -fill.quantity,
            instrument.quote: settled(fill.notional) * -fill.side.sign,
        }
        moves[fill.fee_asset] = moves.get(fill.fee_asset, ZERO) - fill.fee
        for asset, delta in moves.items():
            # A starting balance that was lowered since must not end below nothing.
            self._exchange.transfer(
                asset, max(delta, -self._exchange.account.free(asset)), to_ms(fill.at)
            )

    async def connect(self) -> None:
        """Load the market's rules and open it on paper."""
        await self._feed.connect()
        await self.instruments()
        for attempt in self._waiting:
            await self._put_back(_remaining(attempt))
        self._waiting = []

    async def _put_back(self, request: OrderRequest) -> None:
        evidence = await self.submit(request)
        if evidence.message == _REFUSALS[OrderRefusal.WOULD_TRIGGER]:
            # Reached while nobody looked: on a real exchange it would have fired meanwhile.
            await self.submit(replace(request, order_type=OrderType.MARKET, stop_price=None))

    async def close(self) -> None:
        """Close the feed."""
        await self._market.close()
        await self._feed.close()

    # ------------------------------------------------------------ market: the feed's

    async def instruments(self) -> Mapping[str, Instrument]:
        """Load every spot instrument with its rules."""
        found = await self._feed.instruments()
        for instrument in found.values():
            self._exchange.list_instrument(instrument)
        return found

    async def quote(self, symbol: str) -> Quote:
        """Read best bid and ask over REST."""
        quote = await self._feed.quote(symbol)
        self._market.take_quote(quote)
        return quote

    @property
    def quotes_max(self) -> int:
        """How many symbols `quotes` takes."""
        return self._feed.quotes_max

    async def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        """Read best bid and ask of several symbols in one request over REST."""
        quotes = await self._feed.quotes(symbols)
        for quote in quotes.values():
            self._market.take_quote(quote)
        return quotes

    async def last_trade(self, symbol: str) -> MarketTrade:
        """Read the newest print over REST."""
        return await self._feed.last_trade(symbol)

    async def last_prices(self) -> Mapping[str, Decimal]:
        """Read the last price of every instrument over REST."""
        return await self._feed.last_prices()

    async def order_book(self, symbol: str, limit: int = 100) -> OrderBook:
        """Read depth over REST."""
        return await self._feed.order_book(symbol, limit)

    async def candles(
        self, symbol: str, timeframe: Timeframe, limit: int, since: datetime | None = None
    ) -> Sequence[Candle]:
        """Read candles over REST."""
        return await self._feed.candles(symbol, timeframe, limit, since)

    async def stream_market(
        self,
        symbols: frozenset[str],
        on_trade: Callable[[MarketTrade], None],
        on_quote: Callable[[Quote], None],
        on_ending: Callable[[], None] = lambda: None,
    ) -> None:
        """Stream prints and quotes; resting paper orders are matched by them first."""

        def take_trade(trade: MarketTrade) -> None:
            self._market.take_trade(trade)
            on_trade(trade)

        def take_quote(quote: Quote) -> None:
            self._market.take_quote(quote)
            on_quote(quote)

        await self._feed.stream_market(symbols, take_trade, take_quote, on_ending)

    def candle_source(self, timeframe: Timeframe) -> Timeframe | None:
        """Return of which candles those of a length are made, None where of none."""
        return self._feed.candle_source(timeframe)

    async def stream_candles(
        self,
        wanted: Mapping[str, frozenset[Timeframe]],
        on_candle: Callable[[str, Timeframe, Candle, int], None],
    ) -> None:
        """Stream candles."""
        await self._feed.stream_candles(wanted, on_candle)

    # ------------------------------------------------------------ account: ours

    async def account_id(self) -> str:
        """Return the id of every paper account."""
        return "paper"

    async def delistings(self) -> Mapping[str, datetime]:
        """Nothing ends on paper: the exchange tells of it to its own accounts."""
        return {}

    async def permissions(self) -> KeyPermissions:
        """Return what a paper key may do: trade on this machine, nothing else."""
        return KeyPermissions(
            can_trade=True, can_withdraw=False, can_transfer=False, is_ip_restricted=True
        )

    async def clock_offset_ms(self) -> int:
        """Return the feed's clock offset: prices carry the exchange's time."""
        return await self._feed.clock_offset_ms()

    async def balances(self) -> Mapping[str, Balance]:
        """Return all non-zero balances."""
        found = (self._balance(asset) for asset in self._exchange.account.assets)
        return {one.asset: one for one in found if one.total}

    def _balance(self, asset: str) -> Balance:
        account = self._exchange.account
        return Balance(asset, account.free(asset), account.locked(asset))

    async def balances_by_stream(self) -> Mapping[str, Balance]:
        """Read the same: this account is nowhere else."""
        return await self.balances()

    async def submit(
        self, request: OrderRequest, durable: Awaitable[None] | None = None
    ) -> SendEvidence:
        """Match an order against the live depth of this moment."""
        if durable is not None:
            await durable
        instrument = self._exchange.instruments.get(request.symbol)
        if instrument is None:
            return _refused(-1121, "Invalid symbol.")
        try:
            last = await self._market.show_depth(request.symbol)
            if request.order_type is OrderType.STOP_LOSS:
                newest = await self._feed.last_trade(request.symbol)
                self._exchange.mark(request.symbol, newest.price, self._now_ms())
        except Retryable as error:
            return SendEvidence(SendPhase.NOT_SENT, message=f"no market to match with: {error}")
        ticket = _ticket(request)
        kinds = [one.ticket.kind for one in self._exchange.open_orders(request.symbol)]
        try:
            filters.check(instrument, ticket, last, kinds)
            placed = self._exchange.place(ticket, self._now_ms())
        except ApiError as error:
            return _refused(error.code, error.message)
        except OrderRefused as error:
            return _refused(-2010, _REFUSALS[error.refusal])
        return _answered(self._report(placed))

    async def cancel(self, symbol: str, client_order_id: str) -> SendEvidence:
        """Cancel a resting order."""
        placed = self._exchange.latest_by_client_id(symbol, client_order_id)
        if placed is None:
            return _refused(-2011, MESSAGES[-2011])
        try:
            return _answered(self._report(self._exchange.cancel(placed.order_id, self._now_ms())))
        except UnknownOrder:
            return _refused(-2011, MESSAGES[-2011])

    async def order(self, symbol: str, client_order_id: str) -> OrderReport | None:
        """Query one order; on paper what is not there never was."""
        placed = self._exchange.latest_by_client_id(symbol, client_order_id)
        return self._report(placed) if placed else self._past.report(client_order_id)

    async def open_orders(self, symbol: str | None = None) -> Sequence[OrderReport]:
        """Return resting orders."""
        return [self._report(one) for one in self._exchange.open_orders(symbol)]

    async def orders_since(self, symbol: str, since: datetime) -> Sequence[OrderReport]:
        """Return all orders of a symbol since a time."""
        since_ms = to_ms(since)
        placed = [
            self._report(one)
            for one in self._exchange.orders()
            if one.ticket.symbol == symbol and one.created_ms >= since_ms
        ]
        before = [
            one
            for one in self._past.reports_since(symbol, since)
            # What was put back at `connect` is told with what it did before.
            if self._exchange.latest_by_client_id(symbol, one.client_order_id) is None
        ]
        return [*before, *placed]

    async def fills_since(self, symbol: str, since: datetime) -> Sequence[Fill]:
        """Return executions of a symbol since a time."""
        since_ms = to_ms(since)
        now = [
            self._fill(one) for one in self._exchange.executions(symbol) if one.at_ms >= since_ms
        ]
        return [*self._past.fills_since(symbol, since), *now]

    async def stream_account(
        self,
        on_report: Callable[[OrderReport], None],
        on_balance: Callable[[Balance], None],
        on_movement: Callable[[Movement], None] = lambda _movement: None,
    ) -> None:
        """Stream order reports and balances until cancelled; nothing moves but by trades."""
        del on_movement
        self._on_report, self._on_balance = on_report, on_balance
        try:
            await asyncio.Event().wait()
        finally:
            self._on_report = self._on_balance = None

    # ------------------------------------------------------------ what the exchange tells

    def trade_printed(self, symbol: str, trade: Traded, now_ms: int) -> None:
        """Our own prints are not the market's."""

    def order_changed(
        self, order: PlacedOrder, change: OrderChange, execution: Execution | None, now_ms: int
    ) -> None:
        """Pass a change on as a report."""
        del execution, now_ms
        if self._on_report is not None and change in _ENDS_WITH_STREAM:
            self._on_report(self._report(order))

    def balances_changed(self, assets: tuple[str, ...], now_ms: int) -> None:
        """Pass balances on."""
        del now_ms
        if self._on_balance is not None:
            for asset in assets:
                self._on_balance(self._balance(asset))

    def _report(self, placed: PlacedOrder) -> OrderReport:
        ticket = placed.ticket
        before = self._past.report(ticket.client_order_id)
        fills = (before.fills if before else ()) + tuple(map(self._fill, placed.executions))
        done_before = before.filled_quantity if before else ZERO
        return OrderReport(
            client_order_id=ticket.client_order_id,
            exchange_order_id=f"paper-{placed.order_id}",
            symbol=ticket.symbol,
            side=ticket.side,
            status=placed.status,
            quantity=placed.quantity + done_before,
            filled_quantity=placed.executed + done_before,
            price=ticket.price,
            fills=fills,
            updated_at=from_ms(placed.updated_ms),
        )

    def _fill(self, execution: Execution) -> Fill:
        placed = self._exchange.order(execution.order_id)
        order_id = placed.ticket.client_order_id if placed is not None else ""
        return Fill(
            symbol=execution.symbol,
            # Trade numbers start anew with each process; with the order's id they never repeat.
            trade_id=f"paper-{order_id}-{execution.at_ms}-{execution.trade_id}",
            client_order_id=order_id,
            side=execution.side,
            quantity=execution.quantity,
            price=execution.price,
            fee=execution.fee.amount,
            fee_asset=execution.fee.asset,
            at=from_ms(execution.at_ms),
        )

    def _now_ms(self) -> int:
        return to_ms(self._clock.now())


def _remaining(attempt: Attempt) -> OrderRequest:
    request = attempt.request
    return replace(request, quantity=request.quantity - attempt.filled_quantity)


def _ticket(request: OrderRequest) -> OrderTicket:
    return OrderTicket(
        symbol=request.symbol,
        client_order_id=request.client_order_id,
        side=request.side,
        kind=_KINDS[request.order_type],
        quantity=request.quantity,
        price=request.price,
        stop_price=request.stop_price,
        time_in_force=request.time_in_force,
    )


def _refused(code: int, message: str) -> SendEvidence:
    return SendEvidence(SendPhase.ANSWERED, http_status=400, code=code, message=message)


def _answered(report: OrderReport) -> SendEvidence:
    return SendEvidence(SendPhase.ANSWERED, http_status=200, report=report)
