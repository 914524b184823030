"""The chat's tasks go on after a failure, and what the log holds of that."""

import asyncio

import pytest

from bot.telegram import tasks
from bot.telegram.tasks import Tasks
from tests.fakes.clock import FakeClock
from trading.domain.errors import StorageLost


async def test_a_task_that_waits_for_the_database_is_one_line_of_the_log_per_outage(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "_RESTART_AFTER_S", 0.0)
    clock, is_over = FakeClock(), asyncio.Event()
    # So many seconds lie before each failure: a short outage of 100 tries, and a later one.
    before_s = [1.0] * 100 + [3_600.0] + [1.0] * 9

    async def address() -> None:
        if not before_s:
            is_over.set()
            await asyncio.Event().wait()
        clock.advance(before_s.pop(0))
        raise StorageLost("no answer")

    running = asyncio.create_task(Tasks(clock).run({"address": address}))
    async with asyncio.timeout(5):
        await is_over.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert [one.message for one in caplog.records] == ["task_waits_for_storage"] * 2
