"""The power goes, or a task is cancelled, on the way from a trigger to its booked fill.

A step is one turn of the event loop: whoever waits is resumed by one, so that the moments between
steps are all the moments at which anything of the order's way can be waiting.

Here each place of the way is played once: a cancellation and an end for each set of waits of the
sale's parts, and a power cut there for each kind of what was just made durable or sent.
The whole of it (tests/sampled.py) is each step in which the agent does anything.
"""

import asyncio
import itertools
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache, partial
from random import Random
from typing import Any
from unittest import mock

import pytest

from tests.catalogue import fired
from tests.sampled import IS_WHOLE
from tests.simulation.checks import Broken
from tests.simulation.loop import is_agents
from tests.simulation.machine import CrashPlan
from tests.simulation.stage import BTC, ETH, Stage
from tests.simulation.story import Story
from tests.simulation.world import World, play
from trading.domain.tracker import TrackerChange
from trading.sim.liquidity import QUOTE_DEPTH

pytestmark = pytest.mark.slow

PROTECTED_WITHIN_S = 10.0
SETTLED_WITHIN_S = 240.0
TOLD_AFTER_S = 1.0
SHARES = 2
# Where a sale is dozens of orders, that many of its steps are drawn by chance.
STEPS_MAX = 240
# The tasks that carry a trigger in memory to what is booked of its order, by what they run.
ORDERS_WAY = (
    "Recorder._record",
    "Sending._submit",
    "Running.run",
    "Reporting._work",
)

# It begins what they carry, and is shielded from who asked.
OPENING = "Opening._open_or_forget"


def plainly(_stage: Stage) -> None:
    """Everything answers."""


def without_an_answer(stage: Stage) -> None:
    """The order is accepted, and its answer and its report are lost."""
    stage.world.network.weather.user_dropped = 1.0
    stage.fault("drop_response", 1, accept=True, path="/api/v3/order", method="POST")


async def into_a_thin_book(stage: Stage) -> None:
    """Nobody takes all at once: the sale is several orders."""
    await stage.control.shape_book({"symbol": BTC, "quote_depth": "12000", "side": "bid"})


Way = Callable[[Stage], Coroutine[Any, Any, None] | None]
WAYS: tuple[Way, ...] = (plainly, without_an_answer, into_a_thin_book)


@dataclass
class Sale:
    """One story: a stop fires on its way to a sale, and another waits on its own market."""

    world: World
    stage: Stage = field(init=False)
    story: Story = field(init=False)

    def __post_init__(self) -> None:
        self.stage = Stage(self.world)

    async def begin(self, way: Way) -> None:
        """Watch both stops; the next price fires the first one."""
        await self.stage.open("/track BTC/USDT stop 58000 all", "/track ETH/USDT stop 2500 all")
        self.story = Story(self.world)
        self.world.on_step = self.story.check
        prepared = way(self.stage)
        if prepared is not None:
            await prepared
        self.story.check()

    def is_booked(self) -> bool:
        """Whether the whole sale stands in the journal."""
        booked = [one for one in self.story.facts.fills.values() if one.symbol == BTC]
        return sum(one.quantity for one in booked) == Decimal("0.5") and not self.is_at_work

    @property
    def is_at_work(self) -> bool:
        """Whether a decision is still open in the journal."""
        return any(not one.state.is_terminal for one in self.story.facts.intents.values())

    async def sell(self) -> None:
        """Fire the stop and wait until it is sold or the machine is dead."""
        machine = self.world.machine
        self.stage.move("57990")
        await self.world.until(lambda: machine.main is None or self.is_booked(), SETTLED_WITHIN_S)

    async def return_after(self, seconds: float) -> float:
        """Start again while the other market has crossed its stop; how long until that fired."""
        self.world.network.weather.user_dropped = 0.0
        self.stage.move("2400", ETH)
        await self.world.pass_by(seconds)
        began_s = self.stage.now_s
        self.world.machine.start()
        await self.stage.until(lambda: self.has_fired(ETH), PROTECTED_WITHIN_S + 5)
        return self.stage.now_s - began_s

    def has_fired(self, symbol: str) -> bool:
        """Whether a trigger of a market is durable."""
        return any(
            one.change is TrackerChange.TRIGGERED and one.tracker.symbol == symbol
            for one in self.story.facts.changes
        )

    async def settle(self, *, is_told: bool = True) -> None:
        """Let everything come to rest, and hold it against every invariant; one sale each.

        A sale in the first second of a start is over before the account is followed live. Unless
        the exchange tells of it once more, the agent sees what it owns at its look of each minute.
        """
        self.deepen()
        began_s = self.stage.now_s
        while True:
            await self.world.pass_by(0.5)
            try:
                self.story._check_rest()
                self.check_sold()
            except Broken:
                if self.stage.now_s > began_s + SETTLED_WITHIN_S:
                    raise
            else:
                break
            if is_told and self.stage.now_s >= began_s + TOLD_AFTER_S:
                is_told = False
                await self.tell()

    async def tell(self) -> None:
        """Have the exchange tell what the account holds: a crumb of two assets comes in."""
        for asset in ("USDT", "ETH"):
            await self.stage.control.transfer({"asset": asset, "delta": "0.01"})

    def deepen(self) -> None:
        """Let the books be as deep as they were."""
        venue = self.world.exchange.venue
        venue.world.markets[BTC].liquidity.set_depth(Decimal(QUOTE_DEPTH))
        venue.world.reshape(BTC, venue.now_ms())
        self.stage.move("57980")

    def check_sold(self) -> None:
        """Exactly what was protected is sold, by one decision each."""
        changes = self.story.facts.changes
        for symbol, quantity in ((BTC, Decimal("0.5")), (ETH, Decimal(2))):
            if symbol == ETH and not self.has_fired(ETH):
                continue
            orders = [one for one in self.stage.sales if one.ticket.symbol == symbol]
            sold = sum((one.executed for one in orders), Decimal(0))
            shots = [
                one
                for one in changes
                if one.change is TrackerChange.TRIGGERED and one.tracker.symbol == symbol
            ]
            stems = {one.ticket.client_order_id.rpartition("-")[0] for one in orders}
            if (sold, len(shots), len(stems)) != (quantity, 1, 1):
                raise Broken("ONE", f"{symbol}: {sold} sold, {len(shots)} triggers, {stems}")

    def close(self) -> None:
        """Let the journal go."""
        self.story.facts.close()


