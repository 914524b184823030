"""Scores on demand: what is unusual now, one symbol in detail, its past, and files of it all."""

import asyncio
import csv
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from bot.telegram.commands import scanning
from bot.telegram.holdings import Held, HeldCombination, HeldSeries, NoArchive
from bot.telegram.render.archive import size
from tests.fakes.scanner import FakeScanner
from tests.unit.bot.telegram.commands.talk import TRADER, VIEWER, Talk, crashed, interest, tf
from trading.domain.events import PersonChanged
from trading.domain.time import to_ms
from trading.domain.watching import Interest
from trading.scanner.aftermath import HORIZONS_MS, Following
from trading.scanner.desk import Missing, ScoreReport
from trading.scanner.scores import RankScore, Thresholds
from trading.scanner.walk_forward import BestThresholds, Outcome

UNKNOWN = float("nan")


@pytest.fixture
def talk() -> Talk:
    talk = Talk()
    talk.scanner.scores["BTC/USDT"] = crashed(talk)
    return talk


# ---------------------------------------------------------------- scan


async def test_a_scan_of_what_is_watched_puts_the_highest_score_first(talk: Talk) -> None:
    await talk.ask("/watch ETH/USDT BTC/USDT 15m 1h 1d")
    talk.scanner.scores["ETH/USDT"] = replace(
        crashed(talk, "ETH/USDT"), timeframes=crashed(talk).timeframes[2:]
    )
    answer = await talk.ask("/scan")
    assert answer.title == "🔎 BTC/USDT bear 92, asks to BUY"
    assert answer.text.index("• BTC/USDT") < answer.text.index("• ETH/USDT")
    assert "• ETH/USDT 60,000.12 too young to score too young: 1d" in answer.text
    assert "High bear: a crash, asks to BUY. High bull: a rise, asks to SELL." in answer.text
    assert [one.symbol for one in talk.scanner.scanned] == ["ETH/USDT", "BTC/USDT"]


async def test_anything_can_be_scanned_without_being_watched(talk: Talk) -> None:
    answer = await talk.ask("/scan btcusdt 1h 15m", VIEWER)
    assert "bear 92" in answer.title
    assert talk.scanner.scanned == [interest("BTC/USDT", "15m", "1h")]
    assert talk.store.of(PersonChanged) == []


async def test_what_has_no_candles_is_named(talk: Talk) -> None:
    answer = await talk.ask("/scan ETH/USDT")
    assert answer.title == "🔎 Nothing could be scored"
    assert "No candles of ETH/USDT" in answer.text


async def test_what_is_not_read_yet_is_named_in_few_words(talk: Talk) -> None:
    way = (Missing(tf("1h")[0], "its past is being read"),)
    symbols = [f"{base}/USDT" for base in ("ETH", "BTC")]
    await talk.ask(f"/watch {' '.join(symbols)} 1h")
    talk.scanner.scores.clear()
    talk.scanner.unread = dict.fromkeys(symbols, way)
    answer = await talk.ask("/scan")
    assert answer.title == "🔎 Nothing could be scored"
    assert "Not read yet, see /monitoring: ETH/USDT, BTC/USDT" in answer.text
    assert "No candles of" not in answer.text


