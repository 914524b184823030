"""What a chart picture shows, and that it can be drawn."""

import asyncio
import itertools
import json
import os
import signal
import struct
from dataclasses import replace
from datetime import UTC, timedelta, tzinfo
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bot.charts import worker
from bot.charts.canvas import DOWN, PRICE, SMALL_PT, UP, Chip, dress, margin_of, value_axis
from bot.charts.drawing import Drawing, drawing_from_json, drawing_of
from bot.charts.labels import format_price, places_of, price_ticks, spread_labels
from bot.charts.level_labels import LevelLabel, label_of, width_px, write_labels
from bot.charts.picture import COLOURS, mark_height, png_of, price_bounds
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


def drawn(view: ChartView, zone: tzinfo = UTC, tick: str = "0.01") -> Drawing:
    return drawing_of(view, Decimal(tick), zone)


def _fill(hours: float, side: Side) -> Fill:
    at = START + timedelta(hours=hours)
    return Fill("BTC/USDT", "1", "c", side, Decimal(1), Decimal(104), Decimal(0), "USDT", at)


def test_a_trailing_stop_shows_its_stop_and_its_best_price() -> None:
    tracker = _tracker(3, TrackerKind.TRAIL, stop_price=Decimal(98), record_price=Decimal(110))
    levels = drawn(_view(tracker)).levels
    assert [(level.label, level.meaning, level.right_price) for level in levels] == [
        ("#3 stop", "stop", 98.0),
        ("#3 record", "record", 110.0),
    ]


def test_a_hard_stop_and_a_buy_level_have_their_own_lines() -> None:
    sell = _tracker(
        1, TrackerKind.TAKE_PROFIT, level_price=Decimal(120), hard_stop_price=Decimal(9)
    )
    buy = _tracker(2, TrackerKind.DIP, level_price=Decimal(90), side=Side.BUY)
    # Above the price it buys: no stop of anything that is held.
    breakout = _tracker(3, TrackerKind.BREAKOUT, stop_price=Decimal(130), side=Side.BUY)
    found = {level.label: level.meaning for level in drawn(_view(sell, buy, breakout)).levels}
    assert found == {
        "#1 hard": "stop",
        "#1 level": "target",
        "#2 level": "entry",
        "#3 buy": "entry",
    }


def test_a_line_is_sloped_from_the_first_candle_to_where_it_is_now() -> None:
    line = Line(LinePoint(START, Decimal(100)), LinePoint(START + timedelta(hours=9), Decimal(109)))
    tracker = _tracker(4, TrackerKind.LINES, support=line, resistance=line)
    levels = drawn(_view(tracker)).levels
    assert [level.label for level in levels] == ["#4 support", "#4 resist"]
    assert levels[0].left_price == pytest.approx(100)
    assert levels[0].right_price == pytest.approx(110)
    assert len({level.meaning for level in levels}) == 2


def test_a_level_that_is_a_line_is_sloped_too() -> None:
    line = Line(LinePoint(START, Decimal(100)), LinePoint(START + timedelta(hours=1), Decimal(101)))
    levels = drawn(_view(_tracker(5, TrackerKind.STOP, level=line))).levels
    assert levels[0].left_price < levels[0].right_price


def test_fills_are_marked_where_they_happened_and_older_ones_are_left_out() -> None:
    fills = (_fill(2.5, Side.BUY), _fill(7.0, Side.SELL), _fill(-3.0, Side.BUY))
    markers = drawn(_view(fills=fills)).markers
    assert [(marker.x, marker.is_buy) for marker in markers] == [(2.0, True), (6.5, False)]


def test_the_parts_of_an_order_within_a_candle_are_one_mark_at_their_average() -> None:
    fills = (_fill(2.25, Side.SELL), _fill(2.75, Side.SELL), _fill(2.5, Side.BUY))
    markers = drawn(_view(fills=fills)).markers
    assert [(marker.x, marker.is_buy) for marker in markers] == [(2.0, False), (2.0, True)]


@pytest.mark.parametrize("count", [1, 2, 7, 40, 120])
def test_times_lie_within_the_picture_and_are_few_enough_to_be_read(count: int) -> None:
    times = drawn(_view(count=count)).times
    assert 1 <= len(times) <= 5
    assert all(-0.5 <= place <= count - 0.5 for place, _ in times)


def test_times_are_those_of_its_reader_and_say_whose() -> None:
    # 01:00 in UTC is 06:45 there: 12:00 is five candles and a quarter later.
    drawing = drawn(_view(count=10), ZoneInfo("Asia/Kathmandu"))
    assert drawing.zone == "+0545"
    assert drawing.times == (
        (0.75, "08:00\nNov 20"),
        (2.75, "10:00"),
        (4.75, "12:00"),
        (6.75, "14:00"),
    )


