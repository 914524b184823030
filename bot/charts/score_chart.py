"""The scores of one symbol beside its price, as plain numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trading.domain.time import from_ms
from trading.scanner.desk import ScoreLine
from trading.scanner.scores import Thresholds

# Two for each pixel that there is; the rest could not be seen.
_MOMENTS_MAX = 1_600
_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class ScoreChart:
    """Everything the picture shows; JSON-ready. A score that is not known is None."""

    title: str
    times: tuple[str, ...]
    prices: tuple[float, ...]
    bull: tuple[float | None, ...]
    bear: tuple[float | None, ...]
    bull_threshold: float
    bear_threshold: float
    watermark: str = ""


def score_chart_of(line: ScoreLine, thresholds: Thresholds, *, is_simulated: bool) -> ScoreChart:
    """Choose what to draw of recorded scores; there is at least one moment.

    Where there are more moments than can be seen, the highest score of each stretch stays.
    """
    starts = np.unique(np.linspace(0, len(line.at_ms), _MOMENTS_MAX, endpoint=False).astype(int))
    times_ms = line.at_ms[starts].tolist()
    span_ms = int(line.at_ms[-1] - line.at_ms[0])
    pattern = "%b %d" if span_ms > 3 * _DAY_MS else "%b %d\n%H:%M"
    return ScoreChart(
        f"{line.symbol}  scores",
        tuple(from_ms(at_ms).strftime(pattern) for at_ms in times_ms),
        tuple(line.price[starts].tolist()),
        _highest(line.bull, starts),
        _highest(line.bear, starts),
        thresholds.bull * 100,
        thresholds.bear * 100,
        "SIMULATED" if is_simulated else "",
    )


def score_chart_from_json(content: dict[str, Any]) -> ScoreChart:
    """Read back what the worker was sent."""
    lists = {name: tuple(content[name]) for name in ("times", "prices", "bull", "bear")}
    return ScoreChart(**{**content, **lists})


def _highest(shares: NDArray[np.float64], starts: NDArray[np.int64]) -> tuple[float | None, ...]:
    known = np.where(np.isnan(shares), -1.0, shares)
    highest: Sequence[float] = np.maximum.reduceat(known, starts).tolist()
    return tuple(None if share < 0 else share * 100 for share in highest)
