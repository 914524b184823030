"""Recorded scores: appended and read back, torn and damaged records left out, old months gone."""

import asyncio
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.scores import LENGTHS, ScoreFiles
from trading.domain.errors import Refused
from trading.domain.time import Timeframe
from trading.ports.history import RecordedPoints, RecordedScore

MINUTE_MS = 60_000
AT_MS = 1_767_268_800_000  # 2026-01-01 12:00
DAY_MS = 86_400_000
SIZE = 64
OLD = "00d66d799b010000cdccccccccccdc3f0000803e0000003f0000003e78aec94d"
MINUTE, HOUR = Timeframe("1m"), Timeframe("1h")


def score(number: int = 0, symbol: str = "ADA/USDT", bear: float = 0.5) -> RecordedScore:
    return RecordedScore(symbol, AT_MS + number * MINUTE_MS, 0.45 + number, 0.25, bear, 0.125)


@pytest.fixture
def files(tmp_path: Path) -> ScoreFiles:
    return ScoreFiles(tmp_path)


async def _opens(files: ScoreFiles, since_ms: int = 0, symbol: str = "ADA/USDT") -> list[int]:
    found: list[int] = ((await files.since(symbol, since_ms)).at_ms - AT_MS).tolist()
    return found


async def test_what_is_recorded_is_read_back_from_a_moment_on(files: ScoreFiles) -> None:
    await files.append([score(0), score(0, "SOL/USDT", bear=1.0)])
    await files.append([score(1), score(2)])
    found = await files.since("ADA/USDT", AT_MS + MINUTE_MS)
    assert found.at_ms.tolist() == [AT_MS + MINUTE_MS, AT_MS + 2 * MINUTE_MS]
    assert found.price.tolist() == [1.45, 2.45]
    assert found.bull.tolist() == [0.25, 0.25]
    assert found.bear.tolist() == [0.5, 0.5]
    assert found.change.tolist() == [0.125, 0.125]
    assert (await files.since("SOL/USDT", 0)).bear.tolist() == [1.0]


async def test_a_symbol_that_was_never_recorded_has_no_line(files: ScoreFiles) -> None:
    assert await _opens(files, symbol="NONE/USDT") == []


async def test_an_unknown_score_stays_unknown(files: ScoreFiles) -> None:
    await files.append([score(bear=float("nan"))])
    assert np.isnan((await files.since("ADA/USDT", 0)).bear).tolist() == [True]


async def test_symbols_that_differ_in_one_letter_have_lines_of_their_own(files: ScoreFiles) -> None:
    names = ["A/B", "A-B", "A/B:B", "../A/B", "Ä/B"]
    await files.append([score(number, name) for number, name in enumerate(names)])
    found = [await _opens(files, symbol=name) for name in names]
    assert found == [[number * MINUTE_MS] for number in range(len(names))]


@pytest.mark.parametrize("torn", range(1, SIZE))
async def test_a_half_written_record_is_left_out_and_the_next_is_whole(
    files: ScoreFiles, tmp_path: Path, torn: int
) -> None:
    await files.append([score(0), score(1)])
    [path] = tmp_path.rglob("*.points")
    path.write_bytes(path.read_bytes()[:-torn])
    assert await _opens(files) == [0]
    await files.append([score(2)])
    assert await _opens(files) == [0, 2 * MINUTE_MS]


@given(place=st.integers(0, 3 * SIZE - 1), flipped=st.integers(1, 255))
async def test_no_damaged_byte_is_ever_read(
    tmp_path_factory: pytest.TempPathFactory, place: int, flipped: int
) -> None:
    folder = tmp_path_factory.mktemp("scores")
    files = ScoreFiles(folder)
    await files.append([score(number) for number in range(3)])
    [path] = folder.rglob("*.points")
    content = bytearray(path.read_bytes())
    content[place] ^= flipped
    path.write_bytes(content)
    kept = [number for number in range(3) if number != place // SIZE]
    assert await _opens(files) == [number * MINUTE_MS for number in kept]


async def test_zeros_that_a_power_cut_left_are_no_records(
    files: ScoreFiles, tmp_path: Path
) -> None:
    await files.append([score(0)])
    [path] = tmp_path.rglob("*.points")
    path.write_bytes(path.read_bytes() + bytes(5 * SIZE))
    assert await _opens(files) == [0]


async def test_months_are_read_in_order_and_old_ones_are_forgotten(
    files: ScoreFiles, tmp_path: Path
) -> None:
    days = [0, 40, 80]
    await files.append([score(day * 1440) for day in days])
    (tmp_path / "ADA-USDT" / "2026-99.scores").write_bytes(b"not ours")
    assert await _opens(files) == [day * DAY_MS for day in days]
    assert await files.forget(AT_MS + 45 * DAY_MS) == 1
    assert await _opens(files) == [day * DAY_MS for day in days[1:]]


async def test_what_a_clock_wrote_that_was_set_back_is_read_in_order(files: ScoreFiles) -> None:
    await files.append([score(5)])
    await files.append([score(1)])
    assert await _opens(files) == [MINUTE_MS, 5 * MINUTE_MS]


async def test_a_disk_that_takes_nothing_says_so(files: ScoreFiles, tmp_path: Path) -> None:
    tmp_path.joinpath("ADA-USDT").write_text("no folder")
    with pytest.raises(OSError, match="ADA-USDT"):
        await files.append([score()])


async def test_batches_at_the_same_time_do_not_overwrite_one_another(files: ScoreFiles) -> None:
    batches = [[score(number), score(number, "SOL/USDT")] for number in range(40)]
    await asyncio.gather(*(files.append(batch) for batch in batches))
    for symbol in ("ADA/USDT", "SOL/USDT"):
        assert await _opens(files, symbol=symbol) == [number * MINUTE_MS for number in range(40)]


async def test_the_points_of_each_timeframe_are_kept_apart(files: ScoreFiles) -> None:
    points = (RecordedPoints(MINUTE, 6, 0, 3), RecordedPoints(HOUR, 0, 0, 0))
    await files.append([replace(score(), points=points), score(1)])
    found = await files.since("ADA/USDT", 0, (HOUR, Timeframe("1d"), MINUTE))
    assert found.points.tolist() == [
        [[0, 0, 0], [-1, -1, -1], [6, 0, 3]],
        [[-1, -1, -1]] * 3,
    ]
    assert found.is_split.tolist() == [True, True]


async def test_what_an_older_version_recorded_is_read_before_what_came_later(
    files: ScoreFiles, tmp_path: Path
) -> None:
    # Two records as they were: a time, a price, three shares and a sum; the second is bent.
    old = bytes.fromhex(OLD)
    (tmp_path / "ADA-USDT").mkdir()
    (tmp_path / "ADA-USDT" / "2026-01.scores").write_bytes(old + old[:-1] + b"x")
    await files.append([score(1)])
    found = await files.since("ADA/USDT", 0, (MINUTE,))
    assert found.at_ms.tolist() == [AT_MS, AT_MS + MINUTE_MS]
    assert (found.price[0], found.bull[0], found.bear[0]) == (0.45, 0.25, 0.5)
    assert found.is_split.tolist() == [False, True]
    assert await files.forget(AT_MS + 45 * DAY_MS) == 2


def test_every_timeframe_has_its_place_in_a_record() -> None:
    with pytest.raises(Refused) as refused:
        Timeframe.parse("7m")
    known = str(refused.value).partition("one of ")[2].partition(",")[0].split()
    assert set(known) <= set(LENGTHS)
