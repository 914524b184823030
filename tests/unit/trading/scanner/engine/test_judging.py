"""Reports and `auto` thresholds: from the archive or the exchange, once a day, one at a time."""

import asyncio

import pytest

from tests.unit.trading.scanner.engine.world import (
    ADA,
    HOUR,
    MINUTE,
    QUARTER,
    SOL,
    Replays,
    running,
    watching,
    world_of,
)
from trading.domain.errors import NotInTime, Refused, Unreachable
from trading.domain.time import Timeframe
from trading.domain.watching import Interest
from trading.scanner.desk import ScoreReport
from trading.scanner.engine import ToldPast
from trading.scanner.scores import Thresholds
from trading.scanner.walk_forward import BestThresholds, Outcome

DAY_S = 86_400
BEST = Thresholds(0.75, 0.8)


def report(symbol: str = ADA, best: Thresholds | None = BEST, round_trips: int = 30) -> ScoreReport:
    outcome = Outcome(0.1, round_trips)
    chosen = None if best is None else BestThresholds(best, outcome, outcome, 0.05, ())
    return ScoreReport(symbol, (QUARTER, HOUR), 9_000, 60_000, (), (), chosen)


def auto(symbol: str = ADA) -> Interest:
    return watching(symbol, threshold=None)


async def test_the_archive_is_asked_first_and_the_answer_stands_for_a_day() -> None:
    world = world_of()
    world.replays.archive[ADA] = report()
    first = await world.time.finish(world.engine.report(watching()))
    again = await world.time.finish(world.engine.report(watching()))
    assert first is again is world.replays.archive[ADA]
    assert world.replays.asked == [(ADA, None)]
    assert world.market.requests == []
    world.time.advance(DAY_S + 1)
    await world.time.finish(world.engine.report(watching()))
    assert len(world.replays.asked) == 2


async def test_other_timeframes_are_another_report_and_their_order_is_none() -> None:
    world = world_of()
    world.replays.archive[ADA] = report()
    for interest in (
        watching(ADA, HOUR, QUARTER),
        watching(ADA, QUARTER, HOUR),
        watching(ADA, HOUR),
    ):
        await world.time.finish(world.engine.report(interest))
    assert len(world.replays.asked) == 2


async def test_without_an_archive_the_exchange_tells_the_past_of_the_shortest_timeframe() -> None:
    world = world_of()
    world.replays.told[ADA] = report()
    await world.time.finish(world.engine.report(watching(ADA, HOUR, MINUTE)))
    [(_, nothing), (_, told)] = world.replays.asked
    assert nothing is None
    assert isinstance(told, ToldPast)
    assert told.length_ms == 60_000
    now_ms = world.market.now_ms()
    true = world.market.all_closed(ADA, MINUTE, int(told.candles.open_time_ms[0]))
    assert len(told.candles) == 9_000 == len(true)
    assert told.candles.open_time_ms.tolist() == [one.open_time_ms for one in true]
    assert told.candles.open_time_ms[-1] < now_ms - 59_000
    spans_s = world.market.request_times_s
    assert spans_s[-1] - spans_s[0] >= 0.25 * (len(spans_s) - 1)


async def test_a_past_that_is_too_short_everywhere_is_refused_and_not_asked_for_again() -> None:
    world = world_of()
    for _ in range(2):
        with pytest.raises(
            Refused, match=r"past of ADA/USDT says nothing of its scores: \d+ days of past"
        ):
            await world.time.finish(world.engine.report(watching()))
    assert len(world.replays.asked) == 2


async def test_an_exchange_that_does_not_answer_is_asked_again_at_once() -> None:
    world = world_of()
    world.market.is_rest_down = True
    with pytest.raises(Unreachable):
        await world.time.finish(world.engine.report(watching()))
    world.market.is_rest_down = False
    world.replays.told[ADA] = report()
    assert await world.time.finish(world.engine.report(watching())) is not None


async def test_reports_are_made_one_at_a_time_and_once_for_all_who_ask() -> None:
    world = world_of()
    gate = asyncio.Event()
    at_work = most = 0

    class Slow(Replays):
        async def replay(
            self, symbol: str, timeframes: tuple[Timeframe, ...], told: ToldPast | None = None
        ) -> ScoreReport | None:
            nonlocal at_work, most
            at_work += 1
            most = max(most, at_work)
            await gate.wait()
            at_work -= 1
            return await super().replay(symbol, timeframes, told)

    slow = Slow({ADA: report(), SOL: report(SOL)})
    world.engine._reports._replayer = slow
    several = [
        asyncio.ensure_future(world.engine.report(one))
        for one in (watching(), watching(), watching(SOL))
    ]
    await world.time.settle()
    gate.set()
    await asyncio.gather(*several)
    assert most == 1
    assert [symbol for symbol, _ in slow.asked] == [ADA, SOL]