def told(way: Way, script: Callable[[Sale], Coroutine[Any, Any, None]]) -> None:
    """Play one story of a sale."""

    async def story(world: World) -> None:
        sale = Sale(world)
        await sale.begin(way)
        try:
            await script(sale)
        finally:
            sale.close()

    play(1, story)


@dataclass(frozen=True)
class Step:
    """One turn of the loop on the way of a sale, as it was left."""

    number: int
    # Whether the agent's process did anything in it: else it is as it was before.
    is_agents: bool
    # Which parts of the sale are carried by a task.
    carried: frozenset[str]
    # Where each part waits.
    place: Hashable
    # What of that which lasts is another than before: files, and what is on its way.
    changed: frozenset[str]


@cache
def steps_of(way: Way) -> list[Step]:
    """The steps of a sale, until it is booked."""
    found: list[Step] = []
    is_at_work = False
    run = asyncio.Handle._run

    def noticed(handle: asyncio.Handle) -> None:
        nonlocal is_at_work
        is_at_work = is_at_work or is_agents(handle)
        run(handle)

    async def script(sale: Sale) -> None:
        before = Left.by(sale.world)

        def look(number: int) -> None:
            nonlocal before, is_at_work
            left, place = Left.by(sale.world), place_of(sale.world)
            carried = frozenset(part for part, _ in place)
            found.append(Step(number, is_at_work, carried, place, left.since(before)))
            before, is_at_work = left, False

        at_each_step(sale.world, look)
        with mock.patch.object(asyncio.Handle, "_run", noticed):
            await sale.sell()
        sale.world.loop.on_step = None

    told(way, script)
    return found


@dataclass(frozen=True)
class Left:
    """What lasts when memory goes: what is durable by its file, and how much was ever sent."""

    durable: dict[str, bytes]
    messages: int
    spawned: int

    @classmethod
    def by(cls, world: World) -> "Left":
        """What is left by a world now."""
        return cls(world.machine.disk.durable(), world.network.messages, world.loop.spawned)

    def since(self, before: "Left") -> frozenset[str]:
        """The names of what has changed."""
        files = {
            name for name, content in self.durable.items() if before.durable.get(name) != content
        }
        sent = {"messages"} if self.messages != before.messages else set()
        return frozenset(files | sent | ({"tasks"} if self.spawned != before.spawned else set()))


def of_agent(steps: list[Step]) -> list[int]:
    """The first step, and those in which the agent's process does anything.

    Between two of these it stays as it is, and what has left it goes on without it: whether the
    power goes sooner or later there makes no difference, nor when a task that waits is cancelled.
    """
    return [step.number for step in steps if step.is_agents or step.number == 1]


def first_of_each(steps: list[Step], kind: Callable[[Step], Hashable]) -> list[int]:
    """The first step of each kind."""
    first: dict[Hashable, int] = {}
    for step in steps:
        first.setdefault(kind(step), step.number)
    return list(first.values())


def where(step: Step) -> Hashable:
    """What tells a cancellation or an end from another."""
    return step.place


def what_lasts_where(step: Step) -> Hashable:
    """What tells a power cut from another."""
    return step.place, step.changed


