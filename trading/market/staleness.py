"""How old a symbol's prices are: quiet is not stale, a stopped clock is."""

from enum import Enum

from trading.market.settings import MarketSettings
from trading.market.venue_clock import VenueClock

# The least lag of the last minute is what the way and the two clocks cost.
_LAG_WINDOW_S = 30.0
_UNKNOWN_S = float("-inf")
_UNMEASURED_S = float("inf")


class Suspicion(Enum):
    """Why a symbol should be asked for over REST."""

    NONE = "none"
    QUIET = "quiet"
    FROZEN = "frozen"


class Freshness:
    """The age of one symbol, by our clock and by the exchange's event clock."""

    __slots__ = (
        "_lag_least",
        "_lag_least_before",
        "_lag_usual",
        "_settings",
        "_venue",
        "_window_s",
        "event_ms",
        "is_failing",
        "moved_s",
        "stream_s",
        "told_s",
        "verified_s",
        "watched_s",
    )

    def __init__(
        self, settings: MarketSettings, now_s: float, venue: VenueClock | None = None
    ) -> None:
        self._settings = settings
        self._venue = venue or VenueClock()
        self._lag_least = self._lag_least_before = _UNMEASURED_S
        # Up to here, from the least on, a lag changes nothing; made anew with each least one.
        self._lag_usual = _UNKNOWN_S
        self._window_s = now_s
        self.watched_s = now_s
        # When the stream said anything, and when it last said what is not late.
        self.stream_s = _UNKNOWN_S
        self.told_s = _UNKNOWN_S
        self.verified_s = _UNKNOWN_S
        self.event_ms = 0
        self.is_failing = False
        self.moved_s: float | None = None

    def on_stream(self, event_ms: int, received_s: float, is_timed: bool = True) -> bool:
        """Note a message of the stream; whether it may be news.

        One that is not timed got its event time by our clock, and says nothing of the exchange's.
        An event time of 0 means that it carries none. Once REST has shown that the stream missed
        something, messages that are no newer than its last one repeat the past. So does what has
        lain in a socket while nobody read it: that it came says that the connection lives, and
        nothing of the price.
        """
        self.stream_s = received_s
        if event_ms > self.event_ms:
            self.event_ms = event_ms
            self.moved_s = None
        if event_ms > 0:
            lag = received_s - event_ms / 1000
            # Most messages are usual: neither the quickest one yet nor anywhere near too late.
            if not self._lag_least <= lag <= self._lag_usual and self._is_late(
                lag, event_ms, received_s
            ):
                return False
            # What is late says nothing of the exchange's clock: it would become the usual.
            if is_timed:
                self._venue.heard(event_ms, received_s)
        self.told_s = received_s
        return self.moved_s is None or event_ms <= 0

    @property
    def tells_age(self) -> bool:
        """Whether it is known how old a message with a time is."""
        return self._knows_lag or self._venue.is_known

    @property
    def _knows_lag(self) -> bool:
        return self._lag_least < _UNMEASURED_S or self._lag_least_before < _UNMEASURED_S

    def _is_late(self, lag: float, event_ms: int, received_s: float) -> bool:
        late_max_s = self._settings.event_lag_s_max
        if not self._knows_lag and self._venue.late_s(event_ms, received_s) > late_max_s:
            # A symbol without a print for a minute has no measure of its own; the market has.
            return True
        if lag < self._lag_least:
            self._lag_least = lag
            # Half of what is permitted, so that no rounding makes usual what is late.
            self._lag_usual = min(lag, self._lag_least_before) + late_max_s / 2
        return lag - self._lag_least > late_max_s or lag - self._lag_least_before > late_max_s

    def suspicion(self, now_s: float) -> Suspicion:
        """Say whether the stream has gone quiet or its event clock has fallen behind."""
        self._turn(now_s)
        newest_s = max(self.stream_s, self.verified_s)
        if self.is_frozen(now_s) and self.stream_s > newest_s - 1:
            return Suspicion.FROZEN
        if now_s - max(self.told_s, self.verified_s) >= self._settings.quiet_s:
            return Suspicion.QUIET
        return Suspicion.NONE

    def lag_s(self, now_s: float) -> float:
        """Return how far the event clock lags behind its best of late, while messages arrive."""
        if self.event_ms <= 0 or now_s - self.stream_s > self._settings.event_lag_s_max:
            return 0.0
        least = min(self._lag_least, self._lag_least_before)
        return now_s - self.event_ms / 1000 - least

    def is_frozen(self, now_s: float) -> bool:
        """Whether messages arrive whose event clock has fallen behind."""
        return self.lag_s(now_s) > self._settings.event_lag_s_max

    def agree(self, now_s: float) -> None:
        """REST says what the stream says: quiet, not stale."""
        self.verified_s = now_s
        self.is_failing = False
        self.moved_s = None

    def moved(self, now_s: float) -> None:
        """REST knows more than the stream does."""
        self.verified_s = now_s
        self.is_failing = False
        if self.moved_s is None:
            self.moved_s = now_s

    def failed(self) -> None:
        """REST did not answer either."""
        self.is_failing = True

    def is_missing(self, now_s: float) -> bool:
        """Whether the stream keeps missing what REST knows."""
        return self.moved_s is not None and now_s - self.moved_s >= self._settings.grace_s

    def age_s(self, now_s: float) -> float:
        """Return seconds since the price was last known to be true."""
        # Messages whose own clock stands still are no news.
        told_s = self.told_s if self.moved_s is None else _UNKNOWN_S
        return now_s - max(told_s, self.verified_s)

    def _turn(self, now_s: float) -> None:
        # While it lags the measure stays, or a stopped clock would become the normal one.
        if now_s - self._window_s < _LAG_WINDOW_S or self.lag_s(now_s) > 1:
            return
        self._window_s = now_s
        self._lag_least_before, self._lag_least = self._lag_least, _UNMEASURED_S
