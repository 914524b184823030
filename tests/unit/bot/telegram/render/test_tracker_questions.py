"""The question before a live tracker is loosened shows what changes, and what it costs."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from bot.telegram.render.tracker_questions import edit_lines
from tests.unit.trading.agent_world import OWNER, AgentWorld, stop_spec
from tests.unit.trading.trackers.make import BTC, armed, d
from trading.desk import EditProposal, Proposal
from trading.domain.commands import ArmTracker, EditTracker, PauseTracker
from trading.domain.tracker import (
    Confirm,
    ConfirmKind,
    PriceKind,
    Then,
    ThenKind,
    Tracker,
    TrackerKind,
)


def _stop(**fields: Any) -> Tracker:
    return armed(TrackerKind.STOP, 60000, level=58000, **fields)


def _lines(before: Tracker, after: Tracker, *worst: Decimal | None) -> list[str]:
    old, new = worst or (d(-1000), d(-1000))
    _, lines = edit_lines(EditProposal(before, after, BTC, True, old, new))
    return [str(line) for line in lines]


@pytest.mark.parametrize(
    ("old", "new", "was", "now"),
    [
        ({}, {"confirm": Confirm(ConfirmKind.TICKS, 3)}, ", confirm touch", ", confirm 3 ticks"),
        ({}, {"then": Then(ThenKind.COOLDOWN)}, ", then once", ", then cooldown"),
        ({"backstop": d(50000)}, {"backstop": None}, ", backstop 50000", ", no backstop"),
        ({}, {"slippage_max": d("0.005")}, ", no slippage bound", ", slippage 0.5%"),
        ({}, {"price_kind": PriceKind.LAST}, ", price decision", ", price last"),
    ],
)
def test_an_option_that_changes_is_shown_as_it_was_and_as_it_will_be(
    old: dict[str, Any], new: dict[str, Any], was: str, now: str
) -> None:
    before = _stop(**old)
    lines = _lines(before, replace(before, spec=replace(before.spec, **new)))
    assert lines[0].startswith("was stop 58000")
    assert lines[0].endswith(was)
    [changed] = [line for line in lines if line.startswith("new")]
    assert changed.startswith("new stop 58000")
    assert changed.endswith(now)


def test_an_option_that_stays_is_not_repeated() -> None:
    before = _stop(confirm=Confirm(ConfirmKind.TICKS, 3))
    after = replace(before, stop_price=d(57000))
    assert not any("ticks" in line for line in _lines(before, after))


def test_a_smaller_slice_says_how_much_loses_its_protection() -> None:
    before = _stop()
    after = replace(before, quantity=d("0.2"))
    lines = _lines(before, after, d(-1000), d(-400))
    assert lines[-1] == "⚠️ 0.3 BTC will NOT be protected"


def test_a_smaller_slice_that_protects_nothing_yet_is_not_watched() -> None:
    before = armed(TrackerKind.TAKE_PROFIT, 60000, level=65000, trail="0.02")
    lines = _lines(before, replace(before, quantity=d("0.2")), None, None)
    assert lines[1] == lines[3] == "  ⚠️ NOT PROTECTED if it falls"
    assert lines[-1] == "⚠️ 0.3 BTC will not be watched"


def test_a_buy_has_no_worst_case_and_is_not_called_unprotected() -> None:
    before = armed(TrackerKind.DIP, 60000, level=55000, trail="0.01")
    after = replace(before, spec=replace(before.spec, then=Then(ThenKind.COOLDOWN)))
    was, new = _lines(before, after, None, None)
    assert (was[-9:], new[-13:]) == ("then once", "then cooldown")


def test_without_its_backstop_it_is_said_that_the_order_on_the_exchange_goes() -> None:
    before = _stop(backstop=d(50000))
    gone = "⚠️ Its order on the exchange is cancelled: while I am down, nothing sells"
    assert gone in _lines(before, _stop())
    assert gone not in _lines(before, _stop(backstop=d(49000)))
    assert gone not in _lines(_stop(), _stop())


async def _asked(world: AgentWorld, change: EditTracker) -> tuple[Proposal, list[str]]:
    proposal = await world.time.finish(world.desk.propose(change, OWNER))
    assert isinstance(proposal.facts, EditProposal)
    return proposal, [str(line) for line in edit_lines(proposal.facts)[1]]


async def test_a_question_about_a_backstop_says_what_the_worst_would_be_while_umbra_is_down() -> (
    None
):
    async with AgentWorld() as world:
        await world.do(ArmTracker(replace(stop_spec("58000"), backstop=d(54000))))
        # Half a Bitcoin from 60,000.
        proposal, lines = await _asked(world, EditTracker(1, backstop=d(53000)))
        assert proposal.needs_confirmation
        assert lines == [
            "was stop 58000, 0.5 BTC, backstop 54000",
            "  worst -1,000.00 USDT before fees",
            "  If Umbra is down: worst -3,000.00 USDT before fees",
            "new stop 58000, 0.5 BTC, backstop 53000",
            "  worst -1,000.00 USDT before fees",
            "  If Umbra is down: worst -3,500.00 USDT before fees",
        ]
        _, lines = await _asked(world, EditTracker(1, is_backstop_off=True))
        assert lines[2] == "  If Umbra is down: worst -3,000.00 USDT before fees"
        assert lines[5] == "  If Umbra is down: nothing sells"


async def test_a_first_backstop_is_asked_for_with_what_it_shows_and_locks() -> None:
    async with AgentWorld() as world:
        await world.protect("58000")
        proposal, lines = await _asked(world, EditTracker(1, backstop_share=d("0.1")))
        assert proposal.needs_confirmation
        assert lines == [
            "was stop 58000, 0.5 BTC, no backstop",
            "  worst -1,000.00 USDT before fees",
            "  If Umbra is down: nothing sells",
            "new stop 58000, 0.5 BTC, backstop 54000",
            "  worst -1,000.00 USDT before fees",
            "  If Umbra is down: worst -3,000.00 USDT before fees",
            "Backstop 54,000.00 on the exchange:",
            "  works while I am down, is seen there, locks its coins",
        ]
        await world.do(EditTracker(1, backstop=d(54000)))
        proposal, _ = await _asked(world, EditTracker(1, backstop=d(55000)))
        assert not proposal.needs_confirmation, "what is there already only moves up"


async def test_a_question_about_a_paused_tracker_names_its_levels_and_that_nothing_is_watched() -> (
    None
):
    async with AgentWorld() as world:
        await world.protect("59000")
        await world.do(PauseTracker(1))
        _, lines = await _asked(world, EditTracker(1, level=d(55000)))
        assert lines == [
            "was stop 59000, 0.5 BTC",
            "  paused, nothing watched",
            "  once resumed: worst -500.00 USDT before fees",
            "new stop 55000, 0.5 BTC",
            "  paused, nothing watched",
            "  once resumed: worst -2,500.00 USDT before fees",
        ]
        await world.do(EditTracker(1, backstop=d(54000)))
        _, lines = await _asked(world, EditTracker(1, level=d(58000)))
        assert lines[1] == "  paused, only backstop 54,000.00 sells"


async def test_a_question_about_slippage_says_what_the_worst_would_be_with_it() -> None:
    async with AgentWorld() as world:
        await world.protect("58000")
        asked = [
            await world.time.finish(world.desk.propose(EditTracker(1, slippage_max=share), OWNER))
            for share in (d("0.02"), d("0.01"))
        ]
        assert isinstance(asked[0].facts, EditProposal)
        first = edit_lines(asked[0].facts)[1]
        # Half a Bitcoin from 60,000: at 58,000, 2 % below that, 1 % below that.
        assert [line for line in first if "worst" in str(line)] == [
            "  worst -1,000.00 USDT before fees",
            "  worst -1,000.00 USDT before fees",
            "  slipping 2%: worst -1,580.00",
        ]
        await world.do(EditTracker(1, slippage_max=d("0.02")))
        again = await world.time.finish(world.desk.propose(asked[1].command, OWNER))
        assert isinstance(again.facts, EditProposal)
        slipping = [line for line in edit_lines(again.facts)[1] if "slipping" in str(line)]
        assert slipping == ["  slipping 2%: worst -1,580.00", "  slipping 1%: worst -1,290.00"]
