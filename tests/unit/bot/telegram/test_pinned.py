"""The card at the top of the chat: placed once, pinned once, edited past the journal."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from telegram.error import BadRequest, NetworkError

from bot.telegram.outbox import strip_markup
from bot.telegram.pinned import PinnedCards
from bot.telegram.roster import Roster
from bot.telegram.sending import Sender
from tests.fakes.desk import FakeDesk
from tests.fakes.memory_store import MemoryStore, SettableClock
from trading.domain.chat import OutboxMessage, Person, Role
from trading.domain.events import MessageDelivered, MessageQueued
from trading.domain.order import Side
from trading.domain.tracker import (
    Amount,
    AmountKind,
    Tracker,
    TrackerKind,
    TrackerSpec,
    TrackerState,
)
from trading.domain.watching import Wishes

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
ADA = Person(7, 7, "Ada", Role.OWNER, timezone="Europe/Berlin", wishes=Wishes(is_pinned=True))


@dataclass
class Phone(Sender):
    """Messages by id as Telegram holds them, and which are pinned."""

    texts: dict[int, str] = field(default_factory=dict)
    pinned: list[int] = field(default_factory=list)
    is_away: bool = False

    async def edit(self, message: OutboxMessage, message_id: int) -> None:
        if self.is_away:
            raise NetworkError("no route")
        if message_id not in self.texts:
            raise BadRequest("Message to edit not found")
        self.texts[message_id] = message.text

    async def pin(self, chat_id: int, message_id: int) -> None:
        if self.is_away:
            raise NetworkError("no route")
        if message_id not in self.texts:
            raise BadRequest("Message to pin not found")
        self.pinned.append(message_id)

    async def unpin(self, chat_id: int, message_id: int) -> None:
        self.pinned.remove(message_id)


class World:
    def __init__(self) -> None:
        self.clock = SettableClock(NOON)
        self.store = MemoryStore(self.clock)
        self.phone = Phone()
        self.roster = Roster({7: ADA})
        self.desk = FakeDesk(self.clock, self.store)
        self.cards = PinnedCards(
            self.phone,
            self.desk,
            self.store,
            self.store,
            self.roster,
            self.clock,
            lambda: "",
            lambda: None,
        )

    @property
    def queued(self) -> list[OutboxMessage]:
        return [event.message for event in self.store.of(MessageQueued)]

    async def deliver(self, message_id: int) -> None:
        message = self.queued[-1]
        self.phone.texts[message_id] = message.text
        delivered = MessageDelivered(message.message_key, message_id, "delivered", NOON)
        await self.store.append(delivered)

    async def next_minute(self) -> int:
        self.clock.time += timedelta(minutes=1)
        return await self.cards.tick()


async def test_the_card_is_placed_once_and_silently() -> None:
    world = World()

    await world.cards.tick()
    await world.next_minute()

    assert [message.is_silent for message in world.queued] == [True]


async def test_a_delivered_card_is_pinned_once_and_edited_each_minute_past_the_journal() -> None:
    world = World()
    await world.cards.tick()
    await world.deliver(41)
    before = len(world.store.all_events)

    assert await world.next_minute() == 1
    assert await world.next_minute() == 1

    assert world.phone.pinned == [41]
    assert "Alive at 13:02" in strip_markup(world.phone.texts[41])
    assert len(world.store.all_events) == before


async def test_a_blocked_exit_is_seen_at_a_glance_until_it_can_act() -> None:
    world = World()
    stop = Tracker(
        3,
        TrackerSpec(TrackerKind.STOP, "BTC/USDT", Amount(AmountKind.ALL), level=Decimal(58000)),
        7,
        Side.SELL,
        TrackerState.EXITING,
        NOON,
        stop_price=Decimal(58000),
        quantity=Decimal("0.5"),
    )
    seen: list[list[str]] = []
    await world.cards.tick()
    await world.deliver(41)
    for state in (TrackerState.EXITING, TrackerState.BLOCKED, TrackerState.EXITING):
        # No alert stands: who has seen it still sees the exit.
        world.desk.live[3] = replace(stop, state=state)
        await world.next_minute()
        seen.append(strip_markup(world.phone.texts[41]).splitlines())

    assert [lines[0][0] for lines in seen] == ["🟢", "🔴", "🟢"]
    told = "🚨 1 exit BLOCKED, sells nothing"
    assert [told in lines for lines in seen] == [False, True, False]


async def test_what_nothing_protects_is_seen_at_a_glance() -> None:
    world = World()
    await world.cards.tick()
    await world.deliver(41)
    await world.next_minute()
    lines = strip_markup(world.phone.texts[41]).splitlines()
    assert lines[0].startswith("🔴 Alive at")
    assert lines[1] == "🚨 NOT PROTECTED: 1 of 1 position"


async def test_a_card_that_its_person_deleted_is_placed_anew() -> None:
    world = World()
    await world.cards.tick()
    await world.deliver(41)
    await world.next_minute()
    del world.phone.texts[41]

    await world.next_minute()
    await world.deliver(42)
    await world.next_minute()

    assert world.phone.pinned == [41, 42]
    assert 42 in world.phone.texts


async def test_a_lost_connection_is_no_matter() -> None:
    world = World()
    await world.cards.tick()
    await world.deliver(41)
    world.phone.is_away = True

    assert await world.next_minute() == 0
    world.phone.is_away = False
    assert await world.next_minute() == 1


async def test_who_wishes_it_no_more_has_it_taken_down() -> None:
    world = World()
    await world.cards.tick()
    await world.deliver(41)
    await world.next_minute()

    world.roster.put(replace(ADA, wishes=Wishes()))
    await world.next_minute()

    assert world.phone.pinned == []


async def test_who_is_revoked_has_it_taken_down() -> None:
    world = World()
    await world.cards.tick()
    await world.deliver(41)
    await world.next_minute()

    world.roster.put(replace(ADA, is_active=False))
    await world.next_minute()

    assert world.phone.pinned == []
    assert await world.next_minute() == 0


async def test_who_did_not_wish_it_gets_none() -> None:
    world = World()
    world.roster.put(replace(ADA, wishes=Wishes()))

    assert await world.cards.tick() == 0
    assert not world.queued
