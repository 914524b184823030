"""Feeds that freeze, die alone or stand still with the process: stops sell on, and it is told."""

from decimal import Decimal

import pytest

from tests.catalogue import fired
from tests.simulation.stage import Stage
from tests.simulation.world import World, play

pytestmark = pytest.mark.slow

USER_STREAM = "/ws-api"


@pytest.mark.fault("W04", "PROT TELL SAID")
def test_a_stop_sells_while_the_feeds_own_clock_stands_still() -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open("/track BTC/USDT stop 58000 0.4 BTC")
        await stage.open("/track BTC/USDT stop 50000 all")
        await world.pass_by(5)
        await stage.control.add_fault(
            {
                "kind": "stall_stream",
                "args": {"scope": "market", "seconds": 60, "frozen_event_time": True},
            }
        )
        stage.move("57900")
        # Messages go on to arrive, and say the old price under the old time.
        assert await stage.until(lambda: world.held("BTC") == Decimal("0.1"), 20) <= 10
        assert len(stage.sales) == 1
        frozen = world.exchange.market_streams.muted_frames
        # The other stop waits for prices still.
        await stage.until_told("stand still: they are asked for over REST", 30)
        fired(frozen, words="frames held back")

    play(1, story)


@pytest.mark.fault("W05", "PROT SAID")
@pytest.mark.parametrize("stays_down", [True, False], ids=["fallen", "recovered"])
def test_a_process_that_answers_no_ping_for_a_minute_judges_what_it_missed(
    stays_down: bool,
) -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open("/track BTC/USDT stop 58000 all")
        await world.pass_by(5)
        world.loop.freeze()
        await world.pass_by(20)
        stage.move("57000")
        await world.pass_by(40)
        # The exchange has had no answer to its ping for a minute.
        await stage.control.add_fault({"kind": "disconnect", "args": {"scope": "all"}})
        if not stays_down:
            stage.move("60000")
        await world.pass_by(10)
        world.loop.thaw()
        if stays_down:
            assert await stage.until(lambda: world.held("BTC") == 0, 20) <= 10
            assert len(stage.sales) == 1
        else:
            await stage.until_told("58000 was crossed while nobody watched", 30)
            assert world.held("BTC") == Decimal("0.5")
        await stage.until(lambda: world.agent.market.stream_state == "live", 10)
        assert world.agent.account_stream == "live"
        fired(world.loop.held_back, words="calls held back for 70 s")

    play(1, story)


@pytest.mark.fault("W06", "TELL SAID")
def test_a_user_stream_that_dies_alone_is_told_within_a_minute_and_fills_come_within_ten() -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open("/track BTC/USDT stop 58000 0.1")
        assert await world.confirm("/sell BTC/USDT 0.1 limit 61000"), world.telephone.text()
        await stage.until(lambda: len(stage.sales) == 1)
        await world.pass_by(31)
        world.network.refuses = world.network.refuses | {USER_STREAM}
        await stage.control.add_fault({"kind": "terminate_stream"})
        waited_s = await stage.until_told("Orders and balances are not told live")
        assert waited_s <= 60
        # Prices are live all the while, and what fills unseen is asked for.
        assert world.agent.market.stream_state == "live"
        stage.move("61100")
        assert await stage.until(lambda: not world.agent.execution.intents, 20) <= 12
        world.network.refuses = frozenset()
        await stage.until_told("the account is followed live again")
        assert len(stage.told("Orders and balances are not told live")) == 1
        fired(world.network.weather.fired.get("refused", 0))

    play(1, story)
