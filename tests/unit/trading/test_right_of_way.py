"""Who stands back for a trigger on its way out, and for how long."""

import asyncio

from trading.right_of_way import RightOfWay


async def _turns_until_through(way: RightOfWay, most: int = 1000) -> int:
    waiting = asyncio.create_task(way.stand_back())
    turns = 0
    while not waiting.done() and turns < most:
        await asyncio.sleep(0)
        turns += 1
    await waiting
    return turns


async def test_nobody_stands_back_without_a_claim() -> None:
    assert await _turns_until_through(RightOfWay()) == 1


async def test_a_claim_is_given_way_until_it_is_released() -> None:
    way = RightOfWay()
    claim = way.claim()
    waiting = asyncio.create_task(way.stand_back())
    for _ in range(20):
        await asyncio.sleep(0)
        assert not waiting.done()
    claim.release()
    claim.release()
    await waiting


async def test_several_at_once_are_not_given_way() -> None:
    way = RightOfWay()
    first, second = way.claim(), way.claim()
    assert not way.is_claimed
    assert await _turns_until_through(way) == 1
    second.release()
    assert way.is_claimed
    first.release()
    assert not way.is_claimed


async def test_one_claim_takes_a_bounded_number_of_turns_in_all() -> None:
    way = RightOfWay()
    claim = way.claim()
    assert 50 <= await _turns_until_through(way) <= 200
    assert not way.is_claimed
    claim.release()
    assert not way.is_claimed
    way.claim()
    assert way.is_claimed
