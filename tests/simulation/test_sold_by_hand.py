"""Managed coins that a person takes at the exchange while a stop fires that would sell them."""

from decimal import Decimal
from typing import Any

import pytest

from tests.catalogue import fired
from tests.simulation.facts import Facts
from tests.simulation.stage import BTC, ETH, Stage
from tests.simulation.world import World, play
from trading.domain.events import PositionAdjusted
from trading.domain.position import AdjustReason

pytestmark = pytest.mark.slow

SOLD, LEFT = "were sold outside of Umbra", "left the account without a trade"


@pytest.mark.fault("M09", "SAID")
@pytest.mark.parametrize("blind", ["not", "user", "all", "dead"])
def test_a_stop_that_fires_over_a_sale_by_hand_sells_its_slice_and_the_sale_counts_once(
    blind: str,
) -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open("/track BTC/USDT stop 58000 0.3", "/track BTC/USDT stop 40000 0.2")
        await _go_blind(stage, blind)
        await _sell_by_hand(stage, "BTC", "0.3")
        await _cross(stage, blind)
        await stage.until_told(SOLD, 30)
        await stage.until(lambda: not world.agent.trackers.all(), 10)
        # The youngest stop loses its coins first: the other one has 0.2 left to sell.
        assert _sold_by(stage) == {1: Decimal("0.2")}
        _is_settled_once(stage, "-0.3")
        stage.move("39900")
        await world.pass_by(30)
        assert not stage.told("Triggered #2")
        fired(_is_settled_once(stage, "-0.3"), words=SOLD)

    play(1, story)


@pytest.mark.fault("M09")
def test_a_stop_whose_coins_were_sold_by_hand_before_a_start_sells_none_of_another() -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open("/track BTC/USDT stop 40000 0.3", "/track BTC/USDT stop 58000 0.2")
        await _go_blind(stage, "dead")
        await _sell_by_hand(stage, "BTC", "0.2")
        await _cross(stage, "dead")
        await stage.until_told("Watched again: 1", 30)
        await world.pass_by(30)
        [left] = world.agent.trackers.all()
        assert (left.tracker_id, left.quantity) == (1, Decimal("0.3"))
        assert _sold_by(stage) == {}
        assert not stage.told("Triggered #2")
        assert not world.agent.state.alerts
        fired(_is_settled_once(stage, "-0.2"))

    play(1, story)


@pytest.mark.fault("M09")
@pytest.mark.parametrize("blind", ["user", "dead"])
def test_a_stop_that_finds_its_coins_leaves_no_other_one_watching_sold_coins(blind: str) -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open("/track BTC/USDT stop 58000 0.1", "/track BTC/USDT stop 40000 0.4")
        await _go_blind(stage, blind)
        await _sell_by_hand(stage, "BTC", "0.3")
        await _cross(stage, blind)
        await stage.until_told(SOLD, 90)
        await stage.until(lambda: world.agent.trackers.count() == 1, 10)
        assert _sold_by(stage) == {1: Decimal("0.1")}
        [left] = world.agent.trackers.all()
        assert (left.tracker_id, left.quantity) == (2, Decimal("0.1"))
        assert not stage.told("that is no sale")
        assert not world.agent.state.alerts
        fired(_is_settled_once(stage, "-0.3"))

    play(1, story)


@pytest.mark.fault("M09", "TELL")
@pytest.mark.parametrize("blind", ["user", "dead"])
def test_a_stop_that_fires_over_a_withdrawal_leaves_none_watching_what_is_gone(blind: str) -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open("/track BTC/USDT stop 58000 0.3", "/track BTC/USDT stop 40000 0.2")
        await _go_blind(stage, blind)
        await stage.control.transfer({"asset": "BTC", "delta": "-0.3"})
        await _cross(stage, blind)
        await stage.until_told(LEFT, 60)
        await stage.until(lambda: not world.agent.trackers.all(), 10)
        assert _sold_by(stage) == {1: Decimal("0.2")}
        assert not world.agent.state.alerts
        fired(_is_settled_once(stage, "-0.3"), words=LEFT)

    play(1, story)


