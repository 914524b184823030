"""The small parts of live candles: the exchange's clock, what waits, and who is asked next."""

from hypothesis import given
from hypothesis import strategies as st

from trading.candles.series import no_candles
from trading.domain.market import Candle
from trading.domain.time import Timeframe
from trading.market.past import Request
from trading.market.reading_plan import Moment, plan
from trading.market.settings import CandleSettings
from trading.market.unwritten import Closed, Unwritten
from trading.market.venue_clock import VenueClock
from trading.market.watched_series import WatchedSeries

MINUTE, DAY = Timeframe("1m"), Timeframe("1d")
MINUTE_MS = 60_000
SETTINGS = CandleSettings(candles_kept=20)


def closed(number: int) -> Closed:
    return ("ADA/USDT", MINUTE, Candle(number * MINUTE_MS, 1.0, 1.0, 1.0, 1.0, 1.0, True))


# ---------------------------------------------------------------- the exchange's clock


def test_before_the_first_message_the_machines_clock_counts() -> None:
    assert VenueClock().now_ms(5.0, 123) == 123


def test_one_wrong_time_moves_nothing() -> None:
    theirs = VenueClock()
    for second in range(20):
        theirs.heard(1_000_000 + second * 1_000, float(second))
    theirs.heard(4_000_000_000_000, 20.0)
    assert theirs.now_ms(25.0, 0) == 1_025_000


def test_a_burst_of_late_messages_passes() -> None:
    theirs = VenueClock()
    for second in range(40):
        theirs.heard(1_000_000 + second * 1_000, float(second))
    for second in range(40, 55):
        theirs.heard(1_000_000 + second * 1_000, 60.0)
    assert theirs.now_ms(60.0, 0) == 1_060_000


# ---------------------------------------------------------------- what waits for the archive


@given(
    most=st.integers(1, 8),
    steps=st.lists(st.sampled_from(["add", "take", "fail"]), max_size=40),
    batch=st.integers(1, 5),
)
def test_nothing_waits_twice_nothing_vanishes_uncounted(
    most: int, steps: list[str], batch: int
) -> None:
    waiting = Unwritten(most)
    added = written = 0
    seen: list[int] = []
    for step in steps:
        if step == "add":
            added += 1
            waiting.add(closed(added))
        else:
            taken = waiting.take(batch)
            if step == "fail":
                waiting.put_back(taken)
            else:
                written += len(taken)
                seen += [candle.open_time_ms for _, _, candle in taken]
        assert len(waiting) <= most
        assert added == written + len(waiting) + waiting.lost
    assert seen == sorted(set(seen)), "in order, and once"