async def test_auto_is_resolved_in_the_background_and_number_stays_a_number() -> None:
    async with running(auto(), watching(SOL)) as world:
        assert world.engine.thresholds(auto()) == Thresholds(0.5, 0.5)
        world.replays.archive[ADA] = report()
        await world.pass_by(90)
        assert world.engine.thresholds(auto()) == BEST
        assert world.engine.thresholds(watching()) == Thresholds(0.5, 0.5)
        assert {symbol for symbol, _ in world.replays.asked} == {ADA}


async def test_a_past_that_says_nothing_leaves_the_usual_threshold() -> None:
    async with running(auto()) as world:
        world.replays.archive[ADA] = report(best=None)
        await world.pass_by(90)
        assert world.engine.thresholds(auto()) == Thresholds(0.5, 0.5)
        assert len(world.replays.asked) == 1


async def test_too_few_round_trips_leave_the_usual_threshold_and_say_how_many_it_takes() -> None:
    async with running(auto()) as world:
        world.replays.archive[ADA] = report(round_trips=17)
        await world.pass_by(90)
        assert world.engine.thresholds(auto()) == Thresholds(0.5, 0.5)
        lack = world.engine.unjudged(auto())
        assert lack == "not yet trusted: 17 round trips, 30 needed"


@pytest.mark.parametrize(("days", "said"), [(1, "1 day"), (6, "6 days")])
async def test_why_auto_says_nothing_is_told_with_the_days_there_are_and_those_it_takes(
    days: int, said: str
) -> None:
    async with running(auto()) as world:
        world.market.listed_ms[ADA] = world.market.now_ms() - days * 86_400_000 - 3_600_000
        assert world.engine.unjudged(auto()) == "its past is not judged yet"
        await world.pass_by(90)
        assert world.engine.unjudged(auto()) == f"{said} of past, 21 needed"
        with pytest.raises(Refused, match=f"{said} of past, 21 needed"):
            await world.time.finish(world.engine.report(auto()))


async def test_a_past_that_could_not_be_read_is_not_called_short() -> None:
    async with running(auto()) as world:
        world.market.is_rest_down = True
        await world.pass_by(90)
        assert world.engine.unjudged(auto()) == "its past could not be read yet"
        world.market.is_rest_down = False
        world.replays.archive[ADA] = report(best=None)
        await world.pass_by(3_700)
        assert world.engine.unjudged(auto()) == "nothing paid often enough in its past"
        world.replays.archive[ADA] = report()
        world.time.advance(DAY_S + 1)
        await world.pass_by(120)
        assert world.engine.unjudged(auto()) == ""


async def test_auto_is_judged_again_after_a_day_and_yesterdays_stands_meanwhile() -> None:
    world = world_of()
    reports = world.engine._reports
    world.replays.archive[ADA] = report()
    world.engine.watch([auto()])
    await world.time.finish(world.engine.report(auto()))
    world.time.advance(DAY_S + 1)
    assert world.engine.thresholds(auto()) == BEST

    class Failing(Replays):
        async def replay(
            self, symbol: str, timeframes: tuple[Timeframe, ...], told: ToldPast | None = None
        ) -> ScoreReport | None:
            self.asked.append((symbol, told))
            raise NotInTime("the replay took too long")

    failing = Failing()
    reports._replayer = failing
    task = asyncio.ensure_future(reports.run())
    await world.time.pass_by(300)
    assert len(failing.asked) == 1, "it is put off, and not asked for each minute"
    assert world.engine.thresholds(auto()) == BEST
    await world.time.pass_by(3_600)
    assert len(failing.asked) == 2
    task.cancel()


async def test_only_so_many_reports_are_kept() -> None:
    world = world_of()
    for number in range(510):
        symbol = f"A{number}/USDT"
        world.replays.archive[symbol] = report(symbol)
        await world.time.finish(world.engine.report(watching(symbol)))
    assert len(world.engine._reports._verdicts) == 500
