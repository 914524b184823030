"""What the desk answers, beside what the agent's own tests ask of it."""

from datetime import timedelta

from tests.unit.trading.agent_world import AgentWorld
from trading.domain import events


async def test_a_summary_begins_no_earlier_than_the_installation(world: AgentWorld) -> None:
    [installed] = world.store.of(events.Installed)
    asked = installed.at - timedelta(hours=24)
    assert (await world.desk.summary(asked)).since == installed.at
    later = installed.at + timedelta(seconds=1)
    assert (await world.desk.summary(later)).since == later
