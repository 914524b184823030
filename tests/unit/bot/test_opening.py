"""What is open for as long as a process lives, and what is told where it cannot be opened."""

import asyncio
import errno
import json
import os
from pathlib import Path

import pytest
from pydantic import SecretStr

from bot import held_start
from bot.config.settings import Settings
from bot.opening import opened
from storage.database import StorageFull
from trading.domain.errors import SettingsInvalid


def _settings(folder: Path) -> Settings:
    return Settings(data_dir=folder, database_url=SecretStr("no address"))


@pytest.mark.parametrize("stop", [asyncio.Event(), None], ids=["agent", "command"])
async def test_a_directory_of_other_things_is_refused_and_left_as_it_is(
    tmp_path: Path, stop: asyncio.Event | None
) -> None:
    (tmp_path / "passwd").touch(mode=0o644)
    (tmp_path / "passwd").chmod(0o644)
    tmp_path.chmod(0o755)
    with pytest.raises(SettingsInvalid, match=r"for Umbra alone, and .* holds 'passwd'") as refused:
        async with opened(_settings(tmp_path), stop):
            pass
    assert "choose an empty one" in str(refused.value)
    assert f"close it to others yourself: chmod 700 {tmp_path}" in str(refused.value)
    assert [path.name for path in tmp_path.iterdir()] == ["passwd"]
    assert tmp_path.stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "passwd").stat().st_mode & 0o777 == 0o644


async def test_a_start_that_the_database_s_address_refuses_is_told_past_the_terminal(
    tmp_path: Path,
) -> None:
    with pytest.raises(SettingsInvalid, match="UMBRA_DATABASE_URL should be a URL"):
        async with opened(_settings(tmp_path), asyncio.Event()):
            pass
    told = json.loads((tmp_path / "refused_start.json").read_text())["why"]
    assert told.startswith("Umbra does not start: UMBRA_DATABASE_URL should be a URL")
    assert "PRIVATE STOPS ARE NOT WATCHED" in told


async def test_a_command_that_the_database_s_address_refuses_tells_the_terminal_alone(
    tmp_path: Path,
) -> None:
    with pytest.raises(SettingsInvalid, match="UMBRA_DATABASE_URL should be a URL"):
        async with opened(_settings(tmp_path)):
            pass
    assert not (tmp_path / "refused_start.json").exists()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
async def test_a_first_start_on_a_full_disk_waits_for_room_and_a_command_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(held_start, "RETRY_S", 0.0)
    directory, stop = tmp_path / "umbra", asyncio.Event()
    tries: list[Path] = []

    def full(path: Path, *_: object, **__: object) -> None:
        tries.append(path)
        if len(tries) > 2:
            stop.set()
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(Path, "mkdir", full)
    for waits in (stop, None):
        with pytest.raises(StorageFull, match=f"no room left for the files .* {directory}"):
            async with opened(_settings(directory), waits):
                pass
    assert len(tries) > 3
