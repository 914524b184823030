"""A cap that is reached ends entries, is told, survives a restart, and never touches an exit."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import fields
from decimal import Decimal
from typing import get_args

import pytest

from tests.catalogue import fired
from tests.unit.trading.agent_world import AgentWorld
from tests.unit.trading.commanding.test_lost_refusals import lose_answer_to
from trading.domain.chat import Severity
from trading.domain.commands import (
    AcknowledgeAlerts,
    ArmTracker,
    Command,
    PlaceOrder,
    SetTradingMode,
)
from trading.domain.errors import Refused
from trading.domain.events import IntentClosed, IntentOpened, TradingModeChanged
from trading.domain.money import ZERO
from trading.domain.order import IntentState, Side
from trading.domain.position import Balance, TradingMode
from trading.domain.tracker import (
    Amount,
    AmountKind,
    TrackerChange,
    TrackerKind,
    TrackerSpec,
)
from trading.risk.limits import RiskLimits


@pytest.fixture
async def world() -> AsyncIterator[AgentWorld]:
    running = AgentWorld()
    running.limits = RiskLimits(
        order_notional_max=Decimal(2_000),
        notional_per_day_max=Decimal(3_000),
        orders_per_minute_max=3,
        orders_open_max=2,
    )
    async with running:
        yield running


def buy(quote: str, limit: str | None = None) -> PlaceOrder:
    price = Decimal(limit) if limit is not None else None
    return PlaceOrder("BTC/USDT", Side.BUY, Amount(AmountKind.QUOTE, Decimal(quote)), price)


async def bought(world: AgentWorld, quote: str) -> None:
    await world.do(buy(quote))
    await world.time.until(lambda: not world.agent.execution.intents, 60)
    await world.time.settle()


async def decided(world: AgentWorld, command: PlaceOrder) -> None:
    """Confirm what was proposed while nothing stood against it yet."""
    price = world.exchange.quote_now("BTC/USDT").ask
    await world.time.finish(world.desk.execute(command, 1, f"late {command}", price))
    await world.time.settle()


async def four_breakouts(world: AgentWorld) -> None:
    """Arm twice as many purchases at one level as may be open at once."""
    for number in range(4):
        amount = Amount(AmountKind.QUOTE, Decimal(100 + number))
        spec = TrackerSpec(TrackerKind.BREAKOUT, "BTC/USDT", amount, level=Decimal(60_100))
        await world.do(ArmTracker(spec))


def reducing(world: AgentWorld) -> list[str]:
    return [
        change.reason
        for change in world.store.of(TradingModeChanged)
        if (change.mode, change.by) == (TradingMode.REDUCING, "risk")
    ]


@pytest.mark.fault("P14", "CRIT HALT SAID")
async def test_the_first_entry_past_the_minute_s_cap_ends_entries_and_is_told(
    world: AgentWorld,
) -> None:
    for quote in ("100", "110", "120"):
        await bought(world, quote)
    with pytest.raises(Refused, match="3 entries a minute are the most, 3 were made") as refused:
        await decided(world, buy("130"))
    fired(refused)
    [reason] = reducing(world)
    assert reason == (
        "an entry in BTC/USDT was refused: 3 entries a minute are the most, 3 were made"
    )
    assert world.desk.status().state is TradingMode.REDUCING
    await world.time.pass_by(120)
    with pytest.raises(Refused, match="new risk is refused while trading is reducing"):
        await decided(world, buy("130"))
    assert len(world.store.of(IntentOpened)) == 3
    assert len(reducing(world)) == 1
    # It stands, and is repeated, until a person has seen it.
    [alert] = world.desk.status().alerts
    assert alert.severity is Severity.CRIT
    assert reason in alert.text
    await world.do(AcknowledgeAlerts())
    assert world.desk.status().alerts == ()


async def test_a_proposal_past_a_cap_is_only_refused(world: AgentWorld) -> None:
    for quote in ("100", "110", "120"):
        await bought(world, quote)
    with pytest.raises(Refused, match="3 entries a minute"):
        await world.do(buy("130"))
    assert reducing(world) == []
    assert (world.desk.status().state, world.desk.status().alerts) == (TradingMode.ACTIVE, ())


async def test_the_minute_s_count_survives_a_restart_and_a_resume(world: AgentWorld) -> None:
    for quote in ("100", "110", "120"):
        await bought(world, quote)
    await world.kill()
    await world.start()
    with pytest.raises(Refused, match="3 entries a minute"):
        await decided(world, buy("130"))
    await world.kill()
    await world.start()
    assert world.desk.status().state is TradingMode.REDUCING
    await world.do(SetTradingMode(TradingMode.ACTIVE))
    await world.time.pass_by(60)
    await bought(world, "130")
    assert world.desk.status().state is TradingMode.ACTIVE


async def test_the_day_s_notional_survives_a_restart(world: AgentWorld) -> None:
    await bought(world, "1900")
    await world.kill()
    await world.start()
    with pytest.raises(Refused, match="is above the limit of 3000 per day"):
        await decided(world, buy("1500"))
    assert "per day" in reducing(world)[0]


async def test_an_order_that_is_too_large_by_itself_ends_nothing(world: AgentWorld) -> None:
    with pytest.raises(Refused, match="above the limit of 2000 per order"):
        await decided(world, buy("9000"))
    assert reducing(world) == []
    await bought(world, "100")


async def test_a_stop_sells_after_a_cap_was_reached(world: AgentWorld) -> None:
    await world.protect()
    for quote in ("100", "110", "120"):
        await bought(world, quote)
    with pytest.raises(Refused):
        await decided(world, buy("130"))
    assert world.desk.status().state is TradingMode.REDUCING
    bought_base = world.exchange.filled()
    await world.move("57900")
    await world.time.until(lambda: world.exchange.filled() >= bought_base + Decimal("0.5"), 60)


async def test_entries_that_rest_are_cancelled_when_a_cap_is_reached(world: AgentWorld) -> None:
    for limit in ("50000", "51000"):
        await world.do(buy("100", limit))
    assert len(world.agent.execution.intents) == 2
    with pytest.raises(Refused, match="2 open entries are the most, 2 are open"):
        await decided(world, buy("120", "52000"))
    await world.time.until(lambda: not world.agent.execution.intents, 60)
    states = {closed.intent.state for closed in world.store.of(IntentClosed)}
    assert states == {IntentState.ABORTED}


async def test_entries_that_a_crash_left_open_are_cancelled_at_the_start(
    world: AgentWorld,
) -> None:
    await world.do(buy("100", "50000"))
    await world.kill()
    now = world.time.now()
    await world.store.journal.append(TradingModeChanged(TradingMode.REDUCING, "a cap", "risk", now))
    await world.start()
    await world.time.until(lambda: not world.agent.execution.intents, 60)
    [closed] = world.store.of(IntentClosed)
    assert closed.intent.state is IntentState.ABORTED


async def test_a_tracker_s_purchase_past_a_cap_expires_and_ends_entries(
    world: AgentWorld,
) -> None:
    await four_breakouts(world)
    await world.move("60150")
    await world.time.until(lambda: not world.agent.execution.intents, 60)
    await world.time.settle()
    assert len(world.store.of(IntentOpened)) == 2
    assert len(reducing(world)) == 1
    assert "2 open entries are the most" in reducing(world)[0]


async def test_a_cap_that_refused_a_tracker_ends_entries_though_the_answer_to_that_was_lost(
    world: AgentWorld,
) -> None:
    for limit in ("50000", "51000"):
        await world.do(buy("100", limit))
    amount = Amount(AmountKind.QUOTE, Decimal(100))
    spec = TrackerSpec(TrackerKind.BREAKOUT, "BTC/USDT", amount, level=Decimal(60_100))
    await world.do(ArmTracker(spec))
    lose_answer_to(world, TrackerChange.EXPIRED, 1)
    await world.move("60150")
    assert world.store.appends_lost == 1
    assert len(reducing(world)) == 1
    assert world.desk.status().state is TradingMode.REDUCING
    [alert] = world.desk.status().alerts
    assert "2 open entries are the most" in alert.text


@pytest.mark.fault("I03")
def test_no_command_of_the_chat_carries_a_limit() -> None:
    limits = {field.name for field in fields(RiskLimits)}
    carried = {field.name for command in get_args(Command) for field in fields(command)}
    assert not limits & carried
    fired(carried - limits, words="what commands carry is none of them")


@pytest.mark.parametrize(
    ("kind", "said"), [("hang", ""), ("expire_half", "nothing new is bought:")]
)
async def test_a_refusal_of_another_tracker_is_the_end_only_of_what_was_not_all_bought(
    world: AgentWorld, kind: str, said: str
) -> None:
    for number in range(4):
        amount = Amount(AmountKind.QUOTE, Decimal(100 + number))
        level = Decimal(60_100 if number < 2 else 60_250)
        spec = TrackerSpec(TrackerKind.BREAKOUT, "BTC/USDT", amount, level=level)
        await world.do(ArmTracker(spec))
    # The answers come when others have been refused already.
    fault = world.exchange.fail(kind, times=2, after_s=2)
    await world.move("60200")
    await world.move("60300")
    await world.time.until(lambda: not world.agent.execution.intents, 60)
    await world.time.settle()
    assert fault.fired == 2
    assert len(reducing(world)) == 1
    bought = {one.intent.tracker_id for one in world.store.of(IntentClosed)}
    ended = [await world.store.records.tracker(number or 0) for number in bought]
    reasons = [one.reason for one in ended if one is not None]
    assert [reason[: len("nothing new is bought:")] for reason in reasons] == [said, said]


async def test_what_was_written_behind_a_refusal_s_reduction_never_leaves(
    world: AgentWorld,
) -> None:
    await four_breakouts(world)
    # All in one tick: what is refused is durable before the decisions that were let pass.
    await world.move("60200")
    await world.time.until(lambda: not world.agent.execution.intents, 60)
    assert len(reducing(world)) == 1
    assert world.exchange.sent == []
    ended = [each.intent for each in world.store.of(IntentClosed)]
    assert [intent.state for intent in ended] == [IntentState.ABORTED] * 2


@pytest.mark.parametrize("is_shown", [True, False])
async def test_managed_coins_that_an_account_does_not_show_are_no_loss_of_the_day(
    world: AgentWorld, is_shown: bool
) -> None:
    await world.protect()
    await world.agent.jobs()["balances"]()
    book = world.agent.state.book
    told = dict(book.snapshot().balances)
    if is_shown:
        world.exchange.set_price("BTC/USDT", "48000")
        await world.move("48000")
        await world.time.until(lambda: not world.agent.execution.intents, 60)
    else:
        # Between a read that lies and the look into it.
        book.set_balances(
            {**told, "BTC": Balance("BTC", ZERO, ZERO)}, world.time.monotonic(), book.booked
        )
    with contextlib.suppress(Refused):
        await decided(world, buy("50"))
    assert bool([one for one in reducing(world) if "daily loss" in one]) is is_shown
