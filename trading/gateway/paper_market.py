"""The live market on paper: its quotes, prints and depth move the simulated exchange."""

import asyncio
import logging
from decimal import Decimal

from trading.domain.errors import Retryable, Unreachable
from trading.domain.market import BookLevel, MarketTrade, Quote
from trading.domain.order import Side
from trading.domain.time import to_ms
from trading.ports.clock import Clock
from trading.ports.exchange import ExchangeGateway
from trading.sim.exchange import Exchange

logger = logging.getLogger(__name__)
_DEPTH = 100


class PaperMarket:
    """Shows an exchange what happens on the market of `feed`, for as long as something rests."""

    def __init__(self, feed: ExchangeGateway, exchange: Exchange, clock: Clock) -> None:
        self._feed = feed
        self._exchange = exchange
        self._clock = clock
        self._quotes: dict[str, Quote] = {}
        self._firing: dict[str, asyncio.Task[None]] = {}

    def take_quote(self, quote: Quote) -> None:
        """Let a quote move what rests."""
        self._quotes[quote.symbol] = quote
        # Only what rests needs a new book; everything else reads depth when it is sent.
        if self._exchange.open_orders(quote.symbol) and not quote.is_crossed:
            self._exchange.refresh(
                quote.symbol,
                [BookLevel(quote.bid, quote.bid_quantity)],
                [BookLevel(quote.ask, quote.ask_quantity)],
                self._now_ms(),
            )

    def take_trade(self, trade: MarketTrade) -> None:
        """Let a print fill what rests, or fire a stop that it reaches."""
        if not self._exchange.open_orders(trade.symbol):
            return
        if self._exchange.books[trade.symbol].reaches_stop(trade.price):
            if trade.symbol not in self._firing:
                task = asyncio.get_running_loop().create_task(self._fire(trade))
                self._firing[trade.symbol] = task
            return
        self._print(trade)

    async def _fire(self, trade: MarketTrade) -> None:
        # A stop takes from the whole book; what quotes showed of it is one level.
        try:
            await self.show_depth(trade.symbol)
        except Retryable as error:
            logger.warning("paper_stop_without_depth", extra={"error": str(error)})
        finally:
            self._firing.pop(trade.symbol, None)
        self._print(trade)

    def _print(self, trade: MarketTrade) -> None:
        quote = self._quotes.get(trade.symbol)
        is_sale = quote is not None and trade.price <= quote.bid
        aggressor = Side.SELL if is_sale else Side.BUY
        self._exchange.trade(trade.symbol, trade.price, trade.quantity, aggressor, self._now_ms())

    async def show_depth(self, symbol: str) -> Decimal:
        """Show the live book of this moment; returns the price in its middle. Raises Retryable."""
        book = await self._feed.order_book(symbol, _DEPTH)
        if not book.bids or not book.asks:
            raise Unreachable(f"the book of {symbol} has an empty side")
        self._exchange.refresh(symbol, book.bids, book.asks, self._now_ms())
        return (book.bids[0].price + book.asks[0].price) / 2

    async def close(self) -> None:
        """End what still fires."""
        firing = list(self._firing.values())
        for task in firing:
            task.cancel()
        await asyncio.gather(*firing, return_exceptions=True)
        self._firing.clear()

    def _now_ms(self) -> int:
        return to_ms(self._clock.now())
