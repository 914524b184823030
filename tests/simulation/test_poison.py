"""Something ends the process each time it is touched: it is found, set apart and told of."""

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from bot.telegram.addressing import Addresser
from bot.telegram.router import Router
from tests.catalogue import fired
from tests.simulation.loop import PowerCut
from tests.simulation.stage import ETH, Stage
from tests.simulation.world import World, play
from trading.domain.events import TrackerChanged
from trading.domain.tracker import TrackerChange
from trading.gateway import stream
from trading.poison import DEATHS_MAX

pytestmark = pytest.mark.slow

DEADLY = "/price ETH/USDT"
STOPS = ("/track BTC/USDT stop 58000 all", "/track ETH/USDT stop 2500 all")
# After a death at one of several facts it takes one more to know which of them it was.
STARTS_MAX = DEATHS_MAX + 2


class Poison:
    """Ends the process of a world as often as it is touched."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.deaths = 0
        self.is_armed = True

    def kill(self) -> None:
        """Cut the power under the agent."""
        self.deaths += 1
        self.world.loop.cut()

    async def kill_and_hang(self) -> None:
        """The same where somebody waits: nothing of the dead process goes on."""
        self.kill()
        await asyncio.Event().wait()


def in_a_message(patch: pytest.MonkeyPatch, poison: Poison) -> None:
    real = Router._typed

    async def typed(self: Router, request: Any, message: Any) -> Any:
        if request.text == DEADLY:
            await poison.kill_and_hang()
        return await real(self, request, message)

    patch.setattr(Router, "_typed", typed)


def in_a_fact(patch: pytest.MonkeyPatch, poison: Poison) -> None:
    real = Addresser._address

    async def address(self: Addresser, rows: Any) -> None:
        for row in rows:
            is_change = isinstance(row.event, TrackerChanged)
            if is_change and row.event.change is TrackerChange.PAUSED:
                await poison.kill_and_hang()
        await real(self, rows)

    patch.setattr(Addresser, "_address", address)


def in_a_frame(patch: pytest.MonkeyPatch, poison: Poison) -> None:
    real = stream.Frames.read

    def read(self: stream.Frames, frame: str) -> Any:
        if poison.is_armed and '"s":"ETHUSDT"' in frame and not poison.world.loop.is_power_cut:
            poison.kill()
            raise PowerCut("a frame")
        return real(self, frame)

    patch.setattr(stream.Frames, "read", read)


def in_a_report(patch: pytest.MonkeyPatch, poison: Poison) -> None:
    real = stream.translate.execution_report

    def report(said: Any, symbol_of: Any) -> Any:
        if said["c"] == "web_deadly" and not poison.world.loop.is_power_cut:
            poison.kill()
            raise PowerCut("a report")
        return real(said, symbol_of)

    patch.setattr(stream.translate, "execution_report", report)


async def touch_message(stage: Stage) -> None:
    stage.world.telephone.say(DEADLY)


async def touch_fact(stage: Stage) -> None:
    await stage.world.confirm("/tracker 2 pause", 10)


async def touch_frame(stage: Stage) -> None:
    stage.move("2990", ETH)


async def touch_report(stage: Stage) -> None:
    body = {"symbol": ETH, "side": "BUY", "quantity": "0.01"}
    await stage.control.foreign_order(body, "web_deadly")


# What a stream brings again; a message and a fact come once, and wait until they are done.
RETURNING = {touch_frame, touch_report}
CASES = [
    pytest.param(in_a_message, touch_message, "A message was set apart", id="message"),
    pytest.param(in_a_fact, touch_fact, "That message is left out", id="fact"),
    pytest.param(in_a_frame, touch_frame, "live prices of ETHUSDT", id="frame"),
    pytest.param(in_a_report, touch_report, "report about order web_deadly", id="report"),
]


@pytest.mark.fault("P08", "CRIT SAID")
@pytest.mark.parametrize(("poisoned", "touch", "words"), CASES)
def test_what_kills_the_process_each_time_is_set_apart_and_stops_go_on(
    monkeypatch: pytest.MonkeyPatch,
    poisoned: Callable[[pytest.MonkeyPatch, Poison], None],
    touch: Callable[[Stage], Any],
    words: str,
) -> None:
    async def story(world: World) -> None:
        stage, poison = Stage(world), Poison(world)
        await stage.open(*STOPS)
        poisoned(monkeypatch, poison)
        await touch(stage)
        starts = await live_on(stage, poison, touch, words)
        assert DEATHS_MAX <= poison.deaths <= STARTS_MAX
        assert starts <= STARTS_MAX
        fired(poison.deaths)
        await stage.until_told("SAFE MODE", 60)
        # Alive from here on: it answers, reads on, and both stops sell.
        assert await world.answer_to("/status", 30) is not None
        if touch in RETURNING:
            await touch(stage)
        await world.pass_by(30)
        assert world.machine.is_running
        stage.move("57990")
        await stage.until(lambda: world.held("BTC") == 0, 60)
        await stage.until_told("Sold 0.5 BTC", 60)
        if poisoned is not in_a_fact:
            stage.move("2400", ETH)
            await stage.until(lambda: world.held("ETH") < Decimal("0.1"), 60)
        assert len(stage.sales) == (1 if poisoned is in_a_fact else 2)

    play(1, story)


async def live_on(stage: Stage, poison: Poison, touch: Callable[[Stage], Any], words: str) -> int:
    """Start again after each death until it is told what was set apart; how often that took."""
    world = stage.world
    for number in range(STARTS_MAX + 1):
        died_before = poison.deaths
        if number:
            world.machine.start()
        if number and touch in RETURNING:
            await world.until(lambda: world.machine.main is None or is_up(world), 30)
            await touch(stage)
        await world.until(lambda: world.machine.main is None or bool(stage.told(words)), 40)
        if world.machine.main is not None:
            assert stage.told(words), world.telephone.text()
            return number
        assert poison.deaths == died_before + 1 or number == 0
    raise AssertionError(f"still dying after {poison.deaths} deaths")


def is_up(world: World) -> bool:
    """Whether an agent runs, and the exchange tells it of the account by now."""
    subscribed = world.exchange.user_stream._subscriptions
    return hasattr(world.machine.process, "_agent") and bool(subscribed)
