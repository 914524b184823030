"""Asked to end with an order in flight: its answer is waited for and written, and all is told."""

from decimal import Decimal

import pytest

from tests.catalogue import fired
from tests.simulation.facts import Facts
from tests.simulation.stage import ETH, Stage
from tests.simulation.world import World, play
from trading.domain.order import AttemptState

pytestmark = pytest.mark.slow

ANSWER_S = 3.0


@pytest.mark.fault("P02", "TELL SAID")
def test_an_end_with_an_order_in_flight_waits_for_its_answer_and_tells_what_is_left() -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open(
            "/track BTC/USDT stop 58000 0.2", "/track ETH/USDT stop 2900 all backstop 2500"
        )
        await stage.until(
            lambda: any("STOP" in order.ticket.kind.value for order in world.orders())
        )
        await world.pass_by(5)
        # The answer is the only one to tell.
        world.network.weather.user_dropped = 1.0
        slow = stage.fault("delay", 1, seconds=ANSWER_S, when="after")
        stage.move("57900")
        await stage.until(lambda: slow.fired > 0)
        main = world.machine.main
        assert main is not None
        world.machine.stop()
        asked_s = stage.now_s
        # What fires now is not sent any more.
        stage.move("2850", "ETH/USDT")
        await stage.until(main.done)
        assert main.result() == 0
        assert stage.now_s - asked_s >= ANSWER_S - 1
        assert [order.executed for order in stage.sales if order.executed] == [Decimal("0.2")]
        assert world.held("ETH") == Decimal(2)
        assert stage.told("Private stops are NOT watched while I am down")
        assert stage.told("backstops on the exchange: #2 ETH/USDT at 2500")

        facts = Facts()
        facts.read(world.machine.disk.database)
        facts.close()
        assert [
            attempt.state for attempt in facts.attempts.values() if attempt.filled_quantity
        ] == [AttemptState.FILLED]
        fired(slow.fired)

    play(1, story)


@pytest.mark.parametrize(
    "command", ["/panic", "/closeall", "/close ETH/USDT", "/sell ETH/USDT all"]
)
def test_a_record_that_is_due_while_a_tracker_ends_does_not_bring_it_back(command: str) -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open("/track ETH/USDT trail 2% all")
        question = world.telephone.say(command)
        await stage.until(lambda: bool(world.telephone.messages(question.message_id)))
        [asked] = world.telephone.messages(question.message_id)
        # While the end is being written the record moves on, and wants to be written as well.
        world.loop.storage_delay_s = lambda: 0.7
        world.telephone.press(asked, "Confirm")
        await stage.climb(ETH)
        world.loop.storage_delay_s = lambda: 0.0
        await stage.until(lambda: world.agent.trackers.count() == 0)
        await world.pass_by(30)
        await stage.stays_ended()

    play(1, story)
