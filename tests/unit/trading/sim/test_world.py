"""The market place: prices that agree, books that follow them, candles that tell the same story."""

from decimal import Decimal

import pytest

from trading.domain.errors import Refused
from trading.domain.order import OrderStatus, Side
from trading.domain.time import Timeframe
from trading.sim.catalogue import catalogue
from trading.sim.orders import OrderKind, OrderTicket, Traded
from trading.sim.tape import Tape, TapeCandle
from trading.sim.world import Market, World, WorldSettings

pytestmark = pytest.mark.uncounted

START_MS = 1_790_000_000_000
MINUTE = Timeframe("1m")


class Tapped:
    """Remembers prints and changed books."""

    def __init__(self, world: World) -> None:
        self.prints: list[tuple[str, Decimal]] = []
        self.books: list[str] = []
        self.readers: list[str] = []
        world.listeners.append(self)

    def printed(self, market: Market, trade: Traded, now_ms: int) -> None:
        self.prints.append((market.symbol, trade.price))

    def book_changed(self, market: Market, now_ms: int) -> None:
        self.books.append(market.symbol)

    def book_read(self, market: Market) -> None:
        self.readers.append(market.symbol)


def world(*, is_still: bool = False, speed: float = 1.0, seed: int = 7, markets: int = 9) -> World:
    settings = WorldSettings(seed, speed, is_still)
    balances = {"USDT": Decimal(100_000), "BTC": Decimal(100)}
    return World(catalogue(markets, seed), balances, settings, START_MS)


def run(made: World, seconds: float, begin_s: float = 0.0) -> None:
    for beat in range(int(begin_s * 20), int((begin_s + seconds) * 20)):
        made.advance(START_MS + beat * 50, beat * 50.0)