async def test_a_scan_shows_no_older_score_for_one_that_has_none_now(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(_interests: object) -> list[RankScore]:
        return []

    monkeypatch.setattr(talk.scanner, "scan", nothing)
    answer = await talk.ask("/scan BTC/USDT")
    assert answer.title == "🔎 Nothing could be scored"
    assert "No candles of BTC/USDT" in answer.text


async def test_a_scan_uses_ones_own_lengths_and_threshold(talk: Talk) -> None:
    await talk.ask("/watch BTC/USDT 15m threshold 95")
    answer = await talk.ask("/scan BTC/USDT")
    assert "asks to BUY" not in answer.title
    assert talk.scanner.scanned == [interest("BTC/USDT", "15m", threshold=95)]


async def test_an_exchange_that_is_away_is_told_calmly(talk: Talk) -> None:
    talk.scanner.is_unreachable = True
    answer = await talk.ask("/scan BTC/USDT")
    assert answer.title == "⏳ Not now"
    assert "The exchange does not answer" in answer.text


class _StuckScanner(FakeScanner):
    async def scan(self, interests: Iterable[Interest]) -> Sequence[RankScore]:
        await asyncio.Event().wait()
        return ()

    async def report(self, interest: Interest) -> ScoreReport:
        await asyncio.Event().wait()
        raise AssertionError


@pytest.mark.parametrize("line", ["/scan BTC/USDT", "/rank BTC/USDT", "/rank BTC/USDT history"])
async def test_a_scan_that_never_ends_is_given_up(
    talk: Talk, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    for name in ("_DEADLINE_S", "_HISTORY_DEADLINE_S"):
        monkeypatch.setattr(scanning, name, 0.01)
    talk.services.scanner = _StuckScanner()
    answer = await talk.ask(line)
    assert answer.title == "⏳ Not now"
    assert "too long" in answer.text


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("/scan", "you watch nothing yet"),
        ("/scan XYZ/USDT", "not listed"),
        ("/scan BTC/USDT 7m", "was '7m'"),
        ("/scan BTC/USDT threshold 60", "a threshold is for /watch"),
        ("/scan 1h", "symbol is missing"),
        ("/rank", "symbol is missing"),
        ("/rank XYZ", "not listed"),
        ("/rank BTC/USDT 7m", "was '7m'"),
        ("/rank BTC/USDT yesterday", "was 'yesterday'"),
        ("/rank BTC/USDT 1h 4h", "not understood: '4h'"),
        ("/rank ETH/USDT history", "past of ETH/USDT is too short"),
        ("/post xml", "csv or json, was 'xml'"),
        ("/post BTC/USDT xml", "csv or json, was 'xml'"),
        ("/post BTC/USDT json now", "not understood: 'now'"),
        ("/post NOTHING", "not listed"),
        ("/post", "you watch nothing yet"),
        ("/post csv json", "not understood: 'json'"),
        ("/data x", "the number of a page or nothing, was 'x'"),
        ("/data 1 2", "a page or nothing, was '1 2'"),
    ],
)
async def test_nonsense_is_refused_with_its_value(talk: Talk, line: str, said: str) -> None:
    answer = await talk.ask(line)
    assert said.lower() in answer.text.lower()
    assert "Try:" in answer.text
    assert talk.scanner.scanned == []


async def test_lengths_alone_scan_what_one_watches_over_these(talk: Talk) -> None:
    await talk.ask("/watch BTC/USDT ETH/USDT 1d")
    talk.scanner.scores["BTC/USDT"] = crashed(talk)
    answer = await talk.ask("/scan 1h 15m")
    assert "BTC/USDT bear 92" in answer.title
    assert talk.scanner.scanned == [
        interest("BTC/USDT", "15m", "1h"),
        interest("ETH/USDT", "15m", "1h"),
    ]
    assert talk.person().wishes.interest("BTC/USDT") == interest("BTC/USDT", "1d")
    assert "was '7m'" in (await talk.ask("/scan 7m")).text


async def test_more_symbols_than_are_scanned_at_once_are_refused(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scanning, "SCANNED_MAX", 1)
    answer = await talk.ask("/scan BTC/USDT ETH/USDT")
    assert "at most 1 symbols are scanned at once, were 2" in answer.text.lower()


async def test_a_coin_alone_offers_its_pairs(talk: Talk) -> None:
    offer = await talk.ask("/rank BTC 15m")
    assert offer.buttons["BTC/USDT"] == "+/rank BTC/USDT 15m"
    assert (await talk.ask("/scan BTC")).buttons["BTC/USDC"] == "+/scan BTC/USDC"


# ---------------------------------------------------------------- rank


async def test_a_past_of_several_exchanges_says_whose_it_is(talk: Talk) -> None:
    assert "History:" not in (await talk.ask("/rank BTC/USDT")).text
    talk.scanner.histories["BTC/USDT"] = ("binance", "kraken")
    assert "History: binance + kraken" in (await talk.ask("/rank BTC/USDT")).text


async def test_each_length_says_its_move_its_rank_and_its_points(talk: Talk) -> None:
    await talk.ask("/watch BTC/USDT 15m 1h 1d")
    answer = await talk.ask("/rank BTC/USDT")
    assert answer.title == "📊 BTC/USDT bear 92, asks to BUY"
    assert "• 15m: -4.21%, rank 0.4% bear 5 of 6" in answer.text
    assert "• 1h: -12.1%, rank 0.01% bear 6 of 6" in answer.text
    assert "• 1d: too young, 12 of 40 candles" in answer.text
    assert "Average over 2 candle lengths: bear 92 · bull 0" in answer.text
    assert answer.buttons["📜 Its past"] == "+/rank BTC/USDT history"


async def test_one_length_shows_all_four_ranks(talk: Talk) -> None:
    answer = await talk.ask("/rank BTC/USDT 15m")
    assert answer.title == "📊 BTC/USDT 15m"
    for words in (
        "Change -4.21%, whole range 5.1%",
        "Rank of the change 0.31%",
        "Rank of the range 1.2%",
        "Rank as a rise 88%",
        "Rank as a fall 0.4%",
        "among 8,231 past candles",
        "Bear 5, bull 0 of 6 points",
    ):
        assert words in answer.text


