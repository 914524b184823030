"""A download asks for each candle once, believes no silence, and resumes to the same bytes."""

from pathlib import Path

import numpy as np
import pytest

from bot.data.downloading import Downloader
from storage.archive.archive import Archive, Holding
from storage.archive.layout import Month, partition_path
from storage.archive.writer import writing
from tests.sampled import sampled
from tests.unit.bot.data.past_market import PastMarket, Silence
from tests.unit.trading.candles.make import bend, walk
from trading.candles.series import COLUMNS, PRICES, Candles, SeriesName
from trading.domain.errors import Refused, Unreachable

_HOUR_MS = 3_600_000
_NAME = SeriesName("kraken", "BTC/USDT", "1h")
_LISTED_MS = 1_619_827_200_000 + 7 * _HOUR_MS  # 2021-05-01 07:00
_SINCE_MS = _LISTED_MS - 2_000 * _HOUR_MS
_PAST = walk(1_000, length_ms=_HOUR_MS, start_ms=_LISTED_MS)
_NOW_MS = _LISTED_MS + 1_000 * _HOUR_MS + 5


def _holes() -> np.ndarray:  # type: ignore[type-arg]
    is_traded = np.ones(1_000, np.bool_)
    is_traded[[3, 70, 71]] = False
    is_traded[400:560] = False  # longer than three pages
    return is_traded


async def _download(
    market: PastMarket,
    root: Path,
    name: SeriesName = _NAME,
    since_ms: int = _SINCE_MS,
    until_ms: int | None = None,
) -> tuple[Silence, list[str]]:
    progress, said = Silence(), list[str]()
    with writing(root) as writer:
        downloader = Downloader(market, writer, name, progress, said.append)
        await downloader.run(since_ms, until_ms)
    return progress, said


def _files(root: Path) -> dict[str, bytes]:
    paths = root.rglob("*.parquet")
    return {str(path.relative_to(root)): path.read_bytes() for path in paths}


def _held(root: Path, name: SeriesName = _NAME) -> Holding:
    return Archive(root).load(name)


@pytest.mark.parametrize("is_by_window", [False, True])
@pytest.mark.parametrize("knows_days", [False, True])
async def test_all_closed_candles_come_from_the_first_available_on(
    is_by_window: bool, knows_days: bool, tmp_path: Path
) -> None:
    market = PastMarket(_PAST, _NOW_MS, is_by_window=is_by_window, knows_days=knows_days)
    progress, said = await _download(market, tmp_path)
    assert _held(tmp_path).candles.equals(_PAST)
    assert _held(tmp_path).gaps == ()
    assert (progress.total, progress.done) == (1_000, 1_000)
    assert said == []
    # A second download asks for nothing that it has.
    market.asked.clear()
    await _download(market, tmp_path, since_ms=_LISTED_MS)
    assert market.asked == []


@pytest.mark.parametrize("is_by_window", [False, True])
async def test_holes_of_the_exchange_are_recorded_as_gaps(
    is_by_window: bool, tmp_path: Path
) -> None:
    market = PastMarket(_PAST.take(_holes()), _NOW_MS, is_by_window=is_by_window)
    await _download(market, tmp_path)
    holding = _held(tmp_path)
    assert holding.candles.equals(_PAST.take(_holes()))
    assert [gap.count(_HOUR_MS) for gap in holding.gaps] == [1, 2, 160]


@pytest.mark.slow
@pytest.mark.parametrize("is_by_window", [False, True])
async def test_a_download_cut_at_any_request_resumes_to_the_same_bytes(
    is_by_window: bool, tmp_path: Path
) -> None:
    def market() -> PastMarket:
        return PastMarket(_PAST.take(_holes()), _NOW_MS, is_by_window=is_by_window)

    undisturbed = market()
    await _download(undisturbed, tmp_path / "undisturbed")
    cut = 0
    for number in range(0, len(undisturbed.asked), sampled(4, 1)):
        root = tmp_path / f"cut{number}"
        dying = market()
        dying.dies_at = number
        with pytest.raises(Unreachable):
            await _download(dying, root)
        cut += 1
        await _download(market(), root)
        assert _files(root) == _files(tmp_path / "undisturbed"), number
    assert cut > sampled(5, 20)


