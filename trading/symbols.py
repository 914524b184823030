"""From what a person typed to the one instrument that it means, or a refusal with near misses."""

import difflib
from collections.abc import Mapping

from trading.domain.errors import Refused
from trading.domain.instrument import Instrument, base_and_quote

_LENGTH_MAX = 24
_NEAR_MAX = 3
_QUOTES = ("USDT", "USDC", "USD", "EUR")


def resolve(text: str, instruments: Mapping[str, Instrument]) -> Instrument:
    """Match `BTC/USDT`, `btc-usdt`, `BTCUSDT`; never guesses, never accepts look-alike letters."""
    wanted = text.strip().upper().replace("-", "/").replace("_", "/")
    if not wanted or len(wanted) > _LENGTH_MAX or not wanted.isascii():
        raise Refused(
            f"symbol should be plain letters such as BTC/USDT, was {text[:_LENGTH_MAX]!r}",
            example="BTC/USDT",
        )
    if wanted in instruments:
        return instruments[wanted]
    joined = wanted.replace("/", "")
    matches = [item for item in instruments.values() if item.symbol.replace("/", "") == joined]
    if len(matches) == 1 and "/" not in wanted:
        return matches[0]
    near = _near(wanted, instruments)
    meant = f"; did you mean {' or '.join(near)}?" if near else ""
    raise Refused(
        f"{text.strip()!r} is not traded here{meant}",
        example=near[0] if near else "BTC/USDT",
        wrong=text.strip(),
        near=near,
    )


def _by_dollar(symbol: str) -> tuple[int, str]:
    _, quote = base_and_quote(symbol)
    return (_QUOTES.index(quote) if quote in _QUOTES else len(_QUOTES), symbol)


def _near(wanted: str, instruments: Mapping[str, Instrument]) -> list[str]:
    """Pairs of the same coin, else of coins that are spelled alike; the closest first.

    The coin decides: nearly all symbols end alike, and that is no nearness.
    """
    base = wanted.split("/", maxsplit=1)[0]
    by_base = [item.symbol for item in instruments.values() if item.base == base]
    if by_base and "/" not in wanted:
        # Who names a coin alone mostly means it against the dollar.
        return sorted(by_base, key=_by_dollar)[:_NEAR_MAX]
    if by_base:
        alike = difflib.get_close_matches(wanted, by_base, n=_NEAR_MAX, cutoff=0.5)
        return [*alike, *sorted(set(by_base) - set(alike))][:_NEAR_MAX]
    if "/" not in wanted:
        joined = {symbol.replace("/", ""): symbol for symbol in instruments}
        found = difflib.get_close_matches(wanted, joined, n=_NEAR_MAX, cutoff=0.8)
        if found:
            return [joined[one] for one in found]
    coins = {item.base for item in instruments.values()}
    close = difflib.get_close_matches(base, sorted(coins), n=_NEAR_MAX, cutoff=0.6)
    pairs = [item.symbol for item in instruments.values() if item.base in close]
    return difflib.get_close_matches(wanted, sorted(pairs), n=_NEAR_MAX, cutoff=0.5)
