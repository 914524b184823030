"""The market engine: streams while it can, asks over REST when it must, and tells once."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from tests.builders import NOON
from tests.catalogue import fired
from tests.fakes.clock import FakeClock
from tests.unit.trading.market.make import BASE_MS, SYMBOL, candle, d
from trading.domain.chat import Severity
from trading.domain.errors import Unreachable
from trading.domain.events import ConditionChanged
from trading.domain.instrument import Instrument
from trading.domain.market import Candle, MarketTrade, Observation, OrderBook, PriceSource, Quote
from trading.domain.time import Timeframe, to_ms
from trading.gateway.throttle import Throttle, Urgency, Weight
from trading.gateway.venue import WEIGHTS
from trading.market.engine import MarketEngine, MarketHooks

_START_S = 1_000.0
OTHER = "ETH/USDT"


class FakeFeed:
    """An exchange with memory: its prices move on REST, and on the stream while that lives."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.prices: dict[str, Decimal] = {SYMBOL: d(100), OTHER: d(10)}
        self.connections: list[tuple[float, frozenset[str]]] = []
        self.reads: list[tuple[str, str]] = []
        self.batches: list[tuple[str, ...]] = []
        self.unusable: set[str] = set()
        self.half_spread = d("0.001")
        self.is_rest_down = False
        self.refuses = False
        # How often it did not answer or refused a connection, and how often it ended a stream.
        self.unanswered = 0
        self.cuts = 0
        # Messages of the stream that say another price than the true one, or an older time.
        self.untrue = 0
        # What our own gateway counts, where a test lets it.
        self.throttle: Throttle | None = None
        self.read_gate: asyncio.Event | None = None
        self.candle_requests: list[tuple[Timeframe, int]] = []
        self.past = [candle(1, 2, 0.5, 1)]
        self._on_trade: Callable[[MarketTrade], None] | None = None
        self._on_quote: Callable[[Quote], None] | None = None
        self._ending: asyncio.Future[None] | None = None
        self.alive = 0
        self.announce_end: Callable[[], None] = lambda: None

    # -- what tests do

    def ms(self) -> int:
        return BASE_MS + round((self.clock.monotonic() - _START_S) * 1000)

    def print_(self, price: object, symbol: str = SYMBOL, *, event_ms: int | None = None) -> None:
        """Say a print on the stream only."""
        assert self._on_trade is not None
        self.untrue += d(price) != self.prices[symbol]
        self._on_trade(self._trade(symbol, d(price), PriceSource.STREAM, event_ms))

    def book(self, symbol: str = SYMBOL, *, event_ms: int | None = None) -> None:
        """Say the book of the true price on the stream."""
        assert self._on_quote is not None
        self._on_quote(self._quote(symbol, PriceSource.STREAM, event_ms))

    def old_book(self, price: object, *, event_ms: int | None = None) -> None:
        """Say the book of another price on the stream."""
        self.prices[SYMBOL], true = d(price), self.prices[SYMBOL]
        self.book(event_ms=event_ms)
        self.prices[SYMBOL] = true
        self.untrue += d(price) != true

    def move(self, price: object, symbol: str = SYMBOL) -> None:
        """Move the true price: REST shows it, the stream not."""
        self.prices[symbol] = d(price)

    def cut(self, error: Exception | None = None) -> None:
        """End the stream."""
        assert self._ending is not None
        self.cuts += not self._ending.done()
        if error is None:
            self._ending.set_result(None)
        else:
            self._ending.set_exception(error)

    @property
    def is_streaming(self) -> bool:
        return self._ending is not None and not self._ending.done()

    def _trade(
        self, symbol: str, price: Decimal, source: PriceSource, event_ms: int | None = None
    ) -> MarketTrade:
        at_ms = self.ms() if event_ms is None else event_ms
        return MarketTrade(symbol, price, d(1), at_ms, self.clock.monotonic(), source)

    def _quote(self, symbol: str, source: PriceSource, event_ms: int | None = None) -> Quote:
        price = self.prices[symbol]
        at_ms = self.ms() if event_ms is None else event_ms
        return Quote(
            symbol,
            price * (1 - self.half_spread),
            d(1),
            price * (1 + self.half_spread),
            d(1),
            at_ms,
            self.clock.monotonic(),
            source,
        )

    # -- MarketFeed

    async def instruments(self) -> Mapping[str, Instrument]:
        return {}

    async def quote(self, symbol: str) -> Quote:
        await self._answer("quote", symbol)
        return self._quote(symbol, PriceSource.REST)

    quotes_max = 100

    async def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        self.batches.append(tuple(symbols))
        self.reads += [("quote", symbol) for symbol in symbols]
        await self._reply(WEIGHTS["quotes"])
        told = [symbol for symbol in symbols if symbol not in self.unusable]
        return {symbol: self._quote(symbol, PriceSource.REST) for symbol in told}

    async def last_trade(self, symbol: str) -> MarketTrade:
        await self._answer("trade", symbol)
        return self._trade(symbol, self.prices[symbol], PriceSource.REST)

    async def order_book(self, symbol: str, limit: int = 100) -> OrderBook:
        return OrderBook(symbol, (), (), self.ms())

    async def candles(
        self, symbol: str, timeframe: Timeframe, limit: int, since: datetime | None = None
    ) -> Sequence[Candle]:
        self.candle_requests.append((timeframe, limit))
        return self.past

    async def stream_market(
        self,
        symbols: frozenset[str],
        on_trade: Callable[[MarketTrade], None],
        on_quote: Callable[[Quote], None],
        on_ending: Callable[[], None] = lambda: None,
    ) -> None:
        self.connections.append((self.clock.monotonic(), symbols))
        if self.refuses:
            self.unanswered += 1
            raise Unreachable("connection refused")
        self._on_trade, self._on_quote, self.announce_end = on_trade, on_quote, on_ending
        self._ending = asyncio.get_running_loop().create_future()
        self.alive += 1
        try:
            await self._ending
        finally:
            self.alive -= 1

    async def _answer(self, what: str, symbol: str) -> None:
        self.reads.append((what, symbol))
        await self._reply(1)

    async def _reply(self, cost: int) -> None:
        if self.throttle is not None:
            self.throttle.take(Weight(cost), self.clock.monotonic())
        if self.read_gate is not None:
            await self.read_gate.wait()
        await asyncio.sleep(0)
        if self.is_rest_down:
            self.unanswered += 1
            raise Unreachable("no answer")


