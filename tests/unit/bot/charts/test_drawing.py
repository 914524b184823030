"""What a chart picture shows, and that it can be drawn."""

import asyncio
import itertools
import json
import os
import signal
import struct
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from bot.charts import picture, worker
from bot.charts.drawing import drawing_from_json, drawing_of
from bot.charts.picture import format_price, png_of, price_bounds, spread_labels, time_places
from bot.charts.worker import ChartWorker, Picture, request_of
from trading.domain.errors import NotInTime
from trading.domain.market import Candle
from trading.domain.order import Fill, Side
from trading.domain.time import Timeframe, from_ms
from trading.domain.tracker import (
    Amount,
    AmountKind,
    Line,
    LinePoint,
    Tracker,
    TrackerKind,
    TrackerSpec,
    TrackerState,
)
from trading.overview import ChartView

START_MS = 1_763_600_400_000
HOUR_MS = 3_600_000
START = from_ms(START_MS)


def _candles(count: int) -> list[Candle]:
    return [
        Candle(START_MS + i * HOUR_MS, 100.0 + i, 102.0 + i, 99.0 + i, 101.0 + i, 5.0, True)
        for i in range(count)
    ]


def _tracker(number: int, kind: TrackerKind, **values: object) -> Tracker:
    spec_names = {"level", "support", "resistance"}
    spec = TrackerSpec(
        kind,
        "BTC/USDT",
        Amount(AmountKind.ALL),
        **{name: value for name, value in values.items() if name in spec_names},  # type: ignore[arg-type]
    )
    rest = {name: value for name, value in values.items() if name not in spec_names}
    side = rest.pop("side", Side.SELL)
    return Tracker(number, spec, 7, side, TrackerState.TRAILING, START, **rest)  # type: ignore[arg-type]


def _view(*trackers: Tracker, fills: tuple[Fill, ...] = (), count: int = 10) -> ChartView:
    candles = _candles(count)
    now = START + timedelta(hours=count)
    return ChartView("BTC/USDT", Timeframe("1h"), candles, trackers, fills, Decimal(105), now)


def _fill(hours: float, side: Side) -> Fill:
    at = START + timedelta(hours=hours)
    return Fill("BTC/USDT", "1", "c", side, Decimal(1), Decimal(104), Decimal(0), "USDT", at)


def test_a_trailing_stop_shows_its_stop_and_its_best_price() -> None:
    tracker = _tracker(3, TrackerKind.TRAIL, stop_price=Decimal(98), record_price=Decimal(110))
    levels = drawing_of(_view(tracker)).levels
    assert [(level.label, level.meaning, level.right_price) for level in levels] == [
        ("#3 stop", "stop", 98.0),
        ("#3 best", "target", 110.0),
    ]


def test_a_hard_stop_and_a_buy_level_have_their_own_lines() -> None:
    sell = _tracker(
        1, TrackerKind.TAKE_PROFIT, level_price=Decimal(120), hard_stop_price=Decimal(9)
    )
    buy = _tracker(2, TrackerKind.DIP, level_price=Decimal(90), side=Side.BUY)
    # Above the price it buys: no stop of anything that is held.
    breakout = _tracker(3, TrackerKind.BREAKOUT, stop_price=Decimal(130), side=Side.BUY)
    found = {level.label: level.meaning for level in drawing_of(_view(sell, buy, breakout)).levels}
    assert found == {
        "#1 hard stop": "stop",
        "#1 level": "target",
        "#2 level": "entry",
        "#3 buy": "entry",
    }


def test_a_line_is_sloped_from_the_first_candle_to_the_last() -> None:
    line = Line(LinePoint(START, Decimal(100)), LinePoint(START + timedelta(hours=9), Decimal(109)))
    tracker = _tracker(4, TrackerKind.LINES, support=line, resistance=line)
    levels = drawing_of(_view(tracker)).levels
    assert [level.label for level in levels] == ["#4 support", "#4 resistance"]
    assert levels[0].left_price == pytest.approx(100)
    assert levels[0].right_price == pytest.approx(109)


def test_a_level_that_is_a_line_is_sloped_too() -> None:
    line = Line(LinePoint(START, Decimal(100)), LinePoint(START + timedelta(hours=1), Decimal(101)))
    levels = drawing_of(_view(_tracker(5, TrackerKind.STOP, level=line))).levels
    assert levels[0].left_price < levels[0].right_price


def test_fills_are_marked_where_they_happened_and_older_ones_are_left_out() -> None:
    fills = (_fill(2.5, Side.BUY), _fill(7.0, Side.SELL), _fill(-3.0, Side.BUY))
    markers = drawing_of(_view(fills=fills)).markers
    assert [(marker.x, marker.is_buy) for marker in markers] == [(2.0, True), (6.5, False)]


def test_the_parts_of_an_order_within_a_candle_are_one_mark_at_their_average() -> None:
    fills = (_fill(2.25, Side.SELL), _fill(2.75, Side.SELL), _fill(2.5, Side.BUY))
    markers = drawing_of(_view(fills=fills)).markers
    assert [(marker.x, marker.is_buy) for marker in markers] == [(2.0, False), (2.0, True)]


