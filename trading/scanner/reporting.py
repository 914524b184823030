"""What scores were worth in one symbol's past, from its candles alone."""

from collections.abc import Sequence

import numpy as np

from trading.candles.lengthening import lengthened
from trading.candles.series import Candles
from trading.domain.time import Timeframe, divides
from trading.scanner.aftermath import after_crashes, after_rises, aftermath
from trading.scanner.desk import ScoreReport
from trading.scanner.history import CANDLES_MIN
from trading.scanner.replay import ReplaySettings, replay
from trading.scanner.walk_forward import ScoredCandles, SearchSettings, best_thresholds

CANDLES_MAX = 300_000
"""More are put together to longer ones first, so that a report stays a matter of seconds."""
_DAY_MS = 86_400_000
_LENGTHS_MS = tuple(minutes * 60_000 for minutes in (1, 5, 15, 30, 60, 240, 720, 1440))


def report_of(
    symbol: str,
    timeframes: tuple[Timeframe, ...],
    candles: Candles,
    length_ms: int,
    candles_max: int = CANDLES_MAX,
) -> ScoreReport | None:
    """Replay a past and sum up what followed; None where nothing in it could be scored.

    `candles` are sound, in order and `length_ms` long, which divides every timeframe.
    """
    for longer_ms in longer_lengths(length_ms, timeframes):
        if len(candles) <= candles_max:
            break
        candles, length_ms = lengthened(candles, longer_ms), longer_ms
    scores = replay(candles, length_ms, ReplaySettings(timeframes))
    if np.isnan(scores.bull).all():
        return None
    after = aftermath(candles, length_ms)
    scored = ScoredCandles(scores.bull, scores.bear, candles.open, candles.close)
    return ScoreReport(
        symbol,
        timeframes,
        len(candles),
        length_ms,
        after_rises(scores.bull, after),
        after_crashes(scores.bear, after),
        best_thresholds(scored, SearchSettings(len(timeframes))),
    )


def days_needed(timeframes: Sequence[Timeframe]) -> int:
    """Return how many days of past the first score takes, in which enough has closed to rank it."""
    settings = ReplaySettings(tuple(timeframes))
    shortest_ms = min(one.length_ms for one in timeframes)
    needed_ms = max(settings.taught_ms, settings.skipped_ms + (CANDLES_MIN + 1) * shortest_ms)
    return -(-needed_ms // _DAY_MS)


def divides_all(length_ms: int, timeframes: Sequence[Timeframe]) -> bool:
    """Whether candles of this length can be put together to each of the timeframes."""
    return all(divides(length_ms, one.length_ms) for one in timeframes)


def longer_lengths(length_ms: int, timeframes: Sequence[Timeframe]) -> list[int]:
    """Return which longer candles can be made that all timeframes are still multiples of."""
    return [
        longer_ms
        for longer_ms in _LENGTHS_MS
        if longer_ms > length_ms
        and longer_ms % length_ms == 0
        and divides_all(longer_ms, timeframes)
    ]
