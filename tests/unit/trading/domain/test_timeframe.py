"""A candle length is one of those that exchanges know, or is refused with the nearest."""

import pytest

from trading.domain.errors import Refused
from trading.domain.time import Timeframe


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("7m", ("5m", "15m", "3m", "30m", "1m")),
        ("1H", ("1h", "30m", "2h", "15m", "4h")),
        ("99w", ("1w", "3d", "1d", "12h", "8h")),
        ("hourly", ("1h", "15m", "4h", "5m", "1d")),
        ("0m", ("1h", "15m", "4h", "5m", "1d")),
    ],
)
def test_an_unknown_length_is_refused_with_the_nearest_known_ones(
    text: str, near: tuple[str, ...]
) -> None:
    with pytest.raises(Refused, match="timeframe should be one of") as refused:
        Timeframe.parse(text)
    assert refused.value.near == near
    assert (refused.value.wrong, refused.value.example) == (text, near[0])
    assert [Timeframe.parse(name).name for name in near] == list(near)
