"""The agent's fold of durable events: what it keeps, and of what there is an end."""

from datetime import UTC, datetime

from trading.domain.events import CommandExecuted
from trading.state import CAUSES_KEPT, AgentState

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def test_the_newest_causes_are_known_and_older_ones_are_left_to_the_journal() -> None:
    state = AgentState("USDT", NOON)
    for number in range(CAUSES_KEPT + 5):
        state.apply(CommandExecuted(f"tap:{number}", 1, "sell", NOON))
    assert len(state.executed) == CAUSES_KEPT
    assert "tap:4" not in state.executed
    assert "tap:5" in state.executed
