"""A disk that is full, locked or slow under a running agent: what waits, sells and is told."""

import sqlite3
from decimal import Decimal
from typing import Any

import pytest

from storage import sqlite
from storage.journal import SqlJournal
from tests.catalogue import fired
from tests.simulation.stage import BTC, ETH, Stage
from tests.simulation.world import World, play
from trading.domain.errors import NotCarriedOn, StorageLost
from trading.domain.events import Event, TrackerChanged

pytestmark = pytest.mark.slow

STOP = "/track BTC/USDT stop 58000 all"
LOST = "cannot write its journal"
SLOW = "The disk is slow"
FSYNC_S = 5.0
BUSY_S = 60.0
SOLD_WITHIN_S = 1.0
LOST_WITHIN_S = 1.0
TOLD_WITHIN_S = 10.0
# One message's way to the chat's server.
TRAVELS_S = 0.3


def said(stage: Stage, words: str) -> int:
    """How often something was said, repetitions included."""
    texts = (message.content.text for message in stage.world.telephone.messages())
    return sum(words in " ".join(text.split()) for text in texts)


@pytest.mark.fault("S01", "CRIT SAID")
def test_a_full_disk_refuses_entries_and_is_told_within_a_second_and_again() -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open(STOP)
        card = await world.answer_to("/buy BTC/USDT 100 USDT")
        assert card is not None
        await world.pass_by(0.7)
        world.machine.full_until_s = stage.now_s + 400
        assert world.telephone.press(card, "Confirm")
        assert await stage.until_told(LOST) <= LOST_WITHIN_S + TRAVELS_S
        await world.pass_by(330)
        # Twice more by now: after one minute and after five.
        assert said(stage, LOST) == 3
        assert world.orders() == []
        stage.move("57900")
        await stage.until(lambda: world.held("BTC") == 0, 10)
        assert len(stage.sales) == 1
        await stage.until_told("writes its journal again")
        fired(world.network.weather.fired.get("disk_full", 0))

    play(1, story)


@pytest.mark.fault("S04", "CRIT")
def test_a_database_that_another_holds_for_a_minute_is_told_and_stops_sell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The five seconds of waiting pass in the loop's time; the lock itself is a real one.
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_S", 0.001)

    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open(STOP, "/track ETH/USDT stop 2900 all")
        other = sqlite3.connect(world.machine.disk.database, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        database: Any = world.machine.store._database  # type: ignore[union-attr]
        world.loop.storage_delay_s = lambda: 0.0 if database._is_held else FSYNC_S
        began_s, delays = stage.now_s, world.loop.storage_delays
        assert await stage.until_told(SLOW) <= TOLD_WITHIN_S
        assert await stage.until_told(LOST) <= TOLD_WITHIN_S
        stage.move("57900")
        stage.move("2850", ETH)
        sold_after_s = await stage.until(lambda: world.held("BTC") == world.held("ETH") == 0)
        # Nobody waits in vain a second time.
        assert sold_after_s <= SOLD_WITHIN_S
        await world.pass_by(began_s + BUSY_S - stage.now_s)
        other.execute("ROLLBACK")
        other.close()
        world.loop.storage_delay_s = lambda: 0.0
        await stage.until_told("writes its journal again")
        await stage.until_told("Sold 0.5 BTC")
        await stage.until_told("Sold 2 ETH")
        assert len(stage.sales) == 2
        fired(
            world.loop.storage_delays - delays,
            words=f"waits in {BUSY_S:g} s, sold {sold_after_s:.1f} s after the fall",
        )

    play(1, story)


@pytest.mark.fault("S07", "CRIT SAID")
def test_a_stop_waits_for_a_slow_disk_and_prices_and_alerts_do_not() -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open(STOP)
        world.loop.storage_delay_s = lambda: FSYNC_S
        fell_s = stage.now_s
        stage.move("57900")
        await world.pass_by(1)
        assert world.agent.market.price(BTC) == Decimal(57_900)
        assert stage.sales == []
        # Told while the sale still waits to be written down.
        await stage.until_told(SLOW, TOLD_WITHIN_S)
        assert stage.sales == []
        stage.move("57800")
        await world.pass_by(0.5)
        assert world.agent.market.price(BTC) == Decimal(57_800)
        await stage.until(lambda: world.held("BTC") == 0)
        waited_s = stage.now_s - fell_s
        assert waited_s >= FSYNC_S
        world.loop.storage_delay_s = lambda: 0.0
        await stage.until_told("Sold 0.5 BTC")
        await stage.until_told("writes its journal again")
        assert len(stage.sales) == 1
        fired(world.loop.storage_delays, words=f"waits, sold {waited_s:.1f} s after the fall")

    play(1, story)


@pytest.mark.parametrize("word", [STOP, "/panic everything"])
def test_a_stop_whose_answer_alone_was_lost_is_a_stop_for_whatever_is_said_next(
    monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    real, lost = SqlJournal.append, list[Event]()

    async def append(journal: SqlJournal, *new: Event, **how: bool) -> int:
        seq = await real(journal, *new, **how)
        armed = [each for each in new if isinstance(each, TrackerChanged)]
        if armed and not lost:
            lost.extend(armed)
            raise StorageLost("the journal cannot be written: no memory left")
        return seq

    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open()
        assert await world.confirm(STOP)
        main = world.machine.main
        assert main is not None
        await stage.until(main.done, 30)
        assert isinstance(main.exception(), NotCarriedOn)
        assert lost
        assert not stage.told("It was not done twice")
        world.machine.start()
        # It is true by now.
        await stage.until_told("It was not done twice")
        await stage.until_told("Watched again: 1")
        assert world.agent.trackers.count() == 1
        if word == STOP:
            stage.move("57900")
        else:
            assert await world.confirm(word)
        await stage.until(lambda: world.held("BTC") == 0, 10)
        await world.pass_by(5)
        await world.machine.cut_power()
        world.machine.start()
        await world.pass_by(5)
        assert world.agent.is_ready
        assert world.agent.state.book.managed(BTC) == world.agent.trackers.count() == 0

    monkeypatch.setattr(SqlJournal, "append", append)
    play(1, story)
