"""A look at what nobody watches: a few requests, the score of this moment, and nothing guessed."""

import itertools
from datetime import datetime

import pytest

from tests.unit.trading.scanner.engine.world import ADA, HOUR, MINUTE, SOL, watching, world_of
from trading.domain.errors import Refused, Unreachable
from trading.domain.time import Timeframe
from trading.scanner.scores import Standing

DAY = Timeframe("1d")
WEEK = Timeframe("1w")


async def test_a_look_asks_once_per_timeframe_and_spreads_its_requests() -> None:
    world = world_of()
    await world.time.finish(world.engine.scan([watching(ADA, MINUTE, HOUR), watching(SOL, HOUR)]))
    asked = [(symbol, timeframe.name) for symbol, timeframe, *_ in world.market.requests]
    assert asked == [(ADA, "1h"), (ADA, "1m"), (SOL, "1h")]
    times_s = world.market.request_times_s
    assert all(later - earlier >= 0.1 for earlier, later in itertools.pairwise(times_s))


async def test_a_crash_is_seen_without_being_watched() -> None:
    world = world_of()
    await world.time.pass_by(1)
    world.crash(ADA, 0.4)
    [score] = await world.time.finish(world.engine.scan([watching(ADA, MINUTE, HOUR)]))
    assert (score.bear, score.bull) == (1.0, 0.0)
    assert score.price == pytest.approx(world.market.price(ADA, world.market.now_ms()), rel=1e-3)


@pytest.mark.parametrize("ours_ahead_ms", [-7_200_000, 7_200_000])
async def test_a_machine_whose_clock_is_wrong_scores_the_exchanges_moment(
    ours_ahead_ms: int,
) -> None:
    world = world_of()
    world.market.ahead_ms = -ours_ahead_ms
    [score] = await world.time.finish(world.engine.scan([watching(ADA, MINUTE, HOUR)]))
    assert [one.standing for one in score.timeframes] == [Standing.SCORED] * 2
    assert abs(score.at_ms - world.market.now_ms()) < 60_000


async def test_a_young_symbol_is_scored_over_what_is_old_enough() -> None:
    world = world_of()
    world.market.listed_ms[ADA] = world.market.now_ms() - 5 * DAY.length_ms
    [score] = await world.time.finish(world.engine.scan([watching(ADA, HOUR, DAY)]))
    assert [one.standing for one in score.timeframes] == [Standing.SCORED, Standing.TOO_YOUNG]
    assert score.bear is not None


@pytest.mark.parametrize("timeframes", [(HOUR,), (MINUTE, HOUR), (MINUTE, HOUR, DAY)])
async def test_an_exchange_that_does_not_answer_is_unreachable_after_two_questions(
    timeframes: tuple[Timeframe, ...],
) -> None:
    world = world_of()
    world.market.answer_s = 3600.0
    with pytest.raises(Unreachable, match="within 10 s"):
        await world.time.finish(world.engine.scan([watching(ADA, *timeframes)]))
    assert len(world.market.requests) == min(len(timeframes), 2)


async def test_an_exchange_that_refuses_each_question_is_unreachable() -> None:
    world = world_of()
    world.market.is_rest_down = True
    with pytest.raises(Unreachable):
        await world.time.finish(world.engine.scan([watching(ADA, MINUTE, HOUR, DAY)]))
    assert len(world.market.requests) == 3


async def test_candles_that_an_exchange_does_not_have_are_left_out() -> None:
    world = world_of()
    real = world.market.candles

    async def without_days(
        symbol: str, timeframe: Timeframe, limit: int, since: datetime | None = None
    ) -> object:
        if timeframe in {DAY, WEEK}:
            raise Unreachable("no such candles")
        return await real(symbol, timeframe, limit, since)

    world.market.candles = without_days  # type: ignore[assignment,method-assign]
    [score] = await world.time.finish(world.engine.scan([watching(ADA, MINUTE, HOUR, DAY, WEEK)]))
    assert [one.timeframe for one in score.scored] == [MINUTE, HOUR]
    assert score.unread == (DAY, WEEK)


async def test_an_exchange_that_asks_for_a_pause_is_unreachable_and_says_why() -> None:
    world = world_of()
    world.market.limited_s = 30.0
    with pytest.raises(Unreachable, match="pause of 30 s"):
        await world.time.finish(world.engine.scan([watching()]))


async def test_an_exchange_without_a_running_candle_is_unreachable() -> None:
    world = world_of()
    real = world.market.candles

    async def without_running(
        symbol: str, timeframe: Timeframe, limit: int, since: datetime | None = None
    ) -> object:
        return (await real(symbol, timeframe, limit, since))[:-1]

    world.market.candles = without_running  # type: ignore[assignment,method-assign]
    with pytest.raises(Unreachable, match="no running candle of ADA/USDT"):
        await world.time.finish(world.engine.scan([watching()]))


async def test_more_symbols_than_can_be_asked_for_are_refused_with_an_example() -> None:
    engine = world_of().engine
    with pytest.raises(Refused, match="at most 20") as refused:
        await engine.scan([watching(f"A{number}/USDT") for number in range(21)])
    assert refused.value.example == "/scan BTC/USDT"
