"""What the person did outside of Umbra: managed coins that are gone, proven or not."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from trading.domain.chat import Severity
from trading.domain.events import AlertRaised, ConditionChanged, Event, PositionAdjusted
from trading.domain.instrument import Instrument, base_and_quote
from trading.domain.money import ONE, ZERO, grouped, plain
from trading.domain.position import DOLLARS, AdjustReason, Balance, Position
from trading.execution import reconcile
from trading.execution.reconcile import Finding
from trading.reachability import BALANCES_DISAGREE

OFF_PEG = "off_peg"
# The topic of alarms about managed coins that the account does not show.
MISSING = "short"
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
    return sorted(finding.asset for finding in short)


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


@dataclass(frozen=True, slots=True)
class Gone:
    """Managed units of an asset that are missing, and what is known of it.

    `managed` are the units by symbol. `trades` is what others took of such coins, on the markets
    that were `looked` at, and `fits` whether the account shows just what they have left;
    `is_proven` says that the account and its stream agree for long enough, and `since` when that
    began.
    """

    asset: str
    quantity: Decimal
    managed: Mapping[str, Decimal]
    since: datetime
    trades: Sequence[Finding] = ()
    looked: Sequence[str] = ()
    fits: bool = True
    is_proven: bool = False

    @property
    def is_traded(self) -> bool:
        """Whether others took enough for all of it."""
        return sum((one.quantity for one in self.trades), ZERO) >= self.quantity

    @property
    def is_known(self) -> bool:
        """Whether they count as gone.

        A sale of coins that nobody managed is no proof, when an answer that lies comes after it.
        """
        return (self.is_traded and self.fits) or self.is_proven

    @property
    def sales(self) -> Sequence[Finding]:
        """The trades that took some."""
        return [one for one in self.trades if one.quantity > 0]

    @property
    def shares(self) -> Mapping[str, Decimal]:
        """What each position loses: the one whose market sold them first, then the greatest."""
        sold = {one.symbol: one.quantity for one in self.sales if one.symbol in self.managed}
        shares, left = dict.fromkeys(self.managed, ZERO), self.quantity
        greatest = sorted(self.managed, key=lambda symbol: -self.managed[symbol])
        for symbol, most in (*sold.items(), *((each, self.managed[each]) for each in greatest)):
            share = min(left, most, self.managed[symbol] - shares[symbol])
            shares[symbol] += share
            left -= share
        return {symbol: share for symbol, share in shares.items() if share}

    @property
    def alarm(self) -> str:
        """The id of the alarm about it: one a day, and another for another quantity."""
        return f"{MISSING}:{self.asset}:{self.since.isoformat()}"


def settle(gone: Gone, now: datetime) -> list[Event]:
    """Turn missing coins into facts: what is proven shrinks what is managed, absence alarms.

    Absence of a balance is not a sale (`trackers.md` §4): without a trade in the exchange's history
    or agreeing reads the position stays, its stops keep watching, and the person is told loudly
    once a day.
    """
    amount = f"{grouped(gone.quantity)} {gone.asset}"
    if not gone.is_known:
        text = (
            f"{amount} of what Umbra manages are missing on the exchange, and no trade explains it "
            f"({_looked(gone)}): its stops keep watching. If the account and its stream go on to "
            "agree, these coins count as gone; with a deposit they are back"
        )
        return [AlertRaised(f"{gone.alarm}:{now.date()}", Severity.CRIT, text, now)]
    how, note = _how(gone)
    prices = {one.symbol: one.price for one in gone.sales if one.price}
    facts: list[Event] = [
        PositionAdjusted(symbol, -share, prices.get(symbol, ONE), AdjustReason.EXTERNAL, note, now)
        for symbol, share in gone.shares.items()
    ]
    name = f"outside:{gone.asset}:{now.isoformat()}"
    text = f"{amount} {how}: its trackers shrink to what is left"
    return [*facts, AlertRaised(name, Severity.WARN, text, now)]


def _how(gone: Gone) -> tuple[str, str]:
    """Say how coins went, for the person and for the journal."""
    if not gone.is_traded:
        return (
            f"left the account without a trade ({_looked(gone)}), as a withdrawal does",
            "left the account",
        )
    markets = ", ".join(dict.fromkeys(one.symbol for one in gone.sales))
    verbs = dict.fromkeys("sold" if one.price else "spent" for one in gone.sales)
    return f"were {' and '.join(verbs)} outside of Umbra, on {markets}", "sold outside of Umbra"


def _looked(gone: Gone) -> str:
    found = [f"{grouped(one.quantity)} on {one.symbol}" for one in gone.sales]
    traded = f", {' and '.join(found)} found" if found else ""
    return f"looked at: {', '.join(gone.looked) or 'none'}{traded}"


def asset_of(alert: AlertRaised) -> str:
    """Return of which asset an alarm says that coins are missing, empty when it is about others."""
    # Older journals name the symbol.
    return base_and_quote(alert.alert_id.split(":")[1])[0] if alert.topic == MISSING else ""


def is_over(alert: AlertRaised, missing: Iterable[Gone], unknown: Collection[str]) -> bool:
    """Whether an alarm is about coins that are no longer `missing` as it says.

    Of assets that are `unknown` nothing ends.
    """
    asset = asset_of(alert)
    if not asset or asset in unknown:
        return False
    return not any(alert.alert_id.startswith(each.alarm) for each in missing)
