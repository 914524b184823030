"""Heat maps of ranks and histories of scores: what they show, and that they can be drawn."""

import struct
from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from bot.charts import heat_picture, score_picture
from bot.charts.heat_map import ROWS_MAX, HeatCell, heat_map_from_json, heat_map_of
from bot.charts.score_chart import ScoreChart, score_chart_from_json, score_chart_of
from bot.charts.worker import ChartWorker
from tests.unit.bot.charts.test_drawing import sent
from trading.domain.time import Timeframe
from trading.scanner.desk import ScoreLine
from trading.scanner.scores import RankScore, Standing, Thresholds, TimeframeScore

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
MINUTE_MS = 60_000
START_MS = 1_763_600_400_000
USUAL = Thresholds()
HOUR, DAY = Timeframe("1h"), Timeframe("1d")


def candle(timeframe: Timeframe, points: int, change: float = 1.0) -> TimeframeScore:
    return TimeframeScore(
        timeframe,
        Standing.SCORED,
        500,
        change=change,
        bull_points=max(points, 0),
        bear_points=max(-points, 0),
    )


def scored(
    symbol: str, *candles: TimeframeScore, bull: float = 0.0, bear: float = 0.0
) -> RankScore:
    return RankScore(symbol, START_MS, 1.0, bull, bear, 0.0, candles)


