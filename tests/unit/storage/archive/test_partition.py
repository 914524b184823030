"""A month of candles is read back to the bit, or not at all."""

from pathlib import Path

import numpy as np
import pytest

from storage.archive import partition as partition_module
from storage.archive.layout import Month
from storage.archive.partition import (
    Partition,
    PartitionDamaged,
    decode,
    encode,
    misplaced,
    parquet_bytes,
)
from tests.sampled import sampled
from tests.unit.trading.candles.make import BITCOIN, MINUTE_MS, START_MS, walk, without_optional
from trading.candles.series import Candles, SeriesName, join, no_candles
from trading.candles.spans import Span

_MAY = Month(2021, 5)
_WITHIN = _MAY.opens(MINUTE_MS)


def _partition(candles: Candles) -> Partition:
    times = candles.open_time_ms
    return Partition(candles, (Span(int(times[0]), int(times[-1])),))


@pytest.mark.parametrize(
    "partition",
    [
        _partition(walk(100)),
        _partition(without_optional(walk(100))),
        _partition(walk(100).take(np.arange(100) % 7 != 3)),
        Partition(no_candles(), (Span(START_MS, START_MS + 5 * MINUTE_MS),)),
        Partition(no_candles(), ()),
    ],
    ids=["whole", "little told", "with gaps", "only a gap", "nothing"],
)
def test_a_month_is_read_back_to_the_bit(partition: Partition, tmp_path: Path) -> None:
    content = encode(BITCOIN, _MAY, partition)
    assert encode(BITCOIN, _MAY, partition) == content
    path = tmp_path / "month"
    path.write_bytes(content)
    back = decode(path, BITCOIN, _MAY)
    assert back.equals(partition)
    assert encode(BITCOIN, _MAY, back) == content


@pytest.mark.slow
def test_no_bent_byte_and_no_torn_end_is_believed(tmp_path: Path) -> None:
    partition = _partition(walk(5))
    content = encode(BITCOIN, _MAY, partition)
    path = tmp_path / "month"
    for place in range(0, len(content), sampled(4, 1)):
        bent = bytearray(content)
        bent[place] ^= 0x55
        for wrong in (bent, content[:place], content + content[place:]):
            path.write_bytes(wrong)
            with pytest.raises(PartitionDamaged):
                decode(path, BITCOIN, _MAY)
    path.write_bytes(content)
    assert decode(path, BITCOIN, _MAY).equals(partition)


def test_a_month_of_another_version_is_told_by_its_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "month"
    for version in (1, 3):
        monkeypatch.setattr(partition_module, "_VERSION", version)
        path.write_bytes(encode(BITCOIN, _MAY, _partition(walk(5))))
        monkeypatch.undo()
        with pytest.raises(PartitionDamaged, match=f"version should be 2, was {version}"):
            decode(path, BITCOIN, _MAY)


@pytest.mark.parametrize(
    ("name", "month"),
    [
        (SeriesName("kraken", "BTC/USDT", "1m"), _MAY),
        (SeriesName("binance", "ETH/USDT", "1m"), _MAY),
        (SeriesName("binance", "BTC/USDT", "5m"), _MAY),
        (BITCOIN, Month(2021, 6)),
    ],
)
def test_a_file_moved_to_another_place_is_not_believed(
    name: SeriesName, month: Month, tmp_path: Path
) -> None:
    path = tmp_path / "month"
    path.write_bytes(encode(BITCOIN, _MAY, _partition(walk(5))))
    with pytest.raises(PartitionDamaged, match="should be"):
        decode(path, name, month)


def test_a_parquet_file_of_another_program_is_no_month(tmp_path: Path) -> None:
    path = tmp_path / "month"
    path.write_bytes(parquet_bytes({"open": np.arange(3.0)}, {}))
    with pytest.raises(PartitionDamaged, match="version"):
        decode(path, BITCOIN, _MAY)
    path.write_bytes(b"")
    with pytest.raises(PartitionDamaged, match="it is empty"):
        decode(path, BITCOIN, _MAY)


@pytest.mark.parametrize(
    ("candles", "spans", "problem"),
    [
        (join(walk(5), walk(5)), (Span(START_MS, START_MS + 4 * MINUTE_MS),), "order"),
        (walk(1, start_ms=START_MS + 1), (Span(START_MS, START_MS),), "grid"),
        (walk(5), (Span(START_MS, START_MS + 3 * MINUTE_MS),), "outside its spans"),
        (no_candles(), (Span(START_MS, START_MS),) * 2, "not those of the month"),
        (no_candles(), (Span(START_MS - MINUTE_MS, START_MS),), "not those of the month"),
    ],
)
def test_a_month_that_contradicts_itself_is_not_believed(
    candles: Candles, spans: tuple[Span, ...], problem: str, tmp_path: Path
) -> None:
    wrong = Partition(candles, spans)
    path = tmp_path / "month"
    path.write_bytes(encode(BITCOIN, _MAY, wrong))
    with pytest.raises(PartitionDamaged, match=problem):
        decode(path, BITCOIN, _MAY)
    assert misplaced(_partition(walk(5)), _WITHIN, MINUTE_MS) is None
