"""Dead tasks are started again, within a budget, and nothing dies silently."""

import asyncio
import itertools
import os
import signal
from pathlib import Path

import pytest

from bot import compose, config, demo, supervisor
from storage.lease import DirectoryLock
from tests.catalogue import fired
from tests.fakes.clock import FakeClock
from tests.fakes.virtual_time import VirtualTime
from tests.unit.trading.agent_world import AgentWorld
from trading.domain.chat import Severity
from trading.domain.commands import AcknowledgeAlerts
from trading.domain.errors import DirectoryInUse, Refused, StorageLost
from trading.domain.events import AlertRaised


@pytest.fixture(autouse=True)
def _no_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "_RESTART_DELAY_S", 0.0)


@pytest.mark.fault("P03")
async def test_a_dead_task_is_started_again_and_told_about() -> None:
    deaths: list[str] = []
    lives = 0

    async def dies_twice() -> None:
        nonlocal lives
        lives += 1
        if lives < 3:
            raise RuntimeError("dead")

    async def lives_on() -> None:
        pass

    keeper = supervisor.Supervisor(FakeClock(), lambda name, _: deaths.append(name))
    await keeper.run({"prices": dies_twice, "chat": lives_on})
    assert (lives, deaths) == (3, ["prices", "prices"])
    assert keeper.restarts_s() == {"prices": 0.0}
    fired(deaths)


@pytest.mark.fault("P03", "SAID")
async def test_five_deaths_within_a_minute_end_the_process() -> None:
    async def dies() -> None:
        raise RuntimeError("dead")

    keeper = supervisor.Supervisor(FakeClock(), lambda *_: None)
    with pytest.RaisesGroup(supervisor.TooManyDeaths):
        await keeper.run({"prices": dies})
    fired(keeper.restarts_s())


@pytest.mark.parametrize("is_apart", [True, False])
@pytest.mark.parametrize("error", [OSError("read-only"), Refused("no place")])
async def test_a_task_whose_end_fails_has_ended_all_the_same(
    error: Exception, *, is_apart: bool
) -> None:
    lives, deaths = [], []

    async def cannot_clean_up() -> None:
        lives.append(1)
        try:
            await asyncio.Event().wait()
        finally:
            # As whoever removes its socket from a disk that takes no writes any more.
            raise error

    async def loses_the_disk() -> None:
        await asyncio.sleep(0)
        raise StorageLost("the disk is gone")

    keeper = supervisor.Supervisor(FakeClock(), lambda name, _: deaths.append(name))

    async def apart() -> None:
        await keeper.keep_apart("socket", cannot_clean_up, lambda name, _: deaths.append(name))

    tasks = {"socket": apart if is_apart else cannot_clean_up, "storage": loses_the_disk}
    async with asyncio.timeout(5):
        with pytest.raises(ExceptionGroup) as ended:
            await keeper.run(tasks)
    assert isinstance(ended.value.exceptions[0], StorageLost)
    assert (len(lives), deaths) == (1, [])


async def test_deaths_far_apart_do_not_end_it() -> None:
    clock, lives = FakeClock(), 0

    async def dies_now_and_then() -> None:
        nonlocal lives
        lives += 1
        clock.advance(20)
        if lives < 9:
            raise RuntimeError("dead")

    await supervisor.Supervisor(clock, lambda *_: None).run({"prices": dies_now_and_then})
    assert lives == 9


async def test_a_fatal_error_is_not_retried() -> None:
    lives = 0

    async def fatal() -> None:
        nonlocal lives
        lives += 1
        raise StorageLost("disk")

    with pytest.RaisesGroup(StorageLost):
        await supervisor.Supervisor(FakeClock(), lambda *_: None).run({"journal": fatal})
    assert lives == 1


@pytest.mark.fault("P04")
async def test_the_lag_of_a_blocked_loop_is_seen() -> None:
    from bot.clock import SystemClock

    sampler = supervisor.LagSampler(SystemClock())
    assert (sampler.p99_ms, sampler.max_ms) == (0.0, 0.0)
    task = asyncio.create_task(sampler.run())
    await asyncio.sleep(0)
    deadline = SystemClock().monotonic() + 0.2
    while SystemClock().monotonic() < deadline:
        pass  # blocks the loop on purpose
    async with asyncio.timeout(5):
        while not sampler.max_ms:
            await asyncio.sleep(0.01)
    task.cancel()
    assert sampler.max_ms >= 100
    assert sampler.p99_ms <= sampler.max_ms
    fired(int(sampler.max_ms), words="ms of lag")


def has_let_go_of_signals() -> bool:
    """Whether the running loop handles no signal, and could close whatever comes."""
    loop = asyncio.get_running_loop()
    kept = [loop.remove_signal_handler(one) for one in (signal.SIGTERM, signal.SIGINT)]
    return not any(kept)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_asks_for_a_graceful_stop_and_the_next_is_not_for_the_loop(
    number: signal.Signals,
) -> None:
    stop = asyncio.Event()
    with supervisor.on_signals(stop.set):
        os.kill(os.getpid(), number)
        async with asyncio.timeout(5):
            await stop.wait()
    assert has_let_go_of_signals()


