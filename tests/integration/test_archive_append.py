"""A process that appends closed candles to the archive, killed wherever it is."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from storage.archive.archive import Archive
from storage.archive.tail import TAIL
from storage.archive.writer import writing
from tests.sampled import sampled
from tests.unit.trading.candles.make import LATER_MS, walk
from trading.candles.series import Candles, SeriesName

_HOUR_MS = 3_600_000
_CANDLES = 1_500
_DEATHS = sampled(3, 10)
_PATIENCE_S = 60.0
_NAMES = [SeriesName("binance", f"{coin}/USDT", "1h") for coin in ("BTC", "ETH", "SOL")]
# Appends one candle of each series at a time, from where the archive ends, and folds often.
_APPENDER = """
import sys
from pathlib import Path
from storage.archive import writer
from tests.integration.test_archive_append import _CANDLES, _NAMES, _past
from tests.unit.trading.candles.make import LATER_MS
writer.FOLD_ROWS = 40
with writer.writing(Path(sys.argv[1])) as archive:
    pasts = [_past(number) for number in range(len(_NAMES))]
    held = [len(archive.archive.load(name).candles) for name in _NAMES]
    for place in range(min(held), _CANDLES):
        batch = [
            (name, past.take(slice(place, place + 1)))
            for name, past, count in zip(_NAMES, pasts, held)
            if place >= count
        ]
        archive.append(batch, LATER_MS, "a test")
"""


def _past(number: int) -> Candles:
    return walk(_CANDLES, number, length_ms=_HOUR_MS)


def _months(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*.parquet")}


def _kill_with_more_than(candles: int, root: Path) -> int:
    with subprocess.Popen([sys.executable, "-c", _APPENDER, str(root)]) as process:
        ends_s = time.monotonic() + _PATIENCE_S
        while len(Archive(root).load(_NAMES[0]).candles) <= candles:
            assert process.poll() is None
            assert time.monotonic() < ends_s
        process.send_signal(signal.SIGKILL)
        return process.wait(_PATIENCE_S)


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_an_appender_killed_again_and_again_ends_with_the_bytes_of_a_single_store(
    tmp_path: Path,
) -> None:
    killed, once = tmp_path / "killed", tmp_path / "once"
    with writing(once) as writer:
        for number, name in enumerate(_NAMES):
            writer.store(name, _past(number), LATER_MS, "a test")
    held = 0
    for _ in range(_DEATHS):
        assert _kill_with_more_than(held, killed) == -signal.SIGKILL
        archive = Archive(killed)
        for number, name in enumerate(_NAMES):
            holding = archive.load(name)
            count = len(holding.candles)
            assert holding.candles.equals(_past(number).take(slice(0, count)))
            assert (holding.damaged, holding.gaps) == ((), ())
            # A batch is held whole or not at all.
            assert count == len(archive.load(_NAMES[0]).candles)
        held = count
    assert held < _CANDLES
    subprocess.run([sys.executable, "-c", _APPENDER, str(killed)], check=True, timeout=_PATIENCE_S)
    with writing(killed) as writer:
        assert writer.cut_off is None
    assert Archive(killed).appended.rows == 0
    assert (killed / TAIL).stat().st_size < 100
    assert _months(killed) == _months(once)
