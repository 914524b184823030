"""What somebody watches: put on the list, taken off and back on, from which score on, how loud."""

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.telegram import confirm
from tests.fakes.desk import find
from tests.security.front import OWNER
from tests.unit.bot.telegram.commands.talk import TRADER, VIEWER, Talk, crashed, interest, tf
from trading.domain.chat import Role
from trading.domain.events import PersonChanged
from trading.domain.instrument import Instrument
from trading.domain.time import to_ms
from trading.domain.watching import AlertType, Interest, Loudness, checked
from trading.scanner.desk import Missing, MonitoredView, Readiness
from trading.scanner.scores import RankScore, Standing, Thresholds, TimeframeScore


@pytest.fixture
def talk() -> Talk:
    return Talk()


# ---------------------------------------------------------------- watch


async def test_a_symbol_is_watched_over_the_lengths_that_were_named(talk: Talk) -> None:
    answer = await talk.ask("/watch btc-usdt 4h 15m 1h threshold 70")
    assert answer.title == "👁 Watching BTC/USDT"
    assert talk.person().wishes.interests == (
        interest("BTC/USDT", "15m", "1h", "4h", threshold=70),
    )
    [changed] = talk.store.of(PersonChanged)
    assert changed.reason == "watches BTC/USDT"


async def test_without_lengths_the_usual_ones_are_watched_from_fifty_on(talk: Talk) -> None:
    await talk.ask("/watch BTC/USDT")
    assert talk.person().wishes.interests == (Interest("BTC/USDT", talk.scanner.usual, 50),)


async def test_a_month_and_a_minute_are_watched_apart(talk: Talk) -> None:
    await talk.ask("/watch BTC/USDT 1M 1m")
    assert talk.person().wishes.interests == (interest("BTC/USDT", "1m", "1M"),)
    await talk.ask("/drop BTC/USDT 1m")
    assert talk.person().wishes.interests == (interest("BTC/USDT", "1M"),)
    refused = await talk.ask("/watch BTC/USDT 2M")
    assert "Timeframe should be one of" in refused.text


async def test_what_the_exchange_lacks_is_refused_or_said_to_be_made_of_something_else(
    talk: Talk,
) -> None:
    [three_minutes, three_days, day] = tf("3m", "3d", "1d")
    talk.scanner.sources = {three_minutes: None, three_days: day}
    for command in ("/watch", "/scan", "/rank"):
        refused = await talk.ask(f"{command} BTC/USDT 3m")
        assert "The exchange has no 3m candles" in refused.text
    assert talk.person().wishes.interests == ()
    made = await talk.ask("/watch BTC/USDT 1h 3d")
    assert "The exchange has no 3d candles: made of 1d." in made.text
    await talk.ask("/watch BTC/USDT 1h")
    talk.scanner.views["BTC/USDT"] = MonitoredView(
        "BTC/USDT",
        tf("3m", "1h"),
        Readiness.LIVE,
        None,
        missing=(Missing(three_minutes, "the exchange has none"),),
    )
    assert "without 3m: the exchange has none" in (await talk.ask("/monitoring")).text


async def test_why_auto_is_the_usual_threshold_is_said(talk: Talk) -> None:
    talk.scanner.lacks["BTC/USDT"] = "6 days of past, 21 needed"
    watched = await talk.ask("/watch BTC/USDT 1h threshold auto")
    assert "auto: still 50, 6 days of past, 21 needed" in watched.text
    for line in ("/threshold auto", "/threshold", "/watch"):
        shown = (await talk.ask(line)).text
        assert "auto: still 50, 6 days of past, 21 needed" in shown
        assert "bull 50" not in shown
    talk.scanner.best["BTC/USDT"] = Thresholds(0.7, 0.6)
    shown = (await talk.ask("/threshold")).text
    assert "still" not in shown
    assert "auto: bull 70, bear 60" in shown
    talk.scanner.best.clear()
    assert "needed" not in (await talk.ask("/threshold 60")).text


