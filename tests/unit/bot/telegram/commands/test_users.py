"""People as the owner sees them: who gets what, silenced, given a role, revoked."""

import json
import re
from dataclasses import replace

import pytest

from bot.telegram import confirm
from bot.telegram.commands.users import last_seen
from bot.telegram.delivery import is_silent
from bot.telegram.expiry import Expiry
from bot.telegram.joining import JOIN, Joiner
from tests.fakes.desk import START
from tests.security.front import OWNER
from tests.unit.bot.telegram.commands.talk import TRADER, VIEWER, Talk
from trading.domain.chat import ConfirmationAnswer, InboxUpdate, Person, Role, Severity
from trading.domain.events import (
    ConfirmationAnswered,
    ConfirmationAsked,
    MessageQueued,
    PersonChanged,
    UpdateReceived,
)
from trading.domain.watching import Wishes
from trading.ports.storage import Recorded
from trading.scanner.scores import Thresholds


@pytest.fixture
def talk() -> Talk:
    return Talk()


async def test_the_owner_sees_who_there_is(talk: Talk) -> None:
    await talk.ask("/watch BTC/USDT ETH/USDT", VIEWER)
    await talk.ask(f"/mute {TRADER} 4h")
    answer = await talk.ask("/users")
    assert answer.title == "👥 3 people"
    assert "• Ada (7) owner, watches 0" in answer.text
    assert "• Cy (9) 🔕 trader, watches 0" in answer.text
    assert "• Bob (8) viewer, watches 2" in answer.text
    assert {"👤 Ada", "👤 Bob", "👤 Cy", "🎟 Invite"} <= set(answer.buttons)


async def test_one_person_shows_what_they_get(talk: Talk) -> None:
    talk.scanner.best["BTC/USDT"] = Thresholds(0.62, 0.55)
    await talk.ask("/watch BTC/USDT 15m 1h threshold auto", VIEWER)
    await talk.ask("/watch ETH/USDT 4h threshold 70", VIEWER)
    await talk.ask("/digest every 4h", VIEWER)
    await talk.ask("/digest daily 08:30 Europe/Berlin", VIEWER)
    await talk.ask("/quiet 23:00-07:00", VIEWER)
    await talk.ask("/mute 4h", VIEWER)
    await talk.ask("/alerts crashes off", VIEWER)
    answer = await talk.ask(f"/users {VIEWER}")
    assert answer.title == "👤 Bob (8), viewer"
    for words in (
        "Watches 2 symbols • BTC/USDT 15m 1h auto: bull 62, bear 55",
        "• ETH/USDT 4h from 70 on",
        "Reports every 4 h",
        "Digest daily at 08:30 Europe/Berlin",
        "Quiet 23:00-07:00 Europe/Berlin",
        "🔕 Silent until 16:00 UTC",
        "Turned down: crashes off",
        "At most 6 sounds an hour",
    ):
        assert words in answer.text


async def test_when_somebody_was_last_seen_comes_from_their_messages(talk: Talk) -> None:
    for minute, (kind, user_id) in enumerate([("message", 8), ("callback_query", 8), ("poll", 9)]):
        payload = json.dumps({"update_id": minute, kind: {"from": {"id": user_id}}})
        talk.later(minutes=1)
        await talk.store.append(
            UpdateReceived(InboxUpdate(9_000 + minute, payload, talk.clock.now()))
        )
    answer = await talk.ask("/users")
    assert answer.text.count("seen") == 1
    assert "seen 62 s ago" in answer.text
    assert "Seen 64 s ago" in (await talk.ask(f"/users {VIEWER}")).text
    assert "Not seen lately" in (await talk.ask(f"/users {TRADER}")).text


async def test_who_asks_has_just_been_seen(talk: Talk) -> None:
    payload = json.dumps({"update_id": 9_000, "message": {"from": {"id": OWNER}}})
    await talk.store.append(UpdateReceived(InboxUpdate(9_000, payload, talk.clock.now())))
    assert "• Ada (7) owner, watches 0 seen just now" in (await talk.ask("/users")).text


