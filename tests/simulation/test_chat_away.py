"""A chat that is down, slow to let in, read by others or refused: stops sell, a person is told."""

from decimal import Decimal

import pytest

from bot.localchat.webhooks import Webhook
from tests.catalogue import fired
from tests.sampled import sampled
from tests.simulation.machine import SecondChannel
from tests.simulation.stage import BTC, Stage
from tests.simulation.world import World, play
from trading.sim.liquidity import QUOTE_DEPTH

pytestmark = pytest.mark.slow

STOP = "/track BTC/USDT stop 58000 all"
AWAY_S = 240.0
SILENCE_S = sampled(900, 3600)
UNSEEN_S = 60.0
LOOKS_S = 3.0
TOLD_AFTER_RETURN_S = 10.0
CONTESTED_WITHIN_S = 30.0


def pager_of(world: World) -> SecondChannel:
    """Give the agent a second channel, before its start."""
    world.machine.second_channel = SecondChannel(world.machine.clock)
    return world.machine.second_channel


async def block_a_stop(stage: Stage) -> None:
    """Let the stop fire with nobody to sell to: something critical stands."""
    await stage.control.shape_book({"symbol": BTC, "quote_depth": "0", "side": "bid"})
    stage.move("57900")
    blocked = stage.world.agent.trackers.acting
    await stage.until(lambda: any(one.state.value == "blocked" for one in blocked()))


def bids_return(stage: Stage) -> None:
    """Let somebody buy again."""
    venue = stage.world.exchange.venue
    venue.world.markets[BTC].liquidity.set_depth(Decimal(QUOTE_DEPTH))
    venue.world.reshape(BTC, venue.now_ms())
    stage.move("57900.01")


def repetitions(world: World) -> int:
    """How often what is critical was said again in the chat."""
    return sum("🔁" in message.content.text for message in world.telephone.messages())


@pytest.mark.fault("T01", "CRIT")
def test_what_is_critical_while_the_chat_is_down_goes_elsewhere_and_repeats_on_return() -> None:
    async def story(world: World) -> None:
        pager, stage = pager_of(world), Stage(world)
        await stage.open(STOP)
        world.telephone.line.is_refusing = True
        await block_a_stop(stage)
        blocked_s = stage.now_s
        waited_s = await stage.until(lambda: any("BLOCKED" in text for _, text in pager.texts))
        assert waited_s <= UNSEEN_S + LOOKS_S
        await world.pass_by(blocked_s + AWAY_S - stage.now_s)
        assert any("chat could not be reached" in text for _, text in pager.texts)
        assert not stage.told("BLOCKED")
        world.telephone.line.is_refusing = False
        assert await stage.until_told("BLOCKED: BTC/USDT #1") <= TOLD_AFTER_RETURN_S
        before = repetitions(world)
        await world.pass_by(20 * 60)
        assert repetitions(world) > before
        bids_return(stage)
        await stage.until(lambda: world.held("BTC") == 0)
        assert sum("BLOCKED" in text for _, text in pager.texts) == 1
        fired(world.telephone.line.fired.get("refused", 0))

    play(1, story)


@pytest.mark.fault("T02", "SAID")
def test_a_chat_that_asks_for_a_long_silence_gets_it_and_a_person_is_told_elsewhere() -> None:
    async def story(world: World) -> None:
        pager, stage = pager_of(world), Stage(world)
        await stage.open(STOP)
        line = world.telephone
        args = {"code": 429, "retry_after": SILENCE_S, "method": "sendMessage"}
        flooded = line.plan.add("error", 1, args, line.conversation.clock.monotonic())
        await block_a_stop(stage)
        await stage.until(lambda: flooded.fired == 1)
        silent_s = stage.now_s
        said = len(line.messages())
        await stage.until(lambda: any("BLOCKED" in text for _, text in pager.texts))
        assert stage.now_s - silent_s <= UNSEEN_S + LOOKS_S
        bids_return(stage)
        await stage.until(lambda: world.held("BTC") == 0)
        await world.pass_by(silent_s + SILENCE_S - LOOKS_S - stage.now_s)
        assert len(line.messages()) == said
        # Nothing is lost: what was to be said comes once the silence is over.
        assert await stage.until_told("Sold 0.5 BTC") <= TOLD_AFTER_RETURN_S
        fired(flooded.fired)

    play(1, story)


@pytest.mark.fault("T03", "CRIT SAID")
def test_somebody_else_who_reads_the_bot_is_told_elsewhere_at_once_and_locks_new_risk() -> None:
    async def story(world: World) -> None:
        pager, stage = pager_of(world), Stage(world)
        await stage.open(STOP)
        line = world.telephone
        contest = line.plan.add("conflict", 90, {}, line.conversation.clock.monotonic())
        line.bell_of_updates.ring()
        began_s = stage.now_s
        await stage.until(lambda: any("Somebody else reads" in text for _, text in pager.texts))
        assert stage.now_s - began_s <= CONTESTED_WITHIN_S
        stage.move("57900")
        await stage.until(lambda: world.held("BTC") == 0)
        await stage.until(lambda: repetitions(world) > 0, 2 * UNSEEN_S)
        line.plan.clear()
        line.say("/buy BTC/USDT 100 USDT")
        await stage.until_told("risk may not be added now", 30)
        assert not stage.told("Buy 0.0017")
        await stage.until_told("Restored: nobody else reads this bot's messages now", 2 * UNSEEN_S)
        line.say("/buy BTC/USDT 100 USDT")
        await stage.until_told("Buy 0.0017", 30)
        fired(contest.fired)

    play(1, story)


@pytest.mark.fault("T04", "SAID")
def test_a_revoked_token_is_told_elsewhere_at_once_and_stops_sell() -> None:
    async def story(world: World) -> None:
        pager, stage = pager_of(world), Stage(world)
        await stage.open(STOP)
        line = world.telephone
        refusals = line.plan.add("unauthorized", 10**6, {}, line.conversation.clock.monotonic())
        line.bell_of_updates.ring()
        began_s = stage.now_s
        await stage.until(lambda: bool(pager.texts))
        words = " ".join(pager.texts[0][1].split())
        assert "chat could not be reached; private stops go on" in words
        assert "umbra panic" in words
        assert pager.texts[0][0] - began_s <= CONTESTED_WITHIN_S
        stage.move("57900")
        await stage.until(lambda: world.held("BTC") == 0)
        line.plan.clear()
        await stage.until_told("Sold 0.5 BTC")
        fired(refusals.fired)

    play(1, story)


@pytest.mark.fault("T05", "CRIT SAID")
def test_a_webhook_that_somebody_sets_is_named_elsewhere_at_once_and_until_it_is_gone() -> None:
    async def story(world: World) -> None:
        pager, stage = pager_of(world), Stage(world)
        await stage.open(STOP)
        hooks = world.telephone.webhooks
        hooks.webhook = Webhook("http://127.0.0.1:1/elsewhere")
        # Telegram ends the poll that waits.
        world.telephone.bell_of_updates.ring()
        began_s = stage.now_s
        await stage.until(lambda: any("set a webhook" in text for _, text in pager.texts))
        assert pager.texts[0][0] - began_s <= CONTESTED_WITHIN_S
        await stage.until(lambda: repetitions(world) > 0, 2 * UNSEEN_S)
        # It is somebody's decision: the bot does not take it back by itself.
        assert hooks.webhook.url
        stage.move("57900")
        await stage.until(lambda: world.held("BTC") == 0)
        hooks.webhook = Webhook()
        await stage.until_told("Restored: the webhook is gone")
        fired(pager.texts)

    play(1, story)
