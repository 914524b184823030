"""The index is the naive evaluation of all trackers, only cheaper; and what it does besides."""

from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import NOON, coin
from tests.catalogue import fired
from tests.unit.trading.trackers.make import (
    BTC,
    armed,
    candle,
    d,
    line,
    observation,
    tick,
)
from trading.domain.instrument import Instrument
from trading.domain.order import Side
from trading.domain.time import Timeframe, to_ms
from trading.domain.tracker import (
    Confirm,
    ConfirmKind,
    Distance,
    PriceKind,
    Tracker,
    TrackerChange,
    TrackerKind,
    TrackerState,
)
from trading.trackers import rules, trailing
from trading.trackers.confirming import Progress
from trading.trackers.rules import Moment
from trading.trackers.watch import SYNC_PARTS, Watch, World

_INSTRUMENTS: dict[str, Instrument] = {BTC.symbol: BTC, "ADA/USDT": coin("ADA")}
_EPSILON = Decimal("0.0005")


@dataclass
class Around:
    """A world that tests turn: time, leave to enter, staleness."""

    seconds: float = 0
    may_enter: bool = True
    is_stale: bool = False
    asked: list[str] = field(default_factory=list)

    def moment(self) -> Moment:
        return rules.moment(NOON + timedelta(seconds=self.seconds), 1000 + self.seconds)

    def watch(self, *trackers: Tracker) -> Watch:
        world = World(
            instrument=_INSTRUMENTS.__getitem__,
            may_enter=lambda _: self.may_enter,
            is_stale=lambda _: self.is_stale,
            moment=self.moment,
        )
        watch = Watch(world, _EPSILON)
        for tracker in trackers:
            watch.put(tracker)
        return watch

    def see(self, watch: Watch, price: object, seconds: float | None = None) -> bool:
        if seconds is not None:
            self.seconds = seconds
        return watch.observe(observation(price, self.seconds))


@pytest.fixture
def around() -> Around:
    return Around()


# ---------------------------------------------------------------- index and naive evaluation

_PRICES = st.decimals("900", "1100", places=2)
_SHARES = st.sampled_from([d("0.001"), d("0.005"), d("0.02"), d("0.1")])
_CONFIRMS = st.sampled_from(
    [
        Confirm(),
        Confirm(ConfirmKind.TICKS, 3),
        Confirm(ConfirmKind.SECONDS, 4),
        Confirm(ConfirmKind.CLOSE, timeframe=Timeframe("1m")),
    ]
)


@st.composite
def _trackers(draw: st.DrawFn) -> Tracker:
    kind = draw(st.sampled_from(list(TrackerKind)))
    fields: dict[str, object] = {"confirm": draw(_CONFIRMS)}
    if kind is TrackerKind.STOP:
        fields["level"] = draw(
            st.one_of(
                st.decimals("900", "999", places=2),
                st.builds(line, st.integers(900, 990), st.integers(900, 1100), st.just(0.05)),
            )
        )
        fields["trail"] = draw(st.one_of(st.none(), _SHARES))
    elif kind is TrackerKind.TRAIL:
        fields["trail"] = draw(_SHARES)
    elif kind is TrackerKind.TAKE_PROFIT:
        fields |= {"level": draw(st.decimals("1001", "1090", places=2)), "trail": draw(_SHARES)}
        fields["stop"] = draw(st.one_of(st.none(), st.decimals("900", "990", places=2)))
    elif kind is TrackerKind.DIP:
        fields |= {"level": draw(st.decimals("910", "999", places=2)), "trail": draw(_SHARES)}
    elif kind is TrackerKind.BREAKOUT:
        fields["level"] = draw(st.decimals("1001", "1090", places=2))
    else:
        fields |= {
            "support": line(draw(st.integers(900, 980)), draw(st.integers(900, 1100)), 0.05),
            "resistance": line(draw(st.integers(1010, 1090)), draw(st.integers(900, 1100)), 0.05),
            "trail": draw(_SHARES),
        }
    return armed(kind, 1000, 1, **{key: value for key, value in fields.items() if value})


