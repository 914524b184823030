"""Storms: many of a sort are one message, in a batch and over batches, and hide nothing."""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from telegram.error import TimedOut

from bot.telegram import sorts
from bot.telegram.addressing import Addresser
from bot.telegram.alert import AlertFacts
from bot.telegram.delivery import messages_for
from bot.telegram.folding import Folding
from bot.telegram.render.text import strip_markup
from bot.telegram.roster import Roster
from bot.telegram.storms import alerts_for
from tests.catalogue import fired
from tests.fakes.desk import INSTRUMENTS, START, FakeDesk
from tests.unit.bot.telegram.outbox_world import World
from tests.unit.bot.telegram.test_alerts import INTENT, TRACKER
from trading.domain import events
from trading.domain.chat import Button, Person, Role, Severity
from trading.domain.order import IntentState
from trading.domain.tracker import TrackerChange, TrackerState
from trading.ports.storage import Recorded

FACTS = AlertFacts(lambda symbol: INSTRUMENTS.get(symbol, INSTRUMENTS["BTC/USDT"]))
ADA = Person(7, 7, "Ada", Role.OWNER)
BOB = Person(8, 8, "Bob", Role.VIEWER)
REFUSED = "the exchange refuses the key"


def blocked(number: int, why: str = REFUSED) -> events.TrackerChanged:
    tracker = replace(
        TRACKER,
        tracker_id=number,
        spec=replace(TRACKER.spec, symbol=f"COIN{number}/USDT"),
        state=TrackerState.BLOCKED,
        reason=why,
    )
    return events.TrackerChanged(tracker, TrackerChange.BLOCKED, START, None, why)


def sold(number: int) -> events.IntentClosed:
    return events.IntentClosed(replace(INTENT, symbol=f"COIN{number}/USDT"), START)


def condition(number: int, name: str, *, is_active: bool = True) -> events.ConditionChanged:
    severity = Severity.WARN if is_active else Severity.INFO
    symbol = f"COIN{number}/USDT"
    return events.ConditionChanged(name, symbol, is_active, severity, f"{symbol} {name}", START)


def unresolved(number: int) -> events.AlertRaised:
    alert_id = f"unresolved:tracker:{number}:1:20240102T120000:1"
    text = f"Selling COIN{number}/USDT: no clear answer for 30 s. It is asked for"
    return events.AlertRaised(alert_id, Severity.WARN, text, START, number)


def texts(batch: Sequence[events.Event]) -> list[str]:
    rows = [Recorded(seq, event) for seq, event in enumerate(batch, 1)]
    return [strip_markup(alert.card.text) for _, alert in alerts_for(rows, FACTS)]


KEY_REFUSED = events.ConditionChanged(
    "auth_lost", None, True, Severity.CRIT, "The exchange refuses the key", START
)


@pytest.mark.fault("X37", "SAID")
def test_many_blocked_exits_are_one_critical_message_with_their_one_reason() -> None:
    rows = [Recorded(number, blocked(number)) for number in range(1, 61)]
    alerts = alerts_for(rows, FACTS)
    [(seq, alert)] = alerts
    told = strip_markup(alert.card.text).splitlines()
    assert told[:3] == ["🚨 60 exits are BLOCKED", REFUSED, "• #1 COIN1/USDT"]
    assert told[-3:] == ["and 48 more", "Nothing of them sells now. It", "repeats until /ack."]
    assert (seq, alert.severity) == (60, Severity.CRIT)
    assert "/ack" in str(alert.card.buttons)
    fired(len(rows) - len(alerts), words=told[0])


HELD = "halted: UNPROTECTED until a person releases it"


def labels(rows: Sequence[Sequence[Button]]) -> list[str]:
    return [button.label for row in rows for button in row]


def test_many_held_exits_can_be_sold_from_their_one_message_one_by_one_or_all() -> None:
    rows = [Recorded(number, blocked(number, HELD)) for number in range(1, 15)]
    [(_, alert)] = alerts_for(rows, FACTS)
    buttons = alert.card.buttons
    # A plain halt lists what it sells at once and asks: it releases what the full one holds.
    assert [(button.label, button.data) for button in buttons[0]] == [("⚡ Exit all now", "+/halt")]
    assert [button.data for row in buttons[1:-1] for button in row] == [
        f"+/tracker {number} exit" for number in range(1, 15)
    ]
    assert labels(buttons)[-3:] == ["📍 Trackers", "📋 Orders", "👍 Seen"]
    # For another reason a halt sells nothing.
    [(_, other)] = alerts_for([Recorded(n, blocked(n)) for n in range(1, 41)], FACTS)
    assert [each for each in labels(other.card.buttons) if "Exit" in each] == [
        f"⚡ Exit #{number}" for number in range(1, 25)
    ]


