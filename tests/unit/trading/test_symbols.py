"""What a person types means one instrument, or is refused with near misses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import bitcoin, coin
from tests.catalogue import fired
from trading.domain.errors import Refused
from trading.symbols import resolve

INSTRUMENTS = {item.symbol: item for item in (bitcoin(), coin("ADA"), coin("ADA", "USDC"))}


@pytest.mark.parametrize("text", ["BTC/USDT", "btc/usdt", "BTC-USDT", " btcusdt ", "btc_usdt"])
def test_the_usual_spellings_are_understood(text: str) -> None:
    assert resolve(text, INSTRUMENTS).symbol == "BTC/USDT"


def test_a_near_miss_is_offered() -> None:
    with pytest.raises(Refused, match="did you mean BTC/USDT"):
        resolve("BTC/USTD", INSTRUMENTS)
    with pytest.raises(Refused, match="ADA/USDT or ADA/USDC"):
        resolve("ADA", INSTRUMENTS)


def test_a_coin_alone_is_first_offered_against_the_dollar() -> None:
    pairs = {item.symbol: item for item in (coin("ETH", "BTC"), coin("ETH", "USDT"))}
    with pytest.raises(Refused) as refused:
        resolve("eth", pairs)
    assert tuple(refused.value.near) == ("ETH/USDT", "ETH/BTC")
    assert refused.value.example == "ETH/USDT"


def test_the_closest_spelling_of_the_same_coin_is_the_example() -> None:
    with pytest.raises(Refused) as refused:
        resolve("ada/usdd", INSTRUMENTS)
    assert (refused.value.example, refused.value.wrong) == ("ADA/USDT", "ada/usdd")
    assert set(refused.value.near) == {"ADA/USDC", "ADA/USDT"}


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("BCT/USDT", ("BTC/USDT",)),
        ("ADAA/USDC", ("ADA/USDC", "ADA/USDT")),
        ("ADAUSDTT", ("ADA/USDT", "ADA/USDC")),
        ("BTTC", ("BTC/USDT",)),
        # Another coin whose pair ends alike is not near.
        ("XYZ/USDT", ()),
        ("; drop table", ()),
    ],
)
def test_a_coin_is_near_by_its_own_letters_and_not_by_what_it_is_paid_in(
    text: str, near: tuple[str, ...]
) -> None:
    with pytest.raises(Refused) as refused:
        resolve(text, INSTRUMENTS)
    assert refused.value.near == near
    assert str(refused.value).startswith(f"'{text}' is not traded here")


def test_without_anything_near_the_usual_symbol_is_the_example_and_nothing_is_offered() -> None:
    with pytest.raises(Refused) as refused:
        resolve("QQQQQ", INSTRUMENTS)
    assert (refused.value.example, refused.value.near) == ("BTC/USDT", ())


@pytest.mark.fault("I02", "SAID")
@pytest.mark.parametrize("text", ["ВTC/USDT", "ＢＴＣ/USDT", "", "   ", "B" * 60])
def test_look_alike_letters_and_nonsense_are_refused(text: str) -> None:
    with pytest.raises(Refused, match="plain letters") as refused:
        resolve(text, INSTRUMENTS)
    fired(refused, words=repr(text))


@pytest.mark.fault("I02", "SAID")
def test_any_text_is_one_instrument_or_a_refusal() -> None:
    refused: list[str] = []

    @given(st.text(max_size=40))
    def resolves(text: str) -> None:
        try:
            assert resolve(text, INSTRUMENTS).symbol in INSTRUMENTS
        except Refused:
            refused.append(text)

    resolves()
    fired(len(refused), words="texts were refused")
