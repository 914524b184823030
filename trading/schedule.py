"""The table of recurring jobs, and the scheduler that drives it.

Names and rhythms stand here; what a name does is bound where the agent is composed. Reactions to
prices and messages are never scheduled: a job only catches what time alone changes.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from trading.domain.errors import AuthLost, Retryable, StorageLost
from trading.domain.events import JobRan
from trading.ports.clock import Clock

logger = logging.getLogger(__name__)

Work = Callable[[], Awaitable[None]]
_LOGGED_AGAIN_S = 60.0
_DAY_S = 86_400
_CLOCK_LOOK_S = 1.0
# A step of the wall clock; what lies below is a clock that is kept right.
_CLOCK_STEP_S = 1.0
# A job ends by its deadline whatever an exchange does, and what it has sent is waited for; later it
# hangs.
_HANGS_AFTER_S = 30.0
# Jobs of one rhythm would begin in the same turn of the loop, and a stop would wait for them all.
_APART_S = 0.07


@dataclass(frozen=True, slots=True)
class Job:
    """One row: every `every_s` seconds, or daily at `daily_at` (hour, minute) UTC.

    With `at_second` it runs each minute at that second instead of counting from the start.
    A run later than `misfire_grace_s` is skipped and the next one stands. `is_remembered` jobs keep
    their last run across restarts, and a daily one that was missed while down runs at the start; so
    does what is `at_once`. Without a `is_vital` one nobody can say that stops are watched.
    """

    name: str
    every_s: float | None = None
    daily_at: tuple[int, int] | None = None
    at_second: int | None = None
    misfire_grace_s: int = 5
    deadline_s: float = 30.0
    is_remembered: bool = False
    at_once: bool = False
    is_vital: bool = False

    @property
    def rhythm(self) -> str:
        """The trigger in words."""
        if self.daily_at is not None:
            return f"daily {self.daily_at[0]:02d}:{self.daily_at[1]:02d} UTC"
        seconds = self.every_s or 0
        return f"every {seconds / 60:g} min" if seconds >= 60 else f"every {seconds:g} s"


JOBS: tuple[Job, ...] = (
    Job("tracker_sweep", every_s=1, deadline_s=5, is_vital=True),
    Job("staleness_watch", every_s=1, deadline_s=5, is_vital=True),
    # Nobody should take a start for a death because its first sign is five seconds away.
    Job("heartbeat", every_s=5, deadline_s=5, at_once=True),
    Job("exchange_probe", every_s=5),
    Job("open_attempts", every_s=10, is_vital=True),
    Job("balances", every_s=60, misfire_grace_s=30),
    Job("summaries", every_s=60, misfire_grace_s=30),
    Job("candle_sweep", every_s=5, deadline_s=90),
    # Late in the minute: a candle of one minute that has just begun says nothing yet. What it does
    # after that is scored when it closes, by the sweep.
    Job("score_scan", every_s=60, at_second=55, misfire_grace_s=30),
    Job("atr_distances", every_s=3_600, misfire_grace_s=600, deadline_s=120),
    Job("full_reconcile", every_s=900, misfire_grace_s=300, deadline_s=120),
    Job("key_permissions", every_s=21_600, misfire_grace_s=3_600),
    Job("daily_risk_reset", daily_at=(0, 0), misfire_grace_s=_DAY_S, is_remembered=True),
)


class Schedule:
    """Drives the table with APScheduler; a job never overlaps itself and has a deadline."""

    def __init__(
        self,
        work: Mapping[str, Work],
        clock: Clock,
        remember: Callable[[JobRan], Awaitable[None]],
        jobs: tuple[Job, ...] = JOBS,
    ) -> None:
        unbound = {job.name for job in jobs} ^ set(work)
        if unbound:
            raise ValueError(f"jobs and work should match, these do not: {sorted(unbound)}")
        self._jobs = {job.name: job for job in jobs}
        self._later_s = {job.name: place * _APART_S for place, job in enumerate(jobs)}
        self._work = work
        self._clock = clock
        self._remember = remember
        self._last: dict[str, tuple[datetime, str]] = {}
        self._ended_s: dict[str, float] = {}
        self._logged_s: dict[str, float] = {}
        self._scheduler = AsyncIOScheduler(timezone=UTC)
        self._catching_up: set[asyncio.Task[None]] = set()
        self._following: asyncio.Task[None] | None = None
        self._wall_lead_s = 0.0

    def start(self, last_runs: Mapping[str, datetime]) -> None:
        """Begin; a remembered daily job that was missed runs at once."""
        now = self._clock.now()
        for job in self._jobs.values():
            if job.name in last_runs:
                self._last[job.name] = (last_runs[job.name], "before this start")
            self._scheduler.add_job(
                self._run_planned,
                trigger_of(job, self._later_s[job.name]),
                args=(job.name,),
                id=job.name,
                coalesce=True,
                max_instances=1,
                misfire_grace_time=job.misfire_grace_s,
            )
            if job.at_once or self._was_missed(job, last_runs, now):
                self._catching_up.add(asyncio.create_task(self.run(job.name), name=job.name))
        self._ended_s = dict.fromkeys(self._jobs, self._clock.monotonic())
        self._scheduler.start()
        self._wall_lead_s = self._lead_s()
        self._following = asyncio.create_task(self._follow_forever(), name="schedule-clock")

    def stop(self) -> None:
        """Plan nothing more, and break off what is at work."""
        if self._following is not None:
            self._following.cancel()
        for task in self._catching_up:
            task.cancel()
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    def follow_clock(self) -> bool:
        """Plan anew if the wall clock was set since the last look; whether it was.

        The scheduler reckons in wall time: set back by an hour, it would run nothing for an hour.
        """
        lead_s = self._lead_s()
        step_s, self._wall_lead_s = lead_s - self._wall_lead_s, lead_s
        if abs(step_s) < _CLOCK_STEP_S:
            return False
        logger.warning("wall_clock_stepped", extra={"seconds": round(step_s, 1)})
        for job in self._jobs.values():
            trigger = trigger_of(job, self._later_s[job.name])
            self._scheduler.reschedule_job(job.name, trigger=trigger)
        return True

    async def _follow_forever(self) -> None:
        while True:
            await asyncio.sleep(_CLOCK_LOOK_S)
            self.follow_clock()

    def _lead_s(self) -> float:
        return self._clock.now().timestamp() - self._clock.monotonic()

    async def _run_planned(self, name: str) -> None:
        # The end breaks off what is at work, and the scheduler would log that as an error.
        with contextlib.suppress(asyncio.CancelledError):
            await self.run(name)

    async def run(self, name: str) -> None:
        """Run one job now, within its deadline, and keep how it went."""
        job = self._jobs[name]
        outcome = "done"
        try:
            async with asyncio.timeout(job.deadline_s):
                await self._work[name]()
        except TimeoutError:
            outcome = f"took longer than {job.deadline_s:g} s"
            if self._is_news(name, outcome):
                logger.warning("job_timed_out", extra={"job": name})
        except (Retryable, AuthLost, StorageLost) as error:
            # What a network or a full disk does, and needs no traceback.
            outcome = f"failed: {type(error).__name__}"
            if self._is_news(name, outcome):
                logger.warning("job_failed", extra={"job": name, "error": str(error)})
        except Exception as error:
            # A failing job is shown by /jobs and tried again at its next time; it stops no other.
            outcome = f"failed: {type(error).__name__}"
            logger.exception("job_failed", extra={"job": name})
        at = self._clock.now()
        self._last[name] = (at, outcome)
        self._ended_s[name] = self._clock.monotonic()
        if job.is_remembered:
            await self._remember(JobRan(name, outcome, at))

    def _is_news(self, name: str, outcome: str) -> bool:
        """Whether the log is to hold an outcome: not again each second, while it goes on so."""
        _, before = self._last.get(name, (None, ""))
        now_s, logged_s = self._clock.monotonic(), self._logged_s.get(name)
        if outcome == before and logged_s is not None and now_s - logged_s < _LOGGED_AGAIN_S:
            return False
        self._logged_s[name] = now_s
        return True

    def hanging(self) -> tuple[str, ...]:
        """Return the vital jobs that began to come to no end; one that fails has ended."""
        now_s = self._clock.monotonic()
        return tuple(
            job.name
            for job in self._jobs.values()
            if job.is_vital
            and job.name in self._ended_s
            and now_s - self._ended_s[job.name]
            > (job.every_s or 0) + job.deadline_s + _HANGS_AFTER_S
        )

    def rows(self) -> list[tuple[Job, datetime | None, str, datetime | None]]:
        """Return each job with its last run, how that went, and its next run."""
        rows = []
        for job in self._jobs.values():
            planned = self._scheduler.get_job(job.name)
            last_at, outcome = self._last.get(job.name, (None, "not yet"))
            rows.append((job, last_at, outcome, planned.next_run_time if planned else None))
        return rows

    @staticmethod
    def _was_missed(job: Job, last_runs: Mapping[str, datetime], now: datetime) -> bool:
        if job.daily_at is None:
            return False
        hour, minute = job.daily_at
        due = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
        last = last_runs.get(job.name)
        return now >= due and (last is None or last < due)


def trigger_of(job: Job, later_s: float = 0.0) -> BaseTrigger:
    """When a job is due, all in UTC, whatever the calendar of the machine does.

    One that counts from the start counts from `later_s` after it.
    """
    if job.daily_at is not None:
        return CronTrigger(hour=job.daily_at[0], minute=job.daily_at[1], timezone=UTC)
    if job.at_second is not None:
        return CronTrigger(second=job.at_second, timezone=UTC)
    trigger = IntervalTrigger(seconds=job.every_s or 1, timezone=UTC)
    trigger.start_date += timedelta(seconds=later_s)
    return trigger
