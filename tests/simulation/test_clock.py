"""The machine's clock drifts, or is set back while an order is open: no order suffers from it."""

from datetime import timedelta
from decimal import Decimal
from itertools import pairwise

import pytest

from tests.catalogue import fired
from tests.simulation.facts import Facts
from tests.simulation.stage import BTC, ETH, Stage
from tests.simulation.world import World, play
from trading.domain.order import AttemptState
from trading.domain.tracker import TrackerChange

pytestmark = pytest.mark.slow

DRIFT_S_PER_MIN = 2.0
MEASURED_EVERY_S = 60.0


def facts_of(world: World) -> Facts:
    """What the journal says."""
    facts = Facts()
    facts.read(world.machine.disk.database)
    facts.close()
    return facts


@pytest.mark.fault("C02", "SAID")
def test_a_drifting_clock_is_measured_each_minute_and_fails_no_order() -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open("/track BTC/USDT stop 58000 all")
        began_s = stage.now_s
        for _ in range(300):
            world.machine.clock.offset_s += DRIFT_S_PER_MIN / 60
            await world.pass_by(1)
        stage.move("57990")
        await stage.until(lambda: world.held("BTC") == 0)
        asked = [at_s for at_s, what in stage.asked if at_s > began_s and what.endswith("/time")]
        assert max(later - at_s for at_s, later in pairwise(asked)) <= MEASURED_EVERY_S
        states = {attempt.state for attempt in facts_of(world).attempts.values()}
        assert states == {AttemptState.FILLED}
        assert len(stage.sales) == 1
        fired(round(world.machine.clock.offset_s * 1000), words="ms of drift")

    play(1, story)


@pytest.mark.fault("C03", "SAID")
def test_a_clock_set_back_with_an_order_open_neither_fires_nor_sells_again() -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open("/track BTC/USDT trail 3% all")
        stage.move("61000")
        await world.pass_by(5)
        world.network.weather.user_dropped = 1.0
        slow = stage.fault("delay", 1, seconds=3.0, when="after")
        stage.move("59000")
        await stage.until(lambda: slow.fired > 0)
        before = world.machine.clock.now()
        world.machine.clock.offset_s -= 3600
        set_back = before - world.machine.clock.now()
        await stage.until(lambda: not world.agent.execution.intents)
        stage.move("61500")
        stage.move("58000")
        await world.pass_by(30)
        facts = facts_of(world)
        changes = [one.change for one in facts.changes]
        assert changes.count(TrackerChange.TRIGGERED) == 1
        assert len(stage.sales) == 1
        assert world.held("BTC") == 0
        # The order of facts is the journal's; their times went back.
        assert facts.breaches == []
        assert facts.changes[-1].at < facts.changes[0].at
        assert sum(fill.quantity for fill in facts.fills.values()) == Decimal("0.5")
        fired(round(set_back.total_seconds()), words="s back")

    play(1, story)


def test_a_clock_set_back_gives_a_sale_by_hand_no_longer_life() -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open()
        asked = world.telephone.say("/sell BTC/USDT 0.2")
        await stage.until(lambda: bool(world.telephone.messages(asked.message_id)), 30)
        await stage.control.shape_book({"symbol": "BTCUSDT", "side": "bid", "quote_depth": "0"})
        await stage.until(lambda: world._tap_confirm(asked.message_id), 30)
        await _ends_though_the_clock_goes_back(stage, 130)

    play(1, story)


def test_a_clock_set_back_gives_a_trigger_no_longer_life() -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open("/track BTC/USDT buy stop 60500 300 USDT")
        await stage.control.shape_book({"symbol": "BTCUSDT", "side": "ask", "quote_depth": "0"})
        stage.move("60510")
        await _ends_though_the_clock_goes_back(stage, 15)

    play(1, story)


async def _ends_though_the_clock_goes_back(stage: Stage, within_s: float) -> None:
    world = stage.world
    await world.pass_by(3)
    assert world.agent.execution.intents
    world.machine.clock.offset_s -= 3600
    await world.pass_by(within_s)
    assert not world.agent.execution.intents
    await stage.control.shape_book({"symbol": "BTCUSDT", "quote_depth": "500000"})
    await world.pass_by(30)
    assert not any(order.executed for order in world.orders())


HOUR_S, DAY_S = 3600.0, 86_400.0
TOLD_WITHIN_S = 30.0
TIME = "/api/v3/time"
ACCOUNT = "GET /api/v3/account"
BUY = "/buy BTC/USDT 100 USDT"


