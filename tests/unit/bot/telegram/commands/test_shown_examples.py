"""Every line that a refusal of an acting command shows is taken when it is sent."""

from dataclasses import replace
from decimal import Decimal

import pytest

from tests.sampled import sampled
from tests.unit.bot.telegram.commands.agent_talk import AgentTalk, agent_talk
from tests.unit.bot.telegram.commands.talk import Answer
from trading.domain.money import plain

# Cheap coins with coarse lots and a quote that is no dollar are where examples went wrong.
SYMBOLS = sampled(
    ("SHIB/USDT", "ETH/BTC"), ("BTC/USDT", "ETH/USDT", "ADA/USDT", "SHIB/USDT", "ETH/BTC")
)
_WORDS = (
    "x",
    "0",
    "-1",
    "1e9",
    "1,000",
    "NaN",
    "250%",
    "0%",
    "9" * 40,
    "٦",
    "🎉",
    "all",
    "<b>x</b>",
)
# Behind every rule there is, where each rule is tried.
_SLIPS = ("x", "0%", "1,000", "9" * 40)
_RULES = (
    *("", "foo", "stop", "trail", "sell", "sell above", "buy", "buy below", "buy stop", "lines"),
    *("stop line", "stop {at}", "stop {at} trail", "trail 3%", "trail 3 atr", "sell above {up}"),
    *("sell above {up} trail", "sell above {up} trail 2%", "buy below {at} trail 2%"),
    *("buy stop {up}", "buy below {at}", "buy below {at} trail", "stop {up}", "sell above {at}"),
    *("stop {at} all then", "stop {at} all confirm", "stop {at} all price", "stop {at} all max"),
    *(
        "stop {at} all backstop",
        "stop {at} all slippage",
        "stop {at} all stop",
        "trail 3% all then",
    ),
    *("stop {at} all confirm close", "stop {at} all confirm 3", "stop {at} all confirm run"),
    *("stop {at} 5000", "stop {at} 900000 USDT", "stop {at} 0.5 EUR", "stop {up} all then"),
    *("buy below {at} trail 2% 900000 USDT", "buy below {at} trail 2% 1 USDT", "buy stop {at}"),
    *("buy below {at} trail 2% all", "buy stop {at} 100 USDT", "buy below {up} trail 2% 100 USDT"),
    *("buy below {at} trail 2% 500 USDT then swing 1%", "stop {at} all backstop {up}"),
    *("sell above {up} trail 2% all stop {up}", "trail 0.01% all then swing 0.01%"),
)


def _at(symbol: str, talk: AgentTalk) -> dict[str, str]:
    exchange = talk.world.exchange
    price, rules = exchange.prices[symbol], exchange.rules[symbol]
    at, up = (rules.price_down(price * share / 100) for share in (95, 105))
    return {"at": plain(at), "up": plain(up)}


def _example(answer: Answer) -> str:
    """The line to send instead; empty where what was sent is no refusal."""
    if not answer.title.startswith("✋"):
        return ""
    assert "Try:" in answer.text, answer.text
    return answer.text.rpartition("Try: ")[2]


async def _wrong_examples(talk: AgentTalk, lines: list[str]) -> list[tuple[str, str, str]]:
    found = []
    for line in lines:
        asked = await talk.ask(line)
        example = _example(asked)
        if not example:
            continue
        answer = await talk.ask(example)
        if answer.title.startswith(("✋", "💥", "⏳")):
            found.append((line, example, answer.text))
    return found


@pytest.mark.parametrize("symbol", SYMBOLS)
async def test_what_a_refused_tracker_shows_to_send_instead_is_taken(symbol: str) -> None:
    async with agent_talk() as talk:
        at = _at(symbol, talk)
        rules = [f"/track {symbol} {rule.format(**at)}".strip() for rule in _RULES]
        lines = [f"{rule} {word}" for rule in rules for word in _SLIPS]
        assert await _wrong_examples(talk, [*rules, *lines]) == []


@pytest.mark.parametrize("symbol", SYMBOLS)
async def test_what_a_refused_order_shows_to_send_instead_is_taken(symbol: str) -> None:
    async with agent_talk() as talk:
        begun = [f"/{name} {symbol}" for name in ("buy", "sell", "trade", "close")]
        begun += [f"/trade {symbol} {side}" for side in ("buy", "sell", "hold")]
        words = (
            *_WORDS,
            "0.00001",
            "1 USDT",
            "900000 USDT",
            "5 EUR",
            "50% limit",
            "100%",
            "5 limit x",
        )
        lines = [f"{line} {word}" for line in begun for word in words]
        assert await _wrong_examples(talk, lines) == []


_CHANGES = (
    *("", "x", "stop", "stop x", "stop 99%", "stop 0.01%", "trail", "trail 250%", "trail x"),
    *("level", "level x", "level 900000", "amount", "amount 9000", "amount 5 EUR", "amount 0%"),
    *("confirm", "confirm x", "confirm 3", "confirm close", "then", "then swing", "then x"),
    *("backstop", "backstop 900000", "backstop x", "slippage", "slippage 90%", "price", "price x"),
    *("pause x", "cancel x", "exit x", "why x", "chart x", "tighten x", "stop 900000"),
)


