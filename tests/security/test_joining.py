"""An invitation is the one thing that lets a stranger in, and only with the owner's word."""

import re
from typing import Any

import pytest

from bot.telegram import confirm
from bot.telegram.alert import AlertFacts
from bot.telegram.alerts import alert_for
from bot.telegram.render.reports import audit_words
from bot.telegram.replying import Handled
from bot.totp import code_of, step_at
from tests.fakes.desk import find
from tests.security.front import GROUP, OWNER, SECRET, STRANGER, Front, kinds, said, tapped, typed
from trading.domain.chat import ConfirmationAnswer, Person, Role
from trading.domain.events import (
    AccessDenied,
    ConfirmationAnswered,
    ConfirmationAsked,
    InvitationClosed,
    InvitationMade,
    MessageQueued,
    PersonChanged,
)

BOB = STRANGER
AUDIT = {"AccessDenied", "UpdateHandled"}


async def _invited(front: Front, role: str = "viewer") -> str:
    """The code that the owner is shown for somebody."""
    handled = await front.take(_now(front, typed(f"/invite {role}")))
    assert handled.aside is not None
    chat_id, text = handled.aside
    assert chat_id == OWNER
    found = re.search(r"/join ([a-z2-7]{5}-[a-z2-7]{5}-[a-z2-7]{5})", text)
    assert found is not None
    return found[1]


def _now(front: Front, body: dict[str, Any]) -> dict[str, Any]:
    body["message"]["date"] = int(front.clock.now().timestamp())
    return body


async def _joins(
    front: Front, code: str, user_id: int = BOB, more: dict[str, Any] | None = None
) -> Handled:
    body = typed(f"/join {code}", user_id)
    body["message"] |= more or {}
    return await front.take(_now(front, body))


async def _answers(front: Front, button: str = confirm.CONFIRM) -> Handled:
    return await front.take(tapped(f"{button}{front.question()}"))


def _told(handled: Handled, chat_id: int) -> str:
    texts = [
        event.message.text
        for event in handled.events
        if isinstance(event, MessageQueued) and event.message.chat_id == chat_id
    ]
    return " ".join(re.sub("<[^>]*>", "", " ".join(texts)).split())


async def test_a_code_asks_the_owner_and_a_yes_admits() -> None:
    front = Front()
    code = await _invited(front)
    knocked = await _joins(front, code)
    assert "The owner is asked" in _told(knocked, BOB)
    assert "N (666) wants to join as viewer" in _told(knocked, OWNER)
    assert BOB not in front.roster.active
    assert await front.say("/status", BOB) == ""
    admitted = await _answers(front)
    assert "You are in as a viewer" in _told(admitted, BOB)
    assert "N (666) is in as viewer" in _told(admitted, OWNER)
    assert front.roster.active[BOB].role is Role.VIEWER
    assert "position" in await front.say("/status", BOB)


async def test_a_no_admits_nobody_and_is_told() -> None:
    front = Front()
    await _joins(front, await _invited(front))
    answered = await _answers(front, confirm.CANCEL)
    assert "The owner said no" in _told(answered, BOB)
    assert BOB not in front.roster.active
    assert await front.say("/status", BOB) == ""


async def test_a_late_answer_admits_nobody_and_the_one_who_waits_is_told() -> None:
    front = Front()
    await _joins(front, await _invited(front))
    front.later(hours=25)
    answered = await _answers(front)
    assert "The owner did not answer" in _told(answered, BOB)
    assert BOB not in front.roster.active
    assert front.store.of(ConfirmationAnswered)[-1].answer is ConfirmationAnswer.EXPIRED


async def test_a_code_works_once_and_only_the_owner_learns_of_a_second_use() -> None:
    front = Front()
    code = await _invited(front)
    await _joins(front, code)
    again = await _joins(front, code, 777)
    assert kinds(again.events) == AUDIT
    assert said(again) == ""
    [denied] = [one for one in front.store.of(AccessDenied) if one.user_id == 777]
    assert denied.tell_owner
    alert = alert_for(denied, AlertFacts(find))
    assert alert is not None
    assert alert.owner_only
    assert "777 sent a code that is used up" in " ".join(alert.card.text.split())
    assert len(front.store.of(ConfirmationAsked)) == 1