@pytest.mark.parametrize("count", [1, 2, 7, 40, 120])
def test_times_are_written_up_to_the_end_of_the_picture(count: int) -> None:
    places = time_places(count)
    assert all(0 <= place < count for place in places)
    assert places[-1] >= (count - 1) * 0.94 - 1


def sent(drawing: Picture) -> dict[str, Any]:
    """What arrives at the other process."""
    content: dict[str, Any] = json.loads(request_of(drawing))["content"]
    return content


def test_a_drawing_survives_its_journey_to_the_other_process() -> None:
    tracker = _tracker(3, TrackerKind.TRAIL, stop_price=Decimal(98), record_price=Decimal(110))
    drawing = drawing_of(_view(tracker, fills=(_fill(2.5, Side.BUY),)))
    assert drawing_from_json(sent(drawing)) == drawing


def test_the_picture_itself_says_that_no_real_money_moves() -> None:
    real, simulated = _view(), replace(_view(), is_simulated=True)
    marks = [drawing_of(view).watermark for view in (real, simulated)]
    assert marks == ["", "SIMULATED"]
    assert drawing_from_json(sent(drawing_of(simulated))).watermark == "SIMULATED"
    assert png_of(drawing_of(real)) != png_of(drawing_of(simulated))


def test_the_lines_of_the_grid_carry_their_prices() -> None:
    axes = Figure().add_subplot()
    axes.set_ylim(100, 110)
    picture._levels(axes, drawing_of(_view()), (100.0, 110.0))
    assert "104.00" in [label.get_text() for label in axes.get_yticklabels()]


def test_far_levels_do_not_squeeze_the_candles() -> None:
    far = _tracker(1, TrackerKind.STOP, stop_price=Decimal(10))
    low, high = price_bounds(drawing_of(_view(far)))
    assert low > 90
    assert high < 125


def _png_size(png: bytes) -> tuple[int, int]:
    assert png.startswith(b"\x89PNG")
    return struct.unpack(">II", png[16:24])


def test_a_picture_is_1080_pixels_wide() -> None:
    tracker = _tracker(3, TrackerKind.TRAIL, stop_price=Decimal(98), record_price=Decimal(110))
    assert _png_size(png_of(drawing_of(_view(tracker, fills=(_fill(2.5, Side.SELL),))))) == (
        1080,
        960,
    )


def test_one_flat_candle_without_volume_can_be_drawn() -> None:
    flat = [Candle(START_MS, 1.0, 1.0, 1.0, 1.0, 0.0, False)]
    view = ChartView("A/B", Timeframe("1d"), flat, (), (), None, START)
    assert _png_size(png_of(drawing_of(view)))[0] == 1080


@given(st.lists(st.floats(-2, 3), max_size=12))
def test_labels_keep_their_gap_and_stay_inside(wanted: list[float]) -> None:
    gap = 0.06
    places = spread_labels(wanted, gap)
    ordered = sorted(places)
    assert all(later - earlier >= gap - 1e-9 for earlier, later in itertools.pairwise(ordered))
    assert all(-1e-9 <= place <= 1 + 1e-9 for place in places)


@pytest.mark.parametrize(
    ("value", "text"),
    [(58000.0, "58,000.00"), (12.3456, "12.346"), (1.5, "1.5000"), (0.0000123, "0.000012")],
)
def test_a_label_has_the_places_that_its_size_needs(value: float, text: str) -> None:
    assert format_price(value) == text


def test_a_request_is_drawn_as_it_says() -> None:
    assert _png_size(worker.png_of(request_of(drawing_of(_view())))) == (1080, 960)


async def test_a_picture_comes_from_another_process_and_from_a_new_one_after_its_death(
    tmp_path: Path,
) -> None:
    charts = ChartWorker(deadline_s=30)
    try:
        first = await charts.draw(drawing_of(_view()), tmp_path / "charts" / "one.png")
        assert _png_size(first.read_bytes()) == (1080, 960)
        pid = charts.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        second = await charts.draw(drawing_of(_view()), tmp_path / "charts" / "two.png")
        assert second.is_file()
        assert charts.pid not in {None, pid}
    finally:
        await charts.close()


async def test_a_picture_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    charts = ChartWorker(deadline_s=0.001)
    with pytest.raises(NotInTime, match="in time"):
        await charts.draw(drawing_of(_view()), tmp_path / "late.png")
    assert not (tmp_path / "late.png").exists()
    await charts.close()


async def test_only_the_newest_pictures_are_kept(tmp_path: Path) -> None:
    for number in range(60):
        await asyncio.to_thread((tmp_path / f"old{number}.png").write_bytes, b"x")
    charts = ChartWorker(deadline_s=30)
    try:
        await charts.draw(drawing_of(_view()), tmp_path / "new.png")
    finally:
        await charts.close()
    assert len(list(tmp_path.glob("*.png"))) == 51
