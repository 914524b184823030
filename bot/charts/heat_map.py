"""How unusual the candles of many symbols are, as plain numbers: a row each, timeframes across."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from trading.domain.instrument import base_and_quote
from trading.domain.time import Timeframe
from trading.scanner.points import POINTS_MAX
from trading.scanner.scores import RankScore, Standing, TimeframeScore

# More rows than these cannot be read on a phone.
ROWS_MAX = 20
# Instead of a change.
NOT_WATCHED, NOT_READY, TOO_YOUNG = "", "…", "new"


@dataclass(frozen=True, slots=True)
class HeatCell:
    """One running candle: its change in percent, or why there is none.

    `warmth` goes from -1 (a record crash) to 1 (a record rise), None: no rank.
    """

    text: str
    warmth: float | None


@dataclass(frozen=True, slots=True)
class HeatRow:
    """One symbol; the scores are out of 100, `?` where nothing could be scored."""

    symbol: str
    bull: str
    bear: str
    cells: tuple[HeatCell, ...]


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Everything the picture shows; JSON-ready. The most unusual symbols come first.

    `quote` is what all of them are priced in, empty where that differs.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[HeatRow, ...]
    quote: str = ""
    left_out: int = 0
    watermark: str = ""


def heat_map_of(scores: Sequence[RankScore], at: datetime, *, is_simulated: bool) -> HeatMap:
    """Choose what to draw of scores; there is at least one. `at` is in the reader's own time."""
    timeframes = sorted(
        {one.timeframe for score in scores for one in score.timeframes},
        key=lambda timeframe: timeframe.length_ms,
    )
    ranked = sorted(scores, key=lambda score: (-_unusual(score), score.symbol))
    quotes = {base_and_quote(score.symbol)[1] for score in ranked[:ROWS_MAX]}
    return HeatMap(
        f"Rare moves {at:%H:%M} {at.tzname()}",
        tuple(timeframe.name for timeframe in timeframes),
        tuple(_row(score, timeframes) for score in ranked[:ROWS_MAX]),
        quotes.pop() if len(quotes) == 1 else "",
        max(len(ranked) - ROWS_MAX, 0),
        "SIMULATED" if is_simulated else "",
    )


def heat_map_from_json(content: dict[str, Any]) -> HeatMap:
    """Read back what the worker was sent."""
    rows = tuple(
        HeatRow(
            row["symbol"],
            row["bull"],
            row["bear"],
            tuple(HeatCell(**cell) for cell in row["cells"]),
        )
        for row in content["rows"]
    )
    return HeatMap(**{**content, "columns": tuple(content["columns"]), "rows": rows})


def _unusual(score: RankScore) -> float:
    return max(score.bull or 0.0, score.bear or 0.0)


def _row(score: RankScore, timeframes: Sequence[Timeframe]) -> HeatRow:
    by_timeframe = {one.timeframe: one for one in score.timeframes}
    return HeatRow(
        score.symbol,
        _score(score.bull),
        _score(score.bear),
        tuple(_cell(by_timeframe.get(timeframe)) for timeframe in timeframes),
    )


def _cell(one: TimeframeScore | None) -> HeatCell:
    if one is None:
        return HeatCell(NOT_WATCHED, None)
    if one.standing is Standing.TOO_YOUNG:
        return HeatCell(TOO_YOUNG, None)
    if one.standing is not Standing.SCORED or one.change is None:
        return HeatCell(NOT_READY, None)
    warmth = (one.bull_points - one.bear_points) / POINTS_MAX
    # Two digits of a large move would not fit beside its fraction.
    places = 1 if abs(one.change) < 9.95 else 0
    return HeatCell(f"{one.change:+.{places}f}", warmth)


def _score(share: float | None) -> str:
    return "?" if share is None else f"{share * 100:.0f}"