@dataclass
class Bench:
    """An engine on a feed and a clock that tests move."""

    clock: FakeClock = field(default_factory=FakeClock)
    seen: list[Observation] = field(default_factory=list)
    conditions: list[ConditionChanged] = field(default_factory=list)
    gaps: list[tuple[frozenset[str], datetime]] = field(default_factory=list)
    near: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.feed = FakeFeed(self.clock)
        self.engine = MarketEngine(
            self.feed,
            self.clock,
            MarketHooks(
                on_observation=self.seen.append,
                on_condition=self.conditions.append,
                is_near=lambda symbol: symbol in self.near,
                on_gap=lambda symbols, since: self.gaps.append((symbols, since)),
            ),
            sleep=self.clock.sleep,
        )

    async def settle(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)

    async def live(self, *symbols: str) -> None:
        """Watch symbols and let the first messages come."""
        self.engine.watch(symbols or (SYMBOL,))
        await self.settle()
        for symbol in symbols or (SYMBOL,):
            self.feed.print_(self.feed.prices[symbol], symbol)
            self.feed.book(symbol)

    async def live_over_rest(self, *symbols: str) -> None:
        """Watch symbols whose prices are read, while no stream can be had."""
        self.engine.watch(symbols)
        await self.pass_seconds(3)

    async def pass_seconds(self, seconds: int, *, talk: Callable[[], None] | None = None) -> None:
        """Let seconds pass with a sweep after each, as the scheduler does."""
        for _ in range(seconds):
            self.clock.advance(1)
            await self.settle()
            if talk is not None and self.feed.is_streaming:
                talk()
            await self.engine.sweep()
            await self.settle()

    def told(self) -> list[tuple[str, str | None, bool]]:
        return [(c.condition, c.symbol, c.is_active) for c in self.conditions]


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    """A bench whose engine runs."""
    bench = Bench()
    running = asyncio.create_task(bench.engine.run())
    yield bench
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


# ---------------------------------------------------------------- everything is lost


@pytest.mark.fault("W03", "TELL SAID")
async def test_a_stream_that_is_lost_without_a_word_is_told_of_within_30_s_though_rest_is_lost_too(
    bench: Bench,
) -> None:
    await bench.live(SYMBOL, OTHER)
    bench.feed.is_rest_down = True
    # The connection stands as far as anybody can see, and new ones are refused.
    bench.feed.refuses = True
    await bench.pass_seconds(30)
    assert ("stream_down", None, True) in bench.told()
    assert ("stale_data", None, True) in bench.told()
    [lost, *again] = bench.feed.connections
    assert lost[0] == _START_S
    assert again
    bench.feed.is_rest_down = bench.feed.refuses = False

    def talk() -> None:
        for symbol in (SYMBOL, OTHER):
            bench.feed.book(symbol)

    await bench.pass_seconds(75, talk=talk)
    assert ("stream_down", None, False) in bench.told()
    assert not bench.engine.is_stale(SYMBOL)
    fired(bench.feed.unanswered)


async def test_reads_that_fail_are_noted_once_per_symbol_until_it_answers(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "trading.market.engine")
    bench.feed.refuses = True
    await bench.live_over_rest(SYMBOL, OTHER)
    for _ in range(2):
        bench.feed.is_rest_down = True
        await bench.pass_seconds(60)
        bench.feed.is_rest_down = False
        await bench.pass_seconds(5)
    failed = [getattr(one, "symbol", "") for one in caplog.records if one.message == "read_failed"]
    assert sorted(failed) == [SYMBOL, SYMBOL, OTHER, OTHER]


async def test_a_stream_that_says_nothing_is_kept_while_rest_says_the_same(bench: Bench) -> None:
    await bench.live(SYMBOL, OTHER)
    await bench.pass_seconds(120)
    assert len(bench.feed.connections) == 1
    assert bench.told() == []


# ---------------------------------------------------------------- our own budget


async def test_reads_that_our_own_budget_refuses_wait_for_it_and_are_told_once(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "trading.market.engine")
    bench.feed.refuses = True
    await bench.live_over_rest(SYMBOL, OTHER)
    bench.feed.throttle = Throttle(100, 0.3)
    bench.feed.throttle.take(Weight(70, Urgency.EXIT), bench.clock.monotonic())
    bench.feed.reads.clear()
    await bench.pass_seconds(59)
    # Each of the readers may find out by itself, and each looks again now and then.
    assert 1 <= len(bench.feed.reads) <= 50
    lines = [(one.message, one.levelname) for one in caplog.records if "read" in one.message]
    assert lines == [("reads_wait", "INFO")]
    await bench.pass_seconds(6)
    assert bench.engine.age_s(SYMBOL) == pytest.approx(0, abs=3)
    assert bench.engine.age_s(OTHER) == pytest.approx(0, abs=3)


