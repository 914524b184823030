"""An older copy of the database is put back: it is known as one, and nothing is done again."""

import shutil
from decimal import Decimal
from pathlib import Path

import pytest

from tests.catalogue import fired
from tests.simulation.facts import Facts
from tests.simulation.stage import BTC, ETH, Stage
from tests.simulation.world import World, play
from trading.domain.position import TradingMode

pytestmark = pytest.mark.slow

STOP = "/track BTC/USDT stop 58000 all"
DIP = "/track ETH/USDT buy below 2900 trail 1% 500 USDT"
DAY_S = 26 * 3600.0


async def ended(world: World) -> None:
    """Let the agent end in order."""
    world.machine.stop()
    assert await world.until(lambda: not world.machine.is_running)


async def started(stage: Stage) -> None:
    """Start the agent again and wait until it watches."""
    stage.world.machine.start()
    await stage.until(lambda: stage.world.machine.process is not None)
    await stage.until(lambda: stage.world.agent.is_ready)


def mode(world: World) -> TradingMode:
    """What the risk layer permits now."""
    return world.agent.state.mode


def copied(world: World, names: str = "*") -> Path:
    """Copy what the agent has on its disk."""
    place = world.machine.disk.root / "copy"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    for path in world.machine.disk.folder.glob(names):
        shutil.copy(path, place)
    return place


def put_back(world: World, place: Path) -> int:
    """Let the copy take the place of what is there; how many records that loses."""
    had = records(world)
    folder = world.machine.disk.folder
    for name in ("umbra.db-wal", "umbra.db-shm"):
        (folder / name).unlink(missing_ok=True)
    for path in place.iterdir():
        shutil.copy(path, folder)
    return had - records(world)


def records(world: World) -> int:
    """How many the journal has."""
    facts = Facts()
    found = facts.read(world.machine.disk.database)
    facts.close()
    return len(found)


@pytest.mark.fault("S10", "HALT SAID")
def test_an_older_copy_is_told_adds_no_risk_and_sells_nothing_a_second_time() -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open(STOP)
        await ended(world)
        kept = copied(world, "umbra.db")
        await started(stage)
        stage.move("57900")
        await stage.until(lambda: world.held("BTC") == 0)
        await stage.until_told("Sold 0.5 BTC")
        await ended(world)
        lost = put_back(world, kept)
        # Coins that nobody put under care lie in the account by now.
        world.exchange.venue.exchange.account.deposit("BTC", Decimal("0.5"))
        await started(stage)
        await stage.until_told("SAFE MODE: an older copy of the database was put back")
        await stage.until_told("#1 BTC/USDT: had fired already, and sold 0.5 BTC", 30)
        assert mode(world) is TradingMode.REDUCING
        assert world.agent.state.book.snapshot().managed(BTC) == 0
        stage.move("57000")
        await world.pass_by(90)
        assert len(stage.sales) == 1
        assert world.held("BTC") == Decimal("0.5")
        world.telephone.say("/buy BTC/USDT 100 USDT")
        await stage.until_told("Something critical stands", 30)
        world.telephone.say("/resume")
        await stage.until(lambda: mode(world) is TradingMode.ACTIVE, 30)
        assert world.agent.state.alerts == ()
        # It is told once, and the next start is one like any other.
        await ended(world)
        await started(stage)
        await world.pass_by(30)
        assert mode(world) is TradingMode.ACTIVE
        assert len(stage.told("Look at /trackers and")) == 1
        fired(lost, words=f"records, with a sale; coins left alone: {world.held('BTC')}")

    play(1, story)


@pytest.mark.fault("S10", "HALT SAID")
def test_a_copy_of_everything_is_known_by_orders_that_it_does_not_know() -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open(STOP)
        await ended(world)
        kept = copied(world)
        await started(stage)
        assert await world.confirm("/buy BTC/USDT 100 USDT")
        await stage.until_told("Bought")
        bought = world.held("BTC") - Decimal("0.5")
        await ended(world)
        lost = put_back(world, kept)
        await started(stage)
        await stage.until_told("SAFE MODE: the exchange has an order of ours that the database")
        assert mode(world) is TradingMode.REDUCING
        await stage.until(
            lambda: world.agent.state.book.positions[BTC].quantity == Decimal("0.5") + bought, 30
        )
        fired(lost, words=f"records, in which {bought} BTC were bought")

    play(1, story)