@pytest.mark.parametrize("payload", ["", "[]", "{", '{"message": 5}', '{"message": {"from": {}}}'])
def test_an_update_that_names_nobody_is_nobodys_sign_of_life(payload: str) -> None:
    assert last_seen([Recorded(1, UpdateReceived(InboxUpdate(1, payload, START)))]) == {}


@pytest.mark.parametrize("command", ["/users", "/invite viewer", "/revoke 7", "/role 9 viewer"])
@pytest.mark.parametrize("user_id", [VIEWER, TRADER])
async def test_people_are_the_owners_business(talk: Talk, user_id: int, command: str) -> None:
    answer = await talk.ask(command, user_id)
    assert f"{command.split(maxsplit=1)[0]} is not for a" in answer.text
    assert answer.aside is None
    assert talk.store.of(PersonChanged) == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("/users x", "named by number, was 'x'"),
        ("/users 99", "nobody here has the number 99"),
        ("/users 7 8", "not understood: '8'"),
        ("/users ٨", "named by number"),
        ("/users " + "9" * 30, "named by number"),
        ("/revoke 99", "nobody here has the number 99"),
        ("/revoke Bob", "named by number, was 'Bob'"),
        ("/revoke 8 now", "one by one, was '8 now'"),
        ("/revoke 7", "the owner cannot be revoked"),
        ("/mute 99 4h", "nobody here has the number 99"),
        ("/mute 8 4", "at most 30d, or off, was '4'"),
        ("/mute 8 1000h", "at most 30d, or off, was '1000h'"),
        ("/mute ² 4h", "named by number"),
        ("/role 7 viewer", "own role cannot be changed"),
        ("/digest every 5m", "every 15m to 7d, or off, was '5m'"),
        ("/digest every 8d", "was '8d'"),
        ("/digest every", "should follow every, was nothing"),
        ("/digest every soon", "was 'soon'"),
        ("/digest every 4h now", "should follow every, was '4h now'"),
    ],
)
async def test_nonsense_is_refused_and_changes_nobody(talk: Talk, line: str, said: str) -> None:
    answer = await talk.ask(line)
    assert said.lower() in answer.text.lower()
    assert talk.store.of(PersonChanged) == []


async def test_a_number_that_nobody_has_comes_with_those_that_somebody_has(talk: Talk) -> None:
    answer = await talk.ask("/revoke 88")
    assert answer.buttons["8"] == "+/revoke 8"


# ---------------------------------------------------------------- silence


async def test_the_owner_silences_somebody_and_both_are_told_in_their_own_time(
    talk: Talk,
) -> None:
    talk.roster.put(replace(talk.person(VIEWER), timezone="Asia/Tokyo"))
    answer = await talk.ask(f"/mute {VIEWER} 4h")
    assert "Bob (8) is silent until 16:00 UTC" in answer.to(OWNER)
    assert "silent until Nov 21 01:00 JST" in answer.to(VIEWER)
    until = talk.person(VIEWER).silenced_until
    assert until is not None
    assert round((until - talk.clock.now()).total_seconds()) == 4 * 3600
    assert talk.person().silenced_until is None
    ended = await talk.ask(f"/mute {VIEWER} off")
    assert "ended your silence" in ended.to(VIEWER)
    assert talk.person(VIEWER).silenced_until is None


async def test_a_silence_that_the_owner_has_put_on_somebody_is_not_theirs_to_lift(
    talk: Talk,
) -> None:
    await talk.ask(f"/mute {VIEWER} 4h")
    refused = await talk.ask("/mute off", VIEWER)
    assert "The owner has made this silent until 16:00 UTC" in refused.text
    assert is_silent(talk.person(VIEWER), Severity.INFO, talk.clock.now())
    shown = await talk.ask("/mute", VIEWER)
    assert "Silent until 16:00 UTC, by the owner" in shown.text
    assert "🔔 Unmute" not in shown.buttons

    await talk.ask("/mute 1h", VIEWER)
    ended = await talk.ask("/mute off", VIEWER)
    assert "Still silent until 16:00 UTC, by the owner" in ended.text
    assert talk.person(VIEWER).muted_until is None
    assert is_silent(talk.person(VIEWER), Severity.INFO, talk.clock.now())

    assert "by the owner" in (await talk.ask(f"/users {VIEWER}")).text
    await talk.ask(f"/mute {VIEWER} off")
    assert not is_silent(talk.person(VIEWER), Severity.INFO, talk.clock.now())
    assert "You were not muted" in (await talk.ask("/mute off", VIEWER)).text