async def test_w03_a_stall_of_100_symbols_costs_4_of_weight_a_second_and_each_has_a_price(
    bench: Bench,
) -> None:
    names = [f"C{number}/USDT" for number in range(100)]
    bench.feed.prices |= dict.fromkeys(names, d(5))
    await bench.live(*names)
    bench.feed.batches.clear()
    bench.feed.throttle = Throttle(6000, 0.3)
    for name in names:
        bench.feed.move(4.9, name)
    await bench.pass_seconds(5)
    assert {bench.engine.price(name) for name in names} == {d(4.9)}
    assert [len(batch) for batch in bench.feed.batches] == [100] * len(bench.feed.batches)
    assert sum(one.cost for _, one in bench.feed.throttle._used) <= 5 * WEIGHTS["quotes"]


async def test_what_cannot_be_told_of_one_symbol_costs_no_other_its_price(bench: Bench) -> None:
    third = "SOL/USDT"
    bench.feed.prices[third] = d(20)
    await bench.live(SYMBOL, OTHER, third)
    bench.feed.unusable = {SYMBOL}
    bench.feed.move(9.5, OTHER)
    bench.feed.move(95)
    await bench.pass_seconds(6)
    assert (bench.engine.price(OTHER), bench.engine.price(SYMBOL)) == (d(9.5), 95)


async def test_a_print_that_our_own_budget_refuses_leaves_the_book_that_was_read(
    bench: Bench,
) -> None:
    bench.feed.throttle = Throttle(100, 0.3)
    # One request is let through: the book's.
    bench.feed.throttle.take(Weight(69, Urgency.EXIT), bench.clock.monotonic())
    await bench.live_over_rest(SYMBOL)
    assert bench.feed.reads[:2] == [("quote", SYMBOL), ("trade", SYMBOL)]
    assert bench.engine.price(SYMBOL) == 100


async def test_a_book_too_wide_to_decide_is_read_again_with_a_print(bench: Bench) -> None:
    bench.feed.half_spread = d("0.02")
    bench.feed.refuses = True
    await bench.live_over_rest(SYMBOL, OTHER)
    assert (bench.engine.price(SYMBOL), bench.engine.price(OTHER)) == (100, 10)


async def test_what_our_own_budget_refuses_says_nothing_of_a_symbol(bench: Bench) -> None:
    await bench.live()
    bench.feed.throttle = Throttle(100, 0.3)
    bench.feed.throttle.take(Weight(70, Urgency.EXIT), bench.clock.monotonic())
    bench.feed.reads.clear()
    # A quiet stream lives; one whose price nobody could read would be in doubt after 5 s.
    await bench.pass_seconds(20)
    assert bench.feed.reads
    assert not bench.engine.is_stale(SYMBOL)
    assert bench.told() == []


# ---------------------------------------------------------------- the usual day


async def test_prices_come_from_the_first_read_before_the_stream_speaks(bench: Bench) -> None:
    bench.engine.watch([SYMBOL])
    assert bench.engine.is_stale(SYMBOL)
    await bench.settle()
    assert bench.engine.price(SYMBOL) == 100
    assert bench.engine.age_s(SYMBOL) == 0
    assert not bench.engine.is_stale(SYMBOL)


async def test_prints_of_the_stream_become_observations(bench: Bench) -> None:
    await bench.live()
    bench.feed.print_(101)
    observation = bench.seen[-1]
    assert (observation.symbol, observation.price, observation.is_trade) == (SYMBOL, 101, True)
    assert bench.engine.price(SYMBOL) == 101
    trade, quote = bench.engine.last_trade(SYMBOL), bench.engine.quote(SYMBOL)
    assert trade is not None
    assert quote is not None
    assert (trade.price, quote.mid) == (101, 100)
    assert bench.engine.stream_state == "live"
    signature = bench.engine.signature(SYMBOL)
    assert signature is not None
    assert signature.run == 1


async def test_an_unwatched_symbol_has_no_answers(bench: Bench) -> None:
    await bench.live()
    engine = bench.engine
    assert (engine.price(OTHER), engine.quote(OTHER), engine.last_trade(OTHER)) == (
        None,
        None,
        None,
    )
    assert (engine.age_s(OTHER), engine.signature(OTHER)) == (None, None)
    assert engine.is_stale(OTHER)
    assert engine.is_degraded(OTHER)
    bench.feed.print_(10, OTHER)
    bench.feed.book(OTHER)
    assert engine.price(OTHER) is None


async def test_the_set_of_symbols_changes_while_running(bench: Bench) -> None:
    await bench.live()
    bench.engine.watch([SYMBOL])
    await bench.settle()
    assert len(bench.feed.connections) == 1
    bench.engine.watch([OTHER])
    await bench.settle()
    bench.clock.advance(0.5)
    await bench.settle()
    assert [symbols for _, symbols in bench.feed.connections] == [{SYMBOL}, {OTHER}]
    assert bench.engine.price(SYMBOL) is None
    assert bench.engine.price(OTHER) == 10
    bench.engine.watch([])
    await bench.settle()
    assert len(bench.feed.connections) == 2


async def test_a_burst_of_changes_is_one_connection_half_a_second_later(bench: Bench) -> None:
    await bench.live()
    for number in range(100):
        bench.engine.watch([SYMBOL, OTHER] if number % 2 else [OTHER])
        await bench.settle()
    assert len(bench.feed.connections) == 1
    # What is new is read meanwhile.
    assert bench.engine.price(OTHER) == 10
    bench.clock.advance(0.5)
    await bench.settle()
    assert [symbols for _, symbols in bench.feed.connections] == [{SYMBOL}, {SYMBOL, OTHER}]
    # Whoever changes it later does not wait.
    bench.clock.advance(0.5)
    bench.engine.watch([SYMBOL])
    await bench.settle()
    assert len(bench.feed.connections) == 3


async def test_the_standing_book_decides_after_a_second_without_prints(bench: Bench) -> None:
    await bench.live()
    bench.feed.move("99.5")
    bench.feed.book()
    assert bench.engine.price(SYMBOL) == 100
    await bench.pass_seconds(1)
    assert bench.engine.price(SYMBOL) == d("99.5")
    assert not bench.seen[-1].is_trade