class _Reference:
    """Evaluates every tracker on every price, one by one: slow, and hard to get wrong."""

    def __init__(self, trackers: list[Tracker]) -> None:
        self.trackers = {tracker.tracker_id: tracker for tracker in trackers}
        self.progress: dict[int, Progress] = {}
        self.fired: dict[int, tuple[Decimal, Decimal]] = {}

    def see(self, price: Decimal, seconds: float) -> None:
        at = NOON + timedelta(seconds=seconds)
        moment = Moment(at, to_ms(at), 1000 + seconds)
        for number, tracker in list(self.trackers.items()):
            seen = tick(price, seconds)
            step = rules.step(tracker, seen, moment, BTC, self.progress.pop(number, None))
            if step.evidence is None or step.change is TrackerChange.TOUCHED:
                self.trackers[number] = step.tracker
                if step.progress is not None:
                    self.progress[number] = step.progress
            else:
                del self.trackers[number]
                self.fired[number] = (step.evidence.price, step.evidence.level)


_JUMPS = st.lists(st.tuples(_PRICES, st.floats(0.1, 20)), max_size=60)


@given(trackers=st.lists(_trackers(), min_size=1, max_size=8), prices=_JUMPS)
@settings(max_examples=200)
def test_the_index_fires_what_the_naive_evaluation_of_all_trackers_fires(
    trackers: list[Tracker], prices: list[tuple[Decimal, float]]
) -> None:
    # No phantom trigger (I-22), none missed (I-23), one per arming (I-21), same evidence.
    _compare(trackers, prices)


@pytest.mark.slow
@given(trackers=st.lists(_trackers(), min_size=1, max_size=8), seed=st.integers(0, 2**32))
@settings(max_examples=100)
def test_the_index_follows_the_naive_evaluation_through_a_long_walk(
    trackers: list[Tracker], seed: int
) -> None:
    rng = Random(seed)
    cents, prices = 100_000, []
    for _ in range(300):
        cents = min(max(cents + rng.randint(-200, 200), 80_000), 120_000)
        prices.append((Decimal(cents) / 100, rng.choice((0.05, 0.4, 3.0))))
    _compare(trackers, prices)


def _compare(trackers: list[Tracker], prices: list[tuple[Decimal, float]]) -> None:
    numbered = [replace(one, tracker_id=n) for n, one in enumerate(trackers, start=1)]
    around = Around()
    watch = around.watch(*numbered)
    naive = _Reference(numbered)
    fired: dict[int, tuple[Decimal, Decimal]] = {}
    for price, pause_s in prices:
        around.seconds = round(around.seconds + pause_s, 3)
        around.see(watch, price)
        naive.see(price, around.seconds)
        for one in watch.fired:
            assert one.tracker.tracker_id not in fired
            fired[one.tracker.tracker_id] = (one.evidence.price, one.evidence.level)
        watch.fired.clear()
        assert fired == naive.fired
        for number, tracker in naive.trackers.items():
            known = watch.live.find(number)
            assert known is not None
            assert (known.state, known.record_price, known.stop_price) == (
                tracker.state,
                tracker.record_price,
                tracker.stop_price,
            )


@pytest.mark.fault("M12", "SAID")
def test_a_stop_that_was_shown_is_never_lowered_by_a_restart() -> None:
    restarts: list[int] = []

    @given(prices=st.lists(_PRICES, min_size=1, max_size=80), share=_SHARES)
    def keeps(prices: list[Decimal], share: Decimal) -> None:
        restarts.append(_restarts_that_lower_nothing(prices, share))

    keeps()
    fired(sum(restarts))


def _restarts_that_lower_nothing(prices: list[Decimal], share: Decimal) -> int:
    around = Around()
    watch = around.watch(armed(TrackerKind.TRAIL, 1000, trail=share))
    shown: list[Decimal] = []
    durable = watch.live.all()[0]
    for number, price in enumerate(prices):
        around.see(watch, price, float(number))
        if watch.fired:
            break
        for part in watch.moved(is_turn=False):
            watch.saved([(moved, watch.live.durable.get(moved.tracker_id)) for moved in part])
        durable = watch.live.all()[0]
        assert durable.stop_price is not None
        shown.append(durable.stop_price)
        restarted = Around().watch(durable).live.find(1)
        assert restarted is not None
        assert restarted.stop_price == max(shown)
    return len(shown)


@pytest.mark.fault("M12", "SAID")
def test_a_crash_costs_less_than_epsilon_of_the_record() -> None:
    crashes: list[int] = []

    @given(prices=st.lists(_PRICES, max_size=80))
    def costs(prices: list[Decimal]) -> None:
        crashes.append(_crashes_that_cost_little(prices))

    costs()
    fired(sum(crashes), words="prices after which the record is not the true one")


