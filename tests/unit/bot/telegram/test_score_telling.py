"""Who is told of which score, how loudly, and that a restart forgets none of it."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from bot.charts.drawing import Drawing
from bot.charts.heat_map import HeatMap
from bot.telegram.alert_pictures import AlertPictures
from bot.telegram.outbox import strip_markup
from bot.telegram.roster import Roster
from bot.telegram.score_telling import ScoreTelling
from tests.fakes.desk import START, FakeDesk
from tests.fakes.memory_store import MemoryStore, SettableClock
from tests.fakes.scanner import FakeScanner
from tests.unit.bot.telegram.commands.talk import Easel
from trading.domain.chat import OutboxMessage, Person, Role
from trading.domain.errors import Unreachable
from trading.domain.events import MessageQueued, ScoresTold
from trading.domain.position import Balance
from trading.domain.time import Timeframe, to_ms
from trading.domain.watching import AlertType, Interest, Loudness, Wishes
from trading.overview import AccountView, BalanceView, ChartView
from trading.scanner.scores import RankScore, Standing, TimeframeScore

HOUR, DAY = Timeframe("1h"), Timeframe("1d")
ADA, BTC = "ADA/USDC", "BTC/USDT"
OWNER = Person(1, 1, "Olga", Role.OWNER)
FRIEND = Person(2, 2, "Finn", Role.VIEWER)


def candle(timeframe: Timeframe, bear_points: int) -> TimeframeScore:
    return TimeframeScore(
        timeframe,
        Standing.SCORED,
        500,
        change=-8.4,
        down_rank=0.4,
        bear_points=bear_points,
    )


def crashed(symbol: str, points: int = 6, day_points: int = 6) -> RankScore:
    candles = (candle(HOUR, points), candle(DAY, day_points))
    bear = (points + day_points) / 12
    return RankScore(symbol, 0, 0.41, 0.0, bear, 0.0, candles)


class World:
    """People, scores and a journal around one telling."""

    def __init__(self, *people: Person) -> None:
        self.clock = SettableClock(START)
        self.store = MemoryStore(self.clock)
        self.scanner = FakeScanner()
        self.desk = FakeDesk(self.clock, self.store)
        self.roster = Roster()
        self.roster.replace_all(people)
        self.kicks = 0
        self.charts = Easel()
        self.telling = self.begin()

    def begin(self) -> ScoreTelling:
        return ScoreTelling(
            self.scanner,
            self.desk,
            self.store,
            self.roster,
            self.clock,
            lambda: "",
            self._kick,
            AlertPictures(self.desk, self.charts, self.clock, Path("data")),
        )

    def _kick(self) -> None:
        self.kicks += 1

    def shows(self, *scores: RankScore) -> None:
        for score in scores:
            self.scanner.scores[score.symbol] = replace(score, at_ms=to_ms(self.clock.now()))

    def pass_time(self, minutes: int = 1) -> None:
        self.clock.time += timedelta(minutes=minutes)
        self.clock.seconds += minutes * 60

    @property
    def messages(self) -> list[OutboxMessage]:
        return [event.message for event in self.store.of(MessageQueued)]


def watches(
    person: Person,
    *interests: Interest,
    loudness: tuple[tuple[AlertType, Loudness], ...] = (),
    audible_per_hour: int = 6,
) -> Person:
    return replace(person, wishes=Wishes(interests, loudness, audible_per_hour))


ADA_BOTH = Interest(ADA, (HOUR, DAY))


async def test_a_symbol_whose_pasts_are_on_their_way_is_told_when_they_have_come() -> None:
    world = World(watches(OWNER, ADA_BOTH))
    world.shows(replace(crashed(ADA), timeframes=(candle(HOUR, 6),)))
    world.scanner.settling.add(ADA)
    assert await world.telling.tell() == 0
    world.scanner.settling.clear()
    await world.telling.tell()
    assert "Scored without 1d: /watch" in strip_markup(world.messages[0].text)


async def test_only_those_who_watch_a_symbol_are_told_of_it() -> None:
    world = World(watches(OWNER, ADA_BOTH), FRIEND)
    world.shows(crashed(ADA))

    assert await world.telling.tell() == 1
    assert [message.chat_id for message in world.messages] == [OWNER.chat_id]
    assert world.kicks == 1


async def test_an_alert_says_what_crashed_and_which_candles_are_rare() -> None:
    world = World(watches(OWNER, ADA_BOTH))
    world.shows(crashed(ADA))

    await world.telling.tell()

    text = strip_markup(world.messages[0].text)
    assert text.splitlines()[0] == "📉 ADA/USDC crash: bear 100"
    assert "1h -8.4%, rarest 0.4%" in text
    assert "asks to BUY" in text.replace("\n", " ")
    assert max(len(line) for line in text.splitlines()) <= 34


async def test_a_crash_that_goes_on_at_the_full_score_says_how_far_since_it_was_told() -> None:
    world = World(watches(OWNER, ADA_BOTH))
    world.shows(crashed(ADA))
    await world.telling.tell()
    world.pass_time()
    world.shows(replace(crashed(ADA), price=0.35))
    await world.telling.tell()

    text = strip_markup(world.messages[-1].text)
    assert text.splitlines()[0] == "📉 ADA/USDC falls on: bear 100"
    assert "Price 0.3500, was 0.4100 when told" in " ".join(text.split())


async def test_each_person_is_told_by_their_own_timeframes_and_threshold() -> None:
    hourly = watches(OWNER, Interest(ADA, (HOUR,), 90))
    daily = watches(FRIEND, Interest(ADA, (DAY,), 90))
    world = World(hourly, daily)
    world.shows(crashed(ADA, points=6, day_points=1))

    await world.telling.tell()

    assert [message.chat_id for message in world.messages] == [OWNER.chat_id]


async def test_the_same_score_is_told_once() -> None:
    world = World(watches(OWNER, ADA_BOTH))
    world.shows(crashed(ADA))

    await world.telling.tell()
    world.pass_time()

    assert await world.telling.tell() == 0


async def test_a_restart_tells_nothing_twice_and_forgets_no_sound() -> None:
    world = World(watches(OWNER, ADA_BOTH, audible_per_hour=1))
    world.shows(crashed(ADA, 5))
    await world.telling.tell()
    world.pass_time()

    world.telling = world.begin()
    await world.telling.load()
    assert await world.telling.tell() == 0
    world.shows(crashed(ADA, 6))
    await world.telling.tell()

    assert world.messages[-1].card == "scores_left:1:1"
    assert [message.is_silent for message in world.messages] == [False, True]


async def test_what_is_told_and_the_message_about_it_are_one_append() -> None:
    world = World(watches(OWNER, ADA_BOTH))
    world.shows(crashed(ADA))

    await world.telling.tell()

    (append,) = world.store.appends
    assert [type(event) for event in append] == [MessageQueued, ScoresTold]


async def test_a_market_that_crashes_at_once_is_one_message() -> None:
    symbols = (ADA, BTC, "ETH/USDT", "ETH/BTC")
    world = World(watches(OWNER, *(Interest(symbol, (HOUR, DAY)) for symbol in symbols)))
    world.shows(*(crashed(symbol) for symbol in symbols))

    await world.telling.tell()

    assert len(world.messages) == 1
    assert strip_markup(world.messages[0].text).startswith("📉 4 symbols are crashing")


async def test_quiet_hours_silence_and_off_tells_nothing() -> None:
    quiet = watches(replace(OWNER, quiet_hours="00:00-23:59"), ADA_BOTH)
    off = watches(FRIEND, ADA_BOTH, loudness=((AlertType.CRASHES, Loudness.OFF),))
    world = World(quiet, off)
    world.shows(crashed(ADA))

    await world.telling.tell()

    assert [(one.chat_id, one.is_silent) for one in world.messages] == [(OWNER.chat_id, True)]


async def test_the_rest_is_one_card_until_its_person_looks_and_then_a_new_one() -> None:
    person = watches(OWNER, ADA_BOTH, Interest(BTC, (HOUR, DAY)), audible_per_hour=0)
    world = World(person)
    world.shows(crashed(ADA))
    await world.telling.tell()
    world.pass_time()
    world.shows(crashed(BTC))
    await world.telling.tell()

    assert {message.card for message in world.messages} == {"scores_left:1:1"}
    assert all(message.edits and message.is_silent for message in world.messages)
    assert "2 more without sound" in strip_markup(world.messages[-1].text)

    world.pass_time()
    await world.telling.look(person)
    seen = strip_markup(world.messages[-1].text)
    assert seen.startswith("🔕 Seen: 2 without sound")
    assert ADA in seen
    assert BTC in seen
    world.pass_time()
    world.shows(crashed(ADA, 0, 0), crashed(BTC, 0, 0))
    await world.telling.tell()
    world.pass_time(20)
    world.shows(crashed(ADA, 6))
    await world.telling.tell()

    assert world.messages[-1].card == "scores_left:1:2"
    assert "1 more without sound" in strip_markup(world.messages[-1].text)


async def test_who_looks_while_nothing_waits_changes_nothing() -> None:
    world = World(watches(OWNER, ADA_BOTH))

    await world.telling.look(OWNER)

    assert not world.store.all_events


@pytest.mark.parametrize(("role", "first"), [(Role.OWNER, BTC), (Role.VIEWER, ADA)])
async def test_what_is_held_comes_first_for_whom_it_belongs_to(role: Role, first: str) -> None:
    interests = (ADA_BOTH, Interest(BTC, (HOUR, DAY)))
    person = watches(replace(OWNER, role=role), *interests, audible_per_hour=1)
    world = World(person)
    # Half a bitcoin lies in the account, whoever bought it.
    world.shows(crashed(ADA), crashed(BTC))

    await world.telling.tell()

    assert strip_markup(world.messages[0].text).startswith(f"📉 {first}")


async def test_a_coin_without_a_price_is_held_too_and_dust_is_not() -> None:
    person = watches(OWNER, ADA_BOTH, Interest("XYZ/USDT", (HOUR, DAY)), audible_per_hour=1)
    world = World(person)
    world.shows(crashed(ADA), crashed("XYZ/USDT"))
    await world.telling.tell()
    assert strip_markup(world.messages[0].text).startswith("📉 XYZ/USDT")

    class Dusty(FakeDesk):
        def account(self) -> AccountView:
            whole = super().account()
            dust = BalanceView(Balance("XYZ", Decimal(1), Decimal(0)), Decimal(1), Decimal(0))
            return replace(whole, balances=(dust,))

    dusty = World(person)
    dusty.telling.desk = Dusty(dusty.clock, dusty.store)
    dusty.shows(crashed(ADA), crashed("XYZ/USDT"))
    await dusty.telling.tell()
    assert strip_markup(dusty.messages[0].text).startswith("📉 ADA/USDC")


async def test_somebody_revoked_is_told_nothing() -> None:
    world = World(replace(watches(OWNER, ADA_BOTH), is_active=False))
    world.shows(crashed(ADA))

    assert await world.telling.tell() == 0


@pytest.mark.parametrize("threshold", [60, None])
async def test_a_card_names_the_threshold_that_was_crossed(threshold: int | None) -> None:
    world = World(watches(OWNER, Interest(ADA, (HOUR, DAY), threshold)))
    world.shows(crashed(ADA))

    await world.telling.tell()

    assert f"Your threshold is {threshold or 50}." in strip_markup(world.messages[0].text)


async def test_a_symbol_that_goes_both_ways_is_told_once_and_asks_for_nothing() -> None:
    world = World(watches(OWNER, ADA_BOTH))
    rose = replace(candle(HOUR, 2), change=9.1, up_rank=0.3, bull_points=6)
    both = replace(crashed(ADA), timeframes=(rose, candle(DAY, 6)))
    world.shows(both)

    await world.telling.tell()

    [message] = world.messages
    text = " ".join(strip_markup(message.text).split())
    assert text.startswith("🌊 ADA/USDC both ways: bear 67, bull 50")
    assert "1h +9.1%, rarest 0.3%" in text
    assert "1d -8.4%, rarest 0.4%" in text
    assert "Both ways: undecided, it asks for nothing." in text
    assert "SELL" not in text
    assert "BUY" not in text


# ---------------------------------------------------------------- pictures


async def test_an_alert_comes_with_the_chart_of_its_rarest_candle() -> None:
    world = World(watches(replace(OWNER, timezone="Asia/Tokyo"), ADA_BOTH))
    world.shows(crashed(ADA, points=2))

    await world.telling.tell()

    [(picture, path)] = world.charts.drawn
    assert isinstance(picture, Drawing)
    assert picture.title == "ADA/USDC  1d"
    [message] = world.messages
    assert message.picture == str(path)
    assert path.parent == Path("data/charts")
    assert not message.is_silent, "the picture takes no second sound"
    buttons = {button.label: button.data for row in message.buttons for button in row}
    assert buttons["🗂 CSV"] == "+/post ADA/USDC"


async def test_a_burst_comes_with_a_heat_map_of_what_it_tells() -> None:
    symbols = ["A/USDC", "B/USDC", "C/USDC", "D/USDC", "E/USDC"]
    world = World(watches(OWNER, *(Interest(one, (HOUR, DAY)) for one in symbols)))
    world.shows(*map(crashed, symbols[:4]))

    await world.telling.tell()

    [(picture, _)] = world.charts.drawn
    assert isinstance(picture, HeatMap)
    assert [row.symbol for row in picture.rows] == symbols[:4]
    assert len(world.messages) == 1


async def test_what_cannot_be_drawn_costs_its_picture_alone_and_is_tried_once_a_look() -> None:
    class Silent(FakeDesk):
        asked = 0

        async def chart(self, symbol: str, timeframe: Timeframe, limit: int) -> ChartView:
            Silent.asked += 1
            raise Unreachable("the exchange does not answer")

    world = World(watches(OWNER, ADA_BOTH, Interest(BTC, (HOUR, DAY))), watches(FRIEND, ADA_BOTH))
    world.telling.pictures.desk = Silent(world.clock, world.store)
    world.shows(crashed(ADA), crashed(BTC))

    assert await world.telling.tell() == 3
    assert [message.picture for message in world.messages] == [None] * 3
    assert Silent.asked == 1

    world.charts.is_stuck = True
    world.telling.pictures.desk = world.desk
    world.pass_time(60)
    world.shows(replace(crashed(ADA), price=0.2))
    await world.telling.tell()
    assert world.messages[-1].picture is None


async def test_the_candles_of_a_look_are_read_once_for_everybody() -> None:
    class Counting(FakeDesk):
        asked = 0

        async def chart(self, symbol: str, timeframe: Timeframe, limit: int) -> ChartView:
            Counting.asked += 1
            return await super().chart(symbol, timeframe, limit)

    world = World(watches(OWNER, ADA_BOTH), watches(FRIEND, ADA_BOTH))
    world.telling.pictures.desk = Counting(world.clock, world.store)
    world.shows(crashed(ADA))
    await world.telling.tell()
    assert (len(world.charts.drawn), Counting.asked) == (2, 1)