@pytest.mark.slow
async def test_a_silence_of_the_exchange_is_not_believed(tmp_path: Path) -> None:
    market = PastMarket(_PAST, _NOW_MS)
    await _download(market, tmp_path / "undisturbed")
    for number in range(2, len(market.asked), sampled(4, 1)):
        silent = PastMarket(_PAST, _NOW_MS)
        silent.silent_at = {number, number + 1}
        root = tmp_path / f"silent{number}"
        await _download(silent, root)
        # Silence at the very end may be the end: the next download asks again.
        await _download(PastMarket(_PAST, _NOW_MS), root)
        assert _files(root) == _files(tmp_path / "undisturbed"), number


async def test_a_gap_is_asked_for_again_and_filled_when_the_exchange_knows_better(
    tmp_path: Path,
) -> None:
    await _download(PastMarket(_PAST.take(_holes()), _NOW_MS, page_candles=200), tmp_path)
    await _download(PastMarket(_PAST, _NOW_MS, page_candles=200), tmp_path)
    assert _held(tmp_path).candles.equals(_PAST)


@pytest.mark.parametrize("lost", [[5], [6], [5, 6]])
async def test_lost_months_are_filled_by_the_next_download(lost: list[int], tmp_path: Path) -> None:
    await _download(PastMarket(_PAST, _NOW_MS), tmp_path)
    files = _files(tmp_path)
    for number in lost:
        partition_path(tmp_path, _NAME, Month(2021, number)).unlink()
    assert [month.number for month in _held(tmp_path).lost_months] == lost
    await _download(PastMarket(_PAST, _NOW_MS), tmp_path)
    assert _held(tmp_path).lost == ()
    assert _files(tmp_path) == files


async def test_the_running_candle_waits_for_its_end(tmp_path: Path) -> None:
    last_open_ms = int(_PAST.open_time_ms[-1])
    await _download(PastMarket(_PAST, last_open_ms + _HOUR_MS - 1), tmp_path)
    assert len(_held(tmp_path).candles) == 999
    assert _held(tmp_path).spans[-1].last_ms == last_open_ms - _HOUR_MS
    await _download(PastMarket(_PAST, last_open_ms + _HOUR_MS), tmp_path)
    assert _held(tmp_path).candles.equals(_PAST)


async def test_a_market_that_trades_no_more_ends_with_its_last_candle(tmp_path: Path) -> None:
    market = PastMarket(_PAST, _NOW_MS + 5_000 * _HOUR_MS)
    progress, _ = await _download(market, tmp_path)
    assert _held(tmp_path).candles.equals(_PAST)
    assert _held(tmp_path).gaps == ()
    assert progress.done == 1_000


async def test_only_what_lies_within_the_time_is_taken(tmp_path: Path) -> None:
    since_ms = _LISTED_MS + 100 * _HOUR_MS - 1
    until_ms = _LISTED_MS + 300 * _HOUR_MS + 1
    market = PastMarket(_PAST, _NOW_MS)
    await _download(market, tmp_path, since_ms=since_ms, until_ms=until_ms)
    assert _held(tmp_path).candles.equals(_PAST.take(slice(100, 301)))
    # Before and after it later, and never again what is there.
    await _download(PastMarket(_PAST, _NOW_MS), tmp_path)
    assert _held(tmp_path).candles.equals(_PAST)
    assert len(_held(tmp_path).spans) == 1


@pytest.mark.parametrize(
    ("since_ms", "until_ms", "says"),
    [
        (_NOW_MS + _HOUR_MS, None, "no candle"),
        (_SINCE_MS, _SINCE_MS + 10 * _HOUR_MS, "has no candles"),
        (_NOW_MS - 1_000, None, "no candle"),
    ],
)
async def test_a_time_without_candles_is_refused(
    since_ms: int, until_ms: int | None, says: str, tmp_path: Path
) -> None:
    market = PastMarket(_PAST, _NOW_MS)
    with pytest.raises(Refused, match=says):
        await _download(market, tmp_path, since_ms=since_ms, until_ms=until_ms)