async def test_ones_own_silence_outlasts_the_owners(talk: Talk) -> None:
    await talk.ask("/mute 8h", VIEWER)
    refused = await talk.ask(f"/mute {VIEWER} off")
    assert "You have not silenced Bob (8)" in refused.text
    await talk.ask(f"/mute {VIEWER} 1h")
    await talk.ask(f"/mute {VIEWER} off")
    assert is_silent(talk.person(VIEWER), Severity.INFO, talk.clock.now())


async def test_only_the_owner_silences_others(talk: Talk) -> None:
    answer = await talk.ask(f"/mute {OWNER} 4h", TRADER)
    assert "only the owner silences others" in answer.text.lower()
    assert talk.store.of(PersonChanged) == []


async def test_the_owner_silencing_themselves_by_number_is_told_once(talk: Talk) -> None:
    answer = await talk.ask(f"/mute {OWNER} 30m")
    assert len(answer.messages) == 1


async def test_ones_own_silence_is_told_in_ones_own_time(talk: Talk) -> None:
    await talk.ask("/digest daily 09:00 Europe/Berlin")
    assert "Silent until 17:00 CET" in (await talk.ask("/mute 4h")).text
    assert "Silent until Nov 21 13:00 CET" in (await talk.ask("/mute 24h")).text


async def test_a_button_of_a_person_silences_and_ends_the_silence(talk: Talk) -> None:
    card = await talk.ask(f"/users {VIEWER}")
    await talk.press(card.buttons["🔕 Silence 4h"])
    card = await talk.ask(f"/users {VIEWER}")
    await talk.press(card.buttons["🔔 Unmute"])
    assert talk.person(VIEWER).muted_until is None


# ---------------------------------------------------------------- reports


async def test_reports_come_beside_the_daily_digest(talk: Talk) -> None:
    answer = await talk.ask("/digest every 4h")
    assert "A report every 4 h" in answer.title
    assert "You watch nothing yet" in answer.text
    person = talk.person()
    assert (person.digest_at, person.wishes.report_every_min) == ("09:00", 240)
    shown = await talk.ask("/digest")
    assert "Digest daily at 09:00 UTC Reports every 4 h" in shown.text
    await talk.press(shown.buttons["Reports off"])
    assert talk.person().wishes.report_every_min is None
    assert talk.person().digest_at == "09:00"


async def test_each_of_the_two_can_be_ended_alone_and_both_at_once(talk: Talk) -> None:
    await talk.ask("/digest every 90m")
    await talk.ask("/digest daily off")
    assert talk.person().digest_at is None
    assert talk.person().wishes.report_every_min == 90
    await talk.ask("/digest daily 07:00")
    await talk.ask("/digest off")
    assert (talk.person().digest_at, talk.person().wishes.report_every_min) == (None, None)


# ---------------------------------------------------------------- the end


async def test_of_who_watches_nothing_no_list_is_emptied(talk: Talk) -> None:
    asked = await talk.ask(f"/revoke {VIEWER}")
    assert asked.title == "🚪 Revoke Bob (8)?"
    assert "emptied" not in asked.text


async def test_who_is_revoked_is_told_once_and_heard_no_more(talk: Talk) -> None:
    await talk.ask("/watch BTC/USDT 1h", VIEWER)
    asked = await talk.ask(f"/revoke {VIEWER}")
    assert asked.title == "🚪 Revoke Bob (8)?"
    assert "They watch 1 symbol: that list is emptied." in asked.text
    assert asked.to(VIEWER) == ""
    assert talk.person(VIEWER).is_active, "not before the tap"
    answer = await talk.press(asked.buttons["Confirm"])
    assert answer.to(OWNER).startswith("🚪 Bob (8) may do nothing now")
    assert answer.to(VIEWER).startswith("🚪 You were removed")
    assert talk.person(VIEWER).wishes == Wishes()
    assert (await talk.ask("/status", VIEWER)).text == ""
    again = await talk.ask(f"/revoke {VIEWER}")
    assert "was revoked before" in again.text
    assert again.to(VIEWER) == ""
    assert "Revoked: 8" in (await talk.ask("/users")).text
    back = await talk.ask(f"/users {VIEWER}")
    assert back.title == "👤 Bob (8), revoked"
    assert back.buttons["👁 As viewer"] == "+/role 8 viewer"


