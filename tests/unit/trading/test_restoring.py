"""A start on a journal that is older than what was done: what is booked, ended and watched on."""

from dataclasses import replace
from decimal import Decimal

import pytest

from tests.catalogue import fired
from tests.fakes.memory_store import MemoryStore
from tests.unit.trading.agent_world import AgentWorld
from trading import decide
from trading.domain.chat import Severity
from trading.domain.events import AlertRaised, FillBooked, TrackerChanged, TradingModeChanged
from trading.domain.order import OrderRequest, OrderType, Side
from trading.domain.position import TradingMode
from trading.domain.tracker import Tracker, TrackerChange, TrackerState
from trading.execution.identity import client_order_id
from trading.ports.storage import LostRecords, StoredState

BTC = "BTC/USDT"


class Lacking:
    """Let the store say that its journal lacks records."""

    def __init__(self, world: AgentWorld, count: int = 12) -> None:
        self._state = world.store.state
        self.lost = LostRecords(count, world.time.now(), 400)
        world.store.state = self.state  # type: ignore[method-assign]

    async def state(self) -> StoredState:
        return replace(await self._state(), lost=self.lost)


async def _send(world: AgentWorld, tracker: Tracker, quantity: str, number: int = 1) -> None:
    """Send what the tracker's decision sent in the time that is missing."""
    intent_id = decide.intent_id(tracker, world.agent.settings.decisions)
    name = client_order_id("ux", intent_id, number)
    request = OrderRequest(name, BTC, Side.SELL, OrderType.MARKET, Decimal(quantity))
    await world.time.finish(world.exchange.submit(request))


async def _protected(world: AgentWorld) -> Tracker:
    await world.protect()
    [tracker] = world.agent.trackers.all()
    await world.kill()
    return tracker


@pytest.mark.fault("S10", "HALT SAID")
async def test_a_stop_that_sold_in_the_missing_time_is_over_and_its_sale_is_booked(
    world: AgentWorld,
) -> None:
    tracker = await _protected(world)
    lacking = Lacking(world)
    await _send(world, tracker, "0.5")
    await world.start()
    assert world.agent.trackers.count() == 0
    stored = await world.store.tracker(tracker.tracker_id)
    assert stored is not None
    assert (stored.state, stored.reason) == (
        TrackerState.CLOSED,
        "had fired already, and sold 0.5 BTC",
    )
    [fill] = world.store.of(FillBooked)
    assert fill.fill.quantity == Decimal("0.5")
    assert world.agent.state.book.snapshot().managed(BTC) == 0
    assert world.agent.state.mode is TradingMode.REDUCING
    [alert] = [one for one in world.store.of(AlertRaised) if one.alert_id.startswith("put_back:")]
    assert "12 records after that are missing" in alert.text
    sent = len(world.exchange.history)
    await world.move("50000")
    await world.move("49990")
    assert len(world.exchange.history) == sent
    fired(lacking.lost.count)


@pytest.mark.fault("S10", "SAID")
async def test_a_stop_that_sold_a_part_watches_the_rest_under_a_name_of_its_own(
    world: AgentWorld,
) -> None:
    tracker = await _protected(world)
    lacking = Lacking(world)
    await _send(world, tracker, "0.2")
    await world.start()
    [rest] = world.agent.trackers.all()
    assert (rest.quantity, rest.arm_seq) == (Decimal("0.3"), 2)
    before = {one.request.client_order_id for one in world.exchange.history}
    await world.move("57900")
    await world.time.pass_by(3)
    sold = [one for one in world.exchange.history if one.request.client_order_id not in before]
    assert [sum(fill.quantity for fill in one.fills) for one in sold] == [Decimal("0.3")]
    assert world.agent.state.book.snapshot().managed(BTC) == 0
    fired(lacking.lost.count)


@pytest.mark.fault("S10", "HALT")
async def test_a_stop_that_did_nothing_in_the_missing_time_goes_on_as_it_was(
    world: AgentWorld,
) -> None:
    tracker = await _protected(world)
    lacking = Lacking(world)
    await world.start()
    [same] = world.agent.trackers.all()
    assert (same.arm_seq, same.quantity) == (1, tracker.quantity)
    assert world.agent.state.mode is TradingMode.REDUCING
    await world.move("57900")
    await world.time.pass_by(3)
    assert world.agent.state.book.snapshot().managed(BTC) == 0
    fired(lacking.lost.count)


@pytest.mark.fault("S10", "HALT SAID")
@pytest.mark.parametrize("is_gone", [True, False])
async def test_safe_mode_says_that_stops_are_watched_only_where_there_are_some(
    world: AgentWorld, is_gone: bool
) -> None:
    await _protected(world)
    if is_gone:
        world.store = MemoryStore(world.time)
    lacking = Lacking(world)
    if is_gone:
        lacking.lost = LostRecords(412, None, 412)
    await world.start()
    assert world.agent.state.mode is TradingMode.REDUCING
    [alert] = [one for one in world.store.of(AlertRaised) if one.alert_id.startswith("put_back:")]
    assert ("UMBRA KNOWS OF NO STOP ANY MORE: none is watched" in alert.text) is is_gone
    # True, too, when somebody halts everything while it stands.
    said = "Private stops that are known are watched and sell unless everything is halted"
    assert (said in alert.text) is not is_gone
    assert ("set, moved or cancelled after that are not known" in alert.text) is not is_gone
    assert world.agent.trackers.count() == (0 if is_gone else 1)
    fired(lacking.lost.count)


