"""A key may trade and read from one address; every right beyond that is named."""

from dataclasses import replace

import pytest

from trading.key_rights import judge_key
from trading.ports.exchange import KeyPermissions

GOOD = KeyPermissions(can_trade=True, can_withdraw=False, can_transfer=False, is_ip_restricted=True)


def _names(rights: KeyPermissions, *, accepts: bool = False) -> list[str]:
    return [finding.name for finding in judge_key(rights, accepts_unrestricted=accepts)]


def test_a_key_that_may_only_trade_from_one_address_is_fine() -> None:
    assert _names(GOOD) == []
    assert _names(GOOD, accepts=True) == []


@pytest.mark.parametrize(
    ("right", "name"),
    [("can_withdraw", "withdraw"), ("can_transfer", "transfer"), ("can_borrow", "borrow")],
)
def test_a_dangerous_right_is_never_accepted(right: str, name: str) -> None:
    rights = replace(GOOD, **{right: True})
    assert _names(rights) == [name]
    assert _names(rights, accepts=True) == [name]
    [finding] = judge_key(rights, accepts_unrestricted=True)
    assert finding.is_dangerous


def test_a_key_for_any_address_is_accepted_only_by_the_hosts_word() -> None:
    rights = replace(GOOD, is_ip_restricted=False)
    [finding] = judge_key(rights, accepts_unrestricted=False)
    assert finding.is_dangerous
    assert "UMBRA_ALLOW_UNRESTRICTED_KEY=true" in finding.text
    assert _names(rights, accepts=True) == []


def test_an_exchange_that_keeps_rights_to_itself_needs_the_hosts_word() -> None:
    rights = KeyPermissions(True, True, True, is_ip_restricted=False, is_told=False)
    assert _names(rights) == ["untold"]
    assert _names(rights, accepts=True) == []


def test_a_key_that_may_not_trade_is_told_and_stops_no_start() -> None:
    [finding] = judge_key(replace(GOOD, can_trade=False), accepts_unrestricted=False)
    assert not finding.is_dangerous


def test_everything_wrong_is_named_at_once() -> None:
    worst = KeyPermissions(False, True, True, is_ip_restricted=False, can_borrow=True)
    assert _names(worst) == ["withdraw", "transfer", "borrow", "unrestricted", "idle"]
