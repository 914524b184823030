"""From a message on the phone to a tracker, a confirmation, an alert."""

from decimal import Decimal

import pytest

from tests.integration.telegram.conftest import OWNER, World
from trading.domain import commands, events
from trading.domain.chat import Severity
from trading.domain.order import Intent, IntentState, Purpose, Side


async def test_a_stop_is_asked_confirmed_and_shown_live_on_the_same_card(world: World) -> None:
    async with world.running():
        card = await world.phone.ask("/track BTC/USDT stop 58000 all")
        assert card["buttons"] == [["Confirm", "Cancel"]]
        await world.phone.press(card["message_id"], "Confirm")
        live = await world.phone.until_text("Watching BTC/USDT")
    assert live["message_id"] == card["message_id"]
    assert live["edits"] == 1
    assert "🛡 protected" in live["text"]
    assert [type(command) for command, _, _ in world.desk.executed] == [commands.ArmTracker]


async def test_cancel_ends_the_question_and_nothing_is_done(world: World) -> None:
    async with world.running():
        card = await world.phone.ask("/panic")
        assert card["buttons"] == [["Confirm", "Cancel"], ["Everything"]]
        await world.phone.press(card["message_id"], "Cancel")
        ended = await world.phone.until_text("Cancelled")
    assert ended["message_id"] == card["message_id"]
    assert world.desk.executed == []


async def test_everything_is_the_second_button_of_panic(world: World) -> None:
    world.desk.unmanaged["ETH/USDT"] = Decimal(2)
    async with world.running():
        card = await world.phone.ask("/panic")
        assert "Stays (not managed)" in card["text"]
        await world.phone.press(card["message_id"], "Everything")
        await world.phone.until_text("Selling 1 positions")
    assert world.desk.executed[0][0] == commands.Panic(everything=True)


@pytest.mark.parametrize(
    ("command", "title"),
    [("/panic", "🚨 PANIC: sell 1 position, halt?"), ("/closeall", "❔ Close 1 position?")],
)
async def test_a_sale_of_all_on_an_older_database_says_first_that_more_may_be_managed(
    world: World, command: str, title: str
) -> None:
    unknown = "IT IS NOT KNOWN WHAT IS MANAGED: the database is not the newest one of this place."
    alert_id = f"{events.PUT_BACK}:29"
    world.desk.alerts.append(
        events.AlertRaised(alert_id, Severity.CRIT, "older copy", world.clock.now())
    )
    async with world.running():
        card = await world.phone.ask(command)
        assert " ".join(card["text"].split()).startswith(f"{title} {unknown}")
        await world.phone.press(card["message_id"], "Confirm")
        done = await world.phone.until_text("Of what is known:")
    words = " ".join(done["text"].split())
    assert words.startswith(unknown)
    assert "Of what is known: Selling 1 positions" in words


async def test_sold_is_told_when_the_intent_is_done(world: World) -> None:
    now = world.clock.now()
    intent = Intent(
        "i9",
        "BTC/USDT",
        Side.SELL,
        Purpose.PROTECT,
        Decimal(58001),
        now,
        quantity=Decimal("0.5"),
        tracker_id=3,
        state=IntentState.DONE,
        filled_quantity=Decimal("0.50"),
        filled_notional=Decimal("28995.06"),
    )
    async with world.running():
        await world.phone.ask("/status")
        await world.store.append(events.IntentClosed(intent, now))
        told = await world.phone.until_text("Sold")
    lines = told["text"].splitlines()
    assert lines[0] == "✅ Sold 0.5 BTC"
    assert lines[1] == "at 57,990.12 USDT on average"
    assert "slippage 0.02% worse than 58,001.00" in " ".join(lines)


@pytest.mark.parametrize(
    ("filled", "said"),
    [("0.1", "Done: sale of 0.1 BTC"), ("0", "Nothing was sold: BTC/USDT")],
)
async def test_the_card_of_an_order_is_edited_to_its_end(
    world: World, filled: str, said: str
) -> None:
    now = world.clock.now()
    done = Intent(
        "order-1",
        "BTC/USDT",
        Side.SELL,
        Purpose.CLOSE,
        Decimal(60000),
        now,
        quantity=Decimal("0.1"),
        state=IntentState.DONE if filled != "0" else IntentState.EXPIRED,
        filled_quantity=Decimal(filled),
        filled_notional=Decimal(60000) * Decimal(filled),
        reason="the exchange refused it",
    )
    async with world.running():
        card = await world.phone.ask("/sell BTC/USDT 0.1")
        await world.phone.press(card["message_id"], "Confirm")
        await world.phone.until_text("Done.")
        await world.store.append(events.IntentClosed(done, now))
        ended = await world.phone.until_text(said)
    assert ended["message_id"] == card["message_id"]
    assert ended["buttons"] == [["📊 Status", "📜 History"]]


async def test_the_card_of_a_panic_is_edited_to_what_all_its_sales_came_to(world: World) -> None:
    now = world.clock.now()
    async with world.running():
        card = await world.phone.ask("/panic")
        await world.phone.press(card["message_id"], "Confirm")
        await world.phone.until_text("Selling 1 positions")
        cause = world.desk.executed[0][2]
        done = Intent(
            f"u:command:{cause}:BTC/USDT",
            "BTC/USDT",
            Side.SELL,
            Purpose.PANIC,
            Decimal(60000),
            now,
            quantity=Decimal("0.5"),
            state=IntentState.DONE,
            filled_quantity=Decimal("0.5"),
            filled_notional=Decimal(30000),
        )
        executed = events.CommandExecuted(cause, OWNER, commands.Panic.__name__, now)
        await world.store.append(executed, events.IntentClosed(done, now))
        ended = await world.phone.until_text("• 0.5 BTC = 30,000.00 USDT")
    assert ended["message_id"] == card["message_id"]
    assert ended["buttons"] == [["📊 Status", "💰 Balance", "📜 History"]]


@pytest.mark.parametrize("command", ["/start", "/help", "/status", "/trackers", "/positions"])
async def test_a_command_is_answered_by_a_new_message(world: World, command: str) -> None:
    async with world.running():
        answer = await world.phone.ask(command)
        assert "SIMULATED" in answer["text"]
        assert answer["edits"] == 0


async def test_the_owner_is_whom_the_setting_names(world: World) -> None:
    async with world.running():
        assert world.pairing_code is None
    assert (await world.store.people())[0].user_id == OWNER


async def test_whom_the_setting_names_anew_puts_the_owner_before_out(world: World) -> None:
    async with world.running(owner_id=5):
        await world.phone.ask("/status", 5)
    async with world.running(owner_id=OWNER):
        told = await world.phone.until_text("may do nothing now")
        assert "UMBRA_OWNER_ID names you" in told["text"]
        sent = await world.phone.send("/halt everything", 5)
        assert "Number 5" in (await world.phone.until_text("A stranger wrote"))["text"]
        assert [row for row in await world.phone.messages(5) if row["message_id"] > sent] == []
    assert [one.user_id for one in await world.store.people() if one.is_active] == [OWNER]