def _crashes_that_cost_little(prices: list[Decimal]) -> int:
    """Let a crash come after each price; after how many the record of the disk was behind."""
    behind = 0
    around = Around()
    watch = around.watch(armed(TrackerKind.TRAIL, 1000, trail="0.5"))
    for number, price in enumerate(prices):
        around.see(watch, price, float(number))
        for part in watch.moved(is_turn=False):
            watch.saved([(moved, watch.live.durable.get(1)) for moved in part])
        true, durable = watch.live.find(1), watch.live.durable.get(1)
        assert true is not None
        assert durable is not None
        assert true.record_price is not None
        assert durable.record_price is not None
        assert durable.record_price <= true.record_price
        assert true.record_price < durable.record_price * (1 + _EPSILON)
        behind += durable.record_price < true.record_price
    return behind


# ---------------------------------------------------------------- what a price costs


def test_a_price_inside_the_band_evaluates_nothing(around: Around) -> None:
    watch = around.watch(
        *(armed(TrackerKind.STOP, 60000, n, level=50000 + n) for n in range(1, 99))
    )
    around.seconds = -1
    assert not around.see(watch, 55000)
    assert not around.see(watch, 70000)


def test_a_new_record_is_kept_without_looking_at_each_tracker(around: Around) -> None:
    watch = around.watch(*(armed(TrackerKind.TRAIL, 60000, n, trail="0.5") for n in range(1, 9)))
    assert not around.see(watch, "60000.01")
    known = watch.live.find(1)
    assert known is not None
    assert known.record_price == d("60000.01")


def test_a_price_of_an_unwatched_symbol_costs_one_lookup(around: Around) -> None:
    watch = around.watch(armed(TrackerKind.STOP, 60000, level=58000))
    assert not watch.observe(observation(1, symbol="ADA/USDT"))


def test_what_is_worth_most_leaves_first(around: Around) -> None:
    small = armed(TrackerKind.STOP, 60000, 1, level=58000)
    large = replace(armed(TrackerKind.STOP, 60000, 2, level=58000), quantity=d(5))
    watch = around.watch(small, large)
    around.see(watch, 57000)
    assert [fired.tracker.tracker_id for fired in watch.fired] == [2, 1]


# ---------------------------------------------------------------- buys


def test_a_buy_does_not_trigger_while_entries_are_refused_and_is_told_once(around: Around) -> None:
    watch = around.watch(armed(TrackerKind.DIP, 60000, level=55000, trail="0.01"))
    around.may_enter = False
    around.see(watch, 50000, 0)
    watch.changes.clear()
    around.see(watch, 51000, 1)
    assert watch.fired == []
    (change,) = watch.changes
    assert (change.change, change.reason) == (TrackerChange.REBUILT, "entries are refused now")
    assert change.tracker.record_price == d(51000)
    around.see(watch, 52000, 2)
    assert watch.changes[1].reason == ""
    around.may_enter = True
    around.see(watch, 53000, 3)
    assert [fired.evidence.price for fired in watch.fired] == [d(53000)]


def test_a_swing_buys_nothing_that_its_own_stop_would_sell_at_once(around: Around) -> None:
    swing = armed(TrackerKind.TAKE_PROFIT, 60000, level=61000, trail="0.01", stop=58000)
    buying = replace(swing, side=Side.BUY, state=TrackerState.TRAILING, quantity=d(0), quote=d(500))
    watch = around.watch(replace(buying, record_price=d(57000), stop_price=d(57570)))
    around.see(watch, 57600)
    assert watch.fired == []
    (change,) = watch.changes
    assert (change.change, change.reason) == (
        TrackerChange.REBUILT,
        "its own stop would sell at once",
    )
    assert change.tracker.record_price == d(57600)
    around.see(watch, "58000", 1)
    assert watch.fired == []
    around.see(watch, 58200, 2)
    assert [fired.evidence.price for fired in watch.fired] == [d(58200)]


def test_a_sale_needs_no_leave(around: Around) -> None:
    watch = around.watch(armed(TrackerKind.STOP, 60000, level=58000))
    around.may_enter = False
    around.see(watch, 57000)
    assert len(watch.fired) == 1


def test_a_buy_does_not_act_on_the_first_price_after_a_gap(around: Around) -> None:
    watch = around.watch(armed(TrackerKind.BREAKOUT, 60000, level=62000))
    watch.blind(BTC.symbol)
    around.see(watch, 63000)
    assert watch.fired == []
    (change,) = watch.changes
    assert change.tracker.state is TrackerState.RESTING
    assert change.reason == "it was blind"
    around.see(watch, 61000, 1)
    around.see(watch, 62000, 2)
    assert len(watch.fired) == 1


