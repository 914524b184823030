"""What was bought beyond a decision: an order that was proven absent, and filled after all."""

from collections.abc import Sequence
from decimal import Decimal

from trading.domain.money import ZERO
from trading.domain.order import Fill, Intent, Side


def bought_beyond(intent: Intent, fills: Sequence[Fill]) -> Decimal:
    """Return the base units that executions bought beyond what an intent wanted.

    The newest executions, of `fills` oldest first, are what was too much. A sale buys nothing.
    """
    if intent.side is not Side.BUY:
        return ZERO
    if intent.quote_budget is None:
        return max(sum((fill.quantity for fill in fills), ZERO) - intent.quantity, ZERO)
    over = sum((fill.notional for fill in fills), ZERO) - intent.quote_budget
    beyond = ZERO
    for fill in reversed(fills):
        if over <= 0:
            break
        beyond += min(fill.quantity, over / fill.price)
        over -= fill.notional
    return beyond
