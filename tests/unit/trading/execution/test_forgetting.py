"""What execution remembers of ended decisions: how much, for how long, and what that costs."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.trading.execution.desk import BTC, Desk
from trading.domain import events
from trading.execution import absence
from trading.execution.engine import reporting
from trading.execution.settings import AbsenceSettings
from trading.ports.storage import Recorded

_KEPT = 3
_DAY_S = 86_400


@pytest.fixture(autouse=True)
def few_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporting, "_ENDED_KEPT", _KEPT)


async def sell_often(times: int) -> Desk:
    """Sell a tenth of a coin again and again, with the regular look after each."""
    desk = Desk(managed=str(times), balances={"BTC": str(times), "USDT": "0"})
    for number in range(1, times + 1):
        intent = desk.exit("0.1", intent_id=f"tracker:{number}:1", tracker_id=number)
        await desk.run(intent)
        await desk.time.finish(desk.engine.check_open_attempts())
    return desk


async def test_only_the_newest_ended_decisions_stay_in_memory() -> None:
    desk = await sell_often(_KEPT + 4)
    kept = [case.intent.tracker_id for case in desk.engine._reporting.known()]
    assert kept == [5, 6, 7]
    assert all(
        case.task is None and case.sending is None for case in desk.engine._reporting.known()
    )


async def test_a_list_of_old_orders_is_recognised_without_reading_the_journal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = await sell_often(_KEPT + 2)
    read, reads = desk.store.latest, []

    async def counted(limit: int, kinds: Sequence[str] = ()) -> Sequence[Recorded]:
        reads.append(kinds)
        return await read(limit, kinds)

    monkeypatch.setattr(desk.store, "latest", counted)
    findings = await desk.time.finish(desk.engine.reconcile([BTC]))
    assert (findings, desk.alerts, reads) == ([], [], [])
    assert len(desk.store.of(events.FillBooked)) == _KEPT + 2


async def test_an_old_order_that_filled_more_than_is_booked_is_found_in_the_journal() -> None:
    desk = await sell_often(_KEPT + 2)
    first = desk.exchange.history[0]
    more = replace(first.fills[0], trade_id="later", quantity=Decimal("0.01"))
    report = desk.exchange.report_of(first)
    filled = report.filled_quantity + more.quantity
    news = replace(report, fills=(*report.fills, more), filled_quantity=filled, quantity=Decimal(1))
    desk.engine.on_report(news)
    await desk.time.settle()
    assert [one.fill.trade_id for one in desk.store.of(events.FillBooked)][-1] == "later"


async def test_an_order_that_was_proven_absent_is_kept_as_long_as_it_is_watched() -> None:
    desk = Desk(managed="9", balances={"BTC": "9", "USDT": "0"})
    late = desk.exchange.fail("late_match", after_s=2 * _DAY_S)
    await desk.run(desk.exit("0.1"))
    assert late.fired == 1
    for number in range(2, _KEPT + 4):
        await desk.run(desk.exit("0.1", intent_id=f"tracker:{number}:1", tracker_id=number))
    await desk.time.finish(desk.engine.check_open_attempts())
    kept = [case.intent.tracker_id for case in desk.engine._reporting.known()]
    assert kept == [1, 4, 5, 6]
    desk.time.advance(_DAY_S)
    await desk.time.finish(desk.engine.check_open_attempts())
    kept = [case.intent.tracker_id for case in desk.engine._reporting.known()]
    assert kept == [4, 5, 6]


async def test_a_watched_order_is_asked_for_less_the_older_it_is() -> None:
    desk = Desk(balances={"BTC": "1", "USDT": "0"})
    late = desk.exchange.fail("late_match", after_s=2 * _DAY_S)
    await desk.run(desk.exit())
    assert late.fired == 1
    asked = []
    for _ in range(int(timedelta(hours=3).total_seconds() / 10)):
        before = desk.exchange.queries
        await desk.time.pass_by(10)
        await desk.time.finish(desk.engine.check_open_attempts())
        asked.append(desk.exchange.queries - before)
    assert sum(asked[:30]) == 30, "each time, while it is young"
    assert 5 <= sum(asked[360:420]) <= 10, "about each minute, after an hour"
    assert sum(asked) < len(asked) / 4


@given(st.floats(0, _DAY_S), st.floats(0, _DAY_S))
def test_looks_never_become_more_frequent_with_age(one: float, other: float) -> None:
    settings = AbsenceSettings()
    younger, older = sorted((one, other))
    assert absence.look_every_s(younger, settings) <= absence.look_every_s(older, settings)
    assert absence.look_every_s(older, settings) <= _DAY_S / 60