def test_a_gap_that_changed_nothing_leaves_a_buy_as_it_was(around: Around) -> None:
    watch = around.watch(armed(TrackerKind.BREAKOUT, 60000, level=62000))
    watch.blind(BTC.symbol)
    around.see(watch, 61000)
    around.see(watch, 62000, 1)
    assert len(watch.fired) == 1


def test_a_buy_that_was_refused_after_its_trigger_waits_again(around: Around) -> None:
    watch = around.watch(armed(TrackerKind.BREAKOUT, 60000, level=62000))
    around.see(watch, 62000)
    fresh = watch.unfire(watch.fired[0])
    assert fresh.state is TrackerState.RESTING
    assert watch.live.find(1) == fresh


# ---------------------------------------------------------------- time


def test_a_line_fires_by_time_alone_when_it_reaches_a_standing_price(around: Around) -> None:
    watch = around.watch(armed(TrackerKind.STOP, 60000, level=line(50000, 59600)))
    around.see(watch, 52400, 0)
    around.seconds = 6 * 3600 - 1
    watch.sweep()
    assert watch.fired == []
    around.seconds = 6 * 3600
    watch.sweep()
    assert [fired.evidence.level for fired in watch.fired] == [d(52400)]


def test_time_alone_fires_nothing_on_stale_data(around: Around) -> None:
    watch = around.watch(armed(TrackerKind.STOP, 60000, level=line(50000, 59600)))
    around.see(watch, 52400, 0)
    around.seconds, around.is_stale = 7 * 3600, True
    watch.sweep()
    assert watch.fired == []
    around.is_stale = False
    watch.sweep()
    assert len(watch.fired) == 1


def test_time_passes_in_silence_before_the_first_price(around: Around) -> None:
    watch = around.watch(armed(TrackerKind.STOP, 60000, level=line(50000, 59600)))
    around.seconds = 7 * 3600
    watch.sweep()
    assert watch.fired == []


def test_seconds_beyond_a_level_run_out_without_a_tick(around: Around) -> None:
    confirm = Confirm(ConfirmKind.SECONDS, 5)
    watch = around.watch(armed(TrackerKind.STOP, 60000, level=58000, confirm=confirm))
    around.see(watch, 57900, 0)
    around.seconds = 4
    watch.sweep()
    assert watch.fired == []
    around.seconds = 5
    watch.sweep()
    assert len(watch.fired) == 1


# ---------------------------------------------------------------- held while written


def test_a_tracker_that_looks_at_another_price_does_not_fire_on_what_it_saw_before(
    around: Around,
) -> None:
    stop = armed(TrackerKind.STOP, 60000, level=58000)
    watch = around.watch(stop)
    watch.hold(1)
    around.see(watch, 57900, 1)
    watch.put(replace(stop, spec=replace(stop.spec, price_kind=PriceKind.LAST)))
    watch.release(1)
    assert watch.fired == []
    around.see(watch, 57950, 2)
    [fired_now] = watch.fired
    assert (fired_now.evidence.price, fired_now.evidence.price_kind) == (d(57950), PriceKind.LAST)


def test_a_held_tracker_reacts_after_its_release_to_what_it_saw(around: Around) -> None:
    stop = armed(TrackerKind.STOP, 60000, level=58000)
    watch = around.watch(stop)
    watch.hold(1)
    around.see(watch, 57000, 1)
    around.see(watch, 59000, 2)
    assert watch.fired == []
    watch.release(1)
    assert [fired.evidence.price for fired in watch.fired] == [d(57000)]


def test_a_held_tracker_that_was_cancelled_does_not_fire(around: Around) -> None:
    stop = armed(TrackerKind.STOP, 60000, level=58000)
    watch = around.watch(stop, replace(stop, tracker_id=2))
    watch.hold(1)
    around.see(watch, 57000, 1)
    watch.put(replace(stop, state=TrackerState.CANCELLED))
    watch.release(1)
    assert [fired.tracker.tracker_id for fired in watch.fired] == [2]


def test_an_edit_keeps_the_record_that_was_made_while_it_was_written(around: Around) -> None:
    trail = armed(TrackerKind.TRAIL, 60000, trail="0.03")
    watch = around.watch(trail)
    watch.hold(1)
    around.see(watch, 62000, 1)
    tightened = trailing.tighten(trail, d("0.02"), BTC)
    watch.put(tightened)
    watch.release(1)
    known = watch.live.find(1)
    assert known is not None
    assert (known.record_price, known.stop_price) == (d(62000), d(60760))


