"""One symbol and timeframe as it is followed: its past, its candles, and what is in doubt."""

from collections import deque
from collections.abc import Sequence
from math import inf

from trading.candles.paging import claim
from trading.candles.rows import columns_of
from trading.candles.series import Candles
from trading.candles.spans import Span
from trading.domain.market import Candle
from trading.domain.time import (
    Timeframe,
    candle_open_ms,
    candles_between,
    following_ms,
    preceding_ms,
    shifted_ms,
)
from trading.market.closing import Closing, LiveSeries
from trading.market.past import Request
from trading.market.settings import CandleSettings

# Closed while the past was still on its way; what is older comes with it.
_EARLY_MAX = 8


class WatchedSeries:
    """What the shell knows of one series; streams and requests are judged here.

    A candle that its neighbours contradict is in doubt: a request decides. Where none can be
    answered, a running one is believed after it was told for some time. One whose prices can only
    be of another unit is never taken.
    """

    __slots__ = (
        "_asked_empty_ms",
        "_doubted_since_s",
        "_early",
        "_last_close",
        "_settings",
        "_whole_until_ms",
        "failures",
        "heard_ms",
        "is_doubted",
        "is_queued",
        "is_unusable",
        "is_warm",
        "live",
        "read_s",
        "refused",
        "retry_s",
        "symbol",
        "timeframe",
        "told_s",
        "why",
    )

    def __init__(self, symbol: str, timeframe: Timeframe, settings: CandleSettings) -> None:
        self.symbol = symbol
        self.timeframe = timeframe
        self.live = LiveSeries(timeframe, settings.candles_kept)
        self.is_warm = False
        self.is_queued = False
        self.is_doubted = False
        """Whether something was told that a request has to confirm."""
        self.is_unusable = False
        """Whether the last answer held something that was not taken."""
        self.heard_ms = 0
        self.read_s = self.told_s = self.retry_s = -inf
        self.failures = 0
        self.why = ""
        """What kept the last request from being answered, in words."""
        self.refused = 0
        self._settings = settings
        self._early: deque[tuple[Candle, int]] = deque(maxlen=_EARLY_MAX)
        self._doubted_since_s: float | None = None
        self._last_close: float | None = None
        self._asked_empty_ms = 0
        self._whole_until_ms = 0

    # ------------------------------------------------------------ the past

    def warm(self, past: Candles) -> None:
        """Begin with closed candles; `take_early` follows."""
        self.live.warm(past)
        self.is_warm = True
        if len(past):
            self._last_close = float(past.close[-1])

    def take_early(self, now_s: float) -> list[Candle]:
        """Take in what was told while the past was read; return what closed meanwhile, in order."""
        early = sorted(self._early, key=lambda one: one[0].open_time_ms)
        self._early.clear()
        taken = ((candle, self.take_streamed(candle, at_ms, now_s)) for candle, at_ms in early)
        return [candle for candle, verdict in taken if verdict is not None and verdict.is_first]

    # ------------------------------------------------------------ what is told

    def take_streamed(self, candle: Candle, event_ms: int, now_s: float) -> Closing | None:
        """Judge a candle of the stream; None while it has to wait, or is in doubt."""
        if not self.is_warm:
            if candle.is_closed:
                self._early.append((candle, event_ms))
            return None
        if candle.is_sound and self._is_in_doubt(candle, now_s):
            self.is_doubted = True
            return None
        return self._take(candle, event_ms)

    def take_told(
        self, told: Sequence[Candle], request: Request, asked_ms: int, now_s: float
    ) -> list[Candle]:
        """Take in the answer to a request made at `asked_ms`; return what closed just now.

        What ended after the question was not over when it was answered, whatever the answer says.
        """
        self.is_doubted, self._doubted_since_s = False, None
        sound = [candle for candle in told if candle.is_sound and not self._is_foreign(candle)]
        self.refused += len(told) - len(sound)
        over = [one for one in sound if one.is_closed and self._ends_ms(one) <= asked_ms]
        verdicts = self._take_over(over, told, request, asked_ms)
        closed = [candle for candle, verdict in verdicts if verdict.is_first]
        for candle in sound:
            if not candle.is_closed and self._ends_ms(candle) > asked_ms:
                # An answer is newer than all that was told before its question.
                self._take(candle, max(asked_ms, self.live.running_at_ms))
        self.is_unusable = len(sound) < len(told)
        if self.is_unusable:
            # What cannot be stays so for a while.
            self.failed(now_s)
        if sound:
            self.told_s = now_s
        return sorted(closed, key=lambda one: one.open_time_ms)

    def due(self, at_ms: int) -> Request | None:
        """Return what to ask for because it should have closed by now and is not there."""
        length_ms = self.live.length_ms
        settled_ms = at_ms - int(self._settings.grace_s * 1000)
        if settled_ms < self._whole_until_ms:
            return None
        if self.live.ring.newest_ms is None:
            last_ms = preceding_ms(candle_open_ms(settled_ms, length_ms), length_ms)
            return Request(2, last_ms) if last_ms > self._asked_empty_ms else None
        missing = self.live.missing(settled_ms)
        if not missing:
            # Until another one ends nothing new can be missing.
            self._whole_until_ms = following_ms(candle_open_ms(settled_ms, length_ms), length_ms)
            return None
        first_ms, last_ms = missing[0].first_ms, missing[-1].last_ms
        count = candles_between(first_ms, last_ms, length_ms) + 1
        # One more, for the running candle.
        return Request(min(count + 1, self._settings.page_candles), first_ms)

    def lateness(self, at_ms: int) -> float:
        """Return how long the newest candle lacks, in candles; 0 when it is there."""
        newest_ms = self.live.ring.newest_ms
        if newest_ms is None:
            return 0.0
        return max((at_ms - newest_ms) / self.live.length_ms - 2, 0.0)

    def running(self, at_ms: int) -> Candle | None:
        """Return the candle that runs at a moment, None when only an older one is known."""
        candle = self.live.running
        if candle is None or candle.open_time_ms != candle_open_ms(at_ms, self.live.length_ms):
            return None
        return candle

    # ------------------------------------------------------------ requests

    def answered(self) -> None:
        """Note that a request was answered."""
        self.failures = 0
        self.why = ""

    def failed(self, now_s: float, at_least_s: float = 0.0, why: str = "") -> None:
        """Note that a request failed, and why; the next one waits, each time longer."""
        self.why = why
        first_s, most_s = self._settings.retry_s_first, self._settings.retry_s_max
        self.failures += 1
        delay_s = min(first_s * 2.0 ** (min(self.failures, 16) - 1), most_s)
        self.retry_s = now_s + max(delay_s, at_least_s)

    # ------------------------------------------------------------ inside

    def _take(self, candle: Candle, at_ms: int) -> Closing:
        verdict = self.live.take(candle, at_ms)
        self._note(candle, verdict)
        return verdict

    def _take_over(
        self, over: list[Candle], told: Sequence[Candle], request: Request, asked_ms: int
    ) -> list[tuple[Candle, Closing]]:
        asked = self._claimed(told, request, asked_ms)
        if asked is None:
            return [(candle, self._take(candle, asked_ms)) for candle in over]
        judged = list(self.live.sweep(over, asked, asked_ms))
        for candle, verdict in judged:
            self._note(candle, verdict)
        return judged

    def _claimed(self, told: Sequence[Candle], request: Request, asked_ms: int) -> Span | None:
        if request.since_ms is None:
            return None
        length_ms = self.live.length_ms
        settled_ms = asked_ms - int(self._settings.grace_s * 1000)
        last_ms = min(
            shifted_ms(request.since_ms, request.limit - 1, length_ms),
            preceding_ms(candle_open_ms(settled_ms, length_ms), length_ms),
        )
        if last_ms < request.since_ms:
            return None
        claimed = claim(Span(request.since_ms, last_ms), columns_of(told).open_time_ms)
        if claimed is not None and self.live.ring.newest_ms is None:
            self._asked_empty_ms = claimed.last_ms
        return claimed

    def _note(self, candle: Candle, verdict: Closing) -> None:
        if verdict is Closing.CLOSED:
            self._last_close = candle.close
        elif verdict in {Closing.REFUSED, Closing.DISAGREES}:
            self.refused += 1

    def _ends_ms(self, candle: Candle) -> int:
        return following_ms(candle.open_time_ms, self.live.length_ms)

    def _is_foreign(self, candle: Candle) -> bool:
        known, most = self._last_close, self._settings.unit_factor
        return known is not None and not 1 / most < candle.close / known < most

    def _is_in_doubt(self, candle: Candle, now_s: float) -> bool:
        if self._is_foreign(candle):
            return True
        low, high = self._neighbours(candle)
        jump = self._settings.jump_max
        if candle.low >= low * (1 - jump) and candle.high <= high * (1 + jump):
            self._doubted_since_s = None
            return False
        if candle.is_closed:
            return True
        if self._doubted_since_s is None:
            self._doubted_since_s = now_s
        if now_s - self._doubted_since_s < self._settings.believed_after_s:
            return True
        self._doubted_since_s = None
        return False

    def _neighbours(self, candle: Candle) -> tuple[float, float]:
        """Return between which prices the series was just before; anything, where it was not."""
        running = self.live.running
        before_ms = preceding_ms(candle.open_time_ms, self.live.length_ms)
        if running is not None:
            if running.open_time_ms == candle.open_time_ms:
                return running.low, running.high
            if running.open_time_ms == before_ms:
                return running.close, running.close
        if self._last_close is not None and self.live.ring.newest_ms == before_ms:
            return self._last_close, self._last_close
        # Over a pause anything may happen.
        return 0.0, inf
