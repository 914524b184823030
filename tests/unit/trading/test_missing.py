"""Managed coins that left without an order of ours: told, proven, and let go of."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from tests.builders import NOON, coin
from tests.catalogue import fired
from tests.unit.trading.agent_world import AgentWorld
from trading.domain.chat import Severity
from trading.domain.events import AlertEnded, AlertRaised, PositionAdjusted
from trading.domain.position import AdjustReason, Balance
from trading.domain.tracker import Amount, AmountKind
from trading.execution.reconcile import Difference, Finding
from trading.missing import APART_S, Missing
from trading.reachability import BALANCES_DISAGREE

SHORT = Finding(Difference.SHORT, "BTC/USDT", quantity=Decimal("0.2"), asset="BTC")
MANAGED = Decimal("0.5")
HALF = Amount(AmountKind.BASE, Decimal("0.25"))


def read(
    missing: Missing, at_s: float, *short: Finding, busy: frozenset[str] = frozenset()
) -> None:
    missing.read(short, busy, NOON + timedelta(seconds=at_s), at_s)


def told(missing: Missing, total: str) -> None:
    missing.streamed(Balance("BTC", Decimal(total), Decimal(0)))


def test_three_reads_that_are_apart_and_the_stream_prove_that_coins_are_gone() -> None:
    missing = Missing()
    told(missing, "0.3")
    for at_s in (0, 1, APART_S):
        read(missing, at_s, SHORT)
        assert not missing.is_proven("BTC", MANAGED)
    read(missing, 2 * APART_S, SHORT)
    assert missing.is_proven("BTC", MANAGED)
    assert missing.since("BTC") == NOON


@pytest.mark.fault("X31")
@pytest.mark.parametrize("streamed", [None, "0.5", "0.2"])
def test_reads_that_the_stream_does_not_confirm_prove_nothing(streamed: str | None) -> None:
    missing = Missing()
    if streamed is not None:
        told(missing, streamed)
    reads = [number * APART_S for number in range(9)]
    for at_s in reads:
        read(missing, at_s, SHORT)
    assert not missing.is_proven("BTC", MANAGED)
    fired(reads)


def test_reads_that_do_not_agree_begin_anew() -> None:
    missing = Missing()
    told(missing, "0.3")
    other = replace(SHORT, quantity=Decimal("0.1"))
    for number, short in enumerate([(SHORT,), (SHORT,), (other,), (SHORT,), (), (SHORT,)]):
        read(missing, number * APART_S, *short)
        assert not missing.is_proven("BTC", MANAGED)
    assert missing.since("BTC") == NOON + timedelta(seconds=5 * APART_S)


def test_orders_of_ours_at_work_say_nothing_of_what_is_missing() -> None:
    missing = Missing()
    told(missing, "0.3")
    read(missing, 0, SHORT)
    read(missing, APART_S, SHORT)
    read(missing, 2 * APART_S, SHORT, busy=frozenset({"BTC"}))
    assert not missing.is_proven("BTC", MANAGED)
    read(missing, 3 * APART_S, SHORT)
    assert missing.is_proven("BTC", MANAGED)


def test_the_next_look_is_due_in_ten_seconds_and_later_in_a_minute() -> None:
    missing = Missing()
    assert not missing.is_due(0)
    for at_s in (0, 10, 20):
        read(missing, at_s, SHORT)
        assert not missing.is_due(at_s + APART_S - 1)
        assert missing.is_due(at_s + APART_S) is (at_s < 20)
    assert missing.is_due(80)


# ------------------------------------------------------------ in the running agent


@pytest.fixture
async def world() -> AsyncIterator[AgentWorld]:
    running = AgentWorld()
    crossed = replace(
        coin("ETH", "BTC"), price_tick=Decimal("0.00001"), notional_min=Decimal("0.001")
    )
    running.exchange.rules["ETH/BTC"] = crossed
    running.exchange.prices["ETH/BTC"] = Decimal("0.05")
    async with running:
        yield running


async def pass_by(world: AgentWorld, seconds: int) -> None:
    """Let time pass as the schedule does: the exchange is asked every few seconds."""
    probe = world.agent.jobs()["exchange_probe"]
    for _ in range(seconds // 5):
        await world.time.pass_by(5)
        await world.time.finish(probe())
        await world.time.settle()


def alarms(world: AgentWorld) -> list[AlertRaised]:
    return [one for one in world.store.of(AlertRaised) if one.topic in {"short", "outside"}]


@pytest.mark.fault("M09", "TELL SAID")
async def test_managed_coins_that_are_withdrawn_are_told_and_let_go_of_once_that_is_proven(
    world: AgentWorld,
) -> None:
    await world.protect(amount=HALF)
    world.exchange.coins["BTC"] -= Decimal("0.35")
    world.exchange.tell_balance("BTC")
    await world.time.settle()
    [alarm] = alarms(world)
    assert alarm.severity is Severity.CRIT
    assert "0.1 BTC of what Umbra manages are missing" in alarm.text
    assert world.desk.tracker(1).tracker.quantity == Decimal("0.25")
    await pass_by(world, 30)
    assert world.desk.tracker(1).tracker.quantity == Decimal("0.15")
    _, end = alarms(world)
    assert (end.severity, "0.1 BTC left the account without a trade" in end.text) == (
        Severity.WARN,
        True,
    )
    assert [one.alert_id for one in world.store.of(AlertEnded)] == [alarm.alert_id]
    assert world.desk.status().alerts == ()
    await world.time.finish(world.agent.jobs()["balances"]())
    assert not world.agent.state.has_condition(BALANCES_DISAGREE)
    await pass_by(world, 120)
    assert len(alarms(world)) == 2
    await world.move("57990")
    await world.until_sold("0.15")
    left = [one for one in world.store.of(PositionAdjusted) if one.reason is AdjustReason.EXTERNAL]
    fired(left, words=end.text)


@pytest.mark.fault("X31")
async def test_coins_that_reads_alone_miss_stay_under_care_however_often_they_are_read(
    world: AgentWorld,
) -> None:
    await world.protect(amount=HALF)
    world.exchange.coins["BTC"] -= Decimal("0.35")
    await world.time.finish(world.agent.jobs()["full_reconcile"]())
    reads = len(world.exchange.execution_reads)
    await pass_by(world, 300)
    assert world.desk.tracker(1).tracker.quantity == Decimal("0.25")
    # Soon, until three have agreed, and once a minute then.
    seen = len(world.exchange.execution_reads) - reads
    assert seen == 2 + 4
    world.exchange.coins["BTC"] += Decimal("0.35")
    await pass_by(world, 70)
    [alarm] = alarms(world)
    assert [one.alert_id for one in world.store.of(AlertEnded)] == [alarm.alert_id]
    fired(seen, words="reads")


@pytest.mark.fault("M09", "TELL SAID")
async def test_coins_that_paid_for_a_purchase_elsewhere_are_told_as_spent_there(
    world: AgentWorld,
) -> None:
    await world.protect(amount=Amount(AmountKind.ALL))
    await world.time.pass_by(1)
    world.exchange.buy_by_hand("ETH/BTC", "2")
    for asset in ("ETH", "BTC"):
        world.exchange.tell_balance(asset)
    await world.time.settle()
    [alarm] = alarms(world)
    assert alarm.severity is Severity.WARN
    assert "0.1 BTC were spent outside of Umbra, on ETH/BTC" in alarm.text
    assert world.desk.tracker(1).tracker.quantity == Decimal("0.4")
    fired(world.exchange.foreign, words=alarm.text)