def test_when_a_batch_comes_back_to_a_full_queue_the_oldest_go() -> None:
    waiting = Unwritten(3)
    for number in range(3):
        waiting.add(closed(number))
    batch = waiting.take(2)
    waiting.add(closed(3))
    waiting.put_back(batch)
    assert [one[2].open_time_ms // MINUTE_MS for one in waiting.take(9)] == [1, 2, 3]
    assert waiting.lost == 1


# ---------------------------------------------------------------- who is asked next


def warm(symbol: str, timeframe: Timeframe = MINUTE, newest: int = 10) -> WatchedSeries:
    made = WatchedSeries(symbol, timeframe, SETTINGS)
    made.warm(no_candles())
    length_ms = timeframe.length_ms
    for number in (newest - 1, newest):
        candle = Candle(number * length_ms, 1.0, 1.0, 1.0, 1.0, 1.0, True)
        made.take_streamed(candle, (number + 1) * length_ms, 0.0)
    made.told_s = 100.0
    return made


def names(*series: WatchedSeries, moment: Moment, most: int = 9) -> list[str]:
    return [want.watched.symbol for want in plan(series, moment, SETTINGS, most)]


AT_MS = 11 * MINUTE_MS + 30_000


def test_what_should_have_closed_comes_before_a_past_and_that_before_running_ones() -> None:
    late, running = warm("late", newest=8), warm("running")
    cold = WatchedSeries("cold", MINUTE, SETTINGS)
    moment = Moment(AT_MS, 200.0, is_down=True)
    assert names(running, cold, late, moment=moment) == ["late", "cold", "running"]
    assert names(running, cold, late, moment=moment, most=1) == ["late"]


def test_the_latest_by_its_own_length_comes_first() -> None:
    first, second = warm("a", newest=9), warm("b", newest=5)
    assert names(first, second, moment=Moment(AT_MS, 101.0)) == ["b", "a"]


def test_while_the_stream_speaks_nobody_is_asked() -> None:
    assert names(warm("a"), moment=Moment(AT_MS, 101.0)) == []


def test_of_a_quiet_symbol_the_shortest_series_is_asked() -> None:
    one, other = warm("a"), warm("a", DAY, newest=0)
    moment = Moment(AT_MS, 300.0, quiet=frozenset({"a"}))
    assert [want.watched for want in plan([other, one], moment, SETTINGS, 9)] == [one]


def test_a_series_that_the_stream_leaves_out_is_asked_for() -> None:
    left_out, told = warm("a"), warm("b")
    told.told_s = 299.0
    assert names(left_out, told, moment=Moment(AT_MS, 300.0)) == ["a"]


def test_who_failed_waits_longer_each_time() -> None:
    failing = WatchedSeries("a", MINUTE, SETTINGS)
    pauses = []
    for _ in range(12):
        failing.failed(0.0)
        pauses.append(failing.retry_s)
    assert pauses[:3] == [2.0, 4.0, 8.0]
    assert pauses[-1] == SETTINGS.retry_s_max
    assert names(failing, moment=Moment(AT_MS, 119.0)) == []
    assert names(failing, moment=Moment(AT_MS, 121.0)) == ["a"]


# ---------------------------------------------------------------- what an answer says


def test_a_candle_that_ended_while_its_answer_was_on_the_way_is_asked_for_again() -> None:
    series = warm("a")
    asked_ms = 12 * MINUTE_MS - 400
    early = Candle(11 * MINUTE_MS, 1.0, 1.0, 1.0, 1.0, 0.5, True)
    assert series.take_told([early], Request(2, None), asked_ms, 300.0) == []
    assert series.due(12 * MINUTE_MS + 3_000) == Request(2, 11 * MINUTE_MS)
    whole = Candle(11 * MINUTE_MS, 1.0, 1.0, 1.0, 1.0, 1.0, True)
    asked_ms = 12 * MINUTE_MS + 3_000
    assert series.take_told([whole], Request(2, 11 * MINUTE_MS), asked_ms, 301.0) == [whole]


def test_an_answer_without_a_later_candle_claims_no_gap() -> None:
    series = warm("a")
    at_ms = 14 * MINUTE_MS
    request = series.due(at_ms)
    assert request == Request(3, 11 * MINUTE_MS)
    assert series.take_told([], request, at_ms, 300.0) == []
    assert series.due(at_ms) == request, "silence is no word about a gap"
    later = Candle(13 * MINUTE_MS, 1.0, 1.0, 1.0, 1.0, 1.0, False)
    assert series.take_told([later], request, at_ms, 301.0) == []
    assert series.due(at_ms) is None, "what lies before a candle that was told does not exist"


def test_a_price_that_nobody_confirms_makes_a_series_ask_but_not_at_every_message() -> None:
    series = warm("a")
    wrong = Candle(11 * MINUTE_MS, 1.0, 1.0, 0.5, 1.0, 1.0, False)
    assert series.take_streamed(wrong, AT_MS, 300.0) is None
    series.told_s = 300.0
    assert names(series, moment=Moment(AT_MS, 300.0)) == ["a"]
    series.read_s = 299.0
    assert names(series, moment=Moment(AT_MS, 301.0)) == []
    assert names(series, moment=Moment(AT_MS, 304.0)) == ["a"]