def test_held_exits_that_come_one_by_one_keep_their_ways_out_for_whoever_may_sell() -> None:
    pending = [
        message
        for number in range(1, 8)
        for found, alert in alerts_for([Recorded(number, blocked(number, HELD))], FACTS)
        for message in messages_for(found, alert, [ADA, BOB], "", START)
    ]
    sendings = Folding().plan(pending, START, 0.0, is_last=False).sendings
    offered = {each.message.chat_id: labels(each.message.buttons) for each in sendings}
    assert offered == {
        7: [
            "⚡ Exit all now",
            *(f"⚡ Exit #{number}" for number in range(1, 8)),
            *("📍 Trackers", "📋 Orders", "👍 Seen"),
        ],
        8: ["📍 Trackers", "📋 Orders"],
    }


@pytest.mark.parametrize(
    ("made", "title"),
    [
        (unresolved, "⚠️ 9 orders without a clear answer"),
        (lambda number: condition(number, "price_disagreement"), "⚠️ Prices of 9 markets disagree"),
        (lambda number: condition(number, "degraded_data"), "⚠️ 9 markets stand still"),
        (
            lambda number: condition(number, "degraded_data", is_active=False),
            "🟢 9 markets: degraded data is over",
        ),
        (
            lambda number: events.IntentClosed(
                replace(INTENT, state=IntentState.EXPIRED, symbol=f"COIN{number}/USDT"), START
            ),
            "⌛ 9 orders expired",
        ),
    ],
)
def test_every_sort_of_alert_of_one_symbol_each_is_folded(made, title) -> None:  # type: ignore[no-untyped-def]
    [text] = texts([made(number) for number in range(1, 10)])
    assert " ".join(text.splitlines()).startswith(title)
    assert "COIN9" in text
    assert len(texts([made(number) for number in range(1, 6)])) == 5


def test_a_reason_that_is_long_is_said_once_for_names_of_any_length() -> None:
    [text] = texts([blocked(number, "key refused: " + "why " * 40) for number in range(5, 15)])
    assert text.count("key refused") == 1
    assert "…" in text


def test_what_concerns_the_whole_account_is_never_folded_away() -> None:
    batch = [*map(blocked, range(1, 21)), KEY_REFUSED, *map(unresolved, range(1, 21))]
    titles = [text.splitlines()[0] for text in texts(batch)]
    assert titles == [
        "🚨 20 exits are BLOCKED",
        "🚨 The exchange refuses the key",
        "⚠️ 20 orders without a clear answer",
    ]


@pytest.mark.parametrize("number", [6, 13, 25, 40, 41, 81, 121])
def test_no_message_about_many_sales_is_about_one_and_all_sales_are_told(number: int) -> None:
    told = texts([sold(each) for each in range(1, number + 1)])
    counts = [int(text.split()[1]) for text in told]
    assert sum(counts) == number
    assert min(counts) > 5
    for text, count in zip(told, counts, strict=True):
        assert text.count("Sold ") == count
    assert {f"COIN{each}" for each in range(1, number + 1)} == set(
        re.findall(r"COIN\d+", " ".join(told))
    )


def test_a_process_that_stopped_again_and_again_says_so_in_one_message() -> None:
    stops = [
        events.ProcessStopped("asked to stop", START + timedelta(seconds=8 * number))
        for number in range(9)
    ]
    [text] = texts(stops)
    assert text.splitlines()[:3] == [
        "⏹ Umbra has stopped 9 times",
        "asked to stop",
        "• 12:00:00 UTC",
    ]


# ---------------------------------------------------------------- over batches


async def queue(world: World, seq: int, event: events.Event) -> None:
    for found, alert in alerts_for([Recorded(seq, event)], FACTS):
        for message in messages_for(found, alert, [ADA], "", world.clock.now()):
            await world.store.append(events.MessageQueued(message))


