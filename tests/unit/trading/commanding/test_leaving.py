"""A backstop rests until its end is proven, and is told so; an end names what it leaves unsold."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from decimal import Decimal

import pytest

from bot.control import wording
from bot.telegram.render.status import positions_card
from bot.telegram.render.text import strip_markup
from tests.fakes.exchange import Fault
from tests.unit.trading.agent_world import AgentWorld, stop_spec
from trading import last_words
from trading.domain.commands import ArmTracker, CancelTracker, ClosePosition, EditTracker
from trading.domain.errors import AuthLost
from trading.domain.events import ConditionChanged, ProcessStopped
from trading.domain.order import OrderType
from trading.reachability import EXCHANGE_DOWN

RESTS = "backstops on the exchange: #1 BTC/USDT at 50000, its cancel is asked for"


@pytest.fixture
async def mute(world: AgentWorld) -> AsyncIterator[Fault]:
    """Have the stop fire while no cancel of its backstop is answered."""
    await world.do(ArmTracker(replace(stop_spec("58000"), backstop=Decimal(50_000))))
    await sweep(world)
    fault = world.exchange.fail("cancel_mute", times=10_000)
    await world.move("57990")
    await world.time.pass_by(5)
    assert fault.fired
    assert rests(world)
    yield fault
    fault.times = 0


async def sweep(world: AgentWorld) -> None:
    await world.time.pass_by(1)
    await world.time.finish(world.agent.jobs()["tracker_sweep"]())
    await world.time.settle()


def rests(world: AgentWorld) -> bool:
    kept = world.exchange.orders.values()
    return any(one.is_open and one.request.order_type is OrderType.STOP_LOSS for one in kept)


async def stop(world: AgentWorld) -> ProcessStopped:
    await world.time.finish(world.agent.stop("asked to stop"))
    [stopped] = world.store.of(ProcessStopped)
    return stopped


@pytest.mark.usefixtures("mute")
async def test_what_an_exit_waits_for_is_what_sells_if_the_price_falls(world: AgentWorld) -> None:
    [position] = world.desk.positions()
    assert position.backstops == ((Decimal(50_000), Decimal("0.5")),)
    assert (position.is_protected, position.worst_case) == (True, Decimal(-3_995))
    card = world.desk.tracker(1)
    assert (card.is_protecting, card.only_backstop) == (True, Decimal(50_000))
    orders = [intent for intent, _ in world.desk.open_orders()]
    assert any(intent.stop_price == Decimal(50_000) for intent in orders)


@pytest.mark.usefixtures("mute")
async def test_an_exchange_that_is_lost_meanwhile_is_told_with_the_backstop_that_rests(
    world: AgentWorld,
) -> None:
    world.exchange.is_down = True
    for _ in range(6):
        await world.agent.jobs()["exchange_probe"]()
        await world.time.pass_by(5)
    [lost] = [one for one in world.store.of(ConditionChanged) if one.condition == EXCHANGE_DOWN]
    assert RESTS in lost.text


async def test_it_rests_no_more_once_its_end_is_proven(world: AgentWorld, mute: Fault) -> None:
    mute.times = 0
    await world.until_sold("0.5")
    assert world.agent.left_behind() == "no backstop rests on the exchange"


async def test_one_that_a_person_took_off_is_said_to_rest_until_its_end_is_proven(
    world: AgentWorld,
) -> None:
    await world.do(ArmTracker(replace(stop_spec("58000"), backstop=Decimal(50_000))))
    await sweep(world)
    mute = world.exchange.fail("cancel_mute", times=10_000)
    await world.do(EditTracker(1, is_backstop_off=True))
    await sweep(world)
    assert rests(world)
    leaving = "The backstop at 50000 rests on the exchange until its cancel is proven"
    assert world.desk.tracker(1).notes == (leaving,)
    # Nobody may count on it any more.
    assert world.desk.tracker(1).only_backstop is None
    mute.times = 0
    await world.time.pass_by(60)
    assert world.desk.tracker(1).notes == ()


async def test_one_whose_tracker_has_ended_is_shown_with_its_coins_until_its_end_is_proven(
    world: AgentWorld,
) -> None:
    await world.do(ArmTracker(replace(stop_spec("58000"), backstop=Decimal(50_000))))
    await sweep(world)
    fault = world.exchange.fail("cancel_mute", times=10_000)
    await world.do(CancelTracker(1))
    await sweep(world)
    assert world.desk.trackers() == []
    [position] = world.desk.positions()
    assert position.leaving == ((Decimal(50_000), Decimal("0.5")),)
    assert not position.is_protected
    said = " ".join(strip_markup(positions_card([position]).text).split())
    assert "NOT PROTECTED if it falls" in said
    assert "a backstop at 50,000 rests, and may sell 0.5, until its cancel is proven" in said
    assert "a backstop at 50000 rests until" in wording.holdings([position])[0]
    fault.times = 0
    await world.time.until(lambda: not rests(world), 60)
    await sweep(world)
    assert [one.leaving for one in world.desk.positions()] == [()]


async def test_one_that_moves_is_not_said_to_rest_where_it_is_not_yet(world: AgentWorld) -> None:
    await world.do(ArmTracker(replace(stop_spec("58000"), backstop=Decimal(50_000))))
    await sweep(world)
    world.exchange.fail("cancel_mute", times=10_000)
    await world.do(EditTracker(1, backstop=Decimal(51_000)))
    await world.time.settle()
    [note] = world.desk.tracker(1).notes
    assert note == (
        "Backstop 51000 is not on the exchange yet; the backstop at 50000 rests on the exchange "
        "until its cancel is proven"
    )


@pytest.mark.usefixtures("mute")
async def test_an_end_says_what_has_fired_and_is_not_sold_and_that_its_backstop_rests(
    world: AgentWorld,
) -> None:
    stopped = await stop(world)
    assert stopped.unsold == ("#1 BTC/USDT HAS FIRED and 0.5 BTC is NOT SOLD",)
    assert stopped.reason == f"asked to stop; {RESTS}"


async def test_an_end_with_nothing_at_work_has_nothing_unsold(world: AgentWorld) -> None:
    await world.protect()
    stopped = await stop(world)
    assert stopped.unsold == ()
    assert stopped.reason == "asked to stop; no backstop rests on the exchange"


async def test_an_end_says_of_an_order_without_an_answer_that_it_may_have_sold(
    world: AgentWorld,
) -> None:
    await world.protect()
    world.exchange.is_hanging = True
    await world.move("57990")
    since_s = world.time.monotonic()
    stopped = await stop(world)
    said = "#1 BTC/USDT HAS FIRED and 0.5 BTC may be sold: its order was not answered"
    assert stopped.unsold == (said,)
    # Nothing but the order itself is waited for.
    assert world.time.monotonic() - since_s <= 5.1


async def test_an_end_names_the_sale_that_a_person_asked_for(world: AgentWorld) -> None:
    await world.protect()
    world.exchange.fail("refuse", times=9, status=400, code=-2015, message="Invalid API-key")
    await world.do(ClosePosition("BTC/USDT"))
    stopped = await stop(world)
    assert stopped.unsold == ("of a sale, 0.5 BTC is NOT SOLD",)


@pytest.mark.usefixtures("mute")
async def test_a_start_that_is_refused_says_from_the_journal_what_nobody_does(
    world: AgentWorld,
) -> None:
    await world.kill()
    world.exchange.is_key_lost = True
    with pytest.raises(AuthLost):
        await world.start()
    assert await world.agent.unwatched() == (
        "#1 BTC/USDT HAS FIRED and 0.5 BTC is NOT SOLD",
        f"When Umbra last knew: {RESTS}",
    )


async def test_a_start_that_knows_nothing_yet_writes_no_end_that_would_be_a_guess(
    world: AgentWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.protect("50000")
    await world.kill()

    async def revoked() -> str:
        raise AuthLost("the exchange does not accept the key")

    monkeypatch.setattr(world.exchange, "account_id", revoked)
    with pytest.raises(AuthLost):
        await world.start()
    assert await world.agent.unwatched() == (
        "PRIVATE STOPS ARE NOT WATCHED: #1 BTC/USDT",
        "When Umbra last knew: no backstop rests on the exchange",
    )
    assert world.agent.left_behind() == "whether backstops rest on the exchange is not known"
    await world.time.finish(world.agent.stop("it cannot go on"))
    assert not world.store.of(ProcessStopped)


@pytest.mark.usefixtures("mute")
async def test_a_start_that_ends_half_way_tells_of_its_end_what_the_journal_knows(
    world: AgentWorld,
) -> None:
    await world.kill()
    world.exchange.is_key_lost = True
    with pytest.raises(AuthLost):
        await world.start()
    stopped = await stop(world)
    assert stopped.unsold == ("#1 BTC/USDT HAS FIRED and 0.5 BTC is NOT SOLD",)
    assert stopped.reason == f"asked to stop; {RESTS}"


async def test_a_backstop_whose_order_was_not_answered_is_not_said_to_rest_nor_to_be_missing(
    world: AgentWorld,
) -> None:
    hang = world.exchange.fail("hang", times=9)
    await world.do(ArmTracker(replace(stop_spec("58000"), backstop=Decimal(50_000))))
    await sweep(world)
    assert hang.fired
    assert world.agent.left_behind() == (
        "backstops on the exchange: #1 BTC/USDT at 50000, not known whether it rests: its order "
        "was not answered"
    )


async def test_of_many_stops_that_nobody_watches_a_few_are_named(world: AgentWorld) -> None:
    await world.protect()
    stored = await world.store.records.state()
    [tracker] = stored.trackers
    waiting = [replace(tracker, tracker_id=number) for number in range(1, 13)]
    said, _ = last_words.unwatched(replace(stored, trackers=waiting))
    assert said.endswith("#7 BTC/USDT, #8 BTC/USDT, 4 more")
    assert last_words.unwatched(replace(stored, trackers=())) == ()


@pytest.fixture
def many(world: AgentWorld) -> Callable[[int], tuple[str, ...]]:
    """Say what is unsold of so many trackers that have fired."""

    def unsold(count: int) -> tuple[str, ...]:
        [tracker] = world.agent.trackers.all()
        fired = [replace(tracker, tracker_id=number) for number in range(1, count + 1)]
        return last_words.unsold((), fired, ())

    return unsold


async def test_of_many_sales_that_are_not_done_a_few_are_named(
    world: AgentWorld, many: Callable[[int], tuple[str, ...]]
) -> None:
    await world.protect()
    assert many(2) == tuple(
        f"#{number} BTC/USDT HAS FIRED and 0.5 BTC is NOT SOLD" for number in (1, 2)
    )
    assert len(many(8)) == 8
    assert many(20)[8:] == ("12 more sales are NOT DONE",)
