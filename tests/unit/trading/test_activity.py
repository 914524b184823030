"""What added risk lately is counted alike by a long run and by a start from the journal."""

import asyncio
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import builders
from tests.fakes.memory_store import MemoryStore
from tests.fakes.virtual_time import VirtualTime
from trading.activity import KINDS, EntryLog, begins
from trading.domain.events import Event, Heartbeat, IntentClosed, IntentOpened
from trading.domain.market import Quote
from trading.domain.order import Intent, IntentState, Purpose, Side
from trading.domain.position import Balance, Portfolio, TradingMode
from trading.portfolio import PortfolioBook
from trading.reading_back import read_back
from trading.risk.gate import Activity, Approved, Refusal, review
from trading.risk.halts import stricter
from trading.risk.limits import RiskLimits

BTC = "BTC/USDT"
NOON = builders.NOON


def entry(number: int, budget: str = "100", symbol: str = BTC) -> Intent:
    return Intent(
        f"entry-{number}",
        symbol,
        Side.BUY,
        Purpose.ENTRY,
        Decimal(60_000),
        NOON,
        quote_budget=Decimal(budget),
        tracker_id=number,
    )


def sized(number: int) -> Intent:
    """Two hundredths of a coin at a limit of 50,000."""
    return replace(
        entry(number), quote_budget=None, quantity=Decimal("0.02"), limit_price=Decimal(50_000)
    )


def ended(intent: Intent, spent: str, at: datetime = NOON) -> IntentClosed:
    done = replace(intent, state=IntentState.DONE, filled_notional=Decimal(spent))
    return IntentClosed(done, at)


def log(*events: Event, at_s: float = 100.0) -> EntryLog:
    found = EntryLog(book())
    for event in events:
        found.apply(event, at_s)
    return found


def book() -> PortfolioBook:
    found = PortfolioBook("USDT")
    found.set_price(BTC, Decimal(60_000))
    return found


async def restarted(store: MemoryStore, now: datetime, now_s: float = 5.0) -> EntryLog:
    found = EntryLog(book())
    events = await read_back(store.journal, begins(now), KINDS)
    found.load(events, (await store.records.state()).intents, now, now_s)
    return found


# ------------------------------------------------------------ counting


def test_an_entry_counts_for_its_budget_and_at_its_end_for_what_it_spent() -> None:
    first, second = entry(1, "100"), sized(2)
    found = log(IntentOpened(first, NOON), IntentOpened(second, NOON))
    assert found.today(NOON) == 1_100
    found.apply(ended(first, "40"), 101.0)
    assert found.today(NOON) == 1_040
    found.apply(ended(second, "0"), 101.0)
    assert found.today(NOON) == 40


def test_exits_and_other_facts_count_nothing() -> None:
    sale = replace(entry(1), side=Side.SELL, purpose=Purpose.PROTECT)
    found = log(IntentOpened(sale, NOON), ended(sale, "500"), Heartbeat(NOON))
    assert (found.today(NOON), found.lately(100.0, [sale])) == (0, ())


def test_a_minute_is_sixty_seconds_of_the_clock_that_only_grows() -> None:
    found = log(IntentOpened(entry(1), NOON), at_s=100.0)
    found.refused(entry(2), 130.0)
    assert [(each.age_s, each.is_approved) for each in found.lately(150.0)] == [
        (50.0, True),
        (20.0, False),
    ]
    assert [each.is_approved for each in found.lately(160.0)] == [False]
    assert found.lately(190.0) == ()


def test_an_approved_entry_counts_before_it_is_durable_and_once() -> None:
    found = log()
    working = [entry(1)]
    assert found.today(NOON, working) == 100
    assert [each.age_s for each in found.lately(100.0, working)] == [0.0]
    found.apply(IntentOpened(working[0], NOON), 100.0)
    assert found.today(NOON, working) == 100
    assert len(found.lately(100.0, working)) == 1


