"""S10: each picture of a chat, from what is drawn to its PNG, in the process that draws it.

`python -m benchmarks.bench_pictures`. A picture that is not as wide as a phone is not done.
"""

import itertools
import statistics
import struct
import sys
import time
from datetime import UTC
from decimal import Decimal

import numpy as np

from benchmarks.table import NotDone, Row, at_most, table
from bot.charts.drawing import drawing_of
from bot.charts.heat_map import ROWS_MAX, heat_map_of
from bot.charts.score_chart import score_chart_of
from bot.charts.worker import Picture, png_of, request_of
from trading.domain.market import Candle
from trading.domain.order import Side
from trading.domain.time import Timeframe, from_ms
from trading.domain.tracker import (
    Amount,
    AmountKind,
    Tracker,
    TrackerKind,
    TrackerSpec,
    TrackerState,
)
from trading.overview import ChartView
from trading.scanner.desk import ScoreLine
from trading.scanner.points import POINTS_MAX
from trading.scanner.scores import RankScore, Standing, Thresholds, TimeframeScore

ROUNDS = 7
PICTURE_MS_MAX = 400.0
WIDTH_PX = 1080
TIMEFRAMES = tuple(Timeframe(name) for name in ("1m", "5m", "15m", "1h", "4h", "12h", "1d", "3d"))
MINUTES = 30 * 1440
CANDLES = 120
TRACKERS = 6
TICK = Decimal("0.0001")
AT_MS = 1_767_268_800_000


def heat_map(rows: int = ROWS_MAX) -> Picture:
    """As many symbols as one map shows, over as many candle lengths as one may watch."""
    generator = np.random.default_rng(1)
    scores = []
    for number in range(rows):
        changes = generator.normal(0, 8, len(TIMEFRAMES)).tolist()
        candles = tuple(
            TimeframeScore(
                timeframe,
                Standing.SCORED,
                500,
                change=change,
                bull_points=min(max(int(change), 0), POINTS_MAX),
                bear_points=min(max(-int(change), 0), POINTS_MAX),
            )
            for timeframe, change in zip(TIMEFRAMES, changes, strict=True)
        )
        scores.append(RankScore(f"COIN{number}/USDT", AT_MS, 1.0, 0.4, 0.6, 0.2, candles))
    return heat_map_of(scores, from_ms(AT_MS), is_simulated=True)


def score_history(minutes: int = MINUTES) -> Picture:
    """A month of recorded scores."""
    generator = np.random.default_rng(2)
    at_ms = AT_MS + 60_000 * np.arange(minutes, dtype=np.int64)
    price = np.exp(np.cumsum(generator.normal(0, 0.001, minutes)))
    bull, bear = np.abs(generator.normal(0, 0.2, (2, minutes))).clip(0, 1)
    line = ScoreLine("ADA/USDT", at_ms, price, bull, bear, bear)
    return score_chart_of(line, Thresholds(), TICK, UTC, is_simulated=True)


def candle_chart(candles: int = CANDLES, trackers: int = TRACKERS) -> Picture:
    """As many candles as a chart shows, each tracker with a stop and a record price."""
    generator = np.random.default_rng(3)
    close = np.exp(np.cumsum(generator.normal(0, 0.003, candles + 1)))
    rows = [
        Candle(AT_MS + at * 900_000, began, max(began, ended), min(began, ended), ended, 1.0, True)
        for at, (began, ended) in enumerate(itertools.pairwise(close.tolist()))
    ]
    now = from_ms(rows[-1].open_time_ms)
    spec = TrackerSpec(TrackerKind.TRAIL, "ADA/USDT", Amount(AmountKind.ALL))
    watching = [
        Tracker(
            number,
            spec,
            1,
            Side.SELL,
            TrackerState.TRAILING,
            now,
            stop_price=Decimal(repr(rows[number].low)),
            record_price=Decimal(repr(rows[number].high)),
        )
        for number in range(trackers)
    ]
    price = Decimal(repr(rows[-1].close))
    view = ChartView("ADA/USDT", Timeframe("15m"), rows, watching, (), price, now, True)
    return drawing_of(view, TICK, UTC)


def measure(name: str, picture: Picture, rounds: int) -> Row:
    """Draw one picture again and again, after once to load what draws."""
    request = request_of(picture)
    png = png_of(request)
    spent_ms = []
    for _ in range(rounds):
        began_s = time.perf_counter()
        png_of(request)
        spent_ms.append((time.perf_counter() - began_s) * 1000)
    (width_px,) = struct.unpack(">I", png[16:20])
    if width_px != WIDTH_PX:
        raise NotDone(f"{name} is {width_px} px wide")
    return at_most("S10", f"{name}, p50", statistics.median(spent_ms), PICTURE_MS_MAX, "ms")


def rows(is_quick: bool) -> list[Row]:
    """Return the figures of each kind of picture."""
    rounds = 3 if is_quick else ROUNDS
    return [
        measure(f"heat map, {ROWS_MAX} symbols x {len(TIMEFRAMES)}", heat_map(), rounds),
        measure(f"scores of {MINUTES:,} minutes", score_history(), rounds),
        measure(f"chart, {CANDLES} candles, {TRACKERS} trackers", candle_chart(), rounds),
    ]


if __name__ == "__main__":
    print(table(rows("--quick" in sys.argv[1:])))
