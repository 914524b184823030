"""The agent's world, for every test that asks for one."""

from collections.abc import AsyncIterator

import pytest

from tests.unit.trading.agent_world import AgentWorld


@pytest.fixture
async def world() -> AsyncIterator[AgentWorld]:
    async with AgentWorld() as running:
        yield running
