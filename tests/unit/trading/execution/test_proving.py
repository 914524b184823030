"""What a process before this one may have sent is asked for before it goes out again."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from bot.on_the_way import SALES, MarkedOnTheWay
from tests.catalogue import fired
from tests.fakes.exchange import FakeExchange
from tests.fakes.memory_store import MemoryStore
from tests.fakes.virtual_time import VirtualTime
from tests.unit.trading.execution.desk import BTC, Desk
from trading.domain.events import AttemptPrepared
from trading.domain.order import Intent, IntentState, Side
from trading.execution.settings import ExecutionSettings
from trading.ports.on_the_way import OnTheWay

HALF = Decimal("0.5")
SETTLED_S = ExecutionSettings().absence.sent_late_s


async def forgetful(sold: str = "0.5") -> Desk:
    """An exit of 0.5 BTC has sold; the journal is from before that, and coins are left to sell."""
    time = VirtualTime()
    desk = Desk(time=time, balances={"BTC": "1", "USDT": "10000"})
    await desk.run(desk.exit(sold))
    return doubting(desk.exchange, time, desk.exit().intent_id)


def doubting(
    exchange: FakeExchange,
    time: VirtualTime,
    intent_id: str,
    unrecorded: OnTheWay | None = None,
) -> Desk:
    """A process that may have an older journal: the exchange has not been asked yet."""
    again = Desk(store=MemoryStore(time), exchange=exchange, time=time, unrecorded=unrecorded)
    again.engine.doubt({intent_id: BTC}, time.now())
    return again


async def test_a_sale_of_the_missing_time_is_booked_instead_of_made_again() -> None:
    desk = await forgetful()
    final = await desk.run(desk.exit())
    assert (final.state, final.filled_quantity) == (IntentState.DONE, HALF)
    assert desk.managed == 0
    assert len(desk.exchange.sent) == 1
    assert desk.exchange.coins["BTC"] == HALF


async def test_what_was_sold_in_part_is_not_sold_again_and_the_rest_has_a_name_of_its_own() -> None:
    desk = await forgetful("0.2")
    final = await desk.run(desk.exit())
    assert final.filled_quantity == HALF
    assert [(one.client_order_id[-2:], one.quantity) for one in desk.exchange.sent] == [
        ("-1", Decimal("0.2")),
        ("-2", Decimal("0.3")),
    ]


@pytest.mark.fault("S10", "SAID")
async def test_without_an_answer_nothing_is_sent_and_that_is_told_until_there_is_one() -> None:
    desk = await forgetful()
    desk.exchange.is_down = True
    await desk.open(desk.exit())
    await desk.time.pass_by(30)
    assert len(desk.exchange.sent) == 1
    waits = "the sale of 0.5 BTC waits until the exchange says whether it was made before"
    assert [waits in alert.text for alert in desk.alerts] == [True]
    assert desk.told_loudly(waits)
    desk.exchange.is_down = False
    final = await desk.done()
    assert (final.filled_quantity, len(desk.exchange.sent)) == (HALF, 1)
    fired(desk.exchange.unreached, words=waits)


async def test_what_was_not_made_goes_out_once_the_exchange_has_said_so() -> None:
    time = VirtualTime()
    desk = doubting(Desk(time=time).exchange, time, "tracker:1:1")
    await time.pass_by(SETTLED_S)
    final = await desk.run(desk.exit())
    assert (final.filled_quantity, desk.exchange.queries) == (HALF, 1)
    assert len(desk.exchange.sent) == 1


async def test_what_was_sent_at_the_very_end_and_appears_late_is_not_sent_again() -> None:
    time = VirtualTime()
    desk = Desk(time=time, balances={"BTC": "1", "USDT": "10000"})
    lag = desk.exchange.fail("lost_after", lag_s=5, after_s=20)
    await desk.open(desk.exit())
    desk.exchange.on_report = None
    for task in list(desk.engine._tasks):
        task.cancel()
    again = doubting(desk.exchange, time, "tracker:1:1")
    await again.time.finish(again.engine.reconcile([BTC]))
    final = await again.run(again.exit())
    assert (final.filled_quantity, len(again.exchange.sent)) == (HALF, 1)
    assert lag.fired == 1


@pytest.mark.parametrize("how", ["trusted", "swept"])
async def test_what_is_known_to_be_new_goes_out_without_a_question(how: str) -> None:
    time = VirtualTime()
    desk = doubting(Desk(time=time).exchange, time, "tracker:1:1")
    await time.pass_by(SETTLED_S)
    if how == "trusted":
        desk.engine.trust([BTC])
    else:
        await time.finish(desk.engine.reconcile([BTC]))
    await desk.open(desk.exit())
    assert len(desk.exchange.sent) == 1
    assert desk.exchange.queries == 0


async def test_what_may_have_been_made_is_not_sent_without_a_record_either() -> None:
    desk = await forgetful()
    desk.exchange.is_down = True
    desk.store.lose(reserve_too=True)
    await desk.open(desk.exit())
    await desk.time.pass_by(5)
    desk.exchange.is_down = False
    await desk.time.pass_by(60)
    assert len(desk.exchange.sent) == 1
    desk.store.heal()
    await desk.done()
    assert len(desk.exchange.sent) == 1


@pytest.mark.fault("X07", "EQ")
@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.parametrize("lag_s", [5, 9, 14])
async def test_what_was_sent_without_a_record_is_not_sent_again_however_late_it_is_listed(
    tmp_path: Path, lag_s: int, is_known: bool
) -> None:
    """Also what no journal knows of, as the order of a person that is handled once more."""
    time = VirtualTime()
    desk = Desk(
        time=time,
        balances={"BTC": "1", "USDT": "10000"},
        unrecorded=MarkedOnTheWay(tmp_path, SALES),
    )
    desk.store.lose(reserve_too=True)
    lag = desk.exchange.fail("lost_after", lag_s=lag_s, after_s=20)
    await desk.open(desk.exit())
    desk.exchange.on_report = None
    for task in list(desk.engine._tasks):
        task.cancel()
    left = MarkedOnTheWay(tmp_path, SALES)
    assert left.keys == {"tracker:1:1"}
    # The last record is older than anything that may still appear, and prices prove nothing.
    again = doubting(desk.exchange, time, "tracker:1:1" if is_known else "tracker:7:1", left)
    again.engine._proving._settled_s = float("-inf")
    again.engine.trust([BTC])
    await again.time.finish(again.engine.reconcile([BTC]))
    final = await again.run(again.exit())
    assert (final.filled_quantity, len(again.exchange.sent)) == (HALF, 1)
    assert again.exchange.coins["BTC"] == HALF
    fired(lag.fired, words=f"listed after {lag_s} s")


async def test_what_is_marked_as_sent_and_never_was_goes_out_when_nothing_can_appear_any_more(
    tmp_path: Path,
) -> None:
    time = VirtualTime()
    marks = MarkedOnTheWay(tmp_path, SALES)
    marks.leave("tracker:1:1")
    desk = doubting(Desk(time=time).exchange, time, "tracker:1:1", marks)
    began_s = time.monotonic()
    final = await desk.run(desk.exit())
    assert (final.filled_quantity, len(desk.exchange.sent)) == (HALF, 1)
    absence = ExecutionSettings().absence
    assert time.monotonic() - began_s >= absence.settled_s(absence.exit_recv_window_ms)
    assert marks.keys == frozenset()


async def test_a_sale_keeps_its_mark_until_its_record_is_written_and_no_longer(
    tmp_path: Path,
) -> None:
    desk = Desk(unrecorded=MarkedOnTheWay(tmp_path, SALES))
    desk.store.lose(reserve_too=True)
    await desk.open(desk.exit())
    await desk.time.pass_by(60)
    assert desk.exchange.coins["BTC"] == 0
    assert MarkedOnTheWay(tmp_path, SALES).keys == {"tracker:1:1"}
    desk.store.heal()
    await desk.time.finish(desk.engine.check_open_attempts())
    await desk.time.settle()
    assert desk.store.of(AttemptPrepared)
    assert MarkedOnTheWay(tmp_path, SALES).keys == frozenset()


def test_every_stop_of_a_great_account_is_marked_when_all_fire_at_once(tmp_path: Path) -> None:
    marks = MarkedOnTheWay(tmp_path, SALES)
    decisions = {f"tracker:{number}:1" for number in range(1000)}
    for each in decisions:
        marks.leave(each)
    assert MarkedOnTheWay(tmp_path, SALES).keys == decisions


async def test_a_purchase_of_the_missing_time_is_not_made_twice() -> None:
    time = VirtualTime()
    desk = Desk(time=time)
    bought: Intent = await desk.run(desk.entry())
    again = doubting(desk.exchange, time, bought.intent_id)
    final = await again.run(replace(again.entry(), side=Side.BUY))
    assert final.filled_notional == bought.filled_notional
    assert len(again.exchange.sent) == 1