@pytest.mark.fault("S10", "HALT SAID")
@pytest.mark.parametrize("beyond", ["57900", "61000"])
def test_a_copy_of_everything_is_known_by_the_sale_of_a_stop_that_it_knows(beyond: str) -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open("/track BTC/USDT stop 58000 0.3 backstop 50000")
        await ended(world)
        kept = copied(world)
        await started(stage)
        stage.move("57900")
        await stage.until_told("Sold 0.3 BTC")
        # Of this stop no exchange tells.
        assert await world.confirm("/track BTC/USDT stop 55000 0.2")
        await stage.until(lambda: world.agent.trackers.count() == 1)
        await ended(world)
        lost = put_back(world, kept)
        stage.move(beyond)
        told_before = len(stage.told("Triggered #1"))
        await started(stage)
        await stage.until_told("SAFE MODE: the exchange has an order of ours that the database")
        await stage.until_told("set, moved or cancelled after that are not known", 30)
        await stage.until_told("#1 BTC/USDT: had fired already, and sold 0.3 BTC", 30)
        assert mode(world) is TradingMode.REDUCING
        assert world.agent.trackers.count() == 0
        await world.pass_by(90)
        # Neither is told as news.
        assert len(stage.told("Triggered #1")) == told_before
        assert not stage.told("NO backstop for #1")
        assert len([sale for sale in stage.sales if sale.executed]) == 1
        world.telephone.say("/buy BTC/USDT 100 USDT")
        await stage.until_told("Something critical stands", 30)
        fired(lost, words="records, with the sale of a stop that the copy knows")

    play(1, story)


@pytest.mark.fault("S10", "HALT SAID")
@pytest.mark.parametrize("names", ["*", "umbra.db"])
def test_an_older_copy_sells_nothing_again_while_the_lists_cannot_be_read(names: str) -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open(STOP)
        await ended(world)
        kept = copied(world, names)
        await started(stage)
        stage.move("57900")
        await stage.until_told("Sold 0.5 BTC")
        await ended(world)
        put_back(world, kept)
        world.exchange.venue.exchange.account.deposit("BTC", Decimal("0.5"))
        silent = stage.fault("status", 6, path="/api/v3/openOrders", status=503)
        await started(stage)
        await world.pass_by(120)
        assert len(stage.sales) == 1
        assert world.held("BTC") == Decimal("0.5")
        assert world.agent.trackers.count() == 0
        assert world.agent.state.book.snapshot().managed(BTC) == 0
        assert mode(world) is TradingMode.REDUCING
        fired(silent)

    play(1, story)


@pytest.mark.fault("S10", "HALT SAID")
def test_a_copy_of_everything_buys_nothing_again_after_its_purchase() -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open("/track ETH/USDT buy stop 3100 500 USDT")
        await ended(world)
        kept = copied(world)
        await started(stage)
        before = world.held("ETH")
        stage.move("3101", ETH)
        await stage.until_told("Bought")
        held, bought = world.held("ETH"), world.held("ETH") - before
        await ended(world)
        lost = put_back(world, kept)
        await started(stage)
        await stage.until_told("#1 ETH/USDT: had fired already, and bought", 30)
        assert mode(world) is TradingMode.REDUCING
        assert world.agent.state.book.snapshot().managed(ETH) == bought
        world.telephone.say("/resume")
        await stage.until(lambda: mode(world) is TradingMode.ACTIVE, 30)
        stage.move("3050", ETH)
        await world.pass_by(10)
        stage.move("3110", ETH)
        await world.pass_by(60)
        assert world.held("ETH") == held
        fired(lost, words=f"records, in which {bought} ETH were bought")

    play(1, story)


@pytest.mark.fault("S10", "SAID")
def test_a_purchase_of_the_missing_time_is_not_made_again() -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open(DIP)
        await ended(world)
        kept = copied(world, "umbra.db")
        await started(stage)
        stage.move("2880", ETH)
        await world.pass_by(2)
        stage.move("2940", ETH)
        await stage.until_told("Bought")
        await ended(world)
        lost = put_back(world, kept)
        await world.pass_by_alone(DAY_S)
        await started(stage)
        await stage.until_told("#1 ETH/USDT: had fired already, and bought")
        assert world.agent.trackers.count() == 0
        world.telephone.say("/resume")
        await stage.until(lambda: mode(world) is TradingMode.ACTIVE, 30)
        stage.move("2880", ETH)
        await world.pass_by(2)
        stage.move("2940", ETH)
        await world.pass_by(60)
        assert len(world.orders()) == 1
        fired(lost, words="records, with a purchase")

    play(1, story)


