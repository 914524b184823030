"""What a terminal is told of a start that succeeded, and of an agent that does not run."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from bot.control import wording
from tests.fakes.clock import FakeClock
from tests.fakes.desk import FakeDesk
from tests.unit.trading.agent_world import AgentWorld, stop_spec
from trading.domain.commands import ArmTracker
from trading.domain.position import Position
from trading.domain.tracker import Tracker
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


def _stored(*held: tuple[str, str, str], trackers: tuple[Tracker, ...] = ()) -> StoredState:
    positions = {
        symbol: Position(symbol, Decimal(quantity), Decimal(cost))
        for symbol, quantity, cost in held
    }
    return StoredState(positions=positions, trackers=trackers)


def test_crumbs_are_one_line_where_no_agent_runs_and_a_panic_leaves_them() -> None:
    stored = _stored(
        ("BTC/USDT", "0.0000015", "0.09"),
        ("ETH/USDT", "0.3", "900"),
        ("SOL/USDC", "0.004", "0.99"),
        # What these cost says nothing: a coin's price is not known here, nor what was paid.
        ("ETH/BTC", "0.2", "0.01"),
        ("XRP/USDT", "40", "0"),
    )
    said = wording.unwatched("live on binance", stored, "")
    assert said.count("Holds ") == 3
    crumbs = "Crumbs, bought for less than a dollar each: 0.0000015 BTC, 0.004 SOL"
    assert said.endswith(f"\n{crumbs}")
    asked = wording.stored_panic(stored)
    assert asked.startswith("This sells 0.3 ETH, 0.2 ETH, 40 XRP at the market")
    assert asked.endswith(f"{crumbs}. They stay where the exchange takes no order of so little.")


def test_a_panic_for_crumbs_alone_sells_nothing_and_many_of_them_are_counted() -> None:
    stored = _stored(*((f"C{number}/USDT", "0.1", "0.2") for number in range(11)))
    asked = wording.stored_panic(stored)
    assert asked.startswith("Nothing but crumbs is managed, so nothing would be sold.")
    assert "0.1 C7, 3 more. They stay" in asked


async def test_what_a_stop_is_to_sell_is_no_crumb_whatever_it_cost() -> None:
    async with AgentWorld() as world:
        stored = await _journal(world, backstop=None)
    cheap = {"BTC/USDT": replace(stored.positions["BTC/USDT"], cost=Decimal("0.5"))}
    said = wording.unwatched("live on binance", replace(stored, positions=cheap), "")
    assert "Holds 0.5 BTC (BTC/USDT)" in said
    assert "Crumbs" not in said