def test_an_entry_that_stays_open_counts_on_the_day_of_its_decision_only() -> None:
    resting = entry(1)
    found = log(IntentOpened(resting, NOON))
    tomorrow = NOON + timedelta(days=1)
    assert found.today(tomorrow, [resting]) == 0
    assert found.lately(9_000.0, [resting]) == ()
    found.apply(IntentOpened(entry(2, "7"), tomorrow), 9_000.0)
    found.apply(ended(resting, "100", tomorrow), 9_001.0)
    assert found.today(tomorrow) == 7


def test_a_clock_that_is_set_back_gives_no_day_anew() -> None:
    found = log(IntentOpened(entry(1), NOON))
    yesterday = NOON - timedelta(days=1)
    assert found.today(yesterday) == 100
    found.apply(IntentOpened(entry(2), yesterday), 101.0)
    assert found.today(NOON) == 200


def test_other_quote_assets_are_valued_at_the_present_price_and_unpriced_ones_at_nothing() -> None:
    bought = IntentOpened(entry(1, "0.5", "ETH/BTC"), NOON)
    unpriced = IntentOpened(entry(2, "9", "ETH/XYZ"), NOON)
    assert log(bought, unpriced).today(NOON) == 30_000


# ------------------------------------------------------------ restarts


async def test_the_day_and_the_minute_survive_a_restart() -> None:
    store = MemoryStore(VirtualTime())
    before = NOON - timedelta(days=1)
    resting, spent, fresh = entry(1), entry(2, "50"), entry(3, "30")
    await store.journal.append(IntentOpened(resting, before))
    await store.journal.append(IntentOpened(spent, NOON - timedelta(hours=2)))
    await store.journal.append(ended(spent, "45", NOON - timedelta(hours=1)))
    await store.journal.append(IntentOpened(fresh, NOON - timedelta(seconds=20)))
    found = await restarted(store, NOON, 5.0)
    assert found.today(NOON, [resting, fresh]) == 75
    assert [(each.intent.intent_id, each.age_s) for each in found.lately(5.0, [resting])] == [
        ("entry-3", 20.0)
    ]
    assert found.lately(45.0) == ()


async def test_a_restart_at_midnight_keeps_the_last_minute_and_begins_the_day() -> None:
    store = MemoryStore(VirtualTime())
    midnight = NOON.replace(hour=0)
    await store.journal.append(IntentOpened(entry(1), midnight - timedelta(seconds=20)))
    found = await restarted(store, midnight + timedelta(seconds=10))
    assert len(found.lately(5.0)) == 1
    assert found.today(midnight + timedelta(seconds=10)) == 0


async def test_a_day_of_many_entries_is_read_to_its_beginning() -> None:
    store = MemoryStore(VirtualTime())
    opened = [IntentOpened(entry(each, "1"), NOON - timedelta(hours=1)) for each in range(1_500)]
    await store.journal.append(*opened)
    found = await restarted(store, NOON)
    assert found.today(NOON) == 1_500


# ------------------------------------------------------------ with the gate


LIMITS = RiskLimits(
    order_notional_max=Decimal(400),
    notional_per_day_max=Decimal(1_000),
    orders_per_minute_max=3,
    orders_open_max=2,
)


