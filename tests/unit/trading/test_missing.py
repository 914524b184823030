"""Managed coins that left without an order of ours: told, proven, and let go of."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from tests.builders import NOON, coin
from tests.catalogue import fired
from tests.unit.trading.agent_world import AgentWorld, stop_spec
from trading.domain.chat import Severity
from trading.domain.commands import ArmTracker, PlaceOrder
from trading.domain.errors import Unreachable
from trading.domain.events import (
    AlertEnded,
    AlertRaised,
    Event,
    FillBooked,
    PositionAdjusted,
    TrackerChanged,
)
from trading.domain.order import Fill, Side
from trading.domain.position import AdjustReason, Balance
from trading.domain.tracker import Amount, AmountKind, Tracker, TrackerState
from trading.execution.reconcile import Difference, Finding
from trading.missing import APART_S, Missing
from trading.reachability import BALANCES_DISAGREE

SHORT = Finding(Difference.SHORT, "BTC/USDT", quantity=Decimal("0.2"), asset="BTC")
SHOWN = Decimal("0.3")
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
        assert not missing.is_proven("BTC", SHOWN)
    read(missing, 2 * APART_S, SHORT)
    assert missing.is_proven("BTC", SHOWN)
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
    assert not missing.is_proven("BTC", SHOWN)
    fired(reads)


def test_reads_that_something_else_confirms_need_no_stream() -> None:
    missing = Missing()
    for at_s in (0, APART_S):
        read(missing, at_s, SHORT)
        assert not missing.is_proven("BTC", SHOWN, needs_stream=False)
    read(missing, 2 * APART_S, SHORT)
    assert missing.is_proven("BTC", SHOWN, needs_stream=False)


def test_what_many_exits_miss_is_looked_at_once_and_then_in_its_own_rhythm() -> None:
    missing = Missing()
    assert missing.notice("BTC")
    assert not missing.notice("BTC")
    assert missing.taken_up() == ("BTC",)
    # That look could not say anything: the next exit asks for another one.
    assert missing.notice("BTC")
    assert missing.taken_up() == ("BTC",)
    read(missing, 0, SHORT)
    assert not missing.notice("BTC")
    assert missing.taken_up() == ("BTC",)
    read(missing, APART_S)
    assert missing.notice("BTC")


def test_reads_that_do_not_agree_begin_anew() -> None:
    missing = Missing()
    told(missing, "0.3")
    other = replace(SHORT, quantity=Decimal("0.1"))
    for number, short in enumerate([(SHORT,), (SHORT,), (other,), (SHORT,), (), (SHORT,)]):
        read(missing, number * APART_S, *short)
        assert not missing.is_proven("BTC", SHOWN)
    assert missing.since("BTC") == NOON + timedelta(seconds=5 * APART_S)


def test_orders_of_ours_at_work_say_nothing_of_what_is_missing() -> None:
    missing = Missing()
    told(missing, "0.3")
    read(missing, 0, SHORT)
    read(missing, APART_S, SHORT)
    read(missing, 2 * APART_S, SHORT, busy=frozenset({"BTC"}))
    assert not missing.is_proven("BTC", SHOWN)
    read(missing, 3 * APART_S, SHORT)
    assert missing.is_proven("BTC", SHOWN)


def test_the_next_look_is_due_in_ten_seconds_and_later_in_a_minute() -> None:
    missing = Missing()
    assert not missing.is_due(0)
    for at_s in (0, 10, 20):
        read(missing, at_s, SHORT)
        assert not missing.is_due(at_s + APART_S - 1)
        assert missing.is_due(at_s + APART_S) is (at_s < 20)
    assert missing.is_due(80)


@pytest.mark.fault("X31")
@pytest.mark.parametrize("is_known", [True, False])
def test_sales_that_the_stream_was_just_asked_for_and_denies_fit_nothing(is_known: bool) -> None:
    missing, step, sold = Missing(), Decimal("0.001"), Decimal("0.2")
    if is_known:
        missing.showed("BTC", SHOWN + sold, NOON)
    told(missing, "0.3")
    reads = [number * APART_S for number in range(4)]
    for at_s in reads:
        read(missing, at_s, SHORT)
        assert not missing.fits("BTC", sold, SHOWN, step, Decimal("0.5"))
        assert not missing.is_proven("BTC", SHOWN, Decimal("0.5"), needs_stream=False)
    assert missing.fits("BTC", sold, SHOWN, step, SHOWN)
    fired(reads)


def test_sales_explain_what_three_reads_miss_where_nothing_is_known_of_before() -> None:
    missing, sold, step = Missing(), Decimal("0.2"), Decimal("0.001")
    for number in range(3):
        assert not missing.fits("BTC", sold, SHOWN, step)
        read(missing, number * APART_S, SHORT)
    assert missing.fits("BTC", sold, SHOWN, step)


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
    world.exchange.is_line_silent = True
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


@pytest.mark.fault("M09", "TELL SAID")
@pytest.mark.parametrize("blind", ["dead", "line"])
async def test_a_withdrawal_that_no_stream_told_of_is_let_go_of_once_the_stream_was_asked(
    blind: str, world: AgentWorld
) -> None:
    await world.protect(amount=HALF)
    if blind == "dead":
        await world.kill()
    else:
        world.exchange.end_account_stream()
    world.exchange.coins["BTC"] -= Decimal("0.35")
    if blind == "dead":
        await world.start()
    await pass_by(world, 90)
    assert left(world) == [Decimal("-0.1")]
    assert "0.1 BTC left the account without a trade" in alarms(world)[-1].text
    assert world.desk.status().alerts == ()
    assert not world.agent.state.has_condition(BALANCES_DISAGREE)
    fired(world.exchange.stream_reads, words=alarms(world)[-1].text)


@pytest.mark.fault("X31", "SAID")
@pytest.mark.parametrize("told", ["read", "streamed", "bought back"])
async def test_coins_of_his_own_that_a_person_sold_prove_no_end_of_managed_ones(
    told: str, world: AgentWorld
) -> None:
    await world.protect(amount=HALF)
    world.exchange.coins["USDT"] += 100_000
    await world.time.pass_by(1)
    if told == "bought back":
        world.exchange.buy_by_hand("BTC/USDT", "0.4")
        world.exchange.sell_by_hand("BTC/USDT", "0.4")
    world.exchange.sell_by_hand("BTC/USDT", "0.25")
    world.exchange.tell_balance("BTC")
    await world.time.pass_by(10)
    if told == "read":
        await world.time.finish(world.agent.jobs()["balances"]())
        await world.time.pass_by(10)
    lies = world.exchange.fail("empty_balances", times=4)
    await world.time.finish(world.agent.jobs()["balances"]())
    await world.time.settle()
    # The alarm is true as long as that is what the exchange says.
    [alarm] = alarms(world)
    assert alarm.severity is Severity.CRIT
    await pass_by(world, 90)
    assert left(world) == []
    assert world.desk.tracker(1).tracker.quantity == Decimal("0.25")
    assert world.desk.status().alerts == ()
    fired(lies.fired, words=alarm.text)


@pytest.mark.fault("X31", "SAID")
@pytest.mark.parametrize("is_counted", [True, False])
@pytest.mark.parametrize("is_line_silent", [True, False])
async def test_coins_of_his_own_that_were_sold_before_a_start_prove_no_end_of_managed_ones(
    is_counted: bool, is_line_silent: bool, world: AgentWorld
) -> None:
    await world.protect(amount=HALF)
    await world.time.pass_by(1)
    world.exchange.sell_by_hand("BTC/USDT", "0.25")
    if is_counted:
        for _ in range(3):
            await world.time.pass_by(10)
            await world.time.finish(world.agent.jobs()["balances"]())
    await world.kill()
    world.exchange.is_line_silent = is_line_silent
    lies = world.exchange.fail("empty_balances", times=9)
    await world.start()
    await pass_by(world, 30)
    [alarm] = alarms(world)
    assert alarm.severity is Severity.CRIT
    await pass_by(world, 180)
    assert left(world) == []
    assert world.desk.tracker(1).tracker.quantity == Decimal("0.25")
    assert world.desk.status().alerts == ()
    await world.move("57990")
    await world.until_sold("0.25")
    assert lies.fired == 9
    fired(lies.fired, words=alarm.text)


@pytest.mark.fault("X31", "SAID")
async def test_what_the_stream_said_before_it_fell_silent_confirms_no_read(
    world: AgentWorld,
) -> None:
    world.exchange.coins["BTC"] = Decimal(0)
    world.exchange.tell_balance("BTC")
    await world.time.settle()
    world.exchange.is_line_silent = True
    world.exchange.coins["BTC"] = Decimal("0.5")
    await world.time.finish(world.agent.jobs()["balances"]())
    await world.protect(amount=HALF)
    lies = world.exchange.fail("empty_balances", times=9)
    await world.time.finish(world.agent.jobs()["balances"]())
    await pass_by(world, 180)
    assert left(world) == []
    assert world.desk.tracker(1).tracker.quantity == Decimal("0.25")
    [alarm] = alarms(world)
    fired(lies.fired, words=alarm.text)


@pytest.mark.fault("M09", "SAID")
async def test_a_sale_by_hand_is_seen_at_once_whatever_else_was_sold_and_bought_before(
    world: AgentWorld,
) -> None:
    await world.protect(amount=HALF)
    world.exchange.coins["USDT"] += 100_000
    world.exchange.is_line_silent = True
    for quantity in ("0.1", "0.05"):
        await world.time.pass_by(20)
        world.exchange.sell_by_hand("BTC/USDT", quantity)
        world.exchange.buy_by_hand("BTC/USDT", "0.02")
    await world.time.pass_by(20)
    await world.time.finish(world.agent.jobs()["balances"]())
    await world.time.pass_by(20)
    # 0.39 are there, and 0.25 of them are managed.
    world.exchange.sell_by_hand("BTC/USDT", "0.19")
    await world.time.finish(world.agent.jobs()["balances"]())
    await world.time.settle()
    assert left(world) == [Decimal("-0.05")]
    [alarm] = alarms(world)
    assert "0.05 BTC were sold outside of Umbra, on BTC/USDT" in alarm.text
    fired(world.exchange.foreign, words=alarm.text)


@pytest.mark.fault("M09", "SAID")
async def test_a_start_whose_comparison_got_no_answer_asks_again_with_the_next_read(
    world: AgentWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.protect(amount=HALF)
    await world.time.pass_by(1)
    await world.kill()
    world.exchange.sell_by_hand("BTC/USDT", "0.35")
    unanswered = []

    async def fills_since(symbol: str, since: datetime) -> Sequence[Fill]:
        unanswered.append(symbol)
        raise Unreachable(f"no answer about {symbol}")

    with monkeypatch.context() as patch:
        patch.setattr(world.exchange, "fills_since", fills_since)
        await world.start()
    assert left(world) == []
    await world.time.finish(world.agent.jobs()["balances"]())
    await world.time.settle()
    assert left(world) == [Decimal("-0.1")]
    assert world.desk.tracker(1).tracker.quantity == Decimal("0.15")
    fired(unanswered, words=alarms(world)[-1].text)


# ------------------------------------------------------------ while an order of ours rests


@pytest.mark.fault("M09", "TELL SAID")
@pytest.mark.parametrize(("side", "limit"), [(Side.SELL, 70_000), (Side.BUY, 50_000)])
async def test_what_is_sold_by_hand_is_seen_while_an_order_of_the_person_rests(
    side: Side, limit: int, world: AgentWorld
) -> None:
    await world.protect(amount=HALF)
    amount = Amount(AmountKind.BASE, Decimal("0.1"))
    await world.do(PlaceOrder("BTC/USDT", side, amount, Decimal(limit)))
    await world.time.pass_by(2)
    world.exchange.sell_by_hand("BTC/USDT", "0.4")
    world.exchange.tell_balance("BTC")
    await world.time.settle()
    [alarm] = alarms(world)
    assert "were sold outside of Umbra, on BTC/USDT" in alarm.text
    assert world.agent.state.book.managed("BTC/USDT") == world.exchange.coins["BTC"]
    fired(world.exchange.foreign, words=alarm.text)


@pytest.mark.fault("M09")
async def test_a_stop_keeps_no_coins_that_only_a_resting_sale_has_left(world: AgentWorld) -> None:
    await world.protect(amount=Amount(AmountKind.ALL))
    amount = Amount(AmountKind.BASE, Decimal("0.2"))
    await world.do(PlaceOrder("BTC/USDT", Side.SELL, amount, Decimal(70_000)))
    await world.time.pass_by(2)
    for quantity, kept in (("0.1", "0.2"), ("0.2", None)):
        world.exchange.sell_by_hand("BTC/USDT", quantity)
        world.exchange.tell_balance("BTC")
        await pass_by(world, 10)
        slices = [one.tracker.quantity for one in world.desk.trackers()]
        assert slices == ([] if kept is None else [Decimal(kept)])
    [sale] = world.agent.execution.intents
    assert sale.residual == world.agent.state.book.managed("BTC/USDT") == Decimal("0.2")
    fired(world.exchange.foreign)


@pytest.mark.fault("X31", "SAID")
async def test_what_a_resting_order_sold_while_the_account_was_compared_is_not_missing(
    world: AgentWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.protect(amount=Amount(AmountKind.ALL))
    amount = Amount(AmountKind.BASE, Decimal("0.1"))
    await world.do(PlaceOrder("BTC/USDT", Side.SELL, amount, Decimal(70_000)))
    await world.time.pass_by(2)
    balances = world.exchange.balances

    async def sold_meanwhile() -> Mapping[str, Balance]:
        # Its stream says nothing.
        hear, world.exchange.on_report = world.exchange.on_report, None
        world.exchange.set_price("BTC/USDT", "70100")
        world.exchange.on_report = hear
        return await balances()

    monkeypatch.setattr(world.exchange, "balances", sold_meanwhile)
    await world.time.finish(world.agent.jobs()["full_reconcile"]())
    await world.time.settle()
    assert alarms(world) == []
    assert world.agent.state.book.managed("BTC/USDT") == world.exchange.coins["BTC"]
    fired(world.exchange.unheard, words=world.desk.status().mode)


# ------------------------------------------------------------ while a stop sells them


async def fire(world: AgentWorld) -> None:
    """Let the price cross the stop while no word of the account comes."""
    await world.move("57990")
    await pass_by(world, 15)


def last(world: AgentWorld) -> Tracker:
    return world.store.of(TrackerChanged)[-1].tracker


def left(world: AgentWorld) -> list[Decimal]:
    adjusted = world.store.of(PositionAdjusted)
    return [one.quantity for one in adjusted if one.reason is AdjustReason.EXTERNAL]


@pytest.mark.fault("X16", "SAID")
async def test_x16_coins_sold_by_hand_close_the_exit_with_the_foreign_sale_as_proof(
    world: AgentWorld,
) -> None:
    await world.protect()
    await world.time.pass_by(1)
    world.exchange.sell_by_hand("BTC/USDT", "0.5")
    await fire(world)
    assert last(world).state is TrackerState.CLOSED_EXTERNAL
    assert "outside of Umbra" in last(world).reason
    assert world.exchange.filled() == 0
    assert left(world) == [Decimal("-0.5")]
    [end] = alarms(world)
    assert "0.5 BTC were sold outside of Umbra, on BTC/USDT" in end.text
    fired(world.exchange.foreign, words=end.text)


@pytest.mark.fault("X31")
async def test_x31_an_exit_that_finds_an_empty_account_ends_after_three_agreeing_reads(
    world: AgentWorld,
) -> None:
    await world.protect()
    world.exchange.coins["BTC"] = Decimal(0)
    await fire(world)
    assert world.desk.tracker(1).tracker.state is TrackerState.BLOCKED
    assert left(world) == []
    await pass_by(world, 30)
    assert last(world).state is TrackerState.CLOSED_EXTERNAL
    assert left(world) == [Decimal("-0.5")]
    assert world.desk.status().alerts == ()
    fired(world.exchange.balance_reads, words=last(world).reason)


@pytest.mark.fault("X31")
async def test_a_small_foreign_sale_does_not_explain_where_all_coins_went(
    world: AgentWorld,
) -> None:
    await world.protect()
    await world.time.pass_by(1)
    world.exchange.sell_by_hand("BTC/USDT", "0.01")
    world.exchange.coins["BTC"] = Decimal(0)
    await fire(world)
    assert world.desk.tracker(1).tracker.state is TrackerState.BLOCKED
    [alarm] = alarms(world)
    assert "0.01 on BTC/USDT found" in alarm.text
    await pass_by(world, 30)
    assert last(world).state is TrackerState.CLOSED_EXTERNAL
    assert "left the account without a trade" in alarms(world)[-1].text
    fired(world.exchange.foreign)


@pytest.mark.fault("X26", "EQ")
async def test_x26_what_we_sold_is_booked_before_the_rest_is_called_sold_elsewhere(
    world: AgentWorld,
) -> None:
    await world.protect()
    half = world.exchange.fail("expire_half")
    world.exchange.fail("no_fills")
    unlisted = world.exchange.fail("no_listing", times=2)
    await world.move("57990")
    await world.time.until(lambda: bool(half.fired))
    world.exchange.sell_by_hand("BTC/USDT", "0.25")
    await pass_by(world, 60)
    assert not world.agent.execution.intents
    assert world.exchange.filled() == Decimal("0.25")
    assert sum(one.fill.quantity for one in world.store.of(FillBooked)) == Decimal("0.25")
    assert left(world) == [Decimal("-0.25")]
    assert (last(world).state, last(world).reason) == (TrackerState.CLOSED, "")
    fired(unlisted.fired)


@pytest.mark.fault("M09", "TELL SAID")
async def test_what_the_account_lacks_is_looked_for_before_it_is_called_no_sale(
    world: AgentWorld,
) -> None:
    await world.protect(amount=HALF)
    await world.time.pass_by(1)
    # Neither a stop that fires nor the stream says anything of it.
    world.exchange.sell_by_hand("BTC/USDT", "0.35")
    await world.time.finish(world.agent.jobs()["balances"]())
    await world.time.settle()
    assert not world.agent.state.has_condition(BALANCES_DISAGREE)
    [alarm] = alarms(world)
    assert "0.1 BTC were sold outside of Umbra, on BTC/USDT" in alarm.text
    assert world.desk.tracker(1).tracker.quantity == Decimal("0.15")
    fired(world.exchange.foreign, words=alarm.text)


@pytest.mark.fault("C01", "SAID")
@pytest.mark.parametrize("ahead_s", [-3_600, 3_600])
async def test_a_sale_by_hand_is_found_however_wrong_this_clock_was_when_coins_came(
    ahead_s: int, world: AgentWorld
) -> None:
    # Theirs is right.
    world.exchange.clock_offset_s = -ahead_s
    world.exchange.sell_by_hand("BTC/USDT", "0.1")
    world.exchange.tell_balance("BTC")
    await world.time.pass_by(1)
    await world.protect(amount=Amount(AmountKind.BASE, Decimal("0.4")))
    await world.time.pass_by(1)
    world.exchange.sell_by_hand("BTC/USDT", "0.3")
    await world.time.finish(world.agent.jobs()["balances"]())
    await world.time.settle()
    # What was sold before is none of them.
    assert left(world) == [Decimal("-0.3")]
    [alarm] = alarms(world)
    assert "0.3 BTC were sold outside of Umbra, on BTC/USDT" in alarm.text
    fired(abs(ahead_s), words=alarm.text)


@pytest.mark.fault("M09", "SAID")
async def test_two_looks_at_once_settle_a_sale_by_hand_once(
    world: AgentWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.protect()
    await world.time.pass_by(1)
    world.exchange.sell_by_hand("BTC/USDT", "0.1")
    jobs, append = world.agent.jobs(), world.store.append

    async def slowly(*new: Event, **how: bool) -> int:
        await world.time.sleep(1)
        return await append(*new, **how)

    monkeypatch.setattr(world.store, "append", slowly)
    looks = (jobs["full_reconcile"](), jobs["full_reconcile"](), jobs["balances"]())
    await world.time.finish(asyncio.gather(*looks))
    await world.time.settle()
    assert left(world) == [Decimal("-0.1")]
    [alarm] = alarms(world)
    assert world.agent.state.book.managed("BTC/USDT") == world.exchange.coins["BTC"]
    fired(world.exchange.foreign, words=alarm.text)


@pytest.mark.fault("M09")
@pytest.mark.parametrize("is_listed", [True, False])
async def test_a_start_settles_a_sale_by_hand_before_it_judges_stops(
    world: AgentWorld, is_listed: bool
) -> None:
    await world.do(ArmTracker(stop_spec("40000", Amount(AmountKind.BASE, Decimal("0.3")))))
    await world.protect(amount=Amount(AmountKind.BASE, Decimal("0.2")))
    await world.time.pass_by(1)
    await world.kill()
    world.exchange.sell_by_hand("BTC/USDT", "0.3")
    unlisted = world.exchange.fail("no_listing", times=0 if is_listed else 4)
    world.exchange.set_price("BTC/USDT", "57990")
    await world.start()
    await pass_by(world, 60)
    # What has fired before anybody could know keeps its slice, and the other one gives way.
    sold = Decimal(0) if is_listed else Decimal("0.2")
    assert world.exchange.filled() == sold
    assert left(world) == [Decimal("-0.3")]
    assert world.agent.state.book.managed("BTC/USDT") == world.exchange.coins["BTC"]
    slices = [one.tracker.quantity for one in world.desk.trackers()]
    assert sum(slices) == Decimal("0.2") - sold
    fired(world.exchange.foreign)
    assert unlisted.fired == (0 if is_listed else 4)


@pytest.mark.fault("M09", "SAID")
async def test_a_fired_stop_that_was_cut_down_takes_nothing_from_a_stop_that_waits(
    world: AgentWorld,
) -> None:
    world.exchange.coins["USDT"] += 100_000
    await world.protect()
    world.exchange.lock_by_hand("BTC", "0.5")
    await world.move("57990")
    await pass_by(world, 10)
    # An order of the person's own sells a part of what the stop cannot sell.
    world.exchange.lock_by_hand("BTC", "-0.3")
    world.exchange.sell_by_hand("BTC/USDT", "0.3")
    world.exchange.tell_balance("BTC")
    await pass_by(world, 30)
    assert left(world) == [Decimal("-0.3")]
    # Of what is bought now the exit sells as much as it wants: its own coins are locked yet.
    await _buy(world, "0.1")
    await world.do(ArmTracker(stop_spec("40000", Amount(AmountKind.BASE, Decimal("0.1")))))
    await _buy(world, "0.05")
    world.exchange.lock_by_hand("BTC", "-0.2")
    await world.until_sold("0.2")
    assert world.agent.state.book.managed("BTC/USDT") == Decimal("0.15")
    [waiting] = world.agent.trackers.all()
    assert (waiting.tracker_id, waiting.quantity) == (2, Decimal("0.1"))
    fired(world.exchange.foreign)


async def _buy(world: AgentWorld, quantity: str) -> None:
    amount = Amount(AmountKind.BASE, Decimal(quantity))
    await world.do(PlaceOrder("BTC/USDT", Side.BUY, amount))
    await pass_by(world, 10)
