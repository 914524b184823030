"""The agent is started as another program, or set differently: its first card says so."""

from decimal import Decimal

import pytest

from bot import build as naming
from bot import shares
from tests.catalogue import fired
from tests.simulation.facts import Facts
from tests.simulation.stage import Stage
from tests.simulation.world import World, play
from trading.domain.events import Event, ProcessStarted

pytestmark = pytest.mark.slow


def starts(world: World) -> list[ProcessStarted]:
    """What the journal says of every start."""
    facts = Facts()
    found: list[Event] = facts.read(world.machine.disk.database)
    facts.close()
    return [event for event in found if isinstance(event, ProcessStarted)]


async def restarted(stage: Stage) -> None:
    """End in order, and start again."""
    stage.world.machine.stop()
    await stage.until(lambda: not stage.world.machine.is_running, 60)
    stage.world.machine.start()


@pytest.mark.fault("P11", "SAID")
def test_another_build_and_another_limit_are_journaled_and_told_at_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open("/track BTC/USDT stop 58000 all")
        await restarted(stage)
        await stage.until_told("Watched again: 1")
        assert not stage.told("Another program")
        # The same version, built anew with other code, and run with another limit.
        monkeypatch.setattr(shares, "build", lambda: "0123456789ab")
        changed = world.machine.settings.model_copy(update={"order_notional_max": Decimal(777)})
        world.machine._settings = changed
        await restarted(stage)
        await stage.until_told("Another program: sim (0123456789ab), before sim")
        await stage.until_told("Settings changed: UMBRA_ORDER_NOTIONAL_MAX")
        names = [(one.build, len(one.configured)) for one in starts(world)]
        assert names[0] == names[1] == (naming.build(), names[0][1])
        assert names[2] == ("0123456789ab", names[0][1] + 1)
        fired({build for build, _ in names} - {naming.build()})
        stage.move("57990")
        await stage.until(lambda: world.held("BTC") == 0)
        assert len(stage.sales) == 1

    play(1, story)
