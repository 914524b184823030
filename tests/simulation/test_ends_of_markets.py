"""What is left of a position, and what is left of a market: the whole agent tells both."""

from decimal import Decimal

import pytest

from tests.catalogue import fired
from tests.simulation.facts import Facts
from tests.simulation.stage import BTC, ETH, Stage
from tests.simulation.world import World, play
from trading.domain.order import IntentState
from trading.domain.tracker import TrackerChange

pytestmark = pytest.mark.slow

REPEATED_AFTER_S = 90.0


def facts_of(world: World) -> Facts:
    """What the journal says."""
    facts = Facts()
    facts.read(world.machine.disk.database)
    facts.close()
    return facts


@pytest.mark.fault("M05", "TELL SAID")
def test_coins_that_are_too_few_for_an_order_are_told_with_what_was_sold() -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open("/track BTC/USDT stop 58000 all")
        # The first order ends with coins unsold, and by the next these are too few for one.
        await stage.control.shape_book({"symbol": BTC, "quote_depth": "12000", "side": "bid"})
        stage.move("57900")
        await stage.until(lambda: bool(stage.sales) and world.held("BTC") < Decimal("0.5"))
        await stage.control.set_symbol({"symbol": BTC, "notional_min": "1000000"})
        await stage.until_told("dust")
        left = world.held("BTC")
        assert 0 < left < Decimal("0.5")
        sold = f"Sold {(Decimal('0.5') - left).normalize()} BTC"
        assert [one for one in stage.told("dust") if sold in one.content.text]
        ends = [intent.state for intent in facts_of(world).intents.values()]
        fired(ends.count(IntentState.DUST), words=f"{left} BTC are left")

    play(1, story)


@pytest.mark.fault("M08", "CRIT SAID")
def test_a_stop_whose_market_is_gone_is_told_until_acknowledged_and_the_others_are_watched(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open("/track BTC/USDT stop 58000 all", "/track ETH/USDT stop 2900 all")
        await world.machine.cut_power()
        venue = world.exchange.venue
        venue.world.markets.pop(ETH)
        venue._symbols.pop("ETHUSDT")
        world.machine.start()
        await stage.until_told("BLOCKED: ETH/USDT #2", 60)
        [alarm] = stage.told("BLOCKED: ETH/USDT #2")
        assert "🚨" in alarm.content.text
        assert "the exchange no longer knows ETH/USDT" in " ".join(alarm.content.text.split())
        await world.pass_by(REPEATED_AFTER_S)
        assert any("🔁" in one.content.text for one in world.telephone.messages())
        # Neither the start nor the comparison with the exchange ends by it.
        assert [one for one in caplog.records if one.msg == "task_died"] == []
        stage.move("57900")
        await stage.until(lambda: world.held("BTC") == 0, 60)
        await stage.until_told("Sold 0.5 BTC")
        changes = [one.change for one in facts_of(world).changes]
        fired(changes.count(TrackerChange.BLOCKED))

    play(1, story)
