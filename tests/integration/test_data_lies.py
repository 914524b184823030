"""`umbra data download`, the real process, from an exchange that tells wrong candles."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from storage.archive.archive import Archive
from tests.forking import process as forking
from trading.candles.series import SeriesName
from trading.domain.time import from_ms
from trading.sim.binance.server import SimSettings, running

pytestmark = pytest.mark.uncounted

_HOUR_MS = 3_600_000
_HOURS = 40
_NAME = SeriesName("binance", "BTC/USDT", "1h")
_PATIENCE_S = 60.0
Row = list[Any]
Environment = dict[str, str]
Lie = Callable[[dict[int, Row]], list[Row]]
"""From the rows of a page, by how many hours they open after the beginning, to what is told."""


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


@asynccontextmanager
async def _lying(rest_url: str, lie: Lie, since_ms: int) -> AsyncIterator[str]:
    """Pass every request on to an exchange, and bend its hourly candles."""
    told: list[int] = []

    async def answer(request: web.Request) -> web.Response:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{rest_url}{request.path_qs}") as said,
        ):
            body = await said.json()
            if request.path.endswith("/klines") and request.query["interval"] == "1h":
                told.append(len(body))
                body = lie({(row[0] - since_ms) // _HOUR_MS: row for row in body})
            return web.json_response(body, status=said.status)

    server = web.Application()
    server.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(server)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield site.name
        assert max(told) >= _HOURS, "no candle was bent"
    finally:
        await runner.cleanup()


def _start_of(rest_url: str, data_dir: Path, since_ms: int) -> tuple[tuple[str, ...], Environment]:
    """Return the arguments after `python -m bot` and the environment."""
    arguments = (
        *("data", "download", "--rest-url", rest_url),
        *("--exchange", "binance", "--symbol", "BTC/USDT", "--timeframe", "1h"),
        *("--since", f"{from_ms(since_ms):%Y-%m-%dT%H:00}"),
        *("--until", f"{from_ms(since_ms + _HOURS * _HOUR_MS):%Y-%m-%dT%H:00}"),
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith("UMBRA_")}
    return arguments, kept | {"UMBRA_DATA_DIR": str(data_dir), "COLUMNS": "500"}


async def _downloaded(rest_url: str, data_dir: Path, since_ms: int) -> tuple[int, str]:
    """Download in a fork; return its exit code and what it said."""
    said = data_dir.with_suffix(".log")
    with said.open("wb") as output:
        process = await forking.start(*_start_of(rest_url, data_dir, since_ms), output)
    async with asyncio.timeout(_PATIENCE_S):
        code = await process.wait()
    return code, said.read_text()


async def _downloaded_anew(rest_url: str, data_dir: Path, since_ms: int) -> tuple[int | None, str]:
    """The same in a new interpreter."""
    arguments, environment = _start_of(rest_url, data_dir, since_ms)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", *arguments),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(_PATIENCE_S):
        said, _ = await process.communicate()
    return process.returncode, said.decode()


def _times(factor: float) -> Callable[[Row], Row]:
    return lambda row: [row[0], *(str(float(text) * factor) for text in row[1:5]), *row[5:]]


def _honest(rows: dict[int, Row]) -> list[Row]:
    return list(rows.values())


def _each(bend: Callable[[Row], Row], places: range = range(-1000, 1000)) -> Lie:
    return lambda rows: [bend(row) if place in places else row for place, row in rows.items()]


def _and(*more: Row) -> Lie:
    return lambda rows: [*rows.values(), *([*one, *rows[0][len(one) :]] for one in more)]


def _twice_unlike(rows: dict[int, Row]) -> list[Row]:
    return [*rows.values(), *(_times(1.5)(rows[place]) for place in rows if place == 7)]


# How candles are told, which of 40 are then not kept, and what is said.
_LIES: dict[str, tuple[Lie, range, str]] = {
    "newest first": (lambda rows: _honest(rows)[::-1], range(0), "40 new candles"),
    "each twice": (lambda rows: [*rows.values()] * 2, range(0), "told twice alike, kept once"),
    "microseconds": (
        _each(lambda row: [row[0] * 1000, *row[1:]]),
        range(0),
        "time turned into milliseconds",
    ),
    "a hole": (
        lambda rows: [row for place, row in rows.items() if place not in range(10, 13)],
        range(10, 13),
        "37 new candles",
    ),
    "no number": (
        _each(lambda row: [*row[:2], "NaN", *row[3:]], range(5, 6)),
        range(5, 6),
        "1 REFUSED: holds something that is no number",
    ),
    "in cents": (
        _each(_times(100), range(30, 1000)),
        range(30, 40),
        "REFUSED: has prices in another unit",
    ),
    "one told unlike": (_twice_unlike, range(7, 8), "2 REFUSED: is told twice, and not alike"),
    "off the grid": (
        _each(lambda row: [row[0] + 1, *row[1:]], range(8, 9)),
        range(8, 9),
        "1 REFUSED: opens between two times of the grid",
    ),
    "below 0": (
        _each(lambda row: [*row[:5], "-1", *row[6:]], range(9, 10)),
        range(9, 10),
        "1 REFUSED: has a volume below 0",
    ),
    "from the future": (_and([3_999_999_600_000]), range(0), "1 REFUSED: opens in the future"),
    "after all time": (
        _and([9_999_999_999_999 // _HOUR_MS * _HOUR_MS]),
        range(0),
        "1 REFUSED: opens at no time that can be",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", _LIES)
async def test_what_an_exchange_tells_wrong_is_repaired_or_refused_and_never_stored(
    kind: str, tmp_path: Path
) -> None:
    lie, lost, words = _LIES[kind]
    since_ms = (_now_ms() // _HOUR_MS - _HOURS - 5) * _HOUR_MS
    held = []
    async with running(SimSettings(port=0, still=True), _now_ms) as sim:
        for folder, tell in (("honest", _honest), ("lying", lie)):
            async with _lying(sim.rest_url, tell, since_ms) as url:
                code, said = await _downloaded(url, tmp_path / folder, since_ms)
            assert code == 0, said
            held.append(Archive(tmp_path / folder / "archive").load(_NAME))
    honest, lied_to = held
    assert len(honest.candles) == _HOURS
    kept = [place for place in range(_HOURS) if place not in lost]
    assert lied_to.candles.equals(honest.candles.take(kept))
    assert lied_to.missing == len(lost)
    assert words in said
    quarantined = list((tmp_path / "lying" / "archive" / "quarantine").rglob("*.parquet"))
    assert bool(quarantined) == ("REFUSED" in words)


def _flipped(row: Row) -> Row:
    open_, high, low, close = (1 / float(text) for text in row[1:5])
    return [row[0], *(f"{price:.12f}" for price in (open_, low, high, close)), *row[5:]]


def _in_quote(row: Row) -> Row:
    return [*row[:5], str(float(row[5]) * float(row[4])), *row[6:]]


@pytest.mark.parametrize(
    "lie",
    [_each(_times(1000)), _each(_flipped), _each(_in_quote), _each(_times(1000), range(6, 1000))],
    ids=["in thousands", "flipped", "volume in quote", "six right"],
)
async def test_an_answer_in_another_unit_is_never_stored_and_told_in_one_sentence(
    lie: Lie, tmp_path: Path
) -> None:
    since_ms = (_now_ms() // _HOUR_MS - _HOURS - 5) * _HOUR_MS
    async with (
        running(SimSettings(port=0, still=True), _now_ms) as sim,
        _lying(sim.rest_url, lie, since_ms) as url,
    ):
        code, said = await _downloaded(url, tmp_path / "lying", since_ms)
    assert (code, said.count("in another unit")) == (2, 1), said
    archive = Archive(tmp_path / "lying" / "archive")
    assert len(archive.load(_NAME).candles) == 0
    assert list((archive.root / "quarantine").rglob("*.parquet"))


async def test_times_in_seconds_are_repaired_as_an_import_repairs_them(tmp_path: Path) -> None:
    since_ms = (_now_ms() // _HOUR_MS - _HOURS - 5) * _HOUR_MS
    in_seconds = _each(lambda row: [row[0] // 1000, *row[1:]])
    async with running(SimSettings(port=0, still=True), _now_ms) as sim:
        async with _lying(sim.rest_url, _honest, since_ms) as url:
            code, said = await _downloaded(url, tmp_path / "honest", since_ms)
        assert code == 0, said
        async with _lying(sim.rest_url, in_seconds, since_ms) as url:
            code, said = await _downloaded_anew(url, tmp_path / "seconds", since_ms)
    assert (code, "time turned into milliseconds" in said) == (0, True), said
    told, true = (Archive(tmp_path / one / "archive").load(_NAME) for one in ("seconds", "honest"))
    assert len(true.candles) == _HOURS
    assert told.candles.equals(true.candles)
