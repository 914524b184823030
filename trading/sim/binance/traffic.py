"""Prints many trades a second on request, so that readers can be measured under load."""

import asyncio
import contextlib
from dataclasses import dataclass
from decimal import Decimal
from random import Random

from trading.domain.errors import Refused
from trading.domain.order import Side
from trading.sim.binance.service import Service
from trading.sim.world import Market

_PULSE_S = 0.01
_RATE_MAX = 50_000


@dataclass(frozen=True, slots=True)
class TrafficPlan:
    """How many trades a second, how long, in which markets, how far from the price (a share)."""

    markets: tuple[Market, ...]
    rate_per_s: float
    seconds: float
    reach: float

    def __post_init__(self) -> None:
        if not 0 < self.rate_per_s <= _RATE_MAX:
            raise Refused(
                f"rate_per_s should be above 0, at most {_RATE_MAX}, was {self.rate_per_s}",
                example="5000",
            )
        if not 0 <= self.reach < 0.1:
            raise Refused(f"reach should be from 0 up to below 0.1, was {self.reach}")


class Traffic:
    """One plan at a time; a new one ends the old one."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._task: asyncio.Task[None] | None = None

    async def start(self, plan: TrafficPlan) -> None:
        """Begin to print."""
        await self.stop()
        self._task = asyncio.create_task(self._run(plan))

    async def stop(self) -> None:
        """End the printing."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self, plan: TrafficPlan) -> None:
        loop = asyncio.get_running_loop()
        chance = Random(len(plan.markets))
        began_s = loop.time()
        printed = 0
        total = int(plan.seconds * plan.rate_per_s)
        while printed < total:
            due = min(total, int((loop.time() - began_s) * plan.rate_per_s))
            while printed < due:
                self._print(plan.markets[printed % len(plan.markets)], plan.reach, chance)
                printed += 1
            await asyncio.sleep(_PULSE_S)

    def _print(self, market: Market, reach: float, chance: Random) -> None:
        tick = market.instrument.price_tick
        away = Decimal(int(float(market.price / tick) * reach * (2 * chance.random() - 1)))
        price = max(tick, market.price + away * tick)
        quantity = market.instrument.quantity_step * (1 + int(100 * chance.random()))
        side = Side.BUY if chance.random() < 0.5 else Side.SELL
        self._service.venue.exchange.trade(
            market.symbol, price, quantity, side, self._service.venue.now_ms()
        )
