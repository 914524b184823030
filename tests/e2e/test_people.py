"""A second person, by real processes: invited, asked about, in, watching, silenced, revoked."""

import re

import pytest

from tests.catalogue import fired
from tests.e2e.world import OWNER_ID, World

pytestmark = pytest.mark.e2e

BOB = 2


async def _code(world: World) -> str:
    after = await world.say("/invite viewer")
    shown = await world.until_message(r"/join [a-z2-7]{5}(-[a-z2-7]{5}){2}", after=after)
    found = re.search(r"/join ([a-z2-7-]+)", shown["text"])
    assert found is not None
    return found[1]


def _stored(world: World) -> bytes:
    return b"".join(path.read_bytes() for path in world.data_dir.glob("umbra.db*"))


async def test_a_second_person_comes_in_watches_is_silenced_and_revoked(world: World) -> None:
    code = await _code(world)
    stored = _stored(world)
    assert b"InvitationMade" in stored
    for spelling in (code, code.replace("-", "")):
        assert spelling.encode() not in stored
        assert spelling not in world.log()
    # The code outlives the process that made it.
    await world.kill_agent()
    await world.start_agent()
    knocked = await world.say(f"/join {code}", BOB)
    await world.until_message("owner is asked", after=knocked, chat_id=BOB)
    question = await world.until_message("wants to join as")
    # And so does the question.
    await world.kill_agent()
    await world.start_agent()
    await world.press(question, "Confirm")
    await world.until_message("You are in as a viewer", chat_id=BOB)

    await world.answer("/watch BTC/USDT 15m 1h", "Watching BTC/USDT", BOB)
    scanned = await world.answer("/scan", "🔎", BOB)
    assert "BTC/USDT" in scanned["text"]
    assert "not for a viewer" in (await world.ask("/buy BTC/USDT 100 USDT", BOB))["text"]
    gets = await world.answer(f"/users {BOB}", r"\(2\), viewer")
    assert "BTC/USDT 15m 1h" in gets["text"]

    await world.answer(f"/mute {BOB} 4h", "is silent until")
    await world.until_message("owner has made this", chat_id=BOB)
    asked = await world.answer(f"/revoke {BOB}", "Revoke")
    await world.press(asked, "Confirm")
    await world.until_message("You were removed", chat_id=BOB)
    silent_from = await world.say("/status", BOB)
    again = await world.say(f"/join {code}", BOB)
    # The owner's answer comes after both were handled.
    await world.answer("/status", "Equity")
    await world.until_message("came too late")
    heard = await world.messages(after=silent_from - 1, chat_id=BOB)
    assert {message["from"] for message in heard} == {"user"}
    assert [message["message_id"] for message in heard] == [silent_from, again]
    assert await world.orders() == []


@pytest.mark.fault("T12", "NOACT SAID")
async def test_a_stranger_who_guesses_gets_silence_and_a_right_code_after_that_too(
    world: World,
) -> None:
    code = await _code(world)
    for guess in (*(f"{5 * letter}-{5 * letter}-{5 * letter}" for letter in "abc"), code):
        await world.say(f"/join {guess}", BOB)
    await world.answer("/status", "Equity")
    heard = await world.messages(chat_id=BOB)
    assert {message["from"] for message in heard} == {"user"}
    assert await world.count("wants to join") == 0
    fired(len(heard))
    knocked = await world.say(f"/join {code}", 3)
    await world.until_message("owner is asked", after=knocked, chat_id=3)


async def test_a_group_that_the_host_opens_is_answered_and_only_its_people_with_a_role(
    quiet_world: World,
) -> None:
    world, group = quiet_world, -500
    await world.start_agent(UMBRA_ALLOWED_CHAT_IDS=f"{OWNER_ID},{group}", UMBRA_ALLOW_GROUPS="true")
    await world.say("/status", user_id=BOB, chat_id=group)
    asked = await world.say("/version", chat_id=group)
    answer = await world.until_message(r"\d+\.\d+", after=asked, chat_id=group)
    said = [row for row in await world.messages(chat_id=group) if row["from"] == "bot"]
    assert said == [answer]
