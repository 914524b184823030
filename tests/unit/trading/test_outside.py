"""A proven sale elsewhere shrinks what is managed; a mere absence is an alarm, never a sale."""

from decimal import Decimal

import pytest

from tests.builders import NOON
from tests.catalogue import fired
from trading.domain.chat import Severity
from trading.domain.events import AlertRaised, PositionAdjusted
from trading.execution.reconcile import Difference, Finding
from trading.outside import off_peg, settle

SHORT = Finding(Difference.SHORT, "BTC/USDT", quantity=Decimal("0.2"))


@pytest.mark.fault("M09", "TELL")
@pytest.mark.fault("W11", "TELL SAID")
def test_a_sale_in_the_history_explains_missing_coins() -> None:
    sale = Finding(
        Difference.FOREIGN_SALE, "BTC/USDT", quantity=Decimal("0.3"), price=Decimal(60_000)
    )
    adjusted, alert = settle([SHORT, sale], NOON)
    assert isinstance(adjusted, PositionAdjusted)
    assert adjusted.quantity == Decimal("-0.2")
    assert adjusted.price == Decimal(60_000)
    assert isinstance(alert, AlertRaised)
    assert alert.severity is Severity.WARN
    gone = [one for one in (adjusted,) if one.quantity < 0]
    fired(gone, words=alert.text)


@pytest.mark.fault("M09", "TELL")
@pytest.mark.fault("X31", "TELL")
def test_missing_coins_without_a_sale_are_an_alarm_and_change_nothing() -> None:
    small = Finding(Difference.FOREIGN_SALE, "BTC/USDT", quantity=Decimal("0.1"))
    alarms = [alert for findings in ([SHORT], [SHORT, small]) for alert in settle(findings, NOON)]
    for alert in alarms:
        assert isinstance(alert, AlertRaised)
        assert alert.severity is Severity.CRIT
        assert "0.2 BTC" in alert.text
    assert len(alarms) == 2
    fired(alarms)


def test_a_sale_of_unmanaged_coins_is_nobodys_business() -> None:
    assert settle([Finding(Difference.FOREIGN_SALE, "BTC/USDT", quantity=Decimal(1))], NOON) == []


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
