"""The scores of one symbol beside its price, as plain numbers, true to time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trading.domain.time import from_ms
from trading.scanner.desk import ScoreLine
from trading.scanner.scores import Thresholds

# Two for each pixel that there is; the rest could not be seen.
_MOMENTS_MAX = 1_600
_MINUTE_MS, _DAY_MS = 60_000, 86_400_000
# Scores come each minute: for so long nobody was there to make any.
_GAP_MS = 5 * _MINUTE_MS
_TICKS_MAX = 8
_STEPS_MIN = (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1_440, 2_880, 7_200, 14_400, 43_200)


@dataclass(frozen=True, slots=True)
class ScoreChart:
    """Everything the picture shows; JSON-ready.

    - `minutes`: when each of n moments was, counted from the first, not all equally far apart
    - `prices`, `bull`, `bear`: then, n each; None where nothing is known, also once in each gap
    - `ticks`: minutes and the time that is written there
    - `gaps`: from when to when nothing was recorded, in minutes
    """

    title: str
    minutes: tuple[float, ...]
    prices: tuple[float | None, ...]
    bull: tuple[float | None, ...]
    bear: tuple[float | None, ...]
    ticks: tuple[tuple[float, str], ...]
    gaps: tuple[tuple[float, float], ...]
    bull_threshold: float
    bear_threshold: float
    watermark: str = ""


def score_chart_of(line: ScoreLine, thresholds: Thresholds, *, is_simulated: bool) -> ScoreChart:
    """Choose what to draw of recorded scores; there is at least one moment.

    Where there are more moments than can be seen, the highest score of each stretch stays.
    """
    resumed = np.flatnonzero(np.diff(line.at_ms) > _GAP_MS) + 1
    evenly = np.linspace(0, len(line.at_ms), _MOMENTS_MAX, endpoint=False).astype(int)
    # No stretch reaches across a gap, whose last moment stands beside its first.
    starts = np.unique(np.concatenate((evenly, resumed, resumed - 1)))
    minutes = (line.at_ms - line.at_ms[0]) / _MINUTE_MS
    gaps = [(float(minutes[place - 1]), float(minutes[place])) for place in resumed]
    # Behind the last moment before each gap; from the end, so that no place moves.
    places = list(zip(np.searchsorted(starts, resumed).tolist(), gaps, strict=True))[::-1]

    def broken(values: list[float | None]) -> tuple[float | None, ...]:
        for place, _ in places:
            values.insert(place, None)
        return tuple(values)

    moments = minutes[starts].tolist()
    for place, gap in places:
        moments.insert(place, sum(gap) / 2)
    return ScoreChart(
        f"{line.symbol}  scores",
        tuple(moments),
        broken(line.price[starts].tolist()),
        broken(_highest(line.bull, starts)),
        broken(_highest(line.bear, starts)),
        _ticks(int(line.at_ms[0]), int(line.at_ms[-1])),
        tuple(gaps),
        thresholds.bull * 100,
        thresholds.bear * 100,
        "SIMULATED" if is_simulated else "",
    )


def score_chart_from_json(content: dict[str, Any]) -> ScoreChart:
    """Read back what the worker was sent."""
    lists = {name: tuple(content[name]) for name in ("minutes", "prices", "bull", "bear")}
    pairs = {name: tuple(map(tuple, content[name])) for name in ("ticks", "gaps")}
    return ScoreChart(**{**content, **lists, **pairs})


def _highest(shares: NDArray[np.float64], starts: NDArray[np.int64]) -> list[float | None]:
    known = np.where(np.isnan(shares), -1.0, shares)
    highest: Sequence[float] = np.maximum.reduceat(known, starts).tolist()
    return [None if share < 0 else share * 100 for share in highest]


def _ticks(first_ms: int, last_ms: int) -> tuple[tuple[float, str], ...]:
    """Return round times within a span, as many as can be read, with the date where it is new."""
    lasts_min = (last_ms - first_ms) / _MINUTE_MS
    step_min = next((step for step in _STEPS_MIN if lasts_min / step < _TICKS_MAX), _STEPS_MIN[-1])
    step_ms = step_min * _MINUTE_MS
    found: list[tuple[float, str]] = []
    before: datetime | None = None
    for at_ms in range(-(-first_ms // step_ms) * step_ms, last_ms + 1, step_ms):
        at = from_ms(at_ms)
        is_new = before is None or before.date() != at.date()
        pattern = "%b %d" if step_ms >= _DAY_MS else "%H:%M\n%b %d" if is_new else "%H:%M"
        found.append(((at_ms - first_ms) / _MINUTE_MS, at.strftime(pattern)))
        before = at
    if not found:
        found.append((0.0, from_ms(first_ms).strftime("%H:%M\n%b %d")))
    return tuple(found)