async def test_which_lengths_a_score_is_made_without_is_said_with_the_reason(talk: Talk) -> None:
    await talk.ask("/watch BTC/USDT 1h 1d 3d")
    [day, three_days] = tf("1d", "3d")
    why = "the exchange's answer cannot be read"
    missing = (Missing(day, "its past is being read"), Missing(three_days, why, 90.0))
    talk.scanner.unread["BTC/USDT"] = missing
    for line in ("/watch", "/monitoring"):
        talk.scanner.views["BTC/USDT"] = MonitoredView(
            "BTC/USDT", tf("1h", "1d", "3d"), Readiness.LIVE, None, missing=missing
        )
        shown = (await talk.ask(line)).text
        assert "without 1d: its past is being read" in shown
        assert f"without 3d: {why}, asked again in 90 s" in shown
    hour = TimeframeScore(tf("1h")[0], Standing.SCORED, 500, change=-8.4, bear_points=6)
    score = RankScore("BTC/USDT", to_ms(talk.clock.now()), 58_000.0, 0.0, 1.0, 0.0, (hour,))
    talk.scanner.scores["BTC/USDT"] = score
    for line in ("/watch", "/scan", "/rank BTC/USDT"):
        shown = (await talk.ask(line)).text
        assert "bear 100" in shown
        assert f"without 3d: {why}, asked again in 90 s" in shown
    talk.scanner.unread.clear()
    assert "without 1d 3d: its past could not be read" in (await talk.ask("/scan")).text


async def test_a_length_that_is_added_to_a_watched_symbol_is_being_read(talk: Talk) -> None:
    await talk.ask("/watch BTC/USDT 1h")
    hour = TimeframeScore(tf("1h")[0], Standing.SCORED, 500, change=-8.4, bear_points=6)
    score = RankScore("BTC/USDT", to_ms(talk.clock.now()), 58_000.0, 0.0, 1.0, 0.0, (hour,))
    talk.scanner.scores["BTC/USDT"] = score
    shown = await talk.ask("/watch BTC/USDT 1h 4h")
    assert "without 4h: its past is being read" in shown.text
    await talk.ask("/drop BTC/USDT 4h")
    assert "without 4h: its past is being read" in (await talk.ask("/drop undo")).text


async def test_several_symbols_share_one_line(talk: Talk) -> None:
    await talk.ask("/watch BTC/USDT ETH/USDT 1h from auto")
    assert talk.person().wishes.interests == (
        interest("BTC/USDT", "1h", threshold=None),
        interest("ETH/USDT", "1h", threshold=None),
    )


async def test_watching_again_changes_only_what_is_said(talk: Talk) -> None:
    await talk.ask("/watch BTC/USDT 1h threshold 70")
    answer = await talk.ask("/watch BTC/USDT 15m")
    assert "1 symbol watched before, now like this" in answer.text
    assert talk.person().wishes.interests == (interest("BTC/USDT", "15m", threshold=70),)
    await talk.ask("/watch BTC/USDT threshold auto")
    assert talk.person().wishes.interests == (interest("BTC/USDT", "15m", threshold=None),)


async def test_each_person_has_a_list_of_their_own(talk: Talk) -> None:
    await talk.ask("/watch BTC/USDT 1h")
    await talk.ask("/watch ETH/USDT 1h", VIEWER)
    assert (talk.watched(), talk.watched(VIEWER)) == (["BTC/USDT"], ["ETH/USDT"])


async def test_a_coin_alone_offers_its_pairs_and_a_tap_sends_the_whole_line(talk: Talk) -> None:
    offer = await talk.ask("/watch btc 15m threshold 60")
    assert offer.title == "👁 Which pair of BTC?"
    assert talk.watched() == []
    await talk.press(offer.buttons["BTC/USDC"])
    assert talk.person().wishes.interests == (interest("BTC/USDC", "15m", threshold=60),)


