"""Binance spot over ccxt's transport: raw requests in exact digits, raw stream messages at once."""

import asyncio
import itertools
import json
import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any

from trading.domain.errors import Refused, Unreachable
from trading.domain.instrument import Instrument
from trading.domain.market import Candle, MarketTrade, OrderBook, PriceSource, Quote
from trading.domain.order import Fill, OrderReport, OrderRequest
from trading.domain.position import Balance, Movement
from trading.domain.time import Timeframe, to_ms
from trading.gateway.candle_stream import CandleStream, Series, TakeCandle, parts_of
from trading.gateway.client import Sessions, load_exchange, open_sessions, point
from trading.gateway.errors import LAST_ANSWER, Answer, code_of
from trading.gateway.portions import in_portions
from trading.gateway.settings import GatewaySettings
from trading.gateway.stream import AccountStream, MarketStream, all_until_one_ends
from trading.gateway.throttle import Urgency, Weight
from trading.gateway.translate import binance as translate
from trading.gateway.translate.values import Unusable, integer, mapping, sequence, text
from trading.gateway.venue import WEIGHTS
from trading.poison import InHand, Unmarked
from trading.ports.clock import Clock
from trading.ports.exchange import KeyPermissions
from trading.right_of_way import RightOfWay

logger = logging.getLogger(__name__)

_PAGE = 1000
_PAGES_MAX = 20
_NAMES_KEPT = 20_000
_UNKNOWN_ORDER = -2013
_MARKET_CALLS = frozenset(
    {"instruments", "last_trade", "last_prices", "order_book", "candles", "permissions"}
)
_PRICE_CALLS = frozenset({"quote", "quotes"})
_ACCOUNT_CALLS = frozenset({"orders_since", "fills_since"})
_OPTIONS: Mapping[str, Any] = {
    "defaultType": "spot",
    "fetchMarkets": {"types": ["spot"]},
    "fetchMargins": False,
    "adjustForTimeDifference": False,
    "timeDifference": 0,
    "maxRetriesOnFailure": 0,
}