def line(minutes: int) -> ScoreLine:
    at_ms = START_MS + np.arange(minutes, dtype=np.int64) * MINUTE_MS
    bear = np.zeros(minutes)
    bear[minutes // 2] = 1.0
    bull = np.full(minutes, np.nan)
    return ScoreLine("ADA/USDT", at_ms, np.linspace(1, 2, minutes), bull, bear, np.zeros(minutes))


def charted(scores: ScoreLine, thresholds: Thresholds = USUAL, zone: tzinfo = UTC) -> ScoreChart:
    return score_chart_of(scores, thresholds, Decimal("0.0001"), zone, is_simulated=True)


def png_size(png: bytes) -> tuple[int, int]:
    assert png.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def test_the_most_unusual_symbols_come_first_and_short_timeframes_left() -> None:
    calm = scored("BTC/USDT", candle(HOUR, 0), bull=0.1)
    crashed = scored("ADA/USDT", candle(DAY, -6), candle(HOUR, -3), bear=0.75)

    heat_map = heat_map_of([calm, crashed], NOON, is_simulated=False)

    assert [row.symbol for row in heat_map.rows] == ["ADA/USDT", "BTC/USDT"]
    assert heat_map.columns == ("1h", "1d")
    assert [cell.warmth for cell in heat_map.rows[0].cells] == [-0.5, -1.0]
    assert (heat_map.rows[0].bull, heat_map.rows[0].bear) == ("0", "75")


def test_what_could_not_be_ranked_says_why_and_has_no_colour() -> None:
    young = TimeframeScore(DAY, Standing.TOO_YOUNG, 12)
    score = RankScore("NEW/USDT", START_MS, 1.0, None, None, None, (candle(HOUR, 1), young))

    heat_map = heat_map_of([score], NOON, is_simulated=True)

    assert heat_map.rows[0].cells == (HeatCell("+1.0", 1 / 6), HeatCell("new", None))
    assert (heat_map.rows[0].bull, heat_map.watermark) == ("?", "SIMULATED")


def test_a_move_of_two_digits_fits_its_cell_without_its_fraction() -> None:
    score = scored("ADA/USDT", candle(HOUR, -6, -9.96), candle(DAY, -6, -24.13))

    heat_map = heat_map_of([score], NOON, is_simulated=False)

    assert [cell.text for cell in heat_map.rows[0].cells] == ["-10", "-24"]


def test_more_rows_than_a_phone_can_show_are_counted() -> None:
    scores = [scored(f"C{number}/USDT", candle(HOUR, 0)) for number in range(ROWS_MAX + 5)]

    heat_map = heat_map_of(scores, NOON, is_simulated=False)

    assert (len(heat_map.rows), heat_map.left_out) == (ROWS_MAX, 5)


def test_a_peak_of_one_minute_is_still_seen_in_months() -> None:
    chart = charted(line(100_000))

    assert max(score for score in chart.bear if score is not None) == 100.0
    assert len(chart.minutes) == len(chart.prices) <= 1_600


def without(whole: ScoreLine, first: int, past: int) -> ScoreLine:
    """The same scores, but for those of some minutes."""
    kept = np.ones(len(whole.at_ms), bool)
    kept[first:past] = False
    columns = (whole.at_ms, whole.price, whole.bull, whole.bear, whole.change)
    return ScoreLine(whole.symbol, *(column[kept] for column in columns))


@pytest.mark.parametrize(("minutes", "first", "past"), [(120, 40, 100), (20_000, 2_000, 9_000)])
def test_the_axis_is_true_to_time_and_shows_where_nothing_was_recorded(
    minutes: int, first: int, past: int
) -> None:
    chart = charted(without(line(minutes), first, past))
    assert chart.gaps == ((first - 1, past),)
    assert chart.minutes[0] == 0
    assert minutes - 20 <= chart.minutes[-1] <= minutes - 1
    assert list(chart.minutes) == sorted(chart.minutes)
    [hole] = [place for place, price in enumerate(chart.prices) if price is None]
    assert (chart.minutes[hole - 1], chart.minutes[hole + 1]) == (first - 1, past)
    assert (chart.bear[hole], chart.bull[hole]) == (None, None)
    assert len(chart.minutes) <= 1_603


def test_a_few_minutes_late_are_no_gap() -> None:
    assert charted(without(line(60), 20, 24)).gaps == ()
    [gap] = charted(without(line(60), 20, 25)).gaps
    assert gap == (19, 25)


@pytest.mark.parametrize(
    ("minutes", "ticks"),
    [
        (1, ["00:40\nNov 20", "00:50", "01:00"]),
        (30, ["01:05\nNov 20", "01:10", "01:15", "01:20", "01:25"]),
        (1_440, ["06:00\nNov 20", "12:00", "18:00", "00:00\nNov 21"]),
        (6 * 1_440, ["Nov 22\n2025", "Nov 24", "Nov 26"]),
        (60 * 1_440, ["Nov 24\n2025", "Dec 08", "Dec 22", "Jan 05\n2026", "Jan 19"]),
    ],
)
def test_times_are_round_and_the_date_is_written_where_it_is_new(
    minutes: int, ticks: list[str]
) -> None:
    chart = charted(line(minutes))
    assert [label for _, label in chart.ticks] == ticks
    assert all(chart.since < place <= chart.minutes[-1] for place, _ in chart.ticks)


def test_a_score_that_is_not_known_is_a_hole() -> None:
    chart = charted(line(3), Thresholds(0.6, 0.4))

    assert chart.bull == (None, None, None)
    assert (chart.bull_threshold, chart.bear_threshold) == (60.0, 40.0)


def test_times_and_their_name_are_those_of_the_reader() -> None:
    chart = charted(line(600), zone=ZoneInfo("Asia/Kathmandu"))

    # 01:00 in UTC is 06:45 there.
    assert chart.zone == "+0545"
    assert [place for place, _ in chart.ticks] == [75, 195, 315, 435, 555]
    assert [text for _, text in chart.ticks][:2] == ["08:00\nNov 20", "10:00"]


@pytest.mark.parametrize(("minutes", "since"), [(1, -30), (2, -29), (31, 0), (5_000, 0)])
def test_a_few_moments_do_not_fill_the_picture(minutes: int, since: int) -> None:
    assert charted(line(minutes)).since == since


def test_equal_thresholds_are_one_line_that_belongs_to_neither_score() -> None:
    [both] = score_picture.threshold_chips(charted(line(3), Thresholds(0.5, 0.5)))
    bull, bear = score_picture.threshold_chips(charted(line(3), Thresholds(0.83, 0.67)))

    assert (both.text, bull.text, bear.text) == ("50", "83", "67")
    assert len({both.colour, bull.colour, bear.colour}) == 3


def test_a_score_holds_for_its_minute_and_not_into_a_gap() -> None:
    chart = charted(without(line(120), 40, 100))

    hole = chart.prices.index(None)
    assert chart.minutes[hole] == chart.minutes[hole - 1] + 1


def test_a_coin_is_named_alone_where_all_are_priced_in_one_currency() -> None:
    alike = [scored("ADA/USDT", candle(HOUR, 1)), scored("BTC/USDT", candle(HOUR, 1))]
    mixed = [*alike, scored("BTC/USDC", candle(HOUR, 1))]

    quotes = [heat_map_of(scores, NOON, is_simulated=False).quote for scores in (alike, mixed)]

    assert quotes == ["USDT", ""]


def test_what_is_not_watched_and_what_is_not_ready_differ_and_are_explained() -> None:
    unread = TimeframeScore(DAY, Standing.UNREAD, 0)
    young = TimeframeScore(DAY, Standing.TOO_YOUNG, 12)
    scores = [scored("A/USDT", candle(HOUR, 1)), scored("B/USDT", candle(HOUR, 1), unread)]

    whole = heat_map_of(scores[:1], NOON, is_simulated=False)
    heat_map = heat_map_of(scores, NOON, is_simulated=False)
    aged = heat_map_of([scored("A/USDT", young)], NOON, is_simulated=False)

    assert [row.cells[1].text for row in heat_map.rows] == ["", "…"]
    assert heat_picture.notes_of(heat_map) == ("blank: not watched   … not ready",)
    assert heat_picture.notes_of(aged) == ("new: too young",)
    assert heat_picture.notes_of(whole) == ()
    assert heat_picture.notes_of(replace(whole, left_out=5)) == ("and 5 calmer ones",)


@pytest.mark.parametrize(
    ("rows", "columns", "letter_px"),
    [(1, 1, 40), (3, 5, 38), (10, 5, 38), (20, 8, 30), (20, 10, 28)],
)
def test_letters_are_as_large_as_the_columns_allow_and_the_picture_as_high_as_its_rows(
    rows: int, columns: int, letter_px: float
) -> None:
    lengths = [Timeframe(f"{minutes}m") for minutes in range(1, columns + 1)]
    cells = [candle(length, -6, -9.9) for length in lengths]
    scores = [scored(f"ADA{number}/USDT", *cells) for number in range(rows)]
    heat_map = heat_map_of(scores, NOON, is_simulated=True)

    plan = heat_picture.plan_of(heat_map)

    assert plan.letter >= letter_px
    assert plan.symbols + columns * plan.cell + 2 * plan.score <= 1080
    assert rows * plan.row <= plan.height <= rows * plan.row + 300


def test_drawings_survive_the_way_to_the_other_process() -> None:
    heat_map = heat_map_of([scored("ADA/USDT", candle(HOUR, -6))], NOON, is_simulated=True)
    chart = charted(without(line(30), 9, 20))

    assert heat_map_from_json(sent(heat_map)) == heat_map
    assert score_chart_from_json(sent(chart)) == chart


@pytest.mark.parametrize("rows", [1, ROWS_MAX])
def test_a_heat_map_is_as_wide_as_a_phone(rows: int) -> None:
    scores = [scored(f"C{number}/USDT", candle(HOUR, -6)) for number in range(rows)]

    png = heat_picture.png_of(heat_map_of(scores, NOON, is_simulated=True))

    width, height = png_size(png)
    assert width == 1080
    assert height <= 1_800


@pytest.mark.parametrize("minutes", [1, 2, 5_000])
def test_a_history_can_be_drawn_from_one_moment_on(minutes: int) -> None:
    chart = charted(line(minutes))

    assert png_size(score_picture.png_of(chart)) == (1080, 1200)


async def test_the_process_draws_every_kind_of_picture(tmp_path: Path) -> None:
    charts = ChartWorker(deadline_s=30)
    heat_map = heat_map_of([scored("ADA/USDT", candle(HOUR, -6))], NOON, is_simulated=True)
    chart = charted(line(50))
    try:
        first = await charts.draw(heat_map, tmp_path / "heat.png")
        second = await charts.draw(chart, tmp_path / "scores.png")
    finally:
        await charts.close()

    assert png_size(first.read_bytes())[1] != png_size(second.read_bytes())[1] == 1200
