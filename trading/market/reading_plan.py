"""Which series are asked for next over REST, most pressing first (pure)."""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass

from trading.market.settings import CandleSettings
from trading.market.watched_series import WatchedSeries

_MISSING, _PAST, _RUNNING = 0, 1, 2
_POLL_SHARE = 0.02
_POLL_S_MAX = 60.0


@dataclass(frozen=True, slots=True)
class Want:
    """A series, and how pressing it is: less is more, by `rank` and then by `order`."""

    rank: int
    order: float
    watched: WatchedSeries


@dataclass(frozen=True, slots=True)
class Moment:
    """The exchange's time and ours, and who tells nothing: the whole stream, or some symbols."""

    at_ms: int
    now_s: float
    is_down: bool = False
    quiet: frozenset[str] = frozenset()


def plan(
    series: Iterable[WatchedSeries], moment: Moment, settings: CandleSettings, most: int
) -> list[Want]:
    """Return the most pressing series, at most so many.

    What is in doubt or should have closed comes first, then series without a past, then running
    candles that nobody tells: all of them while the stream is down, else those that it leaves out,
    and one of each quiet symbol.
    """
    series = list(series)
    shortest = _shortest(series, moment.quiet)
    wants = []
    for number, watched in enumerate(series):
        if watched.is_queued or watched.retry_s > moment.now_s:
            continue
        if not watched.is_warm:
            wants.append(Want(_PAST, number, watched))
        elif (missing := _missing(watched, moment, settings)) is not None:
            wants.append(missing)
        elif moment.is_down:
            wants += _running(watched, moment.now_s, settings.poll_s_min)
        elif watched.live.length_ms == shortest.get(watched.symbol, watched.live.length_ms):
            wants += _running(watched, moment.now_s, settings.quiet_s)
    return heapq.nsmallest(most, wants, key=lambda want: (want.rank, want.order))


def _shortest(series: Iterable[WatchedSeries], quiet: frozenset[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for watched in series:
        if watched.symbol in quiet:
            length_ms = watched.live.length_ms
            found[watched.symbol] = min(found.get(watched.symbol, length_ms), length_ms)
    return found


def _missing(watched: WatchedSeries, moment: Moment, settings: CandleSettings) -> Want | None:
    if watched.is_doubted and moment.now_s - watched.read_s >= settings.doubted_read_s:
        return Want(_MISSING, float("-inf"), watched)
    if watched.due(moment.at_ms) is not None:
        return Want(_MISSING, -watched.lateness(moment.at_ms), watched)
    return None


def _running(watched: WatchedSeries, now_s: float, least_s: float) -> list[Want]:
    length_s = watched.live.length_ms / 1000
    pace_s = max(min(length_s * _POLL_SHARE, _POLL_S_MAX), least_s)
    since_s = now_s - max(watched.read_s, watched.told_s)
    return [] if since_s < pace_s else [Want(_RUNNING, -since_s / pace_s, watched)]