@pytest.mark.fault("M09", "SAID")
@pytest.mark.parametrize("coin", ["BTC", "ETH"])
def test_a_sale_by_hand_is_seen_while_an_exit_is_blocked(coin: str) -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open(
            "/track ETH/USDT stop 2900 1",
            "/track ETH/USDT stop 1500 0.5",
            "/track BTC/USDT stop 40000 all",
        )
        # Coins that an order by hand locks are not gone: the exit waits for them.
        await stage.control.foreign_order(
            {"symbol": "ETHUSDT", "side": "SELL", "quantity": "1.5", "type": "LIMIT"}
            | {"price": "3500"}
        )
        stage.move("2890", ETH)
        await stage.until_told("BLOCKED", 30)
        await world.pass_by(15)
        if coin == "BTC":
            await _sell_by_hand(stage, "BTC", "0.5")
        else:
            # That order is filled.
            stage.move("3501", ETH)
        waited_s = await stage.until_told(f"{coin} were sold outside of Umbra", 15)
        assert world.agent.state.book.managed_of(coin) == world.held(coin) == 0
        assert not stage.told("that is no sale")
        fired(stage.told(SOLD), words=f"told after {waited_s:.1f} s")

    play(1, story)


@pytest.mark.fault("X31", "SAID")
def test_an_alarm_about_coins_that_a_stop_sold_right_after_a_start_ends() -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open("/track BTC/USDT stop 58000 0.3")
        dust = '{"canTrade": true, "balances": [{"asset": "USDT", "free": "1", "locked": "0"}]}'
        answer = {"status": 200, "body": dust, "path": "/api/v3/account", "method": "GET"}
        lie = stage.fault("status", None, **answer)
        await stage.until_told("are missing on the exchange", 90)
        lied = lie.fired
        world.exchange.faults.clear()
        await _go_blind(stage, "dead")
        await _cross(stage, "dead")
        await stage.until_told("Sold 0.3 BTC", 30)
        await world.pass_by(70)
        assert not world.agent.state.alerts
        fired(lied, words="are missing on the exchange")

    play(1, story)


async def _go_blind(stage: Stage, blind: str) -> None:
    await stage.world.pass_by(5)
    if blind in {"user", "all"}:
        stall = {"kind": "stall_stream", "args": {"scope": blind, "seconds": 25}}
        await stage.control.add_fault(stall)
    if blind == "dead":
        await stage.world.machine.cut_power()


async def _cross(stage: Stage, blind: str) -> None:
    stage.move("57990")
    if blind == "dead":
        await stage.world.pass_by(5)
        stage.world.machine.start()


async def _sell_by_hand(stage: Stage, coin: str, quantity: str) -> None:
    order = {"symbol": f"{coin}USDT", "side": "SELL", "quantity": quantity}
    await stage.control.foreign_order(order)


def _facts(stage: Stage) -> tuple[Facts, list[Any]]:
    facts = Facts()
    events = facts.read(stage.world.machine.disk.database)
    facts.close()
    return facts, events


def _sold_by(stage: Stage) -> dict[int, Decimal]:
    facts, _ = _facts(stage)
    return {
        intent.tracker_id or 0: intent.filled_quantity
        for intent in facts.intents.values()
        if intent.filled_quantity
    }


def _is_settled_once(stage: Stage, quantity: str) -> list[PositionAdjusted]:
    """See that what left by hand was booked in one piece, and that all agree since."""
    _, events = _facts(stage)
    left = [
        one
        for one in events
        if isinstance(one, PositionAdjusted) and one.reason is AdjustReason.EXTERNAL
    ]
    assert [one.quantity for one in left] == [Decimal(quantity)]
    agent = stage.world.agent
    managed = agent.state.book.managed(BTC)
    assert sum(one.quantity for one in agent.trackers.all()) == managed
    assert managed == stage.world.held("BTC")
    return left
