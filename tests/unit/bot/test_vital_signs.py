"""The sign of life goes on when the journal is lost, and says so; the last one ends it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import cast

import pytest

from bot import heartbeat, vital_signs
from bot.escalation import Escalation
from bot.supervisor import Supervisor
from bot.systemd import ServiceManager
from bot.vital_signs import VitalSigns, Watched
from storage.store import Store
from tests.unit.trading.agent_world import AgentWorld
from trading.domain.commands import ArmTracker
from trading.domain.errors import StorageLost
from trading.domain.events import Event, Heartbeat
from trading.domain.tracker import Amount, AmountKind, Tracker, TrackerKind, TrackerSpec
from trading.schedule import JOBS, Schedule


@pytest.fixture
async def world() -> AsyncIterator[AgentWorld]:
    async with AgentWorld() as running:
        yield running


class _Manager(ServiceManager):
    """Keeps the question that the service manager would ask."""

    def __init__(self) -> None:
        super().__init__(None)
        self.is_beating: Callable[[], bool] = lambda: False

    async def run(self, is_beating: Callable[[], bool]) -> None:
        self.is_beating = is_beating


def signs_of(
    world: AgentWorld,
    data_dir: Path,
    hanging: Callable[[], Sequence[str]] = tuple,
    service: ServiceManager | None = None,
) -> VitalSigns:
    time = world.time
    watched = Watched(
        world.agent,
        cast(Store, world.store),
        Supervisor(time, world.agent.task_died),
        Escalation(data_dir, (), dict, time),
        hanging,
    )
    return VitalSigns(data_dir, time, watched, service or ServiceManager(None))


async def test_a_beat_says_what_is_held_and_how_many_stops_are_watched(
    world: AgentWorld, tmp_path: Path
) -> None:
    await world.protect()
    await signs_of(world, tmp_path).beat(world.desk)
    sign = heartbeat.read(tmp_path)
    assert sign is not None
    assert (sign.is_healthy, sign.note) == (True, "1 tracker")
    assert sign.holdings == ("Holds 0.5 BTC (BTC/USDT), stop 58000",)


async def test_a_sign_looks_at_one_holding_at_a_time(world: AgentWorld, tmp_path: Path) -> None:
    for symbol, level in (("ADA/USDT", Decimal("0.8")), ("BTC/USDT", Decimal(58000))):
        every = Amount(AmountKind.ALL)
        await world.do(ArmTracker(TrackerSpec(TrackerKind.STOP, symbol, every, level=level)))
    looked: list[int] = []
    turns, trackers_of = [0], world.agent.trackers.of

    def turn() -> None:
        turns[0] += 1
        asyncio.get_running_loop().call_soon(turn)

    def of(symbol: str) -> list[Tracker]:
        looked.append(turns[0])
        return trackers_of(symbol)

    world.agent.trackers.of = of  # type: ignore[method-assign]
    turn()
    await signs_of(world, tmp_path).beat(world.desk)
    sign = heartbeat.read(tmp_path)
    assert sign is not None
    assert [line.split(",")[0] for line in sign.holdings] == [
        "Holds 0.5 BTC (BTC/USDT)",
        "Holds 1000 ADA (ADA/USDT)",
    ]
    first, second = looked
    assert first < second


async def test_a_beat_of_an_agent_without_prices_does_not_call_it_healthy(
    world: AgentWorld, tmp_path: Path
) -> None:
    await world.protect()
    world.exchange.is_hanging = True
    for _ in range(20):
        await world.time.finish(world.agent.jobs()["staleness_watch"]())
        await world.time.pass_by(1)
    assert world.exchange.hung
    await signs_of(world, tmp_path).beat(world.desk)
    verdict = heartbeat.check(tmp_path, world.time.now(), is_served=True)
    assert not verdict.is_healthy
    assert "no fresh price of BTC/USDT" in verdict.text


async def test_a_beat_that_cannot_be_journaled_still_leaves_its_sign_on_disk(
    world: AgentWorld, tmp_path: Path
) -> None:
    signs = signs_of(world, tmp_path)
    world.store.lose()
    world.time.advance(60)
    with pytest.raises(StorageLost):
        await signs.beat(world.desk)
    assert world.store.appends_lost == 1
    sign = heartbeat.read(tmp_path)
    assert sign is not None
    assert sign.at == world.time.now()


async def test_an_orderly_end_is_signed_and_a_lost_disk_does_not_stop_it(
    world: AgentWorld, tmp_path: Path
) -> None:
    await signs_of(world, tmp_path).sign_off(world.desk)
    sign = heartbeat.read(tmp_path)
    assert sign is not None
    assert (sign.is_stopped, sign.is_healthy) == (True, False)
    gone = tmp_path / "gone"
    await signs_of(world, gone).sign_off(world.desk)
    assert heartbeat.read(gone) is None


async def test_a_sign_that_no_disk_takes_does_not_end_the_beat(
    world: AgentWorld, tmp_path: Path
) -> None:
    signs = signs_of(world, tmp_path / "gone")
    world.time.advance(60)
    written = len(world.store.of(Heartbeat))
    await signs.beat(world.desk)
    assert len(world.store.of(Heartbeat)) == written + 1


async def test_beats_go_on_while_a_write_of_the_journal_waits(
    world: AgentWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vital_signs, "_JOURNAL_S", 0.01)
    signs, is_free = signs_of(world, tmp_path), asyncio.Event()
    append = world.store.append

    async def held(*events: Event, reserve: bool = False, urgent: bool = False) -> int:
        await is_free.wait()
        return await append(*events, reserve=reserve, urgent=urgent)

    monkeypatch.setattr(world.store, "append", held)
    for _ in range(3):
        world.time.advance(60)
        await signs.beat(world.desk)
        sign = heartbeat.read(tmp_path)
        assert sign is not None
        assert sign.at == world.time.now()
    written = len(world.store.of(Heartbeat))
    is_free.set()
    await signs.beat(world.desk)
    # One at a time: what waits for a held disk does not pile up.
    assert len(world.store.of(Heartbeat)) == written + 1


async def test_the_service_manager_hears_of_life_only_while_every_vital_part_goes_on(
    world: AgentWorld, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    hanging: list[str] = []
    manager = _Manager()
    signs = signs_of(world, tmp_path, lambda: hanging, manager)
    await signs.tasks["service_manager"]()
    await signs.beat(world.desk)
    assert manager.is_beating()

    hanging.append("tracker_sweep")
    assert not manager.is_beating()
    assert not manager.is_beating()
    assert [one.message for one in caplog.records].count("parts_hang") == 1
    world.agent.is_ready = False
    assert manager.is_beating(), "a start that waits for the exchange was called dead"
    world.agent.is_ready = True
    hanging.clear()
    assert manager.is_beating()

    world.time.advance(heartbeat.AGE_S_MAX)
    assert not manager.is_beating()
    await signs.beat(world.desk)
    assert manager.is_beating()


async def test_neither_a_lost_exchange_nor_a_lost_journal_is_called_a_death(
    world: AgentWorld, tmp_path: Path
) -> None:
    await world.protect()
    manager = _Manager()
    jobs = [job for job in JOBS if job.is_vital]
    work = {job.name: world.agent.jobs()[job.name] for job in jobs}

    async def remember(_: object) -> None:
        return None

    schedule = Schedule(work, world.time, remember, tuple(jobs))
    schedule.start({})
    schedule.stop()
    signs = signs_of(world, tmp_path, schedule.hanging, manager)
    await signs.tasks["service_manager"]()
    world.exchange.is_hanging = True
    world.store.lose()
    for _ in range(120):
        for name in work:
            await world.time.finish(schedule.run(name))
        with contextlib.suppress(StorageLost):
            await signs.beat(world.desk)
        assert manager.is_beating()
        await world.time.pass_by(1)
    assert world.exchange.hung
    assert world.store.appends_lost
