"""Candles: enough of them at the start, one story across timeframes, and closed on time."""

from itertools import pairwise

import pytest

from trading.domain.time import Timeframe, candle_open_ms, from_ms
from trading.sim.candles import CandleStore, TapePrint
from trading.sim.history import SECOND, TIMEFRAMES, Rows, history

pytestmark = pytest.mark.uncounted

START_MS = 1_790_000_123_456
MINUTE_MS = 60_000


def history_of(timeframe: Timeframe, end_ms: int, price: float) -> Rows:
    return history("7 BTC/USDT", timeframe, end_ms, price, 0.01)


def store() -> CandleStore:
    return CandleStore(history_of, START_MS, 60_000.0)


def print_at(at_ms: int, price: float, trade_id: int = 1, is_buy: bool = True) -> TapePrint:
    return TapePrint(trade_id, price, 0.5, at_ms, is_buy)


@pytest.mark.parametrize("timeframe", TIMEFRAMES[:-1], ids=lambda t: t.name)
def test_there_are_a_thousand_closed_candles_without_a_gap_at_the_start(
    timeframe: Timeframe,
) -> None:
    candles = store().candles(timeframe, START_MS)
    opens = [candle.open_ms for candle in candles]
    assert len(candles) >= 1_001
    assert opens == list(range(opens[0], opens[-1] + 1, timeframe.length_ms))
    assert opens[-1] == candle_open_ms(START_MS, timeframe.length_ms)
    assert candles[-1].close == 60_000.0
    for candle in candles:
        assert 0 < candle.low <= min(candle.open, candle.close)
        assert candle.high >= max(candle.open, candle.close)


def test_there_are_months_of_twenty_years_and_each_opens_on_the_first() -> None:
    candles = store().candles(Timeframe("1M"), START_MS)
    assert len(candles) >= 240
    for before, candle in pairwise(candles):
        assert from_ms(candle.open_ms).day == 1
        assert before.close_ms + 1 == candle.open_ms
        assert before.close == candle.open
    assert candles[-1].close == 60_000.0


def test_a_month_closes_when_the_next_one_begins() -> None:
    made, month = store(), Timeframe("1M")
    before = made.running(month, START_MS)
    last_ms = before.close_ms
    made.take(print_at(last_ms, 61_000.0))
    assert made.running(month, last_ms).close == 61_000.0
    made.roll(last_ms + 1)
    after = made.running(month, last_ms + 1)
    assert made.last_closed(month, last_ms + 1).open_ms == before.open_ms
    assert (after.open_ms, after.open) == (last_ms + 1, 61_000.0)
    later_ms = last_ms + 70 * 86_400_000
    opens = [from_ms(one.open_ms) for one in made.candles(month, later_ms)[-3:]]
    assert [one.day for one in opens] == [1, 1, 1]
    assert [(one.month - opens[0].month) % 12 for one in opens] == [0, 1, 2]


def test_weeks_open_on_monday() -> None:
    opens_ms = candle_open_ms(START_MS, Timeframe("1w").length_ms)
    # 1970-01-05 was a Monday.
    assert (opens_ms - 4 * 86_400_000) % (7 * 86_400_000) == 0


@pytest.mark.parametrize(
    ("fine", "coarse"), [("1s", "1m"), ("1m", "5m"), ("15m", "1h"), ("1h", "4h")]
)
def test_greater_candles_are_the_sum_of_smaller_ones(fine: str, coarse: str) -> None:
    made = store()
    small = made.candles(Timeframe(fine), START_MS)
    reached = [
        candle
        for candle in made.candles(Timeframe(coarse), START_MS)[-50:-1]
        if candle.open_ms >= small[0].open_ms
    ]
    assert len(reached) >= 17
    for candle in reached:
        parts = [
            s for s in small if candle.open_ms <= s.open_ms < candle.open_ms + candle.length_ms
        ]
        assert candle.open == parts[0].open
        assert candle.close == parts[-1].close
        assert candle.high == max(part.high for part in parts)
        assert candle.low == min(part.low for part in parts)
        assert candle.volume == pytest.approx(sum(part.volume for part in parts))


def test_the_same_name_makes_the_same_history() -> None:
    first = [(c.open, c.close) for c in store().candles(Timeframe("1h"), START_MS)]
    second = [(c.open, c.close) for c in store().candles(Timeframe("1h"), START_MS)]
    assert first == second


def test_prints_make_the_running_candle() -> None:
    made = store()
    for number, price in enumerate((60_010.0, 59_990.0, 60_005.0), start=1):
        made.take(print_at(START_MS + number, price, number, is_buy=number < 3))
    running = made.running(Timeframe("1m"), START_MS + 10)
    assert (running.high, running.low, running.close) == (60_010.0, 59_990.0, 60_005.0)
    assert (running.trades, running.volume, running.taker_volume) == (3, 1.5, 1.0)
    assert (running.first_trade_id, running.last_trade_id) == (1, 3)
    assert made.running(Timeframe("1h"), START_MS + 10).close == 60_005.0