async def test_a_length_that_is_too_young_or_has_no_candle_is_not_guessed(talk: Talk) -> None:
    young = await talk.ask("/rank BTC/USDT 1d")
    assert young.title == "📊 BTC/USDT 1d: too young"
    assert "12 of 40 candles" in young.text
    none = await talk.ask("/rank BTC/USDT 3d")
    assert none.title == "📊 BTC/USDT 3d: not read yet"
    nothing = await talk.ask("/rank ETH/USDT")
    assert nothing.title == "📊 ETH/USDT: nothing to score"


# ---------------------------------------------------------------- the past


def _following(score: float, episodes: int, moments: int, final: float) -> Following:
    """One that is known up to a week; nothing of it is old enough for two."""
    known = len(HORIZONS_MS) - 1
    return Following(
        score,
        episodes,
        (*(moments for _ in range(known)), 0),
        (*(2 * final for _ in range(known)), UNKNOWN),
        (*(-final for _ in range(known)), UNKNOWN),
        (*(final for _ in range(known)), UNKNOWN),
    )


def _report(best: BestThresholds | None) -> ScoreReport:
    return ScoreReport(
        "BTC/USDT",
        tf("1h", "4h"),
        17_520,
        3_600_000,
        (_following(0.3, 50, 400, 1.0),),
        (_following(0.2, 90, 900, 9.0), _following(0.6, 8, 30, 1.0), _following(0.8, 4, 10, 5.0)),
        best,
    )


def report_of(round_trips: int) -> ScoreReport:
    """A past whose thresholds made so many round trips on unseen data."""
    return _report(_best(round_trips))


def _best(round_trips: int) -> BestThresholds:
    return BestThresholds(
        Thresholds(0.62, 0.55), Outcome(0.31, 40), Outcome(0.04, round_trips), -0.12, ()
    )


async def test_the_past_tells_what_followed_and_what_unseen_data_made_of_it(talk: Talk) -> None:
    talk.scanner.reports["BTC/USDT"] = _report(_best(5))
    answer = await talk.ask("/rank BTC/USDT history")
    assert answer.title == "📜 BTC/USDT: too few to trust"
    assert "From 730 days of 1 h candles over 1h 4h" in answer.text
    # 30 moments of 1 % and 10 of 5 % make 2 % on average; what is below the threshold counts not.
    assert "After bear 55 and more, 12 times + means up 30 min +2%, at best +4%" in answer.text
    assert "7 d +2%" in answer.text
    assert "14 d" not in answer.text
    assert "After bull 62 and more it never was that high" in answer.text
    assert "Best thresholds: bull 62, bear 55 where they were chosen +31%" in answer.text
    assert "on unseen data +4% 5 round trips: too few to trust" in answer.text
    assert "holding made -12%" in answer.text


async def test_a_sample_that_is_large_enough_is_called_fair_and_a_rare_score_is_not(
    talk: Talk,
) -> None:
    report = _report(_best(64))
    rare = replace(report, after_crashes=(_following(0.6, 3, 9, 1.0),))
    talk.scanner.reports["BTC/USDT"] = rare
    answer = await talk.ask("/rank BTC/USDT history")
    assert answer.title == "📜 BTC/USDT: +4% unseen"
    assert "64 round trips: a fair sample" in answer.text
    assert "too few times to trust" in answer.text


async def test_a_past_without_enough_round_trips_chooses_nothing(talk: Talk) -> None:
    talk.scanner.reports["BTC/USDT"] = _report(None)
    answer = await talk.ask("/rank BTC/USDT history")
    assert answer.title == "📜 BTC/USDT: nothing to choose by"
    assert "No threshold made enough round trips" in answer.text
    assert "After bear 50 and more, 12 times" in answer.text


async def test_auto_is_offered_where_a_number_stands(talk: Talk) -> None:
    talk.scanner.reports["BTC/USDT"] = _report(_best(5))
    await talk.ask("/watch BTC/USDT 1h")
    answer = await talk.ask("/rank BTC/USDT history")
    await talk.press(answer.buttons["🎚 Use auto"])
    assert talk.person().wishes.interests[0].threshold is None
    again = await talk.ask("/rank BTC/USDT history")
    assert "🎚 Use auto" not in again.buttons


# ---------------------------------------------------------------- files


