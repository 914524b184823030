"""The prices that decisions and people see: the watched market, or one read for who asks."""

from decimal import Decimal

from trading.domain.errors import Refused, Unreachable
from trading.domain.market import Quote
from trading.market.engine import MarketEngine
from trading.ports import Clock, MarketFeed

_FRESH_S = 5.0
_INTEREST_S = 120.0


class Prices:
    """Answers from the watched market; a symbol that somebody asks about is watched for a while."""

    def __init__(self, market: MarketEngine, feed: MarketFeed, clock: Clock) -> None:
        self._market = market
        self._feed = feed
        self._clock = clock
        self._read: dict[str, tuple[Decimal, float]] = {}
        self._asked_s: dict[str, float] = {}

    def price(self, symbol: str) -> Decimal | None:
        """Return the decision price, or one that was read moments ago."""
        watched = self._market.price(symbol)
        if watched is not None and not self._market.is_stale(symbol):
            return watched
        read = self._read.get(symbol)
        if read is not None and self._clock.monotonic() - read[1] <= _FRESH_S:
            return read[0]
        return watched

    def known(self, symbol: str) -> Decimal:
        """Return the price; raises Refused without any."""
        price = self.price(symbol)
        if price is None:
            raise Refused(f"there is no price of {symbol} now; try again in a moment")
        return price

    def quote(self, symbol: str) -> Quote | None:
        """Return the watched book's top unless it is stale."""
        return None if self._market.is_stale(symbol) else self._market.quote(symbol)

    def is_stale(self, symbol: str) -> bool:
        """Whether neither the stream nor a read has told a price lately."""
        read = self._read.get(symbol)
        is_read = read is not None and self._clock.monotonic() - read[1] <= _FRESH_S
        return not is_read and self._market.is_stale(symbol)

    async def look(self, symbol: str) -> None:
        """Make sure of a fresh price; raises Refused when the exchange does not tell one."""
        self._asked_s[symbol] = self._clock.monotonic()
        if self._market.price(symbol) is not None and not self._market.is_stale(symbol):
            return
        try:
            await self.read(symbol)
        except Unreachable as error:
            raise Refused(f"there is no fresh price of {symbol}: {error}") from error

    async def read(self, symbol: str) -> Decimal:
        """Read the last print over REST, or the middle of the book where none was ever made."""
        try:
            price = (await self._feed.last_trade(symbol)).price
        except Unreachable:
            price = (await self._feed.quote(symbol)).mid
        self._read[symbol] = (price, self._clock.monotonic())
        return price

    def asked(self) -> frozenset[str]:
        """Return the symbols that somebody asked about within the last two minutes."""
        now_s = self._clock.monotonic()
        self._asked_s = {
            symbol: at_s for symbol, at_s in self._asked_s.items() if now_s - at_s < _INTEREST_S
        }
        return frozenset(self._asked_s)