def test_a_candle_opens_at_its_first_trade_and_not_at_the_close_before_it() -> None:
    made = store()
    begin_ms = candle_open_ms(START_MS, 15 * MINUTE_MS) + 15 * MINUTE_MS
    # Nobody trades in the first minute of the quarter of an hour.
    made.take(print_at(begin_ms - 1, 60_500.0, 1))
    for number, price in enumerate((61_000.0, 62_000.0), start=2):
        made.take(print_at(begin_ms + MINUTE_MS + number, price, number))
    idle, traded = made.candles(Timeframe("1m"), begin_ms + MINUTE_MS + 9)[-2:]
    assert (idle.open, idle.high, idle.low, idle.close) == (60_500.0,) * 4
    assert (idle.volume, idle.trades) == (0.0, 0)
    quarter = made.running(Timeframe("15m"), begin_ms + MINUTE_MS + 9)
    later_asked = made.running(Timeframe("5m"), begin_ms + MINUTE_MS + 9)
    for one in (traded, quarter, later_asked):
        assert (one.open, one.high, one.low, one.close) == (61_000.0, 62_000.0, 61_000.0, 62_000.0)


def test_minutes_without_trades_become_flat_candles() -> None:
    made = store()
    made.take(print_at(START_MS, 60_010.0))
    made.candles(Timeframe("1m"), START_MS)
    later = made.candles(Timeframe("1m"), START_MS + 3 * MINUTE_MS)
    assert [(c.open, c.close, c.volume) for c in later[-3:]] == [(60_010.0, 60_010.0, 0.0)] * 3
    assert made.last_closed(Timeframe("1m"), START_MS + 3 * MINUTE_MS) == later[-2]


def test_seconds_tell_what_was_traded_in_each_of_them() -> None:
    made = store()
    begin_ms = START_MS // 1_000 * 1_000
    prices = [(0, 60_000.0), (1_200, 58_000.0), (1_900, 59_000.0), (2_000, 59_500.0)]
    for number, (after_ms, price) in enumerate(prices, start=1):
        made.take(print_at(begin_ms + 1_000 + after_ms, price, number))
    seconds = made.candles(SECOND, begin_ms + 5_500)[-6:]
    assert [candle.open_ms for candle in seconds] == [begin_ms + 1_000 * n for n in range(6)]
    assert [(c.open, c.high, c.low, c.close) for c in seconds[1:5]] == [
        (60_000.0, 60_000.0, 60_000.0, 60_000.0),
        (58_000.0, 59_000.0, 58_000.0, 59_000.0),
        (59_500.0, 59_500.0, 59_500.0, 59_500.0),
        (59_500.0, 59_500.0, 59_500.0, 59_500.0),
    ]


@pytest.mark.parametrize("asked_first", [True, False])
def test_seconds_of_before_the_start_lead_to_those_that_were_traded(asked_first: bool) -> None:
    made = store()
    if asked_first:
        made.candles(SECOND, START_MS)
    made.take(print_at(START_MS + 2_000, 60_100.0))
    made.roll(START_MS + 3_000)
    seconds = made.candles(SECOND, START_MS + 3_000)
    opens = [candle.open_ms for candle in seconds]
    assert opens == list(range(opens[0], opens[-1] + 1, 1_000))
    assert len(seconds) >= 1_001
    assert len(set(opens)) == len(opens)
    assert [one.close for one in seconds[-4:]] == [60_000.0, 60_000.0, 60_100.0, 60_100.0]
    assert made.last_closed(SECOND, START_MS + 3_000) == seconds[-2]
    drawn = [one for one in seconds if one.open_ms < candle_open_ms(START_MS, MINUTE_MS)]
    assert all(before.close == after.open for before, after in pairwise(drawn))
    assert len({one.close for one in drawn}) > 500


def test_seconds_that_filled_up_meanwhile_need_no_drawn_ones() -> None:
    made = store()
    for second in range(0, 3_000, 5):
        made.take(print_at(START_MS + second * 1_000, 60_000.0 + second, second + 1))
    seconds = made.candles(SECOND, START_MS + 3_000_000)
    assert seconds[0].open_ms > START_MS
    assert len(seconds) >= 1_001


def test_the_newest_thousand_seconds_are_kept() -> None:
    made = store()
    for second in range(0, 5_000, 7):
        made.take(print_at(START_MS + second * 1_000, 60_000.0 + second, second + 1))
    seconds = made.candles(SECOND, START_MS + 5_000_000)
    assert 1_000 <= len(seconds) <= 2_001
    opens = [candle.open_ms for candle in seconds]
    assert opens == list(range(opens[0], opens[-1] + 1, 1_000))
    assert seconds[-1].open_ms == candle_open_ms(START_MS + 5_000_000, 1_000)


