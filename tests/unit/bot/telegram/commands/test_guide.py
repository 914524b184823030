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
