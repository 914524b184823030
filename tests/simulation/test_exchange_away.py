"""An exchange that bans, forbids, is impersonated or under repair, seen by the whole agent."""

from decimal import Decimal

import pytest

from tests.catalogue import fired
from tests.sampled import sampled
from tests.simulation.stage import BTC, ETH, Stage
from tests.simulation.world import World, play

pytestmark = pytest.mark.slow

BAN_S = 120.0
REPAIR_S = sampled(1800.0, 7200.0)
# A request that had left before the ban was read is one more.
LEARNED_S = 1.0
TOLD_WITHIN_S = 60.0
SOLD_WITHIN_S = 10.0
USER_STREAM = "/ws-api"


@pytest.mark.fault("X13", "CRIT SAID")
def test_a_ban_is_kept_to_while_prices_go_on_and_backstops_are_told() -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open(
            "/track BTC/USDT stop 58000 all", "/track ETH/USDT stop 2900 all backstop 2500"
        )
        await stage.until(
            lambda: any("STOP" in order.ticket.kind.value for order in world.orders())
        )
        await world.pass_by(5)
        began_s = stage.now_s
        world.exchange.limits.ban(BAN_S, world.exchange.venue.now_ms())
        assert await stage.until_told("The exchange bans this address until") <= TOLD_WITHIN_S
        learned_s = stage.now_s
        assert stage.told("backstops on the exchange: #2 ETH/USDT at 2500")
        stage.move("57900")
        await stage.until_told("Triggered: BTC/USDT #1")
        assert world.agent.market.price(BTC) == Decimal(57_900)
        assert stage.now_s < began_s + BAN_S
        await world.pass_by(began_s + BAN_S - stage.now_s)
        # Nobody asks before the time that the exchange has named.
        assert stage.requests(learned_s + LEARNED_S, began_s + BAN_S) == []
        assert world.held("BTC") == Decimal("0.5")
        repeated = [one for one in world.telephone.messages() if "🔁" in one.content.text]
        assert any("bans this address" in one.content.text for one in repeated)
        assert await stage.until(lambda: world.held("BTC") == 0) <= SOLD_WITHIN_S
        fired(
            world.network.answered[418],
            words=f"in {BAN_S:g} s, the first after {learned_s - began_s:.1f} s",
        )

    play(1, story)


@pytest.mark.fault("X14", "TELL SAID")
def test_a_forbidden_page_is_told_within_a_minute_and_answered_by_silence() -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open("/track BTC/USDT stop 58000 all")
        page = stage.fault("status", 2, status=403, path="*", method="*", accept=False)
        began_s = stage.now_s
        assert await stage.until_told("private stops are watched and cannot sell") <= TOLD_WITHIN_S
        told_s = stage.now_s
        stage.move("57900")
        assert await stage.until(lambda: world.held("BTC") == 0, 300) >= 50
        assert stage.requests(told_s + LEARNED_S, began_s + 60) == []
        assert len(stage.sales) == 1
        fired(page.fired)

    play(1, story)


@pytest.mark.fault("X28", "TELL SAID")
def test_a_portal_in_place_of_the_exchange_is_told_within_a_minute() -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open("/track BTC/USDT stop 58000 all")
        page = stage.fault("html200", None, path="*", method="*", accept=False)
        assert await stage.until_told("The exchange cannot be reached") <= TOLD_WITHIN_S
        assert stage.told("no backstop rests on the exchange")
        world.exchange.faults.clear()
        await stage.until_told("the exchange answers again")
        fired(page.fired)

    play(1, story)


@pytest.mark.fault("X35", "PROT SAID")
@pytest.mark.long
@pytest.mark.timeout(300)
def test_after_a_long_repair_stops_are_judged_at_once_and_new_risk_waits() -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open("/track BTC/USDT stop 58000 all", "/track ETH/USDT stop 2900 all")
        began_s = stage.now_s
        closed = stage.fault("status", None, status=503, path="*", method="*", accept=False)
        await stage.control.add_fault(
            {"kind": "stall_stream", "args": {"scope": "all", "seconds": REPAIR_S}}
        )
        await stage.control.add_fault({"kind": "disconnect", "args": {"scope": "all"}})
        await stage.until_told("The exchange cannot be reached")
        # Bitcoin falls and stays; Ether falls through its stop and recovers while nobody sees it.
        stage.move("57000")
        stage.move("2800", ETH)
        # It sends nothing either way, so it need not look twenty times a second whether it should.
        world.beat.cancel()
        await world.pass_by(REPAIR_S / 2)
        stage.move("3000", ETH)
        await world.pass_by(began_s + REPAIR_S - stage.now_s)
        world.beat = world.loop.spawn(world.exchange.beat())
        assert world.held("BTC") == Decimal("0.5")
        world.exchange.faults.clear()
        assert await stage.until(lambda: world.held("BTC") == 0) <= SOLD_WITHIN_S
        # No new risk before the exchange has been well for a while, though its alarms were seen.
        await world.answer_to("/ack", 10)
        world.telephone.say("/buy BTC/USDT 100 USDT")
        await stage.until_told("risk is refused while this stands: exchange down", 10)
        await stage.until_told(f"UTC, after {REPAIR_S / 60:.0f} min")
        assert world.held("ETH") == Decimal(2)
        assert world.agent.trackers.count() == 1
        (crossed,) = stage.told("2900 was crossed while nobody watched, and the price is back")
        assert "#2 ETH/USDT" in crossed.content.text
        assert len(stage.told("The exchange cannot be reached")) == 1
        assert not stage.told("Orders and balances are not told live")
        fired(closed.fired)

    play(1, story)


def test_an_account_that_is_followed_again_is_not_said_to_be_lost_after_an_outage() -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open("/track BTC/USDT stop 58000 all")
        await world.pass_by(31)
        closed = stage.fault("status", None, status=503, path="*", method="*", accept=False)
        world.network.refuses = world.network.refuses | {USER_STREAM}
        await stage.control.add_fault({"kind": "terminate_stream"})
        await stage.until_told("The exchange cannot be reached")
        world.exchange.faults.clear()
        # A client that was refused again and again dials less often: its stream is back later.
        await world.pass_by(12)
        world.network.refuses = frozenset()
        await stage.until_told("the exchange answers again")
        await world.pass_by(40)
        assert world.agent.account_stream == "live"
        assert not stage.told("Orders and balances are not told live")
        assert closed.fired

    play(1, story)
