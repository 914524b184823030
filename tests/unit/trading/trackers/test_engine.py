"""The tracker engine: durable before acting, one trigger per arming, and nothing forgotten."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal

import pytest

from tests.builders import NOON, fill
from tests.catalogue import fired
from tests.fakes.clock import FakeClock
from tests.fakes.memory_store import MemoryStore
from tests.unit.trading.trackers.make import BTC, armed, candle, d, line, observation
from trading.domain.chat import Severity
from trading.domain.errors import (
    AlreadyRecorded,
    InstanceConflict,
    Refused,
    StorageLost,
    Unreachable,
)
from trading.domain.events import AlertRaised, ConditionChanged, Event, TrackerChanged
from trading.domain.order import BACKSTOP_SOLD, Fill, Intent, IntentState, Purpose, Side
from trading.domain.time import Timeframe, to_ms
from trading.domain.tracker import (
    Evidence,
    Then,
    ThenKind,
    Tracker,
    TrackerChange,
    TrackerKind,
    TrackerState,
)
from trading.market.gap import Gap
from trading.right_of_way import RightOfWay
from trading.trackers import trailing
from trading.trackers.engine import UNRECORDED, UNSAVED, Hooks, TrackerEngine, TrackerSettings
from trading.trackers.slices import Holdings

COOLDOWN = Then(ThenKind.COOLDOWN)
_QUICK = TrackerSettings(retry_s_first=0.001, retry_s_max=0.002)


@dataclass
class Desk:
    """An engine with a store, and the agent's side of it as a fake with memory."""

    clock: FakeClock = field(default_factory=FakeClock)
    store: MemoryStore = field(default_factory=MemoryStore)
    published: list[Event] = field(default_factory=list)
    conditions: list[ConditionChanged] = field(default_factory=list)
    fires: list[Tracker] = field(default_factory=list)
    fails: list[Exception] = field(default_factory=list)
    gate: asyncio.Event | None = None
    way: RightOfWay = field(default_factory=RightOfWay)
    may_enter: bool = True
    is_stale: bool = False
    holdings: Holdings = field(default_factory=lambda: Holdings(d("0.5"), d(0), d(1000)))

    def __post_init__(self) -> None:
        self.engine = TrackerEngine(
            self.store,
            self.clock,
            Hooks(
                instruments={BTC.symbol: BTC},
                fire=self.fire,
                may_enter=lambda _: self.may_enter,
                is_stale=lambda _: self.is_stale,
                publish=self.publish,
                on_condition=self.conditions.append,
                holdings=lambda _: self.holdings,
                way=self.way,
            ),
            _QUICK,
        )

    async def fire(self, tracker: Tracker, evidence: Evidence) -> None:
        self.fires.append(tracker)
        if self.gate is not None:
            await self.gate.wait()
        if self.fails:
            raise self.fails.pop(0)
        event = TrackerChanged(tracker, TrackerChange.TRIGGERED, self.clock.now(), evidence)
        await self.store.append(event)
        self.publish(event)

    def publish(self, *events: Event) -> None:
        self.published += events
        # The agent hands every durable fact back, its own included.
        self.engine.applied(*events)

    def see(self, price: object, seconds: float = 0) -> None:
        self.engine.observe(observation(price, seconds))

    def changes(self) -> list[tuple[int, TrackerChange]]:
        facts = self.store.of(TrackerChanged)
        return [(fact.tracker.tracker_id, fact.change) for fact in facts]

    async def until(self, is_true: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not is_true():
                await asyncio.sleep(0.001)


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    """A desk whose engine runs."""
    desk = Desk()
    running = asyncio.create_task(desk.engine.run())
    await asyncio.sleep(0)
    yield desk
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


def _stop(number: int = 1, level: object = 58000) -> Tracker:
    return armed(TrackerKind.STOP, 60000, number, level=level)


def _intent(tracker: Tracker, state: IntentState = IntentState.DONE) -> Intent:
    return Intent(
        "trigger:1:1",
        tracker.symbol,
        tracker.side,
        Purpose.PROTECT,
        d(58000),
        NOON,
        quantity=tracker.quantity,
        tracker_id=tracker.tracker_id,
        arm_seq=tracker.arm_seq,
        state=state,
    )


def _outcome(engine: TrackerEngine, intent: Intent, fills: Sequence[Fill]) -> list[TrackerChanged]:
    """What ends with an intent while nobody else owns anything."""
    return engine.outcome(intent, fills, d(100))


# ---------------------------------------------------------------- triggers


async def test_a_trigger_is_marked_before_observe_returns_and_then_recorded(desk: Desk) -> None:
    await desk.engine.arm(_stop())
    desk.see(57990)
    known = desk.engine.get(1)
    assert known is not None
    assert known.state is TrackerState.TRIGGERED
    await desk.until(
        lambda: desk.changes() == [(1, TrackerChange.ARMED), (1, TrackerChange.TRIGGERED)]
    )
    assert desk.engine.unrecorded == 0


async def test_one_arming_fires_once_however_many_prices_are_beyond(desk: Desk) -> None:
    await desk.engine.arm(_stop())
    for number in range(20):
        desk.see(57000 - number, number)
    await desk.until(lambda: desk.engine.unrecorded == 0)
    assert len(desk.fires) == 1


@pytest.mark.fault("S03", "CRIT")
async def test_a_trigger_that_cannot_be_recorded_is_asked_again_until_it_is(desk: Desk) -> None:
    await desk.engine.arm(_stop())
    desk.store.lose()
    desk.see(57990)
    await desk.until(lambda: len(desk.fires) > 3)
    assert desk.engine.unrecorded == 1
    begun = desk.conditions[0]
    assert (begun.condition, begun.is_active, begun.severity) == (UNRECORDED, True, Severity.CRIT)
    desk.store.heal()
    await desk.until(lambda: desk.engine.unrecorded == 0)
    assert desk.changes()[-1] == (1, TrackerChange.TRIGGERED)
    told = [event for event in desk.conditions if event.condition == UNRECORDED]
    assert [event.is_active for event in told] == [True, False]
    fired(desk.store.appends_lost)


async def test_a_trigger_that_is_known_already_is_not_asked_again(desk: Desk) -> None:
    await desk.engine.arm(_stop())
    desk.fails = [AlreadyRecorded("TrackerChanged", "triggered:1:1")]
    desk.see(57990)
    await desk.until(lambda: desk.engine.unrecorded == 0)
    assert len(desk.fires) == 1


async def test_a_sale_that_is_refused_is_blocked_and_says_why(desk: Desk) -> None:
    await desk.engine.arm(_stop())
    desk.fails = [Refused("everything is halted")]
    desk.see(57990)
    await desk.until(lambda: (1, TrackerChange.BLOCKED) in desk.changes())
    known = desk.engine.get(1)
    assert known is not None
    assert (known.state, known.reason) == (TrackerState.BLOCKED, "everything is halted")


async def test_a_buy_that_is_refused_waits_again_and_is_told(desk: Desk) -> None:
    await desk.engine.arm(armed(TrackerKind.BREAKOUT, 60000, level=62000))
    desk.fails = [Refused("the daily loss is reached")]
    desk.see(62000)
    await desk.until(lambda: (1, TrackerChange.REBUILT) in desk.changes())
    known = desk.engine.get(1)
    assert known is not None
    assert known.state is TrackerState.RESTING
    assert desk.store.of(TrackerChanged)[-1].reason == "the daily loss is reached"


async def test_a_failure_that_nobody_expected_ends_the_run_and_the_next_run_records() -> None:
    desk = Desk()
    running = asyncio.create_task(desk.engine.run())
    await asyncio.sleep(0)
    await desk.engine.arm(_stop())
    desk.fails = [InstanceConflict("another process took over")]
    desk.see(57990)
    with pytest.raises(ExceptionGroup):
        await running
    assert desk.engine.unrecorded == 1
    again = asyncio.create_task(desk.engine.run())
    await desk.until(lambda: desk.engine.unrecorded == 0)
    again.cancel()
    assert len(desk.fires) == 2


async def test_what_is_worth_most_is_recorded_first_and_never_more_than_allowed_at_once() -> None:
    desk = Desk()
    desk.engine = TrackerEngine(
        desk.store,
        desk.clock,
        Hooks({BTC.symbol: BTC}, desk.fire, lambda _: True, lambda _: False, desk.publish),
        TrackerSettings(fires_at_once_max=2),
    )
    for number in range(1, 7):
        await desk.engine.arm(replace(_stop(number), quantity=d(number)))
    desk.gate = asyncio.Event()
    running = asyncio.create_task(desk.engine.run())
    await asyncio.sleep(0)
    desk.see(57000)
    await desk.until(lambda: len(desk.fires) == 2)
    await asyncio.sleep(0)
    assert [tracker.tracker_id for tracker in desk.fires] == [6, 5]
    desk.gate.set()
    await desk.until(lambda: desk.engine.unrecorded == 0)
    assert [tracker.tracker_id for tracker in desk.fires] == [6, 5, 4, 3, 2, 1]
    running.cancel()


async def test_triggers_of_two_quotes_are_recorded_by_their_worth_in_one_currency() -> None:
    desk = Desk()
    rates = {"USDT": d(1), "BTC": d(60_000)}
    eth = replace(BTC, symbol="ETH/BTC", base="ETH", quote="BTC")
    desk.engine = TrackerEngine(
        desk.store,
        desk.clock,
        Hooks(
            {BTC.symbol: BTC, eth.symbol: eth},
            desk.fire,
            lambda _: True,
            lambda _: False,
            desk.publish,
            worth=lambda asset, amount: amount * rates[asset],
        ),
        TrackerSettings(fires_at_once_max=1),
    )
    stop = _stop(2)
    in_coins = replace(
        stop, spec=replace(stop.spec, symbol="ETH/BTC", level=d("0.04")), quantity=d(10)
    )
    await desk.engine.arm(replace(_stop(1), quantity=d("0.1")))
    await desk.engine.arm(
        replace(in_coins, stop_price=d("0.04"), level_price=d("0.04"), record_price=None)
    )
    # 5,700 USDT, and 0.3 BTC that are worth 18,000 of them.
    desk.see(57000)
    desk.engine.observe(replace(observation("0.03"), symbol="ETH/BTC"))
    running = asyncio.create_task(desk.engine.run())
    await desk.until(lambda: desk.engine.unrecorded == 0)
    assert [tracker.tracker_id for tracker in desk.fires] == [2, 1]
    running.cancel()


async def test_a_trigger_before_the_run_waits_for_it() -> None:
    desk = Desk()
    await desk.engine.arm(_stop())
    desk.see(57990)
    assert desk.fires == []
    running = asyncio.create_task(desk.engine.run())
    await desk.until(lambda: desk.engine.unrecorded == 0)
    running.cancel()


@pytest.mark.fault("I05", "SAID")
async def test_panic_ends_a_trigger_that_still_waits_for_the_journal(desk: Desk) -> None:
    await desk.engine.arm(_stop())
    desk.store.lose()
    desk.see(57990)
    await desk.until(lambda: len(desk.fires) > 1)
    desk.store.heal()
    ended = replace(_stop(), state=TrackerState.CLOSED)
    desk.engine.applied(TrackerChanged(ended, TrackerChange.CLOSED, NOON))
    await desk.until(lambda: desk.engine.unrecorded == 0)
    assert desk.engine.all() == []
    fired(desk.store.appends_lost)


# ---------------------------------------------------------------- records and touches


async def test_a_touch_is_durable_at_once_and_told(desk: Desk) -> None:
    await desk.engine.arm(armed(TrackerKind.TAKE_PROFIT, 60000, level=65000, trail="0.02"))
    desk.see(65000)
    await desk.until(lambda: (1, TrackerChange.TOUCHED) in desk.changes())
    shown = desk.engine.all()[0]
    assert (shown.state, shown.stop_price) == (TrackerState.TRAILING, d(63700))
    assert isinstance(desk.published[-1], TrackerChanged)


async def test_a_record_that_moved_by_epsilon_is_durable_at_once(desk: Desk) -> None:
    await desk.engine.arm(armed(TrackerKind.TRAIL, 60000, trail="0.02"))
    desk.see("60029.99")
    await asyncio.sleep(0.01)
    assert desk.changes() == [(1, TrackerChange.ARMED)]
    # 0.05 % of 60000.
    desk.see(60030)
    await desk.until(lambda: desk.changes()[-1] == (1, TrackerChange.MOVED))
    assert desk.engine.all()[0].record_price == d(60030)


async def test_records_stand_back_until_a_trigger_is_recorded(desk: Desk) -> None:
    desk.gate = asyncio.Event()
    await desk.engine.arm(_stop(1, level=58000))
    await desk.engine.arm(armed(TrackerKind.TRAIL, 60000, 2, trail="0.05"))
    desk.see(60030)
    desk.see(57990)
    await asyncio.sleep(0.01)
    assert desk.engine.unrecorded == 1
    assert (2, TrackerChange.MOVED) not in desk.changes()
    desk.gate.set()
    await desk.until(lambda: (2, TrackerChange.MOVED) in desk.changes())
    assert desk.changes()[2:] == [(1, TrackerChange.TRIGGERED), (2, TrackerChange.MOVED)]


async def test_a_trigger_has_the_right_of_way_until_its_order_is_on_the_wire(desk: Desk) -> None:
    desk.gate = asyncio.Event()
    await desk.engine.arm(_stop(1, level=58000))
    desk.see(57990)
    assert desk.way.is_claimed
    await asyncio.sleep(0)
    assert desk.way.is_claimed
    desk.gate.set()
    await desk.until(lambda: not desk.engine.unrecorded)
    assert not desk.way.is_claimed


async def test_a_trigger_that_cannot_be_written_lets_prices_go_on(desk: Desk) -> None:
    desk.fails = [StorageLost("the disk is full")] * 3
    await desk.engine.arm(_stop(1, level=58000))
    desk.see(57990)
    await desk.until(lambda: not desk.way.is_claimed)
    assert desk.engine.unrecorded == 1
    await desk.until(lambda: not desk.engine.unrecorded)


async def test_records_are_written_although_a_trigger_waits_for_the_disk(desk: Desk) -> None:
    desk.gate = asyncio.Event()
    await desk.engine.arm(_stop(1, level=58000))
    await desk.engine.arm(armed(TrackerKind.TRAIL, 60000, 2, trail="0.05"))
    desk.see(60030)
    desk.see(57990)
    # Standing back has an end of its own: here the trigger is never recorded.
    await desk.until(lambda: (2, TrackerChange.MOVED) in desk.changes())
    assert desk.engine.unrecorded == 1


async def test_a_smaller_move_is_durable_within_a_few_sweeps(desk: Desk) -> None:
    await desk.engine.arm(armed(TrackerKind.TRAIL, 60000, trail="0.02"))
    desk.see("60000.01")
    for _ in range(4):
        await desk.engine.sweep()
        await desk.engine.flush()
    assert desk.changes()[-1] == (1, TrackerChange.MOVED)


@pytest.mark.fault("M12")
async def test_jitter_of_one_tick_for_a_day_writes_only_new_records(desk: Desk) -> None:
    await desk.engine.arm(armed(TrackerKind.TRAIL, 60000, trail="0.02"))
    seen = []
    for second in range(2000):
        desk.see(60000 + d("0.01") * (second % 2), second)
        await desk.engine.sweep()
        await asyncio.sleep(0)
        seen.append(desk.engine.all()[0].stop_price)
    moved = [change for _, change in desk.changes() if change is TrackerChange.MOVED]
    assert len(moved) == 1
    fired(len(seen) - len(moved), words="seconds of jitter without a record")


async def test_a_touch_that_fires_before_it_is_written_is_told_by_its_trigger(desk: Desk) -> None:
    await desk.engine.arm(armed(TrackerKind.TAKE_PROFIT, 60000, level=65000, trail="0.02"))
    desk.see(65000)
    desk.see(60000)
    await desk.until(lambda: desk.engine.unrecorded == 0)
    await asyncio.sleep(0.01)
    assert desk.changes() == [(1, TrackerChange.ARMED), (1, TrackerChange.TRIGGERED)]
    trigger = desk.store.of(TrackerChanged)[-1].tracker
    assert (trigger.touched_at, trigger.record_price) == (NOON, d(65000))


async def test_touches_survive_a_full_disk_and_are_written_when_it_has_space(desk: Desk) -> None:
    await desk.engine.arm(armed(TrackerKind.TAKE_PROFIT, 60000, level=65000, trail="0.02"))
    desk.store.lose()
    desk.see(65000)
    await desk.until(lambda: any(event.condition == UNSAVED for event in desk.conditions))
    desk.see(66000)
    desk.store.heal()
    await desk.until(lambda: (1, TrackerChange.TOUCHED) in desk.changes())
    assert desk.engine.all()[0].record_price == d(66000)
    # Where it was touched is written with it, however late that is.
    evidence = desk.store.of(TrackerChanged)[-1].evidence
    assert evidence is not None
    assert (evidence.price, evidence.level, evidence.rule) == (d(65000), d(65000), "touch")
    await desk.until(lambda: not desk.conditions[-1].is_active)


async def test_a_warning_of_records_that_cannot_be_saved_ends_with_the_tracker_they_were_of(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    await desk.engine.arm(armed(TrackerKind.TAKE_PROFIT, 60000, level=65000, trail="0.02"))
    desk.store.lose()
    desk.see(65000)
    await desk.until(lambda: any(event.condition == UNSAVED for event in desk.conditions))
    for _ in range(3):
        await desk.engine.sweep()
        await asyncio.sleep(0.01)
    assert [one.message for one in caplog.records] == ["trackers_unsaved"]
    # A panic, which the reserve has taken: nothing of it is left to be saved.
    ended = replace(desk.engine.all()[0], state=TrackerState.CLOSED)
    desk.publish(TrackerChanged(ended, TrackerChange.CLOSED, NOON))
    desk.store.heal()
    await desk.engine.sweep()
    await desk.until(lambda: not desk.conditions[-1].is_active)
    assert [event.condition for event in desk.conditions] == [UNSAVED, UNSAVED]


async def test_stopping_saves_every_record() -> None:
    desk = Desk()
    await desk.engine.arm(armed(TrackerKind.TRAIL, 60000, trail="0.02"))
    desk.see("60000.01")
    await desk.engine.stop()
    assert desk.changes()[-1] == (1, TrackerChange.MOVED)


# ---------------------------------------------------------------- people


async def test_an_arming_is_durable_with_its_causes_in_one_append(desk: Desk) -> None:
    alert = AlertRaised("a", Severity.INFO, "cause", NOON)
    await desk.engine.arm(_stop(), (alert,))
    assert [type(event) for event in desk.store.appends[0]] == [AlertRaised, TrackerChanged]
    assert desk.engine.symbols() == {BTC.symbol}


async def test_an_arming_that_cannot_be_written_watches_nothing(desk: Desk) -> None:
    desk.store.lose()
    with pytest.raises(Exception, match="cannot be written"):
        await desk.engine.arm(_stop())
    assert desk.engine.all() == []


async def test_a_cancelled_tracker_never_fires(desk: Desk) -> None:
    await desk.engine.arm(_stop())
    await desk.engine.cancel(1)
    desk.see(57000)
    assert desk.engine.get(1) is None
    assert desk.fires == []


@pytest.mark.fault("M13", "SAID TELL")
async def test_a_cancel_after_the_trigger_is_refused_and_names_the_way_out(desk: Desk) -> None:
    await desk.engine.arm(_stop())
    desk.see(57000)
    with pytest.raises(Refused, match="has fired") as refused:
        await desk.engine.cancel(1)
    assert refused.value.example == "/abort 1"
    fired(refused, words=str(refused.value))


@pytest.mark.fault("M13", "SAID")
async def test_a_trigger_during_the_write_of_a_cancel_loses_and_only_one_is_journaled() -> None:
    desk = Desk()
    running = asyncio.create_task(desk.engine.run())
    await desk.engine.arm(_stop())
    write, crossed = desk.store.append, []

    async def slow(*events: Event, reserve: bool = False) -> int:
        desk.see(57000)
        crossed.append(events)
        await asyncio.sleep(0.01)
        return await write(*events, reserve=reserve)

    desk.store.append = slow  # type: ignore[method-assign]
    await desk.engine.cancel(1)
    await asyncio.sleep(0.01)
    assert desk.changes() == [(1, TrackerChange.ARMED), (1, TrackerChange.CANCELLED)]
    running.cancel()
    fired(crossed)


@pytest.mark.parametrize("command", ["cancel", "pause"])
async def test_a_record_from_before_a_change_never_follows_it_in_the_journal(command: str) -> None:
    desk = Desk()
    await desk.engine.arm(armed(TrackerKind.TAKE_PROFIT, 60000, level=65000, trail="0.02"))
    # Touched and not written yet.
    desk.see(65000)
    write, saving = desk.store.append, asyncio.Event()

    async def slow(*events: Event, reserve: bool = False) -> int:
        seq = await write(*events, reserve=reserve)
        saving.set()
        # Durable, and nobody has heard of it yet.
        await asyncio.sleep(0.01)
        return seq

    async def save() -> None:
        await saving.wait()
        await desk.engine.flush()

    desk.store.append = slow  # type: ignore[method-assign]
    await asyncio.gather(getattr(desk.engine, command)(1), save())
    known = {each.tracker_id: each for each in desk.engine.all()}
    last = desk.store.of(TrackerChanged)[-1].tracker
    assert (last.state is TrackerState.CANCELLED) == (command == "cancel")
    assert last.is_paused == (command == "pause")
    assert known == ({} if command == "cancel" else {1: last})


@pytest.mark.fault("M13", "SAID")
async def test_a_cancel_that_cannot_be_written_lets_the_trigger_win(desk: Desk) -> None:
    await desk.engine.arm(_stop())
    write = desk.store.append

    async def lost(*events: Event, reserve: bool = False) -> int:
        desk.see(57000)
        desk.store.append = write  # type: ignore[method-assign]
        raise Unreachable("gone")

    desk.store.append = lost  # type: ignore[method-assign]
    with pytest.raises(Unreachable) as unwritten:
        await desk.engine.cancel(1)
    await desk.until(lambda: desk.changes()[-1] == (1, TrackerChange.TRIGGERED))
    fired(unwritten)


async def test_an_edit_replaces_the_tracker(desk: Desk) -> None:
    before = armed(TrackerKind.TRAIL, 60000, trail="0.03")
    await desk.engine.arm(before)
    await desk.engine.edit(before, trailing.tighten(before, d("0.02"), BTC))
    assert desk.engine.all()[0].stop_price == d(58800)
    assert desk.changes()[-1] == (1, TrackerChange.EDITED)


@pytest.mark.fault("I05")
async def test_the_second_of_two_edits_sees_the_conflict(desk: Desk) -> None:
    before = armed(TrackerKind.TRAIL, 60000, trail="0.03")
    await desk.engine.arm(before)
    first = replace(before, spec=replace(before.spec, slippage_max=d("0.01")))
    await desk.engine.edit(before, first)
    with pytest.raises(Refused, match="changed meanwhile") as refused:
        await desk.engine.edit(before, before)
    fired(refused, words=str(refused.value))


async def test_a_pause_stops_the_watching_and_a_resume_goes_on(desk: Desk) -> None:
    await desk.engine.arm(_stop())
    desk.see(60000)
    await desk.engine.pause(1)
    desk.see(57000, 1)
    assert desk.fires == []
    with pytest.raises(Refused, match="already crossed") as refused:
        await desk.engine.resume(1)
    assert refused.value.example == "level 54200"
    desk.see(59000, 2)
    await desk.engine.resume(1)
    desk.see(57000, 3)
    await desk.until(lambda: len(desk.fires) == 1)


async def test_a_pause_survives_a_restart(desk: Desk) -> None:
    await desk.engine.arm(_stop())
    await desk.engine.pause(1)
    restarted = Desk(store=desk.store)
    stored = await desk.store.records.state()
    restarted.engine.load(stored.trackers)
    restarted.see(57000)
    assert restarted.engine.all()[0].is_paused
    assert restarted.engine.unrecorded == 0


@pytest.mark.fault("I07", "SAID")
@pytest.mark.parametrize("command", ["pause", "resume", "cancel"])
async def test_a_command_on_an_unknown_tracker_is_explained(desk: Desk, command: str) -> None:
    with pytest.raises(Refused, match="no live tracker #9") as refused:
        await getattr(desk.engine, command)(9)
    fired(refused, words=command)


@pytest.mark.fault("I07", "SAID")
async def test_pausing_twice_and_resuming_what_runs_are_explained(desk: Desk) -> None:
    await desk.engine.arm(_stop())
    with pytest.raises(Refused, match="not paused"):
        await desk.engine.resume(1)
    await desk.engine.pause(1)
    with pytest.raises(Refused, match="paused already") as refused:
        await desk.engine.pause(1)
    fired(refused, words=str(refused.value))


@pytest.mark.fault("M09")
async def test_a_smaller_position_shrinks_its_slices(desk: Desk) -> None:
    await desk.engine.arm(_stop())
    fact, told = desk.engine.resized(BTC.symbol, d("0.2"))
    assert isinstance(fact, TrackerChanged)
    assert (fact.change, fact.tracker.quantity) == (TrackerChange.RESIZED, d("0.2"))
    assert isinstance(told, AlertRaised)
    assert told.severity is Severity.WARN
    assert told.text == "#1 BTC/USDT has 0.2 BTC left of 0.5: the rest of its coins are gone"
    desk.engine.applied(fact)
    assert desk.engine.all()[0].quantity == d("0.2")
    fired([one for one in (fact,) if one.tracker.quantity < d("0.5")], words=told.text)


async def test_a_slice_of_which_nothing_is_left_ends_its_tracker(desk: Desk) -> None:
    await desk.engine.arm(_stop())
    fact, told = desk.engine.resized(BTC.symbol, d(0))
    assert isinstance(fact, TrackerChanged)
    assert (fact.change, fact.tracker.state) == (TrackerChange.CLOSED, TrackerState.CLOSED)
    assert isinstance(told, AlertRaised)
    assert (told.severity, told.tracker_id) == (Severity.WARN, 1)
    assert told.text.startswith("#1 BTC/USDT has ended: its coins are gone")
    desk.engine.applied(fact)
    assert desk.engine.all() == []


async def test_what_a_person_sells_of_a_slice_is_told_softly_and_its_end_by_the_command_itself(
    desk: Desk,
) -> None:
    await desk.engine.arm(_stop())
    _, told = desk.engine.resized(BTC.symbol, d("0.2"), "closed by hand")
    assert isinstance(told, AlertRaised)
    assert told.severity is Severity.INFO
    assert told.text == "#1 BTC/USDT has 0.2 BTC left of 0.5: closed by hand"
    (fact,) = desk.engine.resized(BTC.symbol, d(0), "closed by hand")
    assert isinstance(fact, TrackerChanged)
    assert fact.reason == "closed by hand"


async def test_coins_that_come_are_no_alarm(desk: Desk) -> None:
    await desk.engine.arm(_stop())
    (fact,) = desk.engine.resized(BTC.symbol, d("0.7"))
    assert isinstance(fact, TrackerChanged)
    assert fact.tracker.quantity == d("0.7")


async def test_a_touch_survives_a_new_size_that_was_written_meanwhile(desk: Desk) -> None:
    waiting = armed(TrackerKind.TAKE_PROFIT, 60000, level=65000, trail="0.02")
    await desk.engine.arm(waiting)
    older, _ = desk.engine.resized(BTC.symbol, d("0.2"))
    desk.see(65000)
    desk.engine.applied(older)
    known = desk.engine.get(1)
    assert known is not None
    assert (known.state, known.quantity) == (TrackerState.TRAILING, d("0.2"))
    await desk.until(lambda: desk.changes()[-1] == (1, TrackerChange.TOUCHED))
    assert desk.store.of(TrackerChanged)[-1].tracker.quantity == d("0.2")


async def test_a_new_size_of_what_has_fired_is_its_exits_business(desk: Desk) -> None:
    await desk.engine.arm(_stop())
    older, _ = desk.engine.resized(BTC.symbol, d("0.2"))
    desk.see(57000)
    desk.engine.applied(older)
    known = desk.engine.get(1)
    assert known is not None
    assert (known.state, known.quantity) == (TrackerState.TRIGGERED, d("0.5"))


@pytest.mark.fault("M08", "SAID")
async def test_m08_a_tracker_whose_instrument_is_gone_is_blocked_and_may_be_cancelled(
    desk: Desk,
) -> None:
    renamed = armed(TrackerKind.STOP, 60000, level=58000, symbol="OLD/USDT")
    desk.engine.load([renamed])
    await desk.until(lambda: desk.changes() == [(1, TrackerChange.BLOCKED)])
    known = desk.engine.get(1)
    assert known is not None
    assert (known.state, known.reason) == (
        TrackerState.BLOCKED,
        "the exchange no longer knows OLD/USDT",
    )
    with pytest.raises(Refused, match="blocked"):
        await desk.engine.pause(1)
    await desk.engine.cancel(1)
    assert desk.engine.all() == []
    fired(desk.changes().count((1, TrackerChange.BLOCKED)), words=known.reason)


# ---------------------------------------------------------------- outcomes


async def _fired(desk: Desk, tracker: Tracker, price: object) -> Tracker:
    await desk.engine.arm(tracker)
    desk.see(price)
    await desk.until(lambda: desk.changes()[-1] == (1, TrackerChange.TRIGGERED))
    known = desk.engine.get(1)
    assert known is not None
    return known


async def test_a_closed_intent_ends_its_tracker_which_then_leaves_memory(desk: Desk) -> None:
    tracker = await _fired(desk, _stop(), 57990)
    (fact,) = _outcome(desk.engine, _intent(tracker), [fill()])
    assert fact.tracker.state is TrackerState.CLOSED
    desk.engine.applied(fact)
    assert desk.engine.all() == []
    assert desk.engine.symbols() == frozenset()


async def test_a_swing_watches_the_other_side_after_its_fill(desk: Desk) -> None:
    swing = armed(TrackerKind.TRAIL, 60000, trail="0.01", then=Then(ThenKind.SWING, d("0.04")))
    tracker = await _fired(desk, swing, 59400)
    desk.engine.applied(*_outcome(desk.engine, _intent(tracker), [fill(price="59400")]))
    swung = desk.engine.all()[0]
    assert (swung.side, swung.state, swung.arm_seq) == (Side.BUY, TrackerState.WATCHING, 2)
    desk.see(57024, 1)
    assert desk.engine.get(1) is not None
    await desk.until(lambda: (1, TrackerChange.TOUCHED) in desk.changes())


async def test_a_cooldown_owns_only_coins_under_care(desk: Desk) -> None:
    cooldown = armed(TrackerKind.TRAIL, 60000, trail="0.01", then=Then(ThenKind.COOLDOWN))
    tracker = await _fired(desk, cooldown, 59400)
    desk.holdings = Holdings(d("0.2"), d(7), d(0))
    (fact,) = _outcome(desk.engine, _intent(tracker), [fill(price="59400")])
    assert (fact.tracker.state, fact.tracker.quantity) == (TrackerState.RESTING, d("0.2"))
    desk.holdings = Holdings(d(0), d(7), d(0))
    (fact,) = _outcome(desk.engine, _intent(tracker), [fill(price="59400")])
    assert fact.tracker.state is TrackerState.CLOSED


@pytest.mark.parametrize(
    ("cooldown", "fatal", "back", "again"),
    [
        (armed(TrackerKind.TRAIL, 60000, trail="0.01", then=COOLDOWN), 59400, 60500, 59500),
        (armed(TrackerKind.STOP, 60000, level=58000, then=COOLDOWN), 57990, 58100, 57900),
        (armed(TrackerKind.BREAKOUT, 60000, level=61000, then=COOLDOWN), 61010, 60900, 61020),
    ],
)
async def test_a_cooldown_rests_in_memory_too_and_fires_again_once_the_price_was_back(
    desk: Desk, cooldown: Tracker, fatal: int, back: int, again: int
) -> None:
    tracker = await _fired(desk, cooldown, fatal)
    desk.engine.applied(*_outcome(desk.engine, _intent(tracker), [fill(price=str(fatal))]))
    assert desk.engine.all()[0].state is TrackerState.RESTING
    assert desk.engine.acting() == []
    desk.see(back, 1)
    await desk.until(lambda: desk.changes()[-1] == (1, TrackerChange.REARMED))
    desk.see(again, 2)
    await desk.until(lambda: desk.changes()[-1] == (1, TrackerChange.TRIGGERED))


async def test_a_hard_stop_that_fires_while_a_cooldown_rests_is_a_sale_of_its_own(
    desk: Desk,
) -> None:
    what = armed(
        TrackerKind.TAKE_PROFIT, 60000, level=65000, trail="0.02", stop=57000, then=COOLDOWN
    )
    await desk.engine.arm(what)
    desk.see(65000)
    desk.see(63000, 1)
    await desk.until(lambda: desk.changes()[-1] == (1, TrackerChange.TRIGGERED))
    desk.engine.applied(*_outcome(desk.engine, _intent(desk.fires[0]), [fill(price="63000")]))
    desk.see(56900, 2)
    await desk.until(lambda: len(desk.fires) == 2)
    await desk.until(lambda: desk.engine.unrecorded == 0)
    first, second = desk.fires
    assert first.arm_seq < second.arm_seq
    assert desk.changes().count((1, TrackerChange.TRIGGERED)) == 2


async def test_what_another_stop_is_selling_counts_once_for_the_next_slice_of_a_cooldown(
    desk: Desk,
) -> None:
    cooldown = armed(TrackerKind.TRAIL, 60000, trail="0.01", then=COOLDOWN)
    tracker = await _fired(desk, cooldown, 59400)
    other = replace(_stop(2), state=TrackerState.EXITING)
    desk.engine.applied(TrackerChanged(other, TrackerChange.EXITING, NOON))
    desk.holdings = Holdings(d("0.2"), d(0), d(0))
    (fact,) = _outcome(desk.engine, _intent(tracker), [fill(price="59400")])
    assert fact.tracker.quantity == d("0.2")


async def test_an_intent_of_another_arming_or_tracker_changes_nothing(desk: Desk) -> None:
    tracker = await _fired(desk, _stop(), 57990)
    assert _outcome(desk.engine, replace(_intent(tracker), arm_seq=2), []) == []
    assert _outcome(desk.engine, replace(_intent(tracker), tracker_id=None), []) == []
    assert _outcome(desk.engine, replace(_intent(tracker), tracker_id=9), []) == []


async def test_an_exit_is_told_as_exiting_and_as_blocked(desk: Desk) -> None:
    await _fired(desk, _stop(), 57990)
    exiting = desk.engine.changed(1, TrackerState.EXITING, "")
    assert exiting is not None
    desk.engine.applied(exiting)
    assert desk.engine.changed(1, TrackerState.EXITING, "") is None
    blocked = desk.engine.changed(1, TrackerState.BLOCKED, "no bids")
    assert blocked is not None
    assert (blocked.change, blocked.reason) == (TrackerChange.BLOCKED, "no bids")
    assert desk.engine.changed(9, TrackerState.BLOCKED, "") is None


async def test_an_older_value_does_not_undo_a_trigger_that_stands_in_memory(desk: Desk) -> None:
    stop = _stop()
    await desk.engine.arm(stop)
    desk.gate = asyncio.Event()
    desk.see(57990)
    desk.engine.applied(TrackerChanged(stop, TrackerChange.RESIZED, NOON))
    known = desk.engine.get(1)
    assert known is not None
    assert known.state is TrackerState.TRIGGERED
    desk.gate.set()


def _backstop_sale(tracker: Tracker, quantity: object) -> Intent:
    return replace(_intent(tracker), purpose=Purpose.BACKSTOP, filled_quantity=d(quantity))


async def test_a_backstop_s_sale_comes_off_what_has_fired_and_is_not_written_yet(
    desk: Desk,
) -> None:
    stop = _stop()
    await desk.engine.arm(stop)
    desk.gate = asyncio.Event()
    desk.see(57990)
    (fact,) = _outcome(desk.engine, _backstop_sale(stop, "0.2"), [])
    # A crash now must find a stop that waits, for nobody has written that it fired.
    assert (fact.change, fact.tracker.state) == (TrackerChange.RESIZED, stop.state)
    desk.engine.applied(fact)
    known = desk.engine.get(1)
    assert known is not None
    assert (known.state, known.quantity) == (TrackerState.TRIGGERED, d("0.3"))
    (fact,) = _outcome(desk.engine, _backstop_sale(stop, "0.3"), [])
    assert (fact.tracker.state, fact.tracker.reason) == (TrackerState.CLOSED, BACKSTOP_SOLD)
    desk.engine.applied(fact)
    assert desk.engine.get(1) is None
    desk.gate.set()


@pytest.mark.parametrize(("sold", "left"), [("0.2", "0.3"), ("0.5", "0"), ("0.7", "0")])
async def test_a_backstop_s_sale_comes_off_what_has_fired_and_ends_with_its_exit(
    desk: Desk, sold: str, left: str
) -> None:
    tracker = await _fired(desk, _stop(), 57990)
    (fact,) = _outcome(desk.engine, _backstop_sale(tracker, sold), [])
    assert (fact.change, fact.tracker.state) == (TrackerChange.RESIZED, tracker.state)
    desk.engine.applied(fact)
    known = desk.engine.get(1)
    assert known is not None
    assert (known.state, known.quantity) == (tracker.state, d(left))


async def test_a_value_of_an_earlier_arming_is_ignored(desk: Desk) -> None:
    stop = _stop()
    await desk.engine.arm(replace(stop, arm_seq=3))
    desk.engine.applied(TrackerChanged(stop, TrackerChange.CLOSED, NOON))
    assert desk.engine.all()[0].arm_seq == 3


# ---------------------------------------------------------------- starts and gaps


def _reader(gap: Gap | Exception) -> Callable[[str], object]:
    async def read(_: str) -> Gap:
        if isinstance(gap, Exception):
            raise gap
        return gap

    return read


@pytest.mark.fault("M02", "SAID")
async def test_a_start_fires_what_the_price_is_beyond_now(desk: Desk) -> None:
    gap = Gap(BTC.symbol, (candle(1, 57000, 60000),), d(57500), to_ms(NOON))
    lines = await desk.engine.recover([_stop()], _reader(gap))  # type: ignore[arg-type]
    await desk.until(lambda: desk.changes() == [(1, TrackerChange.TRIGGERED)])
    assert "beyond 58000" in lines[0]
    fired([one for one in gap.candles if one.low < 58000], words=lines[0])


@pytest.mark.fault("M02", "TELL SAID")
async def test_a_start_tells_what_was_crossed_and_is_back(desk: Desk) -> None:
    gap = Gap(BTC.symbol, (candle(1, 57000, 60000),), d(59000), to_ms(NOON))
    lines = await desk.engine.recover([_stop()], _reader(gap))  # type: ignore[arg-type]
    assert lines == ["#1 BTC/USDT: 58000 was crossed while nobody watched, and the price is back"]
    assert desk.fires == []
    fired([one for one in gap.candles if one.low < 58000], words=lines[0])


async def test_a_gap_that_cannot_be_read_is_left_to_be_asked_again_and_buys_are_blind(
    desk: Desk,
) -> None:
    breakout = armed(TrackerKind.BREAKOUT, 60000, level=62000)
    reader = _reader(Unreachable("no answer"))
    with pytest.raises(Unreachable):
        await desk.engine.recover([breakout], reader)  # type: ignore[arg-type]
    desk.see(63000)
    assert desk.fires == []


async def test_after_a_start_a_tracker_that_has_fired_is_left_to_its_intent(desk: Desk) -> None:
    fired = replace(_stop(), state=TrackerState.EXITING)
    gap = Gap(BTC.symbol, (), d(57000), to_ms(NOON))
    assert await desk.engine.recover([fired], _reader(gap)) == []  # type: ignore[arg-type]
    desk.see(50000)
    assert desk.fires == []


# ---------------------------------------------------------------- time


async def test_reminders_are_told_once_each(desk: Desk) -> None:
    lines = armed(
        TrackerKind.LINES,
        60000,
        support=line(50000, 60000),
        resistance=line(70000, 60000),
        trail="0.02",
    )
    await desk.engine.arm(lines)
    for _ in range(200):
        await desk.engine.sweep()
    await desk.until(lambda: len(desk.store.of(AlertRaised)) == 1)
    desk.clock.advance(86_400)
    for _ in range(61):
        await desk.engine.sweep()
    await desk.until(lambda: len(desk.store.of(AlertRaised)) == 2)
    assert [alert.severity for alert in desk.store.of(AlertRaised)] == [
        Severity.WARN,
        Severity.CRIT,
    ]


async def test_a_reminder_that_is_journaled_already_is_not_told_again(desk: Desk) -> None:
    paused = replace(_stop(), is_paused=True, paused_at=NOON)
    await desk.engine.arm(paused)
    desk.clock.advance(3600)
    await desk.engine.sweep()
    await desk.until(lambda: len(desk.store.of(AlertRaised)) == 1)
    again = Desk(store=desk.store, clock=desk.clock)
    again.engine.load([paused])
    await again.engine.sweep()
    await again.engine.flush()
    assert len(desk.store.of(AlertRaised)) == 1
    assert again.published == []


async def test_a_reminder_waits_for_a_disk_with_space() -> None:
    desk = Desk()
    await desk.engine.arm(replace(_stop(), is_paused=True, paused_at=NOON - timedelta(hours=1)))
    desk.store.lose()
    await desk.engine.sweep()
    await desk.engine.flush()
    desk.store.heal()
    for _ in range(61):
        await desk.engine.sweep()
    await desk.engine.flush()
    assert len(desk.store.of(AlertRaised)) == 1


async def test_a_calmer_atr_is_saved(desk: Desk) -> None:
    tracker = armed(TrackerKind.TRAIL, 60000, trail="0.03")
    atr = replace(tracker.spec.trail, share=None, atr_multiple=Decimal(2))  # type: ignore[type-var]
    await desk.engine.arm(replace(tracker, spec=replace(tracker.spec, trail=atr)))
    desk.engine.tighten(BTC.symbol, Timeframe("1h"), d("0.01"))
    await desk.until(lambda: (1, TrackerChange.MOVED) in desk.changes())
    assert desk.engine.all()[0].distance == d("0.02")


async def test_a_symbol_is_near_when_its_stop_is(desk: Desk) -> None:
    await desk.engine.arm(_stop())
    desk.see(58100)
    assert desk.engine.is_near(BTC.symbol)


async def test_a_conductor_without_ears_still_gets_a_log_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    desk = Desk()
    engine = TrackerEngine(
        desk.store,
        desk.clock,
        Hooks({BTC.symbol: BTC}, desk.fire, lambda _: True, lambda _: False, desk.publish),
        _QUICK,
    )
    await engine.arm(armed(TrackerKind.TRAIL, 60000, trail="0.02", then=Then(ThenKind.COOLDOWN)))
    engine.observe(observation(70000))
    desk.store.lose()
    await engine.flush()
    assert "condition_changed" in caplog.text
    desk.store.heal()
    engine.observe(observation(50000))
    known = engine.get(1)
    assert known is not None
    (fact,) = _outcome(engine, _intent(known), [fill(price="50000")])
    assert fact.tracker.state is TrackerState.CLOSED