async def test_a_line_of_nonsense_is_looked_up_no_further_than_its_first_word(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def instrument(text: str) -> Instrument:
        asked.append(text)
        return find(text)

    monkeypatch.setattr(talk.desk, "instrument", instrument)
    for command in ("/watch", "/scan", "/rank"):
        asked.clear()
        assert "not listed" in (await talk.ask(f"{command} {'xy ' * 150}")).text
        assert asked == ["xy"]


async def test_an_unknown_symbol_comes_with_near_misses_to_tap(talk: Talk) -> None:
    answer = await talk.ask("/watch BTC/USTD 1h")
    assert "not listed" in answer.text
    await talk.press(answer.buttons["BTC/USDT"])
    assert talk.watched() == ["BTC/USDT"]


async def test_an_impossible_length_comes_with_near_ones_to_tap(talk: Talk) -> None:
    answer = await talk.ask("/watch BTC/USDT 7m threshold 60")
    assert "was '7m'" in answer.text
    await talk.press(answer.buttons["5m"])
    assert talk.person().wishes.interests == (interest("BTC/USDT", "5m", threshold=60),)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("/watch BTC/USDT threshold 0", "between 1 and 100, or auto, was '0'"),
        ("/watch BTC/USDT threshold 101", "was '101'"),
        ("/watch BTC/USDT threshold", "was nothing"),
        ("/watch BTC/USDT threshold 6.5", "was '6.5'"),
        ("/watch BTC/USDT threshold ٦", "was '٦'"),
        ("/watch BTC/USDT threshold 1e1", "was '1e1'"),
        ("/watch 1h 4h", "symbol is missing"),
        ("/watch threshold 60", "symbol is missing"),
        ("/watch 0", "the page should be between 1 and"),
        ("/watch BTC/USDT 2M", "timeframe should be one of"),
        ("/watch BTC/USDT -1m", "was '-1m'"),
        ("/watch BTC/USDT 1.5h", "was '1.5h'"),
        ("/watch BTC/USDT 1m 3m 5m 15m 30m 1h 2h 4h 6h", "at most 8 candle lengths"),
        ("/watch ВТС/USDT", "plain letters"),
        ("/watch /help", "not listed"),
        ("/watch " + "x" * 400, "not listed"),
        ("/drop", "you watch nothing"),
        ("/drop all", "you watch nothing"),
        ("/drop undo", "nothing to undo"),
        ("/drop undo BTC/USDT x", "not understood: 'x'"),
        ("/threshold 60", "you watch nothing yet"),
        ("/alerts bells off", "rises, crashes, touches, fills, reports, sounds or pinned, was"),
        ("/alerts rises loud", "on, silent or off, was 'loud'"),
        ("/alerts rises", "on, silent or off, now on"),
        ("/alerts rises off now", "not understood: 'now'"),
        ("/alerts sounds", "a number from 0 to 60, was nothing"),
        ("/alerts sounds -1", "a number from 0 to 60, was '-1'"),
        ("/alerts sounds 61", "between 0 and 60, were 61"),
        ("/alerts sounds ٦", "a number from 0 to 60, was '٦'"),
        ("/alerts pinned silent", "on or off, was 'silent'"),
        ("/alerts critical off", "cannot be turned down"),
        ("/monitoring x", "a page or nothing, was 'x'"),
        ("/monitoring 1 2", "a page or nothing, was '1 2'"),
    ],
)
async def test_nonsense_is_refused_with_its_value_and_changes_nothing(
    talk: Talk, line: str, said: str
) -> None:
    answer = await talk.ask(line)
    assert said.lower() in answer.text.lower()
    assert talk.store.of(PersonChanged) == []
    assert "Try:" in answer.text


async def test_a_person_watches_so_many_symbols_and_no_more(talk: Talk) -> None:
    talk.services.settings = replace(talk.services.settings, watched_per_person_max=2)
    await talk.ask("/watch BTC/USDT ETH/USDT")
    answer = await talk.ask("/watch ADA/USDC")
    assert "at most 2 symbols can be watched, these would be 3" in answer.text.lower()
    # What is watched already may still be changed.
    assert "Watching BTC/USDT" in (await talk.ask("/watch BTC/USDT 1h")).title
    assert len(talk.watched()) == 2