async def test_an_agent_lets_go_of_signals_before_its_loop_closes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UMBRA_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("UMBRA_TELEGRAM_TOKEN", "8091:a-token")
    held = DirectoryLock(tmp_path)
    held.take()
    try:
        with pytest.raises(DirectoryInUse):
            await compose.run(config.load(), "0")
    finally:
        held.release()
    assert has_let_go_of_signals()


async def test_a_demo_lets_go_of_signals_before_its_loop_closes(tmp_path: Path) -> None:
    place = tmp_path / "a-file"
    place.write_text("")
    with pytest.raises(Refused, match="a directory to write in"):
        await demo.run(demo.DemoSettings(data_dir=place), print)
    assert has_let_go_of_signals()


async def test_what_is_fatal_in_a_task_of_a_task_ends_the_process_at_once() -> None:
    runs = 0

    async def has_tasks_of_its_own() -> None:
        nonlocal runs
        runs += 1
        async with asyncio.TaskGroup() as group:
            group.create_task(dies(ValueError("no more")))
            group.create_task(dies(StorageLost("the disk lies")))

    async def dies(error: Exception) -> None:
        raise error

    keeper = supervisor.Supervisor(FakeClock(), lambda *_: None)
    with pytest.raises(ExceptionGroup) as ended:
        await keeper.run({"trackers": has_tasks_of_its_own})
    assert ended.group_contains(StorageLost)
    assert not ended.group_contains(ValueError)
    assert runs == 1


@pytest.mark.fault("P03", "CRIT SAID")
async def test_a_death_is_told_until_it_is_acknowledged_and_once_for_many() -> None:
    lives = 0

    async def dies_twice() -> None:
        nonlocal lives
        lives += 1
        if lives < 3:
            raise RuntimeError("dead")

    async with AgentWorld() as world:
        await supervisor.Supervisor(world.time, world.agent.task_died).run({"prices": dies_twice})
        await world.time.settle()
        [alert] = world.desk.status().alerts
        assert alert.severity is Severity.CRIT
        assert "started again: prices (RuntimeError)" in alert.text
        await world.do(AcknowledgeAlerts())
        assert world.desk.status().alerts == ()
        fired(lives - 1)


async def test_a_death_on_a_lost_disk_does_not_end_what_still_sells() -> None:
    async with AgentWorld() as world:
        world.store.lose()
        world.agent.task_died("prices", RuntimeError("dead"))
        await world.time.settle()
        assert world.store.appends_lost == 1
        world.store.heal()
        await world.protect()
        await world.move("57990")
        await world.until_sold("0.5")


async def test_what_nothing_depends_on_may_die_for_ever_and_is_started_again_ever_later() -> None:
    clock, begun_s, deaths = VirtualTime(), list[float](), list[str]()

    async def dies() -> None:
        begun_s.append(clock.monotonic())
        # Not even what ends the process elsewhere.
        raise StorageLost("the disk is gone")

    keeper = supervisor.Supervisor(clock, lambda *_: None, clock.sleep)
    dead = keeper.keep_apart("scanner", dies, lambda name, _: deaths.append(name))
    task = asyncio.ensure_future(dead)
    await clock.pass_by(600)
    assert not task.done()
    pauses_s = [later - earlier for earlier, later in itertools.pairwise(begun_s)]
    assert pauses_s[:7] == [1, 2, 4, 8, 16, 32, 60]
    assert set(pauses_s[6:]) == {60}
    assert deaths == ["scanner"] * len(begun_s)
    assert keeper.restarts_s()["scanner"] < 60
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_after_an_hour_of_life_a_death_is_a_first_one_again() -> None:
    clock, begun_s = VirtualTime(), list[float]()

    async def lives_longer_each_time() -> None:
        begun_s.append(clock.monotonic())
        await clock.sleep(10 if len(begun_s) < 4 else 3_700)
        raise RuntimeError("dead")

    keeper = supervisor.Supervisor(clock, lambda *_: None, clock.sleep)
    living = keeper.keep_apart("scanner", lives_longer_each_time, lambda *_: None)
    task = asyncio.ensure_future(living)
    await clock.pass_by(4_000)
    lived_s = [later - earlier for earlier, later in itertools.pairwise(begun_s)]
    assert lived_s == [11, 12, 14, 3_701]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_death_that_touches_no_stop_is_told_once_an_hour_and_not_loudly() -> None:
    async def dies() -> None:
        raise RuntimeError("dead")

    async with AgentWorld() as world:
        keeper = supervisor.Supervisor(world.time, lambda *_: None, world.time.sleep)
        task = asyncio.ensure_future(keeper.keep_apart("scanner", dies, world.agent.advice_died))
        await world.time.pass_by(300)
        told = [one for one in world.store.of(AlertRaised) if one.alert_id.startswith("advice")]
        assert [(one.severity, one.alert_id) for one in told] == [
            (Severity.WARN, "advice_died:scanner:2026-11-20T12")
        ]
        assert "started again (RuntimeError). Stops and orders do not need it" in told[0].text
        # What was raised on purpose says what can be done about it.
        world.agent.advice_died("way", Refused("no socket can be made at /data"))
        await world.time.settle()
        assert "started again (no socket can be made at /data). Stops" in (
            world.store.of(AlertRaised)[-1].text
        )
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