# ---------------------------------------------------------------- quiet is not stale


async def test_quiet_is_checked_over_rest_and_not_told(bench: Bench) -> None:
    await bench.live()
    before = len(bench.feed.reads)
    await bench.pass_seconds(60)
    assert bench.told() == []
    assert not bench.engine.is_stale(SYMBOL)
    age_s = bench.engine.age_s(SYMBOL)
    assert age_s is not None
    assert age_s <= 5
    assert 12 <= len(bench.feed.reads) - before <= 40
    assert len(bench.feed.connections) == 1


@pytest.mark.fault("W03", "SAID")
async def test_w03_a_silent_stall_is_replaced_by_rest_within_five_seconds(bench: Bench) -> None:
    await bench.live()
    bench.feed.move(97)
    await bench.pass_seconds(5)
    assert bench.engine.price(SYMBOL) == 97
    assert bench.seen[-1].source is PriceSource.REST
    fired(bench.feed.reads)


@pytest.mark.fault("W03", "TELL SAID")
async def test_w03_a_stall_is_told_once_and_the_stream_is_started_again(bench: Bench) -> None:
    await bench.live()
    bench.feed.move(97)
    await bench.pass_seconds(20)
    assert len(bench.feed.connections) == 2
    bench.feed.book()
    await bench.pass_seconds(60, talk=bench.feed.book)
    begun = [told for told in bench.told() if told[2]]
    assert begun[0] == ("degraded_data", SYMBOL, True)
    assert len(begun) == len(set(begun))
    assert len([told for told in bench.told() if not told[2]]) == len(begun)
    assert bench.engine.stream_state == "live"
    assert not bench.engine.is_degraded(SYMBOL)
    fired(begun)


@pytest.mark.fault("W04", "TELL SAID")
async def test_w04_a_frozen_event_clock_is_found_while_messages_arrive(bench: Bench) -> None:
    await bench.live()
    frozen_ms = bench.feed.ms()

    def repeat() -> None:
        bench.feed.old_book(100, event_ms=frozen_ms)

    bench.feed.move(97)
    await bench.pass_seconds(8, talk=repeat)
    assert ("degraded_data", SYMBOL, True) in bench.told()
    assert bench.engine.is_degraded(SYMBOL)
    assert any(one.source is PriceSource.REST and one.price == 97 for one in bench.seen)
    assert bench.engine.price(SYMBOL) == 97, "what the frozen stream repeats is the past"
    fired(bench.feed.untrue)


@pytest.mark.fault("W16")
async def test_w16_a_symbol_that_never_speaks_is_asked_for_over_rest(bench: Bench) -> None:
    await bench.live(SYMBOL, OTHER)
    bench.engine.watch([SYMBOL])
    bench.engine.watch([SYMBOL, OTHER])
    await bench.settle()
    bench.feed.print_(100)
    bench.feed.move(11, OTHER)
    await bench.pass_seconds(8, talk=bench.feed.book)
    assert bench.engine.price(OTHER) == 11
    assert ("degraded_data", OTHER, True) in bench.told()
    fired([read for read in bench.feed.reads if OTHER in read])


async def test_when_neither_stream_nor_rest_answers_the_price_is_stale_and_told(
    bench: Bench,
) -> None:
    await bench.live()
    bench.feed.is_rest_down = True
    await bench.pass_seconds(8)
    assert bench.engine.is_stale(SYMBOL)
    assert ("stale_data", SYMBOL, True) in bench.told()
    bench.feed.is_rest_down = False
    await bench.pass_seconds(40, talk=bench.feed.book)
    assert not bench.engine.is_stale(SYMBOL)
    assert ("stale_data", SYMBOL, False) in bench.told()


@pytest.mark.fault("W16", "TELL SAID")
async def test_a_symbol_that_no_source_knows_is_told_after_ten_seconds(bench: Bench) -> None:
    bench.feed.is_rest_down = True
    bench.engine.watch([SYMBOL])
    await bench.pass_seconds(9)
    assert bench.told() == []
    await bench.pass_seconds(3)
    assert ("stale_data", SYMBOL, True) in bench.told()
    fired(bench.feed.unanswered)


async def test_many_stale_symbols_are_one_alert(bench: Bench) -> None:
    names = [f"C{number}/USDT" for number in range(6)]
    bench.feed.prices |= dict.fromkeys(names, d(5))
    await bench.live(*names)
    bench.feed.is_rest_down = True
    await bench.pass_seconds(10)
    assert [told for told in bench.told() if told[0] == "stale_data"] == [
        ("stale_data", None, True)
    ]


async def test_a_sweep_of_many_symbols_gives_way_to_what_waits_on_the_loop() -> None:
    bench = Bench()
    bench.engine.watch([f"C{number}/USDT" for number in range(500)])
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    waiting = asyncio.create_task(count_turns())
    await bench.engine.sweep()
    waiting.cancel()
    # Several looks at each symbol, and a turn for others after every 25.
    assert turns >= 4 * 500 // 25 - 1


async def test_a_symbol_that_is_watched_no_more_is_not_told_by_the_sweep_it_went_in() -> None:
    bench = Bench()
    bench.engine.watch([SYMBOL, *(f"C{number}/USDT" for number in range(500))])
    bench.clock.advance(60)
    sweep = asyncio.create_task(bench.engine.sweep())
    await asyncio.sleep(0)
    bench.engine.watch([SYMBOL])
    await sweep
    stale = [told for told in bench.told() if told[0] == "stale_data"]
    assert stale == [("stale_data", SYMBOL, True)]


