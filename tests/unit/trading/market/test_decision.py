"""Which price decides."""

from tests.unit.trading.market.make import d, quote, trade
from trading.market.decision import DecisionPrice
from trading.market.settings import MarketSettings


def _prices() -> DecisionPrice:
    return DecisionPrice(MarketSettings())


def test_a_print_decides() -> None:
    observation = _prices().on_trade(trade(100))
    assert (observation.price, observation.last, observation.is_trade) == (100, 100, True)


def test_a_book_decides_only_when_no_print_came_for_a_second() -> None:
    prices = _prices()
    prices.on_trade(trade(100))
    assert prices.on_quote(quote(98, "98.2", 0.99)).price is None
    assert prices.on_quote(quote(98, "98.2", 1)).price == d("98.1")


def test_before_any_print_the_book_decides() -> None:
    assert _prices().on_quote(quote(100, 101)).price == d("100.5")


def test_a_wide_book_decides_nothing_and_has_no_middle() -> None:
    prices = _prices()
    observation = prices.on_quote(quote(100, "101.01"))
    assert (observation.price, observation.mid, observation.bid) == (None, None, 100)
    assert prices.on_time(2000.0) is None


def test_a_standing_book_decides_once_its_print_is_a_second_old() -> None:
    prices = _prices()
    prices.on_trade(trade(100))
    prices.on_quote(quote(98, "98.2", 0.5))
    assert prices.on_time(1000.99) is None
    observation = prices.on_time(1001.0)
    assert observation is not None
    assert (observation.price, observation.last) == (d("98.1"), 100)
    assert prices.on_time(1002.0) is None, "it is said once"
    assert prices.price == d("98.1")


def test_a_print_after_the_book_takes_the_decision_back() -> None:
    prices = _prices()
    prices.on_trade(trade(100))
    prices.on_quote(quote(98, "98.2", 0.5))
    assert prices.on_trade(trade(99, 0.6)).mid == d("98.1")
    assert prices.on_time(1002.0) is None


def test_an_order_meets_no_ask_that_a_newer_print_has_taken() -> None:
    prices = _prices()
    assert prices.touch() is None
    prices.on_quote(quote(98, 99, 0))
    prices.on_trade(trade(101, 0.1))
    touch = prices.touch()
    assert touch is not None
    assert (touch.bid, touch.ask) == (98, 101)
    prices.on_quote(quote(100, 102, 0.2))
    assert prices.touch() == prices.quote


def test_a_print_within_the_book_or_older_than_it_moves_nothing() -> None:
    prices = _prices()
    prices.on_trade(trade(101, 0))
    prices.on_quote(quote(98, 99, 0.1))
    assert prices.touch() == prices.quote
    prices.on_trade(trade(97, 0.2))
    assert prices.touch() == prices.quote
