"""V9: ranks and scores of 1,000 running candles, closing them, and what holding their past takes.

`python -m benchmarks.bench_scan`. Ranks are checked against counting, pasts against sorting, and a
symbol whose candles crash further than ever must reach the full score.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.table import NotDone, Row, at_most, table
from trading.candles.series import Candles, candles_of
from trading.domain.market import Candle
from trading.domain.time import Timeframe, candle_open_ms
from trading.market.closing import LiveSeries
from trading.scanner.engine import ScannerSettings
from trading.scanner.history import RankHistory
from trading.scanner.metrics import Metric, Percents, metrics, sought
from trading.scanner.rating import Monitored, rate
from trading.scanner.scores import RankScore

SYMBOLS = 200
TIMEFRAMES = tuple(Timeframe(name) for name in ("1h", "4h", "12h", "1d", "3d"))
CANDLES = 20_000
# The running scanner yields between so many symbols.
BATCH = ScannerSettings().slice_series // len(TIMEFRAMES)
ROUNDS = 7
SCAN_MS_MAX = 50.0
BATCH_MS_MAX = 5.0
CLOSE_RATIO_MAX = 5.0
AT_MS = 1_767_268_800_000 + 1_000
MEMORY_MB_MAX = {2_000: 350.0, 20_000: 700.0}
_HOLD = "--hold"


@dataclass(frozen=True, slots=True)
class Universe:
    """What is monitored, and the live series that its candles come from."""

    monitored: list[Monitored]
    series: list[LiveSeries]


def walk(count: int, seed: int, length_ms: int) -> Candles:
    """Closed candles of a random walk, the last one just before now."""
    generator = np.random.default_rng(seed)
    path = 100 * np.exp(np.cumsum(generator.normal(0, 0.004, count + 1)).clip(-4, 4))
    opens, closes = path[:-1], path[1:]
    end_ms = candle_open_ms(AT_MS, length_ms)
    return candles_of(
        {
            "open_time_ms": end_ms - length_ms * np.arange(count, 0, -1),
            "open": opens,
            "high": np.maximum(opens, closes) * (1 + np.abs(generator.normal(0, 0.002, count))),
            "low": np.minimum(opens, closes) * (1 - np.abs(generator.normal(0, 0.002, count))),
            "close": closes,
            "volume": generator.uniform(1, 9, count),
            "taker_buy_volume": generator.uniform(0, 1, count),
        }
    )


def universe(candles_each: int) -> Universe:
    """Fill pasts and rings; each tenth symbol is in the worst crash of its past."""
    monitored, series = [], []
    for number in range(SYMBOLS):
        histories, running = {}, {}
        for place, timeframe in enumerate(TIMEFRAMES):
            past = walk(candles_each, number * len(TIMEFRAMES) + place, timeframe.length_ms)
            histories[timeframe] = RankHistory(of(past), candles_max=CANDLES)
            live = LiveSeries(timeframe)
            live.warm(past)
            now = running_candle(timeframe, -60.0 if number % 10 == 0 else (number % 7 - 3) / 10)
            live.take(now, AT_MS)
            running[timeframe] = now
            series.append(live)
        monitored.append(Monitored(f"C{number:03}/USDT", AT_MS, 100.0, histories, running))
    return Universe(monitored, series)


def of(past: Candles) -> Percents:
    """The metrics of candles."""
    return metrics(past.open, past.high, past.low, past.close)


def running_candle(timeframe: Timeframe, change: float) -> Candle:
    """A running candle that has changed so many percent."""
    close = 100 + change
    opened_ms = candle_open_ms(AT_MS, timeframe.length_ms)
    return Candle(opened_ms, 100.0, max(100.0, close), min(100.0, close), close, 1.0, False)


def batches(monitored: list[Monitored]) -> Iterator[list[Monitored]]:
    """What is scored in one go."""
    for first in range(0, len(monitored), BATCH):
        yield monitored[first : first + BATCH]


def scan(monitored: list[Monitored]) -> tuple[list[RankScore], list[float]]:
    """Score everything; milliseconds per batch."""
    scores, taken_ms = [], []
    for batch in batches(monitored):
        begun = time.perf_counter()
        scores += rate(batch)
        taken_ms.append((time.perf_counter() - begun) * 1e3)
    return scores, taken_ms


def check(held: Universe, scores: list[RankScore]) -> None:
    """Raise NotDone unless ranks equal counting and the crashes score in full."""
    full = [score.symbol for score in scores if score.bear == 1.0]
    if full != [f"C{number:03}/USDT" for number in range(0, SYMBOLS, 10)]:
        raise NotDone(f"a tenth of the symbols should reach the full score, did {full}")
    for monitored, score in list(zip(held.monitored, scores, strict=True))[::37]:
        for made in score.timeframes:
            history = monitored.histories[made.timeframe]
            candle = monitored.running[made.timeframe]
            prices = (candle.open, candle.high, candle.low, candle.close)
            looked_up = sought(metrics(*(np.array([price]) for price in prices)))
            for metric, rank in (
                (Metric.CHANGE, made.change_rank),
                (Metric.AMPLITUDE, made.amplitude_rank),
            ):
                above = int((history.values(metric) > looked_up[metric, 0]).sum())
                if rank != min(100 * (1 + above) / len(history), 100.0):
                    raise NotDone(f"{score.symbol} {made.timeframe.name} is ranked {rank}")


def close_us(count: int, rounds: int = 400) -> float:
    """What one closed candle costs a past of `count`; the past must stay sorted."""
    past = of(walk(count + rounds, 3, TIMEFRAMES[0].length_ms))
    history = RankHistory(past[:, :count], candles_max=CANDLES)
    begun = time.perf_counter()
    for column in range(count, count + rounds):
        history.add(past[:, column])
    spent_us = (time.perf_counter() - begun) * 1e6 / rounds
    for metric in Metric:
        if not np.array_equal(history.values(metric), np.sort(past[metric])):
            raise NotDone(f"a past of {count} is not what sorting makes of it")
    return spent_us


def speed_rows(candles_each: int) -> list[Row]:
    """Measure scans and closings."""
    held = universe(candles_each)
    rounds = [scan(held.monitored) for _ in range(ROUNDS)]
    check(held, rounds[-1][0])
    scan_ms = statistics.median(sum(taken_ms) for _, taken_ms in rounds)
    longest_ms = statistics.median(max(taken_ms) for _, taken_ms in rounds)
    few_us, many_us = (
        statistics.median(close_us(count) for _ in range(ROUNDS))
        for count in (candles_each // 10, candles_each)
    )
    what = f"{SYMBOLS} symbols x {len(TIMEFRAMES)} timeframes x 4 metrics, {candles_each:,} each"
    return [
        at_most("V9", f"ranks and scores, {what}", scan_ms, SCAN_MS_MAX, "ms"),
        at_most(
            "V9", f"the longest {BATCH} symbols between yields", longest_ms, BATCH_MS_MAX, "ms"
        ),
        at_most(
            "V9",
            f"a closed candle into {candles_each:,} against {candles_each // 10:,}",
            many_us / few_us,
            CLOSE_RATIO_MAX,
            "x",
        ),
        Row("V9", f"a closed candle into {candles_each:,}, sorted", f"{many_us:.1f} us"),
    ]


def memory_row(candles_each: int) -> Row:
    """Measure a process of its own that holds everything, after it has scanned."""
    # Its libraries are no part of what is measured.
    from benchmarks.processes import resident_mb

    command = [sys.executable, "-m", "benchmarks.bench_scan", _HOLD, str(candles_each)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        if holder.stdin is None or holder.stdout is None:
            raise NotDone("the holder has no pipes")
        told = holder.stdout.readline().strip()
        if told != f"{SYMBOLS * len(TIMEFRAMES)} series":
            raise NotDone(f"the holder should hold every series, told {told!r}")
        resident = resident_mb(holder.pid)
        holder.stdin.close()
    what = f"{SYMBOLS * len(TIMEFRAMES)} live series with {candles_each:,} candles ranked"
    return at_most("V9", f"memory, {what}", resident, MEMORY_MB_MAX[candles_each], "MB")


def hold(candles_each: int) -> None:
    """Hold all series, scan once, say so, and wait until nobody listens any more."""
    held = universe(candles_each)
    scores, _ = scan(held.monitored)
    check(held, scores)
    rings = sum(len(live.ring) == 2_000 for live in held.series)
    print(f"{rings} series", flush=True)
    sys.stdin.read()


def rows(is_quick: bool = False) -> list[Row]:
    """Measure at full or at smoke-test scale."""
    if is_quick:
        return [*speed_rows(2_000), memory_row(2_000)]
    return [*speed_rows(CANDLES), *(memory_row(count) for count in MEMORY_MB_MAX)]


if __name__ == "__main__":
    if _HOLD in sys.argv:
        hold(int(sys.argv[-1]))
    else:
        made = rows()
        print(table(made))
        sys.exit(0 if all(row.is_met for row in made) else 1)
