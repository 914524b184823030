"""The guided cards: only what can be done is offered to be tapped."""

from dataclasses import replace
from decimal import Decimal

import pytest

from tests.fakes.desk import INSTRUMENTS, instrument
from tests.unit.bot.telegram.commands.talk import Talk
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


async def test_only_what_is_held_is_offered_to_be_sold(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk.desk.held = {}
    holding(talk, monkeypatch, ETH="3000", USDT="10000", SOL="0.01", XYZ="5")
    answer = await talk.ask("/sell")
    assert list(answer.buttons) == ["ETH/USDT"], "SOL is too little to sell, XYZ has no market"
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


async def test_a_slip_of_the_finger_ends_no_guide_and_a_command_does(talk: Talk) -> None:
    await talk.ask("/buy BTC/USDT")
    slip = await talk.ask("1oo USDT")
    assert "Type it again, or send another command to leave this" in slip.text
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
    }
    assert (await talk.press("=/buy BTC/USDT 100 USDT")).title.startswith("❔ Buy")
    await talk.ask(begun)
    await talk.ask("100")
    assert (await talk.ask("usdt")).title.startswith("❔ Buy")


async def test_a_bare_number_of_a_sale_or_of_a_whole_line_is_of_coins(talk: Talk) -> None:
    await talk.ask("/sell BTC/USDT")
    assert (await talk.ask("0.1")).title.startswith("❔ Sell")
    assert (await talk.ask("/buy BTC/USDT 0.1")).title.startswith("❔ Buy")


async def test_what_can_be_closed_is_worth_so_much_of_its_currency(talk: Talk) -> None:
    assert "BTC/USDT = 30,000.00 USDT" in (await talk.ask("/close")).text
