"""`umbra data download` against a simulated exchange, as real processes that are really killed."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from storage.archive.archive import Archive
from tests.forking import process as forking
from tests.sampled import sampled
from trading.candles.series import SeriesName
from trading.domain.time import from_ms
from trading.sim.binance.server import RunningSim, SimSettings, running

_HOUR_MS = 3_600_000
_NAME = SeriesName("binance", "BTC/USDT", "1h")
_PAGE = 20
_DEATHS = sampled(3, 10)
_PATIENCE_S = 60.0
_LOOK_S = 0.02


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


@pytest.fixture
async def sim() -> AsyncIterator[RunningSim]:
    async with running(SimSettings(port=0, still=True), _now_ms) as made:
        yield made


def _start_of(
    sim: RunningSim, until: str, data_dir: Path
) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return the arguments after `python -m bot` and the environment."""
    arguments = (
        *("data", "download", "--exchange", "binance", "--symbol", "BTC/USDT"),
        *("--timeframe", "1h", "--since", "2020-01-01", "--until", until),
        *("--rest-url", sim.rest_url, "--page", str(_PAGE)),
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith("UMBRA_")}
    return arguments, kept | {"UMBRA_DATA_DIR": str(data_dir)}


async def _finished(sim: RunningSim, until: str, data_dir: Path) -> str:
    """Download all of it in a new interpreter, and return what was said."""
    arguments, environment = _start_of(sim, until, data_dir)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", *arguments),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(_PATIENCE_S):
        said, complaints = await process.communicate()
    assert process.returncode == 0, complaints.decode()
    return said.decode()


def _held(data_dir: Path) -> int:
    return len(Archive(data_dir / "archive").load(_NAME).candles)


def _files(data_dir: Path) -> dict[str, bytes]:
    root = data_dir / "archive"
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*.parquet")}


async def _kill_with_more_than(candles: int, sim: RunningSim, until: str, data_dir: Path) -> None:
    with (data_dir.parent / "log").open("ab") as log:
        process = await forking.start(*_start_of(sim, until, data_dir), log)
    async with asyncio.timeout(_PATIENCE_S):
        while await asyncio.to_thread(_held, data_dir) <= candles:
            assert process.returncode is None
            await asyncio.sleep(_LOOK_S)
    process.send_signal(signal.SIGKILL)
    assert await process.wait() == -signal.SIGKILL


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_download_killed_again_and_again_ends_with_the_bytes_of_an_undisturbed_one(
    sim: RunningSim, tmp_path: Path
) -> None:
    until = f"{from_ms(_now_ms() - 3 * _HOUR_MS):%Y-%m-%dT%H:00}"
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    assert " new candles" in await _finished(sim, until, undisturbed)
    whole = _held(undisturbed)
    assert whole > _DEATHS * _PAGE
    held = 0
    for _ in range(_DEATHS):
        await _kill_with_more_than(held, sim, until, killed)
        holding = Archive(killed / "archive").load(_NAME)
        assert (holding.damaged, holding.gaps) == ((), ())
        held = len(holding.candles)
        assert held < whole
    assert " new candles" in await _finished(sim, until, killed)
    assert _files(killed) == _files(undisturbed)
    assert "binance BTC/USDT 1h: 0 new candles" in await _finished(sim, until, killed)
