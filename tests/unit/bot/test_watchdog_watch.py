"""A watchdog that dies is told in time and once; one that ends in good order is not missed."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from bot import heartbeat
from bot.heartbeat import Sign
from bot.watchdog import Watchdog
from bot.watchdog_watch import LOOK_S, SILENT_LOOKS, WATCHDOG_SILENT, Silence, WatchdogWatch
from tests.builders import NOON
from tests.catalogue import fired
from tests.unit.trading.agent_world import AgentWorld
from trading.domain.chat import Severity
from trading.domain.events import ConditionChanged

TOLD_WITHIN_S = 60.0


def sign(second: float, *, is_stopped: bool = False) -> Sign:
    return Sign(NOON + timedelta(seconds=second), not is_stopped, "watching", is_stopped)


def test_a_watchdog_that_never_ran_is_not_missed() -> None:
    silence = Silence()
    assert {silence.look(None) for _ in range(100)} == {False}


def test_a_sign_that_stands_still_for_some_looks_is_a_death_and_a_new_one_its_end() -> None:
    silence = Silence()
    looks = [silence.look(sign(0)) for _ in range(SILENT_LOOKS + 2)]
    assert looks == [*[None] * SILENT_LOOKS, True, True]
    assert silence.look(sign(300)) is False
    assert silence.look(sign(300)) is None


def test_a_sign_that_cannot_be_read_any_more_is_no_life() -> None:
    silence = Silence()
    looks = [silence.look(each) for each in (sign(0), None, *[sign(0), None] * SILENT_LOOKS)]
    assert looks[: SILENT_LOOKS + 1] == [None] * SILENT_LOOKS + [True]
    assert False not in looks
    assert silence.look(sign(300)) is False


def test_an_orderly_end_is_no_death() -> None:
    silence = Silence()
    silence.look(sign(0))
    assert {silence.look(sign(5, is_stopped=True)) for _ in range(100)} == {False}


@dataclass
class Pair:
    """A watchdog and an agent in one data directory; the watchdog lives until it is killed."""

    world: AgentWorld
    data_dir: Path

    def __post_init__(self) -> None:
        self.watchdog = Watchdog(self.data_dir, [], self.world.time, self.world.time.sleep)
        self.watch = WatchdogWatch(
            self.data_dir,
            self.world.time,
            self.world.agent.record,
            lambda: self.world.agent.state.has_condition(WATCHDOG_SILENT),
        )

    async def pass_by(self, seconds: float, *, is_watchdog_alive: bool) -> None:
        for _ in range(round(seconds / LOOK_S)):
            if is_watchdog_alive:
                await self.watchdog.step()
            await self.watch.look()
            await self.world.time.pass_by(LOOK_S)

    @property
    def told(self) -> list[ConditionChanged]:
        found = self.world.store.of(ConditionChanged)
        return [one for one in found if one.condition == WATCHDOG_SILENT]


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    async with AgentWorld() as world:
        yield Pair(world, tmp_path)


@pytest.mark.fault("P15", "TELL SAID")
async def test_a_killed_watchdog_is_told_within_a_minute_and_so_is_its_return(pair: Pair) -> None:
    await pair.pass_by(60, is_watchdog_alive=True)
    assert pair.told == []
    last = heartbeat.read_watchdog(pair.data_dir)
    assert last is not None
    await pair.pass_by(120, is_watchdog_alive=False)
    assert heartbeat.read_watchdog(pair.data_dir) == last
    [lost] = pair.told
    assert lost.at - last.at <= timedelta(seconds=TOLD_WITHIN_S)
    assert lost.severity is Severity.WARN
    assert "nobody would tell you" in lost.text
    assert lost in pair.world.desk.status().conditions
    await pair.pass_by(10, is_watchdog_alive=True)
    assert [one.is_active for one in pair.told] == [True, False]
    assert not pair.world.desk.status().conditions
    fired(int((lost.at - last.at).total_seconds()), words="s without a sign")


@pytest.mark.fault("P15", "TELL")
async def test_a_death_before_a_restart_is_told_once_and_its_end_after_it(pair: Pair) -> None:
    await pair.pass_by(10, is_watchdog_alive=True)
    await pair.pass_by(60, is_watchdog_alive=False)
    await pair.world.kill()
    await pair.world.start()
    again = Pair(pair.world, pair.data_dir)
    await again.pass_by(60, is_watchdog_alive=False)
    assert [one.is_active for one in again.told] == [True]
    await again.pass_by(10, is_watchdog_alive=True)
    assert [one.is_active for one in again.told] == [True, False]
    fired(again.told)


async def test_a_lost_disk_does_not_end_the_watch(pair: Pair) -> None:
    await pair.pass_by(10, is_watchdog_alive=True)
    pair.world.store.lose()
    await pair.pass_by(60, is_watchdog_alive=False)
    assert pair.told == []
    pair.world.store.heal()
    await pair.pass_by(5, is_watchdog_alive=False)
    assert [one.is_active for one in pair.told] == [True]


async def test_a_watchdog_that_is_asked_to_end_says_so(pair: Pair) -> None:
    running = asyncio.create_task(pair.watchdog.run())
    await pair.world.time.pass_by(6)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    last = heartbeat.read_watchdog(pair.data_dir)
    assert last is not None
    assert last.is_stopped
    await pair.pass_by(120, is_watchdog_alive=False)
    assert pair.told == []
