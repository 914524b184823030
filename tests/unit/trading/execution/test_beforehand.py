"""A request that is made while its attempt is written: it leaves when that is durable, or never."""

import asyncio
from collections.abc import Awaitable, Sequence
from decimal import Decimal

import pytest

from tests.catalogue import fired
from tests.unit.trading.execution.desk import Desk
from trading.domain import events
from trading.domain.errors import AlreadyRecorded
from trading.domain.events import Event
from trading.domain.order import (
    Attempt,
    IntentState,
    OrderRequest,
    SendEvidence,
    SendPhase,
)
from trading.execution.engine.beforehand import Beforehand

HALF = Decimal("0.5")


class Watched(Desk):
    """A desk that notes how many requests wait, and how many have left, at each append."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int, int]] = []
        self.slow_s = 0.0
        submit, append = self.exchange.submit, self.store.append
        waiting: set[object] = set()

        async def submitting(request, durable=None):  # type: ignore[no-untyped-def]
            if durable is None:
                return await submit(request)
            waiting.add(durable)
            try:
                await durable
            finally:
                waiting.discard(durable)
            return await submit(request)

        async def appending(*new: Event, reserve: bool = False, urgent: bool = False) -> int:
            await asyncio.sleep(0)
            self.seen.append((len(waiting), len(self.exchange.sent)))
            if self.slow_s:
                await self.time.sleep(self.slow_s)
            return await append(*new, reserve=reserve, urgent=urgent)

        self.waiting = waiting
        self.exchange.submit = submitting  # type: ignore[method-assign]
        self.store.append = appending  # type: ignore[method-assign]


async def test_an_exit_s_request_waits_for_its_attempt_and_leaves_with_it() -> None:
    desk = Watched()
    final = await desk.run(desk.exit())
    assert desk.seen[0] == (1, 0)
    assert final.state is IntentState.DONE
    assert len(desk.exchange.sent) == 1
    assert desk.exchange.filled() == HALF
    assert not desk.waiting


async def test_what_waited_for_a_slow_disk_is_made_anew_for_its_signature_is_old() -> None:
    desk = Watched()
    desk.slow_s = 0.2
    await desk.open(desk.exit())
    desk.slow_s = 0.0
    final = await desk.done()
    assert desk.seen[0] == (1, 0)
    assert final.state is IntentState.DONE
    assert [request.client_order_id for request in desk.exchange.sent] == desk.exchange.ids
    assert len(desk.exchange.sent) == 1
    assert not desk.waiting


@pytest.mark.fault("S03", "ONE")
async def test_without_storage_the_request_that_waited_is_dropped_and_one_leaves() -> None:
    desk = Watched()
    desk.store.lose(reserve_too=True)
    await desk.open(desk.exit())
    await desk.time.pass_by(5)
    assert desk.seen[0] == (1, 0)
    assert len(desk.exchange.sent) == 1
    assert not desk.waiting
    fired(desk.store.appends_lost)


async def test_a_decision_that_is_known_already_sends_nothing_of_what_waited() -> None:
    desk = Watched()
    await desk.store.append(events.IntentOpened(desk.exit(), desk.time.now()))
    with pytest.raises(AlreadyRecorded):
        await desk.open(desk.exit())
    await desk.time.settle()
    assert desk.seen[1] == (1, 0)
    assert desk.exchange.sent == []
    assert not desk.waiting


async def test_a_request_for_another_attempt_never_leaves() -> None:
    desk = Watched()
    await desk.run(desk.exit())
    first = desk.store.of(events.AttemptPrepared)[0].attempt
    other = desk.store.of(events.AttemptChanged)[0].attempt
    assert other != first

    async def submit(_attempt, durable):  # type: ignore[no-untyped-def]
        await durable

    ready = Beforehand(first, submit, 0.0)
    assert ready.release(other, 0.0) is None
    with pytest.raises(asyncio.CancelledError):
        await ready._sending


async def test_a_request_that_was_cancelled_while_it_waited_is_made_anew() -> None:
    desk = Watched()
    await desk.run(desk.exit())
    attempt = desk.store.of(events.AttemptPrepared)[0].attempt

    async def submit(_attempt, durable):  # type: ignore[no-untyped-def]
        await durable

    ready = Beforehand(attempt, submit, 0.0)
    await asyncio.sleep(0)
    ready._sending.cancel()
    # It has not ended yet.
    assert not ready._sending.done()
    assert ready.release(attempt, 0.0) is None
    with pytest.raises(asyncio.CancelledError):
        await ready._sending


class Counter:
    """A way out that counts what has left, and keeps what the others wait for."""

    def __init__(self) -> None:
        self.left = 0
        self.holds: list[asyncio.Future[None]] = []
        self.is_signed = asyncio.Event()

    async def submit(self, _attempt: Attempt, durable: asyncio.Future[None]) -> SendEvidence:
        self.holds.append(durable)
        await self.is_signed.wait()
        await durable
        self.left += 1
        return SendEvidence(SendPhase.ANSWERED, http_status=200)


async def prepared() -> Attempt:
    desk = Desk()
    await desk.run(desk.exit())
    return desk.store.of(events.AttemptPrepared)[0].attempt


@pytest.mark.parametrize(("waited_s", "is_fresh"), [(0.0, True), (0.1, True), (0.101, False)])
async def test_a_request_leaves_once_if_its_signature_is_young_and_never_if_it_is_old(
    waited_s: float, is_fresh: bool
) -> None:
    way, attempt = Counter(), await prepared()
    way.is_signed.set()
    ready = Beforehand(attempt, way.submit, 0.0)
    for _ in range(5):
        await asyncio.sleep(0)
    assert way.left == 0
    sending = ready.release(attempt, waited_s)
    assert (sending is not None) is is_fresh
    for _ in range(5):
        await asyncio.sleep(0)
    assert way.left == int(is_fresh)


async def test_the_age_of_a_request_counts_from_when_it_was_made() -> None:
    way, attempt = Counter(), await prepared()
    way.is_signed.set()
    ready = Beforehand(attempt, way.submit, 5_000.0)
    sending = ready.release(attempt, 5_000.05)
    assert sending is not None
    await sending
    assert way.left == 1


async def test_a_request_that_is_dropped_while_it_is_signed_ends_and_nothing_can_let_it_go() -> (
    None
):
    way = Counter()
    ready = Beforehand(await prepared(), way.submit, 0.0)
    await asyncio.sleep(0)
    ready.drop()
    for _ in range(5):
        await asyncio.sleep(0)
    assert ready._sending.cancelled()
    assert [hold.cancelled() for hold in way.holds] == [True]
    assert way.left == 0


async def test_a_request_that_was_let_go_is_the_same_one_when_asked_again_however_late() -> None:
    way, attempt = Counter(), await prepared()
    way.is_signed.set()
    ready = Beforehand(attempt, way.submit, 0.0)
    sending = ready.release(attempt, 0.0)
    assert sending is not None
    await sending
    assert ready.release(attempt, 60.0) is sending
    assert way.left == 1


async def test_a_sale_is_at_the_exchange_before_memory_notes_that_it_was_sent() -> None:
    desk = Desk()
    seen: list[Sequence[Attempt]] = []
    accept = desk.exchange.submit

    async def submit(request: OrderRequest, durable: Awaitable[None] | None = None) -> SendEvidence:
        if durable is not None:
            await durable
        seen.append(desk.engine.attempts)
        return await accept(request)

    desk.exchange.submit = submit  # type: ignore[method-assign]
    await desk.run(desk.exit())
    assert seen == [[]]
    assert len(desk.exchange.sent) == 1
