"""A stop that has fired and whose market is gone at a start: shown, given up, or sold later."""

import pytest

from bot.telegram.render.trackers import tracker_card, trackers_card
from tests.unit.trading.agent_world import AgentWorld
from trading.domain.commands import AbortIntent, SetTradingMode
from trading.domain.events import AlertRaised, TrackerChanged
from trading.domain.instrument import Instrument
from trading.domain.position import TradingMode
from trading.domain.tracker import TrackerChange, TrackerState

BTC = "BTC/USDT"
GONE = "the exchange does not list BTC/USDT now"


async def _fire_and_lose_the_market(world: AgentWorld) -> Instrument:
    """The stop fires, its sale cannot leave, the process dies, and the next finds no market."""
    await world.protect()
    world.exchange.fail("not_sent", times=1_000)
    await world.move("57990")
    assert world.desk.tracker(1).tracker.state is TrackerState.EXITING
    await world.kill()
    world.exchange.faults.clear()
    listed = world.exchange.rules.pop(BTC)
    await world.start()
    await world.time.until(lambda: world.desk.tracker(1).tracker.state is TrackerState.BLOCKED, 60)
    return listed


async def test_it_is_shown_as_blocked_wherever_trackers_are(world: AgentWorld) -> None:
    await _fire_and_lose_the_market(world)
    [view] = world.desk.trackers()
    assert (view.tracker.tracker_id, view.instrument) == (1, None)
    assert GONE in view.tracker.reason
    assert [one.tracker_id for one in world.desk.standing().blocked] == [1]
    told = trackers_card([view]).text
    assert "#1 BTC/USDT 🚨 BLOCKED" in told
    assert "cannot sell yet" in told
    assert "sells 0.5 BTC" in tracker_card(world.desk.tracker(1)).text


async def test_it_is_told_once_and_sold_when_the_market_is_back(
    world: AgentWorld, caplog: pytest.LogCaptureFixture
) -> None:
    listed = await _fire_and_lose_the_market(world)
    await world.time.pass_by(120)
    changes = world.store.of(TrackerChanged)
    blocked = [one for one in changes if one.change is TrackerChange.BLOCKED]
    assert len(blocked) == 1
    assert not [one for one in world.store.of(AlertRaised) if "error of ours" in one.text]
    world.exchange.rules[BTC] = listed
    await world.until_sold("0.5")
    assert world.desk.trackers() == []
    assert world.agent.state.instruments[BTC] == listed
    assert [one for one in caplog.records if one.levelname == "ERROR"] == []


async def test_it_can_be_given_up(world: AgentWorld, caplog: pytest.LogCaptureFixture) -> None:
    await world.protect()
    await world.do(SetTradingMode(TradingMode.HALTED_EVERYTHING))
    await world.move("57990")
    await world.kill()
    world.exchange.rules.pop(BTC)
    await world.start()
    await world.do(SetTradingMode(TradingMode.ACTIVE))
    await world.time.until(lambda: GONE in world.desk.tracker(1).tracker.reason, 60)
    await world.do(AbortIntent(1))
    await world.time.until(lambda: world.desk.trackers() == [], 60)
    ended = await world.desk.ended_tracker(1)
    assert (ended.tracker.state, ended.instrument) == (TrackerState.ABORTED, None)
    assert world.exchange.sent == []
    await world.time.pass_by(60)
    assert [one for one in caplog.records if one.levelname == "ERROR"] == []
