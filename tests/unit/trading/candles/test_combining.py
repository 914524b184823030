"""One history of several exchanges: no candle is replaced, and each is known by its origin."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.trading.candles.make import MINUTE_MS, START_MS, walk
from trading.candles.combining import combine
from trading.candles.series import PRICES, Candles, no_candles
from trading.domain.errors import Refused


def _scaled(candles: Candles, factor: float) -> Candles:
    return candles.replace(**{name: candles.column(name) * factor for name in PRICES})


def _part(candles: Candles, *places: int) -> Candles:
    return candles.take(np.r_[*(slice(*pair) for pair in zip(*[iter(places)] * 2, strict=True))])


def test_others_fill_what_lies_before_the_leader_and_its_gaps() -> None:
    whole = walk(100)
    near = _scaled(whole, 1.0005)
    found = combine([_part(whole, 40, 60, 70, 90), _part(near, 20, 100)])
    expected = [*near.close[20:40], *whole.close[40:60], *near.close[60:70], *whole.close[70:90]]
    assert found.candles.close.tolist() == expected
    assert found.candles.open_time_ms.tolist() == whole.open_time_ms[20:90].tolist()
    assert found.source.tolist() == [1] * 20 + [0] * 20 + [1] * 10 + [0] * 20
    (compared,) = found.compared
    assert (compared.filled_before, compared.filled_gaps, compared.filled) == (20, 10, 30)
    assert (compared.overlap, compared.unlike, compared.is_foreign) == (40, 0, False)
    assert compared.ratio_median == pytest.approx(1.0005)


def test_the_order_says_who_fills_first() -> None:
    whole = walk(100)
    second, third = _scaled(whole, 1.001), _scaled(whole, 0.999)
    found = combine([_part(whole, 50, 100), _part(second, 30, 60), _part(third, 0, 60)])
    assert found.source.tolist() == [2] * 30 + [1] * 20 + [0] * 50
    assert [one.filled for one in found.compared] == [20, 30]


def test_what_disagrees_is_told_and_the_leader_stays() -> None:
    whole = walk(50)
    bent = whole.replace(close=np.where(np.arange(50) == 30, whole.close * 1.2, whole.close))
    found = combine([_part(whole, 20, 50), bent])
    assert np.array_equal(found.candles.close[20:], whole.close[20:])
    (compared,) = found.compared
    assert (compared.unlike, compared.worst_ms) == (1, START_MS + 30 * MINUTE_MS)
    assert compared.worst_ratio == pytest.approx(1.2)
    assert compared.filled == 20


@pytest.mark.parametrize("factor", [100.0, 0.01, 1.2, 0.85])
def test_another_coin_or_unit_fills_nothing(factor: float) -> None:
    whole = walk(50)
    leader = _part(whole, 20, 50)
    found = combine([leader, _scaled(whole, factor)])
    assert found.candles.equals(leader)
    assert found.compared[0].is_foreign


def test_what_cannot_be_compared_fills_nothing() -> None:
    whole = walk(50)
    found = combine([_part(whole, 20, 50), _part(whole, 0, 20), no_candles()])
    assert len(found.candles) == 30
    assert [(one.overlap, one.filled) for one in found.compared] == [(0, 0), (0, 0)]


def test_a_history_needs_candles_of_the_leader_and_not_too_many_others() -> None:
    with pytest.raises(Refused, match="should have candles"):
        combine([no_candles(), walk(5)])
    with pytest.raises(Refused, match="at most 250"):
        combine([walk(5)] * 251)


@given(
    masks=st.lists(st.lists(st.booleans(), min_size=30, max_size=30), min_size=1, max_size=4),
)
def test_each_candle_is_the_one_its_source_holds_and_none_of_the_leader_is_lost(
    masks: list[list[bool]],
) -> None:
    whole = walk(30)
    histories = [
        _scaled(whole, 1 + number / 1000).take(np.array(mask)) for number, mask in enumerate(masks)
    ]
    if not len(histories[0]):
        return
    found = combine(histories)
    assert (np.diff(found.candles.open_time_ms) > 0).all()
    for place, number in enumerate(found.source.tolist()):
        one = found.candles.take(slice(place, place + 1))
        own = histories[number]
        assert one.equals(own.take(own.open_time_ms == one.open_time_ms[0]))
    leader = found.candles.take(found.source == 0)
    assert leader.equals(histories[0])
    assert found.candles.open_time_ms[-1] == histories[0].open_time_ms[-1]
