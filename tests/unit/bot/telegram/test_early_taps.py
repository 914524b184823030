"""A question outlives a restart: who taps before the agent knows the exchange taps again later."""

from collections.abc import AsyncIterator

import pytest

from tests.unit.bot.telegram.commands.agent_talk import AgentTalk, agent_talk
from trading.domain.chat import Severity
from trading.domain.events import AlertRaised, ConfirmationAnswered
from trading.domain.position import TradingMode


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


@pytest.mark.parametrize("line", ["/halt", "/pause", "/reduce"])
async def test_a_halt_is_taken_while_the_agent_starts_and_says_that_nothing_is_watched(
    talk: AgentTalk, line: str
) -> None:
    talk.world.agent.is_ready = False
    told = await talk.ask(line)
    assert "has not answered yet, so NO STOP IS WATCHED" in told.text
    talk.world.agent.is_ready = True
    assert not talk.world.desk.status().state.takes_entries


async def test_a_halt_that_would_loosen_another_is_asked_for_while_the_agent_starts_too(
    talk: AgentTalk,
) -> None:
    await talk.confirm("/halt everything")
    talk.world.agent.is_ready = False
    asked = await talk.ask("/pause")
    assert "This ends the halt" in asked.text
    assert talk.world.desk.status().state is TradingMode.HALTED_EVERYTHING
    await talk.press(asked.buttons["Confirm"])
    assert talk.world.desk.status().state is TradingMode.REDUCING


async def test_an_alert_can_be_acknowledged_while_the_agent_starts(talk: AgentTalk) -> None:
    await talk.world.time.finish(
        talk.world.agent.record(
            AlertRaised("known", Severity.CRIT, "a disk is full", talk.world.time.now())
        )
    )
    talk.world.agent.is_ready = False
    assert (await talk.ask("/ack")).title == "1 alert acknowledged."
    assert talk.world.desk.standing().alerts == ()


@pytest.mark.parametrize("line", ["/panic", "/closeall"])
async def test_who_would_sell_all_while_the_agent_starts_is_told_what_can_be_done(
    talk: AgentTalk, line: str
) -> None:
    talk.world.agent.is_ready = False
    assert (await talk.ask(line)).text.endswith("Say it again once it has Try: /halt")


async def test_a_question_can_be_given_up_while_the_agent_starts(talk: AgentTalk) -> None:
    asked = await talk.ask("/panic")
    talk.world.agent.is_ready = False
    assert (await talk.press(asked.buttons["Cancel"])).title == "✖️ Cancelled"
