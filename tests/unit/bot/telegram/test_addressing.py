"""Which facts make the chat read the journal at once, and what a death or a batch's end leaves."""

import logging
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from bot.in_hand import MarkedInHand
from bot.telegram import addressing
from bot.telegram.addressing import Addresser, is_news
from bot.telegram.outbox import strip_markup
from bot.telegram.roster import Roster
from tests.builders import NOON
from tests.fakes.desk import START, FakeDesk
from tests.fakes.memory_store import MemoryStore, SettableClock
from tests.unit.trading.trackers.make import armed
from trading.domain.chat import OutboxMessage, Person, Role, Severity
from trading.domain.errors import StorageLost
from trading.domain.events import (
    AlertRaised,
    EventsAddressed,
    FillBooked,
    Heartbeat,
    IntentClosed,
    IntentOpened,
    MessageQueued,
    RoundTripClosed,
    TrackerChanged,
    TradingModeChanged,
)
from trading.domain.money import ZERO
from trading.domain.order import Fill, Intent, IntentState, Purpose, Side
from trading.domain.position import RoundTrip, TradingMode
from trading.domain.tracker import TrackerChange, TrackerKind, TrackerState
from trading.poison import DEATHS_MAX, InHand, Lane, Unmarked


@pytest.mark.parametrize("change", TrackerChange)
def test_every_change_of_a_tracker_is_news_but_a_move_of_its_trail(change: TrackerChange) -> None:
    tracker = armed(TrackerKind.TRAIL, 60000, trail="0.03")
    is_heard = is_news(TrackerChanged(tracker, change, NOON))
    assert is_heard is (change is not TrackerChange.MOVED)


def test_what_nobody_is_told_of_is_no_news() -> None:
    assert not is_news(Heartbeat(NOON))
    assert is_news(TradingModeChanged(TradingMode.HALTED, "", "owner", NOON))


class _World:
    """A journal and what addresses it, through deaths."""

    def __init__(self) -> None:
        self.clock = SettableClock(START)
        self.store = MemoryStore(self.clock)
        self.desk = FakeDesk(self.clock, self.store)

    def addresser(self, in_hand: InHand) -> Addresser:
        roster = Roster({7: Person(7, 7, "Ada", Role.OWNER)})
        sources = (self.store, self.store, self.desk, roster, self.clock)
        return Addresser(*sources, lambda: "", lambda: None, in_hand)

    async def sell(self) -> None:
        """Record the end of an exit and its profit as booking does: in one append."""
        intent = Intent(
            "i1",
            "BTC/USDT",
            Side.SELL,
            Purpose.PROTECT,
            Decimal(58000),
            START,
            quantity=Decimal("0.5"),
            state=IntentState.DONE,
            filled_quantity=Decimal("0.5"),
            filled_notional=Decimal(29_000),
        )
        numbers = map(Decimal, ("0.5", "60000", "58000", "-1029", "29"))
        trip = RoundTrip("BTC/USDT", "i1", *numbers, START, START)
        await self.store.append(IntentClosed(intent, START), RoundTripClosed(trip, START))

    def texts(self) -> list[str]:
        return [strip_markup(one.message.text) for one in self.store.of(MessageQueued)]


async def test_a_fact_that_was_addressed_before_a_death_is_not_suspected_of_it(
    tmp_path: Path,
) -> None:
    world = _World()
    await world.sell()
    # Killed between the append and the end of its mark.
    dying = MarkedInHand(tmp_path, world.clock, "1")
    dying.take(Lane.EVENT, "fact 1 (IntentClosed)")
    await world.store.append(EventsAddressed(2, START))
    for expected in ([], []):
        started = MarkedInHand(tmp_path, world.clock, "1")
        await world.addresser(started).address_new()
        assert not started.is_suspicious(Lane.EVENT)
        assert world.texts() == expected


