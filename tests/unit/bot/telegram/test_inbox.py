"""Updates are stored before they are acknowledged, each counts once, whatever their ids do."""

import asyncio
import contextlib
from itertools import pairwise
from typing import Any

import pytest
from telegram.error import NetworkError, TelegramError

from bot.telegram.inbox import Inbox
from tests.catalogue import fired
from tests.fakes.desk import START
from tests.fakes.memory_store import MemoryStore, SettableClock
from trading.domain.chat import InboxUpdate
from trading.domain.errors import StorageLost
from trading.domain.events import Event, UpdateHandled, UpdateReceived


class Server:
    """Answers polls from a script and remembers the offsets; then it stays silent."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.offsets: list[int] = []
        # Every row that was given out, however often.
        self.given: list[Any] = []
        self.is_drained = asyncio.Event()

    async def do_api_request(self, endpoint: str, api_kwargs: Any, **_: Any) -> Any:
        self.offsets.append(api_kwargs["offset"])
        if not self.answers:
            self.is_drained.set()
            await asyncio.Event().wait()
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        self.given += answer if isinstance(answer, list) else []
        return answer


class World:
    def __init__(self) -> None:
        self.clock = SettableClock(START)
        self.store = MemoryStore(self.clock)
        self.handled: list[int] = []
        self.outcomes: list[TelegramError | None] = []

    async def run(self, server: Server) -> None:
        async def polled(error: TelegramError | None) -> None:
            self.outcomes.append(error)

        inbox = Inbox(server, self.store, self.store, self.clock, 1, polled)  # type: ignore[arg-type]
        async with asyncio.timeout(5):
            tasks = [
                asyncio.create_task(inbox.poll_forever()),
                asyncio.create_task(inbox.handle_forever(self.handle)),
                asyncio.create_task(inbox.handle_slow_forever(self.handle)),
            ]
            await server.is_drained.wait()
            while len(self.handled) < len(self.ids()):
                await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    async def handle(self, update: InboxUpdate) -> None:
        await self.store.append(UpdateHandled(update.update_id, "answered", START))
        self.handled.append(update.update_id)

    def ids(self) -> list[int]:
        return [one.update.update_id for one in self.store.of(UpdateReceived)]


def _row(update_id: int, text: str = "/status") -> dict[str, Any]:
    return {"update_id": update_id, "message": {"text": text}}


async def test_a_batch_is_stored_in_one_append_and_then_acknowledged() -> None:
    world = World()
    server = Server([_row(5), _row(6, "/chart BTC/USDT")])
    await world.run(server)
    assert server.offsets == [0, 7]
    assert len(world.store.appends[0]) == 2
    assert sorted(world.handled) == [5, 6]


@pytest.mark.fault("T06", "SAID")
@pytest.mark.fault("T07", "SAID")
async def test_what_was_stored_before_a_crash_is_not_stored_or_handled_twice() -> None:
    world = World()
    before = Server([_row(5)])
    await world.run(before)
    again = Server([_row(5), _row(6)])
    await world.run(again)
    assert world.ids() == [5, 6]
    assert world.handled == [5, 6]
    assert again.offsets == [0, 7]
    fired([row for row in again.given if row in before.given])


@pytest.mark.fault("T07", "SAID")
async def test_what_was_stored_and_not_handled_comes_first_after_a_restart() -> None:
    world = World()
    await world.store.append(UpdateReceived(InboxUpdate(4, "{}", START)))
    left = await world.store.pending_updates()
    await world.run(Server([_row(4), _row(5)]))
    assert world.handled == [4, 5]
    fired(left)


@pytest.mark.fault("T08", "SAID")
async def test_ids_that_jump_or_go_down_are_all_taken() -> None:
    world = World()
    server = Server([_row(900)], [], [_row(3)], [_row(3)])
    await world.run(server)
    assert world.ids() == [900, 3]
    assert server.offsets == [0, 901, 0, 4, 4]
    ids = [row["update_id"] for row in server.given]
    fired([later for earlier, later in pairwise(ids) if later != earlier + 1])


async def test_what_cannot_be_stored_is_not_acknowledged() -> None:
    world = World()
    append = world.store.append
    failures = [StorageLost("full")]

    async def failing(*facts: Any, reserve: bool = False) -> int:
        if failures:
            raise failures.pop()
        return await append(*facts, reserve=reserve)

    world.store.append = failing  # type: ignore[method-assign]
    server = Server([_row(5)], [_row(5)])
    await world.run(server)
    assert server.offsets == [0, 0, 6]
    assert world.ids() == [5]


@pytest.mark.fault("T06", "SAID")
async def test_what_a_disk_took_before_it_was_full_is_handled_though_the_rest_comes_again() -> None:
    world = World()
    await world.run(Server([_row(5)]))
    append, full = world.store.append, [True]

    async def until_full(*events: Event, **how: bool) -> int:
        first = events[0]
        if full and isinstance(first, UpdateReceived) and first.update.update_id == 7:
            full.clear()
            raise StorageLost("disk is full")
        return await append(*events, **how)

    world.store.append = until_full  # type: ignore[method-assign]
    # The first one is known already, so that each is stored by itself.
    again = [_row(5), _row(6), _row(7)]
    server = Server(again, again)
    await world.run(server)
    assert world.ids() == [5, 6, 7]
    assert sorted(world.handled) == [5, 6, 7]
    fired(server.given[3:])


async def test_an_update_waits_for_a_journal_that_cannot_take_its_end() -> None:
    world = World()
    handle = world.handle
    failures = [StorageLost("full")]

    async def failing(update: InboxUpdate) -> None:
        if failures:
            raise failures.pop()
        await handle(update)

    world.handle = failing  # type: ignore[method-assign]
    await world.run(Server([_row(5)]))
    assert world.handled == [5]
    assert failures == []


@pytest.mark.fault("T20", "SAID")
@pytest.mark.parametrize("nonsense", [{"no": "id"}, "text", {"update_id": "7"}, None])
async def test_a_row_that_is_no_update_is_skipped(nonsense: Any) -> None:
    world = World()
    server = Server([nonsense, _row(6)])
    await world.run(server)
    assert world.ids() == [6]
    fired(len(server.given) - len(world.ids()), words=repr(nonsense))


@pytest.mark.parametrize("answer", [{}, None, "x", True])
async def test_an_answer_that_is_no_list_is_an_empty_one(answer: Any) -> None:
    world = World()
    await world.run(Server(answer, [_row(6)]))
    assert world.ids() == [6]


@pytest.mark.fault("T20", "SAID")
async def test_a_huge_update_is_kept_by_its_id_only() -> None:
    world = World()
    server = Server([_row(6, "x" * 100_000)])
    await world.run(server)
    [kept] = world.store.of(UpdateReceived)
    assert kept.update.payload == '{"update_id": 6}'
    fired(len(str(server.given)) - len(kept.update.payload), words="characters were left out")


async def test_a_failed_poll_is_reported_and_repeated() -> None:
    world = World()
    await world.run(Server(NetworkError("reset"), [_row(6)]))
    assert [type(one).__name__ for one in world.outcomes] == ["NetworkError", "NoneType"]
    assert world.ids() == [6]
