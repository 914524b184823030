"""Two words that ask for the same coins at one time: the second sees what the first has taken."""

import asyncio
from decimal import Decimal

import pytest

from tests.unit.trading.agent_world import OWNER, AgentWorld, stop_spec
from trading.desk import Outcome
from trading.domain.commands import ArmTracker, Command, EditTracker, PlaceOrder
from trading.domain.errors import Refused
from trading.domain.events import Event
from trading.domain.order import Side
from trading.domain.tracker import Amount, AmountKind

ALL = Amount(AmountKind.ALL)


def _base(quantity: str) -> Amount:
    return Amount(AmountKind.BASE, Decimal(quantity))


def _write_slowly(world: AgentWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    append = world.store.append

    async def slowly(*events: Event, reserve: bool = False, urgent: bool = False) -> int:
        await world.time.sleep(0.05)
        return await append(*events, reserve=reserve, urgent=urgent)

    monkeypatch.setattr(world.store, "append", slowly)


async def _at_once(
    world: AgentWorld, monkeypatch: pytest.MonkeyPatch, *commands: Command
) -> list[Outcome | BaseException]:
    """Execute what was proposed, all of it at one moment, while the disk takes its time."""
    proposals = [await world.time.finish(world.desk.propose(each, OWNER)) for each in commands]
    _write_slowly(world, monkeypatch)
    told = await world.time.finish(
        asyncio.gather(
            *(
                world.desk.execute(
                    each.command, OWNER, f"at-once-{number}", each.reference_price, each.shown
                )
                for number, each in enumerate(proposals)
            ),
            return_exceptions=True,
        )
    )
    await world.time.settle()
    return list(told)


def _owned(world: AgentWorld) -> list[Decimal]:
    return [tracker.quantity for tracker in world.agent.trackers.all()]


def _refusals(told: list[Outcome | BaseException]) -> list[str]:
    return [str(each) for each in told if isinstance(each, Refused)]


@pytest.mark.parametrize("first", ["0.3", "0.5"])
async def test_two_trackers_that_are_armed_at_once_own_no_coin_together(
    world: AgentWorld, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    told = await _at_once(
        world,
        monkeypatch,
        ArmTracker(stop_spec("58000", _base(first))),
        ArmTracker(stop_spec("57000", _base("0.3"))),
    )
    [refusal] = _refusals(told)
    assert "#1" in refusal
    assert _owned(world) == [Decimal(first)]
    assert world.agent.state.book.managed("BTC/USDT") == Decimal(first)


async def test_two_trackers_that_are_changed_at_once_own_no_coin_together(
    world: AgentWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.protect("58000", _base("0.1"))
    await world.protect("57000", _base("0.1"))
    told = await _at_once(
        world,
        monkeypatch,
        EditTracker(1, amount=_base("0.4")),
        EditTracker(2, amount=_base("0.4")),
    )
    [refusal] = _refusals(told)
    assert "at most 0.1 BTC" in refusal
    assert _owned(world) == [Decimal("0.4"), Decimal("0.1")]
    assert world.agent.state.book.managed("BTC/USDT") == Decimal("0.5")


async def test_one_that_is_changed_while_another_is_armed_takes_nothing_of_it(
    world: AgentWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.protect("58000", _base("0.2"))
    told = await _at_once(
        world, monkeypatch, ArmTracker(stop_spec("57000", ALL)), EditTracker(1, amount=ALL)
    )
    assert isinstance(told[0], Outcome)
    # It asked for all that nobody else has, and that is what it had.
    assert _owned(world) == [Decimal("0.2"), Decimal("0.3")]
    assert world.agent.state.book.managed("BTC/USDT") == Decimal("0.5")


@pytest.mark.parametrize("is_sale_first", [True, False])
async def test_a_tracker_that_is_armed_while_its_coins_are_sold_gets_none_of_them(
    world: AgentWorld, monkeypatch: pytest.MonkeyPatch, is_sale_first: bool
) -> None:
    commands = [
        PlaceOrder("BTC/USDT", Side.SELL, ALL, Decimal(70_000)),
        ArmTracker(stop_spec("57000", ALL)),
    ]
    told = await _at_once(world, monkeypatch, *(commands if is_sale_first else reversed(commands)))
    assert isinstance(told[0], Outcome)
    exiting = world.agent.execution.exiting("BTC/USDT")
    assert sum(_owned(world)) + exiting == Decimal("0.5")
    assert world.agent.state.book.managed("BTC/USDT") == Decimal("0.5")


async def test_a_change_of_a_rule_leaves_a_tracker_the_slice_that_a_sale_has_left_it(
    world: AgentWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.protect("58000", ALL)
    sale = PlaceOrder("BTC/USDT", Side.SELL, _base("0.3"), Decimal(70_000))
    _write_slowly(world, monkeypatch)
    selling = asyncio.create_task(world.desk.execute(sale, OWNER, "the sale"))
    undisturbed = world.agent.trackers.undisturbed()
    assert isinstance(undisturbed, asyncio.Lock)
    await world.time.until(undisturbed.locked, 5)
    await world.time.finish(
        world.desk.execute(EditTracker(1, level=Decimal(58_500)), OWNER, "while it is written")
    )
    await selling
    [tracker] = world.agent.trackers.all()
    assert (tracker.quantity, tracker.stop_price) == (Decimal("0.2"), Decimal(58_500))
