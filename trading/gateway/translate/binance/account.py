"""Binance's account in our words: balances, and what a key may do."""

from collections.abc import Mapping, Sequence
from typing import Any

from trading.domain.position import Balance, Movement
from trading.domain.time import from_ms
from trading.gateway.translate.values import (
    Unusable,
    mapping,
    number,
    sequence,
    shown,
    signed,
    text,
    time_ms,
)
from trading.ports.exchange import KeyPermissions

# Some are written in other alphabets.
_ASSET_LENGTH_MAX = 40
_BORROWING_RIGHTS = (
    "enableMargin",
    "enableFutures",
    "enableVanillaOptions",
    "enablePortfolioMarginTrading",
)


def account_id(raw: object) -> str:
    """Read the account's id."""
    return text(mapping(raw, "account"), "uid")


def balances(raw: object) -> Mapping[str, Balance]:
    """Read all non-zero balances; an account without a list is no answer."""
    listed = sequence(mapping(raw, "account").get("balances"), "balances")
    found = [_balance(mapping(each, "balance"), "asset", "free", "locked") for each in listed]
    return {one.asset: one for one in found if one.total}


def streamed_balances(raw: object) -> Sequence[Balance]:
    """Read an outboundAccountPosition; zero is news there."""
    listed = sequence(mapping(raw, "position").get("B"), "B")
    return [_balance(mapping(each, "balance"), "a", "f", "l") for each in listed]


def streamed_movement(raw: object) -> Movement:
    """Read a balanceUpdate: a deposit, a withdrawal, or coins from or to another account."""
    source = mapping(raw, "balance update")
    asset = text(source, "a")
    # It is kept for good, and no journal holds a NUL or half a character.
    if not asset.isprintable() or len(asset) > _ASSET_LENGTH_MAX:
        raise Unusable(f"a should be the name of a coin, was {shown(asset)}")
    return Movement(asset, signed(source, "d"), from_ms(time_ms(source, "T")))


def _balance(source: Mapping[str, Any], asset: str, free: str, locked: str) -> Balance:
    return Balance(text(source, asset), number(source, free), number(source, locked))


def permissions(raw: object) -> KeyPermissions:
    """Read what the key may do; whatever is not said is not permitted, but a withdrawal is."""
    source = mapping(raw, "apiRestrictions")
    return KeyPermissions(
        can_trade=source.get("enableSpotAndMarginTrading") is True,
        # The one that must never be assumed away.
        can_withdraw=source.get("enableWithdrawals") is not False,
        can_transfer=source.get("permitsUniversalTransfer") is True
        or source.get("enableInternalTransfer") is True,
        is_ip_restricted=source.get("ipRestrict") is True,
        can_borrow=any(source.get(name) is True for name in _BORROWING_RIGHTS),
    )
