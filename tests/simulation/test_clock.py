"""The machine's clock drifts, or is set back while an order is open: no order suffers from it."""

from decimal import Decimal
from itertools import pairwise

import pytest

from tests.catalogue import fired
from tests.simulation.facts import Facts
from tests.simulation.stage import Stage
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
        fired(world.machine.clock.offset_s)

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
        world.machine.clock.offset_s -= 3600
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
        fired(world.machine.clock.offset_s)

    play(1, story)
