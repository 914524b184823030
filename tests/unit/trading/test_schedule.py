"""Recurring jobs run, never overlap, have deadlines, and daily ones are not missed."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from tests.catalogue import fired
from tests.fakes.clock import FakeClock
from trading.domain.errors import AuthLost, StorageLost, Unreachable
from trading.domain.events import JobRan
from trading.domain.time import from_ms, to_ms
from trading.schedule import JOBS, Job, Schedule, trigger_of


async def _nothing() -> None:
    return None


class _Memory:
    def __init__(self) -> None:
        self.events: list[JobRan] = []

    async def keep(self, event: JobRan) -> None:
        self.events.append(event)


def _schedule(
    work: Callable[[], Awaitable[None]], job: Job, clock: FakeClock | None = None
) -> tuple[Schedule, _Memory]:
    memory = _Memory()
    return Schedule({job.name: work}, clock or FakeClock(), memory.keep, (job,)), memory


async def test_a_job_that_ran_is_shown_with_its_outcome() -> None:
    schedule, memory = _schedule(_nothing, Job("balances", every_s=60))
    await schedule.run("balances")
    [(job, last_at, outcome, _)] = schedule.rows()
    assert (job.name, outcome) == ("balances", "done")
    assert last_at is not None
    assert memory.events == []


async def test_a_remembered_job_is_recorded() -> None:
    job = Job("daily_risk_reset", daily_at=(0, 0), is_remembered=True)
    schedule, memory = _schedule(_nothing, job)
    await schedule.run("daily_risk_reset")
    assert [event.job for event in memory.events] == ["daily_risk_reset"]


@pytest.mark.parametrize(
    "failure", [Unreachable("http 503"), AuthLost("code -2015"), StorageLost("the disk is full")]
)
async def test_a_job_that_network_or_disk_fails_is_one_line_of_the_log(
    failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail() -> None:
        raise failure

    schedule, _ = _schedule(fail, Job("balances", every_s=60))
    await schedule.run("balances")
    [(_, _, outcome, _)] = schedule.rows()
    assert outcome == f"failed: {type(failure).__name__}"
    [record] = caplog.records
    assert (record.levelname, record.message, record.exc_info) == ("WARNING", "job_failed", None)
    assert vars(record)["error"] == str(failure)


async def test_a_job_that_goes_on_failing_alike_is_a_line_of_the_log_once_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    failures: list[Exception | None] = [StorageLost("away")] * 30
    failures += [Unreachable("http 503"), None, StorageLost("away")]
    clock = FakeClock()

    async def work() -> None:
        if failure := failures.pop(0):
            raise failure

    schedule, _ = _schedule(work, Job("heartbeat", every_s=5), clock)
    while failures:
        await schedule.run("heartbeat")
        clock.advance(5)
    # In two and a half minutes, then another failure, then one after a success.
    told = [vars(record)["error"] for record in caplog.records]
    assert told == ["away", "away", "away", "http 503", "away"]


async def test_a_job_that_fails_for_a_reason_of_ours_keeps_its_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fail() -> None:
        raise ValueError("a bug")

    schedule, _ = _schedule(fail, Job("balances", every_s=60))
    await schedule.run("balances")
    assert [bool(record.exc_info) for record in caplog.records] == [True]


async def test_a_job_that_the_end_breaks_off_is_no_failure(
    caplog: pytest.LogCaptureFixture,
) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def hang() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    schedule, _ = _schedule(hang, Job("heartbeat", every_s=0.01))
    schedule.start({})
    await begun.wait()
    schedule.stop()
    await ended.wait()
    # The scheduler says what became of a job in the turn after its end.
    for _ in range(3):
        await asyncio.sleep(0)
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []


async def test_a_failing_job_says_so_and_stays_planned() -> None:
    async def fail() -> None:
        raise RuntimeError("no")

    schedule, _ = _schedule(fail, Job("balances", every_s=60))
    schedule.start({})
    await schedule.run("balances")
    [(_, _, outcome, next_at)] = schedule.rows()
    schedule.stop()
    assert outcome == "failed: RuntimeError"
    assert next_at is not None


async def test_a_job_that_hangs_is_ended_by_its_deadline() -> None:
    async def hang() -> None:
        await asyncio.Event().wait()

    schedule, _ = _schedule(hang, Job("balances", every_s=60, deadline_s=0.01))
    await schedule.run("balances")
    assert schedule.rows()[0][2] == "took longer than 0.01 s"


async def test_a_vital_job_that_comes_to_no_end_hangs_and_one_that_fails_does_not() -> None:
    async def fail() -> None:
        raise Unreachable("http 503")

    clock = FakeClock()
    jobs = (
        Job("tracker_sweep", every_s=1, deadline_s=5, is_vital=True),
        Job("balances", every_s=1),
    )
    work = {"tracker_sweep": fail, "balances": _nothing}
    schedule = Schedule(work, clock, _Memory().keep, jobs)
    clock.advance(1_000)
    # Before the start nobody expects anything.
    assert schedule.hanging() == ()
    schedule.start({})
    schedule.stop()
    for _ in range(10):
        clock.advance(30)
        await schedule.run("tracker_sweep")
        assert schedule.hanging() == ()
    clock.advance(37)
    assert schedule.hanging() == ("tracker_sweep",)
    await schedule.run("tracker_sweep")
    assert schedule.hanging() == ()


def test_what_watches_stops_and_orders_is_vital() -> None:
    vital = {job.name for job in JOBS if job.is_vital}
    assert vital == {"tracker_sweep", "staleness_watch", "open_attempts"}


@pytest.mark.parametrize(("hours_ago", "runs"), [(1, 0), (20, 1)])
async def test_a_daily_job_missed_while_down_runs_at_the_start(hours_ago: int, runs: int) -> None:
    clock = FakeClock()  # 12:00, so that midnight was 12 hours ago
    ran = asyncio.Event()

    async def work() -> None:
        ran.set()

    job = Job("daily_risk_reset", daily_at=(0, 0), misfire_grace_s=10**9, is_remembered=True)
    schedule, _ = _schedule(work, job, clock)
    schedule.start({"daily_risk_reset": clock.now() - timedelta(hours=hours_ago)})
    try:
        async with asyncio.timeout(2 if runs else 0.05):
            await ran.wait()
    except TimeoutError:
        pass
    schedule.stop()
    assert ran.is_set() is bool(runs)


@pytest.mark.parametrize("at_once", [True, False])
async def test_only_what_is_at_once_does_not_wait_for_its_first_interval(at_once: bool) -> None:
    ran: list[None] = []

    async def work() -> None:
        ran.append(None)

    schedule, _ = _schedule(work, Job("heartbeat", every_s=3_600, at_once=at_once))
    schedule.start({})
    await asyncio.sleep(0)
    schedule.stop()
    assert len(ran) == at_once
    assert [job.name for job in JOBS if job.at_once] == ["heartbeat"]


def test_work_and_table_must_match() -> None:
    with pytest.raises(ValueError, match="balances"):
        Schedule({}, FakeClock(), _Memory().keep, (Job("balances", every_s=1),))


def test_every_job_of_the_table_has_one_rhythm_in_words() -> None:
    for job in JOBS:
        assert (job.every_s is None) != (job.daily_at is None)
        assert job.rhythm.startswith(("every", "daily"))
    assert replace(JOBS[0], every_s=900).rhythm == "every 15 min"


class _SteppedClock(FakeClock):
    def step(self, seconds: float) -> None:
        """Set the wall clock; the monotonic one goes on as before."""
        self._now += timedelta(seconds=seconds)


async def test_a_clock_that_was_set_back_keeps_no_job_waiting() -> None:
    clock = _SteppedClock()
    schedule, _ = _schedule(_nothing, Job("balances", every_s=60), clock)
    schedule.start({})
    [(_, _, _, planned)] = schedule.rows()
    assert planned is not None
    # What was planned before the step lies an hour ahead after it.
    schedule._scheduler.modify_job("balances", next_run_time=planned + timedelta(hours=1))
    clock.step(-3600)
    assert schedule.follow_clock()
    [(_, _, _, again)] = schedule.rows()
    schedule.stop()
    assert again is not None
    assert again < planned + timedelta(minutes=1)


async def test_a_clock_that_only_drifts_changes_no_plan() -> None:
    clock = _SteppedClock()
    schedule, _ = _schedule(_nothing, Job("balances", every_s=60), clock)
    schedule.start({})
    [(_, _, _, planned)] = schedule.rows()
    clock.step(0.4)
    assert not schedule.follow_clock()
    clock.advance(3600)
    assert not schedule.follow_clock()
    [(_, _, _, same)] = schedule.rows()
    schedule.stop()
    assert same == planned


@pytest.fixture
def _berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.fault("C04", "SAID")
@pytest.mark.usefixtures("_berlin")
@pytest.mark.parametrize(
    "evening",
    [
        datetime(2026, 3, 28, 12, tzinfo=UTC),  # summer time begins
        datetime(2026, 10, 24, 12, tzinfo=UTC),  # and ends
        datetime(2028, 2, 28, 12, tzinfo=UTC),  # a leap day
        datetime(2026, 12, 30, 12, tzinfo=UTC),
        datetime(2038, 1, 18, 12, tzinfo=UTC),  # 2^31 seconds
    ],
)
def test_the_day_begins_once_every_24_hours_whatever_the_calendar_does(evening: datetime) -> None:
    [job] = [job for job in JOBS if job.name == "daily_risk_reset"]
    trigger = trigger_of(job)
    fires = [trigger.get_next_fire_time(None, evening)]
    for _ in range(3):
        fires.append(trigger.get_next_fire_time(fires[-1], fires[-1] + timedelta(seconds=1)))
    midnight = evening.replace(hour=0) + timedelta(days=1)
    assert fires == [midnight + timedelta(days=days) for days in range(4)]
    assert [from_ms(to_ms(at)) for at in fires] == fires
    # What is odd about these days: their length, the year's end, a leap day, 2^31 seconds.
    local = [at.astimezone().replace(tzinfo=None) for at in fires]
    odd = [later for one, later in pairwise(local) if later - one != timedelta(days=1)]
    odd += [later for one, later in pairwise(local) if later.year != one.year]
    odd += [day for day in local if (day.month, day.day) == (2, 29)]
    odd += [at for at in fires if to_ms(at) // 1000 >= 2**31]
    fired(odd, words=str(time.tzname))


async def test_jobs_of_one_rhythm_do_not_begin_in_the_same_turn() -> None:
    jobs = tuple(Job(name, every_s=1) for name in ("tracker_sweep", "heartbeat", "balances"))
    clock = _SteppedClock()
    schedule = Schedule({job.name: _nothing for job in jobs}, clock, _Memory().keep, jobs)
    schedule.start({})
    first = [planned for *_, planned in schedule.rows() if planned is not None]
    clock.step(-3600)
    assert schedule.follow_clock()
    again = [planned for *_, planned in schedule.rows() if planned is not None]
    schedule.stop()
    for planned in (first, again):
        assert [later - one >= timedelta(seconds=0.05) for one, later in pairwise(planned)] == [
            True,
            True,
        ]
        assert planned[-1] - planned[0] < timedelta(seconds=1)


async def test_a_job_at_a_second_runs_each_minute_then() -> None:
    schedule, _ = _schedule(_nothing, Job("score_scan", every_s=60, at_second=5))
    schedule.start({})
    [(job, _, _, next_at)] = schedule.rows()
    schedule.stop()
    assert next_at is not None
    assert next_at.second == 5
    assert job.rhythm == "every 1 min"
