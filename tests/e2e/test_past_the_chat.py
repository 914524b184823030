"""The command line and the file HALT reach the agent with chat or exchange dead."""

import asyncio
import re
import sys
from decimal import Decimal

import pytest

from tests.e2e.world import World
from tests.forking import process as forking

pytestmark = pytest.mark.e2e


async def umbra(world: World, *arguments: str, typed: str | None = None) -> tuple[int, str]:
    """Run one command on the world's data directory; return its exit code and what it said."""
    environment = world.environment | world.settings
    line = "" if typed is None else f"{typed}\n"
    if not world.is_executed:
        return await forking.run(arguments, environment, line)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", *arguments),
        env=environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate(line.encode())
    assert process.returncode is not None
    return process.returncode, said.decode()


async def test_a_panic_of_the_terminal_sells_everything_with_the_chat_dead(world: World) -> None:
    await world.arm("/track BTC/USDT stop 50000 0.2")
    await world.end("chat")
    # As on a person's machine: a new interpreter for each command.
    world.is_executed = True

    code, said = await umbra(world, "panic", typed="panik")
    assert code == 1, said
    assert "sells 0.2 BTC" in said
    assert "Nothing was done" in said
    assert await world.orders() == []

    code, said = await umbra(world, "panic", typed="PANIC")
    assert code == 0, said
    assert "Everything managed is sold" in said
    assert await world.balance_of("BTC") == Decimal("0.3")
    code, said = await umbra(world, "status")
    assert code == 0
    assert "HALTED" in said


async def test_with_the_exchange_dead_a_panic_says_what_is_not_sold(world: World) -> None:
    await world.arm("/track BTC/USDT stop 50000 0.2")
    await world.end("chat")
    await world.end("sim")

    code, said = await umbra(world, "panic", "--yes")

    assert code == 1, said
    assert re.search("NOT SOLD YET: BTC/USDT, 0.2 left|STILL HELD: Holds 0.2 BTC", said), said
    assert "goes on trying" in said
    assert "Halted" in said


async def test_without_an_agent_looking_changes_nothing_and_says_that_nobody_watches(
    world: World,
) -> None:
    await world.arm("/track BTC/USDT stop 50000 0.2")
    await world.kill_agent()
    await world.price("49000")

    code, said = await umbra(world, "health")
    assert code == 1, said
    assert "stops are not watched" in said
    code, said = await umbra(world, "status")
    assert code == 1, said
    assert "SIMULATED, live on binance, active" in said
    assert "NO STOP IS WATCHED" in said
    assert "#1 BTC/USDT protective stop" in said
    assert "HALT" not in said
    (world.data_dir / "HALT").touch()
    code, said = await umbra(world, "status")
    assert "HALT lies there: the start comes up halted" in said
    (world.data_dir / "HALT").unlink()
    code, said = await umbra(world, "panic", typed="no")
    assert code == 1, said
    assert "sells 0.2 BTC" in said
    assert "Nothing was done" in said
    assert await world.orders() == []


async def test_without_an_agent_a_panic_recovers_sells_and_ends(world: World) -> None:
    await world.arm("/track BTC/USDT stop 50000 0.2")
    await world.end("chat")
    await world.kill_agent()

    code, said = await umbra(world, "panic", "--yes")

    assert code == 0, said
    assert "recovering without the chat" in said
    assert "Everything managed is sold" in said
    assert await world.balance_of("BTC") == Decimal("0.3")


async def test_with_everything_dead_a_halt_is_kept_for_the_next_start(world: World) -> None:
    await world.arm("/track BTC/USDT stop 50000 0.2")
    await world.kill_agent()
    await world.end("sim")

    code, said = await umbra(world, "halt")
    assert code == 0, said
    assert "Halted" in said
    assert "NO STOP IS WATCHED" in said
    assert "still starting" not in said
    code, said = await umbra(world, "panic", "--yes")
    assert code == 1, said
    assert "Nothing can be sold now" in said

    await world.serve_exchange()
    await world.price("60000")
    await world.start_agent()
    assert "HALTED" in (await world.answer("/status", "Equity"))["text"]