@pytest.mark.fault("X37", "SAID")
async def test_alarms_that_come_one_by_one_are_few_messages_and_each_is_told_in_time() -> None:
    world = World()
    for number in range(1, 61):
        await queue(world, number, blocked(number))
        await world.pass_s(1)
    await world.pass_s(9)
    assert len(world.chat.sent) <= 14
    counted = sum(
        int(match[1]) if (match := re.search(r"(\d+) exits are BLOCKED", title)) else 1
        for title in world.titles()
    )
    assert counted == 60
    assert await world.store.pending_messages() == []
    fired(counted - len(world.titles()))


async def test_nothing_of_a_storm_waits_longer_than_ten_seconds() -> None:
    world = World()
    for number in range(1, 120):
        await queue(world, number, blocked(number))
        await world.pass_s(1)
        waiting = await world.store.pending_messages()
        ages = [world.clock.now() - each.created_at for each in waiting]
        assert max(ages, default=timedelta()) < timedelta(seconds=10)


async def test_a_refused_key_and_the_sales_overtake_what_waits_of_single_symbols() -> None:
    world = World()
    for number in range(1, 41):
        await queue(world, number, blocked(number))
        await queue(world, 100 + number, unresolved(number))
        await queue(world, 200 + number, condition(number, "price_disagreement"))
    for number in range(1, 4):
        await queue(world, 300 + number, sold(number))
    await queue(world, 400, KEY_REFUSED)
    await world.outbox.send_waiting()
    assert [title.partition(" COIN")[0] for title in world.titles()] == [
        "🚨 The exchange refuses the key",
        "🚨 40 exits are BLOCKED",
        "✅ Sold 0.5",
        "✅ Sold 0.5",
        "✅ Sold 0.5",
        "⚠️ 40 orders without a clear answer",
        "⚠️ Prices of 40 markets disagree",
    ]


async def test_a_trigger_is_told_before_the_sale_that_it_made_however_late_both_are() -> None:
    world = World()
    fired_ = replace(TRACKER, state=TrackerState.TRIGGERED)
    change = events.TrackerChanged(fired_, TrackerChange.TRIGGERED, START)
    await queue(world, 1, change)
    await queue(world, 2, events.IntentClosed(INTENT, START))
    await world.outbox.send_waiting()
    assert [title.split()[1].strip(":") for title in world.titles()] == ["Triggered", "Sold"]


async def test_what_waits_in_a_storm_of_sales_is_told_sale_by_sale() -> None:
    world = World()
    for number in range(1, 31):
        await queue(world, number, sold(number))
        await world.pass_s(0.5)
    await world.pass_s(9)
    told = " ".join(world.texts())
    assert {f"COIN{number}" for number in range(1, 31)} == set(re.findall(r"COIN\d+", told))
    assert len(world.chat.sent) < 10
    assert " 1 orders" not in told


@pytest.mark.parametrize("sizes", [(39, 1, 1, 7), (1, 1, 1, 1, 1, 39), (20, 20, 20), (40, 1)])
async def test_sales_that_wait_as_lists_are_never_more_than_fit(sizes: tuple[int, ...]) -> None:
    world = World()
    for seq, size in enumerate(sizes):
        gist = tuple(f"Sold 1 COIN{seq}x{number} at 2" for number in range(size))
        await world.queue(f"alert:{seq}:7", sort=sorts.DONE, gist=gist, text=f"<b>{gist[0]}</b>")
    await world.outbox.send_waiting()
    lists = [text for text in world.texts() if "orders are done" in text]
    assert max((text.count("Sold 1") for text in lists), default=0) <= 40
    assert all("more lines" not in text for text in lists)
    assert await world.store.pending_messages() == []


async def test_the_end_of_the_process_holds_nothing_back() -> None:
    world = World()
    for number in range(1, 8):
        await queue(world, number, blocked(number))
    await world.outbox.send_waiting()
    await queue(world, 8, blocked(8))
    await world.outbox.send_waiting()
    assert world.titles() == ["🚨 7 exits are BLOCKED"]
    await world.outbox.drain()
    assert len(world.chat.sent) == 2


async def test_a_summary_that_the_disk_did_not_take_is_stored_later_and_sent_once() -> None:
    world = World()
    for number in range(1, 8):
        await queue(world, number, blocked(number))
    world.store.lose()
    for _ in range(5):
        await world.pass_s(1)
    assert world.titles() == ["🚨 7 exits are BLOCKED"]
    world.store.heal()
    await world.pass_s(1)
    assert len(world.chat.sent) == 1
    assert sorted(world.reasons()) == ["delivered", *["folded"] * 7]