async def test_two_symbols_that_go_stale_in_one_sweep_are_one_alert_that_names_them(
    bench: Bench,
) -> None:
    await bench.live(SYMBOL, OTHER)
    bench.feed.is_rest_down = True
    await bench.pass_seconds(10)
    [told] = [each for each in bench.conditions if each.condition == "stale_data"]
    assert told.symbol is None
    assert told.text == f"no fresh prices of {SYMBOL}, {OTHER}, neither live nor over REST"


async def test_a_symbol_told_alone_stays_told_when_others_follow(bench: Bench) -> None:
    await bench.live()
    bench.feed.is_rest_down = True
    await bench.pass_seconds(8)
    bench.feed.prices |= dict.fromkeys(("A/USDT", "B/USDT"), d(5))
    bench.engine.watch([SYMBOL, "A/USDT", "B/USDT"])
    await bench.pass_seconds(60)
    stale = [told for told in bench.told() if told[0] == "stale_data"]
    assert stale == [("stale_data", SYMBOL, True), ("stale_data", None, True)]


async def test_prices_that_nothing_depends_on_may_go_stale_in_silence() -> None:
    bench = Bench()
    needed = {SYMBOL}
    bench.engine._telling._hooks = replace(
        bench.engine._telling._hooks, is_needed=needed.__contains__
    )
    running = asyncio.create_task(bench.engine.run())
    await bench.live(SYMBOL, OTHER)
    bench.feed.is_rest_down = True
    await bench.pass_seconds(10)
    assert bench.engine.is_stale(OTHER)
    stale = [told for told in bench.told() if told[0] == "stale_data"]
    assert stale == [("stale_data", SYMBOL, True)]
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


@pytest.mark.parametrize(
    ("of_worth", "named"),
    [((), None), ((OTHER,), f"live prices of {OTHER} are interrupted")],
)
async def test_an_interrupted_stream_names_only_what_is_worth_a_word(
    of_worth: tuple[str, ...], named: str | None
) -> None:
    bench = Bench()
    bench.engine._telling._hooks = replace(
        bench.engine._telling._hooks, is_of_worth=of_worth.__contains__
    )
    running = asyncio.create_task(bench.engine.run())
    await bench.live(SYMBOL, OTHER)
    bench.feed.refuses = True
    bench.feed.cut(Unreachable("closed"))
    await bench.pass_seconds(10)
    told = [one.text for one in bench.conditions if one.condition == "stream_down"]
    assert len(told) == len(of_worth)
    assert all(text.startswith(str(named)) for text in told)
    # It is connected again all the same.
    assert len(bench.feed.connections) > 1
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


