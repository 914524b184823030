"""Pictures of scores on demand: what is drawn, and that the caption says it in numbers."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from bot.charts.drawing import Drawing
from bot.charts.heat_map import HeatMap
from bot.charts.score_chart import ScoreChart
from bot.telegram import grammar
from bot.telegram.commands import pictures
from tests.fakes.scanner import FakeScanner
from tests.unit.bot.telegram.commands.talk import OWNER, VIEWER, Easel, Talk, crashed, tf
from trading.domain.time import to_ms
from trading.scanner.desk import Missing, MonitoredView, Readiness, ScoreLine

MINUTE_MS = 60_000
DAY_MS = 86_400_000


@pytest.fixture
def easel() -> Easel:
    return Easel()


@pytest.fixture
def talk(easel: Easel) -> Talk:
    talk = Talk()
    talk.services.charts = easel
    talk.scanner.scores["BTC/USDT"] = crashed(talk)
    return talk


def recorded(talk: Talk, ages_ms: list[int], bear: list[float]) -> ScoreLine:
    """Scores of BTC/USDT as they were recorded so long ago."""
    at_ms = to_ms(talk.clock.now()) - np.array(ages_ms, np.int64)
    price = np.linspace(50_000, 60_000, len(ages_ms))
    bull = np.full(len(ages_ms), 0.1)
    return ScoreLine("BTC/USDT", at_ms, price, bull, np.array(bear), np.zeros(len(ages_ms)))


# ---------------------------------------------------------------- the heat map


async def test_a_scan_becomes_a_heat_map_of_what_is_watched(talk: Talk, easel: Easel) -> None:
    await talk.ask("/watch BTC/USDT ETH/USDT 15m 1h")
    listed = await talk.ask("/watch")
    answer = await talk.press(listed.buttons["🗺 Heat map"])
    [(picture, path)] = easel.drawn
    assert isinstance(picture, HeatMap)
    assert [row.symbol for row in picture.rows] == ["BTC/USDT"]
    assert picture.columns == ("15m", "1h")
    assert picture.watermark == "SIMULATED"
    assert answer.messages[0].picture == str(path)
    assert path.parent == talk.services.data_dir / "charts"
    assert answer.title == "📡 12:00 BTC/USDT bear 92 bull 0"
    assert "Not scored: ETH/USDT" in answer.text
    assert answer.buttons["📊 BTC/USDT"] == "+/rank BTC/USDT"


async def test_a_length_whose_past_is_not_there_keeps_its_column_and_is_named(
    talk: Talk, easel: Easel
) -> None:
    await talk.ask("/watch BTC/USDT 15m 1h 4h")
    talk.scanner.unread["BTC/USDT"] = (Missing(tf("4h")[0], Readiness.WARMING.value),)
    answer = await talk.ask("/scan picture")
    [(picture, _)] = easel.drawn
    assert isinstance(picture, HeatMap)
    assert picture.columns == ("15m", "1h", "4h")
    assert [cell.text for cell in picture.rows[0].cells][2] == "…"
    assert "BTC/USDT without 4h: its past is being read" in answer.text


async def test_the_button_under_a_scan_draws_the_very_same_symbols(
    talk: Talk, easel: Easel
) -> None:
    scanned = await talk.ask("/scan BTC/USDT 15m", VIEWER)
    assert scanned.buttons["🗺 Heat map"] == "+/scan BTC/USDT 15m picture"
    await talk.press(scanned.buttons["🗺 Heat map"], VIEWER)
    [(picture, _)] = easel.drawn
    assert isinstance(picture, HeatMap)
    assert picture.columns == ("15m",)


async def test_the_picture_tells_the_time_of_its_reader(talk: Talk, easel: Easel) -> None:
    await talk.ask("/digest daily 09:00 Asia/Tokyo")
    await talk.ask("/watch BTC/USDT 15m 1h")
    await talk.ask("/scan picture")
    [(picture, _)] = easel.drawn
    assert picture.title == "Rare moves 21:00 JST"


async def test_charts_and_recorded_scores_tell_the_time_of_their_reader(
    talk: Talk, easel: Easel
) -> None:
    talk.scanner.lines["BTC/USDT"] = recorded(talk, [2 * MINUTE_MS, MINUTE_MS], [0.2, 0.4])
    await talk.ask("/digest daily 09:00 Asia/Tokyo")
    for line in ("/chart BTC/USDT 15m", "/rank BTC/USDT picture"):
        await talk.ask(line)
        picture = easel.drawn[-1][0]
        assert isinstance(picture, Drawing | ScoreChart)
        assert (picture.zone, picture.places) == ("JST", 2)


async def test_a_tracker_shows_the_chart_of_its_symbol(talk: Talk, easel: Easel) -> None:
    line = "/track ETH/USDT stop 2000 all"
    await talk.desk.execute(grammar.parse(line, talk.desk.instrument), OWNER, "x")
    for typed, title in (("chart", "ETH/USDT  15m"), ("chart 1h", "ETH/USDT  1h")):
        answer = await talk.ask(f"/tracker 1 {typed}")
        picture = easel.drawn[-1][0]
        assert isinstance(picture, Drawing)
        assert picture.title == title
        assert answer.title.startswith(title.replace("  ", " "))
    help_ = await talk.ask("/help tracker")
    assert "/tracker 3 why" in help_.text
    assert "/tracker 3 chart" in help_.text


async def test_where_nothing_could_be_scored_nothing_is_drawn(talk: Talk, easel: Easel) -> None:
    answer = await talk.ask("/scan ETH/USDT picture")
    assert answer.title == "🔎 Nothing could be scored"
    assert "🗺 Heat map" not in answer.buttons
    assert easel.drawn == []


async def test_a_picture_that_cannot_be_drawn_is_told_calmly(talk: Talk, easel: Easel) -> None:
    easel.is_stuck = True
    assert (await talk.ask("/scan BTC/USDT picture")).title == "⏳ Not now"


# ---------------------------------------------------------------- recorded scores


async def test_recorded_scores_are_drawn_with_ones_own_thresholds(talk: Talk, easel: Easel) -> None:
    talk.scanner.lines["BTC/USDT"] = recorded(
        talk, [3 * DAY_MS, 2 * DAY_MS, MINUTE_MS], [0.2, 1.0, 0.4]
    )
    await talk.ask("/watch BTC/USDT 15m threshold 70")
    ranked = await talk.ask("/rank BTC/USDT")
    answer = await talk.press(ranked.buttons["🖼 Its scores"])
    [(picture, path)] = easel.drawn
    assert isinstance(picture, ScoreChart)
    assert picture.bear == (20.0, None, 100.0, None, 40.0), "a day apart is no line"
    assert (picture.bull_threshold, picture.bear_threshold) == (70.0, 70.0)
    assert answer.messages[0].picture == str(path)
    assert answer.title == "📊 BTC/USDT bear 40 bull 10"
    assert "Price 60,000.00, +20% in all" in answer.text
    assert "Highest bear 100 at Nov 18 12:00 UTC you are told from 70 on" in answer.text
    assert "3 scans since Nov 17 12:00 UTC" in answer.text
    assert "Scores over 15m" in answer.text


@pytest.mark.parametrize(
    ("united", "said"),
    [
        (1, "Scores over 15m since Nov 18 12:00 UTC, before that over all that was watched here."),
        (3, "Scores over all that was watched here: an older version recorded no more."),
    ],
)
async def test_scores_over_what_others_watched_are_said_to_be_so(
    united: int, said: str, talk: Talk
) -> None:
    line = recorded(talk, [3 * DAY_MS, 2 * DAY_MS, MINUTE_MS], [0.2, 1.0, 0.4])
    talk.scanner.lines["BTC/USDT"] = replace(line, united=united)
    await talk.ask("/watch BTC/USDT 15m")
    assert said in (await talk.ask("/rank BTC/USDT picture")).text


async def test_a_word_says_how_far_back_the_picture_goes(talk: Talk, easel: Easel) -> None:
    talk.scanner.lines["BTC/USDT"] = recorded(
        talk, [20 * DAY_MS, 5 * DAY_MS, MINUTE_MS], [0.2, 1.0, 0.4]
    )
    counts = []
    for line in ("", " 24h", " 30d"):
        await talk.ask(f"/rank BTC/USDT picture{line}")
        picture = easel.drawn[-1][0]
        assert isinstance(picture, ScoreChart)
        counts.append(sum(price is not None for price in picture.prices))
    assert counts == [2, 1, 3]


async def test_scores_that_were_too_young_are_said_to_be_so(talk: Talk) -> None:
    talk.scanner.lines["BTC/USDT"] = recorded(
        talk, [2 * MINUTE_MS, MINUTE_MS], [float("nan"), float("nan")]
    )
    answer = await talk.ask("/rank BTC/USDT picture")
    assert answer.title == "📊 BTC/USDT bull 10 bear ?"
    assert "No bear score: too young" in answer.text


async def test_where_nothing_is_recorded_yet_it_says_so_and_what_to_do(talk: Talk) -> None:
    unwatched = await talk.ask("/rank BTC/USDT picture")
    assert "No score of BTC/USDT was recorded in the last 7 d." in unwatched.text
    assert "while somebody watches Try: /watch BTC/USDT" in unwatched.text
    talk.scanner.views["BTC/USDT"] = MonitoredView(
        "BTC/USDT", tf("15m"), Readiness.WARMING, None, ()
    )
    watched = await talk.ask("/rank BTC/USDT picture 12h")
    assert "in the last 12 h. The first comes once its past is read" in watched.text


@pytest.mark.parametrize("word", ["0h", "401d", "9601h", "7", "1w", "yesterday", "٣d", "-1d"])
async def test_a_length_that_makes_no_sense_is_refused_with_its_value(
    talk: Talk, easel: Easel, word: str
) -> None:
    talk.scanner.lines["BTC/USDT"] = recorded(talk, [MINUTE_MS], [0.2])
    answer = await talk.ask(f"/rank BTC/USDT picture {word}")
    assert f"goes back from 1h to 400d, was '{word}'" in answer.text
    assert "Try: /rank BTC/USDT picture 30d" in answer.text
    assert easel.drawn == []


class _StuckScanner(FakeScanner):
    async def line(self, symbol: str, since_ms: int) -> ScoreLine:
        await asyncio.Event().wait()
        raise AssertionError


async def test_reading_that_never_ends_is_given_up(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "_DEADLINE_S", 0.01)
    talk.services.scanner = _StuckScanner()
    answer = await talk.ask("/rank BTC/USDT picture")
    assert answer.title == "⏳ Not now"
    assert "too long" in answer.text
