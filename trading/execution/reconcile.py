"""The difference between what we wrote down and what the exchange says, classified; it acts not.

Missing from a list is never terminal, and a balance that is absent is not a sale.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import Enum

from trading.domain.events import IntentClosed
from trading.domain.instrument import Instrument, base_and_quote
from trading.domain.money import ZERO, plain
from trading.domain.order import Attempt, AttemptState, Fill, Intent, OrderReport, Purpose, Side
from trading.domain.position import Balance, Position
from trading.domain.tracker import Tracker
from trading.execution.identity import is_ours

# Orders that the exchange is known to have, and that may still fill.
RESTING = frozenset({AttemptState.OPEN, AttemptState.PARTIAL, AttemptState.PENDING_CANCEL})


class Difference(Enum):
    """Kinds of differences."""

    ORPHAN = "orphan"
    LATE_FOUND = "late_found"
    BEHIND = "behind"
    FOREIGN_SALE = "foreign_sale"
    SHORT = "short"
    TWICE = "carried out twice"


# What is found of orders, and not of coins.
ORDERS = frozenset(Difference) - {Difference.FOREIGN_SALE, Difference.SHORT}
_OF_ORDERS = {
    Difference.ORPHAN: "is Umbra's and not in its journal",
    Difference.LATE_FOUND: "was taken for absent, and is there",
    Difference.BEHIND: "had come further than was known",
    Difference.TWICE: "was carried out twice",
}
_SHORT = re.compile(r"(\S+): the account shows ([0-9.]+) (\S+) less than Umbra manages")


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference; `quantity` in base units where coins are concerned.

    `parts` are the orders that `report` sums up, where the exchange has several under one id. Where
    coins are missing or were taken, `asset` are the coins that `quantity` counts, and `looked` the
    markets whose executions were read for it.
    """

    kind: Difference
    symbol: str
    report: OrderReport | None = None
    quantity: Decimal = ZERO
    price: Decimal = ZERO
    parts: tuple[OrderReport, ...] = ()
    asset: str = ""
    looked: tuple[str, ...] = ()


def sentence(finding: Finding) -> str:
    """Say what was found, for the card of a start."""
    coins = f"{plain(finding.quantity)} {finding.asset}"
    match finding.kind:
        case Difference.SHORT:
            return f"{finding.symbol}: the account shows {coins} less than Umbra manages"
        case Difference.FOREIGN_SALE:
            is_sale = finding.asset == base_and_quote(finding.symbol)[0]
            return f"{finding.symbol}: {coins} {'sold' if is_sale else 'spent'} outside of Umbra"
    order = f"order {finding.report.client_order_id}" if finding.report is not None else "an order"
    amount = f", {plain(finding.quantity)} filled" if finding.quantity else ""
    return f"{finding.symbol}: {order} {_OF_ORDERS[finding.kind]}{amount}"


def short_of(sentence: str) -> Finding | None:
    """Return which units a `sentence` says are missing, None where it says something else."""
    found = _SHORT.fullmatch(sentence)
    if found is None:
        return None
    return Finding(Difference.SHORT, found[1], quantity=Decimal(found[2]), asset=found[3])


def in_words(report: OrderReport) -> str:
    """Say what an order is, and how far it got."""
    return (
        f"{report.symbol}: {report.side.value} {plain(report.quantity)}, {report.status.value}, "
        f"{plain(report.filled_quantity)} filled ({report.client_order_id})"
    )


def orders(
    attempts: Mapping[str, Attempt], reports: Iterable[OrderReport], prefix: str
) -> Sequence[Finding]:
    """Compare every order that the exchange names with ours, by client order id.

    Several of its orders under one id count together: what each of them filled was filled.
    """
    newest: dict[str, dict[str, OrderReport]] = {}
    for report in reports:
        same = newest.setdefault(report.client_order_id, {})
        before = same.get(report.exchange_order_id)
        if before is None or _is_further(report, before):
            same[report.exchange_order_id] = report
    findings = []
    for order_id in sorted(newest):
        parts = tuple(newest[order_id].values())
        whole = _together(parts)
        if len(parts) > 1 and is_ours(order_id, prefix):
            filled = whole.filled_quantity
            findings.append(Finding(Difference.TWICE, whole.symbol, whole, filled, parts=parts))
        if (finding := _order(attempts.get(order_id), whole, prefix)) is not None:
            findings.append(finding)
    return findings


def _together(parts: Sequence[OrderReport]) -> OrderReport:
    furthest = parts[0]
    for part in parts[1:]:
        furthest = part if _is_further(part, furthest) else furthest
    if len(parts) == 1:
        return furthest
    resting = [part.status for part in parts if not part.status.is_terminal]
    return replace(
        furthest,
        status=resting[0] if resting else furthest.status,
        quantity=sum((part.quantity for part in parts), ZERO),
        filled_quantity=sum((part.filled_quantity for part in parts), ZERO),
        fills=tuple(fill for part in parts for fill in part.fills),
    )


