"""What is open for as long as a process lives, and what is told where it cannot be opened."""

import asyncio
import json
from pathlib import Path

import pytest
from pydantic import SecretStr

from bot.config.settings import Settings
from bot.opening import opened
from trading.domain.errors import SettingsInvalid


def _settings(folder: Path) -> Settings:
    return Settings(data_dir=folder, database_url=SecretStr("no address"))


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
