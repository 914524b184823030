"""Coins of which the account says that they are not there are not called protected meanwhile."""

from decimal import Decimal

import pytest

from bot.control import wording
from bot.telegram.render.status import positions_card, status_card
from bot.telegram.render.trackers import trackers_card
from tests.catalogue import fired
from tests.unit.trading.agent_world import AgentWorld
from trading.domain.commands import ArmTracker, PlaceOrder
from trading.domain.order import Side
from trading.domain.tracker import Amount, AmountKind, TrackerKind, TrackerSpec

CHECKED = "0.2 BTC missing: being checked"


def missing(world: AgentWorld) -> Decimal:
    (view,) = world.desk.positions()
    return view.missing


def _cards(world: AgentWorld) -> list[str]:
    cards = (
        positions_card(world.desk.positions()),
        status_card(world.desk.status()),
        trackers_card(world.desk.trackers()),
    )
    return [" ".join(card.text.split()) for card in cards]


async def leave(world: AgentWorld, quantity: str) -> None:
    """Let coins go as a withdrawal does, of which the account's stream tells at once."""
    world.exchange.bring("BTC", f"-{quantity}")
    world.exchange.tell_balance("BTC")
    await world.time.settle()


@pytest.mark.fault("M09", "TELL SAID")
async def test_coins_that_the_account_shows_no_more_are_being_checked_and_not_called_protected(
    world: AgentWorld,
) -> None:
    await world.protect()
    assert world.desk.positions()[0].is_protected
    await leave(world, "0.2")
    (view,) = world.desk.positions()
    assert (view.protected_quantity, view.missing) == (Decimal("0.3"), Decimal("0.2"))
    assert (view.is_protected, view.worst_case) == (False, None)
    tracker = world.desk.tracker(1)
    assert (tracker.is_protecting, tracker.worst_case) == (False, None)
    for told in _cards(world):
        assert CHECKED in told
    assert "only 0.3 protected" in _cards(world)[0]
    [held] = wording.holdings(world.desk.positions())
    assert "ONLY 0.3 PROTECTED" in held
    assert "0.2 missing, being checked" in held

    world.exchange.bring("BTC", "0.2")
    world.exchange.tell_balance("BTC")
    await world.time.settle()
    assert world.desk.positions()[0].is_protected
    assert not any("being checked" in told for told in _cards(world))
    fired([view.missing], words=_cards(world)[0])


async def test_of_a_holding_that_is_all_missing_no_stop_is_asked_for(world: AgentWorld) -> None:
    await world.protect()
    await leave(world, "0.5")
    positions, _, trackers = _cards(world)
    for told in (positions, trackers):
        assert "0.5 BTC missing: being checked" in told
        assert "NOT PROTECTED if it falls" not in told
    assert "1 NOT PROTECTED" in positions


async def test_what_is_missing_stays_said_while_a_stop_sells_what_is_left(
    world: AgentWorld,
) -> None:
    await world.protect()
    await leave(world, "0.2")
    world.exchange.fail("hang", 20, submit=True)
    await world.move("57990")
    assert world.agent.execution.moving() == {"BTC/USDT"}
    assert missing(world) == Decimal("0.2")


async def test_a_purchase_that_no_balance_shows_yet_is_not_missing(world: AgentWorld) -> None:
    await world.protect()
    world.exchange.is_line_silent = True
    await world.do(PlaceOrder("BTC/USDT", Side.BUY, Amount(AmountKind.BASE, Decimal("0.1"))))
    await world.time.until(lambda: not world.agent.execution.intents, 60)
    shown = world.agent.state.book.snapshot().total("BTC")
    assert shown == Decimal("0.5")
    assert world.agent.state.book.managed("BTC/USDT") > shown
    assert missing(world) == 0
    # The next word of the account counts for what it is.
    world.exchange.is_line_silent = False
    await leave(world, "0.2")
    assert missing(world) == Decimal("0.2")


async def test_of_another_coin_nothing_is_missing(world: AgentWorld) -> None:
    await world.protect()
    ada = TrackerSpec(TrackerKind.STOP, "ADA/USDT", Amount(AmountKind.ALL), level=Decimal("0.8"))
    await world.do(ArmTracker(ada))
    await leave(world, "0.2")
    doubt = {view.symbol: view.missing for view in world.desk.positions()}
    assert doubt == {"BTC/USDT": Decimal("0.2"), "ADA/USDT": Decimal(0)}
    views = {view.tracker.symbol: view for view in world.desk.trackers()}
    assert views["ADA/USDT"].is_protecting
