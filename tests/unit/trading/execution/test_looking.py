"""Many who wait for one thing ask the exchange once for it, and all of them learn it at once."""

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest

from tests import builders
from tests.catalogue import fired
from tests.fakes.virtual_time import VirtualTime
from tests.unit.trading.execution.desk import Desk
from trading.domain.instrument import InstrumentStatus
from trading.domain.position import Position
from trading.execution.engine.looking import SharedLook

MARKETS = 25
BLOCKED_S = 60
POLL_S = 3


def _desk() -> Desk:
    coins = [f"COIN{number}" for number in range(MARKETS)]
    rules = [builders.coin(coin) for coin in coins]
    desk = Desk(instruments=[builders.bitcoin(), *rules], balances=dict.fromkeys(coins, "50"))
    desk.exchange.prices |= {one.symbol: Decimal(100) for one in rules}
    desk.book.load({one.symbol: Position(one.symbol, Decimal(50), Decimal(5_000)) for one in rules})
    return desk


async def _fall(desk: Desk) -> None:
    """Let each stop fire in a moment of its own."""
    for number, symbol in enumerate(_symbols(desk), start=1):
        intent = desk.exit("50", symbol=symbol, intent_id=f"tracker:{number}:1", tracker_id=number)
        await desk.open(replace(intent, reference_price=Decimal(100)))
        await desk.time.pass_by(0.1)


def _symbols(desk: Desk) -> list[str]:
    return [symbol for symbol in desk.exchange.rules if symbol.startswith("COIN")]


@pytest.mark.fault("X19", "CRIT SAID")
async def test_x19_many_closed_markets_cost_one_reading_per_look_and_resume_together() -> None:
    desk = _desk()
    traded = dict(desk.exchange.rules)
    for symbol in _symbols(desk):
        desk.exchange.rules[symbol] = replace(traded[symbol], status=InstrumentStatus.HALTED)
        desk.rules[symbol] = desk.exchange.rules[symbol]
    await _fall(desk)
    await desk.time.until(lambda: desk.blocked("market closed") == MARKETS)
    before = desk.exchange.rule_loads
    await desk.time.pass_by(BLOCKED_S)
    loads = desk.exchange.rule_loads - before
    assert BLOCKED_S // POLL_S - 1 <= loads <= BLOCKED_S // POLL_S + 1
    desk.exchange.rules.update(traded)
    began_s = desk.time.monotonic()
    await desk.time.until(lambda: len(desk.closed) == MARKETS)
    assert desk.time.monotonic() - began_s <= 5
    assert desk.exchange.filled() == 50 * MARKETS
    fired(loads, words=f"readings in {BLOCKED_S} s for {MARKETS} closed markets")


@pytest.mark.fault("X15")
async def test_a_refused_key_is_tried_once_for_all_who_wait_for_it() -> None:
    desk = _desk()
    refused = desk.exchange.fail("refuse", 999, status=401, code=-2015, message="Invalid API-key.")
    await _fall(desk)
    await desk.time.until(lambda: desk.blocked("key refused") == MARKETS)
    desk.exchange.is_key_lost = True
    before = desk.keys_refused
    await desk.time.pass_by(120)
    assert desk.keys_refused - before <= 5
    fired(refused.fired)


async def test_who_asks_after_a_look_began_is_answered_by_the_next_one() -> None:
    time = VirtualTime()
    looks: list[float] = []

    async def look() -> bool:
        looks.append(time.monotonic())
        await time.sleep(1)
        return len(looks) > 1

    shared = SharedLook(look, time.monotonic)
    began_s = time.monotonic()
    first = asyncio.ensure_future(shared.since(began_s))
    await time.settle()
    time.advance(0.5)
    late = [asyncio.ensure_future(shared.since(time.monotonic())) for _ in range(3)]
    await time.until(lambda: all(one.done() for one in (first, *late)))
    assert [one.result() for one in (first, *late)] == [False, True, True, True]
    assert looks == [began_s, began_s + 1]
    # Whoever waits for longer than that needs no other.
    assert await shared.since(began_s)
    assert len(looks) == 2
