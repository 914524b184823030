"""A ticker that was re-used does not mix two coins."""

from tests.unit.trading.candles.make import walk
from trading.candles.renames import split_by_coin
from trading.candles.series import SeriesName, no_candles
from trading.candles.spans import Span

_DAY_MS = 86_400_000
_SINCE_MS = 1_653_696_000_000  # 2022-05-28
_LUNA = SeriesName("binance", "LUNA/USDT:USDT", "1d")
_LUNC = SeriesName("binance", "LUNC/USDT:USDT", "1d")


def test_candles_of_before_the_ticker_was_reused_go_to_the_old_coin() -> None:
    candles = walk(10, length_ms=_DAY_MS, start_ms=_SINCE_MS - 4 * _DAY_MS)
    claimed = Span(_SINCE_MS - 20 * _DAY_MS, _SINCE_MS + 20 * _DAY_MS)
    (old, before, old_claim), (new, after, claim) = split_by_coin(_LUNA, candles, claimed)
    assert (old, new) == (_LUNC, _LUNA)
    assert before.equals(candles.take(slice(0, 4)))
    assert after.equals(candles.take(slice(4, 10)))
    assert old_claim == Span(claimed.first_ms, _SINCE_MS - _DAY_MS)
    assert claim == Span(_SINCE_MS, claimed.last_ms)


def test_what_lies_on_one_side_only_names_one_coin() -> None:
    after = walk(10, length_ms=_DAY_MS, start_ms=_SINCE_MS)
    assert [name for name, _, _ in split_by_coin(_LUNA, after, None)] == [_LUNA]
    old_only = Span(_SINCE_MS - 9 * _DAY_MS, _SINCE_MS - _DAY_MS)
    parts = split_by_coin(_LUNA, no_candles(), old_only)
    assert [(name, claim) for name, _, claim in parts] == [(_LUNC, old_only), (_LUNA, None)]
    other = SeriesName("binance", "BTC/USDT", "1d")
    assert split_by_coin(other, after, None) == [(other, after, None)]
