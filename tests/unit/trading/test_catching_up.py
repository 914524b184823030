"""Missed time that there is no room or no answer for waits for it, and decides then."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from tests.unit.trading.agent_world import AgentWorld, StreamingExchange, stop_spec
from trading.domain.commands import ArmTracker, EditTracker
from trading.domain.errors import RateLimited, Unreachable
from trading.domain.events import AlertRaised, RecoveryReported
from trading.domain.market import Candle
from trading.domain.time import Timeframe, to_ms
from trading.domain.tracker import Amount, AmountKind, TrackerKind, TrackerSpec
from trading.gateway.throttle import Throttle, Urgency, Weight
from trading.market.gap import Gap

ADA = "ADA/USDT"
BTC = "BTC/USDT"
_WAITS = "ADA/USDT and 1 more: the missed time is judged as soon as the exchange"
_MINUTE = Weight(70, Urgency.ACCOUNT)


class Counted(StreamingExchange):
    """An exchange whose candles our own budget counts."""

    throttle: Throttle
    # Whether nothing is told about the past, of all or of one symbol; and how often that was met.
    is_silent_about = ""
    unanswered = 0

    async def candles(
        self, symbol: str, timeframe: Timeframe, limit: int, since: datetime | None = None
    ) -> Sequence[Candle]:
        if self.is_silent_about in {"all", symbol}:
            self.unanswered += 1
            raise Unreachable("no answer")
        self.throttle.take(Weight(2), self.time.monotonic())
        return self.past[-limit:] if symbol == BTC else []


@pytest.fixture
async def world() -> AsyncIterator[AgentWorld]:
    world = AgentWorld()
    world.exchange = Counted(world.time)
    world.exchange.throttle = Throttle(100, 0.3)
    async with world:
        await world.protect()
        await world.do(
            ArmTracker(
                TrackerSpec(TrackerKind.STOP, ADA, Amount(AmountKind.ALL), level=Decimal("0.8"))
            )
        )
        yield world


def use_up(world: AgentWorld) -> None:
    assert isinstance(world.exchange, Counted)
    world.exchange.throttle.take(_MINUTE, world.time.monotonic())


def silence(world: AgentWorld, about: str) -> Counted:
    assert isinstance(world.exchange, Counted)
    world.exchange.is_silent_about = about
    return world.exchange


def dip(world: AgentWorld) -> None:
    """Write a past of a minute in which Bitcoin fell below its stop and came back."""
    now_ms = to_ms(world.time.now()) // 1000 * 1000
    world.exchange.past = [
        Candle(now_ms - back * 1000, 60e3, 60e3, low, 60e3, 1.0, True)
        for back in range(60, 0, -1)
        for low in [57_000.0 if back == 10 else 60e3]
    ]


async def pass_seconds(world: AgentWorld, seconds: int) -> None:
    for _ in range(seconds):
        world.time.advance(1)
        await world.time.finish(world.agent.jobs()["tracker_sweep"]())
        await world.time.settle()


def told(world: AgentWorld) -> list[str]:
    return [alert.text for alert in world.store.of(AlertRaised) if "gap:" in alert.alert_id]


async def test_missed_time_that_our_own_budget_refused_is_judged_when_there_is_room(
    world: AgentWorld,
) -> None:
    world.time.advance(30)
    dip(world)
    use_up(world)
    since = world.time.now() - timedelta(seconds=20)
    world.agent._on_gap(frozenset({BTC, ADA}), since)
    await world.time.settle()
    await pass_seconds(world, 55)
    assert [text.partition(":")[0] for text in told(world)] == ["ADA/USDT and 1 more"]
    await pass_seconds(world, 10)
    [_, crossed] = told(world)
    assert "58000 was crossed" in crossed
    await pass_seconds(world, 60)
    assert len(told(world)) == 2
    assert world.exchange.sent == []


async def test_a_start_whose_missed_time_has_no_room_says_so_in_one_line_and_judges_later(
    world: AgentWorld,
) -> None:
    await world.time.finish(world.agent.beat())
    await world.kill()
    world.time.advance(30)
    dip(world)
    use_up(world)
    await world.start()
    [*_, report] = world.store.of(RecoveryReported)
    [later] = [line for line in report.lines if "missed time" in line]
    assert later.startswith("ADA/USDT and 1 more: the missed time is judged as soon as requests")
    await pass_seconds(world, 65)
    [crossed] = told(world)
    assert "58000 was crossed" in crossed


async def test_missed_time_that_the_exchange_does_not_tell_is_one_message_and_asked_for_again(
    world: AgentWorld,
) -> None:
    world.time.advance(30)
    dip(world)
    exchange = silence(world, "all")
    world.agent._on_gap(frozenset({BTC, ADA}), world.time.now() - timedelta(seconds=20))
    await world.time.settle()
    await pass_seconds(world, 300)
    [waits] = told(world)
    assert waits.startswith(f"{_WAITS} answers, and told where a level was crossed")
    # Less and less often: every question of an exchange that hangs takes seconds.
    assert 5 < exchange.unanswered < 25
    exchange.is_silent_about = ""
    await pass_seconds(world, 35)
    [_, crossed] = told(world)
    assert "58000 was crossed" in crossed
    assert world.agent._catching_up._waiting == {}


async def test_one_symbol_of_which_nothing_is_told_keeps_no_other_waiting(
    world: AgentWorld,
) -> None:
    world.time.advance(30)
    dip(world)
    silence(world, ADA)
    world.agent._on_gap(frozenset({BTC, ADA}), world.time.now() - timedelta(seconds=20))
    await world.time.settle()
    await pass_seconds(world, 15)
    [waits, crossed] = told(world)
    assert waits.startswith("ADA/USDT")
    assert "58000 was crossed" in crossed


async def test_a_start_that_is_not_told_of_the_missed_time_says_so_in_one_line(
    world: AgentWorld,
) -> None:
    await world.time.finish(world.agent.beat())
    await world.kill()
    world.time.advance(30)
    dip(world)
    exchange = silence(world, "all")
    await world.start()
    [*_, report] = world.store.of(RecoveryReported)
    [later] = [line for line in report.lines if "missed time" in line]
    assert later.startswith(f"{_WAITS} answers")
    exchange.is_silent_about = ""
    await pass_seconds(world, 10)
    [crossed] = told(world)
    assert "58000 was crossed" in crossed


async def test_what_is_missed_again_while_it_waits_is_judged_from_its_first_second(
    world: AgentWorld,
) -> None:
    world.time.advance(30)
    dip(world)
    use_up(world)
    first = world.time.now() - timedelta(seconds=20)
    world.agent._on_gap(frozenset({BTC}), first)
    await pass_seconds(world, 30)
    world.agent._on_gap(frozenset({BTC}), world.time.now() - timedelta(seconds=5))
    await pass_seconds(world, 40)
    assert sum("58000 was crossed" in text for text in told(world)) == 1


async def test_between_two_trackers_that_judge_missed_time_others_have_their_turn() -> None:
    async with AgentWorld() as world:
        for _ in range(5):
            await world.protect(amount=Amount(AmountKind.BASE, Decimal("0.1")))
        world.time.advance(120)
        dip(world)
        gap = await world.agent.market.gap_reader(world.time.now() - timedelta(seconds=60))(BTC)
        turns = [0]

        def turn() -> None:
            turns[0] += 1
            asyncio.get_running_loop().call_soon(turn)

        async def read(_: str) -> Gap:
            return gap

        turn()
        lines = await world.agent.trackers.catch_up(BTC, read)
        assert len(lines) == len(world.agent.trackers.of(BTC)) == 5
        assert turns[0] > 5


async def test_a_symbol_whose_last_tracker_went_meanwhile_is_not_asked_for(
    world: AgentWorld,
) -> None:
    use_up(world)
    world.agent._on_gap(frozenset({ADA}), world.time.now())
    await world.time.settle()
    [number] = [one.tracker_id for one in world.agent.trackers.of(ADA)]
    await world.time.finish(world.agent.trackers.cancel(number))
    await pass_seconds(world, 65)
    assert len(told(world)) == 1
    assert world.agent._catching_up._waiting == {}


async def test_what_is_to_be_judged_blinds_a_purchase_until_then(world: AgentWorld) -> None:
    use_up(world)
    with pytest.raises(RateLimited):
        await world.agent.trackers.catch_up(
            BTC, world.agent.market.gap_reader(world.time.now() - timedelta(seconds=20))
        )
    [group] = world.agent.trackers._watch._groups[BTC]
    assert group.is_blind


@pytest.mark.parametrize("moved", [2, 1])
async def test_a_stop_that_was_moved_hides_no_crossing_of_another(moved: int) -> None:
    # The stream says nothing; 57,000 is paid at 3 s, a stop is moved at 7 s, the death is at 7 s.
    async with AgentWorld() as world:
        world.time.advance(20.5)
        await world.protect(amount=Amount(AmountKind.BASE, Decimal("0.2")))
        low = stop_spec("50000", Amount(AmountKind.BASE, Decimal("0.2")))
        await world.do(ArmTracker(low))
        await world.time.finish(world.agent.beat())
        second_ms = to_ms(world.time.now()) // 1000 * 1000
        world.time.advance(7)
        await world.do(EditTracker(moved, level=Decimal(51_000 if moved == 2 else 58_500)))
        await world.kill()
        world.time.advance(3)
        world.exchange.past = [
            Candle(second_ms + s * 1000, 6e4, 6e4, 57e3 if s == 3 else 6e4, 6e4, 1.0, True)
            for s in range(-25, 11)
        ]
        await world.start()
        [*_, report] = world.store.of(RecoveryReported)
        # Where #1 was moved to itself, nothing was paid since.
        assert any("58000 was crossed" in line for line in report.lines) is (moved == 2)
        assert not any("58500" in line or "51000" in line for line in report.lines)
