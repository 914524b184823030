"""The exchange as ports: its prices, its candles, and one account on it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from trading.domain.instrument import Instrument
from trading.domain.market import Candle, MarketTrade, OrderBook, Quote
from trading.domain.order import Fill, OrderReport, OrderRequest, SendEvidence
from trading.domain.position import Balance, Movement
from trading.domain.time import Timeframe


@dataclass(frozen=True, slots=True)
class KeyPermissions:
    """What the exchange lets this key do; not `is_told` is an exchange that keeps it to itself."""

    can_trade: bool
    can_withdraw: bool
    can_transfer: bool
    is_ip_restricted: bool
    can_borrow: bool = False
    is_told: bool = True


class MarketFeed(Protocol):
    """Public market data of one exchange."""

    @property
    def quotes_max(self) -> int:
        """How many symbols `quotes` takes; 1 where it is no cheaper than one by one."""
        ...

    async def instruments(self) -> Mapping[str, Instrument]:
        """Load every spot instrument with its rules; raises Unreachable."""
        ...

    async def quote(self, symbol: str) -> Quote:
        """Read best bid and ask over REST; raises Unreachable."""
        ...

    async def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        """Read best bid and ask of several symbols in one request over REST; raises Unreachable.

        A symbol whose answer cannot be believed is left out.
        """
        ...

    async def last_trade(self, symbol: str) -> MarketTrade:
        """Read the newest print over REST; raises Unreachable."""
        ...

    async def last_prices(self) -> Mapping[str, Decimal]:
        """Read the last price of every instrument in one request; raises Unreachable."""
        ...

    async def order_book(self, symbol: str, limit: int = 100) -> OrderBook:
        """Read depth over REST; raises Unreachable."""
        ...

    async def candles(
        self, symbol: str, timeframe: Timeframe, limit: int, since: datetime | None = None
    ) -> Sequence[Candle]:
        """Read candles over REST, oldest first, the running one last; raises Unreachable."""
        ...

    async def stream_market(
        self,
        symbols: frozenset[str],
        on_trade: Callable[[MarketTrade], None],
        on_quote: Callable[[Quote], None],
        on_ending: Callable[[], None] = lambda: None,
    ) -> None:
        """Stream prints and quotes of `symbols` into the callbacks until cancelled.

        The callbacks are plain calls on the loop, one per message; `on_ending` says that the other
        side will end this connection soon: another one should take over. Raises Unreachable when
        the connection is lost; the caller starts again with back-off.
        """
        ...


class CandleFeed(Protocol):
    """Candles of one exchange, as they run and as they were."""

    async def candles(
        self, symbol: str, timeframe: Timeframe, limit: int, since: datetime | None = None
    ) -> Sequence[Candle]:
        """Read candles over REST, oldest first, the running one last; raises Unreachable."""
        ...

    def candle_source(self, timeframe: Timeframe) -> Timeframe | None:
        """Return of which candles those of a length are made: themselves where there are any.

        None where the exchange has neither them nor shorter ones that they can be made of.
        """
        ...

    async def stream_candles(
        self,
        wanted: Mapping[str, frozenset[Timeframe]],
        on_candle: Callable[[str, Timeframe, Candle, int], None],
    ) -> None:
        """Stream candles, running and closed, into the callback until cancelled.

        The callback is a plain call on the loop with symbol, timeframe, candle and event time in
        milliseconds. Raises Unreachable when a connection is lost; the caller starts again with
        back-off.
        """
        ...


class ExchangeGateway(MarketFeed, CandleFeed, Protocol):
    """One account on one exchange."""

    @property
    def is_simulated(self) -> bool:
        """Whether no real money can move (loopback exchange or paper account)."""
        ...

    async def connect(self) -> None:
        """Load rules and measure the clock offset; raises Unreachable or AuthLost."""
        ...

    async def close(self) -> None:
        """Close every connection; ends within seconds."""
        ...

    async def account_id(self) -> str:
        """Return the exchange's id of this account; raises Unreachable or AuthLost."""
        ...

    async def delistings(self) -> Mapping[str, datetime]:
        """Read when which symbols stop being traded; empty where the venue does not tell."""
        ...

    async def permissions(self) -> KeyPermissions:
        """Read what the key may do; raises Unreachable or AuthLost."""
        ...

    async def clock_offset_ms(self) -> int:
        """Measure exchange time minus ours, from the quickest of a few samples."""
        ...

    async def balances(self) -> Mapping[str, Balance]:
        """Read all non-zero balances; an empty answer is Unreachable; raises AuthLost."""
        ...

    async def balances_by_stream(self) -> Mapping[str, Balance] | None:
        """Read the same over the account stream's connection, where another part answers.

        None where the exchange has no such way; raises Unreachable while the stream is not live.
        """
        ...

    async def submit(
        self, request: OrderRequest, durable: Awaitable[None] | None = None
    ) -> SendEvidence:
        """Send an order once and return everything observed; never raises for their part.

        With `durable` no byte leaves before that is done, and none if it is cancelled.
        """
        ...

    async def cancel(self, symbol: str, client_order_id: str) -> SendEvidence:
        """Ask to cancel once and return everything observed."""
        ...

    async def order(self, symbol: str, client_order_id: str) -> OrderReport | None:
        """Query one order; None only when the exchange says definitively that it does not exist."""
        ...

    async def open_orders(self, symbol: str | None = None) -> Sequence[OrderReport]:
        """Read open orders, foreign ones included; raises Unreachable."""
        ...

    async def orders_since(self, symbol: str, since: datetime) -> Sequence[OrderReport]:
        """Read all orders of a symbol since a time; raises Unreachable."""
        ...

    async def fills_since(self, symbol: str, since: datetime) -> Sequence[Fill]:
        """Read our executions of a symbol; `client_order_id` may be empty for foreign ones."""
        ...

    async def stream_account(
        self,
        on_report: Callable[[OrderReport], None],
        on_balance: Callable[[Balance], None],
        on_movement: Callable[[Movement], None] = lambda _movement: None,
    ) -> None:
        """Stream order reports and balances into the callbacks until cancelled.

        And what moves in or out without a trade, where the exchange tells it.
        """
        ...
