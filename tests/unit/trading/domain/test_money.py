"""Numbers are read exactly or refused, and written without surprises."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.catalogue import fired
from trading.domain.errors import Refused
from trading.domain.money import ceil_to, floor_to, grouped, parse_decimal, parse_percent, plain

STEPS = st.sampled_from([Decimal("0.00000001"), Decimal("0.01"), Decimal("0.5"), Decimal(10)])
VALUES = st.decimals(min_value=0, max_value=10**12, places=8)


@pytest.mark.parametrize(
    ("text", "value"), [("58000", "58000"), ("0.5", "0.5"), (".5", "0.5"), ("007", "7")]
)
def test_a_plain_number_is_read_exactly(text: str, value: str) -> None:
    assert parse_decimal(text) == Decimal(value)


@pytest.mark.fault("I01", "SAID")
@pytest.mark.parametrize(
    "text",
    [
        *("1,000", "1.000,5", "1e9", "NaN", "Infinity", "-0", "-5", "+5", "٠٫١", "０.１", "1_000"),
        *("0x10", "", " ", "1 000", "5%", "1.", "1.2.3", "9" * 60, "½"),
    ],
)
def test_anything_else_is_refused_and_never_guessed(text: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_decimal(text, "price")
    assert "price should be a plain number" in str(refused.value)
    assert refused.value.example
    fired(refused, words=repr(text))


def test_a_percentage_becomes_a_share() -> None:
    assert parse_percent("2.5%") == Decimal("0.025")


def test_a_percentage_without_its_sign_is_refused() -> None:
    with pytest.raises(Refused, match="percentage"):
        parse_percent("2")


@pytest.mark.fault("I01", "SAID")
def test_any_text_is_read_or_refused_and_nothing_else() -> None:
    refused: list[str] = []

    @given(st.text(max_size=60))
    def takes(text: str) -> None:
        try:
            value = parse_decimal(text)
        except Refused:
            refused.append(text)
        else:
            assert value.is_finite()
            assert value >= 0

    takes()
    fired(len(refused), words="texts were refused")


@given(VALUES, STEPS)
def test_floor_is_the_greatest_multiple_below_and_ceil_the_least_above(
    value: Decimal, step: Decimal
) -> None:
    down, up = floor_to(value, step), ceil_to(value, step)
    assert down <= value <= up
    assert value - down < step
    assert up - value < step
    assert down % step == 0 == up % step


@given(st.decimals(min_value=-(10**12), max_value=10**12, places=12))
def test_a_number_written_plainly_reads_back_as_itself(value: Decimal) -> None:
    text = plain(value)
    assert Decimal(text) == value
    assert "e" not in text.lower()
    assert not ("." in text and text.endswith("0"))


def test_zero_is_written_without_a_sign() -> None:
    assert plain(Decimal("-0.00")) == "0"
    assert plain(Decimal("0.50")) == "0.5"
    assert plain(Decimal("1E+3")) == "1000"


@pytest.mark.parametrize(
    ("value", "text"),
    [("1E+6", "1,000,000"), ("-1234.50", "-1,234.5"), ("999.0", "999"), ("-0.0", "0")],
)
def test_a_number_for_people_has_its_thousands_apart_and_every_digit(value: str, text: str) -> None:
    assert grouped(Decimal(value)) == text