def test_a_timeframe_first_asked_for_later_holds_what_happened_since_the_start() -> None:
    made = store()
    made.take(print_at(START_MS + 5 * MINUTE_MS, 70_000.0))
    candles = made.candles(Timeframe("15m"), START_MS + 20 * MINUTE_MS)
    assert 70_000.0 in {candle.high for candle in candles[-3:]}
    opens = [candle.open_ms for candle in candles]
    assert opens == list(range(opens[0], opens[-1] + 1, 15 * MINUTE_MS))


def test_after_days_old_minutes_are_let_go_and_candles_stay_whole() -> None:
    made = store()
    end_ms = START_MS + 4_000 * MINUTE_MS
    for minute in range(0, 4_000, 10):
        made.take(print_at(START_MS + minute * MINUTE_MS, 60_000.0 + minute, minute + 1))
    candles = made.candles(Timeframe("1h"), end_ms)
    opens = [candle.open_ms for candle in candles]
    assert opens == list(range(opens[0], opens[-1] + 1, 60 * MINUTE_MS))
    assert candles[-1].close == 63_990.0


def test_a_long_sleep_fills_in_no_more_than_anybody_can_ask_for() -> None:
    made = store()
    made.candles(Timeframe("1m"), START_MS)
    candles = made.candles(Timeframe("1m"), START_MS + 100_000 * MINUTE_MS)
    assert len(candles) < 3_500
    assert candles[-1].close == 60_000.0


def test_a_day_is_the_sum_of_its_minutes() -> None:
    made = store()
    made.take(print_at(START_MS + 1, 90_000.0))
    day = made.day(START_MS + 2)
    minutes = made.candles(Timeframe("1m"), START_MS + 2)[-1_440:]
    assert day.high == 90_000.0
    assert day.low == min(minute.low for minute in minutes)
    assert day.open == minutes[0].open
    assert day.close == 90_000.0
    assert day.volume == pytest.approx(sum(minute.volume for minute in minutes))


def test_after_a_day_only_what_happened_here_counts() -> None:
    made = store()
    for hour in range(30):
        made.take(print_at(START_MS + hour * 60 * MINUTE_MS, 60_000.0 + hour, hour + 1))
    day = made.day(START_MS + 29 * 60 * MINUTE_MS)
    assert (day.high, day.low) == (60_029.0, 60_006.0)
    assert 20 < day.trades < 30


HOUR_MS = 60 * MINUTE_MS


@pytest.mark.parametrize(
    ("name", "ahead_ms", "count"),
    [
        ("1d", 8 * HOUR_MS, 490),
        ("1d", -5 * HOUR_MS, 60),
        ("3d", 8 * HOUR_MS, 160),
        ("1w", 12 * HOUR_MS, 90),
        ("1M", 8 * HOUR_MS, 15),
        ("4h", 345 * MINUTE_MS, 90),
        ("1h", -210 * MINUTE_MS, 740),
    ],
)
def test_candles_of_a_time_zone_are_sums_that_open_by_its_clock(
    name: str, ahead_ms: int, count: int
) -> None:
    made, timeframe = store(), Timeframe(name)
    made.take(print_at(START_MS + 1, 61_000.0))
    found = made.candles(timeframe, START_MS + 2, ahead_ms)
    assert len(found) >= count
    for candle in found:
        local_ms = candle.open_ms + ahead_ms
        assert candle_open_ms(local_ms, timeframe.length_ms) == local_ms
    assert all(before.close_ms + 1 == candle.open_ms for before, candle in pairwise(found))
    assert found[-1].open_ms <= START_MS <= found[-1].close_ms
    assert found[-1].close == 61_000.0
    finest = Timeframe("15m")
    small = made.candles(finest, START_MS + 2)
    for candle in found[-3:] if name in {"1h", "4h", "1d"} else ():
        parts = [one for one in small if candle.open_ms <= one.open_ms <= candle.close_ms]
        assert (candle.open, candle.close) == (parts[0].open, parts[-1].close)
        assert candle.high == max(one.high for one in parts)
        assert candle.low == min(one.low for one in parts)
        assert candle.volume == pytest.approx(sum(one.volume for one in parts))


def test_a_time_zone_changes_nothing_about_candles_that_fit_into_its_hours() -> None:
    made = store()
    for name in ("1s", "1m", "1h", "8h"):
        ahead = made.candles(Timeframe(name), START_MS, 8 * HOUR_MS)
        assert ahead == made.candles(Timeframe(name), START_MS)
