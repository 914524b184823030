"""What candles tell twice: quote volume and the takers' share bear witness of price and volume.

Volume times price is quote volume, and nobody takes more than was traded. Where a candle says
otherwise one of its numbers is wrong; the candles around it say which (pure).
"""

import numpy as np

from trading.candles.series import Candles, Column, Mask

# Exchanges round the numbers that they tell: what is below these proves nothing.
_QUOTE_ROUNDED = 1e-6
_VOLUME_ROUNDED = 1e-8
_ROUNDED_SHARE = 1e-3
_PROOF = 100.0
# Some count trades into a volume that they keep out of high and low; no unit is so near another.
_UNLIKE_SHARE = 0.01
# Volumes nearer to their neighbours' than this are none in another unit.
_VOLUME_FACTOR = 1.5


def most_contradict(candles: Candles) -> bool:
    """Whether most candles that tell something twice contradict themselves.

    Then it is no slip of one number: prices or volumes of all are suspect.
    """
    is_told = _is_quote_told(candles)
    is_unlike = _is_quote_unlike(candles, _UNLIKE_SHARE)
    taker, volume = candles.taker_buy_volume, candles.volume
    # Where the quote volume agrees with the volume, it is the takers' share that is wrong.
    is_taker_told = (np.maximum(taker, volume) > _PROOF * _VOLUME_ROUNDED) & ~(is_told & ~is_unlike)
    is_taker_above = is_taker_told & (taker > volume * (1 + _UNLIKE_SHARE))
    is_witness = is_told | is_taker_told & ~np.isnan(taker)
    return bool(2 * (is_unlike | is_taker_above).sum() > is_witness.sum())


def are_untrue(candles: Candles) -> Mask:
    """Say which candles contradict themselves in price or volume, as those around them show.

    Of a candle that keeps to its neighbours in both, only the quote volume is wrong: it may be
    kept without. Where there are no neighbours that agree, it may not. Times ascend.
    """
    untrue = _is_quote_unlike(candles, _UNLIKE_SHARE)
    places = np.flatnonzero(untrue)
    if not len(places):
        return untrue
    sound = np.flatnonzero(_is_quote_told(candles) & ~untrue & (candles.volume > 0))
    if not len(sound):
        return untrue

    def away(column: Column) -> Column:
        """Return how far each is off what its sound neighbours have, as a logarithm."""
        usual = np.interp(places, sound, np.log(column[sound]))
        distance: Column = np.abs(np.log(column[places]) - usual)
        return distance

    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        mean = candles.quote_volume / candles.volume
        is_price_true = away(candles.close) < away(mean)
        off = np.abs(np.log(mean[places]) - np.log(candles.close[places]))
        is_slight = off < np.log(_VOLUME_FACTOR)
        is_volume_true = is_slight | (away(candles.volume) < away(candles.quote_volume))
    untrue[places] = ~(is_price_true & is_volume_true)
    return untrue


def impossible_fields(candles: Candles) -> dict[str, Mask]:
    """Say by the name of each optional number where it is told and cannot be."""
    taker, trades, quote = candles.taker_buy_volume, candles.trades, candles.quote_volume
    with np.errstate(over="ignore"):
        most = candles.volume * (1 + _ROUNDED_SHARE)
    is_quote_wrong = ~(np.isfinite(quote) & (quote >= 0)) | _is_quote_unlike(
        candles, _ROUNDED_SHARE
    )
    wrong = {
        "taker_buy_volume": ~((taker >= 0) & (taker <= most)),
        "trades": ~((trades >= 0) & np.isfinite(trades)),
        "quote_volume": is_quote_wrong | (quote == 0) & _is_quote_due(candles),
    }
    return {name: is_wrong & ~np.isnan(candles.column(name)) for name, is_wrong in wrong.items()}


def _rounded(candles: Candles) -> Column:
    return _QUOTE_ROUNDED + _VOLUME_ROUNDED * candles.high


def _is_quote_due(candles: Candles) -> Mask:
    with np.errstate(over="ignore"):
        due: Mask = candles.low * candles.volume > _PROOF * _rounded(candles)
    return due


def _is_quote_told(candles: Candles) -> Mask:
    """Say where a quote volume proves something; 0 is how some say that they have none."""
    quote = candles.quote_volume
    is_enough = _is_quote_due(candles) | (quote > _PROOF * _rounded(candles))
    told: Mask = np.isfinite(quote) & (quote > 0) & is_enough
    return told


def _is_quote_unlike(candles: Candles, share: float) -> Mask:
    """Say where the mean price of what was traded lies outside of high and low by a share."""
    quote, rounded = candles.quote_volume, _rounded(candles)
    with np.errstate(over="ignore"):
        above = candles.high * candles.volume * (1 + share) + rounded
        below = candles.low * candles.volume * (1 - share) - rounded
    unlike: Mask = _is_quote_told(candles) & ((quote < below) | (quote > above))
    return unlike