def test_a_later_durable_value_is_not_replaced_by_an_older_write(around: Around) -> None:
    trail = armed(TrackerKind.TRAIL, 60000, trail="0.03")
    watch = around.watch(trail)
    before = watch.live.durable.get(1)
    later = replace(trail, quantity=d("0.4"))
    watch.put(later)
    watch.saved([(trail, before)])
    assert watch.live.durable.get(1) is later


# ---------------------------------------------------------------- the rest


def test_all_records_are_read_within_a_few_turns(around: Around) -> None:
    trackers = [
        armed(TrackerKind.TRAIL, 60000, 1, trail="0.03"),
        replace(armed(TrackerKind.TRAIL, 60000, 2, trail="0.03", symbol="ADA/USDT")),
    ]
    watch = around.watch(*trackers)
    around.see(watch, "60000.01", 1)
    watch.observe(observation("60000.01", 1, symbol="ADA/USDT"))
    assert list(watch.moved(is_turn=False)) == []
    parts = [part for _ in range(SYNC_PARTS) for part in watch.moved(is_turn=True)]
    seen = {tracker.tracker_id for part in parts for tracker in part}
    assert seen == {1, 2}


def test_after_every_few_symbols_a_part_without_records_lets_others_have_their_turn(
    around: Around, monkeypatch: pytest.MonkeyPatch
) -> None:
    coins = [coin(f"C{number}") for number in range(100)]
    for one in coins:
        monkeypatch.setitem(_INSTRUMENTS, one.symbol, one)
    trails = [
        armed(TrackerKind.TRAIL, 60000, number, trail="0.03", symbol=one.symbol)
        for number, one in enumerate(coins, start=1)
    ]
    watch = around.watch(*trails)
    assert list(watch.moved(is_turn=True)) == [[], [], []]


def test_records_of_a_new_touch_travel_with_the_touch(around: Around) -> None:
    watch = around.watch(armed(TrackerKind.TAKE_PROFIT, 60000, level=65000, trail="0.02"))
    around.see(watch, 65000, 1)
    around.see(watch, 66000, 2)
    assert [change.change for change in watch.changes] == [TrackerChange.TOUCHED]
    assert [part for _ in range(SYNC_PARTS) for part in watch.moved(is_turn=True)] == []


def test_a_record_made_while_another_is_written_is_not_lost(around: Around) -> None:
    watch = around.watch(armed(TrackerKind.TRAIL, 60000, trail="0.03"))
    around.see(watch, 61000, 1)
    [[moved]] = list(watch.moved(is_turn=False))
    around.see(watch, 62000, 2)
    watch.saved([(moved, watch.live.durable.get(1))])
    found = watch.live.find(1)
    assert found is not None
    assert found.record_price == 62000


def test_records_come_in_short_parts_and_not_for_what_is_being_edited(around: Around) -> None:
    around_one = [armed(TrackerKind.TRAIL, 60000, number, trail="0.03") for number in range(1, 41)]
    watch = around.watch(*around_one)
    around.see(watch, 61000, 1)
    parts = watch.moved(is_turn=False)
    first = next(parts)
    watch.hold(30)
    later = [tracker.tracker_id for part in parts for tracker in part]
    assert len(first) < 40
    assert sorted([tracker.tracker_id for tracker in first] + [30, *later]) == list(range(1, 41))


def test_trackers_of_several_price_kinds_see_their_own_prices(around: Around) -> None:
    by_bid = armed(TrackerKind.STOP, 60000, 1, level=58000, price_kind=PriceKind.BID)
    by_print = armed(TrackerKind.STOP, 60000, 2, level=58000)
    watch = around.watch(by_bid, by_print)
    book = replace(observation(58500, 1, is_trade=False), price=None, bid=d(57000), ask=d(60000))
    watch.observe(book)
    assert [fired.tracker.tracker_id for fired in watch.fired] == [1]
    assert watch.fired[0].evidence.price_kind is PriceKind.BID


def test_symbols_are_those_of_waiting_and_acting_trackers(around: Around) -> None:
    watch = around.watch(armed(TrackerKind.STOP, 60000, level=58000))
    around.see(watch, 57000)
    assert watch.live.symbols() == {BTC.symbol}
    assert [t.state for t in watch.live.all()] == [TrackerState.TRIGGERED]
    watch.put(replace(watch.live.all()[0], state=TrackerState.CLOSED))
    assert watch.live.symbols() == frozenset()


