"""Tapes: recorded candles become prints in the order that the file allows."""

from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from trading.domain.errors import Refused
from trading.sim.binance.server import SimSettings, build_world
from trading.sim.tape import Tape, load_tape

RECORDED = Path(__file__).parents[5] / "shared" / "data" / "ohlcv"


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    parquet.write_table(pa.Table.from_pylist(rows), path)
    return path


def row(
    open_ms: int, prices: tuple[float, ...], volume: float = 2.0, **more: object
) -> dict[str, object]:
    names = ("open", "high", "low", "close")
    return {
        **more,
        "timestamp_ms": open_ms,
        **dict(zip(names, prices, strict=True)),
        "volume": volume,
    }


def made(
    tmp_path: Path, rows: list[dict[str, object]], name: str = "SIM_BTC-USDT_1m.parquet"
) -> Tape:
    return load_tape(write(tmp_path / name, rows))


def test_a_candle_prints_its_nearer_extreme_first(tmp_path: Path) -> None:
    tape = made(
        tmp_path,
        [row(0, (100.0, 101.0, 95.0, 98.0)), row(60_000, (98.0, 105.0, 97.0, 99.0))],
    )
    ticks = list(tape.ticks(1))
    assert [tick.price for tick in ticks] == [100.0, 101.0, 95.0, 98.0, 98.0, 97.0, 105.0, 99.0]
    assert [tick.after_ms for tick in ticks] == [
        0, 15_000, 30_000, 45_000, 60_000, 75_000, 90_000, 105_000,
    ]  # fmt: skip


def test_volume_is_split_and_kept_whole_by_seed(tmp_path: Path) -> None:
    tape = made(tmp_path, [row(0, (1.0, 2.0, 1.0, 2.0), volume=8.0)])
    first, again, other = ([tick.volume for tick in tape.ticks(seed)] for seed in (1, 1, 2))
    assert first == again != other
    assert sum(first) == pytest.approx(8.0)
    assert min(first) > 0


def test_gaps_stay_gaps(tmp_path: Path) -> None:
    tape = made(tmp_path, [row(0, (1.0,) * 4), row(300_000, (2.0,) * 4)])
    assert [tick.after_ms for tick in tape.ticks(1)][4] == 300_000


def test_several_markets_on_one_tape_run_side_by_side(tmp_path: Path) -> None:
    rows = [
        row(0, (1.0,) * 4, pair="AAA-USDT"),
        row(60_000, (2.0,) * 4, pair="AAA-USDT"),
        row(0, (7.0,) * 4, pair="BBB-USDT"),
    ]
    tape = made(tmp_path, rows, "SIM_MULTI-USDT_1m.parquet")
    assert tape.first_prices == {("AAA", "USDT"): 1.0, ("BBB", "USDT"): 7.0}
    first = [tick.market[0] for tick in tape.ticks(1)][:8]
    assert first == ["AAA", "BBB"] * 4


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nonsense.parquet", "named"),
        ("SIM_BTCUSDT_1m.parquet", "named"),
        ("SIM_A-B_7m.parquet", "named"),
    ],
)
def test_a_tape_says_what_is_wrong_with_its_name(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(Refused, match=message):
        made(tmp_path, [row(0, (1.0,) * 4)], name)


def test_a_tape_says_what_is_wrong_with_its_contents(tmp_path: Path) -> None:
    broken = tmp_path / "SIM_BTC-USDT_1m.parquet"
    with pytest.raises(Refused, match="readable"):
        load_tape(broken)
    broken.write_bytes(b"no parquet")
    with pytest.raises(Refused, match="readable"):
        load_tape(broken)
    with pytest.raises(Refused, match="lacks"):
        load_tape(write(broken, [{"timestamp_ms": 1}]))
    empty = pa.table({name: pa.array([], pa.float64()) for name in row(0, (1.0,) * 4)})
    parquet.write_table(empty, broken)
    with pytest.raises(Refused, match="at least one candle"):
        load_tape(broken)


def test_a_tape_sets_the_price_that_its_market_starts_with(tmp_path: Path) -> None:
    rows = [row(0, (0.00001234, 0.00001240, 0.0000123, 0.00001236))]
    path = write(tmp_path / "SIM_PEPE-USDT_5m.parquet", rows)
    world = build_world(SimSettings(tape=path), 1_790_000_000_000)
    assert float(world.markets["PEPE/USDT"].price) == pytest.approx(0.00001234)
    path = write(tmp_path / "SIM_BTC-USDT_1m.parquet", [row(0, (20_000.0,) * 4)])
    world = build_world(SimSettings(tape=path), 1_790_000_000_000)
    assert world.markets["BTC/USDT"].price == 20_000


def test_a_recorded_crash_replays_to_its_lowest_price() -> None:
    path = RECORDED / "BINANCE_ETH-USDT_1m__crash-2022-05-luna.parquet"
    if not path.exists():
        pytest.skip("recorded market data is not here")
    tape = load_tape(path)
    columns = parquet.read_table(path).to_pydict()
    prices = [tick.price for tick in tape.ticks(7)]
    assert len(prices) == 4 * len(columns["low"])
    assert min(prices) == min(columns["low"])
    assert prices[-1] == columns["close"][-1]