@pytest.mark.fault("S10", "SAID")
def test_a_stop_of_a_number_that_was_given_before_sells_all_that_it_owns() -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        world.machine.start()
        await stage.until_told("Umbra")
        await ended(world)
        kept = copied(world)
        await started(stage)
        assert await world.confirm("/track BTC/USDT stop 58000 0.1")
        await stage.until(lambda: world.agent.trackers.count() == 1)
        stage.move("57900")
        await stage.until_told("Sold 0.1 BTC")
        await ended(world)
        lost = put_back(world, kept)
        stage.move("60000")
        await started(stage)
        assert await world.confirm("/track BTC/USDT stop 58000 0.3")
        await stage.until(lambda: world.agent.trackers.count() == 1)
        await world.pass_by(120)
        stage.move("57900")
        await stage.until_told("Sold 0.3 BTC")
        ids = [order.ticket.client_order_id for order in stage.sales]
        assert len(set(ids)) == len(ids) == 2
        fired(lost, words="records, with a sale under the same number")

    play(1, story)


async def sold_after_a_doubt(stage: Stage, names: str) -> Path:
    """Have a sale whose first order nobody answers sell with its second; returns a copy.

    The copy is from between the two: the tracker is EXITING, the fate of its order is not known.
    """
    world = stage.world
    await stage.open(STOP)
    stage.fault("drop_response", path="/api/v3/order", method="POST", accept=False)
    stage.move("57900")
    await stage.until(lambda: "unknown" in states(world))
    await ended(world)
    kept = copied(world, names)
    await started(stage)
    await stage.until(lambda: world.held("BTC") == 0)
    await stage.until_told("Sold 0.5 BTC")
    await ended(world)
    return kept


def states(world: World) -> list[str]:
    """What is known of each open order."""
    return [attempt.state.value for attempt in world.agent.execution.attempts]


@pytest.mark.fault("S10", "SAID")
@pytest.mark.parametrize("names", ["*", "umbra.db"])
def test_an_exit_that_went_on_in_the_missing_time_sells_once_and_its_tracker_ends(
    names: str,
) -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        lost = put_back(world, await sold_after_a_doubt(stage, names))
        # Coins that nobody put under care lie in the account by now.
        world.exchange.venue.exchange.account.deposit("BTC", Decimal("0.5"))
        await started(stage)
        await stage.until(lambda: world.agent.trackers.count() == 0, 90)
        assert world.agent.state.book.snapshot().managed(BTC) == 0
        await world.pass_by(120)
        assert len(stage.sales) == 1
        assert world.held("BTC") == Decimal("0.5")
        assert not stage.told("nothing is being sold")
        fired(lost, words="records, with the end of a sale")

    play(1, story)


@pytest.mark.fault("S10", "SAID")
@pytest.mark.parametrize("is_whole", [False, True])
def test_an_exit_that_closes_while_a_start_takes_in_other_orders_ends_its_tracker(
    is_whole: bool,
) -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open(STOP)
        stage.fault("delay", path="/api/v3/order", method="POST", seconds=1, when="after")
        silent = {"kind": "stall_stream", "args": {"scope": "user", "seconds": 30}}
        await stage.control.add_fault(silent)
        stage.move("57900")
        await stage.until(lambda: bool(stage.sales), 10)
        # It died before it knew what became of its sale.
        await world.machine.cut_power()
        kept = copied(world)
        if not is_whole:
            # What tells that the database is an older copy stays as it is.
            (kept / "umbra.db.mark").unlink()
        await started(stage)
        await stage.until_told("Sold 0.5 BTC")
        # An order that the copy knows nothing of, so that its start has to take it in.
        assert await world.confirm("/buy BTC/USDT 100 USDT")
        await stage.until_told("Bought")
        await ended(world)
        lost = put_back(world, kept)
        await started(stage)
        await stage.until_told("SAFE MODE", 30)
        await stage.until(lambda: world.agent.trackers.count() == 0, 60)
        await world.pass_by(60)
        assert world.agent.state.book.snapshot().managed(BTC) == world.held("BTC")
        assert len(stage.sales) == 1
        assert not stage.told("nothing is being sold")
        fired(lost, words="records, with the end of a sale and a purchase")

    play(1, story)
