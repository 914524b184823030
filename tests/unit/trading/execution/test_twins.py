"""What the exchange carried out twice under one id of ours is booked twice, and told once."""

from collections.abc import Callable
from decimal import Decimal

import pytest

from tests.unit.trading.execution.desk import BTC, Desk
from trading.domain import events
from trading.domain.chat import Severity
from trading.domain.order import Purpose
from trading.domain.position import Position

HALF, ONE = Decimal("0.5"), Decimal(1)
Again = Callable[[Desk], None]


def _desk() -> Desk:
    desk = Desk(managed="1", balances={"BTC": "2", "USDT": "100000"})
    desk.book.load({BTC: Position(BTC, ONE, Decimal(50_000))})
    return desk


def _unseen(desk: Desk) -> None:
    silent = desk.exchange.fail("stream_lost")
    desk.exchange.appear(desk.exchange.sent[0])
    assert silent.fired == 1


def _streamed(desk: Desk) -> None:
    desk.exchange.appear(desk.exchange.sent[0])


def _told(desk: Desk) -> list[events.AlertRaised]:
    return [one for one in desk.alerts if one.alert_id.startswith("twice:")]


@pytest.mark.parametrize("lists_executions", [True, False])
async def test_two_sales_under_one_id_are_both_booked_and_told_once(
    lists_executions: bool,
) -> None:
    desk = _desk()
    await desk.run(desk.exit())
    desk.exchange.lists_executions = lists_executions
    _unseen(desk)
    assert desk.managed == HALF
    for _ in range(3):
        await desk.time.finish(desk.engine.reconcile([BTC]))
        await desk.time.pass_by(60)
    [alert] = _told(desk)
    assert alert.severity is Severity.CRIT
    assert "0.5 (order 1) and 0.5 (order 2): 1 together" in alert.text
    assert desk.managed == 0
    assert sum(one.fill.quantity for one in desk.store.of(events.FillBooked)) == ONE
    again = desk.restarted()
    lines = await again.time.finish(again.engine.recover(await again.store.state()))
    assert not [line for line in lines if "twice" in line]
    assert _told(again) == []
    assert again.managed == 0


async def test_a_start_tells_of_two_sales_under_one_id_that_nobody_saw() -> None:
    desk = _desk()
    await desk.run(desk.exit())
    _unseen(desk)
    again = desk.restarted()
    lines = await again.time.finish(again.engine.recover(await again.store.state()))
    [line] = [line for line in lines if "carried out twice" in line]
    assert line.endswith(", 1 filled")
    assert len(_told(again)) == 1
    assert again.managed == 0


async def test_a_second_order_that_the_stream_shows_is_told_without_waiting_for_a_sweep() -> None:
    desk = _desk()
    await desk.run(desk.exit())
    _streamed(desk)
    await desk.time.settle()
    assert len(_told(desk)) == 1
    assert desk.managed == 0


async def test_a_second_order_that_rests_is_taken_off() -> None:
    desk = _desk()
    await desk.open(desk.exit(purpose=Purpose.BACKSTOP, stop_price=Decimal(50_000)))
    await desk.time.settle()
    _unseen(desk)
    assert desk.exchange.locked["BTC"] == ONE
    await desk.time.finish(desk.engine.reconcile([BTC]))
    assert set(desk.exchange.cancelled) == set(desk.exchange.ids)
    assert desk.exchange.locked["BTC"] == HALF
    [alert] = _told(desk)
    assert "0 together" in alert.text
