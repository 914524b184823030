"""Executions that no report lists are read, and hold nothing up meanwhile."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

import pytest

from tests.catalogue import fired
from tests.unit.trading.execution.desk import BTC, Desk
from trading.domain.order import Fill, IntentState, OrderRequest, Side

HALF = Decimal("0.25")
ENTRY = "command:7:BTC/USDT"


async def sell_half(desk: Desk, price: int, *, has_bids: bool = True) -> None:
    """Sell a half whose executions nobody tells; the price is another one right after."""
    desk.exchange.fail("expire_half")
    desk.exchange.lists_executions = False
    accept = desk.exchange._accept

    def then(request: OrderRequest) -> object:
        accepted = accept(request)
        desk.exchange.prices[BTC] = Decimal(price)
        if not has_bids:
            desk.exchange.without_bids.add(BTC)
            desk.has_quotes = False
        return accepted

    desk.exchange._accept = then  # type: ignore[assignment,method-assign]
    await desk.open(desk.exit(slippage_max=Decimal("0.005") if has_bids else None))
    await desk.time.until(lambda: desk.exchange.filled() == HALF, 5)
    desk.exchange._accept = accept  # type: ignore[method-assign]


@pytest.mark.fault("X26", "EQ")
async def test_x26_a_list_that_does_not_come_keeps_no_sale_from_its_floor() -> None:
    desk = Desk()
    asked: list[str] = []

    async def hang(symbol: str, _: datetime) -> Sequence[Fill]:
        asked.append(symbol)
        await desk.time.sleep(10_000)
        return ()

    desk.exchange.fills_since = hang  # type: ignore[method-assign]
    await sell_half(desk, 50_000)
    await desk.time.finish(desk.engine.check_open_attempts())
    assert desk.blocked("below your floor")
    # For three seconds somebody pays enough.
    desk.exchange.prices[BTC] = Decimal(60_000)
    await desk.time.pass_by(3)
    assert desk.exchange.filled() == 2 * HALF
    fired(asked)


@pytest.mark.fault("X26", "SAID")
async def test_x26_a_sale_that_waits_for_bids_asks_no_oftener_for_what_it_has_sold() -> None:
    desk = Desk()
    unlisted = desk.exchange.fail("no_listing", times=10_000)
    await sell_half(desk, 60_000, has_bids=False)
    for _ in range(6):
        await desk.time.pass_by(10)
        await desk.time.finish(desk.engine.check_open_attempts())
    # Each look costs much of what an exchange lets through in a minute.
    assert unlisted.fired <= 6
    assert desk.told("has not listed its executions")
    unlisted.times = 0
    await desk.time.finish(desk.engine.check_open_attempts())
    assert desk.managed == HALF
    fired(unlisted.fired)


@pytest.mark.fault("X08c", "SAID")
@pytest.mark.parametrize("dies", [False, True])
@pytest.mark.parametrize("side", list(Side))
async def test_x08c_a_late_order_whose_executions_only_a_list_tells_is_booked(
    *, side: Side, dies: bool
) -> None:
    desk = Desk()
    late = desk.exchange.fail("late_match", after_s=60)
    desk.exchange.lists_executions = False
    intent = desk.entry() if side is Side.BUY else desk.exit("0.2")
    final = await desk.run(intent)
    managed = desk.managed
    assert final.state is (IntentState.EXPIRED if side is Side.BUY else IntentState.DONE)
    unlisted = desk.exchange.fail("no_listing", times=int(dies))
    desk.exchange.on_report = None
    await desk.time.pass_by(60)
    await desk.time.finish(desk.engine.check_open_attempts())
    assert desk.told("appeared late")
    if dies:
        assert (unlisted.fired, desk.managed) == (1, managed)
        desk = desk.restarted()
        await desk.time.finish(desk.engine.recover(await desk.store.state()))
        desk.engine.go_on()
        await desk.time.finish(desk.engine.check_open_attempts())
    came_late = desk.exchange.history[-1].filled
    assert came_late
    assert desk.managed - managed == side.sign * came_late
    fired(late.fired)
