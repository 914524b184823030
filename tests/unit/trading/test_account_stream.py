"""What a new connection of the account's stream may have missed is read, once."""

from decimal import Decimal

from tests.unit.trading.agent_world import AgentWorld


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
