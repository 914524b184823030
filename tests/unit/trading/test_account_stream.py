"""What a new connection of the account's stream may have missed is read, once."""

import asyncio
from decimal import Decimal

from tests.unit.trading.agent_world import AgentWorld
from trading.domain.events import FundsMoved


def _known_usdt(world: AgentWorld) -> Decimal:
    return world.agent.state.book.snapshot().total("USDT")


async def test_what_changed_while_a_stream_was_subscribed_is_read_right_after(
    world: AgentWorld,
) -> None:
    before = _known_usdt(world)
    # Nobody tells of it: it came between the last look and the subscription.
    world.exchange.coins["USDT"] -= 1_000
    await world.time.pass_by(1.0)
    assert _known_usdt(world) == before
    await world.time.pass_by(2.0)
    assert _known_usdt(world) == before - 1_000
    # Once: what changes now is told by the stream, or read with the minute.
    world.exchange.coins["USDT"] -= 1_000
    await world.time.pass_by(5.0)
    assert _known_usdt(world) == before - 1_000


async def test_a_stream_lost_while_nothing_can_be_written_is_followed_again(
    world: AgentWorld,
) -> None:
    await world.time.pass_by(10.0)
    [following] = [
        task for task in asyncio.all_tasks() if "run_account_stream" in str(task.get_coro())
    ]
    world.store.lose()
    # What came is written down with the next read of the account.
    world.exchange.tell_movement(world.exchange.bring("USDT", "500"))
    await world.time.settle()
    refused = world.store.appends_lost
    world.exchange.end_account_stream()
    await world.time.pass_by(10.0)
    assert world.store.appends_lost > refused > 0
    assert not following.done()
    assert world.agent.account_stream == "live"
    world.store.heal()
    await world.time.finish(world.agent.jobs()["balances"]())
    await world.time.settle()
    assert [moved.value for moved in world.store.of(FundsMoved)] == [Decimal(500)]
