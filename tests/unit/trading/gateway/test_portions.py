"""Long answers are read whole and in order, and others have their turn meanwhile."""

import asyncio

from trading.gateway.portions import in_portions


async def test_rows_come_whole_and_in_order() -> None:
    for count in (0, 1, 50, 51, 1_000):
        assert await in_portions(range(count), list) == list(range(count))


async def test_others_have_their_turn_between_two_portions() -> None:
    turns = 0

    async def somebody_else() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.ensure_future(somebody_else())
    await asyncio.sleep(0)
    before = turns
    await in_portions(range(1_000), list)
    assert turns - before >= 19
    other.cancel()
    await asyncio.gather(other, return_exceptions=True)
