"""Any value of any event class, sensible or not; apart from the samples, as its library is slow."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from tests.contract.storage.samples import START

EXTREMES = (
    Decimal("1E-18"),
    Decimal("123456789012.123456789012345678"),
    Decimal("1E+12"),
    Decimal("0.10"),
    Decimal(0),
)

st.register_type_strategy(
    Decimal,
    st.one_of(
        st.sampled_from(EXTREMES),
        st.decimals(-(10**12), 10**12, allow_nan=False, allow_infinity=False, places=18),
    ),
)
st.register_type_strategy(
    datetime, st.integers(0, 2**52).map(lambda us: START + timedelta(microseconds=us))
)
st.register_type_strategy(int, st.integers(-(2**62), 2**62))
# No fact is made of what is no number, and JSON has none either.
st.register_type_strategy(float, st.floats(allow_nan=False, allow_infinity=False))
# A lone surrogate is no text, and PostgreSQL has no NUL.
st.register_type_strategy(
    str, st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
)


def any_event(kind: type[Any]) -> st.SearchStrategy[Any]:
    """Any value of one event class, sensible or not."""
    return st.from_type(kind)
