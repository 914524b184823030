"""Whatever goes wrong, in whatever order: one live attempt, no oversell, ids once, fills a set."""

import asyncio
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fakes.exchange import broken_filter
from tests.unit.trading.execution.desk import BTC, Desk
from trading.domain import events
from trading.domain.order import IntentState, Side

pytestmark = pytest.mark.uncounted

# What a test may script: each leaves a decision to be carried out in the end.
FAULTS = st.sampled_from(
    [
        ("lost_after", {}),
        ("lost_after", {"lag_s": 12}),
        ("lost_before", {}),
        ("not_sent", {}),
        ("expire_half", {}),
        ("report_first", {}),
        ("stream_lost", {}),
        ("no_fills", {}),
        ("no_listing", {}),
        ("hang", {"after_s": 8}),
        ("hang", {"after_s": 30}),
        ("limit", {"retry_after_s": 5}),
        ("insufficient", {}),
        ("answer_after", {"status": 504, "code": -1007}),
        ("answer_after", {"status": 200}),
        ("answer_after", {"status": 400, "code": -2010, "message": "Duplicate order sent."}),
        ("refuse", {"status": 503, "message": "<html>"}),
        ("refuse", {"status": 400, "code": -1021, "message": "recvWindow"}),
        ("refuse", {"status": 400, "code": -1013, "message": "Filter failure: LOT_SIZE"}),
    ]
)


async def carried_out(faults: list[tuple[str, dict[str, object]]], kills: list[int]) -> Desk:
    desk = Desk()
    for kind, args in faults:
        desk.exchange.fail(kind, **args)
    await desk.open(desk.exit())
    for seconds in kills:
        await desk.time.pass_by(seconds)
        if desk.final() is not None:
            break
        for task in list(desk.engine._tasks):
            task.cancel()
        await desk.time.settle()
        again = desk.restarted()
        again.published = desk.published
        desk = again
        await desk.time.finish(desk.engine.recover(await desk.store.state()))
        desk.engine.go_on()
    await desk.done(limit_s=3600)
    await desk.time.pass_by(60)
    await desk.time.finish(desk.engine.check_open_attempts())
    await desk.time.finish(desk.engine.stop())
    return desk


def assert_invariants(desk: Desk) -> None:
    exchange = desk.exchange
    # I-04: no id is sent twice.
    assert len(set(exchange.ids)) == len(exchange.ids)
    # ONE: never more than the decision wanted, and here all of it.
    assert exchange.filled() == Decimal("0.5")
    # I-06: fills are a set, and the position follows them exactly.
    booked = [one.fill for one in desk.store.of(events.FillBooked)]
    assert len({fill.trade_id for fill in booked}) == len(booked)
    assert sum(fill.quantity for fill in booked) == Decimal("0.5")
    assert desk.managed == 0
    # I-09: whatever was sent satisfied the rules.
    assert all(broken_filter(one, exchange.rules[BTC]) is None for one in exchange.sent)
    [closed] = desk.store.of(events.IntentClosed)
    assert closed.intent.state is IntentState.DONE
    assert_one_live_attempt(desk)


def assert_one_live_attempt(desk: Desk) -> None:
    # I-03 and I-05, read from the journal itself, in its order.
    live: set[str] = set()
    for event in desk.store.all_events:
        if isinstance(event, events.AttemptPrepared):
            assert not live
            live.add(event.attempt.client_order_id)
        elif isinstance(event, events.AttemptChanged) and event.attempt.state.is_terminal:
            live.discard(event.attempt.client_order_id)
    assert not live
    prepared = {one.attempt.client_order_id for one in desk.store.of(events.AttemptPrepared)}
    assert prepared >= set(desk.exchange.ids)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(FAULTS, max_size=5))
def test_an_exit_happens_exactly_once_through_any_faults(
    faults: list[tuple[str, dict[str, object]]],
) -> None:
    assert_invariants(asyncio.run(carried_out(faults, [])))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(FAULTS, max_size=3), st.lists(st.integers(0, 25), min_size=1, max_size=3))
def test_an_exit_happens_exactly_once_through_faults_and_restarts(
    faults: list[tuple[str, dict[str, object]]], kills: list[int]
) -> None:
    assert_invariants(asyncio.run(carried_out(faults, kills)))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(FAULTS, max_size=4),
    st.sampled_from(["5", "6", "99.99", "1000", "9999"]),
    st.sampled_from([None, "0.0001", "0.01"]),
)
def test_an_entry_never_spends_more_than_its_budget(
    faults: list[tuple[str, dict[str, object]]], budget: str, depth: str | None
) -> None:
    async def buy() -> Desk:
        desk = Desk(balances={"BTC": "0", "USDT": "10000"}, managed="0")
        if depth is not None:
            desk.exchange.depth[BTC] = Decimal(depth)
        for kind, args in faults:
            desk.exchange.fail(kind, **args)
        await desk.open(desk.entry(budget))
        await desk.done("command:7:BTC/USDT", limit_s=3600)
        await desk.time.finish(desk.engine.stop())
        return desk

    desk = asyncio.run(buy())
    spent = sum(fill.notional for order in desk.exchange.history for fill in order.fills)
    assert spent <= Decimal(budget)
    assert desk.managed == desk.exchange.filled(Side.BUY)
    assert_one_live_attempt(desk)