async def test_a_summary_that_may_have_arrived_says_so_when_it_is_sent_again() -> None:
    world = World()
    world.chat.errors = [TimedOut()]
    for number in range(1, 8):
        await queue(world, number, blocked(number))
    await world.outbox.send_waiting()
    await world.pass_s(2)
    [text] = world.texts()
    assert "Sent again" in text


# ---------------------------------------------------------------- repeats


@pytest.mark.fault("X37", "SAID")
async def test_the_repeats_of_many_standing_alarms_are_one_message_that_lists_them() -> None:
    world = World()
    desk = FakeDesk(world.clock, world.store)
    roster = Roster({7: ADA})
    addresser = Addresser(
        world.store, world.store, desk, roster, world.clock, lambda: "", lambda: None
    )
    desk.conditions.append(replace(KEY_REFUSED, at=START + timedelta(seconds=30)))
    for number in range(1, 61):
        change = blocked(number).tracker
        desk.live[number] = replace(change, changed_at=START + timedelta(seconds=number))
    for _ in range(12 * 60):
        await addresser.alarms.repeat()
        await world.pass_s(1)
    assert len(world.chat.sent) < 12
    first = world.texts()[0].splitlines()
    assert first[0] == "🔁 61 alarms still stand"
    assert first[1] == "• 🚨 The exchange refuses the key"
    assert "BLOCKED: COIN1/USDT #1" in world.texts()[0]
    assert first[-1] == "It repeats until /ack."
    fired([title for title in world.titles() if "alarms still stand" in title])


async def test_what_is_left_of_many_alarms_is_said_again_as_one_message() -> None:
    world = World()
    desk = FakeDesk(world.clock, world.store)
    addresser = Addresser(
        world.store, world.store, desk, Roster({7: ADA}), world.clock, str, lambda: None
    )
    for number in range(1, 24):
        change = blocked(number).tracker
        desk.live[number] = replace(change, changed_at=START + timedelta(seconds=number / 10))
    for second in range(7 * 60):
        if second == 30:
            # The others are sold, and one alarm of another kind joins those that stand.
            desk.live = {number: one for number, one in desk.live.items() if number <= 4}
            at = START + timedelta(seconds=second)
            desk.conditions.append(replace(KEY_REFUSED, at=at))
        await addresser.alarms.repeat()
        await world.pass_s(1)
    ours = [title for title in world.titles() if "COIN" in title or "alarms" in title]
    assert ours == ["🔁 4 alarms still stand"] * 2
    told = next(text for text in world.texts() if "alarms still stand" in text)
    named = set(re.findall(r"COIN\d+", told))
    assert named == {f"COIN{number}" for number in range(1, 5)}
    # What concerns everything keeps all its words.
    assert any("The exchange refuses the key" in title for title in world.titles())


async def test_repeats_of_many_alarms_are_queued_at_once_and_each_once_over_a_restart() -> None:
    world = World()
    desk = FakeDesk(world.clock, world.store)
    for number in range(1, 11):
        desk.live[number] = replace(blocked(number).tracker, changed_at=START)
    world.clock.time = START + timedelta(seconds=61)

    async def repeated() -> list[int]:
        addresser = Addresser(
            world.store, world.store, desk, Roster({7: ADA}), world.clock, str, lambda: None
        )
        before = len(world.store.appends)
        await addresser.alarms.repeat()
        return [len(each) for each in world.store.appends[before:]]

    assert await repeated() == [10]
    desk.live[11] = replace(blocked(11).tracker, changed_at=START)
    assert await repeated() == [1]
    assert len(world.store.of(events.MessageQueued)) == 11


async def test_that_the_chat_is_lost_is_not_repeated_in_the_chat() -> None:
    world = World()
    desk = FakeDesk(world.clock, world.store)
    desk.conditions.append(replace(KEY_REFUSED, condition="telegram_lost", text="lost"))
    addresser = Addresser(
        world.store, world.store, desk, Roster({7: ADA}), world.clock, str, lambda: None
    )
    world.clock.time = START + timedelta(minutes=5)
    await addresser.alarms.repeat()
    assert world.store.of(events.MessageQueued) == []
    # The second channel reads it here.
    assert len(addresser.alarms.standing()) == 1
