"""Names of series, and columns that are candles."""

import numpy as np
import pytest

from tests.unit.trading.candles.make import walk
from trading.candles.series import SeriesName, candles_of, name_from_file, series_name
from trading.domain.errors import Refused


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("BINANCE_BTC-USDT_1m", SeriesName("binance", "BTC/USDT", "1m")),
        ("KUCOIN_BTC-USDT_1h__2023-02_03", SeriesName("kucoin", "BTC/USDT", "1h")),
        ("BINANCEFUT_1000PEPE-USDT_5m__x", SeriesName("binance", "1000PEPE/USDT:USDT", "5m")),
    ],
)
def test_a_file_is_named_for_its_series(stem: str, name: SeriesName) -> None:
    assert name_from_file(stem) == name


@pytest.mark.parametrize(
    "stem", ["", "BTC-USDT_1m", "BINANCE_BTCUSDT_1m", "BINANCE_BTC-USDT_7m", "../x_BTC-USDT_1m"]
)
def test_a_file_that_names_no_series_is_refused(stem: str) -> None:
    with pytest.raises(Refused):
        name_from_file(stem)


@pytest.mark.parametrize(
    ("exchange", "symbol", "timeframe"),
    [
        ("Binance", "BTC/USDT", "1m"),
        ("..", "BTC/USDT", "1m"),
        ("binance", "BTCUSDT", "1m"),
        ("binance", "BTC/US\nDT", "1m"),
        ("binance", "BTC/USDT", "2M"),
    ],
)
def test_a_name_that_can_be_none_is_refused(exchange: str, symbol: str, timeframe: str) -> None:
    with pytest.raises(Refused, match="should be"):
        series_name(exchange, symbol, timeframe)


def test_what_takers_sold_is_what_they_did_not_buy() -> None:
    candles = walk(20)
    sums = candles.taker_buy_volume + candles.taker_sell_volume
    assert np.allclose(sums, candles.volume, rtol=1e-12)
    unknown = candles.replace(taker_buy_volume=np.full(20, np.nan))
    assert np.isnan(unknown.taker_sell_volume).all()


@pytest.mark.parametrize(
    "columns",
    [
        {},
        {"open_time_ms": [1], "open": [1], "high": [1], "low": [1], "close": [1]},
        dict.fromkeys(("open_time_ms", "open", "high", "low", "close"), (1,)) | {"volume": [1, 2]},
        dict.fromkeys(("open_time_ms", "open", "high", "low", "close"), (1,)) | {"volume": ["x"]},
        dict.fromkeys(("open_time_ms", "open", "high", "low", "close", "volume"), ((1,),)),
    ],
)
def test_columns_that_are_no_candles_are_refused(columns: dict[str, object]) -> None:
    with pytest.raises(Refused, match="should"):
        candles_of(columns)  # type: ignore[arg-type]
