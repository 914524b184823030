"""V10: a year of minutes of 50 symbols from the archive into arrays, and one more candle for 1,000.

`python -m benchmarks.bench_archive [folder]`; the folder decides which disk is measured. What was
loaded is added up and compared with what was written, and a byte that flips must be noticed.
"""

import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.table import NotDone, Row, at_most, table
from storage.archive.archive import Archive
from storage.archive.durable import make_folder, write_whole
from storage.archive.layout import Month, folder_of, months_in, partition_path
from storage.archive.partition import Partition, encode
from storage.archive.writer import writing
from trading.candles.series import Candles, SeriesName, candles_of
from trading.candles.spans import Span
from trading.domain.time import Timeframe

EXCHANGE = "binance"
SYMBOLS = 50
MINUTES = 365 * 1_440
START_MS = 1_735_689_600_000  # 2025-01-01
NOW_MS = START_MS + 24 * 3_600_000 * 365
# Where candles of all these lengths open.
GRID_MS = START_MS + 2 * 86_400_000
APPENDED = tuple(Timeframe(name) for name in ("1h", "4h", "12h", "1d", "3d"))
LOAD_S_MAX = 3.0
APPEND_S_MAX = 1.0


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is written, read and appended."""

    symbols: int = SYMBOLS
    minutes: int = MINUTES
    appended_symbols: int = 200


def name(number: int, timeframe: str) -> SeriesName:
    """The series of one of the symbols."""
    return SeriesName(EXCHANGE, f"C{number:03}/USDT", timeframe)


def walk(seed: int, start_ms: int, count: int, length_ms: int) -> Candles:
    """A random walk on a grid of cents, with volumes of three decimals."""
    generator = np.random.default_rng(seed)
    path = 100 * np.exp(np.cumsum(generator.normal(0, 0.001, count + 1)).clip(-4, 4))
    opens, closes = path[:-1].round(2), path[1:].round(2)
    reach = generator.uniform(0, 0.002, (2, count))
    return candles_of(
        {
            "open_time_ms": start_ms + length_ms * np.arange(count),
            "open": opens,
            "high": (np.maximum(opens, closes) * (1 + reach[0])).round(2),
            "low": np.minimum(np.minimum(opens, closes), (opens * (1 - reach[1])).round(2)),
            "close": closes,
            "volume": generator.uniform(1, 900, count).round(3),
        }
    )


def write(root: Path, series: SeriesName, candles: Candles) -> None:
    """Write all months of a series as the archive would."""
    make_folder(folder_of(root, series))
    times = candles.open_time_ms
    for month in months_in(Span(int(times[0]), int(times[-1]))):
        part = candles.take(slice(*times.searchsorted(_bounds(month, series))))
        span = Span(int(part.open_time_ms[0]), int(part.open_time_ms[-1]))
        content = encode(series, month, Partition(part, (span,)))
        write_whole(partition_path(root, series, month), content)


def _bounds(month: Month, series: SeriesName) -> tuple[int, int]:
    opens = month.opens(series.length_ms)
    return opens.first_ms, opens.last_ms + 1


def load_rows(root: Path, scale: Scale) -> list[Row]:
    """Load every minute of every symbol; what is read must be what was written.

    Beside the time that passes stands the time that processors worked: it knows no neighbours.
    """
    expected = []
    for number in range(scale.symbols):
        candles = walk(number, START_MS, scale.minutes, 60_000)
        write(root, name(number, "1m"), candles)
        expected.append((len(candles), float(candles.close.sum())))
    archive = Archive(root)
    # The first read imports the library that reads.
    archive.load(name(0, "1m"))
    begun, worked = time.perf_counter(), time.process_time()
    held = [archive.load(name(number, "1m")) for number in range(scale.symbols)]
    spent_s, worked_s = time.perf_counter() - begun, time.process_time() - worked
    found = [(len(one.candles), float(one.candles.close.sum())) for one in held]
    if found != expected or any(one.damaged or one.missing for one in held):
        raise NotDone("what was loaded should be what was written")
    _must_notice_damage(archive, name(0, "1m"))
    rows = sum(count for count, _ in found)
    what = f"{rows / 1e6:.1f} M minutes of {scale.symbols} symbols into arrays, checksums proven"
    return [
        at_most("V10", what, spent_s, LOAD_S_MAX, "s"),
        Row("V10", "of that, what the processors worked", f"{worked_s:.2f} s"),
    ]


def _must_notice_damage(archive: Archive, series: SeriesName) -> None:
    path = partition_path(archive.root, series, archive.months(series)[0])
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    if len(archive.load(series).damaged) != 1:
        raise NotDone("a byte that flipped should be noticed")


def append_rows(root: Path, scale: Scale) -> list[Row]:
    """Append one closed candle to each series, twice, each on the disk when it is done.

    The first time since a start the writer reads what is held, to compare; later it remembers.
    """
    written = list(_written(root, scale))
    found = []
    with writing(root) as writer:
        for place, when in ((-2, "the first since a start"), (-1, "the next")):
            batch = [
                (series, whole.take(slice(place, place + 1 or None))) for series, whole in written
            ]
            begun = time.perf_counter()
            writer.append(batch, NOW_MS, "benchmark")
            spent_s = time.perf_counter() - begun
            what = f"one closed candle to each of {len(written):,} series, durable, {when}"
            found.append(at_most("V10", what, spent_s, APPEND_S_MAX, "s"))
        archive = Archive(root)
        _must_end_with(archive, written)
        writer.fold()
        if archive.appended.rows:
            raise NotDone("a fold should leave nothing behind")
        _must_end_with(archive, written)
    return found


def _must_end_with(archive: Archive, written: list[tuple[SeriesName, Candles]]) -> None:
    for series, whole in written:
        if not archive.load(series).candles.equals(whole):
            raise NotDone(f"{series} should end with the candles that were appended")


def _written(root: Path, scale: Scale) -> Iterator[tuple[SeriesName, Candles]]:
    for number in range(scale.appended_symbols):
        for timeframe in APPENDED:
            series = name(1_000 + number, timeframe.name)
            # Halfway through a month.
            count = 15 * 86_400_000 // timeframe.length_ms
            whole = walk(number, GRID_MS, count + 2, timeframe.length_ms)
            write(root, series, whole.take(slice(0, -2)))
            yield series, whole


def measure(scale: Scale, parent: str | None = None) -> list[Row]:
    """Measure in a folder that is removed afterwards; raises NotDone."""
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        root = Path(folder)
        return [*load_rows(root / "minutes", scale), *append_rows(root / "appended", scale)]


def rows(is_quick: bool = False) -> list[Row]:
    """Measure at full or at smoke-test scale."""
    return measure(Scale(2, 60 * 1_440, 4) if is_quick else Scale())


if __name__ == "__main__":
    made = measure(Scale(), sys.argv[1] if len(sys.argv) > 1 else None)
    print(table(made))
    sys.exit(0 if all(row.is_met for row in made) else 1)
