"""An exchange whose word is in doubt: balances that vanish, a clock that is off."""

from decimal import Decimal

import pytest

from tests.catalogue import fired
from tests.simulation.stage import BTC, Stage
from tests.simulation.world import World, play
from trading.execution.identity import client_order_id

pytestmark = pytest.mark.slow

ACCOUNT = "/api/v3/account"
TIME = "/api/v3/time"
NOTHING = '{"canTrade": true, "accountType": "SPOT", "balances": []}'
DOLLARS = NOTHING.replace("[]", '[{"asset": "USDT", "free": "10000", "locked": "0"}]')
BUY = "/buy BTC/USDT 100 USDT"
REFUSED = "risk is refused while this stands: "
TOLD_WITHIN_S = 30.0


@pytest.mark.fault("X31", "HALT TELL SAID")
@pytest.mark.parametrize("shown", [NOTHING, DOLLARS], ids=["nothing", "dollars"])
def test_coins_that_the_account_does_not_show_are_not_sold_and_no_risk_is_added(shown: str) -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open("/track BTC/USDT stop 58000 all")
        empty = stage.fault("status", None, status=200, body=shown, path=ACCOUNT, method="GET")
        await stage.until(lambda: empty.fired > 0)
        read_s = stage.now_s
        # The account's own stream is silent, and nobody has sold anything.
        await stage.until_told("The account shows less BTC than Umbra manages", 120)
        assert stage.now_s - read_s <= 60 + TOLD_WITHIN_S
        world.telephone.say(BUY)
        # An answer that shows the rest of the account is asked about: what took these coins?
        is_alarmed = bool(stage.told("0.5 BTC of what Umbra manages are missing"))
        assert is_alarmed is (shown == DOLLARS)
        refused = "Something critical stands" if is_alarmed else REFUSED + "balances disagree"
        await stage.until_told(refused, 10)
        assert world.agent.state.book.positions[BTC].quantity == Decimal("0.5")
        assert world.agent.trackers.count() == 1
        # Money that is not shown is not lost: no limit of the day is reached by it.
        assert world.agent.state.mode.takes_entries
        seen = empty.fired
        world.exchange.faults.clear()
        await stage.until_told("the account shows what Umbra manages again", 120)
        assert await world.confirm(BUY)
        await stage.until(lambda: world.held("BTC") > Decimal("0.5"))
        # Exits never waited for any of this.
        stage.move("57900")
        await stage.until(lambda: len(stage.sales) == 1, 10)
        fired(seen, words="empty answers")

    play(1, story)


@pytest.mark.fault("X31", "SAID")
def test_a_stop_sells_its_coins_while_the_account_shows_none() -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open("/track BTC/USDT stop 58000 all")
        empty = stage.fault("status", 2, status=200, body=NOTHING, path=ACCOUNT, method="GET")
        await stage.until(lambda: empty.fired == 1)
        stage.move("57900")
        await stage.until(lambda: world.held("BTC") == 0, 60)
        assert len(stage.sales) == 1
        fired(empty.fired)

    play(1, story)


@pytest.mark.fault("X11", "SAID")
def test_a_clock_that_is_more_than_a_second_off_is_told_once_and_stops_sell_on_time() -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open("/track BTC/USDT stop 58000 all")
        right = world.machine.clock.now()
        world.machine.clock.offset_s = -7.0
        behind = right - world.machine.clock.now()
        waited_s = await stage.until_told("This machine's clock is 7.0 s behind the exchange's")
        assert waited_s <= TOLD_WITHIN_S
        stage.move("57900")
        assert await stage.until(lambda: world.held("BTC") == 0, 20) <= 2
        assert len(stage.sales) == 1
        world.machine.clock.offset_s = 0.0
        await stage.until_told("this machine's clock and the exchange's agree again")
        assert len(stage.told("This machine's clock is")) == 1
        fired(round(behind.total_seconds()), words=f"s behind, told after {waited_s:.1f} s")

    play(1, story)


@pytest.mark.fault("X11", "HALT SAID")
def test_nothing_is_bought_while_the_exchanges_clock_is_not_known() -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open("/track BTC/USDT stop 58000 all")
        refused = stage.fault("error_code", 1, code=-1021, method="POST")
        mute = stage.fault("status", None, status=503, path=TIME, method="GET")
        assert await world.confirm(BUY)
        await stage.until(lambda: refused.fired == 1 and mute.fired > 0)
        # The one that was refused is not sent again, and no other is begun.
        world.telephone.say("/buy BTC/USDT 101 USDT")
        await stage.until_told(REFUSED + "the exchange's clock is not known", 9)
        assert world.held("BTC") == Decimal("0.5")
        seen = mute.fired
        world.exchange.faults.clear()
        # The next look at the exchange's clock ends it.
        await stage.until(lambda: world.agent.execution.is_clock_known, 20)
        assert await world.confirm("/buy BTC/USDT 102 USDT")
        await stage.until(lambda: world.held("BTC") > Decimal("0.5"))
        fired([refused.fired, seen])

    play(1, story)


@pytest.mark.fault("X19", "TELL SAID")
def test_the_announced_end_of_a_market_is_told_until_acknowledged() -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open("/track BTC/USDT stop 58000 all")
        venue = world.exchange.venue
        ends_ms = venue.now_ms() + 7 * 86_400_000
        venue.delistings.update({"BTCUSDT": ends_ms, "ETHUSDT": ends_ms, "GONEUSDT": ends_ms})
        await world.loop.create_task(world.agent.jobs()["full_reconcile"]())
        waited_s = await stage.until_told("The exchange stops trading BTC/USDT at 2026-11-27")
        assert waited_s <= 60
        # What nobody holds or watches is nobody's business, and once is enough.
        await world.loop.create_task(world.agent.jobs()["full_reconcile"]())
        await world.pass_by(5)
        assert len(stage.told("The exchange stops trading")) == 1
        assert "🚨" in stage.told("The exchange stops trading")[0].content.text
        fired(venue.delistings)

    play(1, story)


@pytest.mark.fault("W10", "SAID")
def test_an_order_that_only_the_exchange_knows_enters_the_position_and_a_restart_agrees() -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open("/track BTC/USDT stop 58000 all")
        prefix = world.agent.state.installed.order_prefix  # type: ignore[union-attr]
        order_id = client_order_id(prefix, "a decision that no journal holds", 1)
        await stage.control.foreign_order(
            {"symbol": "BTCUSDT", "side": "SELL", "quantity": "0.1"}, client_order_id=order_id
        )
        await stage.until_told("that the database does not know")
        [alarm] = [one for one in stage.told(order_id) if "🚨" in one.content.text]
        assert "SAFE MODE" in alarm.content.text
        assert not stage.told("KNOWS OF NO STOP")
        await stage.until(lambda: world.agent.trackers.all()[0].quantity == Decimal("0.4"), 90)
        managed = world.agent.state.book.managed_of
        assert managed("BTC") == Decimal("0.4")
        await world.machine.cut_power()
        world.machine.start()
        await stage.until(lambda: world.machine.process is not None and world.agent.is_ready)
        await world.pass_by(80)
        assert world.agent.state.book.managed_of("BTC") == Decimal("0.4")
        assert len([one for one in stage.told("SAFE MODE") if "🚨" in one.content.text]) == 1
        stage.move("57900")
        await stage.until(lambda: world.held("BTC") == 0, 30)
        fired([one for one in world.orders() if one.ticket.client_order_id == order_id])

    play(1, story)
