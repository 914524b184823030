"""The guided cards: only what can be done is offered to be tapped."""

from dataclasses import replace
from decimal import Decimal

import pytest

from tests.fakes.desk import INSTRUMENTS, instrument
from tests.unit.bot.telegram.commands.talk import Talk
from trading.domain.market import Quote
from trading.domain.money import ZERO
from trading.domain.position import Balance
from trading.overview import AccountView, BalanceView


@pytest.fixture
def talk(monkeypatch: pytest.MonkeyPatch) -> Talk:
    monkeypatch.setitem(INSTRUMENTS, "SOL/USDT", instrument("SOL/USDT"))
    return Talk()


def holding(talk: Talk, monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    """Let the account hold one of each asset, worth so much."""
    balances = tuple(
        BalanceView(Balance(asset, Decimal(1), ZERO), Decimal(value), ZERO)
        for asset, value in values.items()
    )
    account = replace(talk.desk.account(), balances=balances)
    monkeypatch.setattr(talk.desk, "account", lambda: account)
    assert isinstance(account, AccountView)


def paying(talk: Talk, monkeypatch: pytest.MonkeyPatch, free: str) -> None:
    """Let the account hold this much money and nothing else."""
    money = BalanceView(Balance("USDT", Decimal(free), ZERO), Decimal(free), ZERO)
    account = replace(talk.desk.account(), balances=(money,))
    monkeypatch.setattr(talk.desk, "account", lambda: account)


async def test_only_what_is_held_is_offered_to_be_sold(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk.desk.held = {}
    holding(talk, monkeypatch, ETH="3000", USDT="10000", SOL="0.01", XYZ="5")
    answer = await talk.ask("/sell")
    assert list(answer.buttons) == ["ETH/USDT", "Cancel"], (
        "SOL is too little to sell, XYZ has no market"
    )
    assert "/sell ETH/USDT 50%" in answer.text
    assert {"BTC/USDT", "SOL/USDT"} <= set((await talk.ask("/buy")).buttons)


async def test_nothing_is_offered_to_be_sold_where_nothing_is_held(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk.desk.held = {}
    holding(talk, monkeypatch, USDT="10000")
    answer = await talk.ask("/sell")
    assert answer.title == "✋ Nothing is held that could be"
    assert "Try: /balance" in answer.text
    assert list(answer.buttons) == []


async def test_amounts_to_spend_are_of_the_size_of_the_market(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {"50 USDT", "100 USDT", "500 USDT"} <= set((await talk.ask("/buy BTC/USDT")).buttons)
    cheap = replace(INSTRUMENTS["ETH/BTC"], notional_min=Decimal("0.0001"))
    monkeypatch.setitem(INSTRUMENTS, "ETH/BTC", cheap)
    asked = await talk.ask("/buy ETH/BTC")
    assert list(asked.buttons) == ["0.001 BTC", "0.002 BTC", "0.01 BTC", "Cancel"]
    assert asked.text.endswith("type one: 0.01 BTC")
    free = replace(cheap, notional_min=ZERO)
    monkeypatch.setitem(INSTRUMENTS, "ETH/BTC", free)
    assert list((await talk.ask("/buy ETH/BTC")).buttons) == ["10%", "25%", "50%", "Cancel"]


async def test_amounts_to_spend_buy_a_lot_where_one_is_dear_and_the_account_can_pay_them(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    # At 60,000 a lot costs 60 USDT.
    dear = replace(INSTRUMENTS["BTC/USDT"], quantity_step=Decimal("0.001"))
    monkeypatch.setitem(INSTRUMENTS, "BTC/USDT", dear)
    for line in ("/buy BTC/USDT", "/track BTC/USDT buy below 55000 trail 1%"):
        asked = await talk.ask(line)
        assert list(asked.buttons) == ["600 USDT", "1200 USDT", "6000 USDT", "Cancel"]
    paying(talk, monkeypatch, "700")
    asked = await talk.ask("/buy BTC/USDT")
    assert list(asked.buttons) == ["120 USDT", "300 USDT", "600 USDT", "Cancel"]
    paying(talk, monkeypatch, "100")
    refused = await talk.ask("/buy BTC/USDT")
    assert "100.00 USDT is free: too little to buy BTC with, which takes 120 USDT" in refused.text


@pytest.mark.parametrize(
    ("rule", "crossed", "level"), [("stop", "60001", "59000"), ("buy stop", "59999", "61000")]
)
async def test_a_level_that_is_crossed_already_is_refused_where_it_is_typed(
    talk: Talk, rule: str, crossed: str, level: str
) -> None:
    await talk.ask(f"/track BTC/USDT {rule}")
    refused = await talk.ask(crossed)
    assert f"The stop {crossed} is already crossed: the price is 60,000" in refused.text
    assert "Type it again" in refused.text
    assert (await talk.ask(level)).title == "🎯 BTC/USDT: how much?"


async def test_what_is_typed_for_a_question_of_before_a_restart_is_told_that_it_ended(
    talk: Talk,
) -> None:
    asked = await talk.ask("/buy BTC/USDT")
    talk.restarted()
    told = await talk.ask("100 USDT")
    assert "If it answers a question, that ended when Umbra restarted" in told.text
    # Its buttons hold all that was chosen, and go on.
    assert (await talk.press(asked.buttons["100 USDT"])).title.startswith("❔ Buy")
    assert "restarted" not in (await talk.ask("100 USDT")).text


async def test_a_slip_of_the_finger_ends_no_guide_and_a_command_does(talk: Talk) -> None:
    await talk.ask("/buy BTC/USDT")
    slip = await talk.ask("1oo USDT")
    assert "Type it again, or send cancel to leave this" in slip.text
    assert (await talk.ask("100 USDT")).title.startswith("❔ Buy")
    await talk.ask("/buy BTC/USDT")
    await talk.ask("x")
    await talk.ask("/status")
    assert "Commands start with a slash" in (await talk.ask("100 USDT")).text


@pytest.mark.parametrize("begun", ["/buy BTC/USDT", "/trade BTC/USDT buy"])
async def test_a_bare_number_for_a_purchase_is_asked_whether_it_is_money_or_coins(
    talk: Talk, begun: str
) -> None:
    await talk.ask(begun)
    answer = await talk.ask("100")
    assert answer.title == "🔁 100 of what?"
    assert answer.buttons == {
        "100 USDT": "=/buy BTC/USDT 100 USDT",
        "100 BTC": "=/buy BTC/USDT 100 BTC",
        "Cancel": f"={begun.split(maxsplit=1)[0]} cancel",
    }
    assert (await talk.press("=/buy BTC/USDT 100 USDT")).title.startswith("❔ Buy")
    await talk.ask(begun)
    await talk.ask("100")
    assert (await talk.ask("usdt")).title.startswith("❔ Buy")


async def test_a_guide_that_ended_in_taps_takes_nothing_that_is_typed_later(talk: Talk) -> None:
    await talk.ask("/track")
    await talk.press("=/track BTC/USDT trail 2%")
    asked = await talk.press("=/track BTC/USDT trail 2% all")
    assert asked.title.startswith("❔ BTC/USDT")
    assert "Commands start with a slash" in (await talk.ask("0.1")).text
    await talk.ask("/sell BTC/USDT")
    await talk.press("=/sell BTC/USDT 50%")
    assert "Commands start with a slash" in (await talk.ask("0.1")).text


async def test_a_bare_number_of_a_sale_or_of_a_whole_line_is_of_coins(talk: Talk) -> None:
    await talk.ask("/sell BTC/USDT")
    assert (await talk.ask("0.1")).title.startswith("❔ Sell")
    assert (await talk.ask("/buy BTC/USDT 0.1")).title.startswith("❔ Buy")


async def test_what_can_be_closed_is_worth_so_much_of_its_currency(talk: Talk) -> None:
    assert "BTC/USDT = 30,000.00 USDT" in (await talk.ask("/close")).text


async def test_a_symbol_that_nobody_watched_is_asked_for_its_price_and_has_levels_to_tap(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched: set[str] = set()
    known = talk.desk.quote

    async def look(symbol: str) -> Quote | None:
        watched.add(symbol)
        return known(symbol)

    monkeypatch.setattr(
        talk.desk, "quote", lambda symbol: known(symbol) if symbol in watched else None
    )
    monkeypatch.setattr(talk.desk, "look", look)
    asked = await talk.press("=/track ETH/USDT stop")
    assert "Price 3,000.00" in asked.text
    assert asked.buttons["2,940.00 (-2%)"] == "=/track ETH/USDT stop 2940"
    assert asked.text.endswith("Tap a level or type one: 2940")
    watched.clear()
    assert "Price 3,000.00" in (await talk.press("=/track ETH/USDT")).text
    watched.clear()
    await talk.press(asked.buttons["Cancel"])
    assert "bid 2,999.70" in (await talk.ask("ETH/USDT")).text


async def test_lines_are_shown_around_the_present_price_and_can_be_sent(talk: Talk) -> None:
    asked = await talk.ask("/track ETH/USDT")
    line = asked.text[asked.text.index("/track ETH/USDT lines") :]
    assert " 2790 " in line
    assert (await talk.ask(line)).title == "❔ ETH/USDT lines?"


async def test_without_a_price_no_number_of_another_coin_is_shown_and_one_can_leave(
    talk: Talk,
) -> None:
    del talk.desk.prices["ETH/USDT"]
    asked = await talk.press("=/track ETH/USDT stop")
    assert "No price of it comes now Type a price:" in asked.text
    assert asked.buttons == {"Cancel": "=/track cancel"}
    assert " lines " not in (await talk.press("=/track ETH/USDT")).text
    assert "Not watched" not in (await talk.ask("ETH/USDT")).text


@pytest.mark.parametrize("begun", ["/track", "/track ETH/USDT stop", "/buy ETH/USDT", "/trade"])
async def test_a_guide_is_left_by_its_button_and_by_the_word(talk: Talk, begun: str) -> None:
    asked = await talk.ask(begun)
    left = await talk.press(asked.buttons["Cancel"])
    assert left.text == "✖️ Cancelled Nothing was done."
    assert "Commands start with a slash" in (await talk.ask("2900")).text
    await talk.ask(begun)
    assert (await talk.ask("Cancel")).text == left.text
    assert "Commands start with a slash" in (await talk.ask("2900")).text
    assert talk.desk.executed == []


async def test_a_number_too_long_for_a_button_is_typed(talk: Talk) -> None:
    await talk.ask("/buy BTC/USDT")
    asked = await talk.ask("0.0000000000000000000000001")
    assert "failed inside" not in asked.text
