"""Gateway, engine and a real database together: each decision once, over real sockets."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from pathlib import Path

import pytest

from storage.store import Store
from tests.catalogue import fired
from tests.contract.gateway.worlds import BTC, MachineClock, control, simulated
from tests.fakes.full_disk import full_disk
from tests.integration.gateway.floor import Floor, check_once, executed, standing, until
from trading.domain.chat import Severity
from trading.domain.errors import StorageLost
from trading.domain.events import AlertRaised, Heartbeat, PositionAdjusted
from trading.domain.order import Fill, Intent, IntentState, Purpose, Side
from trading.domain.position import AdjustReason
from trading.execution.reconcile import Difference
from trading.risk.gate import Approved

pytestmark = pytest.mark.uncounted


@pytest.fixture
async def floor(tmp_path: Path) -> AsyncIterator[Floor]:
    async with simulated() as sim, standing(tmp_path, sim) as found:
        yield found


async def test_an_exit_is_sold_and_booked_exactly_as_the_exchange_did(floor: Floor) -> None:
    final = await floor.sell()
    orders = await floor.orders()
    assert final.state is IntentState.DONE
    assert executed(orders) == final.filled_quantity == Decimal("0.5")
    assert floor.book.snapshot().managed(BTC) == 0
    fills = await floor.store.records.fills()
    assert sum(fill.quantity for fill in fills) == Decimal("0.5")


@pytest.mark.parametrize(
    ("kind", "args"),
    [
        pytest.param("drop_response", {}, marks=pytest.mark.fault("X01", "ONE EQ KEEP")),
        pytest.param("status", {"status": 502}, marks=pytest.mark.fault("X03", "ONE EQ KEEP")),
        pytest.param("error_code", {"code": -1006}, marks=pytest.mark.fault("X04", "ONE EQ KEEP")),
        pytest.param("error_code", {"code": -1007}, marks=pytest.mark.fault("X05", "ONE")),
        pytest.param("html200", {}, marks=pytest.mark.fault("X25", "KEEP SAID")),
        pytest.param("empty_object", {}, marks=pytest.mark.fault("X25", "KEEP SAID")),
    ],
)
async def test_an_answer_lost_after_acceptance_leads_to_one_order(
    floor: Floor, kind: str, args: dict[str, object]
) -> None:
    await floor.fault(kind, **args, accept=True)
    await floor.sell()
    orders = await floor.orders()
    fired(await floor.fired(), words=f"{kind} {args}")
    assert len(orders) == 1
    await check_once(floor)


@pytest.mark.fault("X03b", "ONE")
async def test_an_answer_lost_before_acceptance_leads_to_a_second_attempt_after_the_proof(
    floor: Floor,
) -> None:
    await floor.fault("status", status=503, accept=False)
    began = time.monotonic()
    await floor.sell()
    orders = await floor.orders()
    assert await floor.fired() == 1
    assert [one["clientOrderId"][-2:] for one in orders] == ["-2"]
    assert executed(orders) == Decimal("0.5")
    assert time.monotonic() - began > 1.3
    fired(await floor.fired())


@pytest.mark.fault("X07", "EQ")
async def test_a_query_that_lags_does_not_become_an_absence(floor: Floor) -> None:
    for task in floor.tasks:
        task.cancel()
    await floor.fault("query_lag", seconds=1.0)
    await floor.fault("drop_response", accept=True)
    await floor.sell()
    assert await floor.fired() == 1
    assert len(await floor.orders()) == 1
    assert floor.book.snapshot().managed(BTC) == 0
    fired(await floor.fired())


@pytest.mark.fault("X20", "ONE")
async def test_a_thin_book_is_walked_down_until_all_is_sold(floor: Floor) -> None:
    await control(floor.sim, "book", {"symbol": "BTCUSDT", "quote_depth": "12000"})
    final = await floor.sell()
    orders = await floor.orders()
    assert len(orders) > 1
    assert executed(orders) == final.filled_quantity == Decimal("0.5")
    assert floor.book.snapshot().managed(BTC) == 0
    fired([one for one in orders if one["executedQty"] != one["origQty"]])


@pytest.mark.fault("X16", "SAID")
async def test_coins_sold_in_another_window_are_proven_gone(floor: Floor) -> None:
    sale = {"symbol": "BTCUSDT", "side": "SELL", "type": "MARKET", "quantity": "0.5"}
    by_hand = await control(floor.sim, "order", sale)
    selling = asyncio.create_task(floor.sell())
    await until(lambda: bool(floor.missing))
    sold, short = await floor.engine.reconcile([BTC])
    assert (sold.kind, sold.symbol, sold.quantity) == (Difference.FOREIGN_SALE, BTC, Decimal("0.5"))
    assert (short.kind, short.asset, short.quantity) == (Difference.SHORT, "BTC", Decimal("0.5"))
    gone = -floor.book.snapshot().managed(BTC)
    why, now = AdjustReason.EXTERNAL, floor.clock.now()
    floor.book.apply(PositionAdjusted(BTC, gone, sold.price, why, "sold by hand", now))
    await floor.engine.fit(BTC)
    final = await selling
    assert final.state is IntentState.CLOSED_EXTERNAL
    assert "outside of Umbra" in final.reason
    assert len(await floor.orders()) == 1
    fired(by_hand["fills"], words=final.reason)


@pytest.mark.fault("S01")
@pytest.mark.fault("S03", "ONE")
async def test_a_full_disk_refuses_entries_and_lets_a_stop_out_once(floor: Floor) -> None:
    with full_disk(floor.store):
        await _fill_up(floor.store)
        entry = Intent(
            "command:1:BTC/USDT",
            BTC,
            Side.BUY,
            Purpose.ENTRY,
            floor.quotes[BTC].ask,
            floor.clock.now(),
            quote_budget=Decimal(1000),
        )
        with pytest.raises(StorageLost) as refused:
            await floor.engine.open(Approved(entry))
        fired(refused, words=str(refused.value))
        assert await floor.orders() == []
        await floor.sell()
    orders = await floor.orders()
    assert len(orders) == 1
    assert executed(orders) == Decimal("0.5")
    await floor.store.journal.append(Heartbeat(floor.clock.now()))
    fills: Sequence[Fill] = await floor.store.records.fills()
    assert sum(fill.quantity for fill in fills) == Decimal("0.5")
    assert not [one for one in floor.events if isinstance(one, AlertRaised)]


@pytest.mark.fault("S02", "KEEP ONE")
async def test_a_disk_that_fills_after_sending_loses_nothing_and_repeats_nothing(
    floor: Floor,
) -> None:
    # Little room: the decision still fits, what the exchange answers may not.
    await floor.fault("delay", seconds=0.5, when="before")
    selling = asyncio.create_task(floor.sell())
    await until(lambda: bool(floor.engine.attempts))
    with full_disk(floor.store):
        await _fill_up(floor.store)
        assert await floor.fired() == 1
        await selling
        assert floor.store.is_degraded
        with pytest.raises(StorageLost) as refused:
            await floor.store.journal.append(Heartbeat(floor.clock.now()))
        fired(refused, words=str(refused.value))
    await floor.store.journal.append(Heartbeat(floor.clock.now()))
    assert len(await floor.orders()) == 1
    fills = await floor.store.records.fills()
    assert sum(fill.quantity for fill in fills) == Decimal("0.5")
    intent = await floor.store.records.intent("tracker:1:1")
    assert intent is not None
    assert intent.state is IntentState.DONE


async def test_twenty_exits_at_once_are_sold_within_two_seconds(floor: Floor) -> None:
    began = time.monotonic()
    await asyncio.gather(*(floor.sell("0.02", f"panic:{number}") for number in range(20)))
    assert time.monotonic() - began < 2
    assert executed(await floor.orders()) == Decimal("0.4")


async def _fill_up(store: Store) -> None:
    clock = MachineClock()
    for number in range(2000):
        try:
            alert = AlertRaised(f"fill:{number}", Severity.INFO, "x" * 500, clock.now())
            await store.journal.append(alert)
        except StorageLost:
            return
    raise AssertionError("the disk should have become full")
