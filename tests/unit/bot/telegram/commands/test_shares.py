"""What a question says of a share is what is sold, or it is said that less was left."""

from tests.unit.bot.telegram.commands.agent_talk import agent_talk


async def test_a_number_of_money_without_its_unit_is_told_from_one_of_coins() -> None:
    async with agent_talk() as talk:
        answer = await talk.ask("/buy BTC/USDT 50")
        assert "50 BTC costs 3000000" in answer.text
        assert answer.text.endswith("Try: /buy BTC/USDT 50 USDT")


async def test_two_halves_sell_what_both_cards_said() -> None:
    async with agent_talk() as talk:
        first = await talk.ask("/sell ETH/USDT 50%")
        second = await talk.ask("/sell ETH/USDT 50%")
        assert first.title == second.title == "❔ Sell 1 ETH?"
        await talk.press(first.buttons["Confirm"])
        await talk.world.until_sold("1")
        # Nobody managed what the first has sold: it is asked whose coins the rest is.
        answer = await talk.press(second.buttons["Confirm"])
        await talk.world.until_sold("2")
        assert "question said" not in answer.text


async def test_a_sale_of_less_than_its_question_said_says_so_in_a_message_of_its_own() -> None:
    async with agent_talk() as talk:
        asked = await talk.ask("/sell ETH/USDT all")
        assert asked.title == "❔ Sell 2 ETH?"
        await talk.confirm("/sell ETH/USDT 1.5")
        await talk.world.until_sold("1.5")
        answer = await talk.press(asked.buttons["Confirm"])
        assert answer.messages[-1].text.startswith("<b>⚠️ This sale is of 0.5 only</b>")
        assert "The question said 2; no more can be sold now." in answer.text
        await talk.world.until_sold("2")
