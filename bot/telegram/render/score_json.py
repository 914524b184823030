"""Scores as a tree for other programs."""

import json
from collections.abc import Iterable
from typing import Any

from trading.domain.time import from_ms
from trading.scanner.scores import RankScore, TimeframeScore


def scores_json(scores: Iterable[RankScore]) -> str:
    """Return a list of symbols; scores are out of 100, ranks in percent, unknown is null."""
    return json.dumps([_symbol(score) for score in scores], indent=1)


def _symbol(score: RankScore) -> dict[str, Any]:
    return {
        "time": from_ms(score.at_ms).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "symbol": score.symbol,
        "price": score.price,
        "bull": _points(score.bull),
        "bear": _points(score.bear),
        "change_score": _points(score.change),
        "timeframes": [_candle(one) for one in score.timeframes],
    }


def _candle(one: TimeframeScore) -> dict[str, Any]:
    return {
        "timeframe": one.timeframe.name,
        "standing": one.standing.value,
        "candles": one.candles,
        "change_percent": _rounded(one.change),
        "amplitude_percent": _rounded(one.amplitude),
        "change_rank_percent": _rounded(one.change_rank),
        "amplitude_rank_percent": _rounded(one.amplitude_rank),
        "up_rank_percent": _rounded(one.up_rank),
        "down_rank_percent": _rounded(one.down_rank),
        "bull_points": one.bull_points,
        "bear_points": one.bear_points,
        "change_points": one.change_points,
        "amplitude_points": one.amplitude_points,
    }


def _points(share: float | None) -> float | None:
    return None if share is None else round(100 * share, 1)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
