"""What is made quickly is what is made slowly: same class, same value, as frozen."""

import copy
import pickle
from dataclasses import FrozenInstanceError, dataclass, replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.domain.making import maker
from trading.domain.market import MarketTrade, PriceSource, Quote

quick_quote = maker(Quote)
quick_trade = maker(MarketTrade)
numbers = st.decimals(allow_nan=False, allow_infinity=False)


@given(st.text(), numbers, numbers, st.integers(), st.floats(allow_nan=False))
def test_a_quick_fact_equals_a_slow_one(
    symbol: str, bid: Decimal, ask: Decimal, at_ms: int, received_s: float
) -> None:
    made = quick_quote(symbol, bid, ask, ask, bid, at_ms, received_s, PriceSource.REST)
    slow = Quote(symbol, bid, ask, ask, bid, at_ms, received_s, PriceSource.REST)
    assert type(made) is Quote
    assert (made, hash(made), repr(made)) == (slow, hash(slow), repr(slow))
    assert pickle.loads(pickle.dumps(made)) == slow == copy.copy(made)  # noqa: S301 (our own)
    assert replace(made, event_time_ms=1) == replace(slow, event_time_ms=1)


def test_a_quick_fact_has_the_defaults_and_the_properties_of_its_class() -> None:
    made = quick_quote("BTC/USDT", Decimal(1), Decimal(1), Decimal(3), Decimal(1), 7, 1.0)
    assert (made.source, made.mid) == (PriceSource.STREAM, 2)
    with pytest.raises(TypeError, match="missing"):
        quick_quote("BTC/USDT")  # type: ignore[call-arg]


def test_a_quick_fact_is_frozen_and_takes_no_other_field() -> None:
    made = quick_trade("BTC/USDT", Decimal(1), Decimal(1), 7, 1.0)
    with pytest.raises(FrozenInstanceError):
        made.price = Decimal(2)  # type: ignore[misc]
    with pytest.raises((AttributeError, TypeError)):
        made.other = 1  # type: ignore[attr-defined]


def test_a_class_that_checks_itself_is_not_made_without_its_checks() -> None:
    @dataclass(frozen=True, slots=True)
    class Checked:
        value: int

        def __post_init__(self) -> None:
            if self.value < 0:
                raise ValueError(self.value)

    with pytest.raises(TypeError, match="__post_init__"):
        maker(Checked)