def test_days_of_candles_are_days_of_utc_for_every_reader() -> None:
    day_ms = 24 * HOUR_MS
    candles = [
        Candle(START_MS // day_ms * day_ms + i * day_ms, 1.0, 2.0, 1.0, 2.0, 1.0, True)
        for i in range(4)
    ]
    view = replace(_view(), timeframe=Timeframe("1d"), candles=candles)
    drawing = drawn(view, ZoneInfo("America/New_York"))
    assert drawing.zone == "UTC"
    assert [place for place, _ in drawing.times] == [0.5, 1.5, 2.5]
    assert [text for _, text in drawing.times] == ["Nov 21\n2025", "Nov 22", "Nov 23"]


def sent(drawing: Picture) -> dict[str, Any]:
    """What arrives at the other process."""
    content: dict[str, Any] = json.loads(request_of(drawing))["content"]
    return content


def test_a_drawing_survives_its_journey_to_the_other_process() -> None:
    tracker = _tracker(3, TrackerKind.TRAIL, stop_price=Decimal(98), record_price=Decimal(110))
    drawing = drawn(_view(tracker, fills=(_fill(2.5, Side.BUY),)))
    assert drawing_from_json(sent(drawing)) == drawing


def test_the_picture_itself_says_that_no_real_money_moves() -> None:
    real, simulated = _view(), replace(_view(), is_simulated=True)
    marks = [drawn(view).watermark for view in (real, simulated)]
    assert marks == ["", "SIMULATED"]
    assert drawing_from_json(sent(drawn(simulated))).watermark == "SIMULATED"
    assert png_of(drawn(real)) != png_of(drawn(simulated))


def test_prices_at_the_axis_have_the_decimals_of_the_tick_and_no_more() -> None:
    texts = [text for _, text in price_ticks((0.858, 0.8931), places_of(Decimal("0.00010")))]
    assert texts == ["0.8600", "0.8700", "0.8800", "0.8900"]
    assert [text for _, text in price_ticks((99.4, 101.6), places_of(Decimal(1)))] == ["100", "101"]


@given(st.floats(1e-7, 1e6), st.floats(1e-6, 1), st.integers(0, 8))
def test_prices_at_the_axis_are_few_and_differ(low: float, share: float, places: int) -> None:
    high = low * (1 + share)
    ticks = price_ticks((low, high), places)
    assert len(ticks) <= 8
    assert len({text for _, text in ticks}) == len(ticks)


def test_a_tick_makes_room_for_the_price_that_stands_out() -> None:
    axes = Figure(figsize=(9, 10), dpi=120).add_subplot()
    dress(axes)
    axes.set_ylim(100, 110)
    value_axis(axes, [(102.0, "102.00"), (106.0, "106.00")], [Chip(106.1, "106.10", PRICE)])
    assert [label.get_text() for label in axes.get_yticklabels()] == ["102.00"]
    assert "106.10" in [text.get_text() for text in axes.texts]
    assert {label.get_fontsize() for label in axes.get_yticklabels()} == {SMALL_PT}


def test_a_longer_price_gets_more_room() -> None:
    assert 0.1 < margin_of(["0.86"]) < margin_of(["0.86", "0.00001312"]) < 0.27


def test_letters_are_no_smaller_than_can_be_read_on_a_phone() -> None:
    # 120 dots an inch of 72 points, and a third of the pixels on the screen.
    assert SMALL_PT * 120 / 72 >= 30


# Seen without the cones for green and for red: Machado, Oliveira and Fernandes 2009, severity 1.
_EYES = (
    np.eye(3),
    np.array([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]]),
    np.array([[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]]),
)
# From linear sRGB to Oklab, in which equal distances look equally far: Ottosson 2020.
_CONES = np.array([[0.4122, 0.5363, 0.0514], [0.2119, 0.6807, 0.1074], [0.0883, 0.2817, 0.6300]])
_OKLAB = np.array([[0.2105, 0.7936, -0.0041], [1.9780, -2.4286, 0.4506], [0.0259, 0.7828, -0.8087]])


def _seen(colour: str, eye: NDArray[np.float64]) -> NDArray[np.float64]:
    shares = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    seen: NDArray[np.float64] = _OKLAB @ np.cbrt(_CONES @ np.clip(eye @ linear, 0, 1))
    return seen


def test_what_is_drawn_differs_in_colour_for_colour_blind_eyes_too() -> None:
    colours = [*COLOURS.values(), UP, PRICE]
    pairs = [*itertools.combinations(colours, 2), (UP, DOWN)]
    for one, other in pairs:
        apart = [float(np.linalg.norm(_seen(one, eye) - _seen(other, eye))) for eye in _EYES]
        assert min(apart) > 0.085, (one, other)


