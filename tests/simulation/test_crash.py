"""Half the price in a second, and nobody bids: the stop fires, says so, and sells when it can."""

from decimal import Decimal

import pytest

from tests.catalogue import fired
from tests.simulation.facts import Facts
from tests.simulation.stage import BTC, Stage
from tests.simulation.world import World, play
from trading.domain.tracker import TrackerChange
from trading.sim.liquidity import QUOTE_DEPTH

pytestmark = pytest.mark.slow

FIRED_WITHIN_S = 1.6


@pytest.mark.fault("M01", "CRIT SAID")
def test_a_stop_under_a_crash_without_bids_fires_at_once_and_is_told_until_it_has_sold() -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open("/track BTC/USDT stop 58000 all")
        await stage.control.shape_book({"symbol": BTC, "quote_depth": "0", "side": "bid"})
        stage.move("30000")
        fell_at = world.machine.clock.now()
        await stage.until_told("BLOCKED: BTC/USDT #1", 60)
        facts = Facts()
        facts.read(world.machine.disk.database)
        facts.close()
        [shot] = [one for one in facts.changes if one.change is TrackerChange.TRIGGERED]
        blocked = [one for one in facts.changes if one.change is TrackerChange.BLOCKED]
        assert (shot.at - fell_at).total_seconds() <= FIRED_WITHIN_S
        await world.pass_by(90)
        assert any("🔁" in one.content.text for one in world.telephone.messages())
        assert world.held("BTC") == Decimal("0.5")
        liquidity = world.exchange.venue.world.markets[BTC].liquidity
        liquidity.set_depth(Decimal(QUOTE_DEPTH))
        world.exchange.venue.world.reshape(BTC, world.exchange.venue.now_ms())
        stage.move("30000.01")
        await stage.until(lambda: world.held("BTC") == 0)
        await stage.until_told("Sold 0.5 BTC")
        assert sum(order.executed for order in stage.sales) == Decimal("0.5")
        fired(len(blocked), words=f"{blocked[0].tracker.reason}, {world.price(BTC)} after 60000")

    play(1, story)