@pytest.mark.parametrize("symbol", SYMBOLS)
async def test_what_a_refused_change_shows_to_send_instead_is_taken(symbol: str) -> None:
    async with agent_talk() as talk:
        at = _at(symbol, talk)
        kinds = ["trail 3% all", "stop {at} all", "sell above {up} trail 2% all"]
        kinds += ["buy below {at} trail 2% 20%", "trail 5% all then swing 6%"]
        for number, kind in enumerate(kinds, 1):
            await talk.confirm(f"/track {symbol} {kind.format(**at)}")
            begun = f"/tracker {number}"
            lines = [f"{begun} {change}" for change in _CHANGES if change]
            lines += [f"{begun} stop {at['up']}", f"{begun} level {at['up']}"]
            assert await _wrong_examples(talk, lines) == []
            ending = await talk.ask(f"/tracker {number} cancel")
            # What protects nothing ends unasked.
            if "Confirm" in ending.buttons:
                await talk.press(ending.buttons["Confirm"])
            assert talk.watched_trackers() == []


@pytest.mark.parametrize(
    "line",
    [
        *(
            "/sell BTC/USTD 5",
            "/buy SHIB/USTD 1 USDT",
            "/buy BTC/USTD 900000 USDT",
            "/sel ETH/USDT 5",
        ),
        *("/track BTC/USTD stop 70000 all", "/close ETH/USTD 5%", "/trade BTC/USTD hold 5"),
        *("/trackr 1 stop 5", "/abort BTC/USTD", "/sell BTC/USTD 50%", "/buy ADA/BTC 1 BTC"),
    ],
)
async def test_what_is_shown_for_a_misspelt_word_is_taken_line_and_buttons(line: str) -> None:
    async with agent_talk() as talk:
        refused = await talk.ask(line)
        assert await _wrong_examples(talk, [line]) == []
        for label, sent in refused.buttons.items():
            answer = await talk.press(sent)
            assert not answer.title.startswith("✋"), (label, answer.text)


@pytest.mark.parametrize("more", ["stop {at}", "stop 5%", "then cooldown stop {at}"])
@pytest.mark.parametrize("amount", ["500 USDT", "900000 USDT"])
async def test_a_purchase_with_a_stop_is_answered_by_that_purchase_and_never_by_a_sale(
    amount: str, more: str
) -> None:
    async with agent_talk() as talk:
        at = _at("BTC/USDT", talk)
        line = f"/track BTC/USDT buy stop {{up}} {amount} {more}".format(**at)
        example = _example(await talk.ask(line))
        assert example.startswith(f"/track BTC/USDT buy stop {at['up']} ")
        assert await _wrong_examples(talk, [line]) == []


async def test_a_swing_whose_stop_would_sell_what_it_buys_at_once_is_refused() -> None:
    async with agent_talk() as talk:
        line = "/track BTC/USDT buy below 55000 trail 1% 500 USDT stop {} then swing"
        for stop in ("55000", "70000"):
            answer = await talk.ask(line.format(stop))
            assert f"The stop {stop} should be below the level 55000" in answer.text
            assert _example(answer) == line.format("52200")
        await talk.confirm(line.format("52200"))
        for price in ("54000", "54600", "80000"):
            await talk.world.move(price)
        # Of what was bought the stop may follow the price.
        changed = await talk.ask("/tracker 1 stop 70000")
        assert "Hard stop 70,000.00" in changed.text


async def test_what_is_shown_when_a_confirmed_purchase_is_refused_is_taken() -> None:
    async with agent_talk() as talk:
        asked = await talk.ask("/buy BTC/USDT 9000 USDT")
        await talk.confirm("/track ETH/USDT buy below 2500 trail 1% 6000 USDT")
        refused = await talk.press(asked.buttons["Confirm"])
        answer = await talk.ask(_example(refused))
        assert not answer.title.startswith("✋"), answer.text


# The price that a purchase at the market bears is a little above the present one.
@pytest.mark.parametrize(
    ("line", "least", "enough"),
    [("/buy BTC/USDT", 61, 122), ("/track BTC/USDT buy below 55000 trail 1%", 60, 120)],
)
async def test_too_little_for_a_dear_lot_is_answered_by_what_buys_one(
    line: str, least: int, enough: int
) -> None:
    async with agent_talk() as talk:
        rules = talk.world.exchange.rules
        rules["BTC/USDT"] = replace(rules["BTC/USDT"], quantity_step=Decimal("0.001"))
        await talk.world.kill()
        await talk.world.start()
        talk.services.desk = talk.world.desk
        answer = await talk.ask(f"{line} 20 USDT")
        assert f" {least} USDT" in answer.text
        assert _example(answer) == f"{line} {enough} USDT"
        assert (await talk.ask(_example(answer))).title.startswith("❔")


@pytest.mark.parametrize(
    "name", ["closeall", "panic", "pause", "reduce", "resume", "halt", "ack", "abort", "tracker"]
)
async def test_what_any_other_refusal_shows_to_send_instead_is_taken(name: str) -> None:
    async with agent_talk() as talk:
        lines = [f"/{name} {word}" for word in (*_WORDS, "ETH/USDT", "everything now")]
        if name in {"closeall", "abort"}:
            lines.append(f"/{name}")
        assert await _wrong_examples(talk, lines) == []