async def test_scores_come_as_a_table_with_a_row_for_each_length(
    talk: Talk, tmp_path: Path
) -> None:
    talk.services.data_dir = tmp_path
    await talk.ask("/watch BTC/USDT 15m 1h 1d")
    await talk.ask("/watch ETH/USDT 1h")
    answer = await talk.ask("/post")
    assert answer.title == "🗂 1 symbol as CSV"
    assert "Not scored yet: 1" in answer.text
    document = Path(answer.messages[0].document or "")
    assert document.parent == tmp_path / "exports"
    with document.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["timeframe"] for row in rows] == ["15m", "1h", "1d"]
    assert [row["bear_points"] for row in rows] == ["5", "6", "0"]
    assert rows[2]["change_percent"] == ""


async def test_tables_that_were_sent_long_ago_do_not_fill_the_disk(
    talk: Talk, tmp_path: Path
) -> None:
    talk.services.data_dir = tmp_path
    (tmp_path / "exports").mkdir()
    for number in range(40):
        (tmp_path / "exports" / f"fills-{number}.csv").touch()
    await talk.ask("/watch BTC/USDT 15m 1h 1d")
    document = Path((await talk.ask("/post")).messages[0].document or "")
    left = list((tmp_path / "exports").iterdir())
    assert document in left
    assert len(left) == 21


async def test_scores_come_as_json_with_null_for_what_is_unknown(
    talk: Talk, tmp_path: Path
) -> None:
    talk.services.data_dir = tmp_path
    await talk.ask("/watch BTC/USDT 15m 1h 1d")
    answer = await talk.ask("/post JSON")
    tree: list[dict[str, Any]] = json.loads(Path(answer.messages[0].document or "").read_text())
    [found] = tree
    assert (found["symbol"], found["bull"], found["bear"]) == ("BTC/USDT", 0.0, 91.7)
    assert [one["bear_points"] for one in found["timeframes"]] == [5, 6, 0]
    assert found["timeframes"][2]["change_percent"] is None
    assert found["timeframes"][2]["standing"] == "too young"


async def test_a_symbol_is_posted_as_its_card_with_its_own_file(talk: Talk, tmp_path: Path) -> None:
    talk.services.data_dir = tmp_path
    await talk.ask("/watch BTC/USDT 15m 1h")
    ranked = await talk.ask("/rank BTC/USDT")
    answer = await talk.ask("/post btc-usdt")
    assert answer.title == ranked.title
    assert answer.text == ranked.text
    with Path(answer.messages[0].document or "").open() as file:
        assert [row["timeframe"] for row in csv.DictReader(file)] == ["15m", "1h"]
    as_json = await talk.press(answer.buttons["🗂 As JSON"])
    assert as_json.title == ranked.title
    [found] = json.loads(Path(as_json.messages[0].document or "").read_text())
    assert found["symbol"] == "BTC/USDT"
    assert "🗂 As CSV" in as_json.buttons
    unscored = await talk.ask("/post ETH/USDT")
    assert "There is no score of ETH/USDT yet" in unscored.text
    guided = await talk.ask("/post BTC json")
    assert "Which pair of BTC?" in guided.text
    assert "/post BTC/USDT json" in guided.text


async def test_before_the_first_scan_there_is_nothing_to_post(talk: Talk) -> None:
    await talk.ask("/watch ETH/USDT 1h")
    assert "nothing is scored yet" in (await talk.ask("/post")).text.lower()


# ---------------------------------------------------------------- the archive


@dataclass
class _Held:
    """An archive with memory: series and combined ones that a test has put there."""

    series: list[HeldSeries] = field(default_factory=list)
    combined: list[HeldCombination] = field(default_factory=list)
    is_stuck: bool = False

    async def counts(self) -> tuple[int, int]:
        if self.is_stuck:
            await asyncio.Event().wait()
        return len(self.series), len(self.combined)

    async def held(self, first: int, most: int) -> Sequence[Held]:
        every: list[Held] = [*self.series, *self.combined]
        return every[first : first + most]


def _series(number: int, **more: Any) -> HeldSeries:
    first_ms = to_ms(Talk().clock.now()) - 86_400_000
    plain = HeldSeries(
        *("kraken", f"C{number}/USDT", "1m", 1440, first_ms, first_ms + 86_340_000, 0, 0, 0, 61_234)
    )
    return replace(plain, **more)


async def test_the_archive_is_told_series_by_series(talk: Talk) -> None:
    talk.services.archive = _Held([_series(1), _series(2, gaps=2, missing=17, damaged=1)])
    answer = await talk.ask("/data")
    assert answer.title == "🗄 2 series of candles"
    assert "• kraken C1/USDT 1m 2026-11-19 to 2026-11-20 1,440 candles, 61 kB •" in answer.text
    assert "2 gaps, 17 missing ⚠️ 1 month damaged" in answer.text


