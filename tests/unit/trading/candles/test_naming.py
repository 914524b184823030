"""What a person types is one of many symbols for certain, or refused with what is near."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.candles.naming import none_of, series_among, symbol_among
from trading.candles.series import SeriesName
from trading.domain.errors import Refused

_SYMBOLS = ("BTC/USDT", "BTC/USDC", "BTC/USDT:USDT", "ETH/BTC", "ETH/USDT", "kPEPE/USDC")
_HELD = [
    SeriesName("binance", "BTC/USDT", "1h"),
    SeriesName("binance", "BTC/USDT", "1m"),
    SeriesName("kraken", "ETH/USD", "1h"),
]


@pytest.mark.parametrize(
    ("text", "symbol"),
    [
        ("BTC/USDT", "BTC/USDT"),
        ("btc/usdt", "BTC/USDT"),
        (" btc-usdt ", "BTC/USDT"),
        ("BTC_USDT", "BTC/USDT"),
        ("btcusdt", "BTC/USDT"),
        ("btcusdt:usdt", "BTC/USDT:USDT"),
        ("kPEPE/USDC", "kPEPE/USDC"),
        ("KPEPEUSDC", "kPEPE/USDC"),
    ],
)
def test_a_symbol_is_known_by_every_way_to_write_it(text: str, symbol: str) -> None:
    assert symbol_among(text, _SYMBOLS, "binance") == symbol


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("BTC", ("BTC/USDT", "BTC/USDC", "BTC/USDT:USDT")),
        ("ETH", ("ETH/BTC", "ETH/USDT")),
        ("BTC/USD", ("BTC/USDT", "BTC/USDC", "BTC/USDT:USDT")),
        ("BCT/USDT", ("BTC/USDT",)),
        ("Ω/USDT", ()),
        ("", ()),
    ],
)
def test_what_is_unknown_is_refused_with_what_is_near(text: str, near: tuple[str, ...]) -> None:
    with pytest.raises(Refused, match="binance knows no") as refused:
        symbol_among(text, _SYMBOLS, "binance")
    assert set(near) <= set(refused.value.near)


def test_two_symbols_of_one_spelling_are_offered_and_none_is_guessed() -> None:
    with pytest.raises(Refused) as refused:
        symbol_among("abcd", ("A/BCD", "AB/CD"), "kraken")
    assert refused.value.near == ("A/BCD", "AB/CD")
    assert symbol_among("A/BCD", ("A/BCD", "AB/CD"), "kraken") == "A/BCD"


@given(text=st.text(max_size=200))
def test_nothing_else_than_a_known_symbol_ever_comes_out(text: str) -> None:
    try:
        found = symbol_among(text, _SYMBOLS, "binance")
    except Refused as refused:
        found = refused.near[0] if refused.near else "BTC/USDT"
    assert found in _SYMBOLS


def test_a_series_is_one_of_those_held() -> None:
    assert series_among(_HELD, "Binance", "btcusdt", "1m") == _HELD[1]
    with pytest.raises(Refused, match="archive of kraken knows no ETH/EUR; near it are ETH/USD"):
        series_among(_HELD, "kraken", "ETH/EUR", "1h")
    with pytest.raises(Refused, match="holds no kraken ETH/USD 1d; near it are kraken ETH/USD 1h"):
        series_among(_HELD, "kraken", "ETH/USD", "1d")
    assert none_of([], ["bitstamp"]).near == ()


def test_a_name_that_is_near_to_nothing_says_so_in_a_sentence() -> None:
    with pytest.raises(Refused, match="binance knows no ETH/USD; no name is near it"):
        symbol_among("ETH/USD", [], "binance")
    assert "holds no bitstamp; no name is near it: see" in str(none_of([], ["bitstamp"]))
