"""What has closed and not entered its past yet, by the moments at which it did (pure).

A candle is scored as it came to before it becomes a part of what is ranked against. So the score of
a moment is the one that a replay makes of it, whichever of its candles was told first.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace

from trading.domain.market import Candle
from trading.domain.time import Timeframe, candle_open_ms, following_ms

# A close that is told later than this, as after an outage, is no news.
_OLD_MS = 600_000
_MOMENTS_MAX = 5
# How long a moment waits for a candle that ended with the others and was not told.
_PATIENCE_MS = 15_000
_WAITING_MAX = 1_000

Running = Callable[[str, Timeframe, int], Candle | None]
"""`LiveCandles.running`: the candle of a series that holds a moment, as it was told last."""
ByTimeframe = Mapping[Timeframe, Candle]


@dataclass(frozen=True, slots=True)
class Close:
    """A moment at which candles of a symbol ended: these enter their pasts after it.

    `held` has all its candles as they stood then; empty where the moment is not to be scored.
    """

    at_ms: int
    held: ByTimeframe
    ended: ByTimeframe


@dataclass(slots=True)
class _Waiting:
    """Of one symbol, by the moments at which candles ended: these, and what ran beside them."""

    ended: dict[int, dict[Timeframe, Candle]] = field(default_factory=dict)
    beside: dict[int, dict[Timeframe, Candle]] = field(default_factory=dict)
    scored_ms: int = 0


class Closes:
    """Closed candles of every symbol, until `take` hands them out in order of time."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._waiting: dict[str, _Waiting] = {}

    def add(
        self, symbol: str, timeframe: Timeframe, candle: Candle, watched: Collection[Timeframe]
    ) -> bool:
        """Note a candle that has closed just now, and how the others that are watched stand.

        Returns whether so much waits that it should be taken now.
        """
        waiting = self._waiting.setdefault(symbol, _Waiting())
        at_ms = following_ms(candle.open_time_ms, timeframe.length_ms)
        if at_ms not in waiting.beside:
            found = {one: self._running(symbol, one, at_ms - 1) for one in watched}
            waiting.beside[at_ms] = {one: held for one, held in found.items() if held is not None}
        waiting.ended.setdefault(at_ms, {})[timeframe] = candle
        return len(waiting.ended) >= _WAITING_MAX

    def forget(self, symbol: str, timeframe: Timeframe) -> None:
        """Forget what waits of a series that begins anew with a past that holds it."""
        waiting = self._waiting.get(symbol, _Waiting())
        for at_ms, ended in list(waiting.ended.items()):
            ended.pop(timeframe, None)
            if not ended:
                del waiting.ended[at_ms], waiting.beside[at_ms]

    def keep(self, symbols: Collection[str]) -> None:
        """Forget all other symbols."""
        for symbol in self._waiting.keys() - symbols:
            del self._waiting[symbol]

    def take(self, symbol: str, scored: Collection[Timeframe], now_ms: int) -> Iterator[Close]:
        """Yield what has closed, oldest first; what was yielded waits no more.

        A moment of which the candle of one of the `scored` timeframes is unknown is not scored; it
        waits a little for it.
        """
        waiting = self._waiting.get(symbol, _Waiting())
        news = sorted(at_ms for at_ms in waiting.ended if at_ms > waiting.scored_ms)[-_MOMENTS_MAX:]
        for at_ms in sorted(waiting.ended):
            is_news = at_ms in news and now_ms < at_ms + _OLD_MS
            held = _as_they_stood(at_ms, waiting, scored) if is_news else {}
            if len(held) < len(scored):
                if is_news and now_ms < at_ms + _PATIENCE_MS:
                    return
                held = {}
            if held:
                waiting.scored_ms = at_ms
            del waiting.beside[at_ms]
            yield Close(at_ms, held, waiting.ended.pop(at_ms))


def _as_they_stood(at_ms: int, waiting: _Waiting, scored: Collection[Timeframe]) -> ByTimeframe:
    """Return the candles that held the last millisecond before a moment, as far as is known."""
    ended = waiting.ended[at_ms]
    last = next(iter(ended.values()))
    found = dict(ended)
    for timeframe in scored:
        held = None if timeframe in ended else _unfinished(timeframe, at_ms, waiting)
        if held is not None:
            # Told a little before or after the close, at whose price all of them stood.
            high, low = max(held.high, last.high), min(held.low, last.low)
            found[timeframe] = replace(held, high=high, low=low, close=last.close)
    return {timeframe: found[timeframe] for timeframe in scored if timeframe in found}


def _unfinished(timeframe: Timeframe, at_ms: int, waiting: _Waiting) -> Candle | None:
    ran = waiting.beside[at_ms].get(timeframe)
    if ran is not None:
        return ran
    opened_ms = candle_open_ms(at_ms - 1, timeframe.length_ms)
    since = waiting.ended.get(following_ms(opened_ms, timeframe.length_ms), {}).get(timeframe)
    if since is None:
        return None
    # It was told when it was over. Of the moment it says where it opened, and no more.
    return replace(since, high=since.open, low=since.open, is_closed=False)
