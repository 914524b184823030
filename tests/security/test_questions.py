"""Z-04: a question is answered once, by its person, in its chat, and cannot be guessed."""

import base64
import json
from dataclasses import replace
from decimal import Decimal

import pytest

from bot.clock import random_nonce
from tests.security.front import GROUP, OWNER, STRANGER, Front, said
from trading.domain.chat import Person, Role
from trading.domain.events import ConfirmationAsked

FORMS = ("c:", "e:")


def test_z04_a_nonce_has_128_bits_of_the_systems_randomness() -> None:
    nonces = {random_nonce() for _ in range(10_000)}
    assert len(nonces) == 10_000
    for nonce in nonces:
        assert len(base64.urlsafe_b64decode(nonce + "==")) == 16
        assert len(f"c:{nonce}".encode()) <= 64


@pytest.mark.parametrize("form", FORMS)
async def test_z04_an_answer_counts_once(form: str) -> None:
    front = Front()
    front.desk.unmanaged["BTC/USDT"] = front.desk.held["BTC/USDT"]
    await front.say("/panic")
    nonce = front.question()
    await front.tap(f"{form}{nonce}")
    assert len(front.desk.executed) == 1
    for again in ("c:", "e:", "x:"):
        assert said(await front.tap(f"{again}{nonce}")) == "Already done"
    assert len(front.desk.executed) == 1


async def test_z04_a_cancelled_question_stays_cancelled() -> None:
    front = Front()
    await front.say("/panic")
    await front.tap(f"x:{front.question()}")
    await front.tap(f"c:{front.question()}")
    assert front.desk.executed == []


@pytest.mark.parametrize(
    ("user_id", "chat_id"), [(8, 8), (8, OWNER), (STRANGER, STRANGER), (OWNER, GROUP)]
)
async def test_z04_an_answer_from_elsewhere_does_nothing(user_id: int, chat_id: int) -> None:
    front = Front()
    front.roster.put(Person(8, 8, "Bob", Role.TRADER))
    await front.say("/panic")
    handled = await front.tap(f"c:{front.question()}", user_id, chat_id)
    assert front.desk.executed == []
    assert "BTC" not in said(handled)
    await front.tap(f"c:{front.question()}")
    assert len(front.desk.executed) == 1


@pytest.mark.parametrize("data", ["c:", "c:nonce", "c:nonce999", "e:x", "c:" + "A" * 60, "c:\x00"])
async def test_z04_a_guessed_or_broken_answer_does_nothing(data: str) -> None:
    front = Front()
    await front.say("/panic")
    await front.tap(data)
    assert front.desk.executed == []


async def test_z04_an_answer_after_the_end_does_nothing() -> None:
    front = Front()
    await front.say("/panic")
    front.later(seconds=301)
    assert "Expired" in said(await front.tap(f"c:{front.question()}"))
    assert front.desk.executed == []


async def test_z04_a_demoted_persons_question_is_theirs_no_more() -> None:
    front = Front()
    front.roster.put(Person(8, 8, "Bob", Role.TRADER))
    await front.say("/panic", 8)
    front.roster.put(Person(8, 8, "Bob", Role.VIEWER))
    assert "viewer" in said(await front.tap(f"c:{front.question()}", 8, 8))
    front.roster.put(Person(8, 8, "Bob", Role.TRADER, is_active=False))
    await front.tap(f"c:{front.question()}", 8, 8)
    assert front.desk.executed == []


async def test_z04_a_tap_confirms_what_was_shown_and_no_more() -> None:
    front = Front()
    assert "0.5 BTC" in await front.say("/close BTC/USDT")
    front.desk.held["BTC/USDT"] = Decimal("0.75")
    first = front.question()
    asked = said(await front.tap(f"c:{first}"))
    assert "Asked again: it would sell 0.75 now, the question said 0.5" in asked
    assert front.desk.executed == []
    assert said(await front.tap(f"c:{first}")) == "Already done"
    await front.tap(f"c:{front.question()}")
    assert len(front.desk.executed) == 1


async def test_z04_a_question_of_an_earlier_version_is_still_answered() -> None:
    front = Front()
    await front.say("/close BTC/USDT")
    asked = front.store.of(ConfirmationAsked)[-1]
    payload = json.loads(asked.confirmation.payload)
    assert payload.pop("shown") == {"size": "0.5", "adopted": "0"}
    older = replace(asked.confirmation, nonce="older", payload=json.dumps(payload))
    await front.store.append(replace(asked, confirmation=older))
    front.desk.held["BTC/USDT"] = Decimal("0.75")
    await front.tap("c:older")
    assert len(front.desk.executed) == 1
