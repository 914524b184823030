"""What the scanner stands on: this exchange's archive and scores, and its share of the settings."""

from pathlib import Path

import pytest

from bot import config, scanning
from tests.fakes.candle_market import CandleMarket
from tests.fakes.clock import FakeClock
from tests.fakes.virtual_time import VirtualTime
from trading.domain.time import Timeframe


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> config.Settings:
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "TELEGRAM_TOKEN": "42:token-of-the-test",
        "DATA_DIR": str(tmp_path),
        "SCAN_TIMEFRAMES": "15m,1h",
        "WATCHED_MAX": "3",
        "SCORES_KEPT_DAYS": "7",
    }.items():
        monkeypatch.setenv(f"UMBRA_{name}", value)
    return config.load()


def test_the_settings_of_the_process_become_the_scanners(settings: config.Settings) -> None:
    own = scanning.scanner_settings(settings)
    assert own.timeframes == (Timeframe("15m"), Timeframe("1h"))
    assert (own.symbols_max, own.kept_days) == (3, 7)


def test_a_simulated_exchange_never_writes_into_a_markets_history(
    monkeypatch: pytest.MonkeyPatch, settings: config.Settings
) -> None:
    assert scanning.archive_name(settings) == "binance"
    monkeypatch.setenv("UMBRA_EXCHANGE_REST_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("UMBRA_EXCHANGE_WS_URL", "ws://127.0.0.1:1")
    assert scanning.archive_name(config.load()) == "binancesimulated"


async def test_nothing_is_started_and_nothing_is_written_before_it_runs(
    settings: config.Settings, tmp_path: Path
) -> None:
    async def on_scores() -> None:
        raise AssertionError("nothing is watched")

    clock = FakeClock()
    market = CandleMarket(VirtualTime())
    replays = scanning.replays(settings)
    engine = scanning.scanner(settings, market, clock, replays, on_scores, lambda _damaged: None)
    assert engine.timeframes("ADA/USDT") == (Timeframe("15m"), Timeframe("1h"))
    await engine.scan_watched()
    await engine.sweep()
    assert list(tmp_path.iterdir()) == []
    assert market.requests == []
