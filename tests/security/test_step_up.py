"""The gravest questions ask for a code besides the tap; what only cuts risk never does."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from bot.telegram.stepup import WRONG_MAX, CodeVerdict, StepUp, code_in, is_grave
from bot.totp import code_of, step_at
from tests.fakes.desk import START
from tests.security.front import OWNER, SECRET, Front, said
from trading.desk import PlainProposal, Proposal
from trading.domain.chat import Person, Role
from trading.domain.commands import AbortIntent, CloseAll, Command, Panic, SetTradingMode
from trading.domain.events import PersonChanged
from trading.domain.position import TradingMode

ASKED = "six digits"


def _code(front: Front) -> str:
    return code_of(SECRET, step_at(front.clock.now()))


def _wrong(front: Front) -> str:
    return f"{(int(_code(front)) + 500_000) % 1_000_000:06d}"


@pytest.fixture
def front() -> Front:
    made = Front(secret=SECRET)
    made.later(minutes=2)
    return made


async def _ask(front: Front, text: str) -> str:
    """Type a command that asks, tap Confirm, and return what is said."""
    await front.say(text)
    return said(await front.tap(f"c:{front.question()}"))


async def test_a_grave_action_happens_after_tap_and_code(front: Front) -> None:
    assert ASKED in await _ask(front, "/halt everything")
    assert front.desk.executed == []
    await front.say(_code(front))
    [(command, by, _)] = front.desk.executed
    assert isinstance(command, SetTradingMode)
    assert (command.mode, by) == (TradingMode.HALTED_EVERYTHING, OWNER)


async def test_a_second_tap_on_a_question_that_waits_for_a_code_says_so(front: Front) -> None:
    front.desk.state = TradingMode.HALTED
    await _ask(front, "/resume")
    handled = await front.tap(f"c:{front.question()}")
    assert handled.toast == "Send your code as a message"
    assert TradingMode.ACTIVE is not front.desk.state


async def test_a_halt_is_lifted_with_a_code_only(front: Front) -> None:
    front.desk.state = TradingMode.HALTED
    assert ASKED in await _ask(front, "/resume")
    assert front.desk.executed == []
    await front.say(f"{_code(front)[:3]} {_code(front)[3:]}")
    assert len(front.desk.executed) == 1


@pytest.mark.parametrize("text", ["/panic", "/closeall", "/close BTC/USDT", "/sell BTC/USDT 50%"])
async def test_what_only_cuts_risk_never_asks_for_a_code(front: Front, text: str) -> None:
    assert ASKED not in await _ask(front, text)
    assert len(front.desk.executed) == 1


async def test_panic_with_everything_never_asks_for_a_code(front: Front) -> None:
    front.desk.unmanaged["BTC/USDT"] = Decimal(1)
    await front.say("/panic")
    assert ASKED not in said(await front.tap(f"e:{front.question()}"))
    assert [command for command, *_ in front.desk.executed] == [Panic(everything=True)]


async def test_panic_works_while_codes_are_locked(front: Front) -> None:
    await _ask(front, "/halt everything")
    for _ in range(WRONG_MAX):
        front.later(seconds=2)
        last = await front.say(_wrong(front))
    assert "Too many wrong codes" in last
    await _ask(front, "/panic")
    assert [command for command, *_ in front.desk.executed] == [Panic()]


@pytest.mark.parametrize(
    ("text", "asks"),
    [("/buy BTC/USDT 100 USDT", False), ("/buy BTC/USDT 5000 USDT", True)],
)
async def test_a_large_purchase_asks_for_a_code(front: Front, text: str, *, asks: bool) -> None:
    assert (ASKED in await _ask(front, text)) == asks
    assert bool(front.desk.executed) is not asks


async def test_a_purchase_in_another_currency_counts_with_its_worth_in_the_accounts(
    front: Front,
) -> None:
    front.desk.prices |= {"BTC/USDT": Decimal(60_000), "BTC/USDC": Decimal(60_000)}
    assert ASKED not in await _ask(front, "/buy ADA/USDC 20 USDC")
    # 0.1 BTC are worth 6,000 USDT.
    assert ASKED in await _ask(front, "/buy ETH/BTC 0.1 BTC")


async def test_a_purchase_in_a_currency_that_nobody_can_value_asks(front: Front) -> None:
    del front.desk.prices["BTC/USDC"]
    assert ASKED in await _ask(front, "/buy ADA/USDC 20 USDC")


@pytest.mark.parametrize(
    ("text", "asks"),
    [
        ("/track BTC/USDT buy below 55000 trail 1% 5000 USDT", True),
        ("/track BTC/USDT buy below 55000 trail 1% 50 USDT", False),
        ("/track BTC/USDT stop 58000 all", False),
    ],
)
async def test_a_large_private_entry_asks_for_a_code_and_a_stop_does_not(
    front: Front, text: str, *, asks: bool
) -> None:
    assert (ASKED in await _ask(front, text)) == asks


async def test_ending_protection_asks_for_a_code(front: Front) -> None:
    await _ask(front, "/track BTC/USDT stop 58000 all")
    [number] = front.desk.live
    assert ASKED in await _ask(front, f"/tracker {number} cancel")
    assert number in front.desk.live


async def test_admitting_somebody_asks_for_a_code(front: Front) -> None:
    assert ASKED in await _ask(front, "/role 99 viewer")
    assert front.store.of(PersonChanged) == []
    await front.say(_code(front))
    [changed] = front.store.of(PersonChanged)
    assert changed.person.user_id == 99


async def test_without_a_secret_nothing_asks_for_a_code() -> None:
    front = Front()
    assert ASKED not in await _ask(front, "/halt everything")
    assert len(front.desk.executed) == 1
    assert "not understood" in await front.say("123456")


async def test_a_wrong_code_does_nothing_and_the_question_stays_open(front: Front) -> None:
    await _ask(front, "/halt everything")
    assert "That code is wrong" in await front.say(_wrong(front))
    assert front.desk.executed == []
    await front.say(_code(front))
    assert len(front.desk.executed) == 1


async def test_a_code_counts_once(front: Front) -> None:
    front.desk.state = TradingMode.HALTED
    await _ask(front, "/resume")
    code = _code(front)
    await front.say(code)
    front.desk.state = TradingMode.HALTED
    front.later(seconds=2)
    await _ask(front, "/resume")
    assert "was used" in await front.say(code)
    assert len(front.desk.executed) == 1


async def test_a_code_of_before_the_start_does_not_count() -> None:
    front = Front(secret=SECRET)
    await _ask(front, "/halt everything")
    assert "older than the start" in await front.say(_code(front))
    front.later(seconds=61)
    assert front.desk.executed == []
    await front.say(_code(front))
    assert len(front.desk.executed) == 1


async def test_a_code_after_the_questions_end_is_too_late(front: Front) -> None:
    await _ask(front, "/halt everything")
    front.later(minutes=6)
    assert "Expired" in await front.say(_code(front))
    assert front.desk.executed == []


async def test_a_cancelled_question_takes_no_code(front: Front) -> None:
    await _ask(front, "/halt everything")
    await front.tap(f"x:{front.question()}")
    assert "not understood" in await front.say(_code(front))
    assert front.desk.executed == []


async def test_a_code_counts_in_the_chat_of_its_question_and_for_its_person(front: Front) -> None:
    front.roster.put(Person(8, 8, "Bob", Role.TRADER))
    await _ask(front, "/halt everything")
    assert "not understood" in await front.say(_code(front), user_id=8)
    assert front.desk.executed == []


async def test_another_question_between_tap_and_code_does_not_end_the_waiting(
    front: Front,
) -> None:
    await _ask(front, "/halt everything")
    await front.say("/panic")
    await front.tap(f"x:{front.question()}")
    await front.say(_code(front))
    assert len(front.desk.executed) == 1


# ------------------------------------------------------------ the judge alone


def test_three_wrong_codes_lock_longer_each_time_until_a_right_one() -> None:
    judge = StepUp(SECRET, START)
    now = START + timedelta(minutes=2)
    spans = []
    for _ in range(12):
        verdicts = [judge.judge("000000", now) for _ in range(WRONG_MAX)]
        assert verdicts == [CodeVerdict.WRONG] * (WRONG_MAX - 1) + [CodeVerdict.LOCKED]
        assert judge.locked_until is not None
        spans.append(judge.locked_until - now)
        right = code_of(SECRET, step_at(now))
        assert judge.judge(right, judge.locked_until - timedelta(seconds=1)) is CodeVerdict.LOCKED
        now = judge.locked_until
    assert spans[:3] == [timedelta(minutes=5), timedelta(minutes=10), timedelta(minutes=20)]
    assert max(spans) == timedelta(hours=24)
    assert judge.judge(code_of(SECRET, step_at(now)), now) is CodeVerdict.RIGHT
    assert judge.locked_until is None


def test_a_judge_does_not_show_its_secret() -> None:
    assert SECRET.decode() not in repr(StepUp(SECRET, datetime(2026, 1, 1, tzinfo=UTC)))


@pytest.mark.parametrize(
    ("text", "code"),
    [("123456", "123456"), ("123 456", "123456"), ("12345", None), ("١٢٣٤٥٦", None), ("/a", None)],
)
def test_a_code_is_six_plain_digits(text: str, code: str | None) -> None:
    assert code_in(text) == code


@pytest.mark.parametrize(("command", "grave"), [(AbortIntent(3), True), (CloseAll(), False)])
def test_giving_up_an_exit_is_grave_and_selling_is_not(command: Command, *, grave: bool) -> None:
    proposal = Proposal(command, PlainProposal("x"), needs_confirmation=True)
    assert is_grave(proposal, Decimal(0)) is grave


def test_without_a_secret_the_judge_is_off() -> None:
    assert not StepUp().is_on
    assert StepUp(SECRET, START).is_on
