"""Stream names of Binance spot."""

import pytest

from trading.domain.time import Timeframe
from trading.sim.binance.stream_names import Kind, Stream, parse_stream


@pytest.mark.parametrize(
    ("name", "stream"),
    [
        ("btcusdt@trade", Stream(Kind.TRADE, "BTCUSDT", 0)),
        ("btcusdt@aggTrade", Stream(Kind.AGGREGATE_TRADE, "BTCUSDT", 0)),
        ("btcusdt@bookTicker", Stream(Kind.BOOK_TICKER, "BTCUSDT")),
        ("btcusdt@ticker", Stream(Kind.TICKER, "BTCUSDT")),
        ("btcusdt@miniTicker", Stream(Kind.MINI_TICKER, "BTCUSDT")),
        ("btcusdt@kline_1m", Stream(Kind.KLINE, "BTCUSDT", timeframe=Timeframe("1m"))),
        ("btcusdt@kline_1M", Stream(Kind.KLINE, "BTCUSDT", timeframe=Timeframe("1M"))),
        ("btcusdt@depth", Stream(Kind.DEPTH, "BTCUSDT", 10)),
        ("btcusdt@depth@100ms", Stream(Kind.DEPTH, "BTCUSDT", 1)),
        ("btcusdt@depth20@100ms", Stream(Kind.PARTIAL_DEPTH, "BTCUSDT", 1, levels=20)),
        ("btcusdt@depth5", Stream(Kind.PARTIAL_DEPTH, "BTCUSDT", 10, levels=5)),
        ("!ticker@arr", Stream(Kind.TICKER, "")),
        ("!miniTicker@arr", Stream(Kind.MINI_TICKER, "")),
        ("!miniTicker@arr@1000ms", Stream(Kind.MINI_TICKER, "")),
    ],
)
def test_known_names_are_understood(name: str, stream: Stream) -> None:
    assert parse_stream(name) == stream


@pytest.mark.parametrize(
    "name",
    ["btcusdt", "BTCUSDT@trade", "btcusdt@nonsense", "btcusdt@kline_7m", "btcusdt@depth7", "", "@"],
)
def test_unknown_names_are_nothing(name: str) -> None:
    assert parse_stream(name) is None


def test_streams_go_out_at_their_pace() -> None:
    each_second, fast, at_once = (
        parse_stream(f"btcusdt@{suffix}") for suffix in ("ticker", "depth@100ms", "trade")
    )
    assert each_second
    assert fast
    assert at_once
    assert [count for count in range(1, 21) if each_second.is_due(count)] == [10, 20]
    assert all(fast.is_due(count) for count in range(1, 21))
    assert not any(at_once.is_due(count) for count in range(1, 21))
