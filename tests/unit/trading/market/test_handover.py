"""One connection replaces another: no tick is missed, none is heard twice."""

import asyncio
from collections.abc import AsyncIterator, Callable
from decimal import Decimal

import pytest

from tests.catalogue import fired
from trading.domain.market import MarketTrade, Quote
from trading.market.handover import Handover

BTC, ETH, ADA = "BTC/USDT", "ETH/USDT", "ADA/USDT"


class Lines:
    """A feed that keeps every market connection open and speaks on the one it is told to."""

    def __init__(self) -> None:
        self.open: list[Callable[[MarketTrade], None] | None] = []

    async def stream_market(
        self,
        symbols: frozenset[str],
        on_trade: Callable[[MarketTrade], None],
        on_quote: Callable[[Quote], None],
        on_ending: Callable[[], None] = lambda: None,
    ) -> None:
        number = len(self.open)
        self.open.append(on_trade)
        try:
            await asyncio.Event().wait()
        finally:
            self.open[number] = None

    def say(self, line: int, symbol: str, price: int, event_ms: int) -> None:
        on_trade = self.open[line]
        assert on_trade is not None, f"connection {line} has ended"
        on_trade(MarketTrade(symbol, Decimal(price), Decimal(1), event_ms, 1.0))

    @property
    def alive(self) -> list[int]:
        return [number for number, taken in enumerate(self.open) if taken is not None]


class Bench:
    """A handover and what it lets through."""

    def __init__(self) -> None:
        self.feed = Lines()
        self.heard: list[tuple[str, int]] = []
        self.lines = Handover(self.feed.stream_market, self._take, lambda _: None)

    def _take(self, trade: MarketTrade) -> None:
        self.heard.append((trade.symbol, int(trade.price)))

    async def connect(self, *symbols: str, at_s: float = 0.0) -> None:
        self.lines.open(frozenset(symbols), at_s)
        await self.settle()

    async def settle(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    await bench.lines.close()
    assert bench.feed.alive == []


@pytest.mark.fault("W02")
async def test_the_old_connection_serves_until_the_new_one_speaks(bench: Bench) -> None:
    await bench.connect(BTC)
    await bench.connect(BTC, ETH, at_s=10)
    bench.feed.say(0, BTC, 1, event_ms=1)
    bench.feed.say(1, BTC, 2, event_ms=2)
    bench.lines.pass_time(11)
    await bench.settle()
    assert bench.heard == [(BTC, 1), (BTC, 2)]
    assert bench.feed.alive == [1]
    fired(2 - len(bench.feed.alive), words="of two connections has ended")


async def test_prints_of_two_connections_are_merged_by_their_time(bench: Bench) -> None:
    await bench.connect(BTC)
    await bench.connect(BTC, ETH)
    for line, price in ((0, 1), (0, 2), (1, 1), (1, 2), (1, 3), (0, 3), (0, 4), (1, 4)):
        bench.feed.say(line, BTC, price, event_ms=price)
    assert bench.heard == [(BTC, 1), (BTC, 2), (BTC, 3), (BTC, 4)]


async def test_prints_of_one_moment_are_all_heard_on_one_connection(bench: Bench) -> None:
    await bench.connect(BTC)
    await bench.connect(BTC, ETH)
    for line, price in ((1, 5), (0, 5), (0, 6), (1, 6)):
        bench.feed.say(line, BTC, price, event_ms=7)
    assert bench.heard == [(BTC, 5), (BTC, 6)]


async def test_an_old_connection_stays_while_the_new_one_has_not_spoken_of_all(
    bench: Bench,
) -> None:
    await bench.connect(BTC, ETH)
    await bench.connect(BTC, ETH, ADA, at_s=10)
    bench.feed.say(1, BTC, 1, event_ms=1)
    bench.lines.pass_time(14.9)
    await bench.settle()
    assert bench.feed.alive == [0, 1]
    bench.lines.pass_time(15)
    await bench.settle()
    assert bench.feed.alive == [1]


async def test_a_connection_that_serves_nothing_wanted_ends(bench: Bench) -> None:
    await bench.connect(BTC)
    await bench.connect(ETH)
    bench.lines.pass_time(1)
    await bench.settle()
    assert bench.feed.alive == [1]


async def test_quick_changes_keep_the_eldest_and_at_most_three_connections(bench: Bench) -> None:
    await bench.connect(BTC)
    for extra in range(6):
        await bench.connect(BTC, f"COIN{extra}/USDT")
        assert len(bench.feed.alive) <= 3
    assert 0 in bench.feed.alive