class BinanceVenue:
    """Binance spot's dialect; also that of the simulated exchange."""

    def __init__(
        self,
        settings: GatewaySettings,
        clock: Clock,
        in_hand: InHand | None = None,
        way: RightOfWay | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._in_hand = in_hand or Unmarked()
        self._way = way or RightOfWay()
        self._exchange: Any = None
        self._sessions: Sessions | None = None
        self._instruments: dict[str, Instrument] = {}
        self._symbols: dict[str, str] = {}
        # Executions name orders by the exchange's id alone; these are the ids that we know.
        self._names: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._connections = itertools.count()
        self._requests = itertools.count(1)
        self._offset_ms = 0

    def weight(self, call: str) -> Weight:
        """Return what a call costs and what it is for."""
        if call in {"create", "cancel"}:
            return Weight(WEIGHTS[call], Urgency.ORDER)
        if call in _PRICE_CALLS:
            return Weight(WEIGHTS[call], Urgency.PRICE)
        if call in _MARKET_CALLS:
            return Weight(WEIGHTS[call], Urgency.MARKET)
        return Weight(WEIGHTS[call], Urgency.ACCOUNT if call in _ACCOUNT_CALLS else Urgency.EXIT)

    async def open(self) -> None:
        """Load the client library, once; no request yet."""
        if self._exchange is not None:
            return
        options = {**_OPTIONS, "recvWindow": self._settings.recv_window_ms}
        exchange = await asyncio.to_thread(load_exchange, self._settings, options)
        point(exchange, self._settings)
        exchange.sign = partial(_signed_in_the_address, exchange.sign)
        exchange.on_raw_message = self._on_message
        self._sessions = open_sessions(exchange, self._settings)
        self._exchange = exchange
        self._streams: dict[str, MarketStream | CandleStream | AccountStream] = {}

    async def close(self) -> None:
        """Close every connection."""
        if self._exchange is not None:
            await self._exchange.close()
            self._exchange = None
        if self._sessions is not None:
            await self._sessions.close()
            self._sessions = None

    def set_clock_offset(self, offset_ms: int) -> None:
        """Sign with the exchange's time from now on."""
        self._offset_ms = offset_ms
        self._api.options["timeDifference"] = -offset_ms

    @property
    def _api(self) -> Any:
        if self._exchange is None:
            raise Unreachable("the gateway is not connected")
        return self._exchange

    # ------------------------------------------------------------ public

    async def server_time_ms(self) -> int:
        """Read the exchange's clock."""
        return integer(mapping(await self._api.public_get_time(), "time"), "serverTime")

    async def instruments(self) -> Mapping[str, Instrument]:
        """Read all rules."""
        found = translate.instruments(await self._api.public_get_exchangeinfo())
        self._instruments = dict(found)
        self._symbols = {one.exchange_symbol: one.symbol for one in found.values()}
        return found

    async def quote(self, symbol: str) -> Quote:
        """Read best bid and ask."""
        said = await self._api.public_get_ticker_bookticker({"symbol": self._name(symbol)})
        return translate.quote(
            said, symbol, self._now_ms(), self._clock.monotonic(), PriceSource.REST
        )

    @property
    def quotes_max(self) -> int:
        """How many names an address has room for, by far."""
        return 100

    async def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        """Read best bid and ask of several symbols."""
        names = json.dumps([self._name(symbol) for symbol in symbols], separators=(",", ":"))
        said = await self._api.public_get_ticker_bookticker({"symbols": names})
        return translate.quotes(said, self._symbols.get, self._now_ms(), self._clock.monotonic())

    async def last_trade(self, symbol: str) -> MarketTrade:
        """Read the newest print."""
        said = await self._api.public_get_aggtrades({"symbol": self._name(symbol), "limit": 1})
        return translate.last_trade(said, symbol, self._clock.monotonic())

    async def last_prices(self) -> Mapping[str, Decimal]:
        """Read the last price of every instrument."""
        return translate.last_prices(await self._api.public_get_ticker_price(), self._symbols.get)

    async def order_book(self, symbol: str, limit: int) -> OrderBook:
        """Read depth."""
        said = await self._api.public_get_depth({"symbol": self._name(symbol), "limit": limit})
        return translate.order_book(said, symbol, self._now_ms())

    async def candles(
        self, symbol: str, timeframe: Timeframe, limit: int, since: datetime | None
    ) -> Sequence[Candle]:
        """Read candles."""
        asked: dict[str, Any] = {
            "symbol": self._name(symbol),
            "interval": timeframe.name,
            "limit": limit,
        }
        if since is not None:
            asked["startTime"] = to_ms(since)
        rows = sequence(await self._api.public_get_klines(asked), "klines")
        now_ms = self._now_ms()
        return await in_portions(rows, lambda some: translate.candles(some, now_ms))

    # ------------------------------------------------------------ account

    async def account_id(self) -> str:
        """Read the account's id."""
        return translate.account_id(await self._api.private_get_account({}))

    async def delistings(self) -> Mapping[str, datetime]:
        """Read when which symbols stop being traded."""
        said = await self._api.sapi_get_spot_delist_schedule({})
        return translate.delistings(said, self._symbols.get)

    async def permissions(self) -> KeyPermissions:
        """Read what the key may do."""
        return translate.permissions(await self._api.sapi_get_account_apirestrictions({}))

    async def balances(self) -> Mapping[str, Balance]:
        """Read all balances."""
        asked = {"omitZeroBalances": "true"}
        return translate.balances(await self._api.private_get_account(asked))

    async def balances_by_stream(self) -> Mapping[str, Balance]:
        """Read all balances over the connection of the account's stream."""
        url = self._account_url
        stream = self._streams.get(url)
        if not isinstance(stream, AccountStream):
            raise Unreachable("the account's stream is not connected")
        return translate.balances(await stream.ask(self._api, url, "account.status"))

    async def create(self, request: OrderRequest) -> OrderReport:
        """Send an order once."""
        parameters = translate.order_parameters(request, self._name(request.symbol))
        said = await self._api.private_post_order(parameters)
        return self._known(translate.order_report(said, request.symbol), request.client_order_id)

    async def cancel(self, symbol: str, client_order_id: str) -> OrderReport | None:
        """Ask to cancel once."""
        said = await self._api.private_delete_order(self._asked(symbol, client_order_id))
        return self._known(translate.order_report(said, symbol), client_order_id)

    async def order(self, symbol: str, client_order_id: str) -> OrderReport | None:
        """Query one order."""
        try:
            said = await self._api.private_get_order(self._asked(symbol, client_order_id))
        except Exception:
            if _is_unknown_order(LAST_ANSWER.get()):
                return None
            raise
        return self._known(translate.order_report(said, symbol), client_order_id)

    async def open_orders(self, symbol: str | None) -> Sequence[OrderReport]:
        """Read open orders."""
        asked = {"symbol": self._name(symbol)} if symbol is not None else {}
        rows = sequence(await self._api.private_get_openorders(asked), "openOrders")
        return [report for row in rows if (report := self._listed(row, symbol)) is not None]

    async def orders_since(self, symbol: str, since: datetime) -> Sequence[OrderReport]:
        """Read all orders since a time."""
        asked: dict[str, Any] = {"startTime": to_ms(since)}
        rows = await self._pages(self._api.private_get_allorders, symbol, asked, "orderId")
        return [report for row in rows if (report := self._listed(row, symbol)) is not None]

    async def fills_since(self, symbol: str, since: datetime) -> Sequence[Fill]:
        """Read executions since a time."""
        asked: dict[str, Any] = {"startTime": to_ms(since)}
        rows = await self._pages(self._api.private_get_mytrades, symbol, asked, "fromId")
        ids = [text(mapping(row, "trade"), "orderId") for row in rows]
        if any((symbol, each) not in self._names for each in ids):
            await self.orders_since(symbol, since)
        return [
            translate.fill(row, symbol, self._names.get((symbol, each), ""))
            for row, each in zip(rows, ids, strict=True)
        ]

    async def _pages(self, call: Any, symbol: str, asked: dict[str, Any], cursor: str) -> list[Any]:
        rows: list[Any] = []
        asked = {"symbol": self._name(symbol), "limit": _PAGE, **asked}
        for _ in range(_PAGES_MAX):
            page = sequence(await call(asked), "page")
            rows += page
            if len(page) < _PAGE:
                return rows
            key = "orderId" if cursor == "orderId" else "id"
            last = integer(mapping(page[-1], "row"), key)
            asked = {"symbol": self._name(symbol), "limit": _PAGE, cursor: last + 1}
        # Half a list would look like a whole one: missing must never mean absent.
        raise Unreachable(f"more than {_PAGES_MAX * _PAGE} rows of {symbol}")

    def _listed(self, row: object, symbol: str | None) -> OrderReport | None:
        source = mapping(row, "order")
        known = symbol or self._symbols.get(text(source, "symbol"))
        if known is None:
            return None
        report = translate.order_report(source, known)
        return self._known(report, report.client_order_id)

    def _asked(self, symbol: str, client_order_id: str) -> dict[str, str]:
        return {"symbol": self._name(symbol), "origClientOrderId": client_order_id}

    def _known(self, report: OrderReport, client_order_id: str) -> OrderReport:
        if report.client_order_id != client_order_id:
            raise Unusable(
                f"clientOrderId should be {client_order_id}, was {report.client_order_id}"
            )
        self._names[report.symbol, report.exchange_order_id] = client_order_id
        if len(self._names) > _NAMES_KEPT:
            self._names.popitem(last=False)
        return report

    def _name(self, symbol: str) -> str:
        instrument = self._instruments.get(symbol)
        if instrument is None:
            raise Refused(f"{symbol} is not traded on this exchange", example="BTC/USDT")
        return instrument.exchange_symbol

    def _now_ms(self) -> int:
        return to_ms(self._clock.now()) + self._offset_ms

    # ------------------------------------------------------------ streams

    def _on_message(self, client: Any, message: Any) -> bool:
        stream = self._streams.get(client.url)
        # What still arrives on a connection that is being closed is nobody's, the library's least.
        return stream is None or stream.take(message)

    async def stream_market(
        self,
        symbols: frozenset[str],
        on_trade: Callable[[MarketTrade], None],
        on_quote: Callable[[Quote], None],
        on_ending: Callable[[], None] = lambda: None,
    ) -> None:
        """Stream prints and quotes until the connection is lost."""
        url = f"{self._api.urls['api']['ws']['spot']}/{next(self._connections)}"
        names = {self._name(symbol): symbol for symbol in sorted(symbols)}
        stream = MarketStream(names, on_trade, on_quote, self._clock, self._now_ms, on_ending)
        stream.in_hand, stream.way = self._in_hand, self._way
        self._streams[url] = stream
        try:
            await stream.run(self._api, url, self._requests)
        finally:
            await self._drop(url)

    def candle_source(self, timeframe: Timeframe) -> Timeframe | None:
        """Binance has candles of every length."""
        return timeframe

    async def stream_candles(
        self, wanted: Mapping[str, frozenset[Timeframe]], on_candle: TakeCandle
    ) -> None:
        """Stream candles until one of their connections is lost."""
        series = {
            (known.exchange_symbol, timeframe.name): (symbol, timeframe)
            for symbol, timeframes in wanted.items()
            # One that is not traded must not cost the others theirs.
            if (known := self._instruments.get(symbol)) is not None
            for timeframe in timeframes
        }
        if not series:
            raise Unreachable("no candles to stream")
        await all_until_one_ends(
            *(self._stream_candles(part, on_candle) for part in parts_of(series))
        )

    async def _stream_candles(self, series: Series, on_candle: TakeCandle) -> None:
        url = f"{self._api.urls['api']['ws']['spot']}/{next(self._connections)}"
        stream = CandleStream(series, on_candle)
        stream.way = self._way
        self._streams[url] = stream
        try:
            await stream.run(self._api, url, self._requests)
        finally:
            await self._drop(url)

    async def stream_account(
        self,
        on_report: Callable[[OrderReport], None],
        on_balance: Callable[[Balance], None],
        on_movement: Callable[[Movement], None] = lambda _movement: None,
    ) -> None:
        """Stream reports, balances and movements until the connection is lost."""
        url = self._account_url

        def take(report: OrderReport) -> None:
            on_report(self._known(report, report.client_order_id))

        stream = AccountStream(self._symbols.get, take, on_balance, on_movement)
        stream.in_hand = self._in_hand
        self._streams[url] = stream
        try:
            await stream.run(self._api, url)
        finally:
            await self._drop(url)

    @property
    def _account_url(self) -> str:
        url: str = self._api.urls["api"]["ws"]["ws-api"]["spot"]
        return url

    async def _drop(self, url: str) -> None:
        self._streams.pop(url, None)
        if self._exchange is None:
            return
        client = self._exchange.clients.pop(url, None)
        if client is not None:
            await client.close()


def _is_unknown_order(seen: Answer | None) -> bool:
    if seen is None or not 400 <= seen.status < 500:
        return False
    return code_of(seen.body)[0] == _UNKNOWN_ORDER


def _signed_in_the_address(sign: Callable[..., dict[str, Any]], *asked: Any) -> dict[str, Any]:
    # The exchange takes both. The transport writes a body by a task of its own, and an order that
    # has none is on the wire a turn of the loop earlier (before Python 3.12).
    signed = sign(*asked)
    if signed["method"] == "POST" and isinstance(signed["body"], str):
        return {**signed, "url": f"{signed['url']}?{signed['body']}", "body": None}
    return signed
