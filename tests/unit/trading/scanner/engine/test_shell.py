"""The running scanner: warm, scored each scan, grown as candles close, honest while it is not."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from tests.fakes.candle_market import CandleMarket, CandleMemory
from tests.fakes.virtual_time import VirtualTime
from tests.unit.trading.scanner.engine.world import (
    ADA,
    HOUR,
    KEPT,
    MINUTE,
    QUARTER,
    SOL,
    World,
    running,
    watching,
    world_of,
)
from trading.candles.combining import Gathered
from trading.candles.rows import columns_of
from trading.domain.errors import Refused, Unreachable
from trading.domain.time import Timeframe, candle_open_ms
from trading.ports.history import RecordedPoints, RecordedScore
from trading.scanner.desk import Missing, Readiness
from trading.scanner.engine import ScannerSettings
from trading.scanner.engine.glance import metrics_of
from trading.scanner.history import RankHistory
from trading.scanner.metrics import Metric
from trading.scanner.scores import Standing, Thresholds

DAY = Timeframe("1d")
NEVER = Timeframe("3d")


def readiness(world: World, symbol: str = ADA) -> Readiness:
    [view] = [one for one in world.engine.monitored() if one.symbol == symbol]
    return view.readiness


async def test_what_is_watched_warms_up_and_is_then_scored() -> None:
    async with running(watching()) as world:
        assert readiness(world) is Readiness.WARMING
        assert world.engine.score(watching()) is None
        await world.pass_by(20)
        assert readiness(world) is Readiness.LIVE
        first = world.engine.score(watching())
        assert first is not None, "it is scored as soon as its past is there"
        assert world.told == []
        assert world.store.held == []
        await world.pass_by(5)
        await world.scan()
        score = world.engine.score(watching())
        assert score is not None
        assert score.at_ms > first.at_ms
        assert [one.standing for one in score.timeframes] == [Standing.SCORED] * 2
        assert [one.candles for one in score.timeframes] == [KEPT] * 2
        assert score.at_ms == world.engine.live.now_ms()
        [view] = world.engine.monitored()
        assert view.score == score
        assert view.timeframes == (QUARTER, HOUR)


async def test_what_a_person_has_combined_is_ranked_against_and_named() -> None:
    memory = CandleMemory()
    world = world_of(memory=memory)
    opened_ms = candle_open_ms(world.market.now_ms(), HOUR.length_ms) - 90 * HOUR.length_ms
    hours = columns_of(world.market.all_closed(ADA, HOUR, opened_ms))
    source = (np.arange(len(hours)) < 20).astype(np.uint8)
    memory.combined[ADA, HOUR] = Gathered(hours, source, ("binance", "kraken"))
    async with running(watching(), memory=memory) as world:
        await world.pass_by(20)
        score = world.engine.score(watching())
        assert score is not None
        assert [one.candles for one in score.timeframes] == [KEPT, len(hours)]
        assert len(hours) > KEPT
        assert world.engine.history(watching()) == ["binance", "kraken"]
        assert world.engine.history(watching(ADA, QUARTER)) == []


async def test_a_crash_reaches_the_full_score_at_the_next_scan() -> None:
    async with running(watching(), watching(SOL)) as world:
        await world.pass_by(20)
        world.crash(ADA, 0.5)
        await world.pass_by(3)
        await world.scan()
        crashed, calm = world.engine.score(watching()), world.engine.score(watching(SOL))
        assert crashed is not None
        assert calm is not None
        assert (crashed.bear, crashed.bull) == (1.0, 0.0)
        assert calm.bear is not None
        assert calm.bear < 1.0
        assert [score.symbol for score in world.told[-1]] == [ADA, SOL]


async def test_each_scan_is_recorded_and_makes_a_line() -> None:
    async with running(watching()) as world:
        await world.pass_by(20)
        await world.scan()
        began_ms = world.engine.live.now_ms()
        world.crash(ADA, 0.5)
        await world.pass_by(60)
        await world.scan()
        line = await world.engine.line(watching(), 0)
        assert len(line.at_ms) == 2
        assert line.bear[1] == 1.0
        assert line.price[1] < 0.6 * line.price[0]
        later = await world.engine.line(watching(), began_ms + 1)
        assert later.at_ms.tolist() == line.at_ms[1:].tolist()
        assert len(world.store.forgotten_ms) == 1


async def test_a_line_is_over_ones_own_timeframes_whatever_others_watch() -> None:
    mine, other = watching(ADA, QUARTER), watching(ADA, HOUR)
    async with running(mine, other) as world:
        await world.pass_by(20)
        world.crash(ADA, 0.995)
        await world.pass_by(60)
        await world.scan()
        told = world.engine.score(mine)
        both = world.engine.score(watching())
        assert told is not None
        assert both is not None
        assert told.change != both.change
        line = await world.engine.line(mine, 0)
        assert (line.bull[-1], line.bear[-1], line.change[-1]) == (
            told.bull,
            told.bear,
            told.change,
        )
        assert line.united == 0
        none = await world.engine.line(watching(ADA, MINUTE), 0)
        assert np.isnan(none.bear).all(), "what nobody watched was not scored"


async def test_what_an_older_version_recorded_is_told_to_be_over_all_timeframes() -> None:
    async with running(watching()) as world:
        old = RecordedScore(ADA, 60_000, 1.0, 0.25, 0.5, 0.0)
        new = replace(old, at_ms=120_000, points=(RecordedPoints(QUARTER, 0, 6, 1),))
        world.store.held += [old, new]
        line = await world.engine.line(watching(ADA, QUARTER), 0)
        assert (line.bear.tolist(), line.united) == ([0.5, 1.0], 1)


async def test_a_disk_that_takes_no_scores_costs_neither_the_scan_nor_what_is_told() -> None:
    async with running(watching()) as world:
        await world.pass_by(20)
        world.store.is_broken = True
        await world.scan()
        assert world.store.held == []
        assert len(world.told) == 1
        assert world.engine.score(watching()) is not None
        world.store.is_broken = False
        await world.scan()
        assert len(world.store.held) == 1


async def test_one_person_is_scored_over_their_own_timeframes() -> None:
    async with running(watching(ADA, MINUTE, HOUR), watching(ADA, QUARTER)) as world:
        await world.pass_by(30)
        await world.scan()
        own = world.engine.score(watching(ADA, HOUR, MINUTE))
        assert own is not None
        assert [one.timeframe for one in own.timeframes] == [HOUR, MINUTE]
        [view] = world.engine.monitored()
        assert view.timeframes == (MINUTE, QUARTER, HOUR)


async def test_who_watches_another_timeframe_blinds_nobody_else() -> None:
    async with running(watching()) as world:
        await world.pass_by(20)
        await world.scan()
        world.engine.watch([watching(), watching(ADA, MINUTE)])
        assert readiness(world) is Readiness.WARMING
        assert world.engine.score(watching()) is not None
        assert world.engine.score(watching(ADA, MINUTE)) is None
        await world.pass_by(20)
        await world.scan()
        assert world.engine.score(watching(ADA, MINUTE)) is not None


async def test_what_nobody_watches_any_more_is_forgotten_and_begins_anew() -> None:
    async with running(watching(), watching(SOL)) as world:
        await world.pass_by(20)
        await world.scan()
        world.engine.watch([watching(SOL)])
        assert [one.symbol for one in world.engine.monitored()] == [SOL]
        assert world.engine.score(watching()) is None
        world.engine.watch([watching(), watching(SOL)])
        assert readiness(world) is Readiness.WARMING
        assert readiness(world, SOL) is Readiness.LIVE
        await world.pass_by(20)
        await world.scan()
        assert world.engine.score(watching()) is not None


async def test_a_young_symbol_says_so_and_leaves_the_timeframe_out() -> None:
    async with running(watching(ADA, MINUTE, DAY)) as world:
        world.market.listed_ms[ADA] = world.market.now_ms() - 3 * DAY.length_ms
        await world.pass_by(20)
        world.crash(ADA, 0.5)
        await world.pass_by(3)
        await world.scan()
        score = world.engine.score(watching(ADA, MINUTE, DAY))
        assert score is not None
        assert score.too_young == (DAY,)
        assert score.bear == 1.0
        [view] = world.engine.monitored()
        assert view.young == (DAY,)
        assert view.readiness is Readiness.LIVE


def without_three_days(world: World, failure: Exception | None = None) -> None:
    """Let the exchange fail at one length, or never answer when it is asked for that."""
    real = world.market.candles

    async def candles(symbol, timeframe, *rest):  # type: ignore[no-untyped-def]
        if timeframe == NEVER and failure is not None:
            raise failure
        if timeframe == NEVER:
            await world.time.sleep(3600)
        return await real(symbol, timeframe, *rest)

    world.market.candles = candles  # type: ignore[method-assign]


async def test_a_past_that_cannot_be_read_holds_up_no_other_and_says_why() -> None:
    wanted = watching(ADA, MINUTE, NEVER)
    async with running(wanted) as world:
        without_three_days(world, Unreachable("no such candles"))
        await world.pass_by(20)
        await world.scan()
        score = world.engine.score(wanted)
        assert score is not None
        assert [one.timeframe for one in score.scored] == [MINUTE]
        assert score.unread == (NEVER,)
        assert world.engine.is_settled(ADA)
        assert len(world.store.held) == 1
        [missing] = world.engine.missing(wanted)
        assert (missing.timeframe, missing.why) == (NEVER, "the exchange does not answer")
        assert missing.retry_s is not None
        assert missing.retry_s > 0
        [view] = world.engine.monitored()
        assert (view.readiness, view.missing) == (Readiness.LIVE, (missing,))


async def test_a_past_that_can_be_read_again_takes_part_from_then_on() -> None:
    wanted = watching(ADA, MINUTE, NEVER)
    async with running(wanted) as world:
        real = world.market.candles
        without_three_days(world, Unreachable("no such candles"))
        await world.pass_by(20)
        world.market.candles = real  # type: ignore[method-assign]
        await world.pass_by(60)
        score = world.engine.score(wanted)
        assert score is not None
        assert (score.unread, world.engine.missing(wanted)) == ((), ())


async def test_what_is_told_waits_a_minute_for_a_past_on_its_way_and_no_longer() -> None:
    wanted = watching(ADA, MINUTE, NEVER)
    async with running(wanted) as world:
        without_three_days(world)
        world.engine.live._settings = replace(world.engine.live._settings, read_timeout_s=3600.0)
        await world.pass_by(55)
        await world.scan()
        assert not world.engine.is_settled(ADA)
        assert world.engine.score(wanted) is not None, "it is shown meanwhile"
        [missing] = world.engine.missing(wanted)
        assert (missing.why, missing.retry_s) == ("its past is being read", None)
        assert readiness(world) is Readiness.WARMING
        assert world.store.held == []
        await world.pass_by(10)
        await world.scan()
        assert world.engine.is_settled(ADA)
        assert readiness(world) is Readiness.LIVE
        assert world.store.held


async def test_a_length_that_somebody_adds_drops_no_score_of_anybody() -> None:
    async with running(watching()) as world:
        without_three_days(world)
        await world.pass_by(70)
        await world.scan()
        world.engine.watch([watching(), watching(ADA, NEVER)])
        recorded = len(world.store.held)
        await world.scan()
        assert len(world.store.held) == recorded + 1
        assert world.engine.score(watching(ADA, NEVER)) is None
        assert world.engine.score(watching()) is not None
        assert world.engine.is_settled(ADA)


async def test_a_scan_on_demand_does_without_what_cannot_be_read() -> None:
    wanted = watching(ADA, MINUTE, NEVER)
    async with running(wanted) as world:
        without_three_days(world, Unreachable("no such candles"))
        await world.pass_by(20)
        asked = len(world.market.requests)
        [score] = await world.time.finish(world.engine.scan([wanted]))
        assert [one.timeframe for one in score.scored] == [MINUTE]
        assert len(world.market.requests) == asked, "what failed just now is not asked for again"


async def test_a_scan_on_demand_shows_what_is_read_where_the_exchange_tells_no_more() -> None:
    wanted = watching(ADA, MINUTE, NEVER)
    async with running(wanted) as world:
        without_three_days(world)
        await world.pass_by(20)

        async def silent(*_asked: object) -> None:
            raise Unreachable("no route")

        world.market.candles = silent  # type: ignore[assignment,method-assign]
        [score] = await world.time.finish(world.engine.scan([wanted]))
        assert [one.timeframe for one in score.scored] == [MINUTE]
        assert score.unread == (NEVER,)
        with pytest.raises(Unreachable):
            await world.time.finish(world.engine.scan([watching(SOL, MINUTE)]))


async def test_a_scan_of_many_whose_past_is_on_its_way_shows_those_that_are_read() -> None:
    wanted = [watching(f"A{number:02}/USDT") for number in range(40)]
    async with running(*wanted) as world:
        await world.pass_by(1)
        asked = len(world.market.requests)
        found = await world.time.finish(world.engine.scan(wanted))
        assert 0 < len(found) < 20
        assert len(world.market.requests) <= asked + 1, "more are missing than could be looked up"
        others = [watching(f"B{number:02}/USDT") for number in range(21)]
        with pytest.raises(Refused, match="at most 20"):
            await world.engine.scan([*wanted, *others])


async def test_a_scan_of_many_whose_candles_do_not_come_shows_no_old_score() -> None:
    wanted = [watching(f"A{number:02}/USDT") for number in range(21)]
    async with running(*wanted) as world:
        await world.pass_by(20)
        assert len(await world.time.finish(world.engine.scan(wanted))) == 21
        world.market.is_rest_down = world.market.refuses_streams = True
        world.market.cut()
        for _ in range(130):
            await world.time.pass_by(1.0)
        assert await world.time.finish(world.engine.scan(wanted)) == []


async def test_what_the_exchange_lacks_is_said_and_never_waited_for() -> None:
    async with running(watching(ADA, MINUTE, NEVER)) as world:
        world.market.lacking.add(NEVER)
        await world.pass_by(30)
        await world.scan()
        score = world.engine.score(watching(ADA, MINUTE, NEVER))
        assert score is not None
        assert [one.timeframe for one in score.scored] == [MINUTE]
        [view] = world.engine.monitored()
        assert view.readiness is Readiness.LIVE
        assert view.missing == (Missing(NEVER, "the exchange has none"),)
        assert (world.engine.source(MINUTE), world.engine.source(NEVER)) == (MINUTE, None)
        world.market.lacking.add(HOUR)
        assert world.engine.timeframes(ADA) == (QUARTER,), "it is not watched unasked either"


async def test_candles_that_do_not_come_make_no_scores() -> None:
    async with running(watching()) as world:
        await world.pass_by(20)
        await world.scan()
        world.market.is_rest_down = world.market.refuses_streams = True
        world.market.cut()
        for _ in range(130):
            await world.time.pass_by(1.0)
        before = len(world.told)
        await world.scan()
        assert readiness(world) is Readiness.STALE
        assert len(world.told) == before
        with pytest.raises(Unreachable):
            await world.time.finish(world.engine.scan([watching()]))


async def test_more_symbols_than_can_be_scanned_leave_those_that_are() -> None:
    async with running(watching(SOL), settings=ScannerSettings(symbols_max=2)) as world:
        world.engine.watch([watching(f"A{number}/USDT") for number in range(3)] + [watching(SOL)])
        assert [one.symbol for one in world.engine.monitored()] == ["A0/USDT", SOL]


async def test_the_past_grows_by_each_closed_candle_once() -> None:
    async with running(watching(ADA, MINUTE)) as world:
        await world.pass_by(20)
        began_ms = world.market.now_ms()
        await world.pass_by(300)
        history = world.engine._pasts.get(ADA, MINUTE)
        assert history is not None
        first_ms = began_ms - began_ms % 60_000 - KEPT * 60_000
        true = world.market.all_closed(ADA, MINUTE, first_ms)
        assert len(history) == KEPT + 5 == len(true)
        expected = RankHistory(metrics_of(true))
        for metric in Metric:
            assert np.array_equal(history.values(metric), expected.values(metric))


@examples(max_examples=15, deadline=None)
@given(held=st.integers(0, 400), candles_max=st.integers(80, 300))
async def test_the_past_is_as_long_as_the_archive_and_the_settings_let_it(
    held: int, candles_max: int
) -> None:
    memory, source = CandleMemory(), CandleMarket(VirtualTime())
    first_ms = source.now_ms() - (held + 1) * 60_000
    memory.put(ADA, MINUTE, source.all_closed(ADA, MINUTE, first_ms)[:held])
    settings = ScannerSettings(candles_max=candles_max)
    async with running(watching(ADA, MINUTE), settings=settings, memory=memory) as world:
        await world.pass_by(20)
        history = world.engine._pasts.get(ADA, MINUTE)
        assert history is not None
        known = world.market.all_closed(ADA, MINUTE, first_ms - 100 * 60_000)
        count = min(max(held, KEPT), candles_max)
        assert abs(len(history) - count) <= 1
        expected = RankHistory(metrics_of(known[-len(history) :]))
        for metric in Metric:
            assert np.array_equal(history.values(metric), expected.values(metric))


async def test_a_scan_on_demand_scores_what_nobody_watches_from_the_exchange() -> None:
    world = world_of()
    work = world.engine.scan([watching(SOL, HOUR, MINUTE)])
    [score] = await world.time.finish(work)
    assert score.symbol == SOL
    assert [one.timeframe for one in score.timeframes] == [HOUR, MINUTE]
    assert [one.standing for one in score.timeframes] == [Standing.SCORED] * 2
    assert [one.candles for one in score.timeframes] == [999] * 2
    assert world.engine.monitored() == []


async def test_a_scan_on_demand_takes_what_is_live_without_asking_the_exchange() -> None:
    async with running(watching()) as world:
        await world.pass_by(20)
        asked = len(world.market.requests)
        world.crash(ADA, 0.5)
        await world.pass_by(2)
        [live, other] = await world.time.finish(
            world.engine.scan([watching(), watching(SOL, MINUTE)])
        )
        assert live.bear == 1.0
        assert (live.symbol, other.symbol) == (ADA, SOL)
        assert {symbol for symbol, *_ in world.market.requests[asked:]} == {SOL}


async def test_thresholds_are_the_number_and_the_usual_one_for_auto() -> None:
    engine = world_of().engine
    assert engine.thresholds(watching(threshold=70)) == Thresholds(0.7, 0.7)
    assert engine.thresholds(watching(threshold=None)) == Thresholds(0.5, 0.5)
    assert engine.timeframes(ADA) == (QUARTER, HOUR)


async def test_a_scan_gives_way_between_its_slices() -> None:
    symbols = [f"A{number}/USDT" for number in range(6)]
    settings = ScannerSettings(slice_series=4)
    async with running(*(watching(one) for one in symbols), settings=settings) as world:
        await world.pass_by(30)
        seen: list[int] = []
        rate_slice = world.engine._rate

        def counted(part):  # type: ignore[no-untyped-def]
            scores = rate_slice(part)
            seen.append(len(scores))
            return scores

        world.engine._rate = counted  # type: ignore[method-assign]
        await world.scan()
        assert seen == [2, 2, 2]
        seen.clear()
        await world.time.finish(world.engine.scan([watching(one) for one in symbols[:3]]))
        assert seen == [2, 1]
