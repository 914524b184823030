"""The agent routes facts to decisions: triggers, commands, halts, restarts."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

import pytest

from tests.builders import coin
from tests.catalogue import fired
from tests.unit.trading.agent_world import OWNER, AgentWorld, stop_spec
from trading.desk import CloseProposal, OrderProposal, PlainProposal, TrackerProposal
from trading.domain import events
from trading.domain.chat import Severity
from trading.domain.commands import (
    AbortIntent,
    AcknowledgeAlerts,
    ArmTracker,
    CancelTracker,
    CloseAll,
    ClosePosition,
    Command,
    EditTracker,
    ExitNow,
    Panic,
    PauseTracker,
    PlaceOrder,
    ResumeTracker,
    SetTradingMode,
)
from trading.domain.errors import (
    AlreadyRecorded,
    InstanceConflict,
    Refused,
    SettingsInvalid,
    StorageLost,
    Unreachable,
)
from trading.domain.events import (
    AlertRaised,
    ConditionChanged,
    DayOpened,
    Event,
    Installed,
    IntentChanged,
    IntentOpened,
    PositionAdjusted,
    ProcessStarted,
    RecoveryReported,
    TrackerChanged,
    TradingModeChanged,
)
from trading.domain.market import Candle, Quote
from trading.domain.order import IntentState, Purpose, Side
from trading.domain.position import AdjustReason, TradingMode
from trading.domain.time import Timeframe, to_ms
from trading.domain.tracker import (
    Amount,
    AmountKind,
    Confirm,
    ConfirmKind,
    Distance,
    Then,
    ThenKind,
    TrackerChange,
    TrackerKind,
    TrackerSpec,
    TrackerState,
)
from trading.outside import OFF_PEG
from trading.ports.storage import StoredState
from trading.reachability import BALANCES_DISAGREE
from trading.risk.limits import RiskLimits

HALF = Amount(AmountKind.BASE, Decimal("0.25"))


async def test_a_first_start_says_who_it_is_and_opens_the_day(world: AgentWorld) -> None:
    [installed] = world.store.of(Installed)
    assert installed.account == "fake-1"
    assert len(world.store.of(ProcessStarted)) == len(world.store.of(RecoveryReported)) == 1
    [day] = world.store.of(DayOpened)
    # 10,000 USDT + 0.5 BTC at 60,000 + 1,000 ADA at 0.90.
    assert day.equity == Decimal(40_900)


@pytest.mark.fault("X30", "NOACT SAID")
async def test_a_key_of_another_account_is_refused(world: AgentWorld) -> None:
    await world.kill()
    world.exchange.account_id = _other_account  # type: ignore[method-assign]
    with pytest.raises(SettingsInvalid, match="belongs to account fake-1") as refused:
        await world.start()
    fired(refused, words=str(refused.value))


async def _other_account() -> str:
    return "fake-2"


async def test_an_account_that_another_agent_trades_is_refused_before_anything_is_written() -> None:
    world, asked = AgentWorld(), list[str]()

    def refuse(account: str) -> None:
        asked.append(account)
        raise InstanceConflict("two agents must not trade one account")

    world.claim_account = refuse
    with pytest.raises(InstanceConflict):
        await world.start()
    assert asked == ["fake-1"]
    assert world.store.all_events == []
    await world.kill()


async def test_what_a_death_left_standing_ends_by_itself_after_the_next_start(
    world: AgentWorld,
) -> None:
    await world.kill()
    left = [
        ("dropped_prices", "ADA/USDT"),
        ("degraded_data", "XRP/USDT"),
        ("account_stream_down", None),
        ("trackers_unsaved", None),
        ("trigger_unrecorded", "BTC/USDT"),
    ]
    for name, symbol in left:
        told = ConditionChanged(name, symbol, True, Severity.WARN, "told", world.time.now())
        await world.store.journal.append(told)
    for seconds in (0, 20, 60):
        # Another death before it could end changes nothing.
        await world.kill()
        await world.start()
        for _ in range(seconds):
            await world.time.pass_by(1.0)
            await world.agent.jobs()["staleness_watch"]()
        await world.time.finish(world.agent.jobs()["exchange_probe"]())
        await world.time.settle()
    assert world.agent.state.conditions == ()
    told_of = [(one.condition, one.symbol) for one in world.store.of(ConditionChanged)]
    assert sorted(told_of, key=str) == sorted([*left, *left], key=str)


async def test_nothing_is_done_before_the_exchange_has_answered() -> None:
    world = AgentWorld()
    world.exchange.is_down = True
    with pytest.raises(Unreachable):
        await world.start()
    with pytest.raises(Refused, match=r"has not answered yet\. Say it again") as refused:
        await world.desk.propose(ArmTracker(stop_spec()), OWNER)
    health = world.desk.health()
    # An example would be read as a part of what was said.
    assert not refused.value.example
    assert (health.is_working, health.is_healthy) == (False, False)
    assert health.troubles == ("Umbra is still starting: the exchange has not answered yet",)
    assert health.clock_offset_ms is None
    assert not world.desk.status().is_ready
    await world.kill()


async def test_a_stop_that_fires_sells_what_it_owns_once(world: AgentWorld) -> None:
    await world.protect("58000", HALF)
    await world.move("57990")
    await world.until_sold("0.25")
    assert world.exchange.coins["BTC"] == Decimal("0.25")
    assert world.desk.trackers() == []
    [trip] = await world.desk.history(10)
    assert trip.quantity == Decimal("0.25")
    assert [intent.intent.purpose for intent in world.store.of(IntentOpened)] == [Purpose.PROTECT]


async def test_a_command_takes_effect_once_per_cause(world: AgentWorld) -> None:
    command = ArmTracker(stop_spec("58000", HALF))
    await world.do(command, "nonce")
    with pytest.raises(AlreadyRecorded):
        await world.do(command, "nonce")
    assert len(world.desk.trackers()) == 1


async def test_a_replayed_command_is_known_after_a_restart(world: AgentWorld) -> None:
    command = ArmTracker(stop_spec())
    await world.do(command, "nonce")
    await world.kill()
    await world.start()
    with pytest.raises(AlreadyRecorded):
        await world.desk.execute(command, OWNER, "nonce")


async def test_a_restart_watches_on_and_sells_what_is_beyond_its_stop(world: AgentWorld) -> None:
    await world.protect()
    await world.kill()
    world.exchange.set_price("BTC/USDT", "57000")
    world.time.advance(120)
    await world.start()
    await world.until_sold("0.5")
    assert world.exchange.coins["BTC"] == 0


async def test_a_sale_that_ended_while_nobody_ran_ends_its_tracker_at_the_restart(
    world: AgentWorld,
) -> None:
    await world.protect()
    world.exchange.on_report = None
    lost = world.exchange.fail("lost_after", after_s=5)
    await world.move("57990")
    assert world.exchange.filled() == Decimal("0.5")
    await world.kill()
    await world.start()
    await world.until_sold("0.5")
    assert lost.fired == 1
    assert world.desk.trackers() == []
    assert not [alert for alert in world.store.of(AlertRaised) if "stranded" in alert.alert_id]


@pytest.mark.fault("S03", "ONE")
async def test_a_stop_that_fired_on_a_full_disk_is_known_to_the_start_that_has_room(
    world: AgentWorld,
) -> None:
    await world.protect()
    world.exchange.on_report = None
    lost = world.exchange.fail("lost_after", after_s=5)
    world.store.lose("the disk is full")
    await world.move("57990")
    await world.kill()
    world.store.heal()
    world.exchange.set_price("BTC/USDT", "60000")
    await world.start()
    await world.until_sold("0.5")
    assert world.desk.trackers() == []
    assert [intent.intent.purpose for intent in world.store.of(IntentOpened)] == [Purpose.PROTECT]
    assert len(world.exchange.sent) == 1
    fired(lost.fired)


@pytest.mark.parametrize(("crossed_s", "is_told"), [(-3, False), (4, True)])
async def test_a_short_death_right_after_an_arming_is_judged_by_seconds(
    world: AgentWorld, crossed_s: int, is_told: bool
) -> None:
    world.time.advance(20.5)
    await world.protect()
    armed_ms = to_ms(world.time.now())
    await world.kill()
    world.time.advance(8)
    world.exchange.past = [
        Candle(armed_ms // 1000 * 1000 + second * 1000, 60e3, 60e3, low, 60e3, 1.0, True)
        for second in range(-21, 9)
        for low in [57_000.0 if second == crossed_s else 60e3]
    ]
    await world.start()
    [*_, report] = world.store.of(RecoveryReported)
    assert any("58000 was crossed" in line for line in report.lines) is is_told
    assert world.exchange.sent == []


async def test_a_second_tracker_gets_what_is_left_or_a_refusal_that_names_the_first(
    world: AgentWorld,
) -> None:
    await world.protect()
    with pytest.raises(Refused, match="#1"):
        await world.protect("57000")


async def test_stops_of_shares_keep_what_was_confirmed_when_one_of_them_has_sold(
    world: AgentWorld,
) -> None:
    for stop in ("58000", "57000", "56000"):
        await world.protect(stop, Amount(AmountKind.SHARE, Decimal("0.3")))
    assert [each.quantity for each in world.agent.trackers.all()] == [Decimal("0.15")] * 3
    await world.move("57900")
    await world.until_sold("0.15")
    assert [each.quantity for each in world.agent.trackers.all()] == [Decimal("0.15")] * 2
    await world.move("56900")
    await world.until_sold("0.3")
    await world.move("55900")
    await world.until_sold("0.45")
    assert world.agent.trackers.all() == []
    assert not any("gone" in one.text for one in world.store.of(AlertRaised))


async def test_a_sale_by_hand_shrinks_the_tracker(world: AgentWorld) -> None:
    await world.protect()
    await world.do(PlaceOrder("BTC/USDT", Side.SELL, HALF))
    await world.until_sold("0.25")
    [view] = world.desk.trackers()
    assert view.tracker.quantity == Decimal("0.25")


async def test_a_sale_by_hand_leaves_the_tracker_its_newest_record(world: AgentWorld) -> None:
    trail = TrackerSpec(
        TrackerKind.TRAIL,
        "BTC/USDT",
        Amount(AmountKind.ALL),
        trail=Distance(share=Decimal("0.02")),
    )
    await world.do(ArmTracker(trail))
    await world.move("60001")
    record = world.agent.trackers.get(1).record_price  # type: ignore[union-attr]
    await world.do(PlaceOrder("BTC/USDT", Side.SELL, HALF))
    changes = world.store.of(TrackerChanged)
    [resized] = [one for one in changes if one.change is TrackerChange.RESIZED]
    assert resized.tracker.record_price == record
    assert record is not None
    assert record > 60_000


async def test_unmanaged_coins_are_sold_only_by_name(world: AgentWorld) -> None:
    proposal = await world.desk.propose(
        PlaceOrder("ADA/USDT", Side.SELL, Amount(AmountKind.BASE, Decimal(100))), OWNER
    )
    assert "not managed" in " ".join(proposal.facts.notes)  # type: ignore[union-attr]
    with pytest.raises(Refused, match="nothing of ADA/USDT is managed"):
        await world.do(ClosePosition("ADA/USDT"))
    with pytest.raises(Refused, match="nothing is managed"):
        await world.do(CloseAll())


async def test_half_a_position_is_closed(world: AgentWorld) -> None:
    await world.protect()
    await world.do(ClosePosition("BTC/USDT", Decimal("0.5")))
    await world.until_sold("0.25")
    [position] = world.desk.positions()
    assert position.position.quantity == Decimal("0.25")
    assert position.is_protected


async def test_closing_all_ends_its_trackers_and_stays_active(world: AgentWorld) -> None:
    await world.protect()
    await world.do(CloseAll())
    await world.until_sold("0.5")
    assert world.desk.trackers() == []
    assert world.desk.status().state is TradingMode.ACTIVE


async def test_panic_sells_what_is_managed_and_halts(world: AgentWorld) -> None:
    await world.protect("58000", HALF)
    outcome = await world.do(Panic())
    assert "0.25 BTC" in outcome.text
    await world.until_sold("0.25")
    assert world.desk.status().state is TradingMode.HALTED
    assert world.exchange.coins["BTC"] == Decimal("0.25")
    with pytest.raises(Refused, match="halted"):
        await world.do(buy("100"))


async def test_a_resume_of_what_is_active_changes_nothing_and_says_so(world: AgentWorld) -> None:
    outcome = await world.do(SetTradingMode(TradingMode.ACTIVE))
    assert outcome.text == "Trading is active already. New entries are allowed."
    assert world.store.of(TradingModeChanged) == []
    await world.do(SetTradingMode(TradingMode.HALTED))
    outcome = await world.do(SetTradingMode(TradingMode.ACTIVE))
    assert outcome.text.startswith("New entries are allowed again.")


async def test_a_second_panic_says_that_all_is_being_sold_and_tells_of_no_second_halt(
    world: AgentWorld,
) -> None:
    await world.protect("58000", HALF)
    world.exchange.is_hanging = True
    await world.do(Panic())
    again = await world.do(Panic())
    assert again.text == "All of it is being sold already: see /orders."
    assert len(world.store.of(events.TradingModeChanged)) == 1
    world.exchange.is_hanging = False
    await world.until_sold("0.25")
    assert (await world.do(Panic())).text == "Nothing is left to sell."


async def test_panic_with_everything_sells_unmanaged_coins_too(world: AgentWorld) -> None:
    await world.protect("58000", HALF)
    await world.do(Panic(everything=True))
    await world.time.until(lambda: world.exchange.coins["ADA"] == 0, 60)
    await world.time.until(lambda: world.exchange.coins["BTC"] == 0, 60)


async def test_a_panic_with_everything_asks_for_all_that_it_will_sell(world: AgentWorld) -> None:
    await world.protect("58000", HALF)
    world.exchange.coins["XRP"] = Decimal(5)
    await world.time.finish(world.agent.jobs()["balances"]())
    asked = {}
    for command in (Panic(), Panic(everything=True)):
        facts = (await world.time.finish(world.desk.propose(command, OWNER))).facts
        assert isinstance(facts, CloseProposal)
        asked[command.everything] = facts
    assert [(line.base, line.quantity) for line in asked[True].lines] == [("BTC", HALF.value)]
    also = [(line.base, line.quantity) for line in asked[True].unmanaged]
    assert also == [("BTC", HALF.value), ("ADA", Decimal(1000))]
    assert asked[True].unsellable == (("XRP", Decimal(5)),)
    assert asked[False].unsellable == ()
    await world.do(Panic(everything=True))
    await world.time.until(lambda: world.exchange.coins["BTC"] == 0, 60)
    assert world.exchange.coins["XRP"] == 5


async def test_panic_is_one_transaction_with_every_sale(world: AgentWorld) -> None:
    await world.protect()
    world.store.lose(reserve_too=True)
    appended = len(world.store.all_events)
    await world.do(Panic())
    # Nothing was durable, and still every protective sale went out once.
    assert len(world.store.all_events) == appended
    world.store.heal()
    await world.until_sold("0.5")


async def test_a_purchase_is_managed_from_its_fills(world: AgentWorld) -> None:
    proposal = await world.desk.propose(buy("600"), OWNER)
    assert proposal.reference_price == Decimal("60000.01")
    await world.do(buy("600"))
    await world.time.until(lambda: bool(world.desk.positions()), 60)
    [position] = world.desk.positions()
    # 600 / (60,000.01 * 1.005) floored to the step.
    assert Decimal("0.0099") < position.position.quantity <= Decimal("0.01")
    assert not position.is_protected


async def test_a_purchase_is_refused_when_the_price_has_moved_since_the_card(
    world: AgentWorld,
) -> None:
    proposal = await world.desk.propose(buy("600"), OWNER)
    await world.move("61000")
    await world.move("61000")
    with pytest.raises(Refused, match="moved"):
        await world.desk.execute(proposal.command, OWNER, "late", proposal.reference_price)
    assert world.exchange.sent == []


@pytest.mark.parametrize(
    ("amount", "words"),
    [
        (Amount(AmountKind.QUOTE, Decimal(20_000)), "more than what is free"),
        (Amount(AmountKind.QUOTE, Decimal(1)), "too little"),
        (Amount(AmountKind.ALL), "should say how much"),
        (Amount(AmountKind.BASE, Decimal(5)), "more than what is free"),
    ],
)
async def test_an_impossible_purchase_is_refused_with_the_rule(
    world: AgentWorld, amount: Amount, words: str
) -> None:
    with pytest.raises(Refused, match=words):
        await world.do(PlaceOrder("BTC/USDT", Side.BUY, amount))
    assert world.exchange.sent == []


@pytest.mark.parametrize(
    ("amount", "is_last"),
    [
        (Amount(AmountKind.ALL), True),
        # What comes under care with it is sold with it.
        (Amount(AmountKind.BASE, Decimal("0.1")), True),
    ],
)
async def test_a_cooldown_that_can_only_happen_once_says_so_before_it_is_armed(
    world: AgentWorld, amount: Amount, is_last: bool
) -> None:
    spec = replace(stop_spec(amount=amount), then=Then(ThenKind.COOLDOWN))
    facts = (await world.desk.propose(ArmTracker(spec), OWNER)).facts
    assert isinstance(facts, TrackerProposal)
    assert any("once and no more" in note for note in facts.notes) is is_last


async def test_a_cooldown_that_leaves_something_is_not_warned_of(world: AgentWorld) -> None:
    await world.protect()
    [tracker] = world.agent.trackers.all()
    half = Amount(AmountKind.SHARE, Decimal("0.5"))
    await world.do(CancelTracker(tracker.tracker_id))
    spec = replace(stop_spec(amount=half), then=Then(ThenKind.COOLDOWN))
    facts = (await world.desk.propose(ArmTracker(spec), OWNER)).facts
    assert isinstance(facts, TrackerProposal)
    assert not any("once and no more" in note for note in facts.notes)
    money = replace(_breakout("61000"), then=Then(ThenKind.COOLDOWN))
    for budget, is_last in ((Amount(AmountKind.QUOTE, Decimal(500)), False), (half, False)):
        asked = await world.desk.propose(ArmTracker(replace(money, amount=budget)), OWNER)
        assert isinstance(asked.facts, TrackerProposal)
        assert any("once and no more" in note for note in asked.facts.notes) is is_last


@pytest.mark.parametrize("amount", ["100", "299.7", "1234.5"])
async def test_a_purchase_is_asked_for_as_it_is_sent(world: AgentWorld, amount: str) -> None:
    command = PlaceOrder("BTC/USDT", Side.BUY, Amount(AmountKind.QUOTE, Decimal(amount)))
    facts = (await world.desk.propose(command, OWNER)).facts
    assert isinstance(facts, OrderProposal)
    await world.do(command)
    await world.time.settle()
    [sent] = world.exchange.sent
    assert sent.quantity == facts.quantity


async def test_a_breakout_is_bought_on_a_print_that_is_newer_than_the_book(
    world: AgentWorld,
) -> None:
    await world.do(ArmTracker(_breakout("62500")))
    await _lag_behind(world, "62950")
    [opened] = world.store.of(IntentOpened)
    assert opened.intent.reference_price == 62_950
    # The book of before the rise would have priced it below what is asked for now.
    [request] = world.exchange.sent
    assert request.price is not None
    assert request.price >= 62_950
    world.exchange.move("BTC/USDT", "62950")
    await world.time.until(lambda: world.exchange.filled(Side.BUY) > 0, 10)


async def test_a_book_that_is_newer_than_the_print_still_bounds_a_purchase(
    world: AgentWorld,
) -> None:
    await _lag_behind(world, "62950")
    assert world.agent.prices.newest("BTC/USDT") == 62_950
    world.time.advance(0.1)
    world.exchange.show(_wide_book(world))
    assert world.agent.prices.newest("BTC/USDT") == 59_700
    order = PlaceOrder(
        "BTC/USDT", Side.BUY, Amount(AmountKind.QUOTE, Decimal(500)), limit_price=Decimal(62_950)
    )
    with pytest.raises(Refused, match="more than 5% from the market at 59700"):
        await world.do(order)


def _breakout(level: str) -> TrackerSpec:
    amount = Amount(AmountKind.QUOTE, Decimal(500))
    return TrackerSpec(TrackerKind.BREAKOUT, "BTC/USDT", amount, level=Decimal(level))


def _wide_book(world: AgentWorld) -> Quote:
    return replace(world.exchange.quote_now("BTC/USDT"), bid=Decimal(59_400), ask=Decimal(60_000))


async def _lag_behind(world: AgentWorld, price: str) -> None:
    """Show a book, and a moment later a print more than 5% above its middle."""
    await world.agent.prices.look("BTC/USDT")
    world.agent._watch()
    await world.time.settle()
    world.exchange.show(_wide_book(world))
    world.time.advance(0.2)
    world.exchange.print_alone("BTC/USDT", price)
    await world.time.settle()


async def test_more_than_the_account_holds_cannot_be_sold(world: AgentWorld) -> None:
    with pytest.raises(Refused, match="more than can be sold"):
        await world.do(PlaceOrder("BTC/USDT", Side.SELL, Amount(AmountKind.BASE, Decimal(2))))


async def test_selling_what_the_account_does_not_hold_is_said_and_no_example_fails(
    world: AgentWorld,
) -> None:
    world.exchange.coins["ADA"] = Decimal(0)
    await world.kill()
    await world.start()
    for amount in (Amount(AmountKind.BASE, Decimal(1)), Amount(AmountKind.ALL)):
        with pytest.raises(Refused, match="there is no ADA to sell") as caught:
            await world.do(PlaceOrder("ADA/USDT", Side.SELL, amount))
        assert caught.value.example == "/balance"


async def test_tightening_acts_and_loosening_asks(world: AgentWorld) -> None:
    await world.protect()
    tighter = await world.desk.propose(EditTracker(1, level=Decimal(59_000)), OWNER)
    assert not tighter.needs_confirmation
    looser = await world.desk.propose(EditTracker(1, level=Decimal(50_000)), OWNER)
    assert looser.needs_confirmation
    await world.do(EditTracker(1, level=Decimal(59_000)))
    assert world.desk.tracker(1).level == Decimal(59_000)
    await world.do(EditTracker(1, amount=HALF))
    assert world.desk.tracker(1).tracker.quantity == Decimal("0.25")


async def test_a_paused_tracker_does_not_fire_and_says_so(world: AgentWorld) -> None:
    await world.protect()
    proposal = await world.desk.propose(PauseTracker(1), OWNER)
    assert proposal.needs_confirmation
    await world.do(PauseTracker(1))
    assert not world.desk.tracker(1).is_protecting
    await world.move("57990")
    assert world.exchange.sent == []
    with pytest.raises(Refused, match="crossed"):
        await world.do(ResumeTracker(1))
    await world.do(CancelTracker(1))
    assert world.desk.trackers() == []
    with pytest.raises(Refused, match="no live tracker #1"):
        world.desk.tracker(1)


async def test_a_trigger_under_halt_everything_waits_and_is_sold_on_demand(
    world: AgentWorld,
) -> None:
    await world.protect()
    await world.do(SetTradingMode(TradingMode.HALTED_EVERYTHING))
    await world.move("57990")
    await world.time.until(lambda: world.desk.tracker(1).tracker.state is TrackerState.BLOCKED, 10)
    assert world.exchange.sent == []
    [blocked] = world.desk.standing().blocked
    assert "UNPROTECTED" in blocked.reason
    # The tracker is the one alarm: it has the buttons.
    await world.time.pass_by(130)
    assert world.desk.status().alerts == ()
    assert _changes(world, TrackerChange.BLOCKED) == 1
    assert world.desk.status().exits_blocked == 1
    await world.do(ExitNow(1))
    await world.until_sold("0.5")
    assert world.desk.status().exits_blocked == 0


def _changes(world: AgentWorld, change: TrackerChange) -> int:
    return sum(event.change is change for event in world.store.of(TrackerChanged))


async def test_a_foreign_sale_that_is_booked_ends_the_exit_of_those_coins(
    world: AgentWorld,
) -> None:
    await world.protect()
    await world.do(SetTradingMode(TradingMode.HALTED_EVERYTHING))
    await world.move("57990")
    await world.agent.record(_left("0.3", world))
    await world.time.until(lambda: _wanted(world) == [Decimal("0.2")], 5)
    await world.do(ExitNow(1))
    await world.until_sold("0.2")
    assert world.desk.trackers() == []


async def test_coins_that_an_exit_has_sold_are_not_taken_from_another_tracker(
    world: AgentWorld,
) -> None:
    await world.protect("58000", HALF)
    await world.protect("50000", Amount(AmountKind.BASE, Decimal("0.2")))
    world.exchange.depth["BTC/USDT"] = Decimal("0.1")
    await world.move("57990")
    await world.time.until(lambda: world.exchange.filled() == Decimal("0.1"), 10)
    await world.agent.record(_left("0.05", world))
    await world.time.settle()
    # 0.45 were managed, 0.1 are sold and 0.05 left: 0.15 still to sell, 0.15 for the other.
    assert world.desk.tracker(2).tracker.quantity == Decimal("0.15")


def _left(quantity: str, world: AgentWorld) -> PositionAdjusted:
    return PositionAdjusted(
        "BTC/USDT",
        -Decimal(quantity),
        Decimal(58_000),
        AdjustReason.EXTERNAL,
        "sold outside of Umbra",
        world.time.now(),
    )


def _wanted(world: AgentWorld) -> list[Decimal]:
    return [intent.quantity for intent in world.agent.execution.intents]


async def test_an_alert_is_acknowledged_once(world: AgentWorld) -> None:
    await world.agent.alarms.alert("storage", "the disk is full")
    assert [alert.text for alert in world.desk.status().alerts] == ["the disk is full"]
    await world.do(AcknowledgeAlerts())
    assert world.desk.status().alerts == ()
    assert "no alert" in (await world.do(AcknowledgeAlerts())).text


async def test_a_block_that_was_written_just_before_a_death_reaches_its_tracker(
    world: AgentWorld,
) -> None:
    await world.protect()
    world.exchange.is_down = True
    await world.move("57990")
    [intent] = world.agent.execution.intents
    await world.kill()
    blocked = replace(intent, state=IntentState.BLOCKED, reason="key refused: no")
    await world.store.journal.append(IntentChanged(blocked, world.time.now()))
    world.exchange.is_down = False
    await world.start()
    assert _changes(world, TrackerChange.BLOCKED) == 1


async def test_what_a_resume_lets_go_is_said_before_it_is_sold(world: AgentWorld) -> None:
    await world.protect()
    await world.do(SetTradingMode(TradingMode.HALTED_EVERYTHING))
    await world.move("57990")
    [trigger] = [
        fact for fact in world.store.of(TrackerChanged) if fact.change is TrackerChange.TRIGGERED
    ]
    assert "UNPROTECTED" in trigger.reason
    for mode in (TradingMode.ACTIVE, TradingMode.REDUCING, TradingMode.HALTED):
        proposal = await world.desk.propose(SetTradingMode(mode), OWNER)
        assert proposal.needs_confirmation
        assert isinstance(proposal.facts, PlainProposal)
        assert "SOLD AT ONCE, for it has fired: 0.5 BTC (#1)" in proposal.facts.text
    await world.do(SetTradingMode(TradingMode.ACTIVE))
    await world.until_sold("0.5")


async def test_the_card_of_a_start_says_what_is_held_watched_and_to_be_done(
    world: AgentWorld,
) -> None:
    await world.protect()
    await world.agent.beat()
    await world.kill()
    await world.start()
    assert world.store.of(RecoveryReported)[-1].lines == (
        "Nothing fired meanwhile; there is nothing to do.",
        "At 12:00:00 UTC:",
        "Under care: 0.5 BTC",
        "Watched again: 1",
    )
    await world.kill()
    world.exchange.set_price("BTC/USDT", "57000")
    await world.start()
    found, *others = world.store.of(RecoveryReported)[-1].lines
    assert found.startswith("#1 BTC/USDT: fired now: the price 57000 is beyond 58000")
    assert found.endswith("; selling 0.5 BTC")
    assert "Fired while starting" not in " ".join(others)


async def test_the_card_of_a_start_does_not_keep_under_care_what_an_order_has_sold(
    world: AgentWorld,
) -> None:
    await world.protect()
    await world.agent.beat()
    world.exchange.on_report = None
    lost = world.exchange.fail("lost_after", after_s=5)
    await world.do(Panic())
    await world.kill()
    assert world.exchange.coins["BTC"] == 0
    # What it has filled is known, and its executions are not listed yet.
    world.exchange.lists_executions = False
    listed = world.exchange.fail("no_listing", times=2)
    await world.start()
    assert lost.fired == 1
    assert listed.fired
    text = " · ".join(world.store.of(RecoveryReported)[-1].lines)
    assert "selling 0.5, 0.5 filled" in text
    assert "Sold or being sold: 0.5 BTC · Under care: no coins" in text
    assert "short" not in text
    assert "NOT PROTECTED" not in text
    await world.until_sold("0.5")


async def test_the_card_of_a_start_calls_no_dust_unprotected(world: AgentWorld) -> None:
    await world.protect("58000", Amount(AmountKind.BASE, Decimal("0.5")))
    dust = PositionAdjusted(
        "ADA/USDT", Decimal("0.04"), Decimal("0.9"), AdjustReason.ADOPTED, "", world.time.now()
    )
    await world.store.journal.append(dust)
    await world.kill()
    await world.start()
    lines = world.store.of(RecoveryReported)[-1].lines
    assert world.agent.state.book.managed("ADA/USDT") == Decimal("0.04")
    assert "ADA" not in " ".join(lines)
    assert "Under care: 0.5 BTC" in lines


async def test_a_purchase_that_no_limit_would_ever_let_pass_is_refused_when_it_is_armed(
    world: AgentWorld,
) -> None:
    spec = replace(_breakout("61000"), amount=Amount(AmountKind.QUOTE, Decimal(4_000)))
    proposal = await world.desk.propose(ArmTracker(spec), OWNER)
    assert proposal.needs_confirmation
    outcome = await world.do(ArmTracker(spec))
    await world.kill()
    world.limits = RiskLimits(order_notional_max=Decimal(3_000))
    await world.start()
    with pytest.raises(Refused, match="4000 USDT is above the limit of 3000 per order") as refused:
        await world.desk.propose(ArmTracker(spec), OWNER)
    assert refused.value.example == "3000 USDT"
    bought = PlaceOrder("BTC/USDT", Side.BUY, Amount(AmountKind.QUOTE, Decimal(4_000)))
    with pytest.raises(Refused, match="4000 USDT is above the limit of 3000 per order") as refused:
        await world.desk.propose(bought, OWNER)
    assert refused.value.example == "/buy BTC/USDT 3000 USDT"
    assert outcome.tracker_id is not None
    more = EditTracker(outcome.tracker_id, amount=Amount(AmountKind.QUOTE, Decimal(3_500)))
    with pytest.raises(Refused, match="3500 USDT is above the limit of 3000 per order"):
        await world.desk.propose(more, OWNER)


async def test_a_sale_that_is_too_small_is_answered_with_a_small_one_that_is_not(
    world: AgentWorld,
) -> None:
    little = PlaceOrder("BTC/USDT", Side.SELL, Amount(AmountKind.QUOTE, Decimal("4.9")))
    with pytest.raises(Refused, match="too little") as refused:
        await world.desk.propose(little, OWNER)
    assert refused.value.example == "/sell BTC/USDT 10 USDT"
    enough = PlaceOrder("BTC/USDT", Side.SELL, Amount(AmountKind.QUOTE, Decimal(10)))
    assert (await world.desk.propose(enough, OWNER)).needs_confirmation


async def test_also_a_return_within_a_second_was_blind(world: AgentWorld) -> None:
    await world.agent.beat()
    await world.kill()
    world.time.advance(0.2)
    await world.start()
    assert world.store.of(RecoveryReported)[-1].blind_seconds == 1


async def test_a_block_for_another_reason_is_told_anew(world: AgentWorld) -> None:
    await world.protect()
    await world.do(SetTradingMode(TradingMode.HALTED_EVERYTHING))
    await world.move("57990")
    [intent] = world.agent.execution.intents
    for reason in ("coins are not free: 0 of 0.5", "coins are not free: 0 of 0.5", "key refused"):
        changed = replace(intent, state=IntentState.BLOCKED, reason=reason)
        await world.agent.record(IntentChanged(changed, world.time.now()))
        await world.time.settle()
    assert _changes(world, TrackerChange.BLOCKED) == 3
    assert world.desk.tracker(1).tracker.reason == "key refused"


@pytest.mark.parametrize("command", [PauseTracker(1), CancelTracker(1)])
async def test_who_takes_protection_away_is_told_what_it_was_worth(
    world: AgentWorld, command: Command
) -> None:
    await world.protect()
    proposal = await world.desk.propose(command, OWNER)
    assert isinstance(proposal.facts, PlainProposal)
    # 0.5 BTC at 60,000 with a stop at 58,000.
    assert "Worst case now -1,000 USDT, then without a limit." in proposal.facts.text


async def test_a_blocked_exit_can_be_given_up(world: AgentWorld) -> None:
    await world.protect()
    with pytest.raises(Refused, match="#1 is waiting, not blocked"):
        await world.do(AbortIntent(1))
    await world.do(SetTradingMode(TradingMode.HALTED_EVERYTHING))
    await world.move("57990")
    await world.time.until(lambda: world.desk.tracker(1).tracker.state is TrackerState.BLOCKED, 10)
    proposal = await world.desk.propose(AbortIntent(1), OWNER)
    assert proposal.needs_confirmation
    assert isinstance(proposal.facts, PlainProposal)
    assert "BTC stays unsold and will NOT be protected." in proposal.facts.text
    await world.do(AbortIntent(1))
    await world.time.until(lambda: not world.desk.trackers(), 10)
    assert world.exchange.sent == []


async def test_ending_a_halt_asks_at_each_step_and_pausing_does_not(world: AgentWorld) -> None:
    assert not (await _asks(world, TradingMode.REDUCING))
    assert not (await _asks(world, TradingMode.HALTED))
    await world.do(SetTradingMode(TradingMode.HALTED))
    assert await _asks(world, TradingMode.ACTIVE)
    # Two steps must not do without a question what one step asks for.
    assert await _asks(world, TradingMode.REDUCING)
    assert not (await _asks(world, TradingMode.HALTED))
    await world.do(SetTradingMode(TradingMode.ACTIVE))
    assert await _asks(world, TradingMode.HALTED_EVERYTHING)
    modes = [event.mode for event in world.store.of(TradingModeChanged)]
    assert modes == [TradingMode.HALTED, TradingMode.ACTIVE]


async def test_what_halted_everything_lets_go_is_asked_for_though_nothing_has_fired(
    world: AgentWorld,
) -> None:
    await world.do(SetTradingMode(TradingMode.HALTED_EVERYTHING))
    for mode in (TradingMode.HALTED, TradingMode.REDUCING, TradingMode.ACTIVE):
        assert await _asks(world, mode)
    facts = (await world.desk.propose(SetTradingMode(TradingMode.REDUCING), OWNER)).facts
    assert isinstance(facts, PlainProposal)
    assert facts.text.endswith("This ends the halt.")


async def _asks(world: AgentWorld, mode: TradingMode) -> bool:
    return (await world.desk.propose(SetTradingMode(mode), OWNER)).needs_confirmation


async def test_a_halt_survives_a_restart(world: AgentWorld) -> None:
    await world.do(SetTradingMode(TradingMode.HALTED))
    await world.kill()
    await world.start()
    assert world.desk.status().state is TradingMode.HALTED


@pytest.mark.fault("P08", "CRIT")
async def test_crash_upon_crash_leads_to_protection_only_and_a_person_ends_it(
    world: AgentWorld,
) -> None:
    await world.protect()
    for _ in range(2):
        await world.kill()
        await world.start()
    assert world.desk.status().state is TradingMode.ACTIVE
    await world.kill()
    await world.start()
    fired(len(world.store.of(ProcessStarted)) - 1, words="crashes within five minutes")
    status = world.desk.status()
    assert status.state is TradingMode.REDUCING
    [alert] = status.alerts
    assert alert.severity is Severity.CRIT
    assert "SAFE MODE: 3 crashes within 5 minutes" in alert.text
    with pytest.raises(Refused, match="reducing"):
        await world.do(PlaceOrder("BTC/USDT", Side.BUY, Amount(AmountKind.QUOTE, Decimal(100))))
    await world.move("57990")
    await world.until_sold("0.5")
    await world.do(SetTradingMode(TradingMode.ACTIVE))
    assert world.desk.status().state is TradingMode.ACTIVE


async def test_orderly_restarts_and_crashes_long_ago_are_no_crash_loop(world: AgentWorld) -> None:
    for _ in range(4):
        await world.kill()
        world.time.advance(150)
        await world.start()
    assert world.desk.status().state is TradingMode.ACTIVE


async def test_a_daily_loss_refuses_new_risk_until_the_person_resumes(world: AgentWorld) -> None:
    # Half a Bitcoin falls by 10,000: 5,000 of 40,900.
    world.exchange.set_price("BTC/USDT", "50000")
    await world.agent.jobs()["balances"]()
    status = world.desk.status()
    assert status.state is TradingMode.REDUCING
    assert status.trading_mode is not None
    assert "daily loss" in status.trading_mode.reason


async def test_a_key_that_may_withdraw_is_told_once(world: AgentWorld) -> None:
    rights = await world.exchange.permissions()

    async def dangerous() -> object:
        return replace(rights, can_withdraw=True)

    world.exchange.permissions = dangerous  # type: ignore[method-assign,assignment]
    await world.agent.jobs()["key_permissions"]()
    await world.agent.jobs()["key_permissions"]()
    alerts = [alert.text for alert in world.store.of(AlertRaised)]
    assert len([text for text in alerts if "withdraw" in text]) == 1


async def test_the_desk_answers_from_memory(world: AgentWorld) -> None:
    await world.protect("58000", HALF)
    await world.move("60100")
    status = world.desk.status()
    assert (status.trackers_waiting, status.trackers_acting, status.trackers_paused) == (1, 0, 0)
    assert status.is_simulated
    assert world.desk.mode == "live"
    account = world.desk.account()
    assert account.balances[0].balance.asset == "BTC"
    assert account.balances[0].managed == Decimal("0.25")
    [position] = world.desk.positions()
    assert position.unmanaged == Decimal("0.25")
    # A quarter of a coin, 2,100 below the present price.
    assert position.worst_case == Decimal(-525)
    view = world.desk.tracker(1)
    assert view.gap is not None
    assert view.gap < 0
    assert world.desk.quote("BTC/USDT") is not None
    assert world.desk.health().tasks == {"market": 5.0}
    assert {job.name for job in world.desk.jobs()} >= {"tracker_sweep", "full_reconcile"}
    assert world.desk.instrument("btcusdt").symbol == "BTC/USDT"
    assert world.desk.open_orders() == []


async def test_who_looks_at_a_symbol_that_nobody_watches_has_its_price_within_a_deadline(
    world: AgentWorld,
) -> None:
    assert world.desk.quote("ADA/USDT") is None
    world.exchange.is_hanging = True
    began_s = world.time.monotonic()
    assert await world.time.finish(world.desk.look("ADA/USDT")) is None
    assert world.time.monotonic() - began_s <= 2.0
    world.exchange.is_hanging = False
    seen = await world.time.finish(world.desk.look("ADA/USDT"))
    assert seen is not None
    assert abs(seen.mid - Decimal("0.9")) < Decimal("0.001")
    assert world.desk.quote("ADA/USDT") == seen
    assert "ADA/USDT" in world.agent.prices.asked()


async def test_a_level_that_is_crossed_and_not_confirmed_is_seen_as_crossed(
    world: AgentWorld,
) -> None:
    confirm = Confirm(ConfirmKind.TICKS, 3)
    await world.do(ArmTracker(replace(stop_spec("59900"), confirm=confirm)))
    assert world.desk.tracker(1).crossing is None
    world.exchange.move("BTC/USDT", "59850")
    await world.time.settle()
    crossing = world.desk.tracker(1).crossing
    assert crossing is not None
    assert 1 <= crossing.ticks < 3
    [listed] = world.desk.trackers()
    assert listed.crossing == crossing
    world.exchange.move("BTC/USDT", "59950")
    await world.time.settle()
    assert world.desk.tracker(1).crossing is None


async def test_a_trigger_is_counted_however_often_stops_have_moved_since(
    world: AgentWorld,
) -> None:
    began = world.time.now()
    await world.protect()
    await world.move("57990")
    await world.until_sold("0.5")
    (fired,) = (
        event
        for event in world.store.of(events.TrackerChanged)
        if event.change is TrackerChange.TRIGGERED
    )
    moved = events.TrackerChanged(fired.tracker, TrackerChange.MOVED, world.time.now())
    await world.store.append(*[moved] * 1001)
    assert (await world.desk.summary(began)).triggers == 1


async def test_the_desk_answers_from_storage(world: AgentWorld) -> None:
    began = world.time.now()
    await world.protect()
    await world.move("57990")
    await world.until_sold("0.5")
    summary = await world.desk.summary(began)
    assert summary.triggers == 1
    assert len(summary.fills) == len(await world.desk.fills(None, 10)) == 1
    assert len(await world.desk.audit(5)) == 5
    chart = await world.desk.chart("BTC/USDT", Timeframe("15m"), 10)
    assert chart.price == Decimal(57990)


async def test_an_atr_distance_needs_candles(world: AgentWorld) -> None:
    spec = replace(stop_spec(), trail=Distance(atr_multiple=Decimal("2.5")))
    with pytest.raises(Refused, match="ATR"):
        await world.do(ArmTracker(spec))


@pytest.mark.parametrize("is_sale", [True, False])
async def test_coins_that_another_symbol_manages_are_not_called_none(*, is_sale: bool) -> None:
    world = AgentWorld()
    world.exchange.rules["BTC/USDC"] = coin("BTC", "USDC")
    world.exchange.prices["BTC/USDC"] = Decimal(60_000)
    async with world:
        await world.protect()
        command: Command = ArmTracker(replace(stop_spec(), symbol="BTC/USDC"))
        if is_sale:
            command = PlaceOrder("BTC/USDC", Side.SELL, Amount(AmountKind.ALL))
        with pytest.raises(Refused, match=r"all 0.5 BTC are managed under BTC/USDT") as refused:
            await world.do(command)
        assert refused.value.example == "/positions"


async def test_the_clock_on_the_health_card_is_the_newest_that_was_read(world: AgentWorld) -> None:
    assert world.desk.health().clock_offset_ms == 0

    async def behind() -> int:
        return 30_000

    world.exchange.clock_offset_ms = behind  # type: ignore[method-assign]
    await world.time.finish(world.agent.jobs()["exchange_probe"]())
    assert world.desk.health().clock_offset_ms == 30_000


async def test_an_orderly_stop_leaves_a_sign_of_life(world: AgentWorld) -> None:
    await world.protect()
    await world.time.finish(world.agent.stop("asked to stop"))
    stored = await world.store.records.state()
    assert stored.last_alive_at == world.time.now()
    with pytest.raises(Refused, match="starting"):
        await world.desk.propose(CloseAll(), OWNER)


def buy(quote: str) -> PlaceOrder:
    return PlaceOrder("BTC/USDT", Side.BUY, Amount(AmountKind.QUOTE, Decimal(quote)))


@pytest.mark.fault("M07", "TELL SAID")
async def test_a_quote_currency_that_left_its_peg_is_told_and_so_is_its_return() -> None:
    world = AgentWorld()
    for name in ("USDC", "FDUSD"):
        world.exchange.rules[f"{name}/USDT"] = coin(name)
        world.exchange.prices[f"{name}/USDT"] = Decimal(1)
    async with world:
        await world.protect()
        balances = world.agent.jobs()["balances"]
        await world.time.finish(balances())
        assert not world.agent.state.has_condition(OFF_PEG)
        worth = world.agent.state.book.equity()
        for name in ("USDC", "FDUSD"):
            world.exchange.set_price(f"{name}/USDT", "1.54")
        apart = [price for name, price in world.exchange.prices.items() if price == Decimal("1.54")]
        await world.time.finish(balances())
        [told] = [one for one in world.store.of(ConditionChanged) if one.condition == OFF_PEG]
        assert told.severity is Severity.CRIT
        assert "USDT is worth 0.6494 of other dollars" in told.text
        # The stop keeps its number, and the account is valued in the currency that was set.
        assert world.agent.trackers.all()[0].stop_price == Decimal(58_000)
        assert world.agent.state.book.equity() == worth
        for name in ("USDC", "FDUSD"):
            world.exchange.set_price(f"{name}/USDT", "1.001")
        await world.time.finish(balances())
        assert not world.agent.state.has_condition(OFF_PEG)
        fired(apart, words=told.text)


async def test_the_status_counts_prices_that_were_not_believed_after_the_first(
    world: AgentWorld,
) -> None:
    sweep = world.agent.jobs()["staleness_watch"]
    for price in ("6000", "600000"):
        await world.protect(amount=HALF)
        world.exchange.print_alone("BTC/USDT", price)
        world.exchange.set_price("BTC/USDT", "60000")
        await world.time.pass_by(2.0)
        await world.time.finish(sweep())
        await world.time.settle()
    [told] = world.store.of(ConditionChanged)
    assert told.text.startswith("a price of BTC/USDT, 6000, was not believed")
    [shown] = world.desk.status().conditions
    assert shown.text.startswith("2 prices of BTC/USDT were not believed, the last 600000")
    assert world.exchange.filled() == 0


async def test_a_sale_by_hand_while_down_leaves_no_doubt_about_the_account(
    world: AgentWorld,
) -> None:
    await world.protect()
    await world.kill()
    await world.time.pass_by(5)
    world.exchange.sell_by_hand("BTC/USDT", "0.3")
    await world.start()
    await world.time.finish(world.agent.jobs()["balances"]())
    assert world.agent.state.book.managed_of("BTC") == Decimal("0.2")
    assert not world.agent.state.has_condition(BALANCES_DISAGREE)
    conditions = [one.condition for one in world.store.of(ConditionChanged)]
    assert BALANCES_DISAGREE not in conditions


async def test_the_prices_of_everything_are_asked_for_once_a_round() -> None:
    world = AgentWorld()
    for name in ("USDC", "FDUSD"):
        world.exchange.rules[f"{name}/USDT"] = coin(name)
        world.exchange.prices[f"{name}/USDT"] = Decimal(1)
    world.exchange.coins["USDC"] = Decimal(100)
    asked, last_prices = [], world.exchange.last_prices

    async def counted() -> Mapping[str, Decimal]:
        asked.append(world.time.now())
        return await last_prices()

    async with world:
        await world.protect()
        world.exchange.last_prices = counted  # type: ignore[method-assign]
        await world.time.finish(world.agent.jobs()["balances"]())
        # USDC is held without a live price, and USDT may leave its peg: one answer tells both.
        assert len(asked) == 1
        assert world.agent.state.book.value("USDC", Decimal(100)) == world.exchange.quote_now(
            "USDC/USDT"
        ).bid * Decimal(100)


async def test_a_halt_that_is_asked_for_while_a_start_reads_what_is_stored_counts(
    world: AgentWorld,
) -> None:
    await world.kill()
    read = world.store.state

    async def halted_meanwhile() -> StoredState:
        found = await read()
        world.store.state = read  # type: ignore[method-assign]
        now = world.time.now()
        await world.agent.record(TradingModeChanged(TradingMode.HALTED, "halt", "0", now))
        return found

    world.store.state = halted_meanwhile  # type: ignore[method-assign]
    await world.start()
    assert world.agent.state.mode is TradingMode.HALTED
    # No second word of it is needed.
    assert len(world.store.of(TradingModeChanged)) == 1


async def test_a_disk_that_is_full_again_as_soon_as_a_start_watches_ends_nothing(
    world: AgentWorld,
) -> None:
    await world.protect()
    await world.kill()
    append, lost, reports = world.store.append, [], len(world.store.of(RecoveryReported))

    async def full_once_ready(*new: Event, **more: bool) -> int:
        if world.agent.is_ready:
            lost.append(new)
            raise StorageLost("disk full")
        return await append(*new, **more)

    world.store.append = full_once_ready  # type: ignore[method-assign]
    await world.start()
    assert lost
    world.store.append = append  # type: ignore[method-assign]
    await world.time.pass_by(5)
    # Once the disk takes it, what was found is told once.
    assert len(world.store.of(RecoveryReported)) == reports + 1
    await world.move("57900")
    await world.until_sold("0.5")
