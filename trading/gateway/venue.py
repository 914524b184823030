"""What a gateway asks of one exchange's dialect: each call one request, raw failures and all."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from trading.domain.instrument import Instrument
from trading.domain.market import Candle, MarketTrade, OrderBook, Quote
from trading.domain.order import Fill, OrderReport, OrderRequest
from trading.domain.position import Balance, Movement
from trading.domain.time import Timeframe
from trading.gateway.throttle import Weight
from trading.ports.exchange import KeyPermissions

# Of every dialect; costs are Binance's, which is the strictest accountant.
WEIGHTS: Mapping[str, int] = {
    "instruments": 20,
    "server_time": 1,
    "quote": 2,
    "quotes": 4,
    "last_trade": 4,
    "last_prices": 4,
    "order_book": 5,
    "candles": 2,
    "account_id": 20,
    "permissions": 1,
    "balances": 20,
    "balances_by_stream": 20,
    "create": 1,
    "cancel": 1,
    "order": 4,
    "open_orders": 6,
    "orders_since": 20,
    "fills_since": 20,
}


class Venue(Protocol):
    """One exchange's dialect; answers that cannot be believed raise Unusable."""

    @property
    def quotes_max(self) -> int:
        """How many symbols `quotes` takes; 1 where it is no cheaper than one by one."""
        ...

    def weight(self, call: str) -> Weight:
        """Return what a call costs and what it is for."""
        ...

    async def open(self) -> None:
        """Load the client library; no request yet."""
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...

    def set_clock_offset(self, offset_ms: int) -> None:
        """Sign with the exchange's time from now on."""
        ...

    async def server_time_ms(self) -> int:
        """Read the exchange's clock."""
        ...

    async def instruments(self) -> Mapping[str, Instrument]:
        """Read all rules."""
        ...

    async def quote(self, symbol: str) -> Quote:
        """Read best bid and ask."""
        ...

    async def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        """Read best bid and ask of several symbols; those that cannot be believed are left out."""
        ...

    async def last_trade(self, symbol: str) -> MarketTrade:
        """Read the newest print."""
        ...

    async def last_prices(self) -> Mapping[str, Decimal]:
        """Read the last price of every instrument."""
        ...

    async def order_book(self, symbol: str, limit: int) -> OrderBook:
        """Read depth."""
        ...

    async def candles(
        self, symbol: str, timeframe: Timeframe, limit: int, since: datetime | None
    ) -> Sequence[Candle]:
        """Read candles."""
        ...

    async def account_id(self) -> str:
        """Read the account's id."""
        ...

    async def delistings(self) -> Mapping[str, datetime]:
        """Read when which symbols stop being traded."""
        ...

    async def permissions(self) -> KeyPermissions:
        """Read what the key may do."""
        ...

    async def balances(self) -> Mapping[str, Balance]:
        """Read all balances."""
        ...

    async def balances_by_stream(self) -> Mapping[str, Balance] | None:
        """Read all balances over the account stream's connection; None where there is no way."""
        ...

    async def create(self, request: OrderRequest) -> OrderReport:
        """Send an order once."""
        ...

    async def cancel(self, symbol: str, client_order_id: str) -> OrderReport | None:
        """Ask to cancel once."""
        ...

    async def order(self, symbol: str, client_order_id: str) -> OrderReport | None:
        """Query one order; None only on the exchange's definitive word."""
        ...

    async def open_orders(self, symbol: str | None) -> Sequence[OrderReport]:
        """Read open orders."""
        ...

    async def orders_since(self, symbol: str, since: datetime) -> Sequence[OrderReport]:
        """Read all orders since a time."""
        ...

    async def fills_since(self, symbol: str, since: datetime) -> Sequence[Fill]:
        """Read executions since a time."""
        ...

    async def stream_market(
        self,
        symbols: frozenset[str],
        on_trade: Callable[[MarketTrade], None],
        on_quote: Callable[[Quote], None],
        on_ending: Callable[[], None] = lambda: None,
    ) -> None:
        """Stream prints and quotes until the connection is lost."""
        ...

    def candle_source(self, timeframe: Timeframe) -> Timeframe | None:
        """Return of which candles those of a length are made, None where of none."""
        ...

    async def stream_candles(
        self,
        wanted: Mapping[str, frozenset[Timeframe]],
        on_candle: Callable[[str, Timeframe, Candle, int], None],
    ) -> None:
        """Stream candles until a connection is lost; where there is no such stream, stay silent."""
        ...

    async def stream_account(
        self,
        on_report: Callable[[OrderReport], None],
        on_balance: Callable[[Balance], None],
        on_movement: Callable[[Movement], None] = lambda _movement: None,
    ) -> None:
        """Stream reports, balances and movements until the connection is lost."""
        ...