async def test_all_together_watch_so_many_symbols_and_no_more(talk: Talk) -> None:
    talk.services.settings = replace(talk.services.settings, watched_max=2)
    await talk.ask("/watch BTC/USDT ETH/USDT")
    answer = await talk.ask("/watch ADA/USDC", VIEWER)
    assert "at most 2 symbols are scanned for everybody" in answer.text.lower()
    assert talk.watched(VIEWER) == []
    # One that is scanned anyway costs nothing.
    await talk.ask("/watch BTC/USDT", VIEWER)
    assert talk.watched(VIEWER) == ["BTC/USDT"]


async def test_the_list_shows_scores_in_plain_words_and_drops_by_tap(talk: Talk) -> None:
    await talk.ask("/watch BTC/USDT 15m 1h 1d")
    await talk.ask("/watch ETH/USDT 1h")
    talk.scanner.scores["BTC/USDT"] = crashed(talk)
    shown = await talk.ask("/watch")
    assert "BTC/USDT bear 92 · bull 0 asks to BUY" in shown.text
    assert "too young: 1d" in shown.text
    assert "ETH/USDT no score yet" in shown.text
    assert "High bear: a crash, asks to BUY." in shown.text
    dropped = await talk.press(shown.buttons["✖️ BTC/USDT"])
    assert dropped.messages[0].edits
    assert talk.watched() == ["ETH/USDT"]


async def test_a_long_list_is_paged(talk: Talk) -> None:
    symbols = [f"C{number}/USDT" for number in range(20)]
    wishes = replace(
        talk.person().wishes, interests=tuple(interest(symbol, "1h") for symbol in symbols)
    )
    talk.roster.put(replace(talk.person(), wishes=wishes))
    seen: list[str] = []
    for page in range(1, 5):
        answer = await talk.ask(f"/watch {page}")
        seen += [label[3:] for label in answer.buttons if label.startswith("✖️")]
    assert seen == symbols
    assert "page 4 of 4" in (await talk.ask("/watch 999")).text


# ---------------------------------------------------------------- drop


async def test_a_symbol_or_one_of_its_lengths_is_dropped(talk: Talk) -> None:
    await talk.ask("/watch BTC/USDT ETH/USDT 15m 1h")
    await talk.ask("/drop btcusdt 15m")
    assert talk.person().wishes.interest("BTC/USDT") == interest("BTC/USDT", "1h")
    await talk.ask("/drop BTC/USDT 1h")
    assert talk.watched() == ["ETH/USDT"]


async def test_what_is_not_watched_cannot_be_dropped(talk: Talk) -> None:
    await talk.ask("/watch BTC/USDT 1h")
    other = await talk.ask("/drop ETH/USDT")
    assert "'ETH/USDT' is not on your list" in other.text
    assert "BTC/USDT" in other.buttons
    assert "BTC/USDT 4h is not watched" in (await talk.ask("/drop BTC/USDT 4h")).text
    assert "not dropped but changed" in (await talk.ask("/drop BTC/USDT threshold 60")).text
    assert talk.watched() == ["BTC/USDT"]


async def test_a_symbol_that_is_traded_no_longer_can_still_be_dropped(talk: Talk) -> None:
    wishes = replace(talk.person().wishes, interests=(interest("LUNA/USDT", "1h"),))
    talk.roster.put(replace(talk.person(), wishes=wishes))
    await talk.ask("/drop LUNA/USDT")
    assert talk.watched() == []


