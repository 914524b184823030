"""A real process that may open nothing more, or use no more memory: it lives or comes back."""

import itertools
import re
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import pytest

from tests.catalogue import fired
from tests.e2e.test_past_the_chat import umbra
from tests.e2e.world import World

pytestmark = pytest.mark.e2e

_STANDARD_STREAMS = 3
_LESS_BYTES = 10_000_000
_ASKED_MAX = 200
_REFUSALS = 5
RESTARTED_WITHIN_S = 10.0


def pid_of(world: World) -> int:
    """The agent's process."""
    return world.processes["run"].pid


def first_free(pid: int) -> int:
    """The lowest number that no descriptor of a process has: a limit of that lets it open nothing.

    One that is closed can be had again, as it is where all of them are really used.
    """
    used = {int(each.name) for each in Path(f"/proc/{pid}/fd").iterdir()}
    return next(number for number in itertools.count() if number not in used)


def used_bytes(pid: int) -> int:
    """The address space of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmSize:\s+(\d+) kB", status)
    assert found is not None, status
    return int(found.group(1)) * 1024


@contextmanager
def limited(pid: int, what: int, most: int) -> Iterator[None]:
    """Lower a limit of a running process for as long as the block runs."""
    before = resource.prlimit(pid, what)
    resource.prlimit(pid, what, (most, before[1]))
    try:
        yield
    finally:
        if Path(f"/proc/{pid}").exists():
            resource.prlimit(pid, what, before)


async def until_logged(world: World, words: str, times: int = 1) -> None:
    """Wait until the agent's log says something so many times."""

    async def is_logged() -> bool:
        return world.log().count(words) >= times

    await world.until(is_logged, f"{words!r} was never logged")


async def until_streamed(world: World) -> None:
    """Wait until prices and the account are followed live."""

    async def is_live() -> bool:
        said = (await world.answer("/health", "stream|prices"))["text"]
        return re.search("(?i)live", said) is not None and "down" not in said

    await world.until(is_live, "the streams never came back")


async def until_starved(world: World) -> None:
    """Ask for pictures, files and long nonsense until memory is refused again and again."""
    loads = itertools.cycle(("/chart BTC/USDT", "/export fills", "x" * 4000, "/help"))

    async def is_starved() -> bool:
        if len(await world.messages()) < _ASKED_MAX:
            await world.say(next(loads))
        return world.log().count("MemoryError") >= _REFUSALS

    await world.until(is_starved, "memory was never refused")


@pytest.mark.fault("P10", "TELL SAID")
async def test_a_process_that_may_open_nothing_more_lives_tells_and_recovers(world: World) -> None:
    await world.arm("/track BTC/USDT stop 58000 all")
    begin, pid = await world.last_message_id(), pid_of(world)
    with limited(pid, resource.RLIMIT_NOFILE, _STANDARD_STREAMS):
        await world.fault("disconnect", scope="all", abort=True)
        await until_logged(world, "Too many open files")
        fired(re.findall(r".{60}Too many open files", world.log())[:1])
        # What is asked for goes on over a connection that stands, as long as it does.
        await world.fault("drop_response", path="/api/v3/time", times=3)
        await until_logged(world, "exchange_unreachable")
        # Signs of life need descriptors, too.
        await until_logged(world, "sign_not_written")
        probes = world.log().count("exchange_unreachable")
        await until_logged(world, "exchange_unreachable", probes + 1)
        assert world.processes["run"].returncode is None
    assert pid_of(world) == pid
    await world.until_message("(?s)Live prices.*interrupted|cannot be reached", after=begin)
    await until_streamed(world)
    await world.price("57900")
    await world.until_message(r"Sold 0\.5 BTC", after=begin)
    [order] = await world.orders()
    assert Decimal(order["executedQty"]) == Decimal("0.5")
    assert world.processes["run"].returncode is None


@pytest.mark.fault("P10", "SAID")
async def test_a_process_that_may_open_nothing_more_sells_and_answers_the_terminal(
    world: World,
) -> None:
    await world.arm("/track BTC/USDT stop 58000 0.2")
    await world.arm("/track BTC/USDT stop 50000 0.1")
    pid = pid_of(world)
    with limited(pid, resource.RLIMIT_NOFILE, first_free(pid)):
        await until_logged(world, "sign_not_written")
        fired(re.findall(r".{60}Too many open files", world.log())[:1])
        await world.price("57900")

        async def is_sold() -> bool:
            return [Decimal(order["executedQty"]) for order in await world.orders()] == [
                Decimal("0.2")
            ]

        await world.until(is_sold, "the stop was never sold")
        code, said = await umbra(world, "status")
        assert code == 0, said
        code, said = await umbra(world, "panic", "--yes")
        assert code == 0, said
        assert await world.balance_of("BTC") == Decimal("0.2")
    assert world.processes["run"].returncode is None


@pytest.mark.fault("P05", "SAID")
async def test_a_process_without_memory_lives_and_recovers(world: World) -> None:
    await world.arm("/track BTC/USDT stop 58000 all")
    begin, pid = await world.last_message_id(), pid_of(world)
    # Once what is free in what it has already is used up, each read of a socket is refused.
    with limited(pid, resource.RLIMIT_AS, used_bytes(pid) - _LESS_BYTES):
        await until_starved(world)
        fired(world.log().count("MemoryError"))
        assert world.processes["run"].returncode is None
    await until_streamed(world)
    # What was asked meanwhile has its answer.
    await world.until_message("BTC", after=begin)
    await world.price("57900")
    await world.until_message(r"Sold 0\.5 BTC", after=begin)
    [order] = await world.orders()
    assert Decimal(order["executedQty"]) == Decimal("0.5")
    assert pid_of(world) == pid
    assert world.processes["run"].returncode is None


@pytest.mark.fault("P05", "SAID")
async def test_a_process_that_the_kernel_ends_for_its_memory_protects_again_in_ten_seconds(
    world: World,
) -> None:
    await world.arm("/track BTC/USDT stop 58000 all")
    await world.kill_agent()
    fired(world.kills)
    await world.price("57900")
    began_s = time.monotonic()
    await world.spawn_agent()

    async def is_sold() -> bool:
        return bool(await world.orders())

    await world.until(is_sold, "the stop was never sold")
    assert time.monotonic() - began_s <= RESTARTED_WITHIN_S
    [order] = await world.orders()
    assert Decimal(order["executedQty"]) == Decimal("0.5")
