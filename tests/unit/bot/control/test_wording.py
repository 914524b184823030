"""What a terminal is told of a start that succeeded, and of an agent that does not run."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from bot.control import wording
from tests.fakes.clock import FakeClock
from tests.fakes.desk import FakeDesk
from tests.unit.trading.agent_world import AgentWorld, stop_spec
from trading.domain.commands import ArmTracker
from trading.ports.storage import StoredState


def test_a_start_says_in_one_line_what_runs_and_whether_it_is_real_money() -> None:
    desk = FakeDesk(FakeClock())
    view = replace(desk.status(), mode="live", exchange="binance", is_simulated=False)
    halt_file = Path("/var/lib/umbra/HALT")
    assert wording.runs(view, "1.2", 3, halt_file) == (
        "Umbra 1.2 runs (REAL MONEY): live on binance, active; 3 trackers watched. "
        "It logs to standard error; a file /var/lib/umbra/HALT halts it."
    )
    simulated = wording.runs(replace(view, is_simulated=True), "1.2", 1, halt_file)
    assert "(no real money): SIMULATED, live on binance, active; 1 tracker watched." in simulated
    assert "\n" not in simulated


async def _journal(world: AgentWorld, *, backstop: str | None) -> StoredState:
    spec = replace(stop_spec("58000"), backstop=Decimal(backstop) if backstop else None)
    await world.do(ArmTracker(spec))
    await world.time.pass_by(1)
    await world.time.finish(world.agent.jobs()["tracker_sweep"]())
    await world.time.settle()
    return await world.store.records.state()


async def test_while_nobody_watches_the_backstops_that_the_exchange_holds_are_named() -> None:
    async with AgentWorld() as world:
        stored = await _journal(world, backstop="50000")
    said = wording.unwatched("live on binance", stored, "").splitlines()
    assert "When Umbra last knew: backstops on the exchange: #1 BTC/USDT at 50000" in said
    # Before what is held, which may be long.
    assert said.index("Holds 0.5 BTC (BTC/USDT)") > said.index(wording.NOBODY_WATCHES) + 1
    assert said[2].startswith("When Umbra last knew")


async def test_while_nobody_watches_it_is_said_that_no_backstop_helps() -> None:
    async with AgentWorld() as world:
        stored = await _journal(world, backstop=None)
    said = wording.unwatched("live on binance", stored, "")
    assert "\nWhen Umbra last knew: no backstop rests on the exchange\n" in said


async def test_while_nobody_watches_a_stop_that_has_fired_is_said_to_be_unsold() -> None:
    async with AgentWorld() as world:
        await _journal(world, backstop=None)
        hang = world.exchange.fail("hang", times=9)
        await world.move("57990")
        assert hang.fired
        stored = await world.store.records.state()
    said = wording.unwatched("live on binance", stored, "").splitlines()
    fired = "#1 BTC/USDT HAS FIRED and 0.5 BTC may be sold: its order was not answered"
    assert fired in said
