"""Without its database Umbra says what it can do and leaves a halt; it claims nothing else."""

from pathlib import Path

import pytest

from bot.control.halt_file import FILE, HaltFile
from bot.control.messages import Ask, Reply, Request
from bot.control.without_database import WithoutDatabase
from tests.fakes.clock import FakeClock

WHY = "Umbra waits to start, another program holds its database"


async def ask(folder: Path, wanted: Ask) -> Reply:
    desk = WithoutDatabase(HaltFile(folder, FakeClock()), lambda: WHY)
    return await desk.answer(Request(wanted, "request-1"))


async def test_status_says_why_and_that_the_start_comes_up_halted(tmp_path: Path) -> None:
    assert await ask(tmp_path, Ask.STATUS) == Reply(False, WHY)
    (tmp_path / FILE).touch()
    reply = await ask(tmp_path, Ask.STATUS)
    assert not reply.is_done
    assert reply.text.startswith(f"{WHY}\n")
    assert "comes up halted" in reply.text


async def test_a_halt_leaves_the_file_and_says_how_it_ends(tmp_path: Path) -> None:
    reply = await ask(tmp_path, Ask.HALT)
    assert reply.is_done
    assert reply.text.startswith(f"Halted by the file {tmp_path / FILE}: the start comes up halted")
    assert f"rm {tmp_path / FILE}" in reply.text
    assert WHY in reply.text
    assert (tmp_path / FILE).exists()
    assert (await ask(tmp_path, Ask.HALT)).is_done


async def test_a_panic_says_first_that_nothing_was_sold_and_halts(tmp_path: Path) -> None:
    reply = await ask(tmp_path, Ask.PANIC)
    assert not reply.is_done
    first, *rest = reply.text.splitlines()
    assert first.startswith("NOTHING WAS SOLD")
    assert "sell at the exchange itself" in first
    assert rest[0].startswith("Halted by the file")
    assert WHY in rest[1]
    assert (tmp_path / FILE).exists()


async def test_a_file_that_cannot_be_left_is_no_halt(tmp_path: Path) -> None:
    for wanted in (Ask.HALT, Ask.PANIC):
        reply = await ask(tmp_path / "gone", wanted)
        assert not reply.is_done
        assert "NOT HALTED" in reply.text
        assert "No such file" in reply.text


@pytest.mark.parametrize("wanted", [Ask.PREVIEW, Ask.PREVIEW_RESUME, Ask.RESUME])
async def test_a_look_or_a_resume_changes_nothing(tmp_path: Path, wanted: Ask) -> None:
    reply = await ask(tmp_path, wanted)
    assert not reply.is_done
    assert WHY in reply.text
    assert "nothing" in reply.text.lower()
    assert list(tmp_path.iterdir()) == []