async def test_a_code_that_is_too_old_is_told_to_the_owner_alone() -> None:
    front = Front()
    code = await _invited(front)
    front.later(minutes=24 * 60)
    late = await _joins(front, code)
    assert said(late) == ""
    assert front.store.of(AccessDenied)[-1].update_kind == "join with a code that is too old"


async def test_a_withdrawn_code_lets_nobody_in() -> None:
    front = Front()
    code = await _invited(front)
    assert "1 invitation withdrawn" in await front.say("/invite withdraw")
    assert said(await _joins(front, code)) == ""
    assert front.store.of(AccessDenied)[-1].update_kind == "join with a code that is withdrawn"
    front.later(seconds=2)
    assert "no invitation is open" in (await front.say("/invite withdraw")).lower()


@pytest.mark.parametrize("word", ["", "123456", "abcde-fghij-klmno", "x" * 4000, "a b"])
async def test_wrong_codes_get_silence(word: str) -> None:
    front = Front()
    await _invited(front)
    handled = await _joins(front, word)
    assert kinds(handled.events) <= AUDIT
    assert said(handled) == ""
    assert handled.aside is None


async def test_a_right_code_after_three_wrong_ones_gets_silence() -> None:
    front = Front()
    code = await _invited(front)
    for number in range(3):
        await _joins(front, f"abcde-fghij-klmn{'abc'[number]}")
    assert said(await _joins(front, code)) == ""
    assert "The owner is asked" in said(await _joins(front, code, 777))


@pytest.mark.parametrize(
    "form",
    [
        {"chat": {"id": GROUP, "type": "group", "title": "x"}},
        {"chat": {"id": GROUP, "type": "supergroup", "title": "x"}},
        {"chat": {"id": 777, "type": "private"}},
        {"from": {"id": BOB, "is_bot": True, "first_name": "b"}},
        {"from": {"id": 777000, "is_bot": False, "first_name": "T"}},
        {"sender_chat": {"id": GROUP, "type": "channel", "title": "x"}},
        {"via_bot": {"id": 5, "is_bot": True, "first_name": "b"}},
        {
            "forward_origin": {
                "type": "hidden_user",
                "date": 1_700_000_000,
                "sender_user_name": "x",
            }
        },
    ],
)
async def test_a_right_code_in_any_other_chat_or_form_lets_nobody_in(form: dict[str, Any]) -> None:
    front = Front()
    code = await _invited(front)
    handled = await _joins(front, code, more=form)
    assert kinds(handled.events) <= AUDIT
    assert said(handled) == ""
    assert front.services.invitations.open(front.clock.now()) != []


async def test_an_edited_message_or_a_tap_with_a_right_code_lets_nobody_in() -> None:
    front = Front()
    code = await _invited(front)
    edited = {"edited_message": typed(f"/join {code}", BOB)["message"]}
    for body in (edited, tapped(f"+/join {code}", BOB, BOB)):
        handled = await front.take(body)
        assert kinds(handled.events) <= AUDIT
        assert said(handled) == ""


async def test_the_code_itself_is_stored_nowhere() -> None:
    front = Front()
    code = await _invited(front)
    everything = repr(front.store.all_events)
    assert code not in everything
    assert code.replace("-", "") not in everything
    assert len(front.store.of(InvitationMade)) == 1


async def test_a_restart_between_invitation_and_join_loses_nothing() -> None:
    front = Front()
    code = await _invited(front, "trader")
    after = Front()
    after.services.invitations.load(front.store.all_events)
    assert "wants to join as trader" in _told(await _joins(after, code), OWNER)


