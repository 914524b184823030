"""A slip of a finger is typed once more before it is done; what cuts risk never waits for that."""

from dataclasses import replace
from decimal import Decimal

import pytest

from bot.telegram import grammar
from bot.telegram.fat_fingers import doubt_of, is_meant
from bot.telegram.replying import Handled
from tests.catalogue import fired
from tests.security.front import OWNER, SECRET, Front, said, typed
from trading.desk import TrackerProposal
from trading.domain.chat import OutboxMessage
from trading.domain.commands import ArmTracker, PlaceOrder
from trading.domain.events import MessageQueued
from trading.domain.tracker import NextLevel

BIG = "/buy BTC/USDT 12000 USDT"
NEAR = "/track BTC/USDT stop 59990 all"


@pytest.fixture
def front() -> Front:
    return Front()


async def _ask(front: Front, text: str) -> str:
    """Type a command that asks, tap Confirm, and return what is said."""
    await front.say(text)
    return said(await front.tap(f"c:{front.question()}"))


async def _number(front: Front, text: str) -> str:
    answer = await _ask(front, text)
    assert "to confirm" in answer, answer
    assert front.desk.executed == []
    return answer.partition("Type ")[2].split()[0]


@pytest.mark.fault("I03", "SAID")
async def test_a_large_purchase_is_done_once_its_amount_was_typed(front: Front) -> None:
    number = await _number(front, BIG)
    # As it was ordered, and not what the lots of the market make of it.
    assert number == "12000"
    refused = []
    for slip in (f"{number}0", "yes", number[:-1], "12e3", "١٢٠٠٠"):
        front.later(seconds=2)
        answer = await front.say(slip)
        assert f"That is not {number}" in answer
        assert front.desk.executed == []
        refused.append(slip)
    front.later(seconds=2)
    await front.say(f"{number} USDT")
    [(command, by, _)] = front.desk.executed
    assert isinstance(command, PlaceOrder)
    assert by == OWNER
    # What was typed counts once; the button behind it is used up.
    assert "done" in said(await front.tap(f"c:{front.question()}")).lower()
    assert len(front.desk.executed) == 1
    fired(refused, words=f"slips were refused, asked for was {number}")


async def test_a_wrong_number_is_answered_by_a_new_message_and_the_right_one_above(
    front: Front,
) -> None:
    number = await _number(front, BIG)
    for slip, is_edit in (("7", False), (number, True)):
        front.later(seconds=2)
        [message] = _messages(await front.take(typed(slip)))
        # 5 is the message whose button was pressed: it keeps the buttons until the end.
        assert (message.edits, message.target) == (is_edit, 5 if is_edit else None)
        assert is_edit or not message.buttons


def _messages(handled: Handled) -> list[OutboxMessage]:
    return [event.message for event in handled.events if isinstance(event, MessageQueued)]


@pytest.mark.fault("I03", "SAID")
async def test_a_stop_that_would_fire_at_once_is_armed_once_its_level_was_typed(
    front: Front,
) -> None:
    question = await front.say(NEAR)
    assert "it sells almost at once" in question
    number = await _number(front, NEAR)
    assert number == "59990"
    front.later(seconds=2)
    await front.say("59990")
    [(command, *_)] = front.desk.executed
    assert isinstance(command, ArmTracker)
    fired(question.count("it sells almost at once"))


@pytest.mark.parametrize(
    "text",
    [
        *(
            "/buy BTC/USDT 500 USDT",
            "/buy BTC/USDT 5000 USDT",
            "/track BTC/USDT stop 58000 all",
            "/panic",
            "/closeall",
        ),
        *("/close BTC/USDT", "/sell BTC/USDT 50%"),
    ],
)
async def test_the_usual_and_what_cuts_risk_take_one_tap(front: Front, text: str) -> None:
    assert "to confirm" not in await _ask(front, text)
    assert len(front.desk.executed) == 1


async def test_a_second_tap_says_what_is_waited_for(front: Front) -> None:
    number = await _number(front, BIG)
    again = await front.tap(f"c:{front.question()}")
    assert again.toast == f"Send {number} as a message"
    assert front.desk.executed == []


@pytest.mark.parametrize(("trail", "is_asked"), [("0.05%", False), ("0.04%", True)])
async def test_a_trail_is_judged_by_its_own_distance(
    front: Front, trail: str, is_asked: bool
) -> None:
    answer = await _ask(front, f"/track BTC/USDT trail {trail} all")
    assert (f"Type {trail} to confirm" in answer) is is_asked
    assert bool(front.desk.executed) is not is_asked


async def test_with_an_authenticator_the_code_stands_for_the_amount() -> None:
    front = Front(secret=SECRET)
    assert "six digits" in await _ask(front, BIG)


async def test_a_cancelled_question_waits_for_nothing(front: Front) -> None:
    number = await _number(front, BIG)
    await front.tap(f"x:{front.question()}")
    front.later(seconds=2)
    assert "was not understood" in await front.say(number)
    assert front.desk.executed == []


async def test_after_its_time_a_number_confirms_nothing(front: Front) -> None:
    number = await _number(front, BIG)
    front.later(minutes=10)
    await front.say(number)
    assert front.desk.executed == []


async def test_commands_and_markets_are_heard_while_a_number_is_waited_for(front: Front) -> None:
    await _number(front, BIG)
    assert "Equity" in await front.say("/status")
    front.later(seconds=2)
    assert "That is not" not in await front.say("BTC/USDT")
    assert front.desk.executed == []


@pytest.mark.parametrize(
    ("said_text", "number", "is_it"),
    [
        *(("1500", "1500", True), ("1500.0", "1500", True), ("1500 USDT", "1500", True)),
        *(("1,500", "1500", False), ("15_00", "1500", False), ("1500 or so", "1500", False)),
        *(("", "1500", False), ("NaN", "1500", False), ("-1500", "1500", False)),
        *(("0.02", "0.02%", True), ("0.02 %", "0.02%", True), ("0.2", "0.02%", False)),
    ],
)
def test_a_number_is_meant_exactly_or_not_at_all(
    said_text: str, number: str, *, is_it: bool
) -> None:
    assert is_meant(said_text, number) is is_it


async def test_a_trail_that_fires_at_once_is_in_doubt_and_a_touch_that_is_near_is_not(
    front: Front,
) -> None:
    command = grammar.parse("/track BTC/USDT trail 3% all", front.desk.instrument)
    proposal = await front.desk.propose(command, OWNER)
    facts = proposal.facts
    assert isinstance(facts, TrackerProposal)
    near = replace(facts.tracker, distance=Decimal("0.0002"))
    fires = replace(facts, tracker=near, level=None, next_level=NextLevel.FIRES)
    tight = replace(proposal, facts=fires)
    doubt = doubt_of(tight, Decimal(1000), needs_code=False)
    assert doubt is not None
    assert doubt.number == "0.02%"
    touch = replace(fires, level=facts.price, next_level=NextLevel.TOUCH)
    for usual in (proposal, replace(proposal, facts=touch)):
        assert doubt_of(usual, Decimal(1000), needs_code=False) is None