async def test_a_question_of_a_revocation_that_is_cancelled_puts_nobody_out(talk: Talk) -> None:
    asked = await talk.ask(f"/revoke {VIEWER}")
    await talk.press(asked.buttons["Cancel"])
    assert talk.person(VIEWER).is_active
    first, second = [await talk.ask(f"/revoke {VIEWER}") for _ in range(2)]
    await talk.press(first.buttons["Confirm"])
    assert "was revoked before" in (await talk.press(second.buttons["Confirm"])).text


async def test_the_audit_says_which_question_about_a_person_was_answered(talk: Talk) -> None:
    for line, answer in (
        (f"/role {VIEWER} trader", "Confirm"),
        (f"/role {TRADER} none", "Cancel"),
        (f"/revoke {VIEWER}", "Confirm"),
    ):
        await talk.press((await talk.ask(line)).buttons[answer])
    told = (await talk.ask("/audit 60")).text
    assert f"Ada confirmed a question: /role {VIEWER} trader" in told
    assert f"Ada cancelled a question: /revoke {TRADER}" in told
    assert f"Ada confirmed a question: /revoke {VIEWER}" in told


async def test_a_question_that_a_revocation_ends_was_not_let_expire(talk: Talk) -> None:
    asked = await talk.ask("/sell BTC/USDT all", TRADER)
    await talk.press((await talk.ask(f"/revoke {TRADER}")).buttons["Confirm"])
    expiry = Expiry(talk.store, talk.clock, lambda: "", lambda: None)
    await expiry.load(talk.store)
    expiry.note(talk.store.of(PersonChanged)[-1])
    await expiry.expire_due()
    told = (await talk.ask("/audit 60")).text
    assert asked.buttons
    assert "person 9 left a question without answer: /trade BTC/USDT sell all" in told


async def test_a_role_of_none_revokes_too_and_tells_no_stranger(talk: Talk) -> None:
    asked = await talk.ask(f"/role {VIEWER} none")
    answer = await talk.press(asked.buttons["Confirm"])
    assert answer.to(VIEWER).startswith("🚪 You were removed")
    assert talk.person(VIEWER).is_active is False
    asked = await talk.ask("/role 666 none")
    stranger = await talk.press(asked.buttons["Confirm"])
    assert stranger.to(666) == ""


async def test_revoke_alone_offers_whom(talk: Talk) -> None:
    offer = await talk.ask("/revoke")
    assert offer.buttons == {"🚪 Bob (8)": "+/revoke 8", "🚪 Cy (9)": "+/revoke 9"}
    for label in offer.buttons.values():
        await talk.press((await talk.press(label)).buttons["Confirm"])
    assert "nobody but you" in (await talk.ask("/revoke")).text


async def test_the_owner_is_no_example_of_whom_to_revoke(talk: Talk) -> None:
    assert "/revoke 8" in (await talk.ask("/revoke 999")).text
    for user_id in (VIEWER, TRADER):
        talk.roster.put(replace(talk.person(user_id), role=Role.OWNER))
    answer = await talk.ask("/revoke 999")
    assert "/revoke 1" not in answer.text
    assert "/users" in answer.text


async def test_a_revoked_person_answers_no_question_and_it_ends_at_once(talk: Talk) -> None:
    expiry = Expiry(talk.store, talk.clock, lambda: "", lambda: None)
    await talk.ask("/sell BTC/USDT 50%", TRADER)
    [asked] = talk.store.of(ConfirmationAsked)
    expiry.note(asked)
    await expiry.expire_due()
    assert talk.store.of(ConfirmationAnswered) == []
    revoke = await talk.ask(f"/revoke {TRADER}")
    answer = await talk.press(revoke.buttons["Confirm"])
    for event in answer.events:
        expiry.note(event)
    await expiry.expire_due()
    nonce = asked.confirmation.nonce
    [ended] = [one for one in talk.store.of(ConfirmationAnswered) if one.nonce == nonce]
    assert ended.answer is ConfirmationAnswer.EXPIRED
    await talk.press(f"{confirm.CONFIRM}{nonce}", TRADER)
    talk.roster.put(replace(talk.person(TRADER), is_active=True))
    again = await talk.press(f"{confirm.CONFIRM}{nonce}", TRADER)
    assert "Expired" in again.text
    assert talk.desk.executed == []