async def test_a_fact_that_was_not_addressed_stays_suspected(tmp_path: Path) -> None:
    world = _World()
    await world.sell()
    for _ in range(DEATHS_MAX):
        dying = MarkedInHand(tmp_path, world.clock, "1")
        await world.addresser(dying).load()
        dying.take(Lane.EVENT, "fact 1 (IntentClosed)")
    started = MarkedInHand(tmp_path, world.clock, "1")
    await world.addresser(started).address_new()
    assert world.texts() == []
    # Left out is addressed, too, and stays told for as long as it is set apart.
    again = MarkedInHand(tmp_path, world.clock, "1")
    await world.addresser(again).load()
    assert MarkedInHand(tmp_path, world.clock, "1").findings() == started.findings() != {}


@pytest.mark.parametrize("batch", [1, 500])
async def test_what_a_sale_gained_is_told_with_it_wherever_a_batch_ends(
    batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(addressing, "_BATCH", batch)
    world = _World()
    await world.sell()
    await world.addresser(Unmarked()).address_new()
    [text] = world.texts()
    assert "P&L -1,029" in text.replace("−", "-")


@pytest.mark.parametrize("at_once", [1, 500])
async def test_a_backstop_that_replaces_no_lost_one_is_told_by_its_alarm_alone(
    monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(addressing, "_BATCH", at_once)
    world = _World()
    addresser = world.addresser(Unmarked())

    async def refuse(number: int, reason: str, *alarms: AlertRaised) -> list[str]:
        minute = START + timedelta(minutes=number)
        what = ("BTC/USDT", Side.SELL, Purpose.BACKSTOP, Decimal(50_000), minute)
        intent = Intent(f"b{number}", *what, state=IntentState.EXPIRED, reason=reason, tracker_id=3)
        before = len(world.store.of(MessageQueued))
        await world.store.append(IntentClosed(intent, minute), *alarms)
        await addresser.address_new()
        queued = world.store.of(MessageQueued)[before:]
        return [strip_markup(one.message.text).splitlines()[0] for one in queued]

    text = "The backstop of #3 is gone and could not be replaced: no room"
    alarm = AlertRaised("backstop_lost:b1", Severity.CRIT, text, START, 3)
    [told] = await refuse(1, "no room", alarm)
    assert told.startswith("🚨 The backstop of #3 is gone")
    assert await refuse(2, "no room") == []
    [told] = await refuse(3, "no money")
    assert told.startswith("⚠️ NO backstop for #3")


@pytest.mark.parametrize("batch", [1, 500])
async def test_an_exit_that_was_closed_elsewhere_is_told_once_and_not_as_what_came_before(
    monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr(addressing, "_BATCH", batch)
    world = _World()
    tracker = armed(TrackerKind.TRAIL, 60000, trail="0.03")
    await world.store.append(TrackerChanged(tracker, TrackerChange.ARMED, START))
    reason = "sold outside Umbra: 0.8 at 57989.99"
    intent = Intent(
        *("i1", "BTC/USDT", Side.SELL, Purpose.PROTECT, Decimal(58000), START),
        quantity=Decimal("0.5"),
        tracker_id=tracker.tracker_id,
        arm_seq=tracker.arm_seq,
        state=IntentState.CLOSED_EXTERNAL,
        filled_quantity=Decimal("0.2"),
        filled_notional=Decimal(11_598),
        reason=reason,
    )
    ended = replace(
        tracker, state=TrackerState.CLOSED_EXTERNAL, intent_id="i1", reason=reason, quantity=ZERO
    )
    await world.store.append(IntentOpened(replace(intent, state=IntentState.OPEN), START))
    await world.store.append(
        IntentClosed(intent, START), TrackerChanged(ended, TrackerChange.CLOSED, START)
    )
    await world.addresser(Unmarked()).address_new()
    [text] = world.texts()
    assert " ".join(text.splitlines()) == (
        f"✖️ BTC/USDT was closed elsewhere Umbra sold 0.2 BTC for 11,598.00 USDT {reason} "
        f"tracker #{tracker.tracker_id} · BTC/USDT"
    )


async def test_a_tracker_that_was_closed_elsewhere_without_an_order_of_its_own_is_told() -> None:
    world = _World()
    tracker = armed(TrackerKind.TRAIL, 60000, trail="0.03")
    ended = replace(tracker, state=TrackerState.CLOSED_EXTERNAL, intent_id="never opened")
    await world.store.append(TrackerChanged(ended, TrackerChange.CLOSED, START))
    await world.addresser(Unmarked()).address_new()
    [text] = world.texts()
    assert text.startswith("✖️ Closed elsewhere: BTC/USDT")


async def test_what_came_after_an_append_whose_answer_was_lost_is_told_and_nothing_twice() -> None:
    world = _World()
    addresser = world.addresser(Unmarked())
    await world.store.append(_raised("a1"))
    world.store.lose_answer()
    with pytest.raises(StorageLost):
        await addresser.address_new()
    await world.store.append(_raised("a2"))
    await addresser.address_new()
    assert [text.splitlines()[0] for text in world.texts()] == ["🚨 A1", "🚨 A2"]
    assert [one.up_to_seq for one in world.store.of(EventsAddressed)] == [1, 4]


async def test_a_message_whose_key_is_taken_takes_none_of_its_batch_with_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "bot.telegram")
    world = _World()
    addresser = world.addresser(Unmarked())
    await world.store.append(_raised("a1"), _raised("a2"))
    taken = OutboxMessage("alert:1:7", 7, "something else", START)
    await world.store.append(MessageQueued(taken))
    await addresser.address_new()
    told = [text.splitlines()[0] for text in world.texts()]
    assert told == ["something else", "🚨 A1", "🚨 A2"]
    assert [record.message for record in caplog.records] == ["already_addressed", "key_taken"]
    await world.addresser(Unmarked()).address_new()
    assert len(world.texts()) == len(told)


async def test_a_blocked_exit_says_what_it_has_sold_also_when_it_is_told_again() -> None:
    world = _World()
    addresser = world.addresser(Unmarked())
    tracker = armed(TrackerKind.TRAIL, 60000, trail="0.03")
    blocked = replace(tracker, state=TrackerState.BLOCKED, intent_id="i1", changed_at=START)
    world.desk.live[blocked.tracker_id] = blocked
    part = Decimal("0.2")
    fill = Fill(*("BTC/USDT", "t1", "o1", Side.SELL, part, Decimal(58000), ZERO, "USDT"), START)
    await world.store.append(
        FillBooked(fill, "i1", "BTC", "USDT", START),
        TrackerChanged(blocked, TrackerChange.BLOCKED, START, reason="coins are not free"),
    )
    await addresser.address_new()
    sold = "coins are not free 0.2 BTC sold, the rest NOT. It repeats until /ack."
    assert sold in " ".join(world.texts()[-1].split())
    world.clock.time = START + timedelta(minutes=1)
    for filled in (part, Decimal("0.3")):
        [(intent, attempt)] = FakeDesk.open_orders(world.desk)
        at_work = [(replace(intent, filled_quantity=filled), attempt)]
        world.desk.open_orders = lambda rows=at_work: rows  # type: ignore[method-assign]
        await addresser.alarms.repeat()
        assert f"{filled} BTC sold, the rest NOT" in " ".join(world.texts()[-1].split())
        world.clock.time = START + timedelta(minutes=5)
    await world.store.append(TrackerChanged(replace(blocked, intent_id=None), *_BLOCKED))
    await addresser.address_new()
    assert "Not sold. It repeats until /ack." in " ".join(world.texts()[-1].split())


_BLOCKED = (TrackerChange.BLOCKED, START)


def _raised(name: str) -> AlertRaised:
    return AlertRaised(name, Severity.CRIT, name, START)
