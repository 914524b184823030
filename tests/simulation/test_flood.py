"""A flood of commands and taps: a stop waits for none of it, counted in work and not in seconds."""

from dataclasses import dataclass, field

import pytest

from tests.catalogue import fired
from tests.simulation.stage import Stage
from tests.simulation.world import World, play
from trading.domain import events

pytestmark = pytest.mark.slow

STOP = "/track BTC/USDT stop 58000 all"
MESSAGES = 1000
TAPS = 100
LASTS_S = 10.0
# Callbacks that one turn of the loop runs at most, whoever caused them.
TURN_MAX = 20
# Turns of the loop that each message of the flood costs on average, its storage included.
TURNS_PER_MESSAGE_MAX = 12
# A gate of thirty, and two each second; and a notice now and then.
ANSWERS_MAX = 30 + 2 * LASTS_S + 5


@dataclass
class Work:
    """What the loop did: its turns, and how many callbacks the widest of them ran."""

    world: World
    turns: int = 0
    widest: int = 0
    _before: int = field(init=False)

    def __post_init__(self) -> None:
        self._before = self.world.loop.steps
        stepped = self.world.loop.on_step

        def count() -> None:
            self.turns += 1
            self.widest = max(self.widest, len(self.world.loop._ready))  # type: ignore[attr-defined]
            if stepped is not None:
                stepped()

        self.world.loop.on_step = count


async def fall(stage: Stage) -> tuple[int, float]:
    """Let the price fall through the stop; the turns and the seconds until it was sold."""
    world, began, began_s = stage.world, stage.world.loop.steps, stage.now_s
    stage.move("57900")
    while not world.orders():
        await world.pass_by(0.01)
    return world.loop.steps - began, stage.now_s - began_s


def quiet_fall() -> tuple[int, float]:
    """The same with nobody writing."""
    found: list[tuple[int, float]] = []

    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open(STOP)
        found.append(await fall(stage))

    play(1, story)
    return found[0]


async def flood(stage: Stage) -> None:
    """A second of the flood: commands that differ, and one button again and again."""
    line = stage.world.telephone
    card = line.messages()[-1]
    for number in range(round(MESSAGES / LASTS_S)):
        line.say(f"/sell BTC/USDT 0.0{number + 1:03d}")
        if number % round(MESSAGES / TAPS) == 0:
            line.press(card, "Cancel")


@pytest.mark.fault("T19", "SAID")
def test_a_stop_sells_as_soon_in_a_flood_as_in_a_quiet_chat() -> None:
    quiet_turns, quiet_s = quiet_fall()

    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open(STOP)
        answers = len(world.telephone.messages())
        handled = len(await _handled(world))
        work, turns, seconds = Work(world), 0, 0.0
        for second in range(round(LASTS_S)):
            await flood(stage)
            if second == LASTS_S // 2:
                turns, seconds = await fall(stage)
            await world.pass_by(1.0)
        await world.pass_by(30)
        ended = len(await _handled(world)) - handled
        assert ended >= MESSAGES
        # It waits for no more turns than it needs itself, and each of them is a short one.
        assert seconds <= quiet_s + 0.25
        assert work.widest <= TURN_MAX
        assert turns <= 3 * quiet_turns
        assert work.turns <= TURNS_PER_MESSAGE_MAX * ended
        assert len(world.telephone.messages()) - answers <= ANSWERS_MAX
        assert len(world.orders()) == 1
        fired(
            ended,
            words=f"updates, {work.turns / ended:.1f} turns each, {work.widest} callbacks in the "
            f"widest; sold after {turns} turns and {seconds:.2f} s, {quiet_turns} and "
            f"{quiet_s:.2f} s in a quiet chat",
        )

    play(1, story)


async def _handled(world: World) -> list[object]:
    assert world.machine.store is not None
    return list(await world.machine.store.journal.latest(10_000, (events.UpdateHandled.__name__,)))
