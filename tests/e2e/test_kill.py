"""Kill -9 at every boundary of the journal between a trigger and its sale, with real processes.

The agent dies exactly before or after one commit and is started again: one sale, the position
equals the exchange's, and the person is told once the sale is done. At moments of chance it dies
here only a few times: `make kills` is for hundreds.
"""

import random
from pathlib import Path

import pytest

from tests.catalogue import fired
from tests.e2e.journey import Journey, Moment
from tests.e2e.kills import FAILPOINTS, drawn, plan
from tests.e2e.world import World

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

# Every point has an exchange, a chat and a database of its own: of many installations on one
# account two may begin their orders' ids alike, and take those of the other for lost ones. Most of
# the time is spent waiting: for what was journaled and never sent, absence is proven over 18 s.
SHARES = 4
# This death and the return from it are those of new interpreters, as on a person's machine.
EXECUTED = "after_commit:AttemptPrepared:1"
# The question is on disk and perhaps in the chat; its tap meets another process.
BETWEEN_QUESTION_AND_TAP = "after_commit:ConfirmationAsked:1"


@pytest.mark.fault("P01", "ONE EQ KEEP")
@pytest.mark.fault("T07", "SAID")
@pytest.mark.parametrize(
    "share",
    [
        pytest.param(
            share,
            marks=[pytest.mark.fault("T23")]
            if BETWEEN_QUESTION_AND_TAP in FAILPOINTS[share::SHARES]
            else [],
        )
        for share in range(SHARES)
    ],
)
async def test_a_death_at_any_boundary_loses_nothing_and_doubles_nothing(
    tmp_path: Path, share: int
) -> None:
    points = FAILPOINTS[share::SHARES]
    deaths = []
    for point in points:
        folder = tmp_path / point.replace(":", "-")
        folder.mkdir()
        async with World(folder) as world:
            world.is_executed = point == EXECUTED
            journey = await Journey.embark(world, folder / "agent")
            await journey.die_at(point)
            await journey.arrive()
            deaths += journey.deaths
    assert deaths == points
    fired(deaths)


@pytest.mark.fault("P01", "ONE EQ KEEP")
async def test_deaths_at_moments_of_chance_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    chance = random.Random(3)
    # With the order at the exchange already, no proof of absence has to be waited for.
    moments = (Moment.CONFIRMED, Moment.SALE, Moment.RECOVERY)
    async with World(tmp_path) as world:
        journey = await Journey.embark(world, tmp_path / "journey")
        for moment in moments:
            await journey.die(drawn(moment, chance))
        await journey.arrive()
        # A sale too many would be seen.
        await world.control("order", symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.1")
        with pytest.raises(AssertionError, match=r"one sale of 0\.5 BTC"):
            await journey.check_exchange()
    assert len(journey.deaths) == len(moments)
    fired(journey.deaths)


@pytest.mark.parametrize("seed", range(10))
def test_three_hundred_deaths_come_at_every_boundary_and_every_moment(seed: int) -> None:
    plans = [plan(seed, number) for number in range(61)]
    assert plans == [plan(seed, number) for number in range(61)]
    assert {one.failpoint for one in plans} == {None, *FAILPOINTS}
    assert {death.moment for one in plans for death in one.deaths} == set(Moment)
    assert 250 < sum(one.count for one in plans) < 350
