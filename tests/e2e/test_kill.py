"""Kill -9 at every boundary of the journal between a trigger and its sale, with real processes.

The agent dies exactly before or after one commit and is started again: one sale, the position
equals the exchange's, and the person is told once the sale is done.
"""

import asyncio
import signal
from decimal import Decimal
from pathlib import Path

import pytest

from tests.catalogue import fired
from tests.e2e.world import PATIENCE_S, Message, World

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

# (event whose commit is the boundary, how many of them) in the order of the way to the order.
BOUNDARIES = (
    ("UpdateReceived", 1),
    ("ConfirmationAsked", 1),
    ("UpdateReceived", 2),
    ("TrackerChanged", 1),
    ("ConfirmationAnswered", 1),
    ("IntentOpened", 1),
    ("AttemptPrepared", 1),
    ("FillBooked", 1),
    ("AttemptChanged", 1),
    ("IntentClosed", 1),
    ("EventsAddressed", 2),
    ("MessageQueued", 3),
    ("MessageDelivered", 2),
)
MOMENTS = ("before_commit", "after_commit")
POINTS = [(moment, kind, count) for kind, count in BOUNDARIES for moment in MOMENTS]
# Each share has an exchange and a chat; every point gets a database of its own. Most of the time
# is spent waiting: for what was journaled and never sent, absence is proven over 18 s.
SHARES = 4
WATCHED = "(?i)watching|triggered|not done twice"


async def _die_and_return(world: World, folder: Path, point: tuple[str, str, int]) -> int:
    """Return the exit code of the death."""
    name = ":".join(map(str, point))
    sold_before = await _sold(world)
    await world.deposit("BTC", Decimal("0.5") - await world.balance_of("BTC"))
    await world.price("60000")
    begin = await world.last_message_id()
    world.settings["UMBRA_DATA_DIR"] = str(folder / name.replace(":", "-"))

    process = await world.spawn_agent(UMBRA_FAILPOINT=name)
    journey = asyncio.create_task(_travel(world, begin))
    try:
        async with asyncio.timeout(PATIENCE_S):
            code = await process.wait()
    except TimeoutError:
        raise AssertionError(f"{name} was never reached:\n{world.log()[-3000:]}") from None
    finally:
        journey.cancel()
        await asyncio.gather(journey, return_exceptions=True)
    assert code == -signal.SIGKILL, f"{name}: exit code {code}\n{world.log()[-3000:]}"

    await world.spawn_agent(UMBRA_FAILPOINT="")
    await _travel(world, begin)
    await world.until_message(r"Sold 0\.5 BTC", after=begin)
    assert await _sold(world) - sold_before == Decimal("0.5"), name
    assert await world.balance_of("BTC") == 0, name
    assert await world.answer("/positions", "No managed position"), name
    await world.end("run")
    return code


async def _sold(world: World) -> Decimal:
    """Coins that any order of ours has sold since the exchange started."""
    sales = [order for order in await world.orders() if order["side"] == "SELL"]
    return sum((Decimal(order["executedQty"]) for order in sales), Decimal(0))


async def _travel(world: World, begin: int) -> None:
    """Do whatever of the tour is not done yet; safe to begin again after a death."""
    await world.until_message(lambda message: True, after=begin)
    while not await world.has_message(WATCHED, begin):
        card = await world.newest_with_button("Confirm", begin)
        if card is None:
            card = await world.answer("/track BTC/USDT stop 58000 all", "Answer within|✋")
            if not _asks(card):
                # Still starting, or known already: look again.
                await asyncio.sleep(1.1)
                continue
        await world.press(card, "Confirm")
        await world.until_edited(card)
    await world.price("57990")


def _asks(message: Message) -> bool:
    return any(text.endswith("Confirm") for row in message["buttons"] for text in row)


@pytest.mark.fault("P01", "ONE EQ KEEP")
@pytest.mark.fault("T07", "SAID")
@pytest.mark.parametrize("share", range(SHARES))
async def test_a_death_at_any_boundary_loses_nothing_and_doubles_nothing(
    tmp_path: Path, share: int
) -> None:
    points = POINTS[share::SHARES]
    async with World(tmp_path) as world:
        deaths = [await _die_and_return(world, tmp_path, point) for point in points]
    assert deaths == [-signal.SIGKILL] * len(points)
    fired(f"{len(deaths)} deaths by SIGKILL")
