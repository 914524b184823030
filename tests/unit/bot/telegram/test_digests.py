"""The digest: what happened since its person looked, and nothing when nothing did."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from bot.telegram.digests import Digests, is_empty, since
from bot.telegram.looks import Looks
from bot.telegram.outbox import strip_markup
from bot.telegram.roster import Roster
from tests.fakes.desk import FakeDesk
from tests.fakes.memory_store import MemoryStore, SettableClock
from trading.domain.chat import InboxUpdate, Person, Role
from trading.domain.events import MessageQueued

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

    assert await world.digests.tick() == 1

    text = strip_markup(world.store.of(MessageQueued)[0].message.text)
    assert "Since Nov 20 05:00 Europe/Berlin" in text.replace("\n", " ")


async def test_an_empty_digest_is_not_sent() -> None:
    world = World()
    world.desk.held = {}

    assert is_empty(await world.desk.summary(NINE - timedelta(hours=24)))
    assert await world.digests.tick() == 0
    assert not world.store.all_events


async def test_what_is_held_is_worth_a_digest() -> None:
    world = World()
    world.desk.held = {"BTC/USDT": Decimal("0.1")}

    assert await world.digests.tick() == 1
