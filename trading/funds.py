"""What came in or went out without a trade, until it is written down with its worth."""

import contextlib
import logging
from collections.abc import Awaitable, Callable
from decimal import Decimal

from trading.domain.errors import AlreadyRecorded
from trading.domain.events import FundsMoved
from trading.domain.money import ZERO
from trading.domain.position import Movement
from trading.portfolio import PortfolioBook
from trading.ports.clock import Clock

logger = logging.getLogger(__name__)
_WAITING_MAX = 1000


class Funds:
    """Holds what the exchange has told of; the journal refuses what it has already."""

    def __init__(
        self, book: PortfolioBook, clock: Clock, record: Callable[..., Awaitable[None]]
    ) -> None:
        self._book = book
        self._clock = clock
        self._record = record
        # The worth is that of the moment it was told, None where no price was known then.
        self._waiting = dict[Movement, Decimal | None]()

    def take(self, movement: Movement) -> None:
        """Take what the exchange tells, for `settle`."""
        if len(self._waiting) >= _WAITING_MAX:
            logger.error("movement_dropped", extra={"asset": movement.asset})
            return
        value = self._book.value(movement.asset, movement.quantity)
        self._waiting.setdefault(movement, value)

    @property
    def is_waiting(self) -> bool:
        """Whether anything is not written down yet."""
        return bool(self._waiting)

    async def settle(self, *, is_priced: bool = False) -> None:
        """Write down all whose worth is known.

        `is_priced` says that everything with a market has its price now: what has none counts
        nothing, here as in the account's worth.
        """
        for movement in list(self._waiting):
            # Another may have written it meanwhile.
            if movement not in self._waiting:
                continue
            value = self._waiting[movement]
            if value is None:
                value = self._book.value(movement.asset, movement.quantity)
            if value is None and not is_priced:
                continue
            with contextlib.suppress(AlreadyRecorded):
                await self._record(FundsMoved(movement, value or ZERO, self._clock.now()))
            self._waiting.pop(movement, None)