def test_far_levels_do_not_squeeze_the_candles() -> None:
    far = _tracker(1, TrackerKind.STOP, stop_price=Decimal(10), record_price=Decimal(900))
    drawing = drawn(_view(far))
    low, high = price_bounds(drawing)
    candles = max(bar.high for bar in drawing.bars) - min(bar.low for bar in drawing.bars)
    assert candles / (high - low) > 0.75


def test_near_levels_leave_most_of_the_height_to_the_candles() -> None:
    drawing = drawn(
        _view(
            *(
                _tracker(number, TrackerKind.STOP, stop_price=Decimal(price))
                for number, price in enumerate((96, 93, 90, 40, 115, 118))
            )
        )
    )
    low, high = price_bounds(drawing)
    assert low < 96
    assert high > 115
    candles = max(bar.high for bar in drawing.bars) - min(bar.low for bar in drawing.bars)
    assert candles / (high - low) > 0.45


def test_of_many_levels_those_nearest_to_the_price_are_drawn_in_their_own_order() -> None:
    """The newest tracker may be the next to fire: it is not the one that is left out."""
    prices = (96, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 104)
    trackers = [
        _tracker(number, TrackerKind.STOP, stop_price=Decimal(price))
        for number, price in enumerate(prices)
    ]
    drawn_prices = [level.right_price for level in drawn(_view(*trackers)).levels]
    assert drawn_prices == [price for price in prices if price not in {50, 51}]
    unpriced = replace(_view(*trackers), price=None)
    assert [level.right_price for level in drawn(unpriced).levels] == drawn_prices


def test_a_level_out_of_sight_is_an_arrow_with_its_price() -> None:
    below, above = (
        drawn(_view(_tracker(1, TrackerKind.STOP, stop_price=Decimal(price)))).levels[0]
        for price in (10, 1000)
    )
    far = label_of(below, (90.0, 120.0), 2, "#fff")
    assert (far.name, far.price, far.where, far.is_in_sight) == ("#1 stop", "▼ 10.00", 0.0, False)
    assert label_of(above, (90.0, 120.0), 2, "#fff").price == "▲ 1,000.00"
    near = label_of(below, (5.0, 25.0), 2, "#fff")
    assert (near.name, near.where, near.is_in_sight) == ("#1 stop", 0.25, True)


def test_a_line_is_not_drawn_before_it_starts() -> None:
    start, end = START + timedelta(hours=4), START + timedelta(hours=8)
    line = Line(LinePoint(start, Decimal(100)), LinePoint(end, Decimal(104)))
    tracker = _tracker(4, TrackerKind.LINES, support=line, resistance=line)
    level = drawn(_view(tracker)).levels[0]
    assert (level.from_x, level.left_price) == (3.5, 100.0)
    assert level.right_price == pytest.approx(106)
    early = Line(LinePoint(START - timedelta(hours=2), Decimal(90)), line.last)
    level = drawn(_view(_tracker(5, TrackerKind.STOP, level=early))).levels[0]
    assert level.from_x is None
    assert level.left_price == pytest.approx(92.8)


def labelled(count: int) -> Axes:
    """Axes as high as those of a picture, with labels of levels that are all at one price."""
    axes = Figure(figsize=(9, 10), dpi=120).add_axes((0.02, 0.2, 0.5, 0.72))
    labels = [LevelLabel(f"#{number} stop", "98.00", "#ff5c7a", 0.5) for number in range(count)]
    write_labels(axes, labels)
    return axes


@pytest.mark.parametrize(("count", "has_prices"), [(2, True), (12, False)])
def test_every_level_has_a_label_beside_the_candles_that_hides_no_other(
    count: int, has_prices: bool
) -> None:
    axes = labelled(count)
    texts = [text.get_text() for text in axes.texts]
    assert [text for text in texts if text.startswith("#")] == [f"#{n} stop" for n in range(count)]
    assert ("98.00" in texts) is has_prices
    boxes = sorted((patch.get_y(), patch.get_height()) for patch in axes.patches)
    assert all(low + tall < above for (low, tall), (above, _) in itertools.pairwise(boxes))
    assert all(patch.get_x() > 1 for patch in axes.patches), "outside of the candles"
    # Each is joined to the end of its own line.
    assert [line.get_xydata()[0].tolist() for line in axes.lines] == [[1.0, 0.5]] * count


def test_a_label_out_of_sight_is_joined_to_nothing() -> None:
    axes = Figure().add_subplot()
    write_labels(axes, [LevelLabel("#1 stop", "▼ 10.00", "#ff5c7a", 0.0, is_in_sight=False)])
    assert len(axes.lines) == 0


def test_a_chart_without_levels_keeps_its_whole_width() -> None:
    assert width_px([]) == 0.0
    assert 150 < width_px([LevelLabel("#1 stop", "98.00", "#ff5c7a", 0.5)]) < 260


