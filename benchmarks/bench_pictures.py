"""S10: each picture of a chat, from what is drawn to its PNG, in the process that draws it.

`python -m benchmarks.bench_pictures`. A picture that is not as wide as a phone is not done.
"""

import statistics
import struct
import sys
import time

import numpy as np

from benchmarks.table import NotDone, Row, at_most, table
from bot.charts.heat_map import ROWS_MAX, heat_map_of
from bot.charts.score_chart import score_chart_of
from bot.charts.worker import Picture, png_of, request_of
from trading.domain.time import Timeframe, from_ms
from trading.scanner.desk import ScoreLine
from trading.scanner.points import POINTS_MAX
from trading.scanner.scores import RankScore, Standing, Thresholds, TimeframeScore

ROUNDS = 7
PICTURE_MS_MAX = 400.0
WIDTH_PX = 1080
TIMEFRAMES = tuple(Timeframe(name) for name in ("1m", "5m", "15m", "1h", "4h", "12h", "1d", "3d"))
MINUTES = 30 * 1440
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
    return score_chart_of(line, Thresholds(), is_simulated=True)


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
    """Return the figures of both pictures of scores."""
    rounds = 3 if is_quick else ROUNDS
    return [
        measure(f"heat map, {ROWS_MAX} symbols x {len(TIMEFRAMES)}", heat_map(), rounds),
        measure(f"scores of {MINUTES:,} minutes", score_history(), rounds),
    ]


if __name__ == "__main__":
    print(table(rows("--quick" in sys.argv[1:])))