async def test_a_read_that_takes_too_long_counts_as_no_answer(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.live()
    bench.feed.read_gate = asyncio.Event()
    real = asyncio.timeout
    monkeypatch.setattr(asyncio, "timeout", lambda _: real(0.005))
    await bench.pass_seconds(9)
    await asyncio.sleep(0.05)
    await bench.pass_seconds(1)
    assert bench.engine.is_stale(SYMBOL)


# ---------------------------------------------------------------- loss and return of the stream


@pytest.mark.fault("W01")
async def test_w01_a_lost_stream_is_back_within_two_seconds(bench: Bench) -> None:
    await bench.live()
    await bench.pass_seconds(61, talk=bench.feed.book)
    bench.feed.cut(Unreachable("closed"))
    await bench.settle()
    assert bench.engine.stream_state == "connecting"
    await bench.pass_seconds(2)
    assert len(bench.feed.connections) == 2
    lost_s, again_s = 61.0, bench.feed.connections[1][0] - _START_S
    assert again_s - lost_s <= 2
    reads = len(bench.feed.reads)
    bench.feed.book()
    await bench.settle()
    assert bench.engine.stream_state == "live"
    assert len(bench.feed.reads) > reads, "the gap is asked for over REST"
    assert bench.gaps == []
    fired(bench.feed.cuts)


@pytest.mark.fault("W02", "SAID")
async def test_w02_a_connection_that_announces_its_end_serves_until_another_one_does(
    bench: Bench,
) -> None:
    await bench.live()
    first = bench.feed._on_trade
    bench.feed.announce_end()
    await bench.settle()
    bench.clock.advance(0.5)
    await bench.settle()
    assert (len(bench.feed.connections), bench.feed.alive) == (2, 2)
    assert first is not None
    # Both speak for a moment: each print counts once, and none is missed.
    news = bench.feed._trade(SYMBOL, d(101), PriceSource.STREAM)
    first(news)
    bench.feed.print_(101, event_ms=news.event_time_ms)
    bench.clock.advance(0.1)
    bench.feed.print_(102)
    bench.feed.book()
    decided = [one.price for one in bench.seen if one.is_trade]
    assert decided[-2:] == [101, 102]
    assert decided.count(d(101)) == 1
    await bench.pass_seconds(2, talk=bench.feed.book)
    assert bench.feed.alive == 1
    assert bench.engine.stream_state == "live"
    assert bench.told() == []
    assert bench.gaps == []
    fired(bench.feed.connections[1:])


async def test_a_longer_gap_is_named_so_that_it_can_be_judged(bench: Bench) -> None:
    await bench.live()
    await bench.pass_seconds(61, talk=bench.feed.book)
    bench.feed.refuses = True
    bench.feed.cut(Unreachable("closed"))
    await bench.settle()
    await bench.pass_seconds(40)
    bench.feed.refuses = False
    await bench.pass_seconds(40)
    bench.feed.book()
    assert bench.gaps == [(frozenset({SYMBOL}), NOON + timedelta(seconds=61))]


async def test_what_a_silent_stream_missed_is_named_when_rest_answers_first(bench: Bench) -> None:
    await bench.live()
    bench.feed.is_rest_down = True
    # The line stays: only that nobody knows the price says that something was missed.
    await bench.pass_seconds(60)
    assert bench.gaps == []
    bench.feed.is_rest_down = False
    await bench.pass_seconds(5)
    assert bench.gaps == [(frozenset({SYMBOL}), NOON)]
    # When the stream is back, too, only what came after is new.
    await bench.pass_seconds(30, talk=bench.feed.book)
    assert len(bench.gaps) == 1


async def test_a_healthy_stream_that_says_nothing_for_long_misses_nothing(bench: Bench) -> None:
    await bench.live(SYMBOL, OTHER)
    # Reads are few, and come to a quiet symbol late; the other one shows that the line lives.
    bench.engine._reading._settings = replace(
        bench.engine._reading._settings, reads_per_s_max=0, audit_s=1e9
    )
    await bench.pass_seconds(40, talk=lambda: bench.feed.book(OTHER))
    bench.feed.book(SYMBOL)
    await bench.pass_seconds(2, talk=lambda: bench.feed.book(OTHER))
    assert bench.gaps == []


async def test_what_passed_while_the_process_stood_still_is_named(bench: Bench) -> None:
    await bench.live()
    await bench.pass_seconds(1, talk=bench.feed.book)
    bench.clock.advance(70)
    # What lay in the socket is read before anything else.
    bench.feed.book()
    await bench.engine.sweep()
    await bench.pass_seconds(2, talk=bench.feed.book)
    assert bench.gaps == [(frozenset({SYMBOL}), NOON + timedelta(seconds=1))]


@pytest.mark.fault("P04", "SAID")
@pytest.mark.parametrize("is_swept", [True, False], ids=["in its life", "before its first sweep"])
async def test_p04_prints_and_books_that_lay_in_a_socket_meanwhile_are_not_acted_on(
    bench: Bench, is_swept: bool
) -> None:
    running = asyncio.create_task(bench.engine.run())
    bench.engine.watch([SYMBOL])
    await bench.settle()
    if is_swept:
        await bench.engine.sweep()
    bench.seen.clear()
    fallen_ms = bench.feed.ms() + 1_000
    bench.clock.advance(12)
    # Nothing has told a time before, so nobody can tell how old this print is.
    bench.feed.print_(97, event_ms=fallen_ms)
    bench.feed.old_book(97)
    await bench.engine.sweep()
    bench.feed.old_book(97)
    assert [one.price for one in bench.seen if one.price == d(97)] == []
    bench.feed.reads.clear()
    await bench.settle()
    assert ("quote", SYMBOL) in bench.feed.reads
    await bench.pass_seconds(2, talk=bench.feed.book)
    assert bench.engine.price(SYMBOL) == d(100)
    fired(bench.feed.untrue, words="messages after 12 s")
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


async def test_while_the_stream_is_down_prices_come_over_rest_each_second(bench: Bench) -> None:
    await bench.live()
    bench.feed.refuses = True
    bench.feed.cut()
    await bench.settle()
    await bench.pass_seconds(2)
    assert bench.engine.stream_state == "down"
    assert bench.engine.is_degraded(SYMBOL)
    for price in (99, 98, 97, 96):
        bench.feed.move(price)
        await bench.pass_seconds(1)
        assert bench.engine.price(SYMBOL) == price
    assert [told for told in bench.told() if told[2]] == [("stream_down", None, True)]


async def test_symbols_near_a_stop_are_asked_for_more_often(bench: Bench) -> None:
    names = [f"C{number}/USDT" for number in range(12)]
    bench.feed.prices |= dict.fromkeys(names, d(5))
    bench.near = {names[0]}
    await bench.live(*names)
    bench.feed.refuses = True
    bench.feed.cut()
    await bench.settle()
    bench.feed.reads.clear()
    await bench.pass_seconds(10)
    counts = [bench.feed.reads.count(("quote", name)) for name in names]
    assert counts[0] >= 8
    assert all(2 <= count <= 4 for count in counts[1:])


@pytest.mark.fault("W12", "SAID")
async def test_w12_reconnects_are_never_more_than_one_in_two_seconds(bench: Bench) -> None:
    await bench.live()
    bench.feed.refuses = True
    bench.feed.cut()
    await bench.settle()
    await bench.pass_seconds(300)
    attempts = [at_s for at_s, _ in bench.feed.connections[1:]]
    assert len(attempts) >= 9
    assert len(attempts) <= 150
    pauses = [after - before for before, after in itertools.pairwise(attempts)]
    assert pauses[-1] >= 30
    assert max(pauses) <= 46
    fired(bench.feed.unanswered)


@pytest.mark.fault("W18", "SAID")
async def test_w18_flapping_for_ten_minutes_is_one_alert_and_leaks_no_tasks(bench: Bench) -> None:
    await bench.live()
    tasks = len(asyncio.all_tasks())
    for _ in range(300):
        await bench.pass_seconds(1)
        if bench.feed.is_streaming:
            bench.feed.book()
            await bench.pass_seconds(1)
            bench.feed.cut(Unreachable("flap"))
        await bench.settle()
    begun = [told for told in bench.told() if told[2] and told[0] == "stream_down"]
    assert len(begun) == 1
    assert len(asyncio.all_tasks()) <= tasks + 2
    fired(bench.feed.cuts)


async def test_a_failure_that_is_not_the_networks_ends_the_run() -> None:
    bench = Bench()
    running = asyncio.create_task(bench.engine.run())
    await bench.live()
    bench.feed.cut(ValueError("a bug"))
    with pytest.raises(ExceptionGroup):
        await running


# ---------------------------------------------------------------- what a death left standing


def _standing(condition: str, symbol: str | None = None) -> ConditionChanged:
    return ConditionChanged(condition, symbol, True, Severity.WARN, "told before", NOON)


async def test_what_an_earlier_process_told_ends_also_of_symbols_that_nobody_watches(
    bench: Bench,
) -> None:
    own = [
        _standing("stream_down"),
        _standing("degraded_data", OTHER),
        _standing("dropped_prices", SYMBOL),
    ]
    bench.engine.resume([*own, _standing("exchange_down")])
    await bench.live()
    await bench.pass_seconds(29)
    assert bench.told() == []
    await bench.pass_seconds(31)
    assert sorted(bench.told(), key=str) == sorted(
        ((each.condition, each.symbol, False) for each in own), key=str
    )


@pytest.mark.parametrize(
    ("condition", "symbol", "said"),
    [
        ("stream_down", None, "the warning about live prices is over"),
        ("degraded_data", OTHER, f"the warning about live prices of {OTHER} is over"),
        ("stale_data", None, "the alarm about missing prices is over"),
        ("stale_data", OTHER, f"the alarm about missing prices of {OTHER} is over"),
        ("price_disagreement", OTHER, f"the warning about live and REST prices of {OTHER} is over"),
        ("dropped_prices", OTHER, f"prices of {OTHER} are believed again"),
    ],
)
async def test_an_end_is_said_in_plain_words_and_claims_no_more(
    bench: Bench, condition: str, symbol: str | None, said: str
) -> None:
    bench.engine.resume([_standing(condition, symbol)])
    await bench.live()
    await bench.pass_seconds(61)
    [ended] = bench.conditions
    assert (ended.condition, ended.is_active, ended.text) == (condition, False, said)


async def test_what_an_earlier_process_told_and_still_holds_is_not_told_again(
    bench: Bench,
) -> None:
    bench.feed.refuses = bench.feed.is_rest_down = True
    bench.engine.resume([_standing("stream_down"), _standing("stale_data", SYMBOL)])
    bench.engine.watch([SYMBOL])
    await bench.pass_seconds(90)
    assert bench.told() == []
    assert bench.engine.is_told_stale(SYMBOL)
    bench.feed.refuses = bench.feed.is_rest_down = False
    await bench.pass_seconds(90, talk=bench.feed.book)
    assert bench.told() == [("stale_data", SYMBOL, False), ("stream_down", None, False)]


# ---------------------------------------------------------------- the gate in the engine


@pytest.mark.fault("W13", "SAID")
async def test_w13_a_bad_print_is_asked_about_dropped_and_told(bench: Bench) -> None:
    await bench.live()
    bench.feed.print_(1)
    await bench.settle()
    for _ in range(20):
        bench.clock.advance(0.1)
        await bench.settle()
    await bench.engine.sweep()
    assert all(one.last != 1 for one in bench.seen)
    assert bench.engine.price(SYMBOL) == 100
    assert ("dropped_prices", SYMBOL, True) in bench.told()
    assert "1, was not believed" in bench.conditions[0].text
    fired(bench.feed.untrue, words=bench.conditions[0].text)


async def _drop(bench: Bench, *prices: object) -> None:
    for price in prices:
        bench.feed.print_(price)
        for _ in range(20):
            bench.clock.advance(0.1)
            await bench.settle()
        await bench.engine.sweep()


async def test_more_prices_that_are_not_believed_are_counted_and_told_with_the_end(
    bench: Bench,
) -> None:
    await bench.live()
    await _drop(bench, 1)
    [told] = bench.conditions
    assert bench.engine.present(told) == told
    await _drop(bench, 900, 2)
    # One message stands for them all, and who looks sees how many they are.
    assert bench.conditions == [told]
    expected = f"3 prices of {SYMBOL} were not believed, the last 2: a newer print said 100"
    assert bench.engine.present(told).text == expected
    other = replace(told, condition="degraded_data")
    assert bench.engine.present(other) == other
    await bench.pass_seconds(35)
    assert bench.conditions[1:] == [replace(bench.conditions[-1], is_active=False)]
    expected = f"prices of {SYMBOL} are believed again: 3 were not, the last 2"
    assert bench.conditions[-1].text == expected
    # The next episode begins anew.
    await _drop(bench, 1)
    assert bench.conditions[-1].text.startswith(f"a price of {SYMBOL}, 1, was not believed")


async def test_a_price_not_believed_is_told_without_the_zeros_of_the_exchange(bench: Bench) -> None:
    await bench.live()
    await _drop(bench, "700.00000000")
    assert bench.conditions[0].text == (
        f"a price of {SYMBOL}, 700, was not believed: a newer print said 100"
    )


async def test_prices_not_believed_before_and_after_a_death_are_one_episode(bench: Bench) -> None:
    before = _standing("dropped_prices", SYMBOL)
    bench.engine.resume([before])
    await bench.live()
    assert bench.engine.present(before) == before
    await _drop(bench, 1)
    assert bench.told() == []
    assert bench.engine.present(before).text.startswith(f"at least 2 prices of {SYMBOL} were not")
    await bench.pass_seconds(35)
    [ended] = bench.conditions
    assert ended.text.endswith("believed again: at least 2 were not, the last 1")


@pytest.mark.fault("W14", "SAID")
async def test_w14_a_true_crash_is_confirmed_over_rest_at_once(bench: Bench) -> None:
    await bench.live()
    bench.feed.move(50)
    reads = len(bench.feed.reads)
    bench.feed.print_(50)
    assert bench.engine.price(SYMBOL) == 100
    await bench.settle()
    assert bench.engine.price(SYMBOL) == 50
    fired(bench.feed.reads[reads:])


@pytest.mark.fault("W14", "SAID")
@pytest.mark.fault("M01")
async def test_w14_a_true_crash_without_rest_is_believed_within_a_second_and_a_half(
    bench: Bench,
) -> None:
    await bench.live()
    bench.feed.is_rest_down = True
    bench.feed.print_(50)
    for _ in range(15):
        await bench.settle()
        bench.clock.advance(0.1)
    await bench.settle()
    assert bench.engine.price(SYMBOL) == 50
    fired(bench.feed.unanswered)


@pytest.mark.fault("W17", "TELL")
async def test_w17_live_and_rest_prices_far_apart_for_long_are_told_and_both_count(
    bench: Bench,
) -> None:
    await bench.live()
    bench.feed.move(98)
    await bench.pass_seconds(20, talk=lambda: bench.feed.old_book(100))
    assert ("price_disagreement", SYMBOL, True) in bench.told()
    fired(bench.feed.untrue)


@pytest.mark.fault("W17", "SAID")
async def test_w17_while_they_disagree_the_worse_price_decides_beside_every_print(
    bench: Bench,
) -> None:
    await bench.live()

    def talk() -> None:
        bench.feed.print_(100)
        bench.feed.old_book(100)

    bench.feed.move(98)
    await bench.pass_seconds(20, talk=talk)
    assert ("price_disagreement", SYMBOL, True) in bench.told()
    decided = [(one.source, one.price) for one in bench.seen if one.price is not None]
    assert (PriceSource.REST, d(98)) in decided
    assert (PriceSource.STREAM, d(100)) in decided[decided.index((PriceSource.REST, d(98))) :]
    # A stop sells at the lower of both; a purchase believes neither.
    assert bench.engine.is_degraded(SYMBOL)
    bench.feed.move(100)
    await bench.pass_seconds(10, talk=talk)
    assert not bench.engine.is_degraded(SYMBOL)
    fired(bench.feed.untrue)


# ---------------------------------------------------------------- gaps


@pytest.mark.parametrize(
    ("gap", "timeframe"),
    [
        (timedelta(minutes=16), "1s"),
        (timedelta(minutes=17), "1m"),
        (timedelta(days=5), "15m"),
        (timedelta(days=30), "1h"),
        (timedelta(days=900), "1d"),
        (timedelta(days=9000), "1d"),
    ],
)
async def test_a_gap_is_read_with_the_finest_candles_that_cover_it(
    bench: Bench, gap: timedelta, timeframe: str
) -> None:
    read = bench.engine.gap_reader(NOON - gap)
    found = await read(SYMBOL)
    assert bench.feed.candle_requests[0][0] == Timeframe(timeframe)
    assert bench.feed.candle_requests[0][1] <= 1000
    # The fake's candle is from 1970.
    assert (found.symbol, found.price, found.candles) == (SYMBOL, 100, ())


async def test_the_candle_that_a_gap_began_in_counts(bench: Bench) -> None:
    since = NOON - timedelta(seconds=30, milliseconds=500)
    begun = replace(candle(1, 2, 0.5, 1), open_time_ms=to_ms(NOON) - 31_000)
    before = replace(begun, open_time_ms=to_ms(NOON) - 32_000)
    bench.feed.past = [before, begun]
    found = await bench.engine.gap_reader(since)(SYMBOL)
    assert found.candles == (begun,)
    assert [request[0].name for request in bench.feed.candle_requests] == ["1s"]


async def test_where_seconds_do_not_reach_back_minutes_tell(bench: Bench) -> None:
    since = NOON - timedelta(seconds=30)
    minute = replace(candle(1, 2, 0.5, 1), open_time_ms=to_ms(NOON) - 60_000)
    bench.feed.past = [minute]
    found = await bench.engine.gap_reader(since)(SYMBOL)
    assert found.candles == (minute,)
    assert [request[0].name for request in bench.feed.candle_requests] == ["1s", "1m"]


async def test_a_venue_without_seconds_is_asked_for_minutes(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    minute = replace(candle(1, 2, 0.5, 1), open_time_ms=to_ms(NOON) - 60_000)
    bench.feed.past = [minute]
    known = bench.feed.candles

    async def candles(
        symbol: str, timeframe: Timeframe, limit: int, since: datetime | None = None
    ) -> Sequence[Candle]:
        if timeframe.name == "1s":
            raise Unreachable("Invalid interval.")
        return await known(symbol, timeframe, limit, since)

    monkeypatch.setattr(bench.feed, "candles", candles)
    found = await bench.engine.gap_reader(NOON - timedelta(seconds=30))(SYMBOL)
    assert found.candles == (minute,)


async def test_a_gap_that_nobody_answers_about_is_unreachable(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.feed.read_gate = asyncio.Event()
    real = asyncio.timeout
    monkeypatch.setattr(asyncio, "timeout", lambda _: real(0.005))
    with pytest.raises(Unreachable, match="missed time of BTC/USDT"):
        await bench.engine.gap_reader(NOON)(SYMBOL)


@pytest.mark.fault("P13", "SAID")
async def test_more_reads_than_the_queue_holds_are_made_by_later_sweeps(bench: Bench) -> None:
    most = 10
    bench.engine._reading._waiting = asyncio.PriorityQueue(most)
    bench.feed.read_gate = asyncio.Event()
    symbols = [f"C{number}/USDT" for number in range(60)]
    bench.feed.prices |= dict.fromkeys(symbols, d(5))
    running = asyncio.create_task(bench.engine.run())
    for _ in range(5):
        # Watched, left and watched again: each time it would be asked for anew.
        bench.engine.watch(symbols)
        await bench.settle()
        bench.engine.watch([])
    bench.engine.watch(symbols)
    waiting = bench.engine._reading._waiting.qsize()
    assert waiting == most
    fired(len(symbols) - waiting, words=f"more are wanted than the {most} that wait")
    bench.feed.read_gate.set()
    await bench.pass_seconds(30)
    assert [symbol for symbol in symbols if bench.engine.price(symbol) is None] == []
    assert bench.engine._reading._waiting.qsize() <= most
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


async def test_without_a_beginning_a_gap_is_only_the_present_price(bench: Bench) -> None:
    found = await bench.engine.gap_reader(None)(SYMBOL)
    assert (found.candles, found.price) == ((), 100)
    assert bench.feed.candle_requests == []
