"""An import as a real process: killed wherever it is, and over the recorded market data."""

import asyncio
import os
import re
import signal
from collections import defaultdict
from pathlib import Path

import pytest

from storage.archive.archive import Archive
from storage.archive.foreign import write_file
from tests.forking import process as forking
from tests.unit.trading.candles.make import walk
from trading.candles.series import SeriesName, name_from_file

_HOUR_MS = 3_600_000
_MONTHS = 120
_START_MS = 1_325_376_000_000  # 2012-01-01
_PATIENCE_S = 60.0


def _environment(data_dir: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("UMBRA_")}
    return kept | {"UMBRA_DATA_DIR": str(data_dir)}


async def _umbra(data_dir: Path, *arguments: str) -> tuple[int, str]:
    async with asyncio.timeout(_PATIENCE_S):
        return await forking.run(("data", *arguments), _environment(data_dir))


def _months(data_dir: Path) -> list[Path]:
    return sorted((data_dir / "archive").glob("*/*/*/*.parquet"))


async def _kill_import_at(months: int, folder: Path, data_dir: Path) -> int:
    """Kill an import the moment it has named so many files, and return how it ended."""
    with (data_dir.parent / "log").open("ab") as log:
        process = await forking.start(("data", "import", str(folder)), _environment(data_dir), log)
    async with asyncio.timeout(_PATIENCE_S):
        while len(_months(data_dir)) < months and process.returncode is None:
            await asyncio.sleep(0)
        process.kill()
        return await process.wait()


@pytest.mark.slow
async def test_an_import_killed_anywhere_is_readable_and_ends_with_the_same_bytes(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    candles = walk(_MONTHS * 730, length_ms=_HOUR_MS, start_ms=_START_MS)
    name = SeriesName("binance", "BTC/USDT", "1h")
    write_file(folder / "BINANCE_BTC-USDT_1h.parquet", name, candles)
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    assert (await _umbra(undisturbed, "import", str(folder)))[0] == 0
    expected = _months(undisturbed)
    assert len(expected) >= _MONTHS - 1

    held_before = 0
    for months in (1, 40, 80):
        assert await _kill_import_at(months, folder, killed) == -signal.SIGKILL
        named = _months(killed)
        assert months <= len(named) < len(expected)
        holding = Archive(killed / "archive").load(name)
        assert (holding.damaged, holding.gaps) == ((), ())
        assert holding.candles.equals(candles.take(slice(0, len(holding.candles))))
        assert len(holding.candles) > held_before
        held_before = len(holding.candles)

    assert (await _umbra(killed, "import", str(folder)))[0] == 0
    assert [path.read_bytes() for path in _months(killed)] == [
        path.read_bytes() for path in expected
    ]
    assert list((killed / "archive").rglob("*.unfinished")) == []


_ROW = re.compile(r"\| ([A-Z]+_[^ ]+) \| ([0-9,]+) \| [^|]+ \| ([0-9]+)/([0-9]+) \|")


def _number(text: str) -> int:
    return int(text.replace(",", ""))


@pytest.mark.slow
async def test_the_recorded_data_is_imported_as_it_is_with_the_gaps_that_it_names(
    shared_data: Path, tmp_path: Path
) -> None:
    named: dict[SeriesName, list[tuple[int, int, int]]] = defaultdict(list)
    for stem, rows, gaps, missing in _ROW.findall((shared_data / "README.md").read_text()):
        if "MULTI" not in stem:
            named[name_from_file(stem)].append((_number(rows), int(gaps), int(missing)))
    assert len(named) > 20
    folder = shared_data / "ohlcv"
    code, said = await _umbra(tmp_path, "import", str(folder))
    assert code == 0, said
    assert "REFUSED" not in said

    lines = (await _umbra(tmp_path, "verify", "--all"))[1].splitlines()
    assert lines.pop().startswith("All checksums hold: ")
    told = {line.split(":  ")[0].rsplit(": ", 1)[0]: line for line in lines if line[0] != " "}
    # One file holds a look at 21 running markets, and counts to series of other files as well.
    looked = {line for line in said.splitlines() if ": 999 candles read, 999 new" in line}
    assert len(looked) == 21
    also_looked = {line.rsplit(": ", 1)[0] for line in looked}
    for name, rows in named.items():
        candles = sum(row[0] for row in rows) + (999 if str(name) in also_looked else 0)
        gaps, missing = sum(row[1] for row in rows), sum(row[2] for row in rows)
        words = re.findall(r"([0-9,]+) (candle|gap)s?", told[str(name)].removeprefix(str(name)))
        assert [_number(word) for word, _ in words] == [candles, gaps, missing], name
    assert told.keys() == also_looked | {str(name) for name in named}
    gap_lines = [line for line in lines if line.startswith("  gap ")]
    assert len(gap_lines) == sum(row[1] for rows in named.values() for row in rows)
    _, again = await _umbra(tmp_path, "import", str(folder))
    assert " 0 new" in again
    assert not re.search(r"read, [1-9][0-9,]* new", again)
