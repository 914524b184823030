"""Markets and people at their worst, seen by the whole agent."""

from decimal import Decimal

import pytest

from tests.catalogue import fired
from tests.simulation.facts import Facts
from tests.simulation.stage import ETH, Stage
from tests.simulation.world import World, play
from trading.domain.tracker import TrackerChange

pytestmark = pytest.mark.slow

HELD_S = 1.5
SOLD_WITHIN_S = 60.0


def journal(world: World) -> list[str]:
    """Every fact of the journal, in words."""
    facts = Facts()
    facts.read(world.machine.disk.database)
    facts.close()
    return [repr(change) for change in facts.changes]


@pytest.mark.fault("M03", "TELL SAID")
def test_a_wick_is_held_and_told_and_ends_alike_whenever_it_is_played_again() -> None:
    ends: list[tuple[str, list[str], Decimal]] = []

    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open("/track BTC/USDT stop 58000 all")
        await world.pass_by(5)
        await stage.control.print_trade({"symbol": "BTCUSDT", "price": "6000"})
        await world.pass_by(0.2)
        stage.move("60000.01")
        waited_s = await stage.until_told("was not believed", 30)
        await world.pass_by(HELD_S)
        assert world.held("BTC") == Decimal("0.5")
        # Another process reads the same facts and comes to the same end.
        before = world.agent.trackers.all()
        await world.machine.cut_power()
        world.machine.start()
        await stage.until(lambda: world.machine.process is not None and world.agent.is_ready)
        assert world.agent.trackers.all() == before
        await world.pass_by(5)
        ends.append((world.trace.digest, journal(world), world.held("BTC")))
        disbelieved = stage.told("was not believed")
        fired(len(disbelieved), words=f"6000 after 60000, told after {waited_s:.1f} s")

    play(1, story)
    play(1, story)
    assert ends[0] == ends[1]
    assert ends[0][2] == Decimal("0.5")


@pytest.mark.fault("M09", "TELL SAID")
def test_coins_that_come_and_go_outside_change_only_what_is_managed_of_them() -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open("/track BTC/USDT stop 58000 0.3")
        managed = world.agent.state.book.managed_of
        # Deposits and airdrops are nobody's stop: not sold, not counted, not even mentioned.
        for asset, amount in (("BTC", "1"), ("ETH", "5")):
            await stage.control.transfer({"asset": asset, "delta": amount})
        await world.pass_by(70)
        assert managed("BTC") == Decimal("0.3")
        # What is withdrawn comes from what nobody manages first.
        await stage.control.transfer({"asset": "BTC", "delta": "-1.2"})
        await world.pass_by(70)
        assert managed("BTC") == Decimal("0.3")
        await stage.control.foreign_order({"symbol": "BTCUSDT", "side": "SELL", "quantity": "0.1"})
        waited_s = await stage.until_told("were sold outside of Umbra")
        assert waited_s <= 10
        await stage.until(lambda: world.agent.trackers.all()[0].quantity == Decimal("0.2"), 10)
        assert managed("BTC") == Decimal("0.2")
        # What is withdrawn of what is managed is no sale: told at once, and gone once it is proven.
        await stage.control.transfer({"asset": "BTC", "delta": "-0.05"})
        assert await stage.until_told("0.05 BTC of what Umbra manages are missing") <= 10
        assert await stage.until_told("0.05 BTC left the account without a trade") <= 60
        await stage.until(lambda: world.agent.trackers.all()[0].quantity == Decimal("0.15"), 10)
        assert managed("BTC") == world.held("BTC")
        assert not world.agent.state.alerts
        stage.move("57900")
        await stage.until(lambda: not world.agent.trackers.all(), SOLD_WITHIN_S)
        ours = [one for one in stage.sales if not one.ticket.client_order_id.startswith("web_")]
        assert sum(one.executed for one in ours) == Decimal("0.15")
        by_hand = len(stage.sales) - len(ours)
        fired(by_hand, words=f"sold by hand, told after {waited_s:.1f} s")

    play(1, story)


