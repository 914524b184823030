"""A proven sale elsewhere shrinks what is managed; a mere absence is an alarm, never a sale."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from tests.builders import NOON
from tests.catalogue import fired
from trading.domain.chat import Severity
from trading.domain.events import AlertRaised, PositionAdjusted
from trading.execution.reconcile import Difference, Finding
from trading.outside import Gone, is_over, off_peg, settle

SHORT = Gone("BTC", Decimal("0.2"), {"BTC/USDT": Decimal("0.5")}, NOON, looked=("BTC/USDT",))


def sold(quantity: str, symbol: str = "BTC/USDT") -> Finding:
    price = Decimal(60_000)
    amount = Decimal(quantity)
    return Finding(Difference.FOREIGN_SALE, symbol, quantity=amount, price=price, asset="BTC")


def spent(quantity: str, symbol: str = "ETH/BTC") -> Finding:
    return Finding(Difference.FOREIGN_SALE, symbol, quantity=Decimal(quantity), asset="BTC")


@pytest.mark.fault("M09", "TELL")
@pytest.mark.fault("W11", "TELL SAID")
def test_a_sale_in_the_history_explains_missing_coins() -> None:
    adjusted, alert = settle(replace(SHORT, trades=[sold("0.3")]), NOON)
    assert isinstance(adjusted, PositionAdjusted)
    assert adjusted.quantity == Decimal("-0.2")
    assert adjusted.price == Decimal(60_000)
    assert isinstance(alert, AlertRaised)
    assert alert.severity is Severity.WARN
    assert "0.2 BTC were sold outside of Umbra, on BTC/USDT" in alert.text
    gone = [one for one in (adjusted,) if one.quantity < 0]
    fired(gone, words=alert.text)


@pytest.mark.fault("M09", "TELL")
@pytest.mark.parametrize(
    ("trades", "words"),
    [
        ([spent("0.2")], "0.2 BTC were spent outside of Umbra, on ETH/BTC: its trackers shrink"),
        ([sold("0.1", "BTC/USDC"), spent("0.1")], "sold and spent outside of Umbra, on BTC/USDC, "),
    ],
)
def test_a_trade_on_another_market_of_the_coin_explains_them_too(
    trades: list[Finding], words: str
) -> None:
    adjusted, alert = settle(replace(SHORT, trades=trades), NOON)
    assert isinstance(adjusted, PositionAdjusted)
    assert (adjusted.symbol, adjusted.quantity) == ("BTC/USDT", Decimal("-0.2"))
    assert isinstance(alert, AlertRaised)
    assert words in alert.text
    fired(trades, words=alert.text)


@pytest.mark.fault("M09", "TELL")
@pytest.mark.fault("X31", "TELL")
def test_missing_coins_without_a_trade_are_an_alarm_and_change_nothing() -> None:
    alarms = []
    for trades in ([], [sold("0.1")]):
        [alarm] = settle(replace(SHORT, trades=trades), NOON)
        assert isinstance(alarm, AlertRaised)
        assert alarm.severity is Severity.CRIT
        assert "0.2 BTC" in alarm.text
        assert "looked at: BTC/USDT" in alarm.text
        alarms.append(alarm)
    assert "0.1 on BTC/USDT found" in alarms[1].text
    fired(alarms)


@pytest.mark.fault("M09", "TELL")
def test_what_left_without_a_trade_is_not_called_a_sale() -> None:
    adjusted, alert = settle(replace(SHORT, is_proven=True), NOON)
    assert isinstance(adjusted, PositionAdjusted)
    assert (adjusted.quantity, adjusted.note) == (Decimal("-0.2"), "left the account")
    assert isinstance(alert, AlertRaised)
    assert "left the account without a trade (looked at: BTC/USDT)" in alert.text
    fired([adjusted], words=alert.text)


def test_positions_that_share_a_coin_lose_first_where_it_was_sold_and_no_more_than_they_have() -> (
    None
):
    managed = {"BTC/USDT": Decimal("0.5"), "BTC/USDC": Decimal("0.3")}
    both = replace(SHORT, managed=managed)
    assert both.shares == {"BTC/USDT": Decimal("0.2")}
    assert replace(both, trades=[sold("0.1", "BTC/USDC")]).shares == {
        "BTC/USDT": Decimal("0.1"),
        "BTC/USDC": Decimal("0.1"),
    }
    assert (
        replace(both, quantity=Decimal("0.8"), trades=[sold("0.3", "BTC/USDC")]).shares == managed
    )


def test_an_alarm_ends_once_its_coins_are_there_or_count_as_gone() -> None:
    [alarm] = settle(SHORT, NOON)
    assert isinstance(alarm, AlertRaised)
    assert not is_over(alarm, [SHORT], ())
    assert is_over(alarm, [], ())
    # As long as orders of ours move these coins nobody can say.
    assert not is_over(alarm, [], {"BTC"})
    later = replace(SHORT, quantity=Decimal("0.3"), since=NOON + timedelta(minutes=1))
    assert is_over(alarm, [later], ())
    older = replace(alarm, alert_id="short:BTC/USDT:2026-11-19")
    assert not is_over(older, [], {"BTC"})
    assert is_over(older, [], ())
    assert not is_over(replace(alarm, alert_id="stranded:1:1"), [], ())


@pytest.mark.fault("M07", "SAID")
def test_a_dollar_that_most_other_dollars_are_apart_from_is_off_its_peg() -> None:
    prices = {
        "USDC/USDT": Decimal("1.54"),
        "FDUSD/USDT": Decimal("1.53"),
        "FDUSD/USDC": Decimal("0.995"),
    }
    found = off_peg({"USDT", "USDC", "BTC"}, prices)
    assert found == {"USDT": Decimal(1) / Decimal("1.53")}
    assert off_peg({"USDC"}, prices) == {}
    # Nobody knows, and the everyday distance is none.
    assert off_peg({"USDT"}, {}) == {}
    assert off_peg({"USDT"}, {"USDC/USDT": Decimal("1.001")}) == {}
    fired(found)
