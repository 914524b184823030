"""The prices that decisions and people see: the watched market, or one read for who asks."""

from dataclasses import dataclass
from decimal import Decimal

from trading.domain.errors import Refused, Retryable
from trading.domain.market import Quote
from trading.market.engine import MarketEngine
from trading.ports.clock import Clock
from trading.ports.exchange import MarketFeed

_FRESH_S = 5.0
_INTEREST_S = 120.0


@dataclass(frozen=True, slots=True)
class _Read:
    price: Decimal
    quote: Quote | None
    at_s: float


class Prices:
    """Answers from the watched market; a symbol that somebody asks about is watched for a while."""

    def __init__(self, market: MarketEngine, feed: MarketFeed, clock: Clock) -> None:
        self._market = market
        self._feed = feed
        self._clock = clock
        self._reads: dict[str, _Read] = {}
        self._asked_s: dict[str, float] = {}

    def price(self, symbol: str) -> Decimal | None:
        """Return the decision price, or one that was read moments ago."""
        watched = self._market.price(symbol)
        if watched is not None and not self._market.is_stale(symbol):
            return watched
        read = self._fresh(symbol)
        return watched if read is None else read.price

    def known(self, symbol: str) -> Decimal:
        """Return the price; raises Refused without any."""
        price = self.price(symbol)
        if price is None:
            raise Refused(f"there is no price of {symbol} now; try again in a moment")
        return price

    def quote(self, symbol: str) -> Quote | None:
        """Return the watched book's top, or one that was read moments ago."""
        watched = self._market.quote(symbol)
        if watched is not None and not self._market.is_stale(symbol):
            return watched
        read = self._fresh(symbol)
        return None if read is None else read.quote

    def last_quote(self, symbol: str) -> tuple[Quote, float] | None:
        """Return the newest book's top, however old, and its age in seconds."""
        now_s = self._clock.monotonic()
        read = self._reads.get(symbol)
        found = [(self._market.quote(symbol), self._market.age_s(symbol))]
        found.append((read.quote, now_s - read.at_s) if read is not None else (None, None))
        known = [(quote, age_s) for quote, age_s in found if quote and age_s is not None]
        return min(known, key=lambda each: each[1], default=None)

    def age_s(self, symbol: str) -> float | None:
        """Return the age in seconds of what `price` returns; None without any."""
        read = self._fresh(symbol)
        age_s = self._market.age_s(symbol)
        return age_s if read is None else self._clock.monotonic() - read.at_s

    def newest(self, symbol: str) -> Decimal | None:
        """Return what was believed last: a print, or the middle of a book that is newer."""
        quote, trade = self.quote(symbol), self._market.last_trade(symbol)
        if quote is None:
            return None
        is_print_newer = trade is not None and trade.received_s > quote.received_s
        return trade.price if trade is not None and is_print_newer else quote.mid

    def is_stale(self, symbol: str) -> bool:
        """Whether neither the stream nor a read has told a price lately."""
        return self._fresh(symbol) is None and self._market.is_stale(symbol)

    async def look(self, symbol: str) -> None:
        """Make sure of a fresh price and book; raises Refused when the exchange tells none."""
        self._asked_s[symbol] = self._clock.monotonic()
        has_book = self._market.quote(symbol) is not None
        if (
            has_book
            and self._market.price(symbol) is not None
            and not self._market.is_stale(symbol)
        ):
            return
        try:
            await self.read(symbol)
        except Retryable as error:
            raise Refused(f"there is no fresh price of {symbol}: {error.words}") from error

    async def read(self, symbol: str) -> Decimal:
        """Read book and last print over REST; the middle of the book where none was ever made."""
        quote = await self._feed.quote(symbol)
        try:
            price = (await self._feed.last_trade(symbol)).price
        except Retryable:
            price = quote.mid
        self._reads[symbol] = _Read(price, quote, self._clock.monotonic())
        return price

    def asked(self) -> frozenset[str]:
        """Return the symbols that somebody asked about within the last two minutes."""
        now_s = self._clock.monotonic()
        self._asked_s = {
            symbol: at_s for symbol, at_s in self._asked_s.items() if now_s - at_s < _INTEREST_S
        }
        return frozenset(self._asked_s)

    def _fresh(self, symbol: str) -> _Read | None:
        read = self._reads.get(symbol)
        is_fresh = read is not None and self._clock.monotonic() - read.at_s <= _FRESH_S
        return read if is_fresh else None
