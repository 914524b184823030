"""A world of real processes for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.world import World


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A still market, an empty chat, and an agent that runs."""
    async with World(tmp_path) as running:
        await running.price("60000")
        await running.start_agent()
        yield running


@pytest.fixture
async def quiet_world(tmp_path: Path) -> AsyncIterator[World]:
    """The same without an agent yet."""
    async with World(tmp_path) as running:
        await running.price("60000")
        yield running
