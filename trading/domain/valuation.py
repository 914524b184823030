"""What one asset is worth in another: over which markets, and at which prices."""

from collections.abc import Container, Mapping
from decimal import Decimal

from trading.domain.instrument import base_and_quote
from trading.domain.money import ONE

# Tried in this order where an asset has no market against the valuation currency.
_BRIDGES = ("USDT", "USDC", "BTC")


def route(asset: str, currency: str, symbols: Container[str]) -> tuple[str, ...] | None:
    """Return the symbols whose prices value `asset` in `currency`: at most two, through a bridge.

    The currency itself needs none; None where these symbols do not lead there.
    """
    for bridge in (currency, *_BRIDGES):
        first, second = market(asset, bridge, symbols), market(bridge, currency, symbols)
        if first is not None and second is not None:
            return (*first, *second)
    return None


def market(asset: str, currency: str, symbols: Container[str]) -> tuple[str, ...] | None:
    """Return the one symbol that values `asset` in `currency`, none where they are the same."""
    if asset == currency:
        return ()
    pair = (f"{asset}/{currency}", f"{currency}/{asset}")
    return next(((symbol,) for symbol in pair if symbol in symbols), None)


def price_in(asset: str, currency: str, prices: Mapping[str, Decimal]) -> Decimal | None:
    """Return what one unit of `asset` is worth in `currency`, through one bridge at most."""
    symbols = route(asset, currency, prices)
    # What was never traded is told with a price of 0.
    if symbols is None or any(prices[symbol] <= 0 for symbol in symbols):
        return None
    price = ONE
    for symbol in symbols:
        base, quote = base_and_quote(symbol)
        is_sale = base == asset
        price *= prices[symbol] if is_sale else ONE / prices[symbol]
        asset = quote if is_sale else base
    return price
