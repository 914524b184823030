"""The simulated account: what is locked stays locked, and nothing ever falls below zero."""

from decimal import Decimal

import pytest

from trading.domain.errors import Refused
from trading.sim.account import Account, InsufficientBalance, parse_balances


def test_a_lock_moves_money_from_free_to_locked_and_back() -> None:
    account = Account({"USDT": Decimal(100)})
    account.lock("USDT", Decimal(60))
    assert (account.free("USDT"), account.locked("USDT")) == (Decimal(40), Decimal(60))
    account.release("USDT", Decimal(10))
    account.spend("USDT", Decimal(50))
    assert (account.free("USDT"), account.locked("USDT")) == (Decimal(50), Decimal(0))
    assert account.total("USDT") == 50


def test_nobody_can_take_what_is_not_free() -> None:
    account = Account({"BTC": Decimal(1)})
    account.lock("BTC", Decimal("0.7"))
    with pytest.raises(InsufficientBalance, match=r"BTC free should be at least 0.4, was 0.3"):
        account.withdraw("BTC", Decimal("0.4"))
    with pytest.raises(ValueError, match="locked should be at least"):
        account.spend("BTC", Decimal("0.8"))


@pytest.mark.parametrize("amount", [Decimal(-1), Decimal("NaN"), Decimal("Infinity")])
def test_amounts_are_finite_and_not_negative(amount: Decimal) -> None:
    with pytest.raises(ValueError, match="finite"):
        Account({}).deposit("USDT", amount)


def test_an_asset_once_held_stays_listed() -> None:
    account = Account({"USDT": Decimal(5)})
    account.withdraw("USDT", Decimal(5))
    account.deposit("BTC", Decimal(0))
    assert account.assets == ("USDT", "BTC")


def test_balances_are_read_from_the_command_line() -> None:
    assert parse_balances("USDT=10000, BTC=0.5") == {
        "USDT": Decimal(10000),
        "BTC": Decimal("0.5"),
    }
    assert parse_balances("") == {}


@pytest.mark.parametrize(
    "text", ["USDT", "USDT=-1", "usdt=1", "USDT=1e5", "USDT=1,USDT=2", "=5", "B!C=1", "USDT="]
)
def test_balances_that_say_nothing_clear_are_refused(text: str) -> None:
    with pytest.raises(Refused):
        parse_balances(text)
