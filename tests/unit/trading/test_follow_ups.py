"""What follows from facts is done in order and never dropped: past the bound the process ends."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.catalogue import fired
from trading import follow_ups
from trading.domain.errors import AuthLost, StorageLost, Unreachable
from trading.follow_ups import FollowUps


def noting(done: list[int], number: int) -> Callable[[], Awaitable[None]]:
    async def work() -> None:
        done.append(number)

    return work


async def run_briefly(waiting: FollowUps) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await waiting.run()


@pytest.mark.parametrize("failure", [Unreachable("no answer"), AuthLost("the key is refused")])
async def test_everything_is_done_in_its_order_and_what_fails_stops_no_other(
    failure: Exception,
) -> None:
    done: list[int] = []
    waiting = FollowUps()

    async def fails() -> None:
        raise failure

    for number in range(3):
        waiting.add(noting(done, number))
        waiting.add(fails)
    await run_briefly(waiting)
    assert done == [0, 1, 2]


async def test_what_a_lost_disk_refuses_is_done_before_all_that_came_later(
    caplog: pytest.LogCaptureFixture,
) -> None:
    done: list[int] = []
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    async def refused_twice() -> None:
        if len(slept) < 2:
            raise StorageLost("disk full")
        done.append(0)

    waiting = FollowUps(sleep)
    waiting.add(refused_twice)
    waiting.add(noting(done, 1))
    await run_briefly(waiting)
    assert done == [0, 1]
    # Once, however often it was tried.
    assert [one.message for one in caplog.records] == ["follow_up_waits_for_storage"]
    assert slept == [1.0, 1.0]


async def test_what_waits_for_a_lost_disk_ends_the_process_once_too_much_waits() -> None:
    waiting = FollowUps(_give_way)

    async def refused() -> None:
        raise StorageLost("disk full")

    waiting.add(refused)
    running = asyncio.create_task(waiting.run())
    await asyncio.sleep(0)
    waiting.give_up()
    with pytest.raises(StorageLost, match="too many facts"):
        await running


async def _give_way(_: float) -> None:
    await asyncio.sleep(0)


@pytest.mark.fault("P13", "SAID")
async def test_more_than_may_wait_ends_the_process_instead_of_dropping_a_fact(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(follow_ups, "_WAITING_MAX", 5)
    done: list[int] = []
    waiting = FollowUps()
    for number in range(8):
        waiting.add(noting(done, number))
    with pytest.raises(StorageLost, match="too many facts") as ended:
        await waiting.run()
    # The next process recovers; none of these was said to be done.
    assert done == []
    fired(ended, words="8 facts for 5 places")


@pytest.mark.fault("P13", "SAID")
async def test_too_much_that_waits_elsewhere_ends_the_process_as_well() -> None:
    waiting = FollowUps()
    running = asyncio.create_task(waiting.run())
    await asyncio.sleep(0)
    waiting.give_up()
    with pytest.raises(StorageLost) as ended:
        await running
    fired(ended)
