"""Scores as a table for other programs."""

import csv
import io
from collections.abc import Iterable

from trading.domain.time import from_ms
from trading.scanner.scores import RankScore, TimeframeScore

_COLUMNS = (
    *("time", "symbol", "price", "bull", "bear", "change_score", "timeframe", "standing"),
    *("candles", "change_percent", "amplitude_percent", "up_rank_percent", "down_rank_percent"),
    *("bull_points", "bear_points"),
)


def scores_csv(scores: Iterable[RankScore]) -> str:
    """Return a row for each symbol and timeframe; scores are out of 100, unknown is empty."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(_COLUMNS)
    for score in scores:
        for one in score.timeframes:
            table.writerow((*_symbol_cells(score), *_candle_cells(one)))
    return text.getvalue()


def _symbol_cells(score: RankScore) -> tuple[str, ...]:
    at = from_ms(score.at_ms).strftime("%Y-%m-%dT%H:%M:%SZ")
    shares = (score.bull, score.bear, score.change)
    return (at, score.symbol, f"{score.price:.12g}", *(_points(share) for share in shares))


def _candle_cells(one: TimeframeScore) -> tuple[str, ...]:
    percents = (one.change, one.amplitude, one.up_rank, one.down_rank)
    return (
        one.timeframe.name,
        one.standing.value,
        str(one.candles),
        *("" if value is None else f"{value:.4g}" for value in percents),
        str(one.bull_points),
        str(one.bear_points),
    )


def _points(share: float | None) -> str:
    return "" if share is None else f"{share * 100:.1f}"
