"""Keeps the scores of each scan, and draws their line again."""

import logging
import math
from collections.abc import Sequence

import numpy as np

from trading.domain.watching import Interest
from trading.ports.history import RecordedPoints, RecordedScore, ScoreColumns, ScoreStore
from trading.scanner.desk import ScoreLine
from trading.scanner.metrics import Floats
from trading.scanner.points import POINTS_MAX
from trading.scanner.scores import RankScore

logger = logging.getLogger(__name__)

_DAY_MS = 86_400_000


class Recording:
    """A disk that takes nothing costs the line, and neither a scan nor what is told of it."""

    def __init__(self, store: ScoreStore, kept_days: int) -> None:
        self._store = store
        self._kept_ms = kept_days * _DAY_MS
        self._cleared_day = 0
        self._is_failing = False

    async def keep(self, scores: Sequence[RankScore]) -> None:
        """Append what a scan has found, and once a day forget what is too old."""
        if not scores:
            return
        try:
            await self._store.append([recorded(score) for score in scores])
            await self._clear(scores[0].at_ms)
        except OSError as error:
            if not self._is_failing:
                logger.warning("scores_not_recorded", extra={"error": str(error)})
            self._is_failing = True
        else:
            self._is_failing = False

    async def line(self, interest: Interest, since_ms: int) -> ScoreLine:
        """Read the line of a symbol since a moment, over the timeframes of an interest."""
        found = await self._store.since(interest.symbol, since_ms, interest.timeframes)
        bull, bear, change = _own(found)
        # Older versions recorded no points; a clock that was set back mixes with them a few.
        united = int(np.flatnonzero(~found.is_split)[-1]) + 1 if not found.is_split.all() else 0
        return ScoreLine(interest.symbol, found.at_ms, found.price, bull, bear, change, united)

    async def _clear(self, now_ms: int) -> None:
        day = now_ms // _DAY_MS
        if day != self._cleared_day:
            self._cleared_day = day
            await self._store.forget(now_ms - self._kept_ms)


def _own(found: ScoreColumns) -> tuple[Floats, Floats, Floats]:
    """Bull, bear and change over the timeframes asked for, as far as their points are known."""
    counts = (found.points[:, :, 0] >= 0).sum(axis=1)
    given = found.points.clip(0).sum(axis=1)
    with np.errstate(invalid="ignore"):
        shares = given / (POINTS_MAX * counts[:, np.newaxis])
    united = (found.bull, found.bear, found.change)
    bull, bear, change = (
        np.where(found.is_split, shares[:, place], one) for place, one in enumerate(united)
    )
    return bull, bear, change


def recorded(score: RankScore) -> RecordedScore:
    """Return what is kept of a score."""
    return RecordedScore(
        score.symbol,
        score.at_ms,
        score.price,
        _number(score.bull),
        _number(score.bear),
        _number(score.change),
        tuple(
            RecordedPoints(one.timeframe, one.bull_points, one.bear_points, one.change_points)
            for one in score.scored
        ),
    )


def _number(share: float | None) -> float:
    return math.nan if share is None else share