def backstop_sales(
    ended: Iterable[IntentClosed], arming: Intent | Tracker, since: datetime
) -> Decimal:
    """Return the base units that backstops have sold of an arming's coins, or of all since then."""
    return sum(
        (
            each.intent.filled_quantity
            for each in ended
            if each.intent.purpose is Purpose.BACKSTOP
            and each.intent.symbol == arming.symbol
            and arming.tracker_id in {None, each.intent.tracker_id}
            and (
                each.at >= since
                or (each.intent.tracker_id, each.intent.arm_seq)
                == (arming.tracker_id, arming.arm_seq)
            )
        ),
        ZERO,
    )


def _is_further(report: OrderReport, before: OrderReport) -> bool:
    return (report.status.is_terminal, report.filled_quantity, report.updated_at) > (
        before.status.is_terminal,
        before.filled_quantity,
        before.updated_at,
    )


def _order(attempt: Attempt | None, report: OrderReport, prefix: str) -> Finding | None:
    if attempt is None:
        if not is_ours(report.client_order_id, prefix):
            return None
        return Finding(Difference.ORPHAN, report.symbol, report, report.filled_quantity)
    if attempt.state is AttemptState.ABSENT:
        return Finding(Difference.LATE_FOUND, report.symbol, report, report.filled_quantity)
    is_seen = attempt.state.is_terminal or attempt.state in RESTING
    is_behind = (
        not is_seen
        or report.filled_quantity > attempt.filled_quantity
        or (report.status.is_terminal and not attempt.state.is_terminal)
    )
    return Finding(Difference.BEHIND, report.symbol, report) if is_behind else None


def markets_of(
    asset: str,
    positions: Mapping[str, Position],
    balances: Mapping[str, Balance],
    instruments: Mapping[str, Instrument],
    most: int,
) -> Sequence[str]:
    """Return the markets on which units of an asset may have been traded away, `most` of them.

    First those where it is managed; then those against whatever the account holds, for a trade
    leaves there what it brought.
    """
    own = sorted(
        symbol
        for symbol, position in positions.items()
        if position.quantity > 0 and symbol in instruments and instruments[symbol].base == asset
    )
    others = sorted(
        symbol
        for symbol, of in instruments.items()
        if asset in {of.base, of.quote}
        and symbol not in own
        and (other := balances.get(of.quote if of.base == asset else of.base)) is not None
        and other.total
    )
    return [*own, *others][:most]


def taken(
    asset: str,
    symbol: str,
    fills: Iterable[Fill],
    ours: frozenset[str],
    prefix: str,
    after: datetime | None = None,
) -> Finding | None:
    """Return what orders that are not ours took of an asset on a market: sales less purchases.

    What came there is below 0: it is what else was sold. `ours` are the trade ids that we have
    booked: a venue may list executions without client id. Trades up to `after` are settled already,
    or older than what is managed now.
    """
    base, quote = base_and_quote(symbol)
    foreign = [
        fill
        for fill in fills
        if (after is None or fill.at > after)
        and fill.trade_id not in ours
        and not is_ours(fill.client_order_id, prefix)
    ]
    changes = [
        change for fill in foreign for name, change in fill.effects(base, quote) if name == asset
    ]
    if not (lost := -sum(changes, ZERO)):
        return None
    sold = [fill for fill in foreign if fill.side is Side.SELL and base == asset]
    quantity = sum((fill.quantity for fill in sold), ZERO)
    notional = sum((fill.notional for fill in sold), ZERO)
    price = notional / quantity if quantity else ZERO
    return Finding(Difference.FOREIGN_SALE, symbol, quantity=lost, price=price, asset=asset)


def shortfalls(
    positions: Mapping[str, Position],
    balances: Mapping[str, Balance],
    instruments: Mapping[str, Instrument],
) -> Sequence[Finding]:
    """Return where more is managed than the account holds, beyond one lot step per asset."""
    managed: dict[str, Decimal] = {}
    for position in positions.values():
        instrument = instruments.get(position.symbol)
        if instrument is not None and position.quantity > 0:
            managed[instrument.base] = managed.get(instrument.base, ZERO) + position.quantity
    # Every card asks for this: of hundreds of assets hardly one is short and looked at closely.
    missing = {
        asset: units - (balances[asset].total if asset in balances else ZERO)
        for asset, units in managed.items()
    }
    findings = []
    for asset in sorted(asset for asset, units in missing.items() if units > 0):
        held = [
            position
            for position in positions.values()
            if position.quantity > 0
            and (instrument := instruments.get(position.symbol)) is not None
            and instrument.base == asset
        ]
        if missing[asset] > max(instruments[position.symbol].quantity_step for position in held):
            # The largest position answers for the asset where several instruments share it.
            symbol = max(held, key=lambda position: position.quantity).symbol
            findings.append(Finding(Difference.SHORT, symbol, quantity=missing[asset], asset=asset))
    return findings
