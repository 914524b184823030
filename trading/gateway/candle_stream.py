"""Binance's candles over connections of their own, so that no quote waits behind them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from trading.domain.errors import Unreachable
from trading.domain.market import Candle
from trading.domain.time import Timeframe
from trading.gateway.client import DirectReader
from trading.gateway.stream import border, subscribe, until_lost
from trading.gateway.translate.kline_frames import Heard, KlineFrames
from trading.right_of_way import RightOfWay

TakeCandle = Callable[[str, Timeframe, Candle, int], None]
Series = Mapping[tuple[str, str], tuple[str, Timeframe]]
"""From the exchange's symbol and interval to ours."""

# A connection carries 1024 streams at most.
_STREAMS_MAX = 1_000
_ENDS = frozenset({"eventStreamTerminated", "serverShutdown"})


def parts_of(series: Series) -> Sequence[Series]:
    """Split series into as many as one connection carries each."""
    items = list(series.items())
    return [
        dict(items[start : start + _STREAMS_MAX]) for start in range(0, len(items), _STREAMS_MAX)
    ]


class CandleStream:
    """Candles of some series over one connection."""

    def __init__(self, series: Series, on_candle: TakeCandle) -> None:
        self._names = [f"{name.lower()}@kline_{interval}" for name, interval in series]
        self._frames = KlineFrames(series)
        self._on_candle = on_candle
        self.way = RightOfWay()
        self._ended: Callable[[str], None] = lambda _: None

    def take_frame(self, frame: str) -> bool:
        """Handle one frame if it is a candle of ours; whether it was."""
        with border("kline"):
            heard = self._frames.read(frame)
            if heard is None:
                return False
            self._tell(heard)
        return True

    def take(self, message: Any) -> bool:
        """Handle a message that the library has read; whether it was ours."""
        said = message.get("data", message) if isinstance(message, dict) else None
        if not isinstance(said, dict):
            return False
        if said.get("e") in _ENDS:
            # What is missed until the next connection is asked for.
            self._ended(str(said["e"]))
            return True
        with border("kline"):
            heard = self._frames.read_message(message)
            if heard is None:
                return False
            self._tell(heard)
        return True

    def _tell(self, heard: Heard) -> None:
        self._on_candle(*heard)

    async def run(self, exchange: Any, url: str, requests: Iterator[int]) -> None:
        """Subscribe, and wait until the connection ends: Unreachable says how."""
        client = exchange.client(url)
        DirectReader(client, self.take_frame, self.way)
        waits = await subscribe(exchange, url, self._names, requests, "candles")
        self._ended = lambda why: client.reject(Unreachable(why))
        await until_lost(waits)
