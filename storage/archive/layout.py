"""Where a month of candles lies: `exchange/BASE-QUOTE/timeframe/2021-05.parquet`."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote

from trading.candles.series import SeriesName, series_name
from trading.candles.spans import Span
from trading.domain.errors import Refused
from trading.domain.time import MONTH, candle_open_ms, following_ms, from_ms, to_ms

QUARANTINE = "quarantine"
_SUFFIX = ".parquet"
_DAMAGED = "damaged-"
_MONTH = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])", re.ASCII)
_SEPARATORS = {"/": "-", ":": "_"}
# Where capitals make no difference, 1M and 1m would share a folder.
_TIMEFRAME_FOLDERS = {MONTH: "1month"}
_TIMEFRAMES = {folder: timeframe for timeframe, folder in _TIMEFRAME_FOLDERS.items()}


@dataclass(frozen=True, slots=True, order=True)
class Month:
    """A month of UTC; a candle belongs to the one it opens in."""

    year: int
    number: int

    def __str__(self) -> str:
        return f"{self.year:04}-{self.number:02}"

    @property
    def start_ms(self) -> int:
        """Its first millisecond."""
        return to_ms(datetime(self.year, self.number, 1, tzinfo=UTC))

    def following(self) -> "Month":
        """Return the month after it."""
        return Month(self.year + self.number // 12, self.number % 12 + 1)

    def opens(self, length_ms: int) -> Span:
        """Return the first and last open time in it."""
        # The candle that holds a boundary's last millisecond is the last to open before it.
        before_ms = candle_open_ms(self.start_ms - 1, length_ms)
        return Span(
            following_ms(before_ms, length_ms),
            candle_open_ms(self.following().start_ms - 1, length_ms),
        )


def month_of(at_ms: int) -> Month:
    """Return the month that a moment lies in."""
    at = from_ms(at_ms)
    return Month(at.year, at.month)


def months_in(span: Span) -> Iterator[Month]:
    """Yield every month that a span touches, in order."""
    month, last = month_of(span.first_ms), month_of(span.last_ms)
    while month <= last:
        yield month
        month = month.following()


def months_named(months: Iterable[Month]) -> str:
    """Name months, those that follow one another by the first and the last."""
    runs: list[tuple[Month, Month]] = []
    for month in months:
        if runs and runs[-1][1].following() == month:
            runs[-1] = (runs[-1][0], month)
        else:
            runs.append((month, month))
    return ", ".join(
        str(first)
        if first == last
        else f"{first}, {last}"
        if first.following() == last
        else f"{first} to {last}"
        for first, last in runs
    )


def folder_of(root: Path, name: SeriesName) -> Path:
    """Return where the months of a series lie."""
    timeframe = _TIMEFRAME_FOLDERS.get(name.timeframe, name.timeframe)
    return root / name.exchange / symbol_folder(name.symbol) / timeframe


def partition_path(root: Path, name: SeriesName, month: Month) -> Path:
    """Return where a month of a series lies."""
    return folder_of(root, name) / f"{month}{_SUFFIX}"


def series_in(root: Path) -> list[SeriesName]:
    """Return the names of all series that have a folder; what else lies there is passed by."""
    found = []
    for folder in root.glob("*/*/*"):
        exchange, symbol, timeframe = folder.relative_to(root).parts
        if exchange == QUARANTINE or not folder.is_dir():
            continue
        try:
            name = series_name(exchange, _symbol(symbol), _TIMEFRAMES.get(timeframe, timeframe))
        except Refused:
            continue
        if folder_of(root, name) == folder:
            found.append(name)
    return sorted(found)


def months_of(root: Path, name: SeriesName) -> list[Month]:
    """Return the months of a series that have a file, in order."""
    stems = [path.stem for path in folder_of(root, name).glob(f"*{_SUFFIX}")]
    return _months_named_by(stems)


def damaged_path(root: Path, name: SeriesName, month: Month, mark: str) -> Path:
    """Return where a month goes that cannot be believed; `mark` tells its contents apart."""
    return folder_of(root / QUARANTINE, name) / f"{_DAMAGED}{month}-{mark}{_SUFFIX}"


def damaged_of(root: Path, name: SeriesName) -> list[Month]:
    """Return the months of a series that are in quarantine, each once and in order."""
    paths = folder_of(root / QUARANTINE, name).glob(f"{_DAMAGED}*{_SUFFIX}")
    stems = [path.stem.removeprefix(_DAMAGED).rpartition("-")[0] for path in paths]
    return _months_named_by(stems)


def symbol_folder(symbol: str) -> str:
    """Return the name of a symbol's folder: no two share one, and none names one elsewhere."""
    return "".join(
        _SEPARATORS.get(letter)
        or (letter if letter.isascii() and letter.isalnum() else _escaped(letter))
        for letter in symbol
    )


def _months_named_by(stems: Iterable[str]) -> list[Month]:
    matches = [match for stem in stems if (match := _MONTH.fullmatch(stem))]
    return sorted({Month(int(match[1]), int(match[2])) for match in matches})


def _escaped(letter: str) -> str:
    return "".join(f"%{byte:02X}" for byte in letter.encode())


def _symbol(folder_name: str) -> str:
    for separator, written in _SEPARATORS.items():
        folder_name = folder_name.replace(written, separator)
    return unquote(folder_name, errors="replace")
