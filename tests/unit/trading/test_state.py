"""The agent's fold of durable events: what it keeps, and of what there is an end."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from trading.domain.events import CommandExecuted, DayOpened, FundsMoved
from trading.domain.position import Movement
from trading.ports.storage import StoredState
from trading.state import CAUSES_KEPT, AgentState

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def test_the_newest_causes_are_known_and_older_ones_are_left_to_the_journal() -> None:
    state = AgentState("USDT", NOON)
    for number in range(CAUSES_KEPT + 5):
        state.apply(CommandExecuted(f"tap:{number}", 1, "sell", NOON))
    assert len(state.executed) == CAUSES_KEPT
    assert "tap:4" not in state.executed
    assert "tap:5" in state.executed


def _moved(value: int) -> FundsMoved:
    return FundsMoved(Movement("ETH", Decimal(value), NOON), Decimal(value), NOON)


def test_what_moves_without_a_trade_changes_the_base_of_its_day_alone() -> None:
    state = AgentState("USDT", NOON)
    state.apply(_moved(5))
    assert state.equity_base is None
    state.apply(DayOpened(NOON.date(), Decimal(100), NOON))
    assert state.equity_base == 100
    state.apply(_moved(50))
    state.apply(_moved(-20))
    assert state.equity_base == 130
    state.apply(DayOpened(NOON.date() + timedelta(1), Decimal(90), NOON))
    assert state.equity_base == 90


def test_a_start_knows_what_has_moved_since_the_day_was_opened() -> None:
    state = AgentState("USDT", NOON)
    day = DayOpened(NOON.date(), Decimal(100), NOON)
    state.load(StoredState(day=day, moved=(_moved(50), _moved(-20))), {})
    assert state.equity_base == 130
    # A start that is tried again counts nothing twice.
    state.load(StoredState(day=day, moved=(_moved(50), _moved(-20))), {})
    assert state.equity_base == 130


def test_what_the_exchange_tells_twice_has_one_key() -> None:
    told, other = _moved(5), FundsMoved(Movement("ETH", Decimal("5.0"), NOON), Decimal(6), NOON)
    assert told.key == other.key
    apart = (Movement("BTC", Decimal(5), NOON), Movement("ETH", Decimal(-5), NOON))
    later = Movement("ETH", Decimal(5), NOON + timedelta(milliseconds=1))
    keys = {FundsMoved(one, Decimal(5), NOON).key for one in (*apart, later, told.movement)}
    assert len(keys) == 4
