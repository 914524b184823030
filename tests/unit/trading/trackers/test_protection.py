"""The word protected: a live rule that fires below the present price, and nothing else."""

from dataclasses import replace

import pytest

from tests.builders import NOON
from tests.unit.trading.trackers.make import BTC, armed, d, line, step
from trading.domain.time import to_ms
from trading.domain.tracker import Tracker, TrackerKind, TrackerState
from trading.trackers import protection

_NOON_MS = to_ms(NOON)


def _take_profit(**fields: object) -> Tracker:
    return armed(TrackerKind.TAKE_PROFIT, 60000, level=65000, trail="0.02", **fields)


def _of(tracker: Tracker, price: object = 60000, *, backstop: object = None) -> tuple[bool, str]:
    resting = None if backstop is None else d(backstop)
    state = protection.of(tracker, d(price), _NOON_MS, resting)
    return state.is_protected, state.word


def test_stops_protect_and_a_take_profit_does_so_only_after_its_touch() -> None:
    assert _of(armed(TrackerKind.STOP, 60000, level=58000)) == (True, "protected")
    assert _of(armed(TrackerKind.TRAIL, 60000, trail="0.02")) == (True, "protected")
    assert _of(_take_profit()) == (False, "not protected below")
    assert _of(step(_take_profit(), 65000).tracker, 65000) == (True, "protected")
    assert _of(_take_profit(stop=57000)) == (True, "protected")


def test_a_buy_protects_nothing() -> None:
    assert _of(armed(TrackerKind.DIP, 60000, level=55000, trail="0.01")) == (False, "nothing held")


def test_a_paused_tracker_protects_nothing() -> None:
    paused = replace(armed(TrackerKind.STOP, 60000, level=58000), is_paused=True)
    assert _of(paused) == (False, "paused, not protected")


@pytest.mark.parametrize(
    ("state", "word"),
    [
        (TrackerState.TRIGGERED, (True, "selling")),
        (TrackerState.EXITING, (True, "selling")),
        (TrackerState.BLOCKED, (False, "UNPROTECTED")),
        (TrackerState.CLOSED, (False, "nothing held")),
    ],
)
def test_what_has_fired_says_what_it_does(state: TrackerState, word: tuple[bool, str]) -> None:
    assert _of(replace(armed(TrackerKind.STOP, 60000, level=58000), state=state)) == word


def test_a_live_backstop_protects_what_no_rule_does() -> None:
    tracker = _take_profit(backstop=d(50000))
    assert _of(tracker, backstop=50000) == (True, "backstop only")


def test_without_a_price_nothing_is_called_protected() -> None:
    stop = armed(TrackerKind.STOP, 60000, level=58000)
    assert not protection.of(stop, None, _NOON_MS).is_protected


def test_a_line_that_fell_to_zero_protects_nothing() -> None:
    falling = armed(TrackerKind.STOP, 60000, level=line(50000, 10000))
    assert not protection.of(falling, d(60000), _NOON_MS + 48 * 3_600_000).is_protected


def test_coverage_sums_what_live_rules_would_sell() -> None:
    stop = armed(TrackerKind.STOP, 60000, 1, level=58000)
    open_ = _take_profit()
    other = armed(TrackerKind.STOP, 60000, 3, level=58000, symbol="ADA/USDT")
    states = [(each, protection.of(each, d(60000), _NOON_MS)) for each in (stop, open_, other)]
    covered = protection.coverage(BTC.symbol, d("1.2"), states)
    assert (covered.protected, covered.unprotected) == (d("0.5"), d("0.7"))
    assert (covered.worst_value, covered.tracker_ids) == (d(29000), (1,))
