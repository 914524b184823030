"""Tickers that came to mean another coin: older candles belong to the old coin's new name."""

from dataclasses import dataclass

from trading.candles.series import Candles, SeriesName
from trading.candles.spans import Span
from trading.domain.time import candle_open_ms, following_ms


@dataclass(frozen=True, slots=True)
class ReusedTicker:
    """From `since_ms` on the ticker means another coin; what it meant before is called `before`."""

    ticker: str
    before: str
    since_ms: int


REUSED_TICKERS = (
    # Terra's chain stopped on 2022-05-13 and is called LUNC since; the coin of the new chain took
    # the ticker over on 2022-05-28.
    ReusedTicker("LUNA", "LUNC", 1_653_696_000_000),
)


def split_by_coin(
    name: SeriesName, candles: Candles, claimed: Span | None
) -> list[tuple[SeriesName, Candles, Span | None]]:
    """File candles, and what was asked for, under the coin that their symbol meant then.

    The last entry is the coin that the symbol means now, with whatever is its own.
    """
    base, _, rest = name.symbol.partition("/")
    reused = next((one for one in REUSED_TICKERS if one.ticker == base), None)
    if reused is None:
        return [(name, candles, claimed)]
    last_ms = candle_open_ms(reused.since_ms - 1, name.length_ms)
    is_older = candles.open_time_ms <= last_ms
    older_claim = claimed and _nonempty(claimed.first_ms, min(claimed.last_ms, last_ms))
    claim = claimed and _nonempty(
        max(claimed.first_ms, following_ms(last_ms, name.length_ms)), claimed.last_ms
    )
    found: list[tuple[SeriesName, Candles, Span | None]] = []
    if is_older.any() or older_claim:
        older = SeriesName(name.exchange, f"{reused.before}/{rest}", name.timeframe)
        found.append((older, candles.take(is_older), older_claim))
    return [*found, (name, candles.take(~is_older), claim)]


def _nonempty(first_ms: int, last_ms: int) -> Span | None:
    return Span(first_ms, last_ms) if first_ms <= last_ms else None
