"""The first line says what matters: it is all that a locked phone shows."""

from tests.unit.bot.telegram.commands.agent_talk import agent_talk


async def test_a_bare_symbol_is_answered_by_its_price() -> None:
    async with agent_talk() as talk:
        assert (await talk.ask("BTC/USDT")).title == "BTC/USDT 60,000.00"
        talk.world.exchange.is_down = True
        assert (await talk.ask("ADA/USDT")).title == "ADA/USDT: no price comes now"


async def test_holdings_are_called_what_the_state_calls_them() -> None:
    async with agent_talk() as talk:
        assert (await talk.ask("/positions")).buttons == {"🎯 Track": "+/track"}
        await talk.confirm("/track ETH/USDT trail 3% all")
        assert (await talk.ask("/positions")).title == "💼 1 position, protected"
        await talk.press((await talk.ask("/tracker 1 amount 0.5")).buttons["Confirm"])
        assert (await talk.ask("/positions")).title == "💼 1 position, 1 PARTLY PROTECTED"
        assert (await talk.ask("/status")).title == "🔴 1 of 1 only PARTLY PROTECTED"
        await talk.confirm("/tracker 1 pause")
        assert (await talk.ask("/positions")).title == "💼 1 position, 1 NOT PROTECTED"


async def test_a_closing_asks_for_how_much() -> None:
    async with agent_talk() as talk:
        await talk.confirm("/track ETH/USDT trail 3% all")
        assert (await talk.ask("/close ETH/USDT 25%")).title == "❔ Close 0.5 ETH?"