def test_seconds_show_a_dip_that_lasted_less_than_a_minute() -> None:
    made = world(is_still=True)
    for after_ms, price in ((61_000, "59000"), (62_500, "57000"), (63_100, "60000")):
        made.set_price("BTC/USDT", Decimal(price), START_MS + after_ms)
    seconds = made.markets["BTC/USDT"].candles.candles(Timeframe("1s"), START_MS + 65_000)
    low_by_second = {(one.open_ms - START_MS) // 1_000: one.low for one in seconds}
    assert [low_by_second[second] for second in (61, 62, 63, 64)] == [59e3, 57e3, 60e3, 60e3]


def order(symbol: str, side: Side, quantity: str, price: str | None = None) -> OrderTicket:
    return OrderTicket(
        symbol,
        f"id-{quantity}-{price}",
        side,
        OrderKind.MARKET if price is None else OrderKind.LIMIT,
        Decimal(quantity),
        price=None if price is None else Decimal(price),
    )


def test_related_markets_start_at_prices_that_agree() -> None:
    markets = world().markets
    assert markets["BTC/USDT"].price == 60_000
    cross = markets["ETH/USDT"].price / markets["BTC/USDT"].price
    assert abs(markets["ETH/BTC"].price - cross) <= markets["ETH/BTC"].instrument.price_tick


def test_related_markets_stay_together_while_they_move() -> None:
    made = world(speed=20)
    run(made, 30)
    markets = made.markets
    assert markets["BTC/USDT"].price != 60_000
    for base in ("ETH", "ADA"):
        cross = float(markets[f"{base}/USDT"].price / markets["BTC/USDT"].price)
        assert float(markets[f"{base}/BTC"].price) == pytest.approx(cross, rel=2e-3)


def test_the_same_seed_makes_the_same_prints_and_another_seed_others() -> None:
    tapes = []
    for seed in (1, 1, 2):
        made = world(seed=seed)
        tapped = Tapped(made)
        run(made, 20)
        tapes.append(tapped.prints)
    assert tapes[0] == tapes[1]
    assert tapes[0] != tapes[2]


def test_speed_changes_how_far_prices_get_in_the_same_time() -> None:
    prints = []
    for speed in (0.25, 1.0, 4.0):
        made = world(speed=speed)
        tapped = Tapped(made)
        run(made, 10)
        prints.append(len([p for p in tapped.prints if p[0] == "BTC/USDT"]))
    assert prints[0] * 2 < prints[1] < prints[2] / 2


def test_a_very_fast_market_skips_steps_rather_than_stalling() -> None:
    made = world(speed=10_000)
    tapped = Tapped(made)
    made.advance(START_MS + 1_000, 1_000.0)
    assert len([p for p in tapped.prints if p[0] == "BTC/USDT"]) <= 120
    assert made.markets["BTC/USDT"].price != 60_000


def test_a_still_world_prints_nothing_by_itself() -> None:
    made = world(is_still=True)
    tapped = Tapped(made)
    run(made, 5)
    assert tapped.prints == []


def test_a_price_that_was_set_shows_everywhere_at_once_and_leaves_the_others() -> None:
    made = world(is_still=True)
    tapped = Tapped(made)
    assert made.set_price("BTC/USDT", Decimal(65_000), START_MS + 5) == 65_000
    bids, asks = made.depth("BTC/USDT", START_MS + 5)
    assert bids[0].price < 65_000 < asks[0].price
    assert made.touch("BTC/USDT") == (bids[0], asks[0])
    assert tapped.prints == [("BTC/USDT", Decimal(65_000))]
    assert "BTC/USDT" in tapped.books
    candle = made.markets["BTC/USDT"].candles.running(MINUTE, START_MS + 5)
    assert (candle.high, candle.close) == (65_000.0, 65_000.0)
    assert made.markets["BTC/USDC"].price == 60_000


def test_a_price_that_was_set_is_where_a_moving_market_goes_on() -> None:
    made = world()
    made.set_price("BTC/USDT", Decimal(65_000), START_MS)
    run(made, 5)
    assert abs(made.markets["BTC/USDT"].price / 65_000 - 1) < Decimal("0.03")


@pytest.mark.parametrize("price", ["0", "0.001", "10000000"])
def test_a_price_beyond_the_rules_is_refused(price: str) -> None:
    with pytest.raises(Refused, match="price should be from"):
        world().set_price("BTC/USDT", Decimal(price), START_MS)


def test_setting_a_price_fills_what_it_crosses_and_triggers_stops() -> None:
    made = world(is_still=True)
    made.fresh_book("BTC/USDT", START_MS)
    resting = made.exchange.place(order("BTC/USDT", Side.SELL, "1", "61000"), START_MS)
    stop = made.exchange.place(
        OrderTicket(
            "BTC/USDT",
            "stop",
            Side.SELL,
            OrderKind.STOP_LOSS,
            Decimal("0.5"),
            stop_price=Decimal(59_000),
        ),
        START_MS,
    )
    made.set_price("BTC/USDT", Decimal(65_000), START_MS + 1)
    assert resting.status is OrderStatus.FILLED
    assert resting.executions[0].price == 61_000
    made.set_price("BTC/USDT", Decimal(58_000), START_MS + 2)
    assert stop.status is OrderStatus.FILLED
    assert stop.executions[0].price < 58_000


def test_what_an_order_took_comes_back_and_so_does_the_price() -> None:
    made = world(is_still=True)
    before = made.depth("BTC/USDT", START_MS)
    made.exchange.place(order("BTC/USDT", Side.SELL, "5"), START_MS)
    book = made.exchange.books["BTC/USDT"]
    assert book.last_price is not None
    assert book.last_price < Decimal(59995)
    assert made.depth("BTC/USDT", START_MS + 100) != before
    made.advance(START_MS + 249, 249.0)
    assert made.depth("BTC/USDT", START_MS + 249) != before
    made.advance(START_MS + 251, 251.0)
    assert made.depth("BTC/USDT", START_MS + 251) == before
    assert book.last_price == 60_000


def test_a_clock_set_back_does_not_keep_the_book_empty() -> None:
    made = world(is_still=True)
    before = made.depth("BTC/USDT", START_MS)
    made.exchange.place(order("BTC/USDT", Side.SELL, "5"), START_MS)
    made.advance(START_MS - 60_000, 50.0)
    assert made.depth("BTC/USDT", START_MS) == before


def test_each_change_of_a_book_counts_its_update_id_up() -> None:
    made = world(is_still=True)
    market = made.fresh_book("BTC/USDT", START_MS)
    seen = [market.update_id]
    made.set_price("BTC/USDT", Decimal(60_500), START_MS)
    seen.append(market.update_id)
    made.exchange.place(order("BTC/USDT", Side.BUY, "1", "50000"), START_MS)
    seen.append(market.update_id)
    assert seen == sorted(set(seen))


def test_a_wrong_print_shows_on_the_tape_of_listeners_only() -> None:
    made = world(is_still=True)
    tapped = Tapped(made)
    made.print_trade("BTC/USDT", Decimal(600), Decimal(1), START_MS)
    assert tapped.prints == [("BTC/USDT", Decimal(600))]
    assert made.exchange.books["BTC/USDT"].last_price == 60_000
    assert [float(e.trade.price) for e in made.markets["BTC/USDT"].tape] == [60_000.0]


def test_a_thinned_book_holds_what_it_was_told() -> None:
    made = world(is_still=True)
    liquidity = made.markets["BTC/USDT"].liquidity
    liquidity.set_depth(Decimal(5_000), Side.BUY)
    made.reshape("BTC/USDT", START_MS)
    bids, asks = made.depth("BTC/USDT", START_MS)
    assert 3_000 < sum(level.price * level.quantity for level in bids) < 8_000
    assert sum(level.price * level.quantity for level in asks) > 1_000_000
    liquidity.set_depth(Decimal(0))
    made.reshape("BTC/USDT", START_MS)
    assert made.depth("BTC/USDT", START_MS) == ((), ())
    assert made.touch("BTC/USDT") == (None, None)


def test_a_tape_drives_its_market_and_what_is_derived_from_it() -> None:
    candle = TapeCandle(0, ("BTC", "USDT"), (60_000.0, 60_100.0, 59_000.0, 59_500.0), 4.0)
    tape = Tape([candle], 60_000, {("BTC", "USDT"): 60_000.0})
    made = World(catalogue(9, 7), {}, WorldSettings(speed=60.0), START_MS, tape)
    tapped = Tapped(made)
    run(made, 2)
    own = [price for symbol, price in tapped.prints if symbol == "BTC/USDT"]
    assert own == [Decimal(p) for p in ("60000", "60100", "59000", "59500")]
    assert made.markets["BTC/USDC"].price == 59_500
    assert made.markets["SOL/USDT"].price == 150
    # The first entry is the opening print.
    prints = list(made.markets["BTC/USDT"].tape)[1:]
    volume = sum(entry.trade.quantity for entry in prints)
    assert float(volume) == pytest.approx(4.0, abs=1e-4)


@pytest.mark.parametrize("speed", [0.0, -1.0, 1e9])
def test_an_impossible_speed_is_refused(speed: float) -> None:
    with pytest.raises(Refused, match="speed"):
        WorldSettings(speed=speed)


def test_there_is_a_last_trade_from_the_first_moment_on() -> None:
    for market in world(is_still=True).markets.values():
        assert [entry.trade.price for entry in market.tape] == [market.price]
        assert market.tape[0].at_ms == START_MS
