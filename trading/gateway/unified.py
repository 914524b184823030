"""Other exchanges over ccxt's common methods: the general way, without the fast path of one.

Their refusals carry no codes that we have a table for, so a refused order is unknown until it is
proven absent: slower than on Binance, and never wrong.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from trading.candles.lengthening import from_shorter, shorter_needed, source_of
from trading.domain.errors import Refused, SettingsInvalid, Unreachable
from trading.domain.instrument import Instrument
from trading.domain.market import Candle, MarketTrade, OrderBook, PriceSource, Quote
from trading.domain.order import Fill, OrderReport, OrderRequest, OrderType
from trading.domain.position import Balance, Movement
from trading.domain.time import Timeframe, to_ms
from trading.gateway import library_candles
from trading.gateway.client import Sessions, load_exchange, open_sessions, point
from trading.gateway.errors import LAST_ANSWER, must_be_told
from trading.gateway.portions import in_portions
from trading.gateway.settings import GatewaySettings
from trading.gateway.stream import all_until_one_ends
from trading.gateway.throttle import Urgency, Weight
from trading.gateway.translate import unified as translate
from trading.gateway.translate.values import Unusable, sequence
from trading.gateway.venue import WEIGHTS
from trading.ports.clock import Clock
from trading.ports.exchange import KeyPermissions

logger = logging.getLogger(__name__)

_NAMES_KEPT = 20_000
_SEEN_KEPT = 10_000
# Without these, an order could be sent and never be found again.
_NEEDED = ("createOrder", "cancelOrder", "fetchOrder", "fetchOpenOrders", "fetchMyTrades")
_NEEDED_STREAMS = ("watchOrders", "watchTrades")
_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    # Spot alone, and nothing that asks for more rights than trading on it.
    "binance": {"fetchMarkets": {"types": ["spot"]}, "fetchMargins": False, "timeDifference": 0},
    "kucoin": {"uta": False, "fetchMarkets": {"types": ["spot"], "fetchTickersFees": False}},
}
# How an exchange is told where a stop fires, for those whose way through the library was read. By
# the wrong name some sell at once, and elsewhere a query by our id does not find one that is live.
_STOP_PRICE = {"binance": "triggerPrice"}
# What nearly every exchange tells at once.
_CANDLES_MAX = 300
_ID_LENGTH_MAX = {"kraken": 18, "okx": 32, "kucoin": 40}


class UnifiedVenue:
    """The common dialect."""

    def __init__(self, settings: GatewaySettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._exchange: Any = None
        self._sessions: Sessions | None = None
        self._instruments: dict[str, Instrument] = {}
        self._names: OrderedDict[str, str] = OrderedDict()
        self._offset_ms = 0

    def weight(self, call: str) -> Weight:
        """Return what a call costs and what it is for."""
        if call in {"create", "cancel"}:
            return Weight(WEIGHTS[call], Urgency.ORDER)
        # A past or a score can wait; whatever else is read may be for an exit.
        return Weight(WEIGHTS[call], Urgency.MARKET if call == "candles" else Urgency.EXIT)

    async def open(self) -> None:
        """Load the client library, once; no request yet."""
        if self._exchange is not None:
            return
        options = {
            "defaultType": "spot",
            "maxRetriesOnFailure": 0,
            "warnOnFetchOpenOrdersWithoutSymbol": False,
            "recvWindow": self._settings.recv_window_ms,
            **_OPTIONS.get(self._settings.exchange_id, {}),
        }
        exchange = await asyncio.to_thread(load_exchange, self._settings, options)
        lacking = [each for each in (*_NEEDED, *_NEEDED_STREAMS) if not exchange.has.get(each)]
        if lacking:
            raise SettingsInvalid(
                f"UMBRA_EXCHANGE_ID: {self._settings.exchange_id} lacks {', '.join(lacking)}, "
                "without which orders cannot be proven; for example: binance"
            )
        # Numbers stay text, so that no digit is lost on the way.
        exchange.number = str
        exchange.has["fetchCurrencies"] = False
        point(exchange, self._settings)
        self._sessions = open_sessions(exchange, self._settings)
        self._exchange = exchange

    async def close(self) -> None:
        """Close every connection."""
        if self._exchange is not None:
            await self._exchange.close()
            self._exchange = None
        if self._sessions is not None:
            await self._sessions.close()
            self._sessions = None

    def set_clock_offset(self, offset_ms: int) -> None:
        """Sign with the exchange's time from now on, where the library lets us."""
        self._offset_ms = offset_ms
        if "timeDifference" in self._api.options:
            self._api.options["timeDifference"] = -offset_ms

    @property
    def _api(self) -> Any:
        if self._exchange is None:
            raise Unreachable("the gateway is not connected")
        return self._exchange

    async def server_time_ms(self) -> int:
        """Read the exchange's clock; one that shows none counts as ours."""
        if not self._api.has.get("fetchTime"):
            return to_ms(self._clock.now())
        return int(await self._api.fetch_time())

    async def instruments(self) -> Mapping[str, Instrument]:
        """Read all rules."""
        markets = await self._api.load_markets(True)
        found = translate.instruments(markets, int(self._api.precisionMode))
        self._instruments = dict(found)
        return found

    async def quote(self, symbol: str) -> Quote:
        """Read best bid and ask."""
        said = await self._api.fetch_ticker(symbol)
        return translate.quote(said, self._now_ms(), self._clock.monotonic(), PriceSource.REST)

    @property
    def quotes_max(self) -> int:
        """Not every exchange tells several at once."""
        return 1

    async def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        """Read best bid and ask, one by one."""
        return {symbol: await self.quote(symbol) for symbol in symbols}

    async def last_trade(self, symbol: str) -> MarketTrade:
        """Read the newest print."""
        listed = sequence(await self._api.fetch_trades(symbol, None, 1), "trades")
        if not listed:
            raise Unusable("trades should list the newest print, listed none")
        return translate.trade(listed[-1], self._clock.monotonic(), PriceSource.REST)

    async def last_prices(self) -> Mapping[str, Decimal]:
        """Read the last price of every instrument."""
        if not self._api.has.get("fetchTickers"):
            raise Unusable(f"{self._settings.exchange_id} does not tell all prices at once")
        return translate.last_prices(await self._api.fetch_tickers())

    async def order_book(self, symbol: str, limit: int) -> OrderBook:
        """Read depth."""
        said = await self._api.fetch_order_book(symbol, limit)
        return translate.order_book(said, symbol, self._now_ms())

    async def candles(
        self, symbol: str, timeframe: Timeframe, limit: int, since: datetime | None
    ) -> Sequence[Candle]:
        """Read candles; what the exchange lacks is made of shorter ones."""
        source = self.candle_source(timeframe)
        if source is None:
            raise Refused(
                f"{self._settings.exchange_id} has no {timeframe.name} candles, nor shorter ones "
                "to make them of"
            )
        if source == timeframe:
            return await self._candles(symbol, timeframe, limit, since)
        needed = shorter_needed(limit, source.length_ms, timeframe.length_ms)
        told = await self._candles(symbol, source, min(needed, self._candles_max(symbol)), since)
        return from_shorter(told, source.length_ms, timeframe.length_ms, self._now_ms())

    def candle_source(self, timeframe: Timeframe) -> Timeframe | None:
        """Return of which candles those of a length are made, None where of none."""
        # Before it is connected nothing is known to lack.
        names = self._exchange.timeframes if self._exchange is not None else {timeframe.name: ""}
        return source_of(timeframe, names or {})

    async def _candles(
        self, symbol: str, timeframe: Timeframe, limit: int, since: datetime | None
    ) -> Sequence[Candle]:
        since_ms = to_ms(since) if since is not None else None
        rows = await self._api.fetch_ohlcv(symbol, timeframe.name, since_ms, limit)
        must_be_told(rows, LAST_ANSWER.get(), "candles")
        now_ms, length_ms = self._now_ms(), timeframe.length_ms
        told = sequence(rows, "candles")
        return await in_portions(told, lambda some: translate.candles(some, length_ms, now_ms))

    def _candles_max(self, symbol: str) -> int:
        told = self._api.feature_value(symbol, "fetchOHLCV", "limit") or _CANDLES_MAX
        return int(told)

    async def account_id(self) -> str:
        """Name the account by its key: the common methods know no other name."""
        return f"{self._settings.exchange_id}:{self._settings.api_key[:6]}"

    async def delistings(self) -> Mapping[str, datetime]:
        """The common methods do not tell."""
        return {}

    async def permissions(self) -> KeyPermissions:
        """The common methods cannot tell, so nothing good is assumed."""
        return KeyPermissions(
            can_trade=True,
            can_withdraw=True,
            can_transfer=True,
            is_ip_restricted=False,
            is_told=False,
        )

    async def balances(self) -> Mapping[str, Balance]:
        """Read all balances."""
        return translate.balances(await self._api.fetch_balance())

    async def balances_by_stream(self) -> None:
        """Nothing: the library asks for balances in one way."""

    async def create(self, request: OrderRequest) -> OrderReport:
        """Send an order once."""
        most = _ID_LENGTH_MAX.get(self._settings.exchange_id, 36)
        if len(request.client_order_id) > most:
            raise Refused(f"client order id should have at most {most} characters on this exchange")
        instrument = self._instruments.get(request.symbol)
        if instrument is None:
            raise Refused(f"{request.symbol} is not traded on this exchange", example="BTC/USDT")
        if not _fits(request, instrument):
            # The library would round it to something that nobody decided.
            price = request.stop_price or request.price
            raise Refused(f"{request.quantity} at {price} does not fit the order rules")
        parameters = self._parameters(request)
        said = await self._api.create_order(
            request.symbol,
            "limit" if request.order_type is OrderType.LIMIT else "market",
            request.side.value,
            format(request.quantity, "f"),
            format(request.price, "f") if request.price is not None else None,
            parameters,
        )
        return self._known(translate.order_report(said, request.client_order_id))

    def _parameters(self, request: OrderRequest) -> dict[str, Any]:
        parameters: dict[str, Any] = {"clientOrderId": request.client_order_id}
        if request.order_type is OrderType.LIMIT:
            parameters["timeInForce"] = request.time_in_force.value.upper()
        if request.order_type is not OrderType.STOP_LOSS:
            return parameters
        name = _STOP_PRICE.get(self._settings.exchange_id)
        if name is None or request.stop_price is None:
            raise Refused(
                "a stop on the exchange should have a stop price and be for"
                f" {' or '.join(_STOP_PRICE)}, was for {self._settings.exchange_id}"
                f" at {request.stop_price}"
            )
        return {**parameters, name: format(request.stop_price, "f")}

    async def cancel(self, symbol: str, client_order_id: str) -> OrderReport | None:
        """Ask to cancel once; what came of it is for a query to tell."""
        await self._api.cancel_order(None, symbol, {"clientOrderId": client_order_id})
        return await self.order(symbol, client_order_id)

    async def order(self, symbol: str, client_order_id: str) -> OrderReport | None:
        """Query one order."""
        import ccxt

        try:
            said = await self._api.fetch_order(None, symbol, {"clientOrderId": client_order_id})
        except ccxt.OrderNotFound:
            return None
        return self._known(translate.order_report(said, client_order_id))

    async def open_orders(self, symbol: str | None) -> Sequence[OrderReport]:
        """Read open orders."""
        rows = sequence(await self._api.fetch_open_orders(symbol), "orders")
        return [self._known(translate.order_report(row)) for row in rows]

    async def orders_since(self, symbol: str, since: datetime) -> Sequence[OrderReport]:
        """Read all orders since a time, by whichever method the exchange has."""
        if self._api.has.get("fetchOrders"):
            rows = sequence(await self._api.fetch_orders(symbol, to_ms(since)), "orders")
        else:
            closed = await self._api.fetch_closed_orders(symbol, to_ms(since))
            rows = [*sequence(closed, "orders"), *await self._api.fetch_open_orders(symbol)]
        return [self._known(translate.order_report(row)) for row in rows]

    async def fills_since(self, symbol: str, since: datetime) -> Sequence[Fill]:
        """Read executions since a time."""
        rows = sequence(await self._api.fetch_my_trades(symbol, to_ms(since)), "trades")
        if any(row.get("order") not in self._names for row in rows):
            await self.orders_since(symbol, since)
        return [translate.fill(row, lambda each: self._names.get(each, "")) for row in rows]

    def _known(self, report: OrderReport) -> OrderReport:
        if report.client_order_id:
            self._names[report.exchange_order_id] = report.client_order_id
            if len(self._names) > _NAMES_KEPT:
                self._names.popitem(last=False)
        return report

    def _now_ms(self) -> int:
        return to_ms(self._clock.now()) + self._offset_ms

    # ------------------------------------------------------------ streams

    async def stream_market(
        self,
        symbols: frozenset[str],
        on_trade: Callable[[MarketTrade], None],
        on_quote: Callable[[Quote], None],
        on_ending: Callable[[], None] = lambda: None,
    ) -> None:
        """Stream prints and quotes until the connection is lost."""

        def trades(listed: Any) -> None:
            received_s = self._clock.monotonic()
            for each in sequence(listed, "trades"):
                on_trade(translate.trade(each, received_s, PriceSource.STREAM))

        def quotes(listed: Any) -> None:
            received_s = self._clock.monotonic()
            for each in listed.values() if "symbol" not in listed else [listed]:
                on_quote(translate.quote(each, self._now_ms(), received_s, PriceSource.STREAM))

        names = sorted(symbols)
        await all_until_one_ends(
            _watch(lambda: self._api.watch_trades_for_symbols(names), trades),
            _watch(lambda: self._api.watch_bids_asks(names), quotes),
        )

    async def stream_candles(
        self,
        wanted: Mapping[str, frozenset[Timeframe]],
        on_candle: Callable[[str, Timeframe, Candle, int], None],
    ) -> None:
        """Stream candles until the connection is lost; silent where the library has no stream."""
        # Books and connections of its own: no quote waits behind a candle.
        exchange = await asyncio.to_thread(load_exchange, self._settings, self._api.options)
        exchange.number = str
        point(exchange, self._settings)
        exchange.set_markets_from_exchange(self._api)
        if self._sessions is not None:
            self._sessions.serve(exchange)
        known = {
            symbol: several for symbol, several in wanted.items() if symbol in exchange.markets
        }
        try:
            await library_candles.stream(exchange, known, on_candle, self._now_ms)
        finally:
            await exchange.close()

    async def stream_account(
        self,
        on_report: Callable[[OrderReport], None],
        on_balance: Callable[[Balance], None],
        on_movement: Callable[[Movement], None] = lambda _movement: None,
    ) -> None:
        """Stream reports and balances until the connection is lost; it knows no movements."""

        del on_movement

        def orders(listed: Any) -> None:
            for each in sequence(listed, "orders"):
                on_report(self._known(translate.order_report(each)))

        def balances(said: Any) -> None:
            for balance in translate.balances(said).values():
                on_balance(balance)

        await all_until_one_ends(
            _watch(self._api.watch_orders, orders),
            _watch(self._api.watch_balance, balances),
        )


def _fits(request: OrderRequest, instrument: Instrument) -> bool:
    prices = (request.price, request.stop_price)
    is_on_tick = all(price is None or instrument.price_down(price) == price for price in prices)
    return is_on_tick and instrument.quantity(request.quantity) == request.quantity


async def _watch(next_batch: Callable[[], Awaitable[Any]], take: Callable[[Any], None]) -> None:
    while True:
        batch = await next_batch()
        try:
            take(batch)
        except Unusable as error:
            logger.warning("message_unusable", extra={"error": str(error)})
