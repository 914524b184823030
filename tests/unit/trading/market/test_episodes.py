"""One alert per episode."""

from tests.builders import NOON
from trading.domain.chat import Severity
from trading.market.episodes import Condition, Episodes

_DOWN = Condition("stream_down")


def test_an_episode_begins_once_and_ends_after_it_was_green_for_a_while() -> None:
    episodes = Episodes(green_s=30)
    begun = episodes.red(_DOWN, "down", 0, NOON)
    assert begun is not None
    assert (begun.is_active, begun.symbol, begun.severity) == (True, None, Severity.WARN)
    assert episodes.red(_DOWN, "down", 10, NOON) is None
    assert episodes.ended(39, NOON) == []
    (ended,) = episodes.ended(40, NOON)
    assert (ended.is_active, ended.severity) == (False, Severity.INFO)
    assert episodes.ended(99, NOON) == []


def test_flapping_is_one_episode() -> None:
    episodes = Episodes(green_s=30)
    told = 0
    for second in range(600):
        if second % 2:
            told += episodes.red(_DOWN, "down", second, NOON) is not None
        told += len(episodes.ended(second, NOON))
    assert told == 1
    assert episodes.is_active("stream_down")
    assert not episodes.is_active("stream_down", "BTC/USDT")


def test_what_an_earlier_process_told_is_not_told_again_and_ends_once() -> None:
    episodes = Episodes(green_s=30)
    episodes.resume(_DOWN, 0)
    assert episodes.red(Condition("stream_down", severity=Severity.CRIT), "down", 10, NOON) is None
    assert episodes.ended(39, NOON) == []
    (ended,) = episodes.ended(40, NOON)
    assert (ended.condition, ended.is_active) == ("stream_down", False)
    assert episodes.ended(99, NOON) == []
