"""Which price decides: the last print, or the middle of a sane book when no print came."""

from dataclasses import replace
from decimal import Decimal

from trading.domain.making import maker
from trading.domain.market import MarketTrade, Observation, Quote
from trading.domain.money import ONE
from trading.market.settings import MarketSettings

_HALF = Decimal("0.5")
_observation = maker(Observation)


class DecisionPrice:
    """The prices of one symbol that passed the gate, made into observations."""

    __slots__ = ("_fresh_s", "_is_mid_due", "_ratio_max", "mid", "price", "quote", "trade")

    def __init__(self, settings: MarketSettings) -> None:
        self._ratio_max = ONE + settings.spread_max
        self._fresh_s = settings.trade_fresh_s
        self._is_mid_due = False
        self.trade: MarketTrade | None = None
        self.quote: Quote | None = None
        self.mid: Decimal | None = None
        self.price: Decimal | None = None

    def on_trade(self, trade: MarketTrade) -> Observation:
        """Take a print: it decides."""
        self.trade = trade
        self.price = trade.price
        self._is_mid_due = False
        quote = self.quote
        return _observation(
            trade.symbol,
            trade.price,
            trade.price,
            quote.bid if quote is not None else None,
            quote.ask if quote is not None else None,
            self.mid,
            trade.event_time_ms,
            trade.received_s,
            trade.source,
            True,
        )

    def on_quote(self, quote: Quote) -> Observation:
        """Take a book: its middle decides when no print came for a second and it is sane."""
        self.quote = quote
        bid, ask, received_s = quote.bid, quote.ask, quote.received_s
        # The spread is a share of the bid, and half is a factor: no division in the hot path.
        self.mid = mid = (bid + ask) * _HALF if ask <= bid * self._ratio_max else None
        price, last, is_mid_due = mid, None, False
        trade = self.trade
        if trade is not None:
            last = trade.price
            if mid is not None and received_s - trade.received_s < self._fresh_s:
                price, is_mid_due = None, True
        self._is_mid_due = is_mid_due
        if price is not None:
            self.price = price
        return _observation(
            quote.symbol,
            price,
            last,
            bid,
            ask,
            mid,
            quote.event_time_ms,
            received_s,
            quote.source,
            False,
        )

    def on_apart(self, quote: Quote) -> Observation:
        """Take a book that has contradicted the stream for long: it decides beside the prints."""
        observation = self.on_quote(quote)
        if self.mid is None or observation.price is not None:
            return observation
        self._is_mid_due = False
        self.price = self.mid
        return replace(observation, price=self.mid)

    def touch(self) -> Quote | None:
        """Return the book that an order would meet: a newer print above the ask has taken it.

        The stream tells of a print before it tells of the book that the print left behind.
        """
        quote, trade = self.quote, self.trade
        if quote is None or trade is None or trade.price <= quote.ask:
            return quote
        return replace(quote, ask=trade.price) if trade.received_s > quote.received_s else quote

    def on_time(self, now_s: float) -> Observation | None:
        """Let the standing book decide once its last print is a second old."""
        quote, trade = self.quote, self.trade
        if not self._is_mid_due or quote is None or trade is None or self.mid is None:
            return None
        if now_s - trade.received_s < self._fresh_s:
            return None
        self._is_mid_due = False
        self.price = self.mid
        return _observation(
            quote.symbol,
            self.mid,
            trade.price,
            quote.bid,
            quote.ask,
            self.mid,
            quote.event_time_ms,
            quote.received_s,
            quote.source,
            False,
        )
