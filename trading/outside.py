"""What the person did outside of Umbra: managed coins that are gone, proven or not."""

from collections.abc import Iterable
from datetime import datetime

from trading.domain.chat import Severity
from trading.domain.events import AlertRaised, Event, PositionAdjusted
from trading.domain.money import ONE, plain
from trading.domain.position import AdjustReason
from trading.execution.reconcile import Difference, Finding


def settle(findings: Iterable[Finding], now: datetime) -> list[Event]:
    """Turn findings into facts: a proven foreign sale shrinks what is managed, absence alarms.

    Absence of a balance is not a sale (`trackers.md` §4): without an execution in the exchange's
    history the position stays, its stops keep watching, and the person is told loudly once a day.
    """
    found = list(findings)
    sold = {item.symbol: item for item in found if item.kind is Difference.FOREIGN_SALE}
    facts: list[Event] = []
    for short in found:
        if short.kind is not Difference.SHORT:
            continue
        base = short.symbol.split("/", maxsplit=1)[0]
        amount = f"{plain(short.quantity)} {base}"
        sale = sold.get(short.symbol)
        if sale is None or sale.quantity < short.quantity:
            text = (
                f"{amount} of what Umbra manages are missing on the exchange, and its history has "
                "no sale of them: its stops keep watching; sell or deposit to set it right"
            )
            alert_id = f"short:{short.symbol}:{now.date().isoformat()}"
            facts.append(AlertRaised(alert_id, Severity.CRIT, text, now))
            continue
        note = "sold outside of Umbra"
        facts.append(
            PositionAdjusted(
                short.symbol, -short.quantity, sale.price or ONE, AdjustReason.EXTERNAL, note, now
            )
        )
        text = f"{amount} were sold outside of Umbra: its trackers shrink to what is left"
        alert_id = f"outside:{short.symbol}:{now.isoformat()}"
        facts.append(AlertRaised(alert_id, Severity.WARN, text, now))
    return facts