@pytest.mark.fault("C01", "TELL SAID")
@pytest.mark.parametrize("step_s", [HOUR_S, -HOUR_S, DAY_S, -DAY_S])
def test_a_clock_that_is_set_under_a_running_agent_moves_no_stop_and_no_job(step_s: float) -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open("/track BTC/USDT stop 58000 all", "/track ETH/USDT trail 3% all")
        question = world.telephone.say("/sell ETH/USDT 10%")
        await stage.until(lambda: bool(world.telephone.messages(question.message_id)))
        [asked] = world.telephone.messages(question.message_id)
        await world.pass_by(1)
        before = {one.tracker_id: one.stop_price for one in world.agent.trackers.all()}
        stepped_s, was = stage.now_s, world.machine.clock.now()
        world.machine.clock.offset_s += step_s
        fired(abs(round((world.machine.clock.now() - was).total_seconds())), words="s at once")
        await stage.until_told("set it. Orders are signed by the exchange's clock", TOLD_WITHIN_S)
        # What was asked before is over: nobody can tell any more how long ago that was.
        world.telephone.press(asked, "Confirm")
        await stage.until_told("Expired", 10)
        # Nor how long a command that adds risk has been on its way.
        world.telephone.say(BUY)
        await stage.until_told("adds risk", 10)
        await world.pass_by(240)
        assert stage.sales == []
        assert not world.agent.prices.is_stale(BTC)
        assert before == {one.tracker_id: one.stop_price for one in world.agent.trackers.all()}
        check_rhythm(stage, stepped_s)
        stage.move("57990")
        assert await stage.until(lambda: world.held("BTC") == 0, 10) <= TOLD_WITHIN_S
        await world.pass_by(60)
        assert len(stage.sales) == 1
        facts = facts_of(world)
        assert {one.state for one in facts.attempts.values()} == {AttemptState.FILLED}
        assert facts.breaches == []
        assert world.agent.trackers.count() == 1

    play(1, story)


def check_rhythm(stage: Stage, stepped_s: float) -> None:
    """Nothing ran in a burst after the step, and nothing waited for the old time to come."""
    asked = [at_s for at_s, what in stage.asked if at_s > stepped_s and what == ACCOUNT]
    gaps = [later - at_s for at_s, later in pairwise([stepped_s, *asked, stage.now_s])]
    assert max(gaps) <= 75
    assert len(asked) <= 240 / 60 + 6


@pytest.mark.fault("C01", "SAID")
@pytest.mark.parametrize("step_s", [HOUR_S, -HOUR_S, DAY_S, -DAY_S])
def test_quiet_hours_follow_the_clock_as_it_is_and_never_what_is_critical(step_s: float) -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open("/track BTC/USDT stop 58000 all", "/track ETH/USDT stop 2000 all")
        now = world.machine.clock.now()
        world.machine.clock.offset_s += step_s
        begins = now + timedelta(seconds=step_s) - timedelta(minutes=30)
        hours = f"{begins:%H:%M}-{begins + timedelta(hours=1):%H:%M}"
        assert await world.answer_to(f"/quiet {hours}") is not None
        stepped = world.machine.clock.now() - now
        fired(abs(round(stepped.total_seconds())), words=f"s at once, quiet {hours}")
        stage.move("57990")
        await stage.until_told("Sold 0.5 BTC")
        assert is_silent_of(stage, "Sold 0.5 BTC")
        await stage.control.shape_book({"symbol": ETH, "quote_depth": "0", "side": "bid"})
        stage.move("1900", ETH)
        await stage.until_told("BLOCKED: ETH/USDT #2", 60)
        assert not is_silent_of(stage, "BLOCKED: ETH/USDT #2")

    play(1, story)


def is_silent_of(stage: Stage, words: str) -> bool:
    """Whether a message was delivered without a sound."""
    queued = facts_of(stage.world).queued.values()
    found = [one.message for one in queued if words in " ".join(one.message.text.split())]
    assert found, words
    return all(message.is_silent for message in found if not message.is_refresh)


@pytest.mark.fault("C05", "SAID")
def test_a_clock_read_over_a_line_of_three_seconds_is_not_believed_and_no_order_suffers() -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open("/track BTC/USDT stop 58000 all")
        await world.pass_by(10)
        held_ms = world.agent.clock_offset_ms
        assert abs(held_ms) <= 60
        # All of the delay lies on the way back: each reading alone is a second and a half off.
        slow = stage.fault("delay", None, seconds=3.0, when="after", path=TIME, method="GET")
        await world.pass_by(60)
        fired(slow.fired)
        assert abs(world.agent.clock_offset_ms - held_ms) <= 60
        assert not stage.told("set it. Orders are signed")
        stage.move("57990")
        await stage.until(lambda: world.held("BTC") == 0)
        assert {one.state for one in facts_of(world).attempts.values()} == {AttemptState.FILLED}

    play(1, story)


@pytest.mark.fault("C05", "SAID")
def test_a_clock_of_the_exchange_that_is_wrong_is_followed_and_told() -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open("/track BTC/USDT stop 58000 all")
        await stage.control.set_clock({"offset_ms": 90_000})
        await stage.until_told("set it. Orders are signed by the exchange's clock", TOLD_WITHIN_S)
        fired(round(world.agent.clock_offset_ms), words="ms ahead")
        stage.move("57990")
        await stage.until(lambda: world.held("BTC") == 0)
        assert len(stage.sales) == 1

    play(1, story)