@pytest.mark.fault("I05", "KEEP SAID")
@pytest.mark.parametrize("apart_s", [0.0, 0.1, 0.4])
def test_two_changes_of_one_tracker_at_once_are_told_apart_and_panic_wins(apart_s: float) -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open("/track BTC/USDT trail 3% all")
        say = world.telephone.say
        say("/tracker 1 trail 2%")
        await world.pass_by(apart_s) if apart_s else None
        say("/tracker 1 trail 1%")
        card = say("/panic")
        await world.until(lambda: world._tap_confirm(card.message_id), 30)
        await stage.until(lambda: world.held("BTC") == 0, SOLD_WITHIN_S)
        await stage.until(lambda: not world.agent.trackers.all())
        assert not world.agent.state.mode.takes_entries
        assert sum(one.executed for one in stage.sales) == Decimal("0.5")
        # Everybody was answered, and what the journal holds is what a start makes of it.
        changes = journal(world)
        await world.machine.cut_power()
        world.machine.start()
        await stage.until(lambda: world.machine.process is not None and world.agent.is_ready)
        assert world.agent.trackers.all() == []
        assert journal(world)[: len(changes)] == changes
        edits = sum(TrackerChange.EDITED.name in change for change in changes)
        fired(edits, words=f"edits, {apart_s:g} s apart, and a panic")

    play(1, story)


@pytest.mark.fault("X37", "CRIT SAID")
def test_ten_times_slower_with_limits_and_a_crash_every_stop_sells_and_one_summary_is_told() -> (
    None
):
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open("/track BTC/USDT stop 58000 all", "/track ETH/USDT stop 2900 all")
        await world.pass_by(5)
        world.network.weather.latency_s = (0.4, 1.2)
        limited = stage.fault("status", 2, status=429, retry_after=20, accept=False)
        stage.move("42000")
        stage.move("2100", ETH)
        before = len(world.telephone.messages())
        world.telephone.say("/buy BTC/USDT 100 USDT")
        await stage.until(lambda: world.held("BTC") == 0 and world.held("ETH") == 0, SOLD_WITHIN_S)
        await world.pass_by(60)
        assert limited.fired
        # However many sales wait for the same thing, it is told once, and until acknowledged.
        [alarm] = stage.told("asks for silence for 20 s")
        assert "🚨" in alarm.content.text
        bought = [one for one in world.orders() if one.ticket.side.name == "BUY"]
        assert not any(one.executed for one in bought)
        assert len(stage.sales) >= 2
        told = len(world.telephone.messages()) - before
        assert told <= 20, world.telephone.text()
        fired(limited, words=f"answers of 429, {told} messages")

    play(1, story)


@pytest.mark.fault("X32", "ONE SAID")
def test_lists_that_are_empty_by_error_end_no_order_and_send_no_second_one() -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open("/track BTC/USDT stop 58000 0.1")
        assert await world.confirm("/sell BTC/USDT 0.1 limit 61000"), world.telephone.text()
        await stage.until(lambda: len(stage.sales) == 1)
        empty = [
            stage.fault("status", None, status=200, body="[]", path=path, method="GET")
            for path in ("/api/v3/openOrders", "/api/v3/allOrders")
        ]
        managed = world.agent.state.book.managed_of("BTC")
        await world.pass_by(5)
        await world.loop.create_task(world.agent.jobs()["full_reconcile"]())
        await world.pass_by(60)
        assert len(stage.sales) == 1
        [intent] = world.agent.execution.intents
        assert intent.state.value == "open"
        assert world.agent.state.book.managed_of("BTC") == managed
        stage.move("61100")
        await stage.until(lambda: not world.agent.execution.intents, SOLD_WITHIN_S)
        assert sum(one.executed for one in stage.sales) == Decimal("0.1")
        fired(empty)

    play(1, story)