async def test_a_drop_is_undone_with_one_tap_also_after_a_restart(talk: Talk) -> None:
    await talk.ask("/watch BTC/USDT 15m 1h threshold 70")
    await talk.ask("/watch ETH/USDT 1h")
    dropped = await talk.ask("/drop BTC/USDT")
    talk.restarted()
    await talk.press(dropped.buttons["↩️ Undo"])
    assert talk.person().wishes.interest("BTC/USDT") == interest(
        "BTC/USDT", "15m", "1h", threshold=70
    )
    again = await talk.press(dropped.buttons["↩️ Undo"])
    assert "nothing to undo" in again.text


async def test_an_undo_goes_back_no_further_than_the_last_loss(talk: Talk) -> None:
    await talk.ask("/watch BTC/USDT 15m 1h 4h")
    await talk.ask("/drop BTC/USDT 4h")
    dropped = await talk.ask("/drop BTC/USDT 1h")
    await talk.press(dropped.buttons["↩️ Undo"])
    assert talk.person().wishes.interest("BTC/USDT") == interest("BTC/USDT", "15m", "1h")
    assert "nothing to undo" in (await talk.press(dropped.buttons["↩️ Undo"])).text


async def test_an_undo_takes_back_what_somebody_themselves_has_dropped(talk: Talk) -> None:
    await talk.ask("/watch BTC/USDT 1h", VIEWER)
    await talk.ask("/drop BTC/USDT", VIEWER)
    assert "nothing to undo" in (await talk.ask("/drop undo BTC/USDT")).text
    assert talk.watched() == []


async def test_the_whole_list_is_dropped_after_one_question_and_undone(talk: Talk) -> None:
    await talk.ask("/watch BTC/USDT ETH/USDT 1h")
    asked = await talk.ask("/drop all")
    assert asked.title == "✖️ Drop all 2?"
    assert talk.watched() == ["BTC/USDT", "ETH/USDT"]
    await talk.press(f"{confirm.CANCEL}{talk.question()}")
    assert talk.watched() == ["BTC/USDT", "ETH/USDT"]
    asked = await talk.ask("/drop all")
    done = await talk.press(f"{confirm.CONFIRM}{talk.question()}")
    assert done.title == "✖️ Dropped all 2"
    assert talk.watched() == []
    await talk.press(done.buttons["↩️ Undo"])
    assert talk.watched() == ["BTC/USDT", "ETH/USDT"]


async def test_dropping_all_asks_for_no_code() -> None:
    talk = Talk(secret=b"12345678901234567890")
    await talk.ask("/watch BTC/USDT 1h")
    await talk.ask("/drop all")
    assert "Dropped all" in (await talk.press(f"{confirm.CONFIRM}{talk.question()}")).title


_NAMES = ("BTC/USDT", "ETH/USDT", "BTC/USDC", "ADA/USDC")
_LENGTHS = ("", "15m", "1h 4h", "15m 1h 4h")
_LINES = st.one_of(
    st.builds("/{} {} {}".format, st.sampled_from(("watch", "drop")), st.sampled_from(_NAMES),
              st.sampled_from(_LENGTHS)),
    st.builds("/threshold {}".format, st.sampled_from(("1", "100", "auto", "0", "ETH/USDT 70"))),
    st.sampled_from(("/drop undo", "/drop undo BTC/USDT", "/watch BTC/USDT ETH/USDT from 70")),
)  # fmt: skip


@given(st.lists(_LINES, max_size=12), st.sampled_from(_NAMES), st.sampled_from(_LENGTHS))
@settings(max_examples=60, deadline=None)
def test_a_list_keeps_its_bounds_and_every_loss_can_be_taken_back(
    lines: list[str], name: str, lengths: str
) -> None:
    async def story() -> None:
        talk = Talk()
        most = 3
        talk.services.settings = replace(talk.services.settings, watched_per_person_max=most)
        for line in lines:
            await talk.ask(line)
            wishes = talk.person().wishes
            assert checked(wishes) is wishes
            assert len(set(talk.watched())) == len(wishes.interests) <= most
        before = set(talk.person().wishes.interests)
        dropped = await talk.ask(f"/drop {name} {lengths}")
        if dropped.title.startswith("✖️ Dropped"):
            assert set(talk.person().wishes.interests) != before
            await talk.press(dropped.buttons["↩️ Undo"])
        assert set(talk.person().wishes.interests) == before

    asyncio.run(story())


