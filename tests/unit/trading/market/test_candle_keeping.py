"""On the way into the archive: nobody waits for the disk, and what has no room is told."""

import asyncio
import logging
from collections.abc import Sequence

import pytest

from trading.candles.rows import columns_of
from trading.domain.errors import InstanceConflict
from trading.domain.market import Candle
from trading.domain.time import Timeframe
from trading.market.candle_keeping import CandleKeeping
from trading.market.settings import CandleSettings
from trading.market.unwritten import Closed

ADA = "ADA/USDT"
MINUTE = Timeframe("1m")


def candle(number: int) -> Candle:
    return Candle(number * 60_000, 1.0, 1.0, 1.0, 1.0, 1.0, True)


class Disk:
    """Takes batches when it is let, and can be locked."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.is_locked = False
        self.goes_on = asyncio.Event()
        self.goes_on.set()

    async def append(self, batch: Sequence[Closed]) -> None:
        await self.goes_on.wait()
        if self.is_locked:
            raise InstanceConflict("the archive is being written")
        self.batches.append(len(batch))


async def test_a_slow_disk_holds_nobody_up_and_the_rest_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    disk = Disk()
    disk.goes_on.clear()
    keeping = CandleKeeping(disk.append, CandleSettings(pasts_waiting_max=2))
    writer = asyncio.ensure_future(keeping.run())
    past = columns_of([candle(number) for number in range(5)])
    for _ in range(2):
        keeping.add_past(ADA, MINUTE, past)
    await asyncio.sleep(0)
    for _ in range(2):
        keeping.add_past(ADA, MINUTE, past)
    assert [one.message for one in caplog.records] == ["past_not_kept"]
    disk.goes_on.set()
    for _ in range(20):
        await asyncio.sleep(0)
    assert disk.batches == [5, 5, 5]
    writer.cancel()
    await asyncio.gather(writer, return_exceptions=True)


async def test_what_closed_is_written_in_batches_of_a_bounded_size() -> None:
    disk = Disk()
    keeping = CandleKeeping(disk.append, CandleSettings(write_batch_max=3))
    for number in range(8):
        keeping.add((ADA, MINUTE, candle(number)))
    await keeping.write()
    assert disk.batches == [3, 3, 2]
    assert keeping.waiting == 0


async def test_two_sweeps_at_once_write_once() -> None:
    disk = Disk()
    disk.goes_on.clear()
    keeping = CandleKeeping(disk.append, CandleSettings())
    keeping.add((ADA, MINUTE, candle(1)))
    first = asyncio.ensure_future(keeping.write())
    await asyncio.sleep(0)
    keeping.add((ADA, MINUTE, candle(2)))
    await keeping.write()
    assert keeping.waiting == 1
    disk.goes_on.set()
    await first
    assert disk.batches == [1, 1]


async def test_while_the_archive_is_locked_pasts_are_left_and_closed_ones_wait(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    disk = Disk()
    disk.is_locked = True
    keeping = CandleKeeping(disk.append, CandleSettings())
    keeping.add((ADA, MINUTE, candle(1)))
    for _ in range(3):
        await keeping.write()
    keeping.add_past(ADA, MINUTE, columns_of([candle(0)]))
    assert keeping.waiting == 1
    disk.is_locked = False
    await keeping.write()
    messages = [one.message for one in caplog.records]
    assert messages == ["candles_not_written", "candles_written_again"]
    assert disk.batches == [1]


async def test_a_disk_that_hangs_is_a_failure_and_not_the_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    disk = Disk()
    disk.goes_on.clear()
    keeping = CandleKeeping(disk.append, CandleSettings(write_timeout_s=0.01))
    keeping.add((ADA, MINUTE, candle(1)))
    await keeping.write()
    assert keeping.waiting == 1
    assert [one.message for one in caplog.records] == ["candles_not_written"]
    disk.goes_on.set()
    await keeping.write()
    assert (keeping.waiting, disk.batches) == (0, [1])


async def test_without_an_archive_nothing_waits() -> None:
    keeping = CandleKeeping(None, CandleSettings())
    keeping.add((ADA, MINUTE, candle(1)))
    keeping.add_past(ADA, MINUTE, columns_of([candle(0)]))
    await keeping.write()
    assert keeping.waiting == 0
