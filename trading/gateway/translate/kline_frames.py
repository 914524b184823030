"""Binance's streamed klines, read from the text of their frame."""

from collections.abc import Mapping
from math import inf, isfinite
from typing import Any

import orjson

from trading.domain.market import Candle
from trading.domain.time import Timeframe, following_ms
from trading.gateway.translate.values import DIGITS_MAX, TIME_MS_MAX, TIME_MS_MIN, Unusable, shown

Heard = tuple[str, Timeframe, Candle, int]
"""Symbol, timeframe, candle and the exchange's time of the message in milliseconds."""

_SHARE_TOLERANCE = 1e-6


class KlineFrames:
    """Reads the klines of some instruments and timeframes.

    `series` leads from the exchange's own symbol and interval, such as ("BTCUSDT", "1m"), to ours.
    """

    __slots__ = ("_lengths_ms", "_series")

    def __init__(self, series: Mapping[tuple[str, str], tuple[str, Timeframe]]) -> None:
        self._series = dict(series)
        self._lengths_ms = {interval: one.length_ms for (_, interval), (_, one) in series.items()}

    def read(self, frame: str | bytes) -> Heard | None:
        """Return what a frame says, None when it is no kline of ours; raises Unusable."""
        if '"kline"' not in frame if isinstance(frame, str) else b'"kline"' not in frame:
            return None
        try:
            said = orjson.loads(frame)
        except ValueError:
            return None
        return self.read_message(said)

    def read_message(self, message: object) -> Heard | None:
        """Return what a message that was read already says; raises Unusable."""
        said = message.get("data", message) if isinstance(message, Mapping) else None
        if not isinstance(said, Mapping) or said.get("e") != "kline":
            return None
        try:
            return self._kline(said)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise Unusable(f"kline should be as documented, was {shown(said)}") from error

    def _kline(self, said: Mapping[str, Any]) -> Heard | None:
        kline, event_ms = said["k"], said["E"]
        interval = kline["i"]
        ours = self._series.get((kline["s"], interval))
        if ours is None:
            return None
        opened_ms, is_closed = kline["t"], kline["x"]
        if not (_is_time(event_ms) and _is_time(opened_ms)):
            raise ValueError(opened_ms)
        if kline["T"] != following_ms(opened_ms, self._lengths_ms[interval]) - 1:
            raise ValueError(kline["T"])
        if type(is_closed) is not bool:
            raise TypeError(is_closed)
        volume = _number(kline["v"])
        candle = Candle(
            opened_ms,
            _number(kline["o"]),
            _number(kline["h"]),
            _number(kline["l"]),
            _number(kline["c"]),
            volume,
            is_closed,
            _known(kline.get("q"), inf),
            _count(kline.get("n")),
            _known(kline.get("V"), volume * (1 + _SHARE_TOLERANCE)),
        )
        if not candle.is_sound:
            raise ValueError(candle)
        return *ours, candle, event_ms


def _number(text: object) -> float:
    if type(text) is not str or len(text) > DIGITS_MAX:
        raise ValueError(text)
    value = float(text)
    if not isfinite(value):
        raise ValueError(text)
    return value


def _known(text: object, most: float) -> float | None:
    # A candle is worth having without what only some tell.
    if text is None:
        return None
    value = _number(text)
    return value if 0 <= value <= most else None


def _count(value: object) -> int | None:
    return value if type(value) is int and value >= 0 else None


def _is_time(value: object) -> bool:
    return type(value) is int and TIME_MS_MIN <= value <= TIME_MS_MAX
