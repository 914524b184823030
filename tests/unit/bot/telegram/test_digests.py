"""The digest: what happened since its person looked, and nothing when nothing did."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from bot.telegram.digests import Digests, is_empty, since
from bot.telegram.looks import Looks
from bot.telegram.outbox import strip_markup
from bot.telegram.render.score_alerts import Highest, missed_lines
from bot.telegram.roster import Roster
from tests.fakes.desk import FakeDesk
from tests.fakes.memory_store import MemoryStore, SettableClock
from trading.domain.chat import InboxUpdate, Person, Role
from trading.domain.errors import StorageLost
from trading.domain.events import MessageQueued, ScoresTold
from trading.domain.time import Timeframe, to_ms
from trading.domain.watching import (
    AlertType,
    Attention,
    Interest,
    Loudness,
    ScoreKind,
    Watched,
    WatchedScore,
    Wishes,
)
from trading.overview import SummaryView

NINE = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
ADA = Person(7, 7, "Ada", Role.OWNER)


def look(at: datetime) -> InboxUpdate:
    return InboxUpdate(1, '{"message": {"from": {"id": 7}}}', at)


@pytest.mark.parametrize(
    ("looked", "told_from"),
    [
        (None, NINE - timedelta(hours=24)),
        (NINE - timedelta(hours=5), NINE - timedelta(hours=5)),
        (NINE - timedelta(days=3), NINE - timedelta(days=3)),
        (NINE - timedelta(days=30), NINE - timedelta(days=7)),
    ],
)
def test_a_digest_tells_of_the_time_since_the_last_look(
    looked: datetime | None, told_from: datetime
) -> None:
    assert since(looked, NINE) == told_from


class World:
    def __init__(self, person: Person = ADA) -> None:
        self.clock = SettableClock(NINE)
        self.store = MemoryStore(self.clock)
        self.desk = FakeDesk(self.clock, self.store)
        self.looks = Looks()
        self.digests = Digests(
            self.desk,
            self.store,
            Roster({person.user_id: person}),
            self.clock,
            lambda: "",
            lambda: None,
            self.looks,
        )


async def test_the_card_says_since_when_in_the_persons_own_time() -> None:
    world = World(replace(ADA, timezone="Europe/Berlin", digest_at="10:00"))
    world.looks.load([look(NINE - timedelta(hours=5))])
    world.desk.equity_before = Decimal(39_000)

    assert await world.digests.tick() == 1

    text = strip_markup(world.store.of(MessageQueued)[0].message.text)
    assert "Since Nov 20 05:00 Europe/Berlin" in text.replace("\n", " ")


async def test_an_empty_digest_is_not_sent() -> None:
    world = World()
    world.desk.held = {}

    assert is_empty(await world.desk.summary(NINE - timedelta(hours=24)))
    assert await world.digests.tick() == 0
    assert not world.store.all_events


async def test_who_looked_a_moment_ago_is_told_of_the_day_and_that_nothing_is_new() -> None:
    world = World(replace(ADA, timezone="Europe/Berlin", digest_at="10:00"))
    world.desk.held = {}
    summary, asked = world.desk.summary, []

    async def of_the_day(since: datetime) -> SummaryView:
        asked.append(since)
        view = await summary(since)
        return replace(view, triggers=int(since < NINE - timedelta(hours=6)))

    world.desk.summary = of_the_day  # type: ignore[method-assign]
    world.looks.load([look(NINE - timedelta(minutes=1))])

    assert await world.digests.tick() == 1

    assert asked == [NINE - timedelta(minutes=1), NINE - timedelta(hours=24)]
    text = " ".join(strip_markup(world.store.of(MessageQueued)[0].message.text).split())
    assert "Since Nov 19 10:00 Europe/Berlin" in text
    assert "1 trigger" in text
    assert "Nothing new since you looked, 09:59." in text


async def test_scores_told_since_the_last_look_are_worth_a_digest_and_none_before() -> None:
    wishes = Wishes(
        tuple(Interest(symbol, (Timeframe("1h"),)) for symbol in ("ADA/USDC", "BTC/USDT")),
        loudness=((AlertType.RISES, Loudness.OFF),),
    )
    world = World(replace(ADA, timezone="Europe/Berlin", digest_at="10:00", wishes=wishes))
    world.desk.held = {}
    world.looks.load([look(NINE - timedelta(hours=5))])
    for hours, user_id, bear in ((6, 7, 0.99), (4, 7, 0.6), (3, 7, 0.9), (2, 7, 0.7), (1, 8, 1.0)):
        at = NINE - timedelta(hours=hours)
        states = (
            WatchedScore("ADA/USDC", ScoreKind.BEAR, Watched(True, bear, to_ms(at))),
            WatchedScore("BTC/USDT", ScoreKind.BULL, Watched(True, 0.95, to_ms(at))),
            WatchedScore("BTC/USDT", ScoreKind.BEAR, Watched(True, None, to_ms(at))),
        )
        await world.store.append(ScoresTold(user_id, states, Attention(), 1, at))

    assert await world.digests.tick() == 1

    message = world.store.of(MessageQueued)[0].message
    text = " ".join(strip_markup(message.text).split())
    assert "1 score told since you looked: 📉 ADA/USDC bear 90, Fri 07:00" in text
    assert "BTC/USDT" not in text
    assert message.buttons


async def test_scores_told_before_the_last_look_are_worth_none() -> None:
    world = World(replace(ADA, wishes=Wishes((Interest("ADA/USDC", (Timeframe("1h"),)),))))
    world.desk.held = {}
    world.looks.load([look(NINE - timedelta(hours=1))])
    at = NINE - timedelta(hours=2)
    state = WatchedScore("ADA/USDC", ScoreKind.BEAR, Watched(True, 0.9, to_ms(at)))
    # Told again in a later row that changed something else.
    await world.store.append(ScoresTold(7, (state,), Attention(), 1, NINE - timedelta(minutes=9)))

    assert await world.digests.tick() == 0


async def test_a_digest_that_the_disk_did_not_take_is_tried_again() -> None:
    world = World()
    world.desk.equity_before = Decimal(39_000)
    world.store.lose()
    with pytest.raises(StorageLost):
        await world.digests.tick()

    world.store.heal()

    assert await world.digests.tick() == 1


def test_the_three_highest_are_named_and_the_rest_counted() -> None:
    highest = [Highest(f"C{number}/USDT", ScoreKind.BEAR, 0.9, 0) for number in range(5)]
    lines = missed_lines(highest, UTC)
    assert lines[0] == "5 scores told since you looked:"
    assert len(lines) == 5
    assert lines[-1] == "and 2 more"


@pytest.mark.parametrize(
    ("before", "sent"), [(40_005, 0), (39_610, 0), (39_600, 1), (40_410, 1), (0, 0)]
)
async def test_what_only_stands_is_worth_a_digest_once_it_has_moved(before: int, sent: int) -> None:
    # It is worth 40,005 now: of 39,600 that is 1.02 % more, of 40,410 it is 1.002 % less.
    world = World()
    world.desk.held = {"BTC/USDT": Decimal("0.5")}
    world.desk.equity_before = Decimal(before)

    assert await world.digests.tick() == sent


async def test_what_came_in_without_a_profit_is_worth_a_digest() -> None:
    world = World()
    world.desk.held = {"BTC/USDT": Decimal("0.5")}
    # It is worth 40,005 now, whatever came in.
    world.desk.equity_before = Decimal(20_005)
    summary = world.desk.summary

    async def moved(since: datetime) -> SummaryView:
        return replace(await summary(since), moved=Decimal(20_000))

    world.desk.summary = moved  # type: ignore[method-assign]

    assert await world.digests.tick() == 1


async def test_what_is_at_work_is_worth_a_digest() -> None:
    world = World()
    status = world.desk.status()
    world.desk.status = lambda: replace(status, trackers_acting=1)  # type: ignore[method-assign]

    assert await world.digests.tick() == 1