@pytest.mark.fault("P01", "ONE EQ KEEP PROT SAID")
@pytest.mark.timeout(600)
@pytest.mark.parametrize("share", range(SHARES))
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a_death_at_any_step_of_a_sale_leads_to_one_sale(way: Way, share: int) -> None:
    deaths: list[int] = []
    slowest_s = 0.0

    async def dies_at(sale: Sale, step: int) -> None:
        nonlocal slowest_s
        plan = sale.world.machine.plan = CrashPlan("await", step)
        await sale.sell()
        assert plan.fired, f"step {step} was never reached"
        deaths.append(step)
        slowest_s = max(slowest_s, await sale.return_after(1.0))
        # One of them finds out for itself.
        await sale.settle(is_told=len(deaths) > 1)

    for step in chosen(way, share):
        try:
            told(way, partial(dies_at, step=step))
        except BaseException as error:
            error.add_note(f"{way.__name__}: died at step {step}")
            raise
    assert slowest_s <= PROTECTED_WITHIN_S
    fired(len(deaths), words=f"deaths, the other stop fired within {slowest_s:.1f} s of the start")


def chosen(way: Way, share: int) -> list[int]:
    """A share of the deaths of a sale; memory goes with the power, so only what lasts differs."""
    steps = steps_of(way)
    if not IS_WHOLE:
        lasting = [step for step in steps if step.changed]
        return first_of_each(lasting, what_lasts_where)[share::SHARES]
    numbers = of_agent(steps)
    return sorted(Random(0).sample(numbers, min(len(numbers), STEPS_MAX)))[share::SHARES]


# ---------------------------------------------------------------- cancelled, and alive


def carriers(world: World) -> dict[str, list[asyncio.Task[Any]]]:
    """The tasks that carry each part of the order's way now."""
    found: dict[str, list[asyncio.Task[Any]]] = {part: [] for part in (*ORDERS_WAY, OPENING)}
    for task in sorted(asyncio.all_tasks(world.loop), key=hash):
        part = getattr(task.get_coro(), "__qualname__", "")
        if part in found:
            found[part].append(task)
    return found


def at_each_step(world: World, look: Callable[[int], None]) -> None:
    """Call `look` with the number of each step from now on."""
    before, steps = world.loop.on_step, itertools.count(1)

    def stepped() -> None:
        if before is not None:
            before()
        look(next(steps))

    world.loop.on_step = stepped


def waits_at(task: asyncio.Task[Any]) -> tuple[object, ...]:
    """Where a task waits, from its first call to the innermost."""
    found: list[object] = []
    waiting: Any = task.get_coro()
    while (frame := getattr(waiting, "cr_frame", None)) is not None:
        found += frame.f_code, frame.f_lasti
        waiting = waiting.cr_await
    return tuple(found)


def place_of(world: World) -> frozenset[tuple[str, Hashable]]:
    """Each part of the order's way that is carried now, and where it waits."""
    return frozenset(
        (part, waits_at(task)) for part, tasks in carriers(world).items() for task in tasks
    )


@pytest.mark.fault("P06", "SAID")
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("way", "name"),
    [
        *((plainly, name) for name in ORDERS_WAY),
        # Without a report nobody works on reports.
        *((without_an_answer, name) for name in ORDERS_WAY if name != "Reporting._work"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_cancellation_at_any_await_of_a_sale_never_means_that_nothing_was_sent(
    way: Way, name: str
) -> None:
    cancelled: list[int] = []

    async def is_cancelled_at(sale: Sale, step: int) -> None:
        def look(now: int) -> None:
            if now == step:
                for task in carriers(sale.world)[name]:
                    task.cancel()
                    cancelled.append(step)

        at_each_step(sale.world, look)
        await sale.sell()
        sale.world.network.weather.user_dropped = 0.0
        await sale.settle()
        sale.stage.move("2400", ETH)
        await sale.stage.until(lambda: sale.has_fired(ETH), PROTECTED_WITHIN_S)
        await sale.settle()

    carrying = [step for step in steps_of(way) if name in step.carried]
    steps = of_agent(carrying) if IS_WHOLE else first_of_each(carrying, where)
    for step in steps:
        try:
            told(way, partial(is_cancelled_at, step=step))
        except BaseException as error:
            error.add_note(f"{way.__name__}: {name} was cancelled at step {step}")
            raise
    assert set(cancelled) == set(steps)
    fired(len(cancelled), words=f"times {name} was cancelled, at {len(steps)} steps")


@pytest.mark.fault("P06", "SAID")
@pytest.mark.timeout(600)
@pytest.mark.parametrize("way", [plainly, without_an_answer], ids=lambda way: way.__name__)
def test_an_end_that_is_asked_for_at_any_await_of_a_sale_leaves_one_sale(way: Way) -> None:
    ended: list[int] = []

    async def ends_at(sale: Sale, step: int) -> None:
        machine = sale.world.machine
        at_each_step(sale.world, lambda now: machine.stop() if now == step else None)
        sale.stage.move("57990")
        await sale.world.until(lambda: not machine.is_running, 60)
        assert not machine.is_running, f"step {step} was never reached"
        ended.append(step)
        assert await sale.return_after(1.0) <= PROTECTED_WITHIN_S
        await sale.settle(is_told=len(ended) > 1)

    steps = steps_of(way)
    for step in of_agent(steps) if IS_WHOLE else first_of_each(steps, where):
        try:
            told(way, partial(ends_at, step=step))
        except BaseException as error:
            error.add_note(f"{way.__name__}: asked to end at step {step}")
            raise
    fired(len(ended), words="orderly ends")
