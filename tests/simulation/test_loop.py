"""The virtual loop: asyncio's own order of turns, and worlds that do not add up."""

import asyncio
import gc
import weakref
from collections.abc import Callable
from random import Random

import pytest

from tests.simulation.loop import SimLoop, run
from tests.simulation.world import World, play

_CALLS = 400


class _AsyncioTurns(SimLoop):
    """The same loop with the turn that asyncio has written."""

    call_soon = asyncio.BaseEventLoop.call_soon
    call_at = asyncio.BaseEventLoop.call_at

    def __init__(self) -> None:
        super().__init__()
        # It asks its selector when nobody is ready.
        self._selector = self

    def select(self, timeout: float) -> list[object]:
        """Nothing ever comes from outside: let time pass until the next timer."""
        self._now_s = round(self._now_s + max(timeout, 1e-6), 6)
        return []

    def _process_events(self, event_list: list[object]) -> None:
        assert event_list == []

    def _run_once(self) -> None:
        asyncio.BaseEventLoop._run_once(self)
        self.steps += 1


def _played(loop: SimLoop, seed: int) -> list[tuple[float, int, int]]:
    """Timers, many at one moment or cancelled, that set timers: when and in which turn each ran."""
    chance, order = Random(seed), list[tuple[float, int, int]]()
    handles: list[asyncio.Handle] = []

    def call(number: int) -> None:
        order.append((loop.time(), loop.steps, number))
        for _ in range(2):
            begin(len(handles))
        if chance.random() < 0.7:
            chance.choice(handles).cancel()

    def begin(number: int) -> None:
        if number >= _CALLS:
            return
        ways: tuple[Callable[[], asyncio.Handle], ...] = (
            lambda: loop.call_soon(call, number),
            lambda: loop.call_later(chance.choice((0.0, 0.5, 1.0, 100_000.0)), call, number),
            lambda: loop.call_later(chance.random(), call, number),
        )
        handles.append(chance.choice(ways)())

    async def work() -> None:
        for number in range(150):
            begin(number)
            if number % 3:
                handles[-1].cancel()
        await asyncio.sleep(500_000)

    run(loop, work())
    return order


@pytest.mark.parametrize("seed", range(20))
def test_callbacks_run_in_the_order_of_asyncios_own_loop(seed: int) -> None:
    ours, asyncios = _played(SimLoop(), seed), _played(_AsyncioTurns(), seed)
    assert len(ours) > 50
    assert ours == asyncios


def test_a_world_that_nobody_looks_at_is_gone_when_the_next_one_begins() -> None:
    def begun() -> weakref.ref[World]:
        return weakref.ref(play(1, _starts))

    async def looks(_world: World) -> None:
        assert before() is None, gc.get_referrers(before())

    before = begun()
    play(2, looks)


async def _starts(world: World) -> None:
    world.machine.start()
    await world.pass_by(1.0)
