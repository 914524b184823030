"""Exits that want more than is left: cut down to what is managed, or by what a backstop sold."""

import logging
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from trading.domain.errors import StorageLost
from trading.domain.events import Event, IntentChanged, IntentClosed
from trading.domain.money import ZERO
from trading.domain.order import BACKSTOP_SOLD, Intent
from trading.domain.tracker import Tracker
from trading.execution import ladder, reconcile
from trading.execution.engine.case import Case
from trading.execution.engine.surroundings import Surroundings

logger = logging.getLogger(__name__)
_ENDS_READ = 200


class Cutting:
    """Takes off exits what they will not find; the caller holds the lock of what it names."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._s = surroundings

    async def cut(self, case: Case) -> bool:
        """Let an exit want no more than is managed, orders at work aside; whether that was less."""
        if self._gone(case) <= 0:
            return False
        sold = await self.backstop_sold(case.intent, case.intent.created_at)
        # Others may have been cut for the same coins while that was read.
        gone = self._gone(case)
        if gone <= 0:
            return False
        left, reason = case.intent.quantity - gone, case.intent.reason
        if left <= 0 and sold > gone - self._s.rules[case.intent.symbol].quantity_step:
            reason = BACKSTOP_SOLD
        case.intent = replace(case.intent, quantity=left, reason=reason)
        case.obstacle = None
        await self._s.writer.keep(IntentChanged(case.intent, self._s.now()))
        case.wake()
        return True

    def _gone(self, case: Case) -> Decimal:
        """Return the base units that an exit wants beyond what is managed, 0 if not even a step."""
        symbol = case.intent.symbol
        idle = case.intent.quantity - ladder.filled(case.attempts) - case.unfilled_live
        gone = min(self._s.exiting(symbol) - self._s.portfolio_of().managed(symbol), idle)
        is_opening = any(not one.is_booked for one in self._s.cases.values())
        is_over = is_opening or case.intent.state.is_terminal
        # Of a market that is gone nobody knows what a step is, and nothing of it is sold.
        if is_over or not self._s.is_listed(symbol):
            return ZERO
        return ZERO if gone < self._s.rules[symbol].quantity_step else gone

    async def backstop_sold(self, arming: Intent | Tracker, since: datetime) -> Decimal:
        """Return the base units that backstops sold of what an exit or a tracker wanted to sell."""
        try:
            read = await self._s.writer.latest(_ENDS_READ, (IntentClosed.__name__,))
        except StorageLost as error:
            logger.warning("ends_not_read", extra={"error": str(error)})
            return ZERO
        ended = (one.event for one in read if isinstance(one.event, IntentClosed))
        return reconcile.backstop_sales(ended, arming, since)

    def sold_by(self, backstop: Case, sold: Decimal) -> list[Event]:
        """Take what a backstop sold off what its tracker's exit wants: both sell one slice.

        It is written with that sale: whoever knows of it knows how little is left to sell.
        """
        events: list[Event] = []
        for case in self._s.exits_of(backstop) if sold else ():
            done = ladder.filled(case.attempts)
            left = max(case.intent.quantity - sold, done + case.unfilled_live)
            rules = self._s.rules.get(case.intent.symbol)
            if not done and (left <= 0 or (rules is not None and left < rules.quantity_step)):
                case.intent = replace(case.intent, quantity=ZERO, reason=BACKSTOP_SOLD)
            else:
                case.intent = replace(case.intent, quantity=left)
            case.obstacle = None
            case.wake()
            if case.is_begun:
                # What is just being opened is written with what is left.
                events.append(IntentChanged(case.intent, self._s.now()))
        return events