# ---------------------------------------------------------------- thresholds and loudness


async def test_thresholds_are_set_for_all_or_for_some(talk: Talk) -> None:
    await talk.ask("/watch BTC/USDT ETH/USDT 1h")
    await talk.ask("/threshold 60")
    await talk.ask("/threshold btcusdt auto")
    thresholds = {one.symbol: one.threshold for one in talk.person().wishes.interests}
    assert thresholds == {"BTC/USDT": None, "ETH/USDT": 60}
    talk.scanner.best["BTC/USDT"] = Thresholds(0.62, 0.55)
    shown = await talk.ask("/threshold")
    assert "BTC/USDT auto: bull 62, bear 55" in shown.text
    assert "ETH/USDT from 60 on" in shown.text
    edited = await talk.press(shown.buttons["80"])
    assert edited.messages[0].edits
    assert {one.threshold for one in talk.person().wishes.interests} == {80}


@pytest.mark.parametrize("word", ["0", "101", "-5", "50%", "NaN", "٥٠", "9" * 12, "often"])
async def test_a_threshold_out_of_range_is_refused(talk: Talk, word: str) -> None:
    await talk.ask("/watch BTC/USDT 1h")
    answer = await talk.ask(f"/threshold BTC/USDT {word}")
    assert "between 1 and 100, or auto" in answer.text
    assert f"/threshold BTC/USDT {'50' if word == '50%' else '70'}" in answer.text
    assert talk.person().wishes.interests == (interest("BTC/USDT", "1h"),)


async def test_a_threshold_of_what_is_not_watched_is_refused_with_what_is(talk: Talk) -> None:
    await talk.ask("/watch BTC/USDT 1h")
    answer = await talk.ask("/threshold ETH/USDT 70")
    assert "'ETH/USDT' is not on your list" in answer.text
    assert answer.buttons["BTC/USDT"] == "+/threshold BTC/USDT 70"


async def test_a_tap_turns_a_type_from_on_to_silent_to_off_and_back_in_place(talk: Talk) -> None:
    shown = await talk.ask("/alerts")
    assert "Critical alerts always ring" in shown.text
    heard = []
    for sign in ("🔔", "🔕", "🚫"):
        shown = await talk.press(shown.buttons[f"{sign} Crashes"])
        assert shown.messages[0].edits
        heard.append(talk.person().wishes.loud(AlertType.CRASHES))
    assert heard == [Loudness.SILENT, Loudness.OFF, Loudness.ON]
    assert talk.person().wishes.loud(AlertType.RISES) is Loudness.ON


async def test_sounds_per_hour_are_typed_or_tapped(talk: Talk) -> None:
    await talk.ask("/alerts sounds 4")
    assert talk.person().wishes.audible_per_hour == 4
    shown = await talk.ask("/alerts")
    await talk.press(shown.buttons["12/h"])
    assert talk.person().wishes.audible_per_hour == 12


async def test_the_card_of_alerts_says_what_still_rings_when_the_sounds_are_spent(
    talk: Talk,
) -> None:
    shown = (await talk.ask("/alerts sounds 6")).text
    assert "at most 6 sounds an hour, 2 of them kept for coins you hold." in shown
    assert "a move twice as far as all that rang still rings" in shown
    assert "some wait for what comes later and matters more" in shown
    assert "kept for" not in (await talk.ask("/alerts sounds 2")).text
    assert "make no sound; they wait on one card" in (await talk.ask("/alerts sounds 0")).text


async def test_the_card_at_the_top_is_pinned_with_a_tap(talk: Talk) -> None:
    shown = await talk.ask("/alerts")
    shown = await talk.press(shown.buttons["📌 Pinned card"])
    assert talk.person().wishes.is_pinned
    assert "Pinned card on" in shown.text
    await talk.ask("/alerts pinned off")
    assert not talk.person().wishes.is_pinned


