"""The quick way of a frame says what the general way says, or leaves it the word."""

import logging
import random
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import builders
from trading.domain.market import MarketTrade, Quote
from trading.domain.time import to_ms
from trading.gateway.stream import MarketStream
from trading.gateway.translate.frames import Frames

SYMBOLS = {"BTCUSDT": "BTC/USDT", "ETHUSDT": "ETH/USDT"}
NOW_MS = to_ms(builders.NOON)
BOOK = (
    '{"u":400900217,"s":"BTCUSDT","b":"60000.10000000","B":"31.21000000",'
    '"a":"60000.11000000","A":"40.66000000"}'
)
TRADE = (
    f'{{"e":"trade","E":{NOW_MS},"s":"ETHUSDT","t":12345,"p":"2500.10000000",'
    f'"q":"0.10000000","T":{NOW_MS},"m":true,"M":true}}'
)
AGGREGATE = TRADE.replace('"trade"', '"aggTrade"').replace('"t":12345', '"a":12,"f":1,"l":2')
TIMED = BOOK.replace('{"u"', f'{{"e":"bookTicker","E":{NOW_MS + 5},"u"')
MUTATIONS = 10_000
# What can stand in the place of a value, and none of it is a plain number of a frame.
NONSENSE = (
    *('"NaN"', '"sNaN"', '"Infinity"', '"-1"', '""', '" 1"', '"1_0"', '"1e999999"', '"0x1"'),
    *("null", "true", "[]", "{}", "0", "-1", "1.5", "1e400", '"٣"', '"' + "9" * 50 + '"', '"0"'),
)


class Standing:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.wall = builders.NOON
        self.now_s = 1000.0

    def now(self) -> datetime:
        return self.wall

    def monotonic(self) -> float:
        return self.now_s

    def now_ms(self) -> int:
        return to_ms(self.wall)


class Heard:
    """A stream whose facts are kept."""

    def __init__(self, clock: Standing | None = None) -> None:
        self.clock = clock or Standing()
        self.facts: list[Quote | MarketTrade] = []
        self.stream = MarketStream(
            SYMBOLS, self.facts.append, self.facts.append, self.clock, self.clock.now_ms
        )

    def quickly(self, frame: str) -> list[Quote | MarketTrade]:
        """What the quick way hears in a frame."""
        return self._heard(lambda: self.stream.take_frame(frame))

    def generally(self, frame: str) -> list[Quote | MarketTrade]:
        """What the general way hears in it."""
        return self._heard(lambda: self.stream.take(orjson.loads(frame)))

    def _heard(self, take: Callable[[], bool]) -> list[Quote | MarketTrade]:
        self.facts.clear()
        take()
        return self.facts[:]


@pytest.mark.parametrize("frame", [BOOK, TRADE, AGGREGATE, TIMED])
def test_a_plain_frame_is_read_quickly_as_it_is_generally(frame: str) -> None:
    heard = Heard()
    quick = heard.quickly(frame)
    assert len(quick) == 1
    assert quick == heard.generally(frame)
    assert [repr(one) for one in quick] == [repr(one) for one in heard.generally(frame)]


prices = st.decimals(
    min_value=Decimal("1e-12"), max_value=Decimal("1e12"), allow_nan=False, places=8
).filter(lambda price: price > 0)


@given(prices, prices, prices, prices, st.sampled_from(sorted(SYMBOLS)))
def test_every_digit_of_a_book_survives_the_quick_way(
    bid: Decimal, bid_size: Decimal, ask: Decimal, ask_size: Decimal, name: str
) -> None:
    heard = Heard()
    frame = (
        f'{{"u":1,"s":"{name}","b":"{bid:f}","B":"{bid_size:f}","a":"{ask:f}","A":"{ask_size:f}"}}'
    )
    [quote] = heard.quickly(frame)
    assert isinstance(quote, Quote)
    found = (quote.bid, quote.bid_quantity, quote.ask, quote.ask_quantity)
    assert [f"{one:f}" for one in found] == [f"{one:f}" for one in (bid, bid_size, ask, ask_size)]
    assert [quote] == heard.generally(frame)


@given(prices, prices, st.sampled_from(["trade", "aggTrade"]))
def test_every_digit_of_a_print_survives_the_quick_way(
    price: Decimal, quantity: Decimal, event: str
) -> None:
    heard = Heard()
    frame = f'{{"e":"{event}","E":{NOW_MS},"s":"ETHUSDT","p":"{price:f}","q":"{quantity:f}"}}'
    [trade] = heard.quickly(frame)
    assert isinstance(trade, MarketTrade)
    assert (f"{trade.price:f}", f"{trade.quantity:f}") == (f"{price:f}", f"{quantity:f}")
    assert [trade] == heard.generally(frame)


