"""Candles of trades: what an exchange would have told, the takers' share too, nothing made up."""

from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import feather, parquet

from trading.candles.building import GRACE_MS, CandleBuilder, Print
from trading.domain.market import Candle
from trading.domain.time import Timeframe
from trading.sim.candles import CandleStore, TapePrint
from trading.sim.history import Rows, history

MINUTE = Timeframe("1m")
NOON_MS = 1_700_000_040_000


def traded(
    second: float,
    price: float = 100.0,
    quantity: float = 1.0,
    *,
    buy: bool = True,
    number: int | None = None,
) -> Print:
    return Print(price, quantity, NOON_MS + int(second * 1_000), buy, number)


def builder(listening_s: float = 0) -> CandleBuilder:
    return CandleBuilder(MINUTE, NOON_MS + int(listening_s * 1_000))


def fed(made: CandleBuilder, *prints: Print) -> list[Candle]:
    return [closed for each in prints if (closed := made.take(each)) is not None]


def test_noon_is_on_the_grid_of_minutes() -> None:
    assert NOON_MS % 60_000 == 0


def test_the_first_trade_of_the_next_minute_closes_the_one_before() -> None:
    [candle] = fed(
        builder(),
        traded(1, 100, 2, buy=True),
        traded(20, 104, 1, buy=False),
        traded(40, 98, 3, buy=False),
        traded(59.999, 101, 4, buy=True),
        traded(60, 102, 9, buy=True),
    )
    assert candle == Candle(
        *(NOON_MS, 100, 104, 98, 101, 10, True),
        quote_volume=2 * 100 + 104 + 3 * 98 + 4 * 101,
        trades=4,
        taker_buy_volume=6,
    )


def test_time_alone_closes_a_candle_after_a_grace_and_once() -> None:
    made = builder()
    made.take(traded(5))
    assert made.close_due(NOON_MS + 60_000 + GRACE_MS - 1) is None
    closed = made.close_due(NOON_MS + 60_000 + GRACE_MS)
    assert closed is not None
    assert closed.is_closed
    assert made.close_due(NOON_MS + 999_000) is None
    # A straggler is counted, and changes nothing that was given.
    assert fed(made, traded(59), traded(130), traded(190)) == [
        Candle(NOON_MS + 120_000, 100, 100, 100, 100, 1, True, 100, 1, 1)
    ]
    assert made.late == 1


def test_minutes_without_trades_have_no_candle() -> None:
    closed = fed(builder(), traded(5), traded(605), traded(665))
    assert [(one.open_time_ms - NOON_MS) // 60_000 for one in closed] == [0, 10]


def test_a_minute_heard_in_part_is_not_given() -> None:
    assert fed(builder(listening_s=0.001), traded(5), traded(65)) == []
    made = builder()
    closed = fed(made, traded(5), traded(65))
    made.interrupted(NOON_MS + 130_000)
    closed += fed(made, traded(131), traded(185), traded(245))
    # Minute 1 was broken off, minute 2 was joined halfway.
    assert [(one.open_time_ms - NOON_MS) // 60_000 for one in closed] == [0, 3]


def test_a_trade_told_twice_counts_once() -> None:
    again = [traded(second, number=int(second)) for second in (1, 2, 1, 2, 3, 65)]
    [candle] = fed(builder(), *again)
    assert candle.trades == 3


def test_a_trade_of_a_minute_that_has_passed_is_in_no_other() -> None:
    made = builder()
    closed = fed(made, traded(5), traded(65), traded(59, price=500), traded(125))
    assert [one.high for one in closed] == [100, 100]
    assert made.late == 1


def past(timeframe: Timeframe, end_ms: int, price: float) -> Rows:
    return history("7 A/B", timeframe, end_ms, price, 0.01)


def test_a_trade_of_a_minute_that_was_skipped_does_not_open_it_again() -> None:
    made = builder()
    closed = fed(made, traded(5), traded(605), traded(305), traded(665))
    assert [(one.open_time_ms - NOON_MS) // 60_000 for one in closed] == [0, 10]
    assert made.late == 1


@pytest.mark.slow
@given(seed=st.integers(0, 10_000))
def test_candles_of_trades_equal_those_of_the_exchange_and_the_split_adds_up(seed: int) -> None:
    rng = Random(seed)
    exchange = CandleStore(past, NOON_MS, 100.0)
    made = builder()
    at_ms, closed, expected = NOON_MS, [], {}
    for number in range(300):
        at_ms += rng.randint(0, 9_000)
        one = TapePrint(number, 100 + rng.random(), 1 + rng.random(), at_ms, rng.random() < 0.4)
        exchange.take(one)
        for kline in exchange.candles(MINUTE, at_ms)[:-1]:
            expected[kline.open_ms] = kline
        ended = made.take(Print(one.price, one.quantity, one.at_ms, one.is_taker_buy, one.trade_id))
        closed += [] if ended is None else [ended]
    assert len(closed) > 15
    for candle in closed:
        kline = expected[candle.open_time_ms]
        prices = (candle.open, candle.high, candle.low, candle.close)
        assert prices == (kline.open, kline.high, kline.low, kline.close)
        assert candle.volume == pytest.approx(kline.volume)
        assert candle.trades == kline.trades
        assert candle.quote_volume == pytest.approx(kline.quote_volume)
        assert candle.taker_buy_volume == pytest.approx(kline.taker_volume)
        assert candle.taker_buy_volume is not None
        assert 0 <= candle.taker_buy_volume <= candle.volume


def test_recorded_trades_make_the_recorded_candles(shared_data: Path) -> None:
    tape = shared_data / "trades" / "KRAKEN_BTC-USDT_trades_2023-11-17_22.feather"
    told = shared_data / "ohlcv" / "KRAKEN_BTC-USDT_1m__2023-11.parquet"
    if not (tape.exists() and told.exists()):
        pytest.skip("the trades of Kraken are not among the recorded market data")
    table = feather.read_table(tape)
    names = ("price", "amount", "timestamp", "side")
    columns = [table.column(name).to_pylist() for name in names]
    made = CandleBuilder(MINUTE, 0)
    prints = [
        Print(float(price), float(amount), int(at_ms), side == "buy")
        for price, amount, at_ms, side in zip(*columns, strict=True)
    ]
    closed = {one.open_time_ms: one for one in fed(made, *prints)}
    candles = parquet.read_table(told).to_pydict()
    common = [place for place, at_ms in enumerate(candles["timestamp_ms"]) if at_ms in closed]
    assert len(common) >= 5_386
    for place in common:
        candle = closed[candles["timestamp_ms"][place]]
        figures = (candle.open, candle.high, candle.low, candle.close, candle.volume)
        expected = [candles[name][place] for name in ("open", "high", "low", "close", "volume")]
        assert np.allclose(figures, expected, rtol=1e-9)
        assert candle.taker_buy_volume is not None
        assert 0 <= candle.taker_buy_volume <= candle.volume * (1 + 1e-12)
