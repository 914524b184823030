"""The card of a command that sells many is edited until its last sale has ended."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from bot.telegram.addressing import Addresser
from bot.telegram.render.closing import closing_name
from bot.telegram.render.text import strip_markup
from bot.telegram.roster import Roster
from tests.fakes.desk import START, FakeDesk
from tests.fakes.memory_store import MemoryStore, SettableClock
from tests.unit.bot.telegram.render.test_closing import sale
from trading.domain import events
from trading.domain.chat import OutboxMessage, Person, Role, Severity
from trading.domain.order import Attempt, Intent, IntentState, Purpose

ADA = Person(7, 7, "Ada", Role.OWNER)
CARD = closing_name("c1")


class SellingDesk(FakeDesk):
    """A desk whose decisions at work are given."""

    def __init__(self, clock: SettableClock) -> None:
        super().__init__(clock)
        self.at_work: list[Intent] = []

    def open_orders(self) -> Sequence[tuple[Intent, Attempt]]:  # type: ignore[override]
        return [(intent, None) for intent in self.at_work]  # type: ignore[misc]


class World:
    """A journal with a command of one person, its card, and who addresses what happens."""

    def __init__(self) -> None:
        self.clock, self.store = SettableClock(START), MemoryStore()
        self.desk = SellingDesk(self.clock)
        self.addresser = Addresser(
            *(self.store, self.store, self.desk, Roster({7: ADA}), self.clock),
            *(lambda: "", lambda: None),
        )

    async def begin(self, command: str) -> None:
        await self.store.append(events.CommandExecuted("c1", 7, command, START))
        await self.answer()

    async def answer(self) -> None:
        card = OutboxMessage("reply:1", 7, "<b>Selling.</b>", START, card=CARD)
        await self.store.append(events.MessageQueued(card))

    async def end(self, *intents: Intent) -> str:
        ended = {intent.intent_id for intent in intents}
        self.desk.at_work = [one for one in self.desk.at_work if one.intent_id not in ended]
        await self.store.append(*(events.IntentClosed(intent, START) for intent in intents))
        await self.addresser.address_new()
        return self.edits()[-1]

    def edits(self) -> list[str]:
        queued = [one.message for one in self.store.of(events.MessageQueued)]
        refreshed = [one for one in queued if one.card == CARD and one.is_refresh]
        assert len({one.message_key for one in refreshed}) == len(refreshed)
        return [strip_markup(one.text).splitlines()[0] for one in refreshed]


async def test_a_panic_counts_its_own_sales_and_those_that_had_fired_before_it() -> None:
    world = World()
    own = sale("BTC/USDT", "0.3", "0.3", "17700")
    held = [
        replace(
            sale(symbol, "1", "1", "10", tracker_id=number, created_at=START - timedelta(hours=1)),
            intent_id=f"u:trigger:{number}:1:0",
            purpose=Purpose.PROTECT,
        )
        for number, symbol in enumerate(("BTC/USDT", "ETH/USDT"), 1)
    ]
    world.desk.at_work = [replace(each, state=IntentState.OPEN) for each in (own, *held)]
    await world.begin("Panic")
    assert await world.end(own) == "⏳ Panic: 1 of 3 sales over"
    assert await world.end(*held) == "👍 Panic is over: 3 sales done"


async def test_a_second_panic_counts_no_sales_of_the_first() -> None:
    world = World()
    first = replace(
        sale("ETH/USDT", "2", "2", "6000", created_at=START - timedelta(seconds=1)),
        intent_id="u:command:c0:ETH/USDT",
        purpose=Purpose.PANIC,
    )
    own = sale("BTC/USDT", "0.3", "0.3", "17700")
    world.desk.at_work = [replace(each, state=IntentState.OPEN) for each in (own, first)]
    await world.begin("Panic")
    assert await world.end(own) == "👍 Panic is over: 1 sale done"
    edits = len(world.edits())
    await world.store.append(events.IntentClosed(first, START))
    await world.addresser.address_new()
    assert len(world.edits()) == edits


async def test_a_panic_on_an_older_database_is_over_only_for_what_is_known() -> None:
    world = World()
    own = sale("BTC/USDT", "0.3", "0.3", "17700")
    alert = events.AlertRaised(f"{events.PUT_BACK}:29", Severity.CRIT, "an older copy", START)
    world.desk.alerts.append(alert)
    await world.begin("Panic")
    assert await world.end(own) == "⚠️ Panic of what is known is over"


async def test_what_fires_later_and_a_backstop_that_was_taken_off_are_no_part_of_a_panic() -> None:
    world = World()
    own = sale("BTC/USDT", "0.3", "0.3", "17700")
    later = replace(
        sale("ETH/USDT", "1", "0", "0", state=IntentState.OPEN, tracker_id=1),
        intent_id="u:trigger:1:1:0",
        created_at=START + timedelta(seconds=5),
    )
    backstop = replace(
        sale("BTC/USDT", "0.3", "0", "0", state=IntentState.ABORTED, tracker_id=2),
        intent_id="u:backstop:2",
        purpose=Purpose.BACKSTOP,
    )
    world.desk.at_work = [later]
    await world.begin("Panic")
    assert await world.end(backstop, own) == "👍 Panic is over: 1 sale done"
    edits = len(world.edits())
    await world.end(replace(later, state=IntentState.DONE, filled_quantity=Decimal(1)))
    assert len(world.edits()) == edits


async def test_closing_everything_counts_only_its_own_sales() -> None:
    world = World()
    other = replace(sale("ETH/USDT", "1", "1", "9"), intent_id="u:command:c0:ETH/USDT")
    await world.begin("CloseAll")
    own = [sale("BTC/USDT", "1", "1", "9"), sale("SOL/USDT", "1", "1", "9")]
    assert await world.end(other, *own) == "👍 Closing is over: 2 sales done"


async def test_a_card_that_is_stored_after_its_last_sale_has_ended_says_so_a_moment_later() -> None:
    world = World()
    await world.store.append(events.CommandExecuted("c1", 7, "Panic", START))
    await world.store.append(events.IntentClosed(sale("BTC/USDT", "1", "1", "9"), START))
    await world.addresser.address_new()
    assert world.edits() == []
    await world.answer()
    await world.addresser.address_new()
    await world.addresser.address_new()
    assert world.edits() == ["👍 Panic is over: 1 sale done"]


async def test_the_end_of_what_nobody_in_a_chat_asked_for_is_not_kept_for_long() -> None:
    world = World()
    await world.store.append(events.CommandExecuted("c1", 7, "Panic", START))
    await world.store.append(events.IntentClosed(sale("BTC/USDT", "1", "1", "9"), START))
    await world.addresser.address_new()
    world.clock.time = START + timedelta(seconds=11)
    await world.store.append(events.CommandExecuted("c2", 7, "SetTradingMode", START))
    await world.addresser.address_new()
    await world.answer()
    await world.addresser.address_new()
    assert world.edits() == []


async def test_a_sale_of_another_command_edits_no_card_of_a_closing() -> None:
    world = World()
    await world.begin("PlaceOrder")
    await world.store.append(events.IntentClosed(sale("BTC/USDT", "1", "1", "9"), START))
    await world.addresser.address_new()
    assert world.edits() == []