def test_ten_thousand_broken_frames_never_crash_and_never_become_a_price_of_their_own(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.CRITICAL)
    chance = random.Random(17)
    heard = Heard()
    read = changed = 0
    for number in range(MUTATIONS):
        frame = _broken((BOOK, TRADE, AGGREGATE, TIMED)[number % 4], chance)
        quick = heard.quickly(frame)
        if not quick:
            changed += 1
            continue
        read += 1
        # Some mutations are other plain frames; those mean what the general way reads in them.
        assert quick == heard.generally(frame), frame
        assert all(_is_sound(fact) for fact in quick), frame
    assert changed > MUTATIONS // 3
    assert read > MUTATIONS // 20


def _broken(frame: str, chance: random.Random) -> str:
    for _ in range(chance.randint(1, 3)):
        frame = chance.choice((_cut, _doubled, _replaced, _nonsense, _renamed))(frame, chance)
    return frame


def _cut(frame: str, chance: random.Random) -> str:
    start = chance.randrange(len(frame) + 1)
    return frame[:start] + frame[start + chance.randint(1, 12) :]


def _doubled(frame: str, chance: random.Random) -> str:
    start = chance.randrange(len(frame) + 1)
    return frame[:start] + frame[start : start + chance.randint(1, 9)] + frame[start:]


def _replaced(frame: str, chance: random.Random) -> str:
    place = chance.randrange(len(frame) + 1)
    return frame[:place] + chance.choice('0123456789.-eE+"{}[],:\\\x00é') + frame[place + 1 :]


def _nonsense(frame: str, chance: random.Random) -> str:
    parts = frame.split(",")
    place = chance.randrange(len(parts))
    key = parts[place].partition(":")[0]
    parts[place] = f"{key}:{chance.choice(NONSENSE)}"
    return ",".join(parts) + ("}" if place == len(parts) - 1 else "")


def _renamed(frame: str, chance: random.Random) -> str:
    return frame.replace(f'"{chance.choice("sbBaAepqE")}"', f'"{chance.choice("sbBaAepqEx")}"')


def _is_sound(fact: Quote | MarketTrade) -> bool:
    numbers = (
        (fact.price, fact.quantity)
        if isinstance(fact, MarketTrade)
        else (fact.bid, fact.bid_quantity, fact.ask, fact.ask_quantity)
    )
    return all(number.is_finite() and number > 0 for number in numbers)


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "null",
        "[]",
        '"text"',
        "17",
        '{"result":null,"id":1}',
        '{"e":"serverShutdown"}',
        f'{{"stream":"btcusdt@bookTicker","data":{BOOK}}}',
        BOOK.replace("BTCUSDT", "NOBODYUSDT"),
        BOOK.replace('"31.21000000"', '"0.00000000"'),
        BOOK.replace('"s":"BTCUSDT"', '"s":["BTCUSDT"]'),
        TRADE.replace('"trade"', '["trade"]'),
        TRADE.replace(f'"E":{NOW_MS}', '"E":17'),
    ],
)
def test_what_is_no_plain_frame_is_left_to_the_general_way(frame: str) -> None:
    heard = Heard()
    assert not heard.stream.take_frame(frame)
    assert heard.facts == []


@pytest.mark.parametrize("said", [{"s": [], "e": "trade"}, {"s": "BTCUSDT", "e": []}, {"e": {}}])
def test_the_general_way_survives_names_that_are_none(said: dict[str, object]) -> None:
    heard = Heard()
    assert not heard.stream.take(said)
    assert heard.facts == []


def test_a_book_without_a_time_is_of_now_by_the_exchanges_clock_even_when_that_is_set() -> None:
    clock = Standing()
    heard = Heard(clock)
    [first] = heard.quickly(BOOK)
    clock.now_s += 0.1
    clock.wall += timedelta(seconds=0.1)
    [second] = heard.quickly(BOOK)
    # Somebody sets the clock; a moment later it is believed.
    clock.now_s += 0.3
    clock.wall += timedelta(hours=1)
    [third] = heard.quickly(BOOK)
    times_ms = [one.event_time_ms - NOW_MS for one in (first, second, third)]
    assert times_ms == [0, 100, 3_600_100]
    assert [one.received_s for one in (first, second, third)] == [1000.0, 1000.1, 1000.4]


def test_any_number_of_different_prices_is_read_right() -> None:
    clock = Standing()
    frames = Frames(SYMBOLS, clock, clock.now_ms)
    for cents in range(1, 25_000):
        fact = frames.read(TRADE.replace("2500.10000000", f"{cents}.10000000"))
        assert isinstance(fact, MarketTrade)
        assert fact.price == Decimal(f"{cents}.1")


def test_whoever_fails_at_a_price_does_not_end_the_stream(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("nobody home")

    clock = Standing()
    stream = MarketStream(SYMBOLS, fail, fail, clock, clock.now_ms)
    assert stream.take_frame(BOOK)
    assert stream.take_frame(TRADE)
    assert [record.message for record in caplog.records] == ["message_failed"] * 2


def test_a_server_that_announces_its_end_does_not_end_the_stream_itself() -> None:
    heard = Heard()
    asked: list[str] = []
    ended: list[str] = []
    heard.stream._on_ending = lambda: asked.append("successor")
    heard.stream._ended = ended.append
    assert heard.stream.take({"e": "serverShutdown", "E": NOW_MS})
    assert (asked, ended) == (["successor"], [])
