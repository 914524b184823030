"""The index that keeps a tick cheap: per symbol, the band of prices in which nothing changes.

A group holds the trackers of one symbol that look at one kind of price. While the price stays
strictly inside the band, only the extremes since the last look are kept: records that they make are
read from them when somebody needs one. So a tick costs the same for one tracker and for thousands.
"""

from decimal import Decimal

from trading.domain.instrument import Instrument
from trading.domain.market import Observation
from trading.domain.money import ONE, ZERO
from trading.domain.order import Side
from trading.domain.tracker import Line, PriceKind, Tracker, TrackerState
from trading.trackers import rules, trailing
from trading.trackers.confirming import Progress

_INFINITE = Decimal("Infinity")
_FOREVER_MS = 1 << 62
# Bands of moving lines hold that long; the sweep renews them each second.
LINE_HORIZON_MS = 3_000


class Group:
    """The trackers of one symbol and price kind, and the band in which no price changes them."""

    __slots__ = (
        "_flush_above",
        "_flush_below",
        "_high_factor",
        "_low_factor",
        "_record_high",
        "_record_low",
        "_tick",
        "high",
        "highest",
        "instrument",
        "is_blind",
        "is_flush_due",
        "is_of_decisions",
        "kind",
        "low",
        "lowest",
        "progress",
        "seen",
        "symbol",
        "trackers",
        "until_ms",
    )

    def __init__(self, symbol: str, kind: PriceKind, instrument: Instrument) -> None:
        self.symbol = symbol
        self.kind = kind
        self.is_of_decisions = kind is PriceKind.DECISION
        self.instrument = instrument
        self.trackers: dict[int, Tracker] = {}
        self.progress: dict[int, Progress] = {}
        self.low = ZERO
        self.high = _INFINITE
        self.until_ms = _FOREVER_MS
        self.highest = ZERO
        self.lowest = _INFINITE
        self.seen: Observation | None = None
        self.is_flush_due = False
        self.is_blind = False
        self._record_low = _INFINITE
        self._record_high = ZERO
        self._tick = instrument.price_tick
        self._low_factor = ZERO
        self._high_factor = ZERO
        self._flush_above = _INFINITE
        self._flush_below = ZERO

    def is_quiet(self, price: Decimal, at_ms: int) -> bool:
        """Whether this price triggers, touches and re-arms nothing; its extreme is kept if so."""
        if not self.low < price < self.high or self.progress or at_ms >= self.until_ms:
            return False
        if price > self.highest:
            self.highest = price
            if self._low_factor:
                # One tick more than the exact stop: rounding to the tick raises it by less.
                low = price * self._low_factor + self._tick
                self.low = max(self.low, low)
                if price >= self._flush_above:
                    self.is_flush_due = True
        if price < self.lowest:
            self.lowest = price
            if self._high_factor:
                high = price * self._high_factor - self._tick
                self.high = min(self.high, high)
                if price <= self._flush_below:
                    self.is_flush_due = True
        return True

    def forget_band(self) -> None:
        """Let the next price, or the next sweep, be looked at whatever it is."""
        self.low = self.high = ZERO
        self.until_ms = 0

    def has_new_record(self) -> bool:
        """Whether the extremes hold a record that no tracker has read yet."""
        return self.highest > self._record_low or self.lowest < self._record_high

    def needs_time(self) -> bool:
        """Whether the passing of time alone can change one of its trackers."""
        return bool(self.progress) or self.until_ms != _FOREVER_MS

    def synced(self, tracker: Tracker) -> Tracker:
        """Return the tracker with the record that the extremes since the last look make."""
        if tracker.state is not TrackerState.TRAILING or tracker.is_paused:
            return tracker
        extreme = self.highest if tracker.side is Side.SELL else self.lowest
        if tracker.record_price is None or extreme <= 0 or extreme == _INFINITE:
            return tracker
        return trailing.follow(tracker, extreme, self.instrument)

    def sync(self) -> None:
        """Let every tracker read the record that the extremes since the last look make."""
        if self.has_new_record():
            for tracker_id, tracker in self.trackers.items():
                self.trackers[tracker_id] = self.synced(tracker)

    def rebuild(self, at_ms: int, record_epsilon: Decimal, saved: dict[int, Tracker]) -> None:
        """Compute the band anew from trackers that have read the extremes.

        `saved` holds the durable values: past a durable record by `record_epsilon` a flush is due.
        """
        self.low, self.high = ZERO, _INFINITE
        self.highest, self.lowest = ZERO, _INFINITE
        self._low_factor = self._high_factor = ZERO
        self._flush_above, self._flush_below = _INFINITE, ZERO
        self._record_low, self._record_high = _INFINITE, ZERO
        moves = any(_has_line(tracker) for tracker in self.trackers.values())
        end_ms = at_ms + LINE_HORIZON_MS if moves else at_ms
        self.until_ms = end_ms if moves else _FOREVER_MS
        if self.is_blind:
            self.until_ms = 0
        for tracker in self.trackers.values():
            if tracker.is_paused:
                continue
            low, high = rules.bounds(tracker, at_ms, end_ms)
            self.low = self.low if low is None else max(self.low, low)
            self.high = self.high if high is None else min(self.high, high)
            self._follow(tracker, record_epsilon, saved.get(tracker.tracker_id, tracker))

    def _follow(self, tracker: Tracker, epsilon: Decimal, saved: Tracker) -> None:
        record = tracker.record_price
        if tracker.state is not TrackerState.TRAILING or tracker.distance is None or not record:
            return
        factor = ONE + tracker.side.sign * tracker.distance
        base = saved.record_price or record
        if tracker.side is Side.SELL:
            self._low_factor = max(self._low_factor, factor)
            self._record_low = min(self._record_low, record)
            self._flush_above = min(self._flush_above, base * (ONE + epsilon))
        else:
            self._high_factor = factor if not self._high_factor else min(self._high_factor, factor)
            self._record_high = max(self._record_high, record)
            self._flush_below = max(self._flush_below, base * (ONE - epsilon))


def _has_line(tracker: Tracker) -> bool:
    spec = tracker.spec
    return (
        isinstance(spec.level, Line)
        or isinstance(spec.stop, Line)
        or spec.support is not None
        or spec.resistance is not None
    )
