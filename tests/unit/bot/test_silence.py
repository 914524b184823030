"""A silence outlives its process, for the exchange that asked for it."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from bot.silence import SilenceFile
from tests.builders import NOON
from trading.gateway.silence import Silence

ASKED = Silence(NOON, NOON + timedelta(minutes=2))


async def _kept(directory: Path, *several: Silence) -> None:
    of = SilenceFile(directory, "binance")
    for silence in several:
        of.keep(silence)
    await asyncio.get_running_loop().shutdown_default_executor()


async def test_the_next_process_finds_the_newest_one(tmp_path: Path) -> None:
    await _kept(tmp_path, Silence(NOON, NOON + timedelta(seconds=1)), ASKED)
    assert SilenceFile(tmp_path, "binance").kept() == ASKED


async def test_what_another_exchange_asked_for_is_none_of_ours(tmp_path: Path) -> None:
    await _kept(tmp_path, ASKED)
    assert SilenceFile(tmp_path, "kraken").kept() is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"exchange": "binance", "said_at": 1, "until": 2}',
        '{"exchange": "binance", "said_at": "2026-01-01", "until": "soon"}',
        # Nobody can say when this was.
        '{"exchange": "binance", "said_at": "2026-01-01", "until": "2026-01-02"}',
    ],
)
def test_what_cannot_be_read_is_no_silence(tmp_path: Path, text: str) -> None:
    (tmp_path / "silence.json").write_text(text)
    assert SilenceFile(tmp_path, "binance").kept() is None


def test_without_a_file_there_is_none(tmp_path: Path) -> None:
    assert SilenceFile(tmp_path, "binance").kept() is None


async def test_a_disk_that_takes_nothing_costs_no_more_than_the_memory_of_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await _kept(tmp_path / "gone", ASKED)
    assert [one.message for one in caplog.records] == ["silence_not_kept"]
