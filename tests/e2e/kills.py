"""Kills a real agent hundreds of times: `python -m tests.e2e.kills 300 1`, a number and a seed.

Every other journey begins with a death at one commit of the journal; all other deaths come at
moments of chance. `--journey 17` plays that one alone. What holds is kept in `kills.log`, so a run
that was broken off goes on where it was. The exit code is 1 when a journey failed.
"""

import argparse
import asyncio
import itertools
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.catalogue.results import state_of_sources
from tests.e2e.journey import Death, Journey, Moment
from tests.e2e.world import World

_LOG = Path("kills.log")
_SOURCES = ("bot", "trading", "storage", "tests/e2e")
# (event whose commit is the boundary, how many of them) in the order of the way to the order.
_BOUNDARIES = (
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
FAILPOINTS = [
    f"{when}_commit:{kind}:{count}" for kind, count in _BOUNDARIES for when in ("before", "after")
]
_EARLY = (Moment.START, Moment.ASKED, Moment.CONFIRMED)
_LATE = (Moment.TRIGGER, Moment.SALE, Moment.MESSAGES)
# How long after its moment a death comes at most: about as long as what begins there takes.
_AFTER_S_MAX = {
    Moment.START: 3.0,
    Moment.ASKED: 0.2,
    Moment.CONFIRMED: 0.2,
    Moment.TRIGGER: 0.06,
    Moment.SALE: 0.1,
    Moment.MESSAGES: 0.3,
    Moment.RECOVERY: 5.0,
}
# A proof of absence takes up to about this long, and must survive a death like anything else.
_LONG_RECOVERY_S = 20.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How one journey's agents die, in order."""

    seed: int
    number: int
    failpoint: str | None
    deaths: tuple[Death, ...]

    def __str__(self) -> str:
        points = [self.failpoint] if self.failpoint else []
        deaths = ", ".join([*points, *map(str, self.deaths)])
        return f"seed {self.seed}, journey {self.number}: {deaths}"

    @property
    def count(self) -> int:
        """How many deaths it takes."""
        return len(self.deaths) + (self.failpoint is not None)


def drawn(moment: Moment, chance: random.Random) -> Death:
    """Draw when after its moment a death comes."""
    longest_s = _AFTER_S_MAX[moment]
    if moment is Moment.RECOVERY and chance.random() < 0.2:
        longest_s = _LONG_RECOVERY_S
    return Death(moment, chance.uniform(0, longest_s))


def plan(seed: int, number: int) -> Plan:
    """Draw a journey; it depends on nothing but the seed and its number."""
    chance = random.Random(f"{seed}:{number}")
    turn, is_random = divmod(number, 2)
    if is_random:
        early = sorted(chance.sample(range(len(_EARLY)), chance.choice((1, 2))))
        moments = [_EARLY[place] for place in early]
        moments += [Moment.RECOVERY] * chance.choice((0, 1))
        moments += [chance.choice(_LATE)]
        failpoint = None
    else:
        moments = []
        failpoints = random.Random(seed).sample(FAILPOINTS, len(FAILPOINTS))
        failpoint = failpoints[turn % len(failpoints)]
    moments += [Moment.RECOVERY] * chance.choice((2, 3, 4))
    return Plan(seed, number, failpoint, tuple(drawn(moment, chance) for moment in moments))


async def play(planned: Plan, world: World, data_dir: Path) -> list[str]:
    """Play one journey and return its deaths; raises AssertionError."""
    journey = await Journey.embark(world, data_dir)
    if planned.failpoint is not None:
        await journey.die_at(planned.failpoint)
    for death in planned.deaths:
        await journey.die(death)
    await journey.arrive()
    return journey.deaths


class Tally:
    """Hands out journeys until enough have died, and says how it goes."""

    def __init__(self, wanted: int, seed: int, known: dict[int, int]) -> None:
        self.seed = seed
        self.dead = sum(known.values())
        self.journeys = len(known)
        self._wanted = wanted
        self._asked = self.dead
        self._known = known
        self._dead_before = self.dead
        self._began_s = time.monotonic()

    def plans(self) -> Iterator[Plan]:
        """Yield journeys that were not played yet; shared by all workers."""
        for number in itertools.count():
            if self._asked >= self._wanted:
                return
            if number not in self._known:
                planned = plan(self.seed, number)
                self._asked += planned.count
                yield planned

    def take(self, planned: Plan, deaths: list[str]) -> None:
        """Count a journey that held."""
        self.dead += len(deaths)
        self.journeys += 1
        took_s = time.monotonic() - self._began_s
        left = max(self._wanted - self.dead, 0)
        left_s = round(took_s / (self.dead - self._dead_before) * left)
        _say(
            f"journey {planned.number}: died {', '.join(deaths)}; sold once; "
            f"{self.dead} of {self._wanted} deaths, {left_s // 60}:{left_s % 60:02} left"
        )


def main(arguments: list[str]) -> int:
    """Return 1 when something was lost or doubled."""
    asked = _options().parse_args(arguments)
    try:
        if asked.journey is not None:
            return asyncio.run(_alone(plan(asked.seed, asked.journey)))
        return asyncio.run(_many(asked.deaths, asked.seed, asked.workers))
    except BrokenJourney as broken:
        _say(str(broken))
        return 1


def _options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(prog="python -m tests.e2e.kills")
    options.add_argument("deaths", type=int, nargs="?", default=300)
    options.add_argument("seed", type=int, nargs="?", default=1)
    options.add_argument("--journey", type=int, help="play only this one")
    options.add_argument("--workers", type=int, choices=(1, 2), default=2)
    return options


class BrokenJourney(Exception):
    """Something was lost, doubled or never done."""


async def _alone(planned: Plan) -> int:
    with tempfile.TemporaryDirectory(prefix="kills-") as name:
        async with World(Path(name)) as world:
            deaths = await _played(planned, world, Path(name) / "journey")
    _say(f"died {', '.join(deaths)}; sold once")
    return 0


async def _played(planned: Plan, world: World, data_dir: Path) -> list[str]:
    try:
        return await play(planned, world, data_dir)
    except Exception as error:
        again = f"python -m tests.e2e.kills --journey {planned.number} 1 {planned.seed}"
        raise BrokenJourney(f"{error}\nFAILED: {planned}\nagain: {again}") from error


async def _many(wanted: int, seed: int, workers: int) -> int:
    state = state_of_sources(*_SOURCES)
    tally = Tally(wanted, seed, _noted(state, seed))
    _say(f"{tally.dead} of {wanted} deaths noted for these sources")
    plans = tally.plans()
    with tempfile.TemporaryDirectory(prefix="kills-") as name:
        working = [
            asyncio.create_task(_work(plans, tally, Path(name) / str(number), state))
            for number in range(workers)
        ]
        try:
            await asyncio.gather(*working)
        finally:
            for worker in working:
                worker.cancel()
            await asyncio.gather(*working, return_exceptions=True)
    _say(f"{tally.dead} deaths by SIGKILL in {tally.journeys} journeys: 0 lost, 0 doubled")
    return 0


async def _work(plans: Iterator[Plan], tally: Tally, folder: Path, state: str) -> None:
    # An account of its own for each: of many installations on one, two soon begin their orders' ids
    # alike, and take those of the other for lost ones.
    folder.mkdir()
    for planned in plans:
        own = folder / str(planned.number)
        async with World(own) as world:
            deaths = await _played(planned, world, own / "journey")
        tally.take(planned, deaths)
        with _LOG.open("a") as log:
            log.write(f"{state} {tally.seed} {planned.number} {len(deaths)}\n")


def _noted(state: str, seed: int) -> dict[int, int]:
    """Return the deaths of every journey that held with these sources."""
    lines = _LOG.read_text().splitlines() if _LOG.exists() else []
    found = [line.split() for line in lines]
    return {
        int(number): int(deaths)
        for noted_state, noted_seed, number, deaths in found
        if (noted_state, noted_seed) == (state, str(seed))
    }


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
