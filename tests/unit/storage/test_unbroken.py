"""A commit and what follows it are not torn apart by a cancellation."""

import asyncio
from collections.abc import Callable

import pytest

from storage import unbroken as waiting
from storage.unbroken import unbroken
from trading.domain.errors import StorageLost


class Commit:
    """A commit that takes until `ends`, and somebody who tells of it at once."""

    def __init__(self, error: Exception | None = None) -> None:
        self.ends = asyncio.Event()
        self.has_begun = asyncio.Event()
        self.told: list[int] = []
        self.went_on = False
        self._error = error

    async def _write(self) -> int:
        self.has_begun.set()
        await self.ends.wait()
        if self._error is not None:
            raise self._error
        return 7

    async def record(self) -> None:
        self.told.append(await unbroken(self._write()))
        await asyncio.sleep(0)
        self.went_on = True

    async def begin(self) -> "asyncio.Task[None]":
        task = asyncio.create_task(self.record())
        await self.has_begun.wait()
        return task


async def turns(until: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not until():
            await asyncio.sleep(0)


async def test_what_was_committed_is_told_before_a_cancellation_takes_effect() -> None:
    commit = Commit()
    task = await commit.begin()
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    commit.ends.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert commit.told == [7]
    assert not commit.went_on


async def test_a_failure_is_told_to_who_was_cancelled_meanwhile() -> None:
    commit = Commit(StorageLost("full"))
    task = await commit.begin()
    task.cancel()
    commit.ends.set()
    with pytest.raises(StorageLost):
        await task


async def test_a_deadline_is_still_told_from_a_cancellation() -> None:
    commit = Commit()

    async def within_a_moment() -> None:
        async with asyncio.timeout(0.001):
            await commit.record()

    task = asyncio.create_task(within_a_moment())
    await commit.has_begun.wait()
    await turns(lambda: task.cancelling() > 0)
    commit.ends.set()
    with pytest.raises(TimeoutError):
        await task
    assert commit.told == [7]


async def test_a_second_cancellation_breaks_the_wait_and_not_the_work() -> None:
    commit = Commit()
    task = await commit.begin()
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert commit.told == []
    commit.ends.set()


async def test_a_disk_that_hangs_does_not_keep_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "_PATIENCE_S", 0.001)
    commit = Commit()
    task = await commit.begin()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert commit.told == []
    commit.ends.set()
