"""Which facts make the chat read the journal at once."""

import pytest

from bot.telegram.addressing import is_news
from tests.builders import NOON
from tests.unit.trading.trackers.make import armed
from trading.domain.events import Heartbeat, TrackerChanged, TradingModeChanged
from trading.domain.position import TradingMode
from trading.domain.tracker import TrackerChange, TrackerKind


@pytest.mark.parametrize("change", TrackerChange)
def test_every_change_of_a_tracker_is_news_but_a_move_of_its_trail(change: TrackerChange) -> None:
    tracker = armed(TrackerKind.TRAIL, 60000, trail="0.03")
    is_heard = is_news(TrackerChanged(tracker, change, NOON))
    assert is_heard is (change is not TrackerChange.MOVED)


def test_what_nobody_is_told_of_is_no_news() -> None:
    assert not is_news(Heartbeat(NOON))
    assert is_news(TradingModeChanged(TradingMode.HALTED, "", "owner", NOON))
