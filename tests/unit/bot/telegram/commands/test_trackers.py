"""Of the changes that a tracker's card could offer, it offers those that the desk would take."""

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import cast

import pytest

from bot.telegram import grammar
from bot.telegram.commands.context import Request, Services
from bot.telegram.commands.trackers import tracker
from bot.telegram.keyboards import does
from bot.telegram.render.tracker_changes import options
from tests.unit.trading.agent_world import OWNER, AgentWorld
from trading.domain.errors import Refused


@pytest.fixture
async def world() -> AsyncIterator[AgentWorld]:
    async with AgentWorld() as running:
        yield running


async def _applies(world: AgentWorld, number: int = 1) -> tuple[list[str], list[str]]:
    """What could be offered, and what is."""
    services = cast(Services, SimpleNamespace(desk=world.desk))
    words = (str(number), "tighten")
    asked = SimpleNamespace(by=OWNER, words=words, text=" ".join(("/tracker", *words)))
    reply = await world.time.finish(tracker(cast(Request, asked), services))
    this = does("", f"/tracker {number} ").data
    offered = [button.data.removeprefix(this) for row in reply.cards[0].buttons for button in row]
    return options(world.desk.tracker(number)), offered


@pytest.mark.parametrize(
    "line", ["trail 5% all", "stop 58000 all", "sell above 65000 trail 2% 0.1"]
)
async def test_whatever_is_offered_is_taken(world: AgentWorld, line: str) -> None:
    await world.do(grammar.parse(f"/track BTC/USDT {line}", world.desk.instrument))
    possible, offered = await _applies(world)
    assert offered
    assert set(offered) <= set(possible)
    for words in offered:
        command = grammar.parse(f"/tracker 1 {words}", world.desk.instrument)
        await world.time.finish(world.desk.propose(command, OWNER))


async def test_a_backstop_that_no_order_could_be_is_not_offered(world: AgentWorld) -> None:
    # Worth 5.31 at its stop; a tenth below that the exchange takes no order for it.
    await world.do(grammar.parse("/track BTC/USDT stop 59000 0.00009", world.desk.instrument))
    possible, offered = await _applies(world)
    assert any(words.startswith("backstop") for words in possible)
    assert not any(words.startswith("backstop") for words in offered)
    assert offered


async def test_why_is_answered_of_a_tracker_that_is_over(world: AgentWorld) -> None:
    await world.protect()
    await world.move("57000")
    await world.time.pass_by(5)
    services = cast(Services, SimpleNamespace(desk=world.desk))
    asked = SimpleNamespace(by=OWNER, words=("1", "why"), text="/tracker 1 why")
    reply = await world.time.finish(tracker(cast(Request, asked), services))
    assert "Nothing is watched any more" in reply.cards[0].text
    assert "done: 0.5 BTC" in reply.cards[0].text


async def test_a_tracker_that_has_fired_is_offered_nothing_and_says_why(world: AgentWorld) -> None:
    await world.protect()
    world.exchange.without_bids.add("BTC/USDT")
    world.exchange.is_key_lost = True
    await world.move("57000")
    assert world.desk.tracker(1).tracker.state.is_acting
    with pytest.raises(Refused, match="too late to change it"):
        await _applies(world)