async def test_months_that_are_lost_are_named_even_where_nothing_else_is_left(talk: Talk) -> None:
    gone = _series(2, candles=0, first_ms=None, last_ms=None, lost="2021-05, 2022-01 to 2022-03")
    talk.services.archive = _Held([_series(1), gone])
    said = (await talk.ask("/data")).text
    assert said.endswith("C2/USDT 1m holds no candle ⚠️ lost: 2021-05, 2022-01 to 2022-03")
    assert said.count("lost") == 1


async def test_what_was_damaged_is_shown_with_whether_it_is_back(talk: Talk) -> None:
    talk.services.archive = _Held([_series(1, set_aside="2021-06", replaced="2021-05")])
    said = (await talk.ask("/data")).text
    assert "⚠️ damaged, in quarantine, not back: 2021-06 damaged once, held again: 2021-05" in said


async def test_a_combined_history_shows_whose_candles_it_has(talk: Talk) -> None:
    day_ms = 86_400_000
    whole = HeldCombination(
        "BTC/USDT", "1h", (("kraken", 2), ("bitstamp BTC/USD", 34_567)), day_ms, 9 * day_ms
    )
    broken = HeldCombination("ETH/USDT", "1m", (), problem="kraken has damaged months")
    talk.services.archive = _Held([_series(1)], [whole, broken])
    answer = await talk.ask("/data")
    assert answer.title == "🗄 1 series, 2 combined"
    assert (
        "• combined BTC/USDT 1h 1970-01-02 to 1970-01-10 2 candles of kraken, which leads "
        "34,567 of bitstamp BTC/USD • combined ETH/USDT 1m ⚠️ kraken has damaged months"
    ) in answer.text


async def test_combined_histories_follow_the_series_on_later_pages(talk: Talk) -> None:
    whole = HeldCombination("BTC/USDT", "1h", (("kraken", 2), ("bitstamp", 3)), 1, 2)
    talk.services.archive = _Held([_series(number) for number in range(5)], [whole])
    assert "combined BTC" not in (await talk.ask("/data")).text
    last = (await talk.ask("/data 2")).text
    assert "combined BTC" in last
    assert "C4/USDT" not in last


async def test_a_large_archive_is_paged(talk: Talk) -> None:
    talk.services.archive = _Held([_series(number) for number in range(12)])
    assert "page 3 of 3" in (await talk.ask("/data 3")).text
    last = await talk.ask("/data 99")
    assert "C11/USDT" in last.text
    assert "C9/USDT" not in last.text


async def test_an_archive_that_holds_nothing_says_how_to_fill_it(talk: Talk) -> None:
    assert "umbra data download" in (await talk.ask("/data")).text
    talk.services.archive = _Held([_series(1, candles=0, first_ms=None, last_ms=None)])
    assert "holds no candle" in (await talk.ask("/data")).text
    assert await NoArchive().held(0, 5) == ()


async def test_an_archive_that_does_not_answer_is_given_up(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scanning, "_DEADLINE_S", 0.01)
    talk.services.archive = _Held(is_stuck=True)
    assert (await talk.ask("/data")).title == "⏳ Not now"


@pytest.mark.parametrize("user_id", [VIEWER, TRADER])
async def test_the_archive_is_the_owners_business(talk: Talk, user_id: int) -> None:
    assert "/data is not for a" in (await talk.ask("/data", user_id)).text


@pytest.mark.parametrize(
    ("in_bytes", "words"),
    [(0, "0.0 kB"), (9_940, "9.9 kB"), (61_234, "61 kB"), (1_400_000, "1.4 MB"), (10**13, "10 TB")],
)
def test_sizes_are_round(in_bytes: int, words: str) -> None:
    assert size(in_bytes) == words


@pytest.mark.parametrize(
    ("line", "suggested"),
    [
        ("/scan picture BTC/USDT", "/scan BTC/USDT picture"),
        ("/scan picture 1h", "/scan 1h picture"),
        ("/scan picture btc", "/scan btc picture"),
        ("/scan picture foo", ""),
    ],
)
async def test_a_picture_asked_for_too_early_suggests_only_a_line_that_works(
    line: str, suggested: str, talk: Talk
) -> None:
    refused = await talk.ask(line)
    if suggested:
        assert f"Try: {suggested}" in refused.text
    else:
        assert "foo picture" not in refused.text
        assert "foo" in refused.text.lower()
