"""The scores of one symbol beside its price, as plain numbers, true to time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bot.charts.labels import places_of
from bot.charts.times import TIME_SHARE_MIN, TIMES_MAX, time_ticks, zone_name
from trading.scanner.desk import ScoreLine
from trading.scanner.scores import Thresholds

# Two for each pixel that there is; the rest could not be seen.
_MOMENTS_MAX = 1_600
_MINUTE_MS = 60_000
# Scores come each minute: for so long nobody was there to make any.
_GAP_MS = 5 * _MINUTE_MS
# A few moments do not fill the picture.
_SPAN_MIN = 30


@dataclass(frozen=True, slots=True)
class ScoreChart:
    """Everything the picture shows; JSON-ready.

    - `minutes`: when each of n moments was, counted from the first, not all equally far apart
    - `prices`, `bull`, `bear`: then, n each; None where nothing is known, also once in each gap
    - `since`: the minute at the left edge, before the first where there are only a few
    - `ticks`: minutes and the time that is written there
    - `zone`: whose clock that is
    - `places`: decimals of a price
    - `gaps`: from when to when nothing was recorded, in minutes
    """

    title: str
    minutes: tuple[float, ...]
    prices: tuple[float | None, ...]
    bull: tuple[float | None, ...]
    bear: tuple[float | None, ...]
    since: float
    ticks: tuple[tuple[float, str], ...]
    zone: str
    places: int
    gaps: tuple[tuple[float, float], ...]
    bull_threshold: float
    bear_threshold: float
    watermark: str = ""


def score_chart_of(
    line: ScoreLine,
    thresholds: Thresholds,
    price_tick: Decimal,
    zone: tzinfo,
    *,
    is_simulated: bool,
) -> ScoreChart:
    """Choose what to draw of recorded scores; there is at least one moment.

    Where there are more moments than can be seen, the highest score of each stretch stays. `zone`
    is the reader's.
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
        # A score is that of its minute: until then it held.
        moments.insert(place, gap[0] + 1)
    since = min(0.0, float(minutes[-1]) - _SPAN_MIN)
    return ScoreChart(
        f"{line.symbol}  scores",
        tuple(moments),
        broken(line.price[starts].tolist()),
        broken(_highest(line.bull, starts)),
        broken(_highest(line.bear, starts)),
        since,
        _ticks(int(line.at_ms[0]), int(line.at_ms[-1]), since, zone),
        zone_name(int(line.at_ms[-1]), zone),
        places_of(price_tick),
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


def _ticks(
    first_ms: int, last_ms: int, since: float, zone: tzinfo
) -> tuple[tuple[float, str], ...]:
    begins_ms = first_ms + round(since * _MINUTE_MS)
    left_ms = begins_ms + round((last_ms - begins_ms) * TIME_SHARE_MIN)
    found = time_ticks(left_ms, last_ms, zone, TIMES_MAX)
    return tuple(((at_ms - first_ms) / _MINUTE_MS, text) for at_ms, text in found)