# ---------------------------------------------------------------- everything that is scanned


async def test_the_owner_sees_all_that_is_scanned_and_for_whom(talk: Talk) -> None:
    await talk.ask("/watch BTC/USDT 1h")
    await talk.ask("/watch BTC/USDT ETH/USDT 1h", VIEWER)
    talk.scanner.views = {
        "BTC/USDT": MonitoredView(
            "BTC/USDT", tf("1h", "1d"), Readiness.LIVE, crashed(talk), tf("1d")
        ),
        "ETH/USDT": MonitoredView("ETH/USDT", tf("1h"), Readiness.WARMING, None),
        "ADA/USDC": MonitoredView("ADA/USDC", tf("1h"), Readiness.STALE, None),
    }
    shown = await talk.ask("/monitoring")
    assert shown.title == "🔭 3 symbols scanned, 2 not ready"
    assert (
        "BTC/USDT bear 92 · bull 0 1h 1d, live too young: 1d watched by you, Bob (8)" in shown.text
    )
    assert "its past is being read watched by Bob (8)" in shown.text
    assert "its candles do not come watched by nobody" in shown.text


async def test_a_past_that_is_being_read_is_told_once_with_the_lengths_that_wait(
    talk: Talk,
) -> None:
    await talk.ask("/watch BTC/USDT 1h 1d")
    missing = (Missing(tf("1d")[0], "its past is being read"),)
    talk.scanner.views["BTC/USDT"] = MonitoredView(
        "BTC/USDT", tf("1h", "1d"), Readiness.WARMING, None, missing=missing
    )
    shown = (await talk.ask("/monitoring")).text
    assert "no score yet 1h 1d without 1d: its past is being read watched by you" in shown


@pytest.mark.parametrize("user_id", [VIEWER, TRADER])
async def test_others_see_only_what_they_watch_and_nobody_elses_name(
    talk: Talk, user_id: int
) -> None:
    await talk.ask("/watch BTC/USDT 1h")
    await talk.ask("/watch ETH/USDT 1h", user_id)
    talk.scanner.views = {
        symbol: MonitoredView(symbol, tf("1h"), Readiness.LIVE, None)
        for symbol in ("BTC/USDT", "ETH/USDT")
    }
    shown = await talk.ask("/monitoring", user_id)
    assert "ETH/USDT" in shown.text
    assert "BTC/USDT" not in shown.text
    assert "Ada" not in shown.text
    assert "watched by" not in shown.text


async def test_others_see_their_own_lengths_and_the_score_over_these(talk: Talk) -> None:
    await talk.ask("/watch BTC/USDT 15m", VIEWER)
    score = crashed(talk)
    talk.scanner.scores["BTC/USDT"] = score
    lengths = tf("15m", "1h", "1d")
    talk.scanner.views = {
        "BTC/USDT": MonitoredView("BTC/USDT", lengths, Readiness.LIVE, score, tf("1d"))
    }
    shown = await talk.ask("/monitoring", VIEWER)
    assert "BTC/USDT bear 83 · bull 0 15m, live" in shown.text
    assert "1d" not in shown.text


async def test_nothing_scanned_says_how_to_begin(talk: Talk) -> None:
    assert "/watch BTC/USDT" in (await talk.ask("/monitoring")).text
    assert "Nothing is scanned for you" in (await talk.ask("/monitoring", VIEWER)).text


async def test_a_list_of_a_revoked_person_is_empty(talk: Talk) -> None:
    await talk.ask("/watch BTC/USDT 1h", VIEWER)
    await talk.press((await talk.ask(f"/revoke {VIEWER}")).buttons["Confirm"])
    assert talk.watched(VIEWER) == []
    assert talk.person(VIEWER).role is Role.VIEWER
    assert talk.person(OWNER).is_active
