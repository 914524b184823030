"""Two orders of the exchange under one id of ours: both count, none goes on, and it is told once.

Ids are never sent twice; where an exchange shows it all the same, something has gone wrong that a
person must know, and coins beyond what was decided have moved.
"""

from trading.domain.chat import Severity
from trading.domain.events import AlertRaised
from trading.domain.money import plain
from trading.execution.engine.reporting import Reporting
from trading.execution.engine.searching import Searching
from trading.execution.engine.surroundings import Surroundings
from trading.execution.reconcile import Finding


class Twins:
    """Takes what a comparison found; the sum of such orders is merged into their attempt before."""

    def __init__(
        self, surroundings: Surroundings, searching: Searching, reporting: Reporting
    ) -> None:
        self._s = surroundings
        self._searching = searching
        self._reporting = reporting
        self._told: set[str] = set()

    async def found(self, finding: Finding) -> bool:
        """Book what all of them did, cancel what rests, and tell it; whether that is news."""
        order_id = finding.parts[0].client_order_id
        case = self._reporting.case_of(order_id)
        if case is not None:
            await self._searching.read_fills(case)
        if any(not part.status.is_terminal for part in finding.parts):
            await self._s.gateway.cancel(finding.symbol, order_id)
        alert_id = f"twice:{order_id}:{plain(finding.quantity)}"
        if alert_id in self._told:
            return False
        self._told.add(alert_id)
        tracker_id = case.intent.tracker_id if case is not None else None
        text = _text(finding, order_id)
        alert = AlertRaised(alert_id, Severity.CRIT, text, self._s.now(), tracker_id)
        # What a process before this one has told is in the journal under the same id.
        return bool(await self._s.writer.keep(alert))


def _text(finding: Finding, order_id: str) -> str:
    side = finding.parts[0].side.value
    each = " and ".join(
        f"{plain(part.filled_quantity)} (order {part.exchange_order_id})" for part in finding.parts
    )
    return (
        f"{finding.symbol}: the exchange has {len(finding.parts)} orders under one id of ours "
        f"({order_id}, {side}), which filled {each}: {plain(finding.quantity)} together. All of it "
        "is booked, and coins beyond those under care may have been traded: compare /positions "
        "with the exchange"
    )
