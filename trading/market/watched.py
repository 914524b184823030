"""One watched symbol: gate, decision price, age and tick buffer, kept together."""

from collections.abc import Callable

from trading.domain.market import MarketTrade, Observation, PriceSource, Quote
from trading.market.buffer import TickBuffer
from trading.market.decision import DecisionPrice
from trading.market.sanity import Dropped, SanityGate
from trading.market.settings import MarketSettings
from trading.market.staleness import Freshness
from trading.market.venue_clock import VenueClock

_NEVER_S = float("-inf")


class WatchedSymbol:
    """Takes what stream and REST say of a symbol and emits what may be believed."""

    __slots__ = (
        "_blind_since_s",
        "_emit",
        "_judged_s",
        "_settings",
        "baseline",
        "buffer",
        "disagrees_since_s",
        "fresh",
        "gate",
        "is_queued",
        "prices",
        "read_s",
        "symbol",
    )

    def __init__(
        self,
        symbol: str,
        settings: MarketSettings,
        now_s: float,
        emit: Callable[[Observation], None],
        venue: VenueClock | None = None,
    ) -> None:
        self.symbol = symbol
        self.gate = SanityGate(settings.sanity)
        self.prices = DecisionPrice(settings)
        self.fresh = Freshness(settings, now_s, venue)
        self.buffer = TickBuffer()
        self.baseline: Quote | None = None
        self.read_s = _NEVER_S
        self.is_queued = False
        self.disagrees_since_s: float | None = None
        # Monotonic seconds: when the price was known last, while nobody knows it; and until when
        # what was missed is with whoever judges it.
        self._blind_since_s: float | None = None
        self._judged_s = _NEVER_S
        self._settings = settings
        self._emit = emit

    def take_trade(self, trade: MarketTrade) -> bool:
        """Take a print of the stream; whether the gate holds something now."""
        if self.fresh.on_stream(trade.event_time_ms, trade.received_s):
            self._judge_trade(trade)
        # What `is_holding` says, without a call for each message.
        gate = self.gate
        return not (gate.held_quote is None and not gate.held)

    def take_quote(self, quote: Quote) -> bool:
        """Take a book's best prices of the stream; whether the gate holds something now."""
        self.baseline = quote
        gate = self.gate
        # Books carry no time of their own.
        is_news = self.fresh.on_stream(quote.event_time_ms, quote.received_s, False)
        if is_news and gate.take_quote(quote):
            if gate.released:
                self._deliver_late()
            # As `_tell_middle`, whose call would be 2 % of what a quote costs.
            observation, emit = self.prices.on_quote(quote), self._emit
            if observation.price is not None:
                gate.reference = observation.price
            emit(observation)
        return not (gate.held_quote is None and not gate.held)

    def take_read(
        self, quote: Quote, trade: MarketTrade | None, requested_s: float, now_s: float
    ) -> bool:
        """Take a REST read; whether the stream knows what it says.

        What a healthy stream delivered since the request is newer and is not overwritten.
        """
        agrees = self._agrees(quote)
        if self.baseline is None:
            self.baseline = quote
        if agrees:
            self.fresh.agree(now_s)
        else:
            self.fresh.moved(now_s)
        self._measure_disagreement(quote, now_s)
        if trade is not None:
            self._judge_read_trade(trade)
        is_overtaken = self.fresh.told_s > requested_s and not self.fresh.is_frozen(now_s)
        if self.is_disagreeing(now_s):
            # Nobody knows who is right: a stop acts on the worse of both, a purchase on neither.
            self._judge_read_quote(quote, self.prices.on_apart)
        elif not is_overtaken or self.gate.is_holding():
            self._judge_read_quote(quote, self.prices.on_quote)
        return agrees

    def pass_time(self, now_s: float) -> None:
        """Believe what was held long enough, and let a standing book decide."""
        if self.gate.is_holding():
            self.gate.poll(now_s)
            self._deliver_late()
        observation = self.prices.on_time(now_s)
        if observation is not None and observation.price is not None:
            self.gate.refer(observation.price)
            self._emit(observation)

    def miss(self, since_s: float) -> None:
        """Note that nobody looked since a time, whatever has been read of it meanwhile."""
        if self._blind_since_s is None:
            self._blind_since_s = max(since_s, self.fresh.watched_s)

    def missed_since_s(
        self, now_s: float, least_s: float, *, line_lost_s: float | None = None
    ) -> float | None:
        """Return since when prices were missed, once they are back; None without such a gap.

        Not known for `least_s` is missed. Asked each second, and with `line_lost_s` when a lost
        stream is back. A stream that is connected and says nothing misses as much as none: only
        what was known counts. No time is named twice.
        """
        # What is watched from now on was not known before, and that is nobody's gap.
        age_s = min(self.fresh.age_s(now_s), now_s - self.fresh.watched_s)
        if age_s >= least_s:
            self.miss(now_s - age_s)
            if line_lost_s is None:
                return None
        known = [each for each in (self._blind_since_s, line_lost_s) if each is not None]
        since_s = max(min(known, default=now_s), self._judged_s)
        if now_s - since_s < self._settings.gap_told_s:
            return None
        self._blind_since_s, self._judged_s = None, now_s
        return since_s

    def take_dropped(self) -> list[Dropped]:
        """Return and forget what the gate dropped as contradicted."""
        dropped, self.gate.dropped = self.gate.dropped, []
        return dropped

    def is_disagreeing(self, now_s: float) -> bool:
        """Whether stream and REST have been far apart for long."""
        since_s = self.disagrees_since_s
        return since_s is not None and now_s - since_s >= self._settings.disagreement_s

    def _judge_trade(self, trade: MarketTrade) -> None:
        is_believed = self.gate.take_trade(trade)
        if self.gate.released:
            self._deliver_late()
        if is_believed:
            self._accept_trade(trade)

    def _deliver_late(self) -> None:
        released, self.gate.released = self.gate.released, []
        for item in released:
            if isinstance(item, MarketTrade):
                self._accept_trade(item)
            else:
                self._tell_middle(self.prices.on_quote(item))

    def _accept_trade(self, trade: MarketTrade) -> None:
        self.buffer.push(float(trade.price), trade.received_s)
        self._emit(self.prices.on_trade(trade))

    def _tell_middle(self, observation: Observation) -> None:
        emit, price = self._emit, observation.price
        if price is not None:
            # The gate has just believed the book.
            self.gate.reference = price
        emit(observation)

    def _judge_read_quote(self, quote: Quote, decide: Callable[[Quote], Observation]) -> None:
        if self.gate.take_quote(quote):
            if self.gate.released:
                self._deliver_late()
            self._tell_middle(decide(quote))

    def _judge_read_trade(self, trade: MarketTrade) -> None:
        known = self.prices.trade
        if known is None or trade.event_time_ms > known.event_time_ms:
            self._judge_trade(trade)
        elif self.gate.is_holding():
            # An old print is no news, but it may agree with what is held.
            self.gate.take_trade(trade)
            self._deliver_late()

    def _agrees(self, quote: Quote) -> bool:
        baseline = self.baseline
        if baseline is None:
            return True
        gap = abs(quote.mid - baseline.mid)
        return gap <= baseline.mid * self._settings.agreement_max

    def _measure_disagreement(self, quote: Quote, now_s: float) -> None:
        baseline = self.baseline
        # A stream that says nothing does not disagree, it is late: that is staleness.
        is_apart = (
            baseline is not None
            and baseline.source is PriceSource.STREAM
            and now_s - baseline.received_s < self._settings.disagreement_s
            and abs(quote.mid - baseline.mid) > baseline.mid * self._settings.disagreement_max
        )
        if not is_apart:
            self.disagrees_since_s = None
        elif self.disagrees_since_s is None:
            self.disagrees_since_s = now_s
