"""The sanity gate: which prints and quotes may be believed. It delays, it never swallows."""

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from trading.domain.market import MarketTrade, PriceSource, Quote
from trading.domain.money import ONE, ZERO
from trading.market.settings import SanitySettings

_INFINITE = Decimal("Infinity")
# Two prices of the calm differ by a little more than twice its width: that, with room to spare,
# must be less than either limit.
_CALM_SHARE = Decimal("0.25")


@dataclass(frozen=True, slots=True)
class Dropped:
    """A print that was held and then contradicted, and by what."""

    trade: MarketTrade
    reference: Decimal
    contradicted_by: str


class SanityGate:
    """The gate of one symbol.

    Not finite, not above 0 and crossed books are dropped at once. What jumps too far is held, and
    believed as soon as a second print, the book or a REST read agrees, or when nothing has
    contradicted it for `believed_after_s`; contradicted, it is dropped. What is accepted late waits
    in `released`, what is dropped in `dropped`, for the owner to take.
    """

    __slots__ = (
        "_calm_high",
        "_calm_low",
        "_calm_width",
        "_high",
        "_is_band_old",
        "_low",
        "_near_high",
        "_near_low",
        "_quote",
        "_settings",
        "dropped",
        "held",
        "held_quote",
        "held_quote_since_s",
        "held_since_s",
        "quarantined",
        "reference",
        "released",
    )

    def __init__(self, settings: SanitySettings) -> None:
        self._settings = settings
        # The last accepted price. Whoever has just been told to believe a book may set it to the
        # middle of that, which lies in the calm as both of its ends do; other prices `refer` takes.
        self.reference: Decimal | None = None
        self._quote: Quote | None = None
        self._low = ZERO
        self._high = _INFINITE
        self._near_low = ZERO
        self._near_high = _INFINITE
        self._is_band_old = False
        # Prices that the band has room for however it moves, as long as the last price and the
        # book stay among them, too: there most ticks are, and they need no new band.
        self._calm_low = _INFINITE
        self._calm_high = ZERO
        self._calm_width = min(settings.jump_max, settings.outside_book_max) * _CALM_SHARE
        self.held: list[MarketTrade] = []
        self.held_since_s = 0.0
        self.held_quote: Quote | None = None
        self.held_quote_since_s = 0.0
        self.released: list[MarketTrade | Quote] = []
        self.dropped: list[Dropped] = []
        self.quarantined = 0

    def is_holding(self) -> bool:
        """Whether something waits for agreement, contradiction or its time."""
        return bool(self.held) or self.held_quote is not None

    def refer(self, price: Decimal) -> None:
        """Take a price, such as the mid of a book that stands, as the last accepted one."""
        self.reference = price
        self._is_band_old = True
        if not self._calm_low <= price <= self._calm_high:
            self._unsettle()

    def take_trade(self, trade: MarketTrade) -> bool:
        """Whether a print is believed now."""
        price = trade.price
        if not price.is_finite() or price <= 0:
            self.quarantined += 1
            return False
        is_waiting = self.held or self.held_quote is not None
        if not is_waiting and self._calm_low <= price <= self._calm_high:
            self.reference = price
            self._is_band_old = True
            return True
        if self._is_band_old:
            self._make_band()
        if not self._low <= price <= self._high:
            return self._judge_trade(trade)
        if is_waiting:
            self._contradict_by_trade(trade)
        self.refer(price)
        return True

    def take_quote(self, quote: Quote) -> bool:
        """Whether a book's best prices are believed now."""
        bid, ask = quote.bid, quote.ask
        try:
            is_calm = self._calm_low <= bid < ask <= self._calm_high
        except InvalidOperation:
            # What is no number has no order.
            is_calm = False
        if is_calm and not self.held:
            self._quote = quote
            self._is_band_old = True
            self.held_quote = None
            return True
        if not (bid.is_finite() and ask.is_finite()) or bid <= 0 or bid >= ask:
            self.quarantined += 1
            return False
        if self._is_band_old:
            self._make_band()
        # Both inside is the usual case and needs no middle.
        is_inside = self._near_low <= bid and ask <= self._near_high
        if not is_inside and not self._near_low <= quote.mid <= self._near_high:
            return self._judge_quote(quote)
        self._quote = quote
        self._is_band_old = True
        if not (self._calm_low <= bid and ask <= self._calm_high):
            self._unsettle()
        self.held_quote = None
        if self.held:
            self._resolve_by_quote(quote)
        return True

    def poll(self, now_s: float) -> None:
        """Believe what nothing has contradicted for long enough."""
        limit_s = self._settings.believed_after_s
        if self.held and now_s - self.held_since_s >= limit_s:
            self._believe(self.held[-1].price)
        quote = self.held_quote
        if quote is not None and now_s - self.held_quote_since_s >= limit_s:
            self._release_quote(quote)

    def due_s(self) -> float | None:
        """The monotonic time at which `poll` would believe something; None when nothing waits."""
        times = [self.held_since_s] if self.held else []
        if self.held_quote is not None:
            times.append(self.held_quote_since_s)
        return min(times) + self._settings.believed_after_s if times else None

    def _make_band(self) -> None:
        self._is_band_old = False
        low, high = ZERO, _INFINITE
        reference = self.reference
        if reference is not None:
            low = reference * (ONE - self._settings.jump_max)
            high = reference * (ONE + self._settings.jump_max)
        self._near_low, self._near_high = low, high
        quote = self._quote
        if quote is not None:
            low = max(low, quote.bid * (ONE - self._settings.outside_book_max))
            high = min(high, quote.ask * (ONE + self._settings.outside_book_max))
        self._low, self._high = low, high
        if reference is not None and self._calm_low > self._calm_high:
            self._settle(reference)

    def _settle(self, reference: Decimal) -> None:
        low = reference * (ONE - self._calm_width)
        high = reference * (ONE + self._calm_width)
        quote = self._quote
        if quote is None or (low <= quote.bid and quote.ask <= high):
            self._calm_low, self._calm_high = low, high

    def _unsettle(self) -> None:
        self._is_band_old = True
        self._calm_low, self._calm_high = _INFINITE, ZERO

    def _judge_trade(self, trade: MarketTrade) -> bool:
        quote = self.held_quote or self._quote
        is_agreed = any(self._agrees(trade, held) for held in self.held) or (
            quote is not None and self._is_in_book(trade.price, quote)
        )
        if is_agreed:
            self._believe(trade.price)
            return True
        if not self.held:
            self.held_since_s = trade.received_s
        self.held.append(trade)
        del self.held[: -self._settings.held_max]
        return False

    def _judge_quote(self, quote: Quote) -> bool:
        if any(self._is_in_book(held.price, quote) for held in self.held):
            self._quote = quote
            self._believe(self.held[-1].price)
            return True
        held = self.held_quote
        # One source repeating itself is no second one.
        if (
            held is not None
            and held.source is not quote.source
            and self._is_near(held.mid, quote.mid)
        ):
            self._release_quote(quote)
            return True
        if held is None:
            self.held_quote_since_s = quote.received_s
        self.held_quote = quote
        return False

    def _agrees(self, trade: MarketTrade, held: MarketTrade) -> bool:
        is_same_print = (trade.event_time_ms, trade.price, trade.quantity) == (
            held.event_time_ms,
            held.price,
            held.quantity,
        )
        if is_same_print and trade.source is held.source:
            return False
        return abs(trade.price - held.price) <= held.price * self._settings.agreement_max

    def _is_near(self, price: Decimal, reference: Decimal) -> bool:
        return abs(price - reference) <= reference * self._settings.jump_max

    def _is_in_book(self, price: Decimal, quote: Quote) -> bool:
        share = self._settings.outside_book_max
        return quote.bid * (ONE - share) <= price <= quote.ask * (ONE + share)

    def _contradict_by_trade(self, trade: MarketTrade) -> None:
        # A print that is older than what is held says nothing about it.
        kept = [held for held in self.held if held.event_time_ms > trade.event_time_ms]
        self._drop([held for held in self.held if held not in kept], trade.price, "a newer print")
        self.held = kept
        quote = self.held_quote
        if quote is not None and quote.event_time_ms <= trade.event_time_ms:
            self.held_quote = None
            self.quarantined += 1

    def _resolve_by_quote(self, quote: Quote) -> None:
        agreed = [held for held in self.held if self._is_in_book(held.price, quote)]
        if agreed:
            self._believe(agreed[-1].price)
        elif quote.received_s - self.held_since_s >= self._settings.contradiction_after_s:
            source = "the book over REST" if quote.source is PriceSource.REST else "the book"
            self._drop(self.held, quote.mid, source)
            self.held = []

    def _drop(self, trades: list[MarketTrade], reference: Decimal, by: str) -> None:
        self.dropped += [Dropped(trade, reference, by) for trade in trades]
        self.quarantined += len(trades)

    def _believe(self, price: Decimal) -> None:
        reference = self.reference if self.reference is not None else price
        is_up = price > reference
        self.released += [held for held in self.held if (held.price > reference) == is_up]
        opposite = [held for held in self.held if (held.price > reference) != is_up]
        self._drop(opposite, price, "prints on the other side")
        self.held = []
        self.reference = price
        quote = self.held_quote
        if quote is not None and self._is_in_book(price, quote):
            self._quote, self.held_quote = quote, None
            self.released.append(quote)
        if self._quote is not None and not self._is_in_book(price, self._quote):
            # A book that the prints have left behind is no measure any more.
            self._quote = None
        self._unsettle()

    def _release_quote(self, quote: Quote) -> None:
        self._quote, self.held_quote = quote, None
        self.reference = quote.mid
        self._unsettle()
        self.released.append(quote)