async def test_admitting_by_invitation_asks_for_a_code_where_that_is_on() -> None:
    front = Front(secret=SECRET)
    knocked = await _joins(front, await _invited(front))
    assert "Confirm asks for a code" in _told(knocked, OWNER)
    held = await _answers(front)
    assert "A code is needed" in said(held)
    assert BOB not in front.roster.active
    front.later(minutes=1)
    assert "is in as viewer" in await front.say(code_of(SECRET, step_at(front.clock.now())))
    assert BOB in front.roster.active


async def test_somebody_who_came_in_meanwhile_is_not_admitted_twice() -> None:
    front = Front()
    await _joins(front, await _invited(front))
    front.roster.put(Person(BOB, BOB, "Bob", Role.TRADER))
    assert "Bob (666) is in already" in said(await _answers(front))
    assert front.roster.active[BOB].role is Role.TRADER


async def test_only_the_owner_may_answer() -> None:
    front = Front()
    await _joins(front, await _invited(front))
    for user_id in (BOB, 777):
        handled = await front.take(tapped(f"{confirm.CONFIRM}{front.question()}", user_id, user_id))
        assert front.store.of(PersonChanged) == []
        assert said(handled) == ""


async def test_a_name_cannot_disguise_the_question() -> None:
    front = Front()
    code = await _invited(front)
    name = "\u202eAda\n(7)\u200b wants\tnothing" + "x" * 100
    sender = {"id": BOB, "is_bot": False, "first_name": name}
    knocked = await _joins(front, code, more={"from": sender})
    told = _told(knocked, OWNER)
    assert "\u202e" not in told
    assert "\u200b" not in told
    assert "(666) wants to join as viewer" in told
    await _answers(front)
    assert len(front.roster.active[BOB].name) <= 40


async def test_somebody_who_was_revoked_comes_back_with_a_warning() -> None:
    front = Front()
    await _joins(front, await _invited(front))
    await _answers(front)
    front.later(minutes=1)
    await front.say(f"/revoke {BOB}")
    await _answers(front)
    assert BOB not in front.roster.active
    knocked = await _joins(front, await _invited(front))
    assert "were revoked" in _told(knocked, OWNER)
    await _answers(front)
    assert front.roster.active[BOB].role is Role.VIEWER


async def test_invitations_are_for_the_owners_own_chat_and_few_at_once() -> None:
    front = Front()
    for _ in range(5):
        front.later(seconds=2)
        await _invited(front)
    front.later(seconds=2)
    assert "5 invitations are open" in await front.say("/invite viewer")
    front.later(seconds=2)
    assert "viewer or trader, was &#x27;king" in await front.say("/invite king")
    front.later(seconds=2)
    assert "Invite whom?" in await front.say("/invite")
    front.later(seconds=2)
    assert "not understood" in await front.say("/invite viewer now")
    assert len(front.store.of(InvitationMade)) == 5


async def test_an_invitation_is_not_made_where_others_read() -> None:
    front = Front()
    front.services.settings = type(front.services.settings)(
        "1:x", allowed_chat_ids=frozenset({GROUP}), allow_groups=True
    )
    handled = await front.take(_now(front, typed("/invite viewer", OWNER, GROUP)))
    assert "your own chat" in said(handled)
    assert handled.aside is None
    assert front.store.of(InvitationMade) == []


async def test_who_is_in_already_has_no_use_for_a_code() -> None:
    front = Front()
    code = await _invited(front)
    assert "You are in already, as owner" in await front.say(f"/join {code}")
    assert front.store.of(InvitationClosed) == []


async def test_the_audit_tells_of_invitations_in_words() -> None:
    front = Front()
    code = await _invited(front)
    await _joins(front, code)
    names = {OWNER: "Ada"}
    [made] = front.store.of(InvitationMade)
    [closed] = front.store.of(InvitationClosed)
    assert audit_words(made, names) == "Ada made an invitation as viewer"
    assert audit_words(closed, names) == "an invitation was used up by person 666"
    front.later(seconds=2)
    await front.say("/invite viewer")
    front.later(seconds=2)
    await front.say("/invite withdraw")
    assert audit_words(front.store.of(InvitationClosed)[-1], names) == "an invitation was withdrawn"