async def test_the_question_of_somebody_else_stays_open(talk: Talk) -> None:
    expiry = Expiry(talk.store, talk.clock, lambda: "", lambda: None)
    await talk.ask("/sell BTC/USDT 50%", TRADER)
    for event in [*talk.store.of(ConfirmationAsked), *(await talk.ask("/revoke 8")).events]:
        expiry.note(event)
    await expiry.expire_due()
    assert talk.store.of(ConfirmationAnswered) == []


async def test_who_waits_for_an_answer_that_never_comes_is_told(talk: Talk) -> None:
    expiry = Expiry(talk.store, talk.clock, lambda: "", lambda: None)
    joiner = Joiner(666, "Eve", Role.VIEWER)
    asked = confirm.ask(
        confirm.Question(JOIN, joiner.packed(), 60), "n", OWNER, OWNER, "join:n", talk.clock.now()
    )
    expiry.note(ConfirmationAsked(asked))
    talk.later(minutes=2)
    await expiry.expire_due()
    told = {one.message.chat_id: one.message.text for one in talk.store.of(MessageQueued)}
    assert "Expired" in told[OWNER]
    assert "did not answer" in told[666]


async def test_who_waits_for_the_owner_hears_so_now_and_then_and_no_other_stranger_does(
    talk: Talk,
) -> None:
    expiry = Expiry(talk.store, talk.clock, lambda: "", lambda: None)
    talk.router.waits = expiry.waits
    made = await talk.ask("/invite viewer")
    assert made.aside is not None
    code = re.search(r"/join ([a-z2-7-]+)", made.aside[1])
    assert code is not None
    joined = await talk.ask(f"/join {code[1]}", 666)
    for event in joined.events:
        expiry.note(event)
    assert "The owner is asked" in joined.to(666)
    assert "The owner is asked" in (await talk.ask("hello?", 666)).to(666)
    assert (await talk.ask("hello??", 666)).to(666) == ""
    assert (await talk.ask("hello?", 667)).to(667) == ""
    done = await talk.press(f"{confirm.CANCEL}{talk.question()}")
    for event in done.events:
        expiry.note(event)
    talk.later(hours=1)
    assert (await talk.ask("hello?", 666)).to(666) == ""


async def test_a_role_is_asked_for_from_the_card_of_a_person(talk: Talk) -> None:
    card = await talk.ask(f"/users {VIEWER}")
    asked = await talk.press(card.buttons["🎚 Make trader"])
    assert asked.title == "👥 8 as trader?"
    done = await talk.press(f"{confirm.CONFIRM}{talk.question()}")
    assert talk.person(VIEWER).role is Role.TRADER
    assert done.buttons["👤 What they get"] == "=/users 8"
    assert done.to(VIEWER).startswith("🎚 The owner has made you a trader")


async def test_somebody_admitted_by_number_alone_is_not_written_to(talk: Talk) -> None:
    await talk.ask("/role 666 viewer")
    done = await talk.press(f"{confirm.CONFIRM}{talk.question()}")
    assert "They can write to this bot now" in done.to(OWNER)
    assert done.to(666) == ""


async def test_many_people_fit_on_a_card(talk: Talk) -> None:
    for number in range(100, 150):
        talk.roster.put(Person(number, number, "N" * 40, Role.VIEWER))
    answer = await talk.ask("/users")
    assert answer.title == "👥 53 people"
    assert "and 41 more: /users NUMBER" in answer.text


async def test_a_summary_tells_its_times_as_its_reader_reads_them(talk: Talk) -> None:
    await talk.ask("/quiet 22:00-07:00 Europe/Berlin")
    assert "Since Nov 19 13:00 Europe/Berlin" in (await talk.ask("/summary")).text
