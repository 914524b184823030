"""From what a person typed to the one symbol or series meant, or a refusal with what is near."""

import difflib
from collections.abc import Collection, Sequence

from trading.candles.series import SeriesName
from trading.domain.errors import Refused

_NEAR_MAX = 3
_TEXT_MAX = 80


def symbol_among(text: str, symbols: Collection[str], place: str) -> str:
    """Match `BTC/USDT`, `btc-usdt` or `BTCUSDT` with one of many symbols; never guesses.

    `place` says where they are from. Unknown and ambiguous ones are Refused with up to three that
    are near.
    """
    told = text.strip()[:_TEXT_MAX]
    if told in symbols:
        return told
    wanted = told.upper().replace("-", "/").replace("_", "/")
    matches = [symbol for symbol in symbols if wanted in _spellings(symbol)]
    if len(matches) == 1:
        return matches[0]
    near = sorted(matches)[:_NEAR_MAX] or _near(wanted, symbols)
    raise Refused(
        f"{place} knows no {told}; {_told(near)}",
        example=near[0] if near else None,
        wrong=told,
        near=tuple(near),
    )


def series_among(
    held: Sequence[SeriesName], exchange: str, symbol: str, timeframe: str
) -> SeriesName:
    """Match the parts of a name with one of the series held; Refused names those that are near."""
    exchange = exchange.lower()
    own = [name for name in held if (name.exchange, name.timeframe) == (exchange, timeframe)]
    if own:
        found = symbol_among(symbol, {name.symbol for name in own}, f"the archive of {exchange}")
        return SeriesName(exchange, found, timeframe)
    raise none_of(held, (exchange, symbol, timeframe))


def none_of(held: Sequence[SeriesName], parts: Sequence[str]) -> Refused:
    """Return the refusal of a series, or a part of its name, of which nothing is held."""
    wanted = " ".join(part[:_TEXT_MAX] for part in parts)
    near = difflib.get_close_matches(wanted, [str(name) for name in held], _NEAR_MAX, 0.3)
    return Refused(
        f"the archive holds no {wanted}; {_told(near)}: see umbra data list",
        wrong=wanted,
        near=tuple(near),
    )


def _told(near: Sequence[str]) -> str:
    return f"near it are {', '.join(near)}" if near else "no name is near it"


def _spellings(symbol: str) -> tuple[str, str]:
    written = symbol.upper()
    return written, written.replace("/", "")


def _near(wanted: str, symbols: Collection[str]) -> list[str]:
    base = wanted.partition("/")[0]
    by_base = [symbol for symbol in symbols if symbol.upper().partition("/")[0] == base]
    # The closest spelling comes first, whatever there is of the same coin after it.
    alike = difflib.get_close_matches(wanted, by_base or symbols, n=_NEAR_MAX, cutoff=0.4)
    return [*alike, *sorted(set(by_base) - set(alike))][:_NEAR_MAX]