def test_a_symbol_is_near_when_something_is_within_a_share_of_its_price(around: Around) -> None:
    watch = around.watch(
        armed(TrackerKind.TAKE_PROFIT, 60000, level=65000, trail="0.02", stop=50000)
    )
    assert watch.is_near(BTC.symbol, d("0.01")), "without a price nothing is known to be far"
    around.see(watch, 60000)
    assert not watch.is_near(BTC.symbol, d("0.01"))
    around.see(watch, 64500)
    assert watch.is_near(BTC.symbol, d("0.01"))
    around.see(watch, 50100)
    assert watch.is_near(BTC.symbol, d("0.01"))
    assert not watch.is_near("ADA/USDT", d("0.01"))


def test_an_atr_that_calms_down_tightens_its_trackers_only(around: Around) -> None:
    atr = Distance(atr_multiple=d(2))
    by_atr = replace(
        armed(TrackerKind.TRAIL, 60000, 1, trail="0.03"),
        spec=replace(armed(TrackerKind.TRAIL, 60000, 1, trail="0.03").spec, trail=atr),
    )
    fixed = armed(TrackerKind.TRAIL, 60000, 2, trail="0.03")
    watch = around.watch(by_atr, fixed)
    watch.tighten(BTC.symbol, Timeframe("4h"), d("0.001"))
    assert watch.changes == []
    watch.tighten(BTC.symbol, Timeframe("1h"), d("0.01"))
    (change,) = watch.changes
    assert (change.tracker.tracker_id, change.tracker.stop_price) == (1, d(58800))
    watch.tighten(BTC.symbol, Timeframe("1h"), d("0.02"))
    assert len(watch.changes) == 1


def test_missed_time_fires_what_is_beyond_now_and_tells_the_rest(around: Around) -> None:
    crossed = armed(TrackerKind.STOP, 60000, 1, level=58000)
    beyond = armed(TrackerKind.STOP, 60000, 2, level=59000)
    far = armed(TrackerKind.STOP, 60000, 3, level=40000)
    watch = around.watch(crossed, beyond, far)
    *_, judged = watch.recall(BTC.symbol, [candle(1, 57000, 60000)], d(58500), to_ms(NOON))
    assert [fired.tracker.tracker_id for fired in watch.fired] == [2]
    (change,) = watch.changes
    assert (change.tracker.tracker_id, change.change) == (1, TrackerChange.REBUILT)
    assert len(judged) == 3


def test_missed_time_leaves_a_tracker_alone_that_is_being_changed(around: Around) -> None:
    watch = around.watch(armed(TrackerKind.STOP, 60000, level=59000))
    watch.hold(1)
    [*_] = watch.recall(BTC.symbol, [], d(58500), to_ms(NOON))
    assert watch.fired == []


def test_missed_time_is_judged_one_tracker_at_a_time_and_acted_on_at_once(around: Around) -> None:
    stops = [armed(TrackerKind.STOP, 60000, number, level=59000) for number in (1, 2, 3)]
    watch = around.watch(*stops)
    parts = watch.recall(BTC.symbol, [], d(58500), to_ms(NOON))
    seen = [(len(part), len(watch.fired)) for part in parts]
    assert seen == [(0, 0), (0, 0), (0, 0), (3, 3)]


def test_what_changes_while_missed_time_is_judged_is_judged_as_it_is_then(around: Around) -> None:
    moved, ended, fell = (
        armed(TrackerKind.STOP, 60000, number, level=59000) for number in (1, 2, 3)
    )
    watch = around.watch(moved, ended, fell)
    parts = watch.recall(BTC.symbol, [], d(58500), to_ms(NOON))
    assert [next(parts) for _ in range(3)] == [[], [], []]
    watch.put(armed(TrackerKind.STOP, 60000, 1, level=58000))
    watch.put(armed(TrackerKind.STOP, 60000, 4, level=58600))
    watch.remove(2)
    watch.observe(observation(58900))
    assert [fired.tracker.tracker_id for fired in watch.fired] == [3]
    [judged] = parts
    assert sorted(verdict.tracker.tracker_id for verdict in judged) == [1, 4]
    assert [fired.tracker.tracker_id for fired in watch.fired] == [3, 4]
