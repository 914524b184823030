"""What happens to a sale while a closing that has it go to the market is written."""

import asyncio
from decimal import Decimal

import pytest

from tests.unit.trading.execution.desk import Desk
from trading.domain.errors import Refused
from trading.domain.events import Event, IntentChanged
from trading.domain.money import ZERO
from trading.domain.order import IntentState
from trading.execution.engine.hurrying import Hurrying

FLOOR = Decimal("0.005")
EXIT = "tracker:1:1"


async def blocked_at_floor(desk: Desk) -> Hurrying:
    await desk.open(desk.exit(reference_price=Decimal(70_000), slippage_max=FLOOR))
    await desk.time.until(lambda: bool(desk.blocked("below your floor")), 30)
    return Hurrying(desk.engine._s)


async def test_what_a_backstop_takes_meanwhile_stays_taken() -> None:
    desk = Desk()
    hurrying = await blocked_at_floor(desk)
    case = desk.engine._s.cases[EXIT]
    async with hurrying.unmoved([EXIT]) as unmoved:
        assert unmoved == {EXIT}
        with hurrying.at_market({EXIT: ZERO}) as changes:
            [changed] = changes
            # Booking does so of its own backstop, whoever holds the exit.
            case.intent = desk.exit("0.2", slippage_max=FLOOR)
    assert isinstance(changed, IntentChanged)
    assert changed.intent.slippage_max is None
    assert (case.intent.quantity, case.intent.slippage_max) == (Decimal("0.2"), None)
    await desk.done()
    assert desk.exchange.filled() == Decimal("0.2")


async def test_a_word_that_comes_meanwhile_gives_it_up() -> None:
    desk = Desk()
    hurrying = await blocked_at_floor(desk)
    with hurrying.at_market({EXIT: ZERO}):
        await desk.time.finish(desk.engine.give_up([EXIT], ()))
    final = await desk.done()
    assert final.state is IntentState.ABORTED
    assert desk.exchange.filled() == 0


async def test_where_it_cannot_be_written_it_goes_on_as_before() -> None:
    desk = Desk()
    hurrying = await blocked_at_floor(desk)
    with pytest.raises(Refused), hurrying.at_market({EXIT: ZERO}):
        raise Refused("it has outgrown its question")
    await desk.time.pass_by(60)
    assert desk.final() is None
    assert desk.engine._s.cases[EXIT].intent.slippage_max == FLOOR


async def test_one_that_is_just_being_opened_is_left_alone() -> None:
    desk = Desk()
    asked, append = asyncio.Event(), desk.store.append

    async def slow(*new: Event, **how: bool) -> int:
        await asked.wait()
        return await append(*new, **how)

    desk.store.append = slow  # type: ignore[method-assign]
    opening = asyncio.ensure_future(desk.open(desk.exit(slippage_max=FLOOR)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert EXIT in desk.engine._s.cases
    with Hurrying(desk.engine._s).at_market({EXIT: ZERO}) as changes:
        # Of it there must be no record before that of its opening.
        assert changes == []
    asked.set()
    await opening
    await desk.done()


async def test_nobody_is_waited_for_longer_than_a_moment() -> None:
    desk = Desk()
    hurrying = await blocked_at_floor(desk)
    begun_s = desk.time.monotonic()

    async def enter() -> frozenset[str]:
        async with hurrying.unmoved([EXIT, "none"]) as unmoved:
            return unmoved

    async with desk.engine._s.cases[EXIT].lock:
        assert await desk.time.finish(enter()) == frozenset()
    assert 0.9 < desk.time.monotonic() - begun_s < 1.2
