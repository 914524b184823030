"""A question outlives a restart: who taps before the agent knows the exchange taps again later."""

from collections.abc import AsyncIterator

import pytest

from tests.unit.bot.telegram.commands.agent_talk import AgentTalk, agent_talk
from trading.domain.events import ConfirmationAnswered


@pytest.fixture
async def talk() -> AsyncIterator[AgentTalk]:
    async with agent_talk() as talking:
        yield talking


@pytest.mark.parametrize("line", ["/track BTC/USDT stop 50000 all", "/sell ETH/USDT 1", "/panic"])
async def test_a_tap_that_comes_too_early_says_so_and_its_button_works_later(
    talk: AgentTalk, line: str
) -> None:
    asked = await talk.ask(line)
    talk.world.agent.is_ready = False
    for _ in range(2):
        early = await talk.press(asked.buttons["Confirm"])
        assert "still starting: the exchange has not answered yet" in early.text
        assert "Tap the button above again" in early.text
        # The question stays as it is, with its buttons.
        assert [message.edits for message in early.messages] == [False]
        assert not any(isinstance(event, ConfirmationAnswered) for event in early.events)
    talk.world.agent.is_ready = True
    taken = await talk.press(asked.buttons["Confirm"])
    assert [message.edits for message in taken.messages][:1] == [True]
    assert any(isinstance(event, ConfirmationAnswered) for event in taken.events)
    assert "still starting" not in taken.text


async def test_a_purchase_is_not_taken_for_a_sale_while_no_market_is_known(talk: AgentTalk) -> None:
    talk.world.agent.is_ready = False
    assert (await talk.ask("/buy")).title == "🔁 Buy which symbol?"


async def test_a_question_can_be_given_up_while_the_agent_starts(talk: AgentTalk) -> None:
    asked = await talk.ask("/panic")
    talk.world.agent.is_ready = False
    assert (await talk.press(asked.buttons["Cancel"])).title == "✖️ Cancelled"