def test_labels_of_levels_leave_the_scale_all_its_numbers() -> None:
    axes = Figure(figsize=(9, 10), dpi=120).add_axes((0.02, 0.2, 0.5, 0.72))
    axes.set_ylim(100, 110)
    ticks = [(float(price), f"{price}.00") for price in (102, 104, 106, 108)]
    value_axis(axes, ticks, [], beside_px=200.0)
    write_labels(axes, [LevelLabel("#1 stop", "104.00", "#ff5c7a", 0.4)])
    assert len(axes.get_yticklabels()) == 4


def test_labels_that_meet_share_what_they_are_moved_by() -> None:
    assert spread_labels([0.5, 0.5], 0.1) == pytest.approx([0.45, 0.55])
    assert spread_labels([0.5, 0.2, 0.5], 0.1) == pytest.approx([0.45, 0.2, 0.55])
    assert spread_labels([0.0, 0.02], 0.1) == pytest.approx([0.05, 0.15])


def test_a_mark_of_an_execution_lies_beyond_its_candle() -> None:
    fills = (_fill(9.5, Side.SELL), _fill(9.5, Side.BUY))
    drawing = drawn(replace(_view(fills=fills), price=Decimal(110)))
    bar, bounds = drawing.bars[9], price_bounds(drawing)
    sold, bought = drawing.markers
    assert bar.high < mark_height(sold, drawing, bounds) < bounds[1]
    assert bounds[0] < mark_height(bought, drawing, bounds) < bar.low


def test_the_price_and_every_mark_of_an_execution_are_inside() -> None:
    crash = replace(_view(fills=(_fill(9.5, Side.SELL),)), price=Decimal(60))
    low, high = price_bounds(drawn(crash))
    assert low < 60
    assert high > 104


def _png_size(png: bytes) -> tuple[int, int]:
    assert png.startswith(b"\x89PNG")
    return struct.unpack(">II", png[16:24])


def test_a_picture_is_1080_pixels_wide() -> None:
    tracker = _tracker(3, TrackerKind.TRAIL, stop_price=Decimal(98), record_price=Decimal(110))
    assert _png_size(png_of(drawn(_view(tracker, fills=(_fill(2.5, Side.SELL),))))) == (
        1080,
        1200,
    )


def test_one_flat_candle_without_volume_can_be_drawn() -> None:
    flat = [Candle(START_MS, 1.0, 1.0, 1.0, 1.0, 0.0, False)]
    view = ChartView("A/B", Timeframe("1d"), flat, (), (), None, START)
    assert _png_size(png_of(drawn(view)))[0] == 1080


@given(st.lists(st.floats(-2, 3), max_size=12))
def test_labels_keep_their_gap_and_stay_inside(wanted: list[float]) -> None:
    gap = 0.06
    places = spread_labels(wanted, gap)
    ordered = sorted(places)
    assert all(later - earlier >= gap - 1e-9 for earlier, later in itertools.pairwise(ordered))
    assert all(-1e-9 <= place <= 1 + 1e-9 for place in places)


@pytest.mark.parametrize(
    ("tick", "value", "text"),
    [
        ("0.01", 58000.0, "58,000.00"),
        ("0.0001000", 0.8895, "0.8895"),
        ("10", 58000.0, "58,000"),
        ("0.00000001", 0.0000123, "0.00001230"),
    ],
)
def test_a_price_is_written_to_its_tick(tick: str, value: float, text: str) -> None:
    assert format_price(value, places_of(Decimal(tick))) == text


def test_a_request_is_drawn_as_it_says() -> None:
    assert _png_size(worker.png_of(request_of(drawn(_view())))) == (1080, 1200)


async def test_a_picture_comes_from_another_process_and_from_a_new_one_after_its_death(
    tmp_path: Path,
) -> None:
    charts = ChartWorker(deadline_s=30)
    try:
        first = await charts.draw(drawn(_view()), tmp_path / "charts" / "one.png")
        assert _png_size(first.read_bytes()) == (1080, 1200)
        pid = charts.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        second = await charts.draw(drawn(_view()), tmp_path / "charts" / "two.png")
        assert second.is_file()
        assert charts.pid not in {None, pid}
    finally:
        await charts.close()


async def test_a_picture_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    charts = ChartWorker(deadline_s=0.001)
    with pytest.raises(NotInTime, match="in time"):
        await charts.draw(drawn(_view()), tmp_path / "late.png")
    assert not (tmp_path / "late.png").exists()
    await charts.close()


async def test_only_the_newest_pictures_are_kept(tmp_path: Path) -> None:
    for number in range(60):
        await asyncio.to_thread((tmp_path / f"old{number}.png").write_bytes, b"x")
    charts = ChartWorker(deadline_s=30)
    try:
        await charts.draw(drawn(_view()), tmp_path / "new.png")
    finally:
        await charts.close()
    assert len(list(tmp_path.glob("*.png"))) == 51