async def test_without_an_agent_a_halt_says_that_nobody_watches(world: World) -> None:
    await world.arm("/track BTC/USDT stop 50000 0.2")
    await world.kill_agent()

    for first in ("Halted", "Already HALTED"):
        code, said = await umbra(world, "halt")
        assert code == 0, said
        assert first in said
        assert "NO STOP IS WATCHED. Start it: umbra run" in said
        assert "stops still sell" not in said


async def test_a_command_in_another_directory_names_the_one_of_the_agent(world: World) -> None:
    await world.arm("/track BTC/USDT stop 50000 0.2")
    own, elsewhere = world.data_dir, world.folder / "elsewhere"
    world.settings["UMBRA_DATA_DIR"] = str(elsewhere)
    process_id = world.processes["run"].pid

    for command in (["status"], ["halt"], ["panic", "--yes"], ["resume", "--yes"]):
        code, said = await umbra(world, *command)
        assert code == 1, said
        assert "nothing was done" in said
        assert f"traded by pid {process_id} in {own}" in said
        # Whoever did that would end what watches the stops.
        assert "stop that one" not in said

    world.settings["UMBRA_DATA_DIR"] = str(own)
    code, said = await umbra(world, "status")
    assert "SIMULATED, live on binance, active" in said
    assert await world.balance_of("BTC") == Decimal("0.5")


async def test_the_file_halts_a_running_agent_and_keeps_the_next_one_halted(world: World) -> None:
    file = world.data_dir / "HALT"
    before = await world.last_message_id()
    file.touch()
    told = await world.until_message("HALTED", after=before)
    assert str(file) in re.sub(r"\s+", "", told["text"])
    assert "acknowledged" in (await world.answer("/ack", "👍"))["text"]
    assert "halted" in (await world.answer("/buy BTC/USDT 100 USDT", "✋"))["text"].lower()
    refused = await world.answer("/resume", "✋")
    assert "remove it first" in " ".join(refused["text"].split())

    await world.kill_agent()
    await world.start_agent()
    assert "HALTED" in (await world.answer("/status", "Equity"))["text"]

    file.unlink()
    resume = await world.answer("/resume", "Resume")
    await world.press(resume, "Confirm")
    await world.until_message("Active again", after=resume["message_id"])


async def test_who_halted_with_the_chat_dead_resumes_with_the_chat_dead(world: World) -> None:
    await world.end("chat")
    code, said = await umbra(world, "halt")
    assert code == 0, said
    assert "umbra resume" in said

    code, said = await umbra(world, "resume", typed="no")
    assert code == 1, said
    assert "This ends the halt" in said
    assert "Nothing was done" in said

    code, said = await umbra(world, "resume", "it was a drill", typed="RESUME")
    assert code == 0, said
    assert "Active again" in said
    code, said = await umbra(world, "status")
    assert "HALTED" not in said
    code, said = await umbra(world, "resume", "--yes")
    assert code == 0, said
    assert "nothing to resume" in said

    await umbra(world, "halt")
    await world.kill_agent()
    code, said = await umbra(world, "resume", "--yes")
    assert code == 1, said
    assert "nothing was changed" in said


async def test_where_no_socket_can_be_made_stops_are_watched_all_the_same(
    quiet_world: World,
) -> None:
    world = quiet_world
    (world.data_dir / "control.sock").mkdir(mode=0o700, parents=True)
    await world.start_agent()
    await world.arm("/track BTC/USDT stop 58000 0.2")
    await world.until_message(r"way for umbra status, halt\s+and panic died")

    await world.price("57900")
    await world.until_message(r"Sold 0\.2 BTC")
    assert world.processes["run"].returncode is None
    # The terminal says that there is an agent, and does not act beside it.
    code, said = await umbra(world, "status")
    assert code == 1, said
    assert "does not answer yet" in said
    (world.data_dir / "control.sock").rmdir()

    async def is_answered() -> bool:
        return (await umbra(world, "status"))[0] == 0

    await world.until(is_answered, "the socket never came back")
    # It was tried again quietly: said once.
    assert world.log().count("task_died_apart") == 1
