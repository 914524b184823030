"""What the person did outside of Umbra: managed coins that are gone, proven or not."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from trading.domain.chat import Severity
from trading.domain.events import AlertRaised, ConditionChanged, Event, PositionAdjusted
from trading.domain.instrument import Instrument
from trading.domain.money import ONE, plain
from trading.domain.position import DOLLARS, AdjustReason, Balance, Position
from trading.execution import reconcile
from trading.execution.reconcile import Difference, Finding
from trading.reachability import BALANCES_DISAGREE

OFF_PEG = "off_peg"
# A share of a dollar: the everyday distance between two of them is a tenth of that.
_PEG_MAX = Decimal("0.02")


def off_peg(quotes: Iterable[str], prices: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """Return which of these quote currencies are worth another dollar no more, and how much.

    Against most of the other dollars that `prices` (by symbol) know it has to be off: with one
    alone nobody can say which of the two has left, and both are named.
    """
    found = {}
    for quote in sorted(DOLLARS.intersection(quotes)):
        rates = [
            rate for other in DOLLARS - {quote} if (rate := _rate(quote, other, prices)) is not None
        ]
        off = sorted(rate for rate in rates if abs(rate - ONE) > _PEG_MAX)
        if off and 2 * len(off) > len(rates):
            found[quote] = off[len(off) // 2]
    return found


def _rate(asset: str, other: str, prices: Mapping[str, Decimal]) -> Decimal | None:
    direct, inverse = prices.get(f"{asset}/{other}"), prices.get(f"{other}/{asset}")
    if direct:
        return direct
    return ONE / inverse if inverse else None


def pegged(off: Mapping[str, Decimal], now: datetime) -> ConditionChanged:
    """Return the fact that quote currencies left their peg, or that it is over."""
    text, severity = "what you trade in is worth a dollar again", Severity.INFO
    if off:
        worth = ", ".join(f"{name} is worth {plain(round(rate, 4))}" for name, rate in off.items())
        text = (
            f"{worth} of other dollars: stops and budgets in it keep their numbers, and those do "
            "not mean dollars now. Look at them"
        )
        severity = Severity.CRIT
    return ConditionChanged(OFF_PEG, None, bool(off), severity, text, now)


def ending(
    ends: Mapping[str, datetime], symbols: Iterable[str], now: datetime
) -> Sequence[AlertRaised]:
    """Return an alert for each of these symbols that the exchange will stop trading."""
    return [
        AlertRaised(
            f"delisting:{symbol}:{at.isoformat()}",
            Severity.CRIT,
            f"The exchange stops trading {symbol} at {at:%Y-%m-%d %H:%M} UTC: nothing of it can be "
            "sold after that, and its stops end with it. Sell or withdraw before",
            now,
        )
        for symbol in sorted(symbols)
        if (at := ends.get(symbol)) is not None
    ]


def missing(
    positions: Mapping[str, Position],
    balances: Mapping[str, Balance],
    instruments: Mapping[str, Instrument],
) -> Sequence[str]:
    """Return the coins of which an account shows less than is managed, beyond a lot step each."""
    short = reconcile.shortfalls(positions, balances, instruments)
    return sorted({finding.symbol.split("/", maxsplit=1)[0] for finding in short})


def compared(coins: Sequence[str], now: datetime) -> ConditionChanged:
    """Return the fact that an account shows less of these coins than is managed, or that it ended.

    While it stands nothing is added to what is at risk; what is managed stays managed.
    """
    text, severity = "the account shows what Umbra manages again", Severity.INFO
    if coins:
        text = (
            f"the account shows less {', '.join(coins)} than Umbra manages: that is no sale, stops "
            "keep watching, and nothing new is bought until both agree"
        )
        severity = Severity.WARN
    return ConditionChanged(BALANCES_DISAGREE, None, bool(coins), severity, text, now)


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