@pytest.mark.fault("S10", "HALT")
async def test_an_order_of_ours_that_nobody_knows_halts_at_a_start(world: AgentWorld) -> None:
    tracker = await _protected(world)
    await _send(world, replace(tracker, tracker_id=99), "0.1")
    await world.start()
    [changed] = world.store.of(TradingModeChanged)
    assert changed.mode is TradingMode.REDUCING
    assert "an order of ours that the database does not know" in changed.reason
    assert world.agent.state.book.snapshot().managed(BTC) == Decimal("0.4")
    [kept] = world.agent.trackers.all()
    assert kept.quantity == Decimal("0.4")
    fired(world.exchange.history, words=changed.reason)


@pytest.mark.fault("S10", "HALT SAID")
async def test_an_order_that_nobody_knows_and_that_still_rests_is_cancelled_before_a_stop_sells(
    world: AgentWorld,
) -> None:
    tracker = await _protected(world)
    intent_id = decide.intent_id(replace(tracker, tracker_id=99), world.agent.settings.decisions)
    name = client_order_id("ux", intent_id, 1)
    request = OrderRequest(
        name, BTC, Side.SELL, OrderType.LIMIT, Decimal("0.5"), price=Decimal(70_000)
    )
    await world.time.finish(world.exchange.submit(request))
    await world.start()
    await world.time.pass_by(1)
    assert world.exchange.cancelled == [name]
    assert world.agent.state.mode is TradingMode.REDUCING
    assert any("still rests and is cancelled" in one.text for one in world.store.of(AlertRaised))
    await world.move("57900")
    await world.time.pass_by(3)
    assert world.agent.state.book.snapshot().managed(BTC) == 0
    fired(world.exchange.cancelled)


@pytest.mark.fault("S10", "HALT SAID")
async def test_an_order_of_a_known_stop_that_no_record_tells_of_halts_at_a_start_too(
    world: AgentWorld,
) -> None:
    tracker = await _protected(world)
    await _send(world, tracker, "0.5")
    await world.start()
    assert world.agent.state.mode is TradingMode.REDUCING
    assert world.agent.trackers.count() == 0
    assert world.agent.state.book.snapshot().managed(BTC) == 0
    [alert] = [one for one in world.store.of(AlertRaised) if one.alert_id.startswith("put_back:")]
    assert "an older copy of it was put back, or nothing could be written" in alert.text
    assert "set, moved or cancelled after that are not known" in alert.text
    assert not [one for one in world.store.of(TrackerChanged) if one.tracker.state.is_acting]
    fired(world.exchange.history, words=alert.text)


async def test_the_rest_of_a_stop_whose_sale_was_never_opened_is_watched_again(
    world: AgentWorld,
) -> None:
    tracker = await _protected(world)
    fired_one = replace(tracker, state=TrackerState.TRIGGERED)
    change = TrackerChanged(fired_one, TrackerChange.TRIGGERED, world.time.now())
    await world.store.append(change)
    await _send(world, fired_one, "0.2")
    await world.start()
    [rest] = world.agent.trackers.all()
    assert (rest.quantity, rest.state) == (Decimal("0.3"), TrackerState.WATCHING)
    assert not [one for one in world.store.of(AlertRaised) if one.alert_id.startswith("stranded:")]


@pytest.mark.fault("W10", "CRIT SAID")
@pytest.mark.parametrize("is_running", [True, False])
async def test_orders_without_a_record_are_told_once_and_together_with_safe_mode(
    world: AgentWorld, is_running: bool
) -> None:
    await world.protect()
    if not is_running:
        await world.kill()
    requests = [
        OrderRequest(
            client_order_id("ux", f"tracker:{number}:1", 1),
            *(BTC, Side.SELL, OrderType.LIMIT, Decimal("0.1"), Decimal(90_000)),
        )
        for number in (98, 99)
    ]
    for request in requests:
        await world.time.finish(world.exchange.submit(request))
    if not is_running:
        await world.start()
    await world.time.settle()
    assert world.agent.state.mode is TradingMode.REDUCING
    told = [one for one in world.store.of(AlertRaised) if one.severity is Severity.CRIT]
    about = [[one for one in told if each.client_order_id in one.text] for each in requests]
    assert [len(found) for found in about] == [1, 1]
    assert "SAFE MODE" in about[0][0].text
    assert "KNOWS OF NO STOP" not in about[0][0].text
    # Those that a start finds are one thing to look at.
    assert (about[0] == about[1]) is not is_running
    fired(requests, words=about[0][0].text)