async def test_what_the_exchange_tells_wrong_is_told_and_leaves_a_gap(tmp_path: Path) -> None:
    market = PastMarket(bend(_PAST, 500, close=np.nan), _NOW_MS)
    _, said = await _download(market, tmp_path)
    assert any("REFUSED: holds something that is no number" in line for line in said)
    (gap,) = _held(tmp_path).gaps
    assert gap.first_ms == _LISTED_MS + 500 * _HOUR_MS


async def test_an_answer_that_contradicts_itself_is_not_stored_and_ends_the_download_in_a_sentence(
    tmp_path: Path,
) -> None:
    in_thousands = _PAST.replace(**{name: _PAST.column(name).copy() for name in PRICES})
    for name in PRICES:
        in_thousands.column(name)[106:150] *= 1000
    with pytest.raises(Refused, match="in another unit, for most of the 50 candles") as refused:
        await _download(PastMarket(in_thousands, _NOW_MS), tmp_path)
    assert "times volume" in str(refused.value)
    assert _held(tmp_path).candles.equals(_PAST.take(slice(0, 100)))
    assert [gap.count(_HOUR_MS) for gap in _held(tmp_path).gaps] == [50]
    # The same again goes on behind it; that it is still wrong is said when all else is there.
    _, said = await _download(PastMarket(in_thousands, _NOW_MS), tmp_path)
    assert sum("in another unit" in line for line in said) == 1
    assert len(_held(tmp_path).candles) == 950
    await _download(PastMarket(_PAST, _NOW_MS), tmp_path)
    assert _held(tmp_path).candles.equals(_PAST)


async def test_a_market_wholly_in_another_unit_is_found_and_nothing_of_it_is_stored(
    tmp_path: Path,
) -> None:
    in_quote = _PAST.replace(volume=_PAST.volume * 50_000)
    with pytest.raises(Refused, match="contradict their own quote volume"):
        await _download(PastMarket(in_quote, _NOW_MS), tmp_path)
    assert len(_held(tmp_path).candles) == 0


async def test_a_reused_ticker_is_downloaded_as_two_coins_and_resumes_as_such(
    tmp_path: Path,
) -> None:
    since_ms = 1_653_696_000_000
    luna = SeriesName("binance", "LUNA/USDT", "1h")
    past = walk(400, length_ms=_HOUR_MS, start_ms=since_ms - 200 * _HOUR_MS)
    past = past.take((np.arange(400) < 100) | (np.arange(400) >= 250))
    market = PastMarket(past, since_ms + 200 * _HOUR_MS)
    await _download(market, tmp_path, luna, since_ms=since_ms - 200 * _HOUR_MS)
    old, new = _held(tmp_path, SeriesName("binance", "LUNC/USDT", "1h")), _held(tmp_path, luna)
    assert old.candles.equals(past.take(slice(0, 100)))
    assert new.candles.equals(past.take(slice(100, None)))
    assert [gap.count(_HOUR_MS) for gap in (*old.gaps, *new.gaps)] == [100, 50]
    files = _files(tmp_path)
    await _download(market, tmp_path, luna, since_ms=since_ms - 200 * _HOUR_MS)
    assert _files(tmp_path) == files


@pytest.mark.parametrize("is_by_window", [False, True])
async def test_candles_of_calendar_months_are_downloaded_to_the_last_whole_one(
    is_by_window: bool, tmp_path: Path
) -> None:
    name = SeriesName("kraken", "BTC/USDT", "1M")
    opens_ms = np.array([Month(2017 + n // 12, n % 12 + 1).start_ms for n in range(80)])
    past = walk(80)
    past = Candles(opens_ms, *(past.column(column) for column in COLUMNS[1:]))
    told = past.take(np.r_[0:30, 32:80])
    market = PastMarket(told, int(opens_ms[-1]) + _HOUR_MS, is_by_window=is_by_window)
    progress, _ = await _download(market, tmp_path, name, _SINCE_MS - 5 * 366 * 24 * _HOUR_MS)
    holding = _held(tmp_path, name)
    assert holding.candles.equals(told.take(slice(0, -1)))
    assert [gap.count(name.length_ms) for gap in holding.gaps] == [2]
    assert (progress.total, progress.done) == (79, 79)
    asked = len(market.asked)
    await _download(market, tmp_path, name, int(opens_ms[0]))
    # The gap alone.
    assert len(market.asked) == asked + 1
