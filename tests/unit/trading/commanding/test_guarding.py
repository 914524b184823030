"""A backstop lies on the exchange while its tracker waits, and is gone before an exit sends."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

import pytest

from tests.catalogue import fired
from tests.fakes.exchange import KeptOrder
from tests.unit.trading.agent_world import OWNER, AgentWorld, stop_spec
from trading.desk import TrackerProposal
from trading.domain.chat import Severity
from trading.domain.commands import (
    ArmTracker,
    CancelTracker,
    EditTracker,
    Panic,
    PlaceOrder,
    SetTradingMode,
)
from trading.domain.events import (
    AlertEnded,
    AlertRaised,
    AttemptPrepared,
    IntentChanged,
    IntentClosed,
    IntentOpened,
    PositionAdjusted,
    RecoveryReported,
    TrackerChanged,
)
from trading.domain.order import (
    BACKSTOP_SOLD,
    Attempt,
    Intent,
    IntentState,
    OrderType,
    Purpose,
    Side,
)
from trading.domain.position import AdjustReason, TradingMode
from trading.domain.time import Timeframe
from trading.domain.tracker import (
    Amount,
    AmountKind,
    Distance,
    Then,
    ThenKind,
    TrackerChange,
    TrackerKind,
    TrackerSpec,
    TrackerState,
)
from trading.execution.engine import ExecutionEngine

HALF = Amount(AmountKind.BASE, Decimal("0.25"))


async def guard(
    world: AgentWorld, backstop: str = "50000", amount: Amount | None = None
) -> list[KeptOrder]:
    """Arm a stop at 58,000 with a backstop, and let it reach the exchange."""
    spec = replace(stop_spec("58000", amount), backstop=Decimal(backstop))
    await world.do(ArmTracker(spec))
    await sweep(world)
    return resting(world)


async def sweep(world: AgentWorld, times: int = 1) -> None:
    for _ in range(times):
        await world.time.pass_by(1)
        await world.time.finish(world.agent.jobs()["tracker_sweep"]())
        await world.time.settle()


def resting(world: AgentWorld) -> list[KeptOrder]:
    return [one for one in orders(world, OrderType.STOP_LOSS) if one.is_open]


def orders(world: AgentWorld, kind: OrderType) -> list[KeptOrder]:
    return [one for one in world.exchange.orders.values() if one.request.order_type is kind]


def sold(world: AgentWorld) -> Decimal:
    return world.exchange.filled()


def ends(world: AgentWorld) -> list[IntentState]:
    closed = [one.intent for one in world.store.of(IntentClosed)]
    return [intent.state for intent in closed if intent.purpose is Purpose.BACKSTOP]


def note(world: AgentWorld, tracker_id: int = 1) -> str:
    return " ".join(world.desk.tracker(tracker_id).notes)


async def test_it_rests_with_the_trackers_slice_at_its_price_and_says_so(world: AgentWorld) -> None:
    [order] = await guard(world, amount=HALF)
    assert (order.request.quantity, order.request.stop_price) == (Decimal("0.25"), Decimal(50000))
    assert "rests on the exchange" in note(world)
    await sweep(world, 3)
    assert resting(world) == [order]


async def test_one_that_rests_with_a_part_of_the_slice_says_so(world: AgentWorld) -> None:
    await world.protect(amount=HALF)
    world.exchange.lock_by_hand("BTC", "0.4")
    await world.do(EditTracker(1, backstop=Decimal(50_000)))
    await sweep(world)
    [order] = resting(world)
    assert order.request.quantity == Decimal("0.1")
    assert "for 0.1 of 0.25 BTC only: the rest follows once it is free" in note(world)


async def test_the_private_stop_takes_it_off_and_sells_once(world: AgentWorld) -> None:
    await guard(world)
    await world.move("57990")
    await world.until_sold("0.5")
    assert resting(world) == []
    assert ends(world) == [IntentState.ABORTED]
    [sale] = [one for one in world.exchange.orders.values() if one.filled]
    assert sale.request.order_type is not OrderType.STOP_LOSS
    [closed] = [one for one in world.store.of(TrackerChanged) if one.tracker.state.is_terminal]
    assert closed.tracker.state is TrackerState.CLOSED


async def test_it_follows_its_tracker_and_goes_with_it(world: AgentWorld) -> None:
    await guard(world)
    await world.do(EditTracker(1, amount=HALF))
    await sweep(world, 4)
    assert [one.request.quantity for one in resting(world)] == [Decimal("0.25")]
    await world.do(CancelTracker(1))
    await sweep(world, 3)
    assert resting(world) == []
    assert sold(world) == 0


async def test_it_is_set_moved_and_taken_off_while_its_tracker_runs(world: AgentWorld) -> None:
    await world.do(ArmTracker(stop_spec("58000")))
    await world.do(EditTracker(1, backstop=Decimal(50_000)))
    await sweep(world, 2)
    assert [one.request.stop_price for one in resting(world)] == [Decimal(50_000)]
    await world.do(EditTracker(1, backstop=Decimal(55_000)))
    await sweep(world, 4)
    assert [one.request.stop_price for one in resting(world)] == [Decimal(55_000)]
    off = EditTracker(1, is_backstop_off=True)
    assert (await world.desk.propose(off, OWNER)).needs_confirmation
    assert world.desk.tracker(1).worst_case_down == Decimal(-2_500)
    await world.do(off)
    # It may rest for another moment: nobody is to count on it.
    assert len(resting(world)) == 1
    assert world.desk.tracker(1).worst_case_down is None
    assert world.desk.positions()[0].worst_case_down is None
    await sweep(world, 3)
    assert resting(world) == []
    assert sold(world) == 0


async def test_one_that_was_set_later_is_still_there_after_a_restart(world: AgentWorld) -> None:
    await world.do(ArmTracker(stop_spec("58000")))
    await world.do(EditTracker(1, backstop=Decimal(50_000), then=Then(ThenKind.COOLDOWN)))
    await sweep(world, 2)
    await world.kill()
    await world.start()
    await sweep(world, 2)
    assert [one.request.stop_price for one in resting(world)] == [Decimal(50_000)]
    assert world.desk.tracker(1).tracker.spec.then == Then(ThenKind.COOLDOWN)
    edits = [one for one in world.store.of(TrackerChanged) if one.change is TrackerChange.EDITED]
    assert len(edits) == 1


async def test_it_fires_while_nobody_watches_and_is_booked_at_the_restart(
    world: AgentWorld,
) -> None:
    await guard(world)
    await world.kill()
    world.exchange.move("BTC/USDT", "49000")
    assert sold(world) == Decimal("0.5")
    await world.start()
    await sweep(world, 3)
    assert sold(world) == Decimal("0.5")
    assert ends(world) == [IntentState.DONE]
    assert world.agent.trackers.all() == []
    assert world.agent.state.book.snapshot().managed("BTC/USDT") == 0


async def test_what_fires_before_the_private_stop_could_ends_the_tracker(world: AgentWorld) -> None:
    await guard(world)
    # One print straight through both: the exchange is there first.
    world.exchange.move("BTC/USDT", "49000")
    await world.time.settle()
    await sweep(world, 2)
    await world.time.until(lambda: not world.agent.execution.intents, 60)
    assert sold(world) == Decimal("0.5")
    assert world.agent.trackers.all() == []


async def test_a_halt_leaves_it_and_a_panic_takes_it_off_before_it_sells(world: AgentWorld) -> None:
    await guard(world)
    await world.do(SetTradingMode(TradingMode.HALTED_EVERYTHING))
    await sweep(world, 2)
    assert len(resting(world)) == 1
    [position] = world.desk.positions()
    card = world.desk.tracker(1)
    # Nothing sells at 58,000: what is left is the order at the exchange.
    assert card.is_protecting
    assert card.only_backstop == Decimal(50_000)
    assert card.worst_case == position.worst_case == Decimal(-5_000)
    assert (position.stops, position.backstops) == ((), ((Decimal(50_000), Decimal("0.5")),))
    chart = await world.desk.chart("BTC/USDT", Timeframe("1h"), 10)
    assert (chart.are_stops_held, chart.backstops) == (True, {1: Decimal(50_000)})
    await world.do(Panic())
    await world.until_sold("0.5")
    assert resting(world) == []


async def test_a_start_under_a_full_halt_tells_the_backstop_that_rests(world: AgentWorld) -> None:
    await guard(world)
    await world.do(SetTradingMode(TradingMode.HALTED_EVERYTHING))
    await world.kill()
    await world.start()
    lines = world.store.of(RecoveryReported)[-1].lines
    assert "⚠️ HALTED EVERYTHING: NO STOP SELLS. /resume ends it" in lines
    assert "⚠️ ONLY A BACKSTOP SELLS: 0.5 BTC at 50000" in lines
    await world.do(SetTradingMode(TradingMode.ACTIVE))
    await world.do(EditTracker(1, is_backstop_off=True))
    await sweep(world, 3)
    await world.do(SetTradingMode(TradingMode.HALTED_EVERYTHING))
    await world.kill()
    await world.start()
    assert "⚠️ NOT PROTECTED: 0.5 BTC" in world.store.of(RecoveryReported)[-1].lines


async def test_a_held_exit_leaves_its_backstop_where_it_is(world: AgentWorld) -> None:
    await guard(world)
    await world.do(SetTradingMode(TradingMode.HALTED_EVERYTHING))
    await world.move("57990")
    await sweep(world, 2)
    assert sold(world) == 0
    assert len(resting(world)) == 1


async def test_a_refusal_is_said_on_the_card_and_tried_again_after_a_minute(
    world: AgentWorld,
) -> None:
    refusal = {"status": 400, "code": -1013, "message": "Filter failure: MAX_NUM_ALGO_ORDERS"}
    fault = world.exchange.fail("refuse", 2, **refusal)
    await guard(world)
    assert fault.fired
    assert resting(world) == []
    assert "NO backstop" in note(world)
    await sweep(world, 3)
    assert resting(world) == []
    await world.time.pass_by(61)
    await sweep(world)
    assert len(resting(world)) == 1


@pytest.mark.fault("X33", "KEEP SAID")
async def test_one_that_the_exchange_took_off_is_placed_again_within_two_seconds(
    world: AgentWorld,
) -> None:
    [order] = await guard(world)
    await sweep(world, 61)
    await world.exchange.cancel("BTC/USDT", order.request.client_order_id)
    await world.time.settle()
    assert resting(world) == []
    await sweep(world, 2)
    [again] = resting(world)
    assert again.request.client_order_id != order.request.client_order_id
    # Both lives are in the journal, so a start finds the second one and places no third.
    await world.kill()
    await world.start()
    await sweep(world, 3)
    assert resting(world) == [again]
    assert lost(world) == []
    fired(world.exchange.cancelled)


@pytest.mark.fault("X33", "CRIT SAID")
@pytest.mark.parametrize("rested_s", [5, 61])
async def test_one_that_cannot_be_replaced_within_two_seconds_is_told_loudly(
    world: AgentWorld, rested_s: int
) -> None:
    [order] = await guard(world)
    await sweep(world, rested_s)
    refused = world.exchange.fail(
        "refuse", times=9, status=400, code=-1013, message="Filter failure: MAX_NUM_ALGO_ORDERS"
    )
    await world.exchange.cancel("BTC/USDT", order.request.client_order_id)
    await sweep(world, 3)
    [alert] = lost(world)
    assert alert.severity is Severity.CRIT
    assert "could not be replaced" in alert.text
    # Whoever reads that it was refused finds beside it what that means.
    [together] = [one for one in world.store.appends if alert in one]
    [end] = [one for one in together if isinstance(one, IntentClosed)]
    assert alert.alert_id == f"backstop_lost:{end.intent.intent_id}"
    await sweep(world, 10)
    assert len(lost(world)) == 1
    refused.times = refused.fired
    await sweep(world, 61)
    assert len(resting(world)) == 1
    fired(refused)


@pytest.mark.fault("X33", "KEEP SAID")
@pytest.mark.parametrize("rested_s", [3, 61])
async def test_one_that_was_taken_off_while_nobody_watched_is_placed_again_at_the_start(
    world: AgentWorld, rested_s: int
) -> None:
    [order] = await guard(world)
    await sweep(world, rested_s)
    await world.kill()
    world.exchange.fail("stream_lost")
    await world.exchange.cancel("BTC/USDT", order.request.client_order_id)
    await world.start()
    await sweep(world, 2)
    [again] = resting(world)
    assert again is not order
    assert lost(world) == []
    fired(world.exchange.cancelled)


@pytest.mark.fault("X33", "CRIT SAID")
async def test_one_that_was_taken_off_while_nobody_watched_and_is_refused_is_told_loudly(
    world: AgentWorld,
) -> None:
    [order] = await guard(world)
    await sweep(world, 3)
    await world.kill()
    world.exchange.fail("stream_lost")
    await world.exchange.cancel("BTC/USDT", order.request.client_order_id)
    refused = world.exchange.fail(
        "refuse", times=9, status=400, code=-1013, message="Filter failure: MAX_NUM_ALGO_ORDERS"
    )
    await world.start()
    await sweep(world, 3)
    [alert] = lost(world)
    assert alert.severity is Severity.CRIT
    assert world.desk.status().alerts == (alert,)
    refused.times = refused.fired
    await sweep(world, 61)
    assert len(resting(world)) == 1
    await sweep(world, 1)
    assert world.desk.status().alerts == ()
    fired(refused)


async def test_one_that_was_taken_off_by_hand_soon_after_it_came_is_placed_again_and_no_alarm(
    world: AgentWorld,
) -> None:
    [order] = await guard(world)
    await sweep(world, 5)
    await world.exchange.cancel("BTC/USDT", order.request.client_order_id)
    await sweep(world, 2)
    [again] = resting(world)
    assert again is not order
    await sweep(world, 10)
    assert lost(world) == []
    # Taken off again within a minute it is not fought for: a person is told, once.
    await world.exchange.cancel("BTC/USDT", again.request.client_order_id)
    await sweep(world, 3)
    assert resting(world) == []
    [alert] = lost(world)
    assert world.desk.status().alerts == (alert,)
    await sweep(world, 61)
    assert len(resting(world)) == 1
    assert len(lost(world)) == 1
    assert world.desk.status().alerts == ()


@pytest.mark.parametrize("dies", [False, True])
async def test_the_alarm_of_a_lost_backstop_ends_with_its_tracker(
    world: AgentWorld, dies: bool
) -> None:
    [order] = await guard(world)
    await sweep(world, 5)
    world.exchange.fail(
        "refuse", times=1, status=400, code=-1013, message="Filter failure: MAX_NUM_ALGO_ORDERS"
    )
    await world.exchange.cancel("BTC/USDT", order.request.client_order_id)
    await sweep(world, 3)
    [alert] = lost(world)
    assert world.desk.status().alerts == (alert,)
    if dies:
        await world.kill()
        world.exchange.move("BTC/USDT", "57900")
        await world.start()
    await world.move("57900")
    await world.until_sold("0.5")
    await sweep(world, 2)
    assert world.agent.trackers.all() == []
    assert world.desk.status().alerts == ()
    [ended] = [one for one in world.store.of(AlertEnded) if one.alert_id == alert.alert_id]
    assert ended.at >= alert.at


async def test_one_that_is_lost_while_the_price_is_below_it_is_told_once_as_lost(
    world: AgentWorld,
) -> None:
    await _swing_up(world)
    await world.move("55000")
    await world.move("55600")
    await world.time.until(lambda: world.agent.trackers.all()[0].side is Side.SELL, 60)
    await world.move("57000")
    await sweep(world, 61)
    [order] = resting(world)
    await world.exchange.cancel("BTC/USDT", order.request.client_order_id)
    before = len(_warned(world))
    await world.move("56000")
    await sweep(world, 61)
    assert resting(world) == []
    [alert] = lost(world)
    assert "the price 56000 is not above it" in alert.text
    assert len(_warned(world)) == before


def _warned(world: AgentWorld) -> list[AlertRaised]:
    return [one for one in world.store.of(AlertRaised) if "held_back" in one.alert_id]


def lost(world: AgentWorld) -> list[AlertRaised]:
    return [one for one in world.store.of(AlertRaised) if "backstop_lost" in one.alert_id]


@pytest.mark.fault("X23", "ONE CRIT SAID")
async def test_a_sale_that_is_refused_after_its_backstop_is_gone_is_told_within_two_seconds(
    world: AgentWorld,
) -> None:
    await guard(world)
    refused = world.exchange.fail(
        "refuse", times=1, status=400, code=-2015, message="Invalid API-key"
    )
    began_s = world.time.monotonic()
    await world.move("57990")
    await world.time.until(lambda: bool(blocked(world)), 2)
    assert world.time.monotonic() - began_s <= 2
    assert resting(world) == []
    assert "key refused" in blocked(world)[0].reason
    # It goes on by itself, and sells once.
    await world.until_sold("0.5")
    assert refused.fired
    fired(refused.fired)


@pytest.mark.fault("X23", "CRIT SAID")
async def test_a_cancel_that_nobody_answers_is_told_within_two_seconds_and_nothing_is_sold_twice(
    world: AgentWorld,
) -> None:
    await guard(world)
    mute = world.exchange.fail("cancel_mute", times=99)
    began_s = world.time.monotonic()
    await world.move("57990")
    await world.time.until(lambda: bool(waiting(world)), 3)
    assert world.time.monotonic() - began_s <= 2
    assert waiting(world)[0].severity is Severity.CRIT
    assert sold(world) == 0
    seen, mute.times = mute.fired, 0
    await world.until_sold("0.5")
    fired(seen)


def blocked(world: AgentWorld) -> list[TrackerChanged]:
    changes = world.store.of(TrackerChanged)
    return [one for one in changes if one.change is TrackerChange.BLOCKED]


def waiting(world: AgentWorld) -> list[AlertRaised]:
    return [one for one in world.store.of(AlertRaised) if "not cancelled yet" in one.text]


@pytest.mark.fault("X23", "ONE")
@pytest.mark.fault("X24", "ONE")
async def test_an_exit_survives_the_loss_of_the_answer_to_the_cancel(world: AgentWorld) -> None:
    await guard(world)
    fault = world.exchange.fail("cancel_lost")
    await world.move("57990")
    await world.until_sold("0.5")
    assert fault.fired
    assert resting(world) == []
    assert sold(world) == Decimal("0.5")
    fired(fault.fired)


@pytest.mark.parametrize(("times", "within_s"), [(1, 1.0), (2, 2.0)])
async def test_a_cancel_of_what_rests_that_is_answered_as_unknown_is_asked_again_at_once(
    world: AgentWorld, times: int, within_s: float
) -> None:
    await guard(world)
    fault = world.exchange.fail("cancel_unknown", times=times)
    began_s = world.time.monotonic()
    await world.move("57990")
    await world.until_sold("0.5")
    assert world.time.monotonic() - began_s <= within_s
    assert fault.fired == times
    assert len(world.exchange.cancelled) == times + 1
    assert waiting(world) == []
    assert resting(world) == []


async def test_a_cancel_that_is_answered_as_unknown_for_long_is_asked_less_and_less_often(
    world: AgentWorld,
) -> None:
    await guard(world)
    fault = world.exchange.fail("cancel_unknown", times=99)
    await world.move("57990")
    await world.time.pass_by(60)
    assert 8 <= fault.fired <= 12
    assert waiting(world)[0].severity is Severity.CRIT
    assert sold(world) == 0
    fault.times = 0
    await world.time.pass_by(10)
    await world.until_sold("0.5")


async def test_a_death_between_the_cancel_and_the_sale_sells_once(world: AgentWorld) -> None:
    await guard(world)
    world.exchange.move("BTC/USDT", "57990")
    world.exchange.move("BTC/USDT", "57990")
    await world.kill()
    await world.start()
    await sweep(world, 2)
    await world.time.until(lambda: sold(world) == Decimal("0.5"), 60)
    await world.time.until(lambda: not world.agent.execution.intents, 60)
    assert resting(world) == []


@pytest.mark.fault("X22", "SAID")
@pytest.mark.fault("X23", "ONE")
async def test_a_backstop_that_fires_while_it_is_cancelled_is_the_only_sale(
    world: AgentWorld,
) -> None:
    await guard(world)
    fault = world.exchange.fail("fill_before_cancel")
    await world.move("57990")
    await world.time.until(lambda: not world.agent.execution.intents, 120)
    await world.time.settle()
    assert fault.fired
    assert sold(world) == Decimal("0.5")
    assert ends(world) == [IntentState.DONE]
    assert world.agent.trackers.all() == []
    assert_told_as_sold_by_its_backstop(world)
    fired(fault.fired)


async def test_a_gap_below_both_levels_is_told_as_the_backstop_s_sale_if_its_report_is_late(
    world: AgentWorld,
) -> None:
    await guard(world)
    heard, world.exchange.on_report = world.exchange.on_report, None
    await world.move("49000")
    world.exchange.on_report = heard
    await world.time.until(lambda: not world.agent.execution.intents, 120)
    await world.time.settle()
    assert sold(world) == Decimal("0.5")
    assert [one.purpose for one in opened(world)] == [Purpose.BACKSTOP, Purpose.PROTECT]
    assert_told_as_sold_by_its_backstop(world)


async def test_a_stop_that_fires_while_the_backstop_s_sale_is_booked_is_told_as_that_sale(
    world: AgentWorld,
) -> None:
    await guard(world)
    heard, world.exchange.on_report = world.exchange.on_report, None
    world.exchange.move("BTC/USDT", "49000")
    world.exchange.on_report = heard
    [backstop] = orders(world, OrderType.STOP_LOSS)
    assert heard is not None
    # The second print fires the stop in the moment in which the report is taken.
    heard(world.exchange.report_of(backstop))
    world.exchange.move("BTC/USDT", "49000")
    await world.time.settle()
    await sweep(world, 2)
    assert TrackerChange.TRIGGERED in [one.change for one in world.store.of(TrackerChanged)]
    assert sold(world) == Decimal("0.5")
    assert_told_as_sold_by_its_backstop(world)


async def test_a_backstop_that_sells_while_its_exit_waits_leaves_another_stop_its_coins(
    world: AgentWorld,
) -> None:
    await guard(world, amount=HALF)
    await world.do(ArmTracker(stop_spec("40000", HALF)))
    heard, world.exchange.on_report = world.exchange.on_report, None
    await world.move("49000")
    world.exchange.on_report = heard
    await world.time.until(lambda: not world.agent.execution.intents, 120)
    await sweep(world, 2)
    assert sold(world) == Decimal("0.25")
    [second] = world.desk.trackers()
    assert (second.tracker.tracker_id, second.tracker.quantity) == (2, Decimal("0.25"))
    # What the exit wanted is written with what the backstop sold, and not a moment later.
    journal = [one.event for one in await world.store.journal.latest(200, ())][::-1]
    cut = next(
        place
        for place, event in enumerate(journal)
        if isinstance(event, IntentChanged) and event.intent.purpose is Purpose.PROTECT
    )
    [end] = [place for place, event in enumerate(journal) if _ends_backstop(event)]
    assert 0 < cut - end <= 3


def _ends_backstop(event: object) -> bool:
    return isinstance(event, IntentClosed) and event.intent.purpose is Purpose.BACKSTOP


async def test_coins_that_a_person_sold_below_the_backstop_are_not_told_as_its_sale(
    world: AgentWorld,
) -> None:
    await guard(world, amount=HALF)
    mute = world.exchange.fail("cancel_mute", times=99)
    await world.move("57990")
    adjusted = PositionAdjusted(
        "BTC/USDT",
        Decimal("-0.5"),
        Decimal(57_000),
        AdjustReason.EXTERNAL,
        "sold by hand",
        world.time.now(),
    )
    world.agent.state.book.apply(adjusted)
    mute.times = 0
    await world.time.until(lambda: not world.agent.execution.intents, 120)
    await world.time.settle()
    assert ends(world) == [IntentState.ABORTED]
    last = world.store.of(TrackerChanged)[-1].tracker
    assert last.state is TrackerState.CLOSED_EXTERNAL


def opened(world: AgentWorld) -> list[Intent]:
    return [one.intent for one in world.store.of(IntentOpened)]


def assert_told_as_sold_by_its_backstop(world: AgentWorld) -> None:
    last = world.store.of(TrackerChanged)[-1].tracker
    assert (last.state, last.reason) == (TrackerState.CLOSED, BACKSTOP_SOLD)
    closed = [one.intent for one in world.store.of(IntentClosed)]
    assert {intent.state for intent in closed} == {IntentState.DONE}
    assert {intent.reason for intent in closed if intent.purpose is Purpose.PROTECT} <= {
        BACKSTOP_SOLD
    }


async def test_an_exchange_that_is_away_is_not_sent_one_order_after_the_other(
    world: AgentWorld,
) -> None:
    fault = world.exchange.fail("not_sent", 1_000)
    await guard(world)
    await world.time.pass_by(50)
    placed = [one for one in world.store.of(AttemptPrepared) if one.attempt.request.stop_price]
    assert fault.fired
    assert len(placed) == 2
    assert "NO backstop" in note(world)
    fault.times = 0
    await world.time.pass_by(61)
    await sweep(world)
    assert len(resting(world)) == 1


async def _swing_up(world: AgentWorld, stop_share: Decimal | None = None) -> None:
    """Arm a swing with a backstop, and let its first half sell."""
    spec = TrackerSpec(
        TrackerKind.TAKE_PROFIT,
        "BTC/USDT",
        Amount(AmountKind.BASE, Decimal("0.1")),
        level=Decimal(61000),
        trail=Distance(share=Decimal("0.01")),
        stop_share=stop_share,
        then=Then(ThenKind.SWING, Decimal("0.04")),
        backstop=Decimal(56500),
    )
    await world.do(ArmTracker(spec))
    await world.move("61500")
    await world.move("60800")
    await world.until_sold("0.1")


async def test_a_swing_that_bought_back_below_its_backstop_is_told_in_chat_and_on_its_card(
    world: AgentWorld,
) -> None:
    await _swing_up(world, stop_share=Decimal("0.05"))
    assert "sells before" not in note(world)
    await world.move("55000")
    await world.move("55600")
    await world.time.until(lambda: world.agent.trackers.all()[0].side is Side.SELL, 60)
    await world.time.settle()
    for _ in range(2):
        # Each start forgets in memory what it has told.
        await world.kill()
        await world.start()
        await sweep(world, 61)
    [alert] = [one for one in world.store.of(AlertRaised) if "backstop_first" in one.alert_id]
    assert alert.text.startswith(
        "The backstop 56500 on the exchange sells before the private stop of #1 at 528"
    )
    assert "To set it lower: /tracker 1 backstop 5" in alert.text
    assert alert.text in note(world)
    await world.do(EditTracker(1, backstop=Decimal(50000)))
    assert "sells before" not in note(world)


async def test_a_backstop_above_the_price_is_held_back_told_once_and_sent_when_the_price_is_back(
    world: AgentWorld,
) -> None:
    await _swing_up(world)
    await world.move("55000")
    await world.move("55600")
    await world.time.until(lambda: world.agent.trackers.all()[0].side is Side.SELL, 60)
    before = len(ends(world))
    for _ in range(3):
        await sweep(world, 61)
    assert resting(world) == []
    assert ends(world)[before:] == []
    [alert] = [one for one in world.store.of(AlertRaised) if "held_back" in one.alert_id]
    assert "the price 55600 is not above it" in alert.text
    assert "NO backstop" in note(world)
    await world.move("57000")
    await sweep(world)
    assert len(resting(world)) == 1


async def test_a_limit_sale_takes_no_backstop_off_whose_coins_it_does_not_need(
    world: AgentWorld,
) -> None:
    await world.protect()
    await world.do(CancelTracker(1))
    [order] = await guard(world, amount=HALF)
    await world.do(PlaceOrder("BTC/USDT", Side.SELL, HALF, Decimal(70_000)))
    await sweep(world, 5)
    assert [one.is_open for one in orders(world, OrderType.LIMIT)] == [True]
    assert resting(world) == [order]


async def test_a_limit_sale_takes_its_own_quantity_and_the_backstops_rest_with_the_others(
    world: AgentWorld,
) -> None:
    [first] = await guard(world, amount=HALF)
    await guard(world, amount=HALF)
    tenth = Amount(AmountKind.BASE, Decimal("0.1"))
    await world.do(PlaceOrder("BTC/USDT", Side.SELL, tenth, Decimal(70_000)))
    await sweep(world, 5)
    [sale] = orders(world, OrderType.LIMIT)
    assert (sale.is_open, sale.request.quantity) == (True, Decimal("0.1"))
    # The older one never left.
    assert resting(world)[0] is first
    assert [one.request.quantity for one in resting(world)] == [Decimal("0.25"), Decimal("0.15")]
    # Either way out sells what it has, and nothing twice.
    world.exchange.move("BTC/USDT", "49000")
    await world.time.pass_by(30)
    assert sold(world) == Decimal("0.4")
    world.exchange.move("BTC/USDT", "70001")
    await world.until_sold("0.5")


async def test_one_that_was_cut_grows_back_once_the_rest_is_free_and_its_coins_are_watched(
    world: AgentWorld,
) -> None:
    await world.protect(amount=HALF)
    world.exchange.lock_by_hand("BTC", "0.4")
    await world.do(EditTracker(1, backstop=Decimal(50_000)))
    await sweep(world)
    assert resting(world)[0].request.quantity == Decimal("0.1")
    world.exchange.lock_by_hand("BTC", "-0.1")
    await sweep(world, 70)
    # What is free is not all of the rest.
    assert resting(world)[0].request.quantity == Decimal("0.1")
    world.exchange.lock_by_hand("BTC", "-0.3")
    await sweep(world, 3)
    [order] = resting(world)
    assert order.request.quantity == Decimal("0.25")
    assert "only" not in note(world)
    await sweep(world, 70)
    assert resting(world) == [order]


async def test_one_that_was_cut_stays_while_a_halt_would_refuse_a_greater_one(
    world: AgentWorld,
) -> None:
    await world.protect(amount=HALF)
    world.exchange.lock_by_hand("BTC", "0.4")
    await world.do(EditTracker(1, backstop=Decimal(50_000)))
    await sweep(world, 65)
    await world.do(SetTradingMode(TradingMode.HALTED))
    [before] = resting(world)
    world.exchange.lock_by_hand("BTC", "-0.4")
    await sweep(world, 3)
    assert resting(world) == [before]
    await world.do(SetTradingMode(TradingMode.ACTIVE))
    await sweep(world, 3)
    assert [order.request.quantity for order in resting(world)] == [Decimal("0.25")]


async def test_one_that_was_cut_takes_no_coins_that_another_stop_is_about_to_sell(
    world: AgentWorld,
) -> None:
    await world.protect(amount=HALF)
    await world.protect("59000", Amount(AmountKind.BASE, Decimal("0.1")))
    world.exchange.lock_by_hand("BTC", "0.4")
    await world.do(EditTracker(1, backstop=Decimal(50_000)))
    await sweep(world, 65)
    [before] = resting(world)
    assert before.request.quantity == Decimal("0.1")
    # Its exit has no order as long as nobody buys.
    world.exchange.without_bids.add("BTC/USDT")
    await world.move("58900")
    await sweep(world, 3)
    assert world.desk.tracker(2).tracker.state is TrackerState.BLOCKED
    world.exchange.lock_by_hand("BTC", "-0.2")
    await sweep(world, 3)
    assert resting(world) == [before]
    world.exchange.lock_by_hand("BTC", "-0.05")
    await sweep(world, 3)
    assert [order.request.quantity for order in resting(world)] == [Decimal("0.25")]


async def _start_with_orders_up_to(world: AgentWorld, most: str) -> None:
    """Start over on an exchange that takes no more of BTC/USDT in one order."""
    rules = replace(world.exchange.rules["BTC/USDT"], market_quantity_max=Decimal(most))
    world.exchange.rules["BTC/USDT"] = rules
    await world.kill()
    await world.start()


async def test_one_above_what_one_order_takes_is_told_with_what_it_covers(
    world: AgentWorld,
) -> None:
    await _start_with_orders_up_to(world, "0.2")
    spec = replace(stop_spec("58000"), backstop=Decimal(50_000))
    proposal = await world.time.finish(world.desk.propose(ArmTracker(spec), OWNER))
    assert isinstance(proposal.facts, TrackerProposal)
    told = "its backstop covers 0.2 of 0.5 BTC: one order takes no more"
    assert told in proposal.facts.notes
    [order] = await guard(world)
    assert order.request.quantity == Decimal("0.2")
    assert "for 0.2 of 0.5 BTC only: one order takes no more" in note(world)
    await sweep(world, 70)
    assert resting(world) == [order]


async def test_no_more_than_what_it_sells_is_called_protected_by_a_backstop_alone(
    world: AgentWorld,
) -> None:
    await _start_with_orders_up_to(world, "0.2")
    await guard(world)
    (view,) = world.desk.positions()
    # Its private stop sells all of it, in several orders; while Umbra is away nothing does.
    assert (view.is_protected, view.worst_case_down) == (True, None)
    card = world.desk.tracker(1)
    assert (card.is_protecting, card.worst_case_down) == (True, None)
    await world.do(SetTradingMode(TradingMode.HALTED_EVERYTHING))
    (view,) = world.desk.positions()
    assert (view.protected_quantity, view.is_protected) == (Decimal("0.2"), False)
    assert view.backstops == ((Decimal(50_000), Decimal("0.2")),)
    card = world.desk.tracker(1)
    assert (card.is_protecting, card.only_backstop, card.worst_case) == (False, None, None)
    await world.agent.beat()
    await world.kill()
    await world.start()
    lines = world.store.of(RecoveryReported)[-1].lines
    assert "⚠️ NOT PROTECTED: 0.3 BTC" in lines
    assert "⚠️ ONLY A BACKSTOP SELLS: 0.2 BTC at 50000" in lines


async def test_one_that_is_taken_off_may_sell_no_more_than_its_order_has(world: AgentWorld) -> None:
    await world.protect()
    world.exchange.lock_by_hand("BTC", "0.4")
    await world.do(EditTracker(1, backstop=Decimal(50_000)))
    await sweep(world)
    assert [order.request.quantity for order in resting(world)] == [Decimal("0.1")]
    mute = world.exchange.fail("cancel_mute", 50)
    await world.do(CancelTracker(1))
    await sweep(world)
    (view,) = world.desk.positions()
    assert view.leaving == ((Decimal(50_000), Decimal("0.1")),)
    assert mute.fired


async def test_cards_of_many_trackers_ask_once_which_backstops_rest(
    world: AgentWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    listed = vars(ExecutionEngine)["attempts"].fget

    def attempts(engine: ExecutionEngine) -> Sequence[Attempt]:
        asked.append(1)
        found: Sequence[Attempt] = listed(engine)
        return found

    async def looks(amount: str) -> int:
        spec = replace(
            stop_spec("58000", Amount(AmountKind.BASE, Decimal(amount))), backstop=Decimal(50_000)
        )
        await world.do(ArmTracker(spec))
        await sweep(world)
        asked.clear()
        world.desk.trackers()
        world.desk.positions()
        return len(asked)

    monkeypatch.setattr(ExecutionEngine, "attempts", property(attempts))
    one = await looks("0.1")
    assert await looks("0.1") == await looks("0.1") == one > 0
    assert len(resting(world)) == 3