@dataclass
class Account:
    """Asks the gate as the agent does, and restarts whenever it is told to."""

    store: MemoryStore = field(default_factory=lambda: MemoryStore(VirtualTime()))
    log: EntryLog = field(default_factory=lambda: EntryLog(book()))
    mode: TradingMode = TradingMode.ACTIVE
    now_s: float = 0.0
    working: dict[str, Intent] = field(default_factory=dict)
    asked: int = 0
    # When an entry was approved, and what it may cost or cost.
    approved: list[tuple[float, str]] = field(default_factory=list)
    cost: dict[str, Decimal] = field(default_factory=dict)
    past_a_cap: int = 0

    @property
    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.now_s)

    async def write(self, event: Event) -> None:
        await self.store.journal.append(event)
        self.log.apply(event, self.now_s)

    async def ask(self, budget: int) -> None:
        self.asked += 1
        intent = replace(entry(self.asked, str(budget)), created_at=self.now)
        quote = Quote(BTC, Decimal(60_000), Decimal(1), Decimal(60_001), Decimal(1), 0, 0.0)
        activity = Activity(
            instrument=builders.bitcoin(),
            quote=quote,
            entries_open=len(self.working),
            lately=self.log.lately(self.now_s, self.working.values()),
            notional_today=self.log.today(self.now, self.working.values()),
        )
        portfolio = Portfolio(balances={"USDT": Balance("USDT", Decimal(10**6), Decimal(0))})
        answer = review(intent, portfolio, LIMITS, self.mode, activity, self.now)
        if isinstance(answer, Refusal):
            self.log.refused(intent, self.now_s)
            halt = stricter(self.mode, answer.halt)
            self.mode = halt.mode if halt is not None else self.mode
            return
        assert isinstance(answer, Approved)
        assert self.mode is TradingMode.ACTIVE
        self.working[intent.intent_id] = intent
        self.approved.append((self.now_s, intent.intent_id))
        self.cost[intent.intent_id] = Decimal(budget)
        await self.write(IntentOpened(intent, self.now))

    async def end(self, share: int) -> None:
        if self.working:
            _, intent = self.working.popitem()
            spent = self.cost[intent.intent_id] * share / 100
            self.cost[intent.intent_id] = spent
            await self.write(ended(intent, str(spent), self.now))

    async def restart(self) -> None:
        before = (self.log.today(self.now), self._made())
        self.log = await restarted(self.store, self.now, self.now_s)
        assert (self.log.today(self.now), self._made()) == before

    def _made(self) -> list[tuple[str, float]]:
        lately = self.log.lately(self.now_s, self.working.values())
        return [(each.intent.intent_id, each.age_s) for each in lately if each.is_approved]

    def check(self) -> None:
        lately = [one for at_s, one in self.approved if at_s > self.now_s - 60]
        assert len(lately) <= LIMITS.orders_per_minute_max
        assert len(self.working) <= LIMITS.orders_open_max
        assert sum(self.cost.values(), Decimal(0)) <= LIMITS.notional_per_day_max


actions = st.one_of(
    st.tuples(st.just("ask"), st.integers(5, 450)),
    st.tuples(st.just("end"), st.integers(0, 100)),
    st.tuples(st.just("wait"), st.integers(1, 40)),
    st.tuples(st.just("restart"), st.just(0)),
    st.tuples(st.just("resume"), st.just(0)),
)


@given(st.lists(actions, max_size=40))
def test_no_sequence_of_approvals_passes_a_cap_through_ends_restarts_and_resumes(
    story: list[tuple[str, int]],
) -> None:
    async def play() -> None:
        account = Account()
        for name, number in story:
            match name:
                case "ask":
                    await account.ask(number)
                case "end":
                    await account.end(number)
                case "wait":
                    account.now_s += number
                case "restart":
                    await account.restart()
                case _:
                    account.mode = TradingMode.ACTIVE
            account.check()

    asyncio.run(play())


@pytest.mark.parametrize("cap", ["minute", "open", "day"])
async def test_the_first_entry_past_a_cap_is_refused_and_ends_entries(cap: str) -> None:
    account = Account()
    for each in range(3):
        await account.ask(330 if cap == "day" else 10)
        if cap != "open" or each:
            await account.end(100)
        account.now_s += 30 if cap == "day" else 1
    assert len(account.approved) == 3
    if cap == "open":
        await account.restart()
        account.now_s += 60
        await account.ask(10)
        assert account.mode is TradingMode.ACTIVE
    await account.ask(10 if cap != "day" else 20)
    assert account.mode is TradingMode.REDUCING
    before = len(account.approved)
    account.now_s += 600
    await account.ask(5)
    assert len(account.approved) == before
