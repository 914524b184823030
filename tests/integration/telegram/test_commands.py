"""Every command over HTTP, typed and tapped: one reply each, with bad input explained."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from bot.telegram.commands.registry import COMMANDS
from tests.catalogue import fired
from tests.integration.telegram.conftest import OWNER, World
from trading.domain import commands, events
from trading.domain.chat import Person, Role
from trading.domain.errors import Refused, Unreachable
from trading.domain.order import Intent, IntentState, Purpose, Side
from trading.domain.position import TradingMode
from trading.domain.tracker import Amount, AmountKind, TrackerState

pytestmark = pytest.mark.uncounted


async def _armed(world: World, line: str = "/track BTC/USDT stop 58000 all") -> None:
    card = await world.phone.ask(line)
    await world.phone.press(card["message_id"], "Confirm")
    await world.phone.until_text("Watching")


@pytest.mark.parametrize("entry", COMMANDS, ids=lambda entry: entry.name)
async def test_every_command_and_its_example_get_exactly_one_reply(
    world: World, entry: Any
) -> None:
    async with world.running():
        await _armed(world)
        world.desk.live[3] = replace(world.desk.live[1], tracker_id=3)
        for text in {f"/{entry.name}", entry.example}:
            before = await world.phone.count()
            answer = await world.phone.ask(text)
            assert "SIMULATED" in answer["text"], text
            assert "failed inside" not in answer["text"], text
            await world.phone.ask(f"/tracker {before}")
            # The code of an invitation is a message of its own.
            replies = 3 if text == "/invite viewer" else 2
            await world.phone.until(lambda rows, most=before + replies: _spoken(rows) == most)
    pending = await world.store.pending_updates()
    assert pending == []


def _spoken(rows: list[dict[str, Any]]) -> int:
    return sum(row["from"] == "bot" for row in rows)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("/", "name should follow the slash, was nothing"),
        ("/status now", "This was not understood: 'now'"),
        ("/positions x", "the number of a page or nothing, was 'x'"),
        ("/balance 0", "The page should be between 1 and 1000"),
        ("/orders 1 2", "a page or nothing, was '1 2'"),
        ("/history 1000", "between 1 and 200"),
        ("/track BTC/USDT stop 61000 all", "stop should be below the price"),
        ("/track BTC/USDT stop 1,000 all", "plain number"),
        ("/track BTC/USDT stop 1,000", "plain number"),
        ("/track BTC/USDT trail 250%", "between 0.01% and 50%"),
        ("/track BTC/USDT trail 250% all", "was 250%"),
        ("/trackers a b", "a page or nothing, was 'a b'"),
        ("/tracker x", "The tracker's number"),
        ("/tracker 99", "no tracker #99"),
        ("/tracker 99 stop 5", "no live tracker 99"),
        ("/chart", "chart"),
        ("/chart ZZZ", "not listed"),
        ("/chart BTC/USDT 7m", "timeframe should be one of"),
        ("/chart BTC/USDT 1h 2h", "not understood"),
        ("/trade", "Trade which symbol?"),
        ("/trade ZZZ", "not listed"),
        ("/trade BTC/USDT hold", "buy or sell, was 'hold'"),
        ("/sell BTC/USDT", "how much?"),
        ("/buy BTC/USDT 1e9 USDT", "plain number"),
        ("/sell BTC/USDT NaN", "plain number"),
        ("/close ETH/USDT", "nothing managed"),
        ("/close BTC/USDT 0%", "share should be between"),
        ("/closeall now", "not understood"),
        ("/panic now", "not understood"),
        ("/pause now", "not understood"),
        ("/resume 3", "is for all trading"),
        ("/reduce 50%", "not understood"),
        ("/halt now", "not understood"),
        ("/summary now", "takes no words, was 'now'"),
        ("/digest hourly", "daily 09:00"),
        ("/digest daily 25:00", "daily 09:00"),
        ("/digest daily 09:00 Mars/Base", "time zone should be like"),
        ("/quiet 7-8", "23:00-07:00"),
        ("/mute 4", "like 30m, 4h or 2d"),
        ("/mute", "You are not muted"),
        ("/abort", "what to give up is missing"),
        ("/abort 99", "no live tracker 99"),
        ("/health x", "not understood"),
        ("/jobs x", "not understood"),
        ("/audit 0", "between 1 and"),
        ("/export money", "fills, trades, trackers, audit, journal"),
        ("/version x", "not understood"),
        ("/help dance", "no command /dance"),
        ("/role 5 king", "trader, viewer or none"),
        ("/role 7 viewer", "own role"),
        ("/users 5", "nobody here has the number 5"),
        ("/revoke 5", "nobody here has the number 5"),
        ("/invite king", "viewer or trader, was 'king'"),
        ("/join 123456", "you are in already"),
        ("/watch BTC/USDT threshold 0", "between 1 and 100, or auto"),
        ("/watch BTC/USDT 7m", "timeframe should be one of"),
        ("/drop BTC/USDT", "you watch nothing"),
        ("/threshold 101", "you watch nothing yet"),
        ("/alerts critical off", "cannot be turned down"),
        ("/monitoring x", "the number of a page or nothing"),
        ("/scan BTC/USDT 7m", "timeframe should be one of"),
        ("/rank BTC/USDT history", "past of BTC/USDT is too short"),
        ("/post xml", "csv or json, was 'xml'"),
        ("/data x", "the number of a page or nothing"),
        ("/dance", "no command /dance"),
        ("/pair 123456", "its owner already"),
        ("hello there", "Commands start with a slash"),
        ("ВТС/USDT", "plain letters"),
        ("/track " + "x" * 600, "at most 500"),
    ],
)
async def test_bad_input_is_explained_and_changes_nothing(
    world: World, text: str, sentence: str
) -> None:
    async with world.running():
        answer = await world.phone.ask(text)
    said = " ".join(answer["text"].split())
    assert sentence.lower() in said.lower()
    assert world.desk.executed == []
    assert world.desk.live == {}


async def test_a_photo_gets_a_calm_hint(world: World) -> None:
    async with world.running():
        message = {
            "message_id": 1,
            "date": 1_900_000_000,
            "chat": {"id": OWNER, "type": "private", "first_name": "A"},
            "from": {"id": OWNER, "is_bot": False, "first_name": "A"},
            "voice": {"file_id": "f", "file_unique_id": "u", "duration": 1},
        }
        await world.phone.post("update", {"update": {"message": message}})
        answer = await world.phone.until_text("only typed commands".capitalize())
    assert "/status" in answer["text"]


async def test_the_guided_card_leads_to_a_question_by_taps_and_typing(world: World) -> None:
    async with world.running():
        card = await world.phone.ask("/track")
        await world.phone.press(card["message_id"], "BTC/USDT")
        await world.phone.until_text("which rule?")
        await world.phone.press(card["message_id"], "🛡 Stop")
        await world.phone.until_text("at which price?")
        typed = await world.phone.send("58000")
        question = await world.phone.answer_after(typed)
        assert "how much?" in question["text"]
        await world.phone.press(question["message_id"], "all")
        asked = await world.phone.until_text("protective stop?")
        await world.phone.press(asked["message_id"], "Confirm")
        await world.phone.until_text("Watching BTC/USDT")
    command = world.desk.executed[0][0]
    assert isinstance(command, commands.ArmTracker)
    assert command.spec.level == Decimal(58000)


async def test_a_buy_is_guided_by_taps_alone(world: World) -> None:
    async with world.running():
        card = await world.phone.ask("/track")
        for label, heading in (
            ("BTC/USDT", "which rule?"),
            ("🛒 Buy the dip", "at which price?"),
            ("59,400.00 (-1%)", "How far behind"),
            ("2%", "how much?"),
        ):
            await world.phone.press(card["message_id"], label)
            await world.phone.until_text(heading)
        await world.phone.press(card["message_id"], "100 USDT")
        asked = await world.phone.until_text("buy the dip?")
        # What would ask a second time is gone with the step.
        assert asked["message_id"] == card["message_id"]
        await world.phone.press(asked["message_id"], "Confirm")
        await world.phone.until_text("Watching BTC/USDT")
    assert await world.phone.count() == 1
    assert len(world.store.of(events.ConfirmationAsked)) == 1
    assert asked["buttons"] == [["Confirm", "Cancel"]]


async def test_an_order_is_guided_by_taps_and_typing(world: World) -> None:
    async with world.running():
        card = await world.phone.ask("/trade")
        for label, heading in (("BTC/USDT", "buy or sell?"), ("🛒 Buy", "how much?")):
            await world.phone.press(card["message_id"], label)
            await world.phone.until_text(heading)
        typed = await world.phone.send("150 USDT")
        asked = await world.phone.answer_after(typed)
        assert asked["buttons"] == [["Confirm", "Cancel"]]
        await world.phone.press(asked["message_id"], "Confirm")
        await world.phone.until_text("Done.")
    command = world.desk.executed[0][0]
    assert isinstance(command, commands.PlaceOrder)
    assert command.amount == Amount(AmountKind.QUOTE, Decimal(150))


async def test_buttons_of_a_tracker_work(world: World) -> None:
    async with world.running():
        await _armed(world)
        card = await world.phone.ask("/tracker 1")
        await world.phone.press(card["message_id"], "❓ Why")
        await world.phone.until_text("Why #1")
        await world.phone.press(card["message_id"], "🔧 Change")
        tighten = await world.phone.until_text("Change #1")
        await world.phone.press(tighten["message_id"], "stop 59,000.00")
        await world.phone.until_text("Tracker 1 is changed")
        await world.phone.press(card["message_id"], "🔄 Refresh")
        refreshed = await world.phone.until(
            lambda rows: [
                row
                for row in rows
                if row["message_id"] == card["message_id"] and "59,000" in row["text"]
            ]
        )
        assert refreshed[0]["edits"] == 1
        await world.phone.press(card["message_id"], "⏸ Pause")
        pause = await world.phone.until_text("Loosen #1")
        await world.phone.press(pause["message_id"], "Confirm")
        await world.phone.until_text("PAUSED")
        chart = await world.phone.ask("/chart BTC/USDT")
        months = await world.phone.ask("/chart BTC/USDT 1M")
    assert "BTC/USDT 1M" in months["text"]
    assert world.desk.live[1].is_paused
    assert chart["media"]["kind"] == "photo"
    assert "BTC/USDT 15m" in chart["text"]


async def test_a_document_comes_with_export(world: World) -> None:
    async with world.running():
        answer = await world.phone.ask("/export fills")
    assert answer["media"]["kind"] == "document"


async def test_settings_of_a_person_are_kept(world: World) -> None:
    async with world.running():
        await world.phone.ask("/digest daily 08:30 Europe/Berlin")
        await world.phone.ask("/quiet 23:00-07:00")
        await world.phone.ask("/mute 4h")
        shown = await world.phone.ask("/digest")
    assert "daily at 08:30 Europe/Berlin" in " ".join(shown["text"].split())
    (person,) = await world.store.people()
    assert (person.digest_at, person.quiet_hours) == ("08:30", "23:00-07:00")
    assert person.muted_until is not None


async def test_a_viewer_looks_and_a_trader_acts_but_not_everything(world: World) -> None:
    now = world.clock.now()
    for user_id, role in ((8, Role.VIEWER), (9, Role.TRADER)):
        person = Person(user_id, user_id, "x", role)
        await world.store.append(events.PersonChanged(person, "test", now))
    async with world.running():
        assert "Equity" in (await world.phone.ask("/status", 8))["text"]
        assert "is not for a viewer" in (await world.phone.ask("/panic", 8))["text"]
        card = await world.phone.ask("/panic", 9)
        assert card["buttons"][0] == ["Confirm", "Cancel"]
        assert "is not for a trader" in (await world.phone.ask("/export fills", 9))["text"]
        other = await world.phone.ask("/panic", OWNER)
        assert other["message_id"] != card["message_id"]
    assert world.desk.executed == []


async def test_the_owner_admits_and_revokes_somebody(world: World) -> None:
    async with world.running():
        asked = await world.phone.ask("/role 8 viewer")
        assert "changes nothing" in " ".join(asked["text"].split())
        assert [one.user_id for one in await world.store.people()] == [OWNER]
        await world.phone.press(asked["message_id"], "Confirm")
        await world.phone.until_text("8 is viewer now")
        assert "Equity" in (await world.phone.ask("/status", 8))["text"]
        asked = await world.phone.ask("/role 8 none")
        await world.phone.press(asked["message_id"], "Confirm")
        await world.phone.until_text("You were removed", 8)
        sent = await world.phone.send("/positions", 8)
        await world.phone.ask("/version")
        assert [row for row in await world.phone.messages(8, sent) if row["from"] == "bot"] == []


async def test_somebody_is_invited_comes_in_watches_is_silenced_and_revoked(world: World) -> None:
    async with world.running():
        await world.phone.ask("/invite viewer")
        shown = await world.phone.until_text("/join")
        assert shown["buttons"] == []
        code = shown["text"].split("/join ")[1].split()[0]
        stored = repr(world.store.all_events)
        assert code not in stored
        await world.phone.send(f"/join {code}", 8)
        await world.phone.until_text("The owner is asked", 8)
        question = await world.phone.until_text("wants to join as")
        assert question["buttons"] == [["Confirm", "Cancel"]]
        await world.phone.press(question["message_id"], "Confirm")
        await world.phone.until_text("You are in as a viewer", 8)
        assert "Watching BTC/USDT" in (await world.phone.ask("/watch BTC/USDT 1h", 8))["text"]
        assert "BTC/USDT 1h" in (await world.phone.ask("/users 8"))["text"]
        await world.phone.ask("/mute 8 4h")
        await world.phone.until_text("The owner has made this silent", 8)
        question = await world.phone.ask("/revoke 8")
        await world.phone.press(question["message_id"], "Confirm")
        await world.phone.until_text("You were removed", 8)
        sent = await world.phone.send("/status", 8)
        await world.phone.ask("/version")
        assert [row for row in await world.phone.messages(8, sent) if row["from"] == "bot"] == []
    [owner, gone] = await world.store.people()
    assert (owner.user_id, gone.user_id, gone.is_active) == (OWNER, 8, False)
    assert gone.wishes.interests == ()


async def test_an_invitation_outlives_a_restart_and_a_late_no_is_told(world: World) -> None:
    async with world.running():
        await world.phone.ask("/invite trader")
        shown = await world.phone.until_text("/join")
    async with world.running():
        await world.phone.send(shown["text"].split("🎟")[1].split("send it:")[1].split("It")[0], 8)
        question = await world.phone.until_text("wants to join as")
    async with world.running():
        await world.phone.press(question["message_id"], "Cancel")
        await world.phone.until_text("The owner said no", 8)
    assert [one.user_id for one in await world.store.people()] == [OWNER]


async def test_changes_of_a_list_in_a_row_are_all_kept(world: World) -> None:
    symbols = ["BTC/USDT", "ETH/USDT", "BTC/USDC", "ADA/USDC", "ETH/BTC"]
    async with world.running():
        sent = [await world.phone.send(f"/watch {symbol} 1h") for symbol in symbols]
        await world.phone.until(lambda rows: _spoken(rows) == len(sent))
    (person,) = await world.store.people()
    assert [one.symbol for one in person.wishes.interests] == symbols


async def test_scores_are_shown_and_their_list_is_edited_in_place(world: World) -> None:
    async with world.running():
        await world.phone.ask("/watch BTC/USDT ETH/USDT 1h")
        card = await world.phone.ask("/watch")
        await world.phone.press(card["message_id"], "✖️ ETH/USDT")
        await world.phone.until_text("Dropped ETH/USDT")
        await world.phone.press(card["message_id"], "↩️ Undo")
        await world.phone.until_text("Watching ETH/USDT")
        loud = await world.phone.ask("/alerts")
        await world.phone.press(loud["message_id"], "🔔 Crashes")
        await world.phone.until_text("Crashes silent")
        await world.phone.press(loud["message_id"], "🔕 Crashes")
        await world.phone.until_text("Crashes off")
        assert len(await world.phone.messages(OWNER, loud["message_id"] - 1)) == 1


@pytest.mark.fault("T23", "SAID")
async def test_a_drifted_price_is_asked_again_on_the_same_card(world: World) -> None:
    async with world.running():
        card = await world.phone.ask("/buy BTC/USDT 100 USDT")
        world.desk.refuse_execution = Refused("the price has moved from 60000 to 61000")
        await world.phone.press(card["message_id"], "Confirm")
        again = await world.phone.until_text("Asked again")
        assert again["message_id"] == card["message_id"]
        assert again["buttons"] == [["Confirm", "Cancel"]]
        await world.phone.press(card["message_id"], "Confirm")
        await world.phone.until_text("Done.")
    assert len(world.desk.executed) == 1
    assert world.desk.executed[0][2] == "nonce2"
    fired(world.store.of(events.ConfirmationAsked)[1:], words=again["text"])


async def test_the_guide_shows_lines_that_can_be_sent_as_they_are(world: World) -> None:
    async with world.running():
        card = await world.phone.ask("/track BTC/USDT")
        line = card["text"][card["text"].index("/track") :].split("\n🧪")[0]
        asked = await world.phone.ask(line)
        assert "lines" in asked["text"]
        assert asked["buttons"] == [["Confirm", "Cancel"]]


async def test_a_bare_symbol_is_never_the_whole_of_what_to_send(world: World) -> None:
    async with world.running():
        for said, example in (
            ("/chart BTC/USTD 1h", "/chart BTC/USDT 1h"),
            ("/track ВТС", "/track BTC/USDT"),
            ("/buy ВТС 5", "/buy BTC/USDT 100 USDT"),
        ):
            text = " ".join((await world.phone.ask(said))["text"].split())
            assert f"Try: {example}" in text


async def test_the_audit_says_which_question_was_answered(world: World) -> None:
    async with world.running():
        card = await world.phone.ask("/track BTC/USDT stop 58000 all")
        await world.phone.press(card["message_id"], "Confirm")
        await world.phone.until_text("Watching BTC/USDT")
        text = " ".join((await world.phone.ask("/audit"))["text"].split())
        assert "confirmed a question: /track BTC/USDT stop 58000 all" in text


async def test_an_alert_has_no_number_to_acknowledge_it_by(world: World) -> None:
    async with world.running():
        assert "not understood: '99'" in (await world.phone.ask("/ack 99"))["text"]


async def test_a_tracker_that_owns_less_than_its_question_said_is_armed_and_says_so(
    world: World,
) -> None:
    async with world.running():
        card = await world.phone.ask("/track BTC/USDT trail 3% all")
        assert "sells 0.5 BTC" in card["text"]
        world.desk.held["BTC/USDT"] = Decimal("0.15")
        await world.phone.press(card["message_id"], "Confirm")
        text = " ".join((await world.phone.until_text("question said 0.5"))["text"].split())
        assert "Less than asked: it sells 0.15 BTC, the question said 0.5" in text
    assert len(world.desk.executed) == 1


async def test_a_tracker_that_would_own_more_than_its_question_said_is_asked_for_again(
    world: World,
) -> None:
    async with world.running():
        card = await world.phone.ask("/track BTC/USDT trail 3% all")
        world.desk.held["BTC/USDT"] = Decimal("0.75")
        await world.phone.press(card["message_id"], "Confirm")
        again = await world.phone.until_text("Asked again")
        assert "it would own 0.75 now, the question said 0.5" in " ".join(again["text"].split())
        assert world.desk.executed == []
        await world.phone.press(card["message_id"], "Confirm")
        await world.phone.until_text("Watching BTC/USDT")
    assert len(world.desk.executed) == 1


async def test_what_cannot_be_reached_now_is_said_calmly(world: World) -> None:
    async with world.running():
        card = await world.phone.ask("/close BTC/USDT")
        raw = "ConnectionRefusedError: [Errno 111] Connect call failed ('127.0.0.1', 18099)"
        world.desk.fail_execution = Unreachable(raw)
        await world.phone.press(card["message_id"], "Confirm")
        text = (await world.phone.until_text("Not now"))["text"]
        assert "The exchange does not answer." in text
        assert "Errno" not in text


async def test_pause_acts_at_once_and_halt_everything_asks(world: World) -> None:
    async with world.running():
        assert "Now reducing" in (await world.phone.ask("/pause"))["text"]
        assert world.desk.state is TradingMode.REDUCING
        card = await world.phone.ask("/halt everything")
        assert card["buttons"] == [["Confirm", "Cancel"]]
        assert world.desk.state is TradingMode.REDUCING
        await world.phone.press(card["message_id"], "Confirm")
        await world.phone.until_text("Now halted_everything")
    assert world.desk.state is TradingMode.HALTED_EVERYTHING


async def test_with_nothing_standing_an_ack_says_so(world: World) -> None:
    async with world.running():
        assert "no alert to acknowledge" in (await world.phone.ask("/ack"))["text"]


async def test_ack_ends_what_the_chat_repeats_itself(world: World) -> None:
    async with world.running():
        await _armed(world)
        world.desk.live[1] = replace(world.desk.live[1], state=TrackerState.BLOCKED)
        world.desk.raise_alert("a1", "Unprotected")
        assert "2 alerts acknowledged" in (await world.phone.ask("/ack"))["text"]
    assert [one.alert_id for one in world.store.of(events.AlertAcknowledged)] == ["blocked:1:1"]


async def test_a_bare_symbol_shows_its_price(world: World) -> None:
    async with world.running():
        assert "bid 59,994.00" in (await world.phone.ask("btc/usdt"))["text"]


async def test_the_menu_is_set(world: World) -> None:
    async with world.running():
        await world.phone.ask("/start")
        menu = await _state_commands(world)
    assert 0 < len(menu) <= 16


async def _state_commands(world: World) -> list[Any]:
    import aiohttp

    async with aiohttp.ClientSession() as session:
        url = f"{world.phone.url}/bot4242:SECRET-TOKEN/getMyCommands"
        async with session.post(url, json={}) as response:
            return list((await response.json())["result"])


@pytest.mark.parametrize(
    ("typed", "label", "shown"),
    [
        ("/chart BTC/USDT 7m", "15m", "BTC/USDT 15m"),
        ("/chart BTC/USTD 1h", "BTC/USDT", "BTC/USDT 1h"),
    ],
)
async def test_a_wrong_word_of_a_chart_is_mended_with_one_tap(
    world: World, typed: str, label: str, shown: str
) -> None:
    async with world.running():
        refusal = await world.phone.ask(typed)
        assert f"Try: {typed}" not in " ".join(refusal["text"].split())
        await world.phone.press(refusal["message_id"], label)
        chart = await world.phone.until_text("candles")
    assert chart["media"]["kind"] == "photo"
    assert shown in chart["text"]


def _flat(row: dict[str, Any]) -> str:
    return " ".join(row["text"].split())


async def test_a_backstop_that_is_refused_again_and_again_is_told_once(world: World) -> None:
    at = world.clock.now()

    def refused(number: int, minute: int, reason: str) -> events.IntentClosed:
        intent = Intent(
            intent_id=f"backstop:{number}",
            symbol="BTC/USDT",
            side=Side.SELL,
            purpose=Purpose.BACKSTOP,
            reference_price=Decimal(50_000),
            created_at=at,
            quantity=Decimal("0.5"),
            state=IntentState.EXPIRED,
            reason=reason,
            tracker_id=1,
            arm_seq=1,
        )
        return events.IntentClosed(intent, at + timedelta(minutes=minute))

    tries = [
        *(refused(number, number, "the exchange takes no stops now") for number in range(3)),
        refused(3, 3, "too many stops rest there"),
        # After hours it is news again.
        refused(4, 200, "too many stops rest there"),
    ]
    async with world.running():
        await world.phone.ask("/version")
        for closed in tries:
            await world.store.append(events.IntentOpened(closed.intent, at), closed)
        # Everything has been turned into messages once nobody finds more than these.
        await world.phone.until(
            lambda rows: [row for row in rows if "too many stops" in _flat(row)][1:]
        )
        await world.phone.ask("/health")
        texts = [_flat(row) for row in await world.phone.messages()]
    told = [text for text in texts if "NO backstop" in text]
    assert ["takes no stops" in text for text in told] == [True, False, False]
