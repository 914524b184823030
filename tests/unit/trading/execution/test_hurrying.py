"""What happens to a sale while a closing that has it go to the market is written."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from tests.unit.trading.execution.desk import BTC, Desk
from trading.domain.errors import Refused
from trading.domain.events import Event, IntentChanged
from trading.domain.money import ZERO
from trading.domain.order import IntentState, Purpose
from trading.execution.engine.hurrying import Hurrying
from trading.risk.gate import Approved

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


async def test_one_whose_patience_ends_meanwhile_goes_on() -> None:
    desk = Desk()
    desk.has_quotes = False
    desk.exchange.without_bids.add(BTC)
    ends_at = desk.time.now() + timedelta(seconds=122)
    sale = desk.exit(purpose=Purpose.CLOSE, tracker_id=None, arm_seq=0, expires_at=ends_at)
    await desk.open(sale)
    await desk.time.pass_by(121)
    hurrying = Hurrying(desk.engine._s)
    async with hurrying.unmoved([EXIT]) as unmoved:
        assert unmoved == {EXIT}
        with hurrying.at_market({EXIT: ZERO}):
            # Its end is decided here, and waits for what is being written.
            await desk.time.pass_by(5)
    desk.exchange.without_bids.clear()
    final = await desk.done()
    assert (final.state, desk.exchange.filled()) == (IntentState.DONE, Decimal("0.5"))


async def test_what_is_being_opened_is_waited_for_and_stands_still_then() -> None:
    desk = Desk()
    append = desk.store.append

    async def slow(*new: Event, **how: bool) -> int:
        await desk.time.sleep(0.5)
        return await append(*new, **how)

    desk.store.append = slow  # type: ignore[method-assign]
    sale = Approved(desk.exit(slippage_max=FLOOR))
    opening = asyncio.ensure_future(desk.engine.open(sale))
    await asyncio.sleep(0)
    hurrying = Hurrying(desk.engine._s)

    async def enter() -> tuple[frozenset[str], int]:
        async with hurrying.unmoved([EXIT]) as unmoved:
            with hurrying.at_market(dict.fromkeys(unmoved, ZERO)) as changes:
                return unmoved, len(changes)

    assert await desk.time.finish(enter()) == (frozenset({EXIT}), 1)
    await opening
    await desk.done()


async def test_one_that_has_ended_meanwhile_is_none_that_stands_still() -> None:
    desk = Desk()
    hurrying = await blocked_at_floor(desk)
    case = desk.engine._s.cases[EXIT]

    async def enter() -> frozenset[str]:
        async with hurrying.unmoved([EXIT]) as unmoved:
            return unmoved

    async with case.lock:
        entering = asyncio.ensure_future(enter())
        await desk.time.pass_by(0.1)
        case.intent = replace(case.intent, state=IntentState.ABORTED)
    assert await desk.time.finish(entering) == frozenset()
