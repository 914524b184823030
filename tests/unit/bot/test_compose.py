"""A start whose database goes away once it is open begins anew, and waits like any other."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bot import compose, config, held_start
from bot.refused_start import RefusedStart
from tests.builders import NOON
from tests.catalogue import fired
from tests.fakes.memory_store import SettableClock
from trading.domain.errors import StorageLost

GONE = StorageLost("postgresql cannot be read: connection was closed in the middle of operation")


@dataclass
class Starts:
    """Processes that find their database gone before they work, so often, and what they did."""

    lost: int
    is_broken: bool = False
    log: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    @contextlib.asynccontextmanager
    async def opened(self, *_: object) -> AsyncIterator[Any]:
        self.log.append("open")
        yield SimpleNamespace(store=SimpleNamespace(is_broken=self.is_broken))
        self.log.append("close")

    def process(self, *_: object) -> "Starts":
        return self

    async def prepare(self) -> None:
        if self.log.count("open") <= self.lost:
            raise GONE

    async def discard(self) -> None:
        self.log.append("discard")

    async def work(self, _stop: asyncio.Event) -> int:
        self.log.append("work")
        return 0

    def waiting(self, *_: object) -> "Starts":
        return self

    async def tell(self, text: str) -> bool:
        self.told.append(text)
        return True


async def _run(starts: Starts, patch: pytest.MonkeyPatch, directory: Path) -> int:
    patch.chdir(directory)
    patch.setenv("UMBRA_DATA_DIR", str(directory))
    patch.setenv("UMBRA_TELEGRAM_TOKEN", "8091:a-token")
    patch.setattr(compose, "opened", starts.opened)
    patch.setattr(compose, "Process", starts.process)
    patch.setattr(compose, "waiting", starts.waiting)
    patch.setattr(held_start, "RETRY_S", 0.0)
    return await compose.run(config.load(), "0")


@pytest.mark.fault("S11")
async def test_a_database_that_goes_away_before_a_start_has_read_it_is_opened_anew(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    starts = Starts(lost=1)
    assert await _run(starts, monkeypatch, tmp_path) == 0
    fired(starts.log.count("discard"))
    # Everything is let go of first: the next opening takes the same locks.
    assert starts.log == ["open", "discard", "close", "open", "work", "close"]
    # Where it is still away, who opens it tells that.
    assert starts.told == []


async def test_a_database_that_can_be_opened_again_and_again_and_not_read_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    starts = Starts(lost=2)
    assert await _run(starts, monkeypatch, tmp_path) == 0
    [told] = starts.told
    assert "PRIVATE STOPS ARE NOT WATCHED" in told
    assert str(GONE) in told


async def test_a_chat_that_is_away_is_not_tried_with_each_start_that_begins_anew(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tried = list[str]()

    class Silent(Starts):
        def waiting(self, *_: object) -> Any:
            return RefusedStart(tmp_path, SettableClock(NOON), self._away, self._away)

        async def _away(self, text: str) -> bool:
            tried.append(text)
            return False

    starts = Silent(lost=5)
    assert await _run(starts, monkeypatch, tmp_path) == 0
    # Once in either way, until its pause is over.
    assert len(tried) == 2


async def test_an_end_waits_for_no_telling_of_a_start_that_begins_anew(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    begun = asyncio.Event()

    class Hanging(Starts):
        async def tell(self, text: str) -> bool:
            begun.set()
            return await asyncio.Event().wait()

        async def prepare(self) -> None:
            if begun.is_set():
                raise AssertionError("it begins once more")
            raise GONE

    running = asyncio.create_task(_run(Hanging(lost=9), monkeypatch, tmp_path))
    await begun.wait()
    os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(5):
        assert await running == 0


async def test_a_start_on_a_disk_that_is_broken_ends(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    starts = Starts(lost=1, is_broken=True)
    with pytest.raises(StorageLost):
        await _run(starts, monkeypatch, tmp_path)
    assert starts.log == ["open"]
