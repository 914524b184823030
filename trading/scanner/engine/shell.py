"""The running scanner: what is watched, the newest score of each, and answers about them."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest

from trading.candles.series import Candles
from trading.domain.errors import Unreachable
from trading.domain.market import Candle
from trading.domain.time import Timeframe
from trading.domain.watching import THRESHOLD, Interest
from trading.market.live_candles import CandleHooks, LiveCandles
from trading.ports.clock import Clock
from trading.ports.exchange import CandleFeed
from trading.ports.history import CandleStore, ScoreStore
from trading.scanner.desk import Missing, MonitoredView, Readiness, ScoreLine, ScoreReport
from trading.scanner.engine.awaited import Awaited, Watch
from trading.scanner.engine.closes import Close, Closes
from trading.scanner.engine.glance import SYMBOLS_MAX, Glance
from trading.scanner.engine.judging import Replayer, Reports
from trading.scanner.engine.pasts import Apart, Pasts
from trading.scanner.engine.recording import Recording
from trading.scanner.engine.settings import ScannerSettings
from trading.scanner.rating import Monitored, rate
from trading.scanner.scores import RankScore, Thresholds

logger = logging.getLogger(__name__)

# Moments of all symbols that wait to be handed on; a sweep comes every few seconds.
_CLOSES_MAX = 5_000

OnScores = Callable[[], Awaitable[object]]


async def _nobody() -> None:
    return None


@dataclass(frozen=True, slots=True)
class ScannerPorts:
    """What the scanner stands on; without `candles` nothing of the past outlives the process."""

    feed: CandleFeed
    clock: Clock
    scores: ScoreStore
    replayer: Replayer
    candles: CandleStore | None = None
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    apart: Apart = asyncio.to_thread


class ScannerEngine:
    """Implements `ScannerDesk`.

    `watch` says what people want, at any time; `run` follows it until cancelled; `scan_watched` and
    `sweep` are its recurring jobs. `on_scores` is called when there are new scores to ask for.
    """

    def __init__(
        self,
        ports: ScannerPorts,
        settings: ScannerSettings | None = None,
        on_scores: OnScores = _nobody,
    ) -> None:
        self._settings = settings or ScannerSettings()
        self._clock = ports.clock
        self._sleep = ports.sleep
        self._on_scores = on_scores
        self._pasts = Pasts(
            ports.candles,
            self._settings.candles_max,
            self._settings.candles.candles_kept,
            ports.apart,
            self._begun,
        )
        self.live = LiveCandles(
            ports.feed,
            ports.candles,
            ports.clock,
            CandleHooks(self._warmed, self._closed),
            settings=self._settings.candles,
            sleep=ports.sleep,
        )
        self._closes = Closes(self.live.running)
        self._feed = ports.feed
        self._awaited = Awaited(
            lambda symbol, timeframe: self._pasts.get(symbol, timeframe) is not None,
            self.live.failure,
            ports.feed.candle_source,
            self._settings.patience_s,
        )
        self._glance = Glance(ports.feed, self.live.now_ms, ports.sleep)
        self._recording = Recording(ports.scores, self._settings.kept_days)
        self._reports = Reports(ports.replayer, ports.feed, ports.clock, ports.sleep)
        self._watched: dict[str, Watch] = {}
        self._newest: dict[str, RankScore] = {}
        # Scores of moments at which candles closed, oldest first, until they are handed on.
        self._at_closes: list[RankScore] = []

    # ------------------------------------------------------------ life

    def watch(self, interests: Iterable[Interest]) -> None:
        """Scan these symbols from now on, each over all timeframes that anybody watches."""
        several = list(interests)
        wanted = self._affordable(several)
        now_s = self._clock.monotonic()
        self._watched = {
            symbol: self._watch(symbol, timeframes, now_s)
            for symbol, timeframes in sorted(wanted.items())
        }
        self._newest = {symbol: score for symbol, score in self._newest.items() if symbol in wanted}
        self._pasts.keep({(symbol, one) for symbol, each in wanted.items() for one in each})
        self._closes.keep(wanted.keys())
        self.live.watch(wanted)
        self._reports.judge([one for one in several if one.symbol in wanted])

    async def run(self) -> None:
        """Follow the candles, sort their pasts and judge `auto` thresholds until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.live.run())
            group.create_task(self._pasts.run())
            group.create_task(self._reports.run())

    async def sweep(self) -> None:
        """Ask for what should have closed, write what has, and hand on how it stood then."""
        await self.live.sweep()
        async for part in self._in_turns(list(self._watched)):
            self._settle(part)
        await self._hand_on_closes()

    async def scan_watched(self) -> None:
        """Score everything that is watched, record it, and hand it on."""
        found = await self._rate_all(list(self._watched))
        await self._hand_on_closes()
        await self._keep(found)
        if found:
            await self._on_scores()

    # ------------------------------------------------------------ the desk

    def timeframes(self, symbol: str) -> tuple[Timeframe, ...]:
        """Return the timeframes that are watched where a person names none."""
        usual = self._settings.timeframes
        return tuple(one for one in usual if self.source(one) is not None) or usual

    def source(self, timeframe: Timeframe) -> Timeframe | None:
        """Return of which candles of the exchange those of a length are made."""
        return self._feed.candle_source(timeframe)

    def monitored(self) -> Sequence[MonitoredView]:
        """Return everything that is scanned, by symbol."""
        return [self._view(symbol, watch) for symbol, watch in self._watched.items()]

    def score(self, interest: Interest) -> RankScore | None:
        """Return the newest score over those of an interest's own timeframes that are read."""
        newest = self._newest.get(interest.symbol)
        if newest is None:
            return None
        own = newest.over(interest.timeframes)
        return own if len(own.unread) < len(own.timeframes) else None

    def missing(self, interest: Interest) -> Sequence[Missing]:
        """Return which of the timeframes that are watched are not read yet, and why."""
        watched = self._watched.get(interest.symbol, Watch()).timeframes
        return self._awaited.missing(
            interest.symbol, [one for one in interest.timeframes if one in watched]
        )

    def history(self, interest: Interest) -> Sequence[str]:
        """Return of which exchanges its pasts are, the own one first; none where of that alone."""
        found = (self._pasts.exchanges(interest.symbol, one) for one in interest.timeframes)
        return list(dict.fromkeys(chain.from_iterable(found)))

    def is_settled(self, symbol: str) -> bool:
        """Whether the scores of a symbol may be told by themselves: no past is waited for."""
        watch = self._watched.get(symbol, Watch())
        return self._awaited.is_settled(symbol, watch, self._clock.monotonic())

    def thresholds(self, interest: Interest) -> Thresholds:
        """Return from which scores on an interest is told, `auto` resolved."""
        if interest.threshold is None and (best := self._reports.best(interest)) is not None:
            return best
        share = (interest.threshold or THRESHOLD) / 100
        return Thresholds(share, share)

    def unjudged(self, interest: Interest) -> str:
        """Return why `auto` stands for the usual threshold; empty where it does not."""
        return self._reports.unjudged(interest)

    async def scan(self, interests: Iterable[Interest]) -> Sequence[RankScore]:
        """Score now, also what nobody watches; raises Unreachable where candles do not come."""
        asked = list(interests)
        unknown = [one for one in asked if not self._is_live(one)]
        if len(unknown) > SYMBOLS_MAX:
            # What is watched comes by itself; asked for beside that, all of it would come later.
            unknown = [one for one in unknown if not self._is_watched(one)]
        looked_up = await self._looked_up(unknown)
        await self._rate_all([one.symbol for one in asked if one.symbol in self._watched])
        found = {(score.symbol, _timeframes(score)): score for score in looked_up}
        scores = [
            found.get((one.symbol, one.timeframes))
            or (None if self.live.is_stale(one.symbol) else self.score(one))
            for one in asked
        ]
        return [score for score in scores if score is not None]

    async def line(self, interest: Interest, since_ms: int) -> ScoreLine:
        """Read recorded scores since a moment, over those of its timeframes watched then."""
        return await self._recording.line(interest, since_ms)

    async def report(self, interest: Interest) -> ScoreReport:
        """Replay a symbol's past, off the loop; Refused where too little of it is known."""
        return await self._reports.report(interest)

    # ------------------------------------------------------------ what closes

    def _warmed(self, symbol: str, timeframe: Timeframe, candles: Candles) -> None:
        self._closes.forget(symbol, timeframe)
        self._pasts.warmed(symbol, timeframe, candles)

    def _closed(self, symbol: str, timeframe: Timeframe, candle: Candle) -> None:
        watch = self._watched.get(symbol, Watch())
        if self._closes.add(symbol, timeframe, candle, watch.timeframes):
            self._settle([symbol])

    def _settle(self, symbols: Sequence[str]) -> None:
        """Score the moments at which candles closed, and let these enter their pasts after it."""
        now_ms = self.live.now_ms()
        rounds = zip_longest(
            *(self._closes.take(symbol, self._scored(symbol), now_ms) for symbol in symbols)
        )
        for closes in rounds:
            moments = [
                self._moment(symbol, close)
                for symbol, close in zip(symbols, closes, strict=True)
                if close is not None and close.held
            ]
            self._at_closes += rate(moments)
            for symbol, close in zip(symbols, closes, strict=True):
                for timeframe, candle in close.ended.items() if close is not None else ():
                    self._pasts.closed(symbol, timeframe, candle)
        del self._at_closes[:-_CLOSES_MAX]

    def _scored(self, symbol: str) -> list[Timeframe]:
        watch = self._watched.get(symbol, Watch())
        return [one for one in watch.timeframes if self._pasts.get(symbol, one) is not None]

    def _moment(self, symbol: str, close: Close) -> Monitored:
        histories = {
            one: past for one in close.held if (past := self._pasts.get(symbol, one)) is not None
        }
        price = next(iter(close.ended.values())).close
        return Monitored(symbol, close.at_ms, price, histories, close.held, is_close=True)

    async def _hand_on_closes(self) -> None:
        """Hand on the scores of closes, oldest first; what nobody takes waits for the next look."""
        scores, self._at_closes = sorted(self._at_closes, key=lambda one: one.at_ms), []
        while scores:
            moment = [one for one in scores if one.at_ms == scores[0].at_ms]
            try:
                await self._hand_on_close(moment)
            except BaseException:
                self._at_closes = [*scores, *self._at_closes]
                raise
            scores = scores[len(moment) :]

    async def _hand_on_close(self, moment: Sequence[RankScore]) -> None:
        """Let the scores of a moment be the newest while they are handed on.

        They stay so until the next scan, unless the present is known already.
        """
        found = {one.symbol: one for one in moment if one.symbol in self._watched}
        present = {symbol: self._newest[symbol] for symbol in found if symbol in self._newest}
        self._newest |= found
        try:
            if found:
                await self._on_scores()
            await self._keep(list(found.values()))
        finally:
            self._newest |= {
                symbol: score
                for symbol, score in present.items()
                if symbol in self._watched and score.at_ms > found[symbol].at_ms
            }

    async def _keep(self, found: Sequence[RankScore]) -> None:
        """Record the scores of symbols that do not wait for a past."""
        await self._recording.keep([one for one in found if self.is_settled(one.symbol)])

    # ------------------------------------------------------------ inside

    def _affordable(self, interests: Sequence[Interest]) -> dict[str, frozenset[Timeframe]]:
        """Return what is watched; beyond the most that can be, those that came last are left."""
        wanted: dict[str, frozenset[Timeframe]] = {}
        for interest in sorted(interests, key=lambda one: one.symbol not in self._watched):
            known = wanted.get(interest.symbol)
            if known is None and len(wanted) >= self._settings.symbols_max:
                logger.warning("symbol_not_scanned", extra={"symbol": interest.symbol})
                continue
            wanted[interest.symbol] = (known or frozenset()) | set(interest.timeframes)
        return wanted

    def _watch(self, symbol: str, timeframes: frozenset[Timeframe], now_s: float) -> Watch:
        known = self._watched.get(symbol)
        ordered = sorted(timeframes, key=lambda one: one.length_ms)
        return Watch(tuple(ordered), now_s if known is None else known.since_s)

    def _begun(self, symbol: str) -> None:
        """Score a symbol as soon as a past of it is there: who watches it looks at it now."""
        self._rate([symbol])

    async def _looked_up(self, unknown: Sequence[Interest]) -> Sequence[RankScore]:
        """Ask the exchange, and do without its answer where a part of the pasts is there."""
        try:
            return await self._glance.score(unknown) if unknown else []
        except Unreachable:
            if any(self.live.is_stale(one.symbol) or self.score(one) is None for one in unknown):
                raise
            return []

    async def _rate_all(self, symbols: Sequence[str]) -> list[RankScore]:
        found: list[RankScore] = []
        async for part in self._in_turns(symbols):
            found += self._rate(part)
        return found

    async def _in_turns(self, symbols: Sequence[str]) -> AsyncIterator[list[str]]:
        for number, part in enumerate(self._slices(symbols)):
            if number:
                # A stop takes six turns of the loop: with one in between it would wait six times.
                await self._sleep(self._settings.pause_s)
            yield part

    def _slices(self, symbols: Sequence[str]) -> Iterator[list[str]]:
        part: list[str] = []
        series = 0
        for symbol in symbols:
            part.append(symbol)
            series += len(self._watched.get(symbol, Watch()).timeframes)
            if series >= self._settings.slice_series:
                yield part
                part, series = [], 0
        if part:
            yield part

    def _rate(self, symbols: Iterable[str]) -> list[RankScore]:
        """Score symbols that are live over the timeframes whose past is known."""
        symbols, now_ms = list(symbols), self.live.now_ms()
        self._settle(symbols)
        monitored = [
            one for symbol in symbols if (one := self._present(symbol, now_ms)) is not None
        ]
        scores = rate(monitored)
        self._newest |= {score.symbol: score for score in scores}
        return scores

    def _present(self, symbol: str, now_ms: int) -> Monitored | None:
        watch = self._watched.get(symbol)
        if watch is None or self.live.is_stale(symbol):
            return None
        histories, running = {}, {}
        for timeframe in watch.timeframes:
            history = self._pasts.get(symbol, timeframe)
            candle = self.live.running(symbol, timeframe)
            if history is not None:
                histories[timeframe] = history
                if candle is not None:
                    running[timeframe] = candle
        if not running:
            return None
        # The timeframes are in order: the shortest one's candle has the newest price.
        price = next(iter(running.values())).close
        return Monitored(symbol, now_ms, price, histories, running)

    def _is_watched(self, interest: Interest) -> bool:
        watched = self._watched.get(interest.symbol, Watch()).timeframes
        return set(interest.timeframes) <= set(watched)

    def _is_live(self, interest: Interest) -> bool:
        return (
            self._is_watched(interest)
            and not self.live.is_stale(interest.symbol)
            and not self._awaited.comes(interest.symbol, interest.timeframes)
            and self.score(interest) is not None
        )

    def _view(self, symbol: str, watch: Watch) -> MonitoredView:
        pasts = {one: self._pasts.get(symbol, one) for one in watch.timeframes}
        known = {one: past for one, past in pasts.items() if past is not None}
        comes = self._awaited.comes(symbol, watch.timeframes)
        if not self.is_settled(symbol) or (comes and not known):
            readiness = Readiness.WARMING
        elif self.live.is_stale(symbol):
            readiness = Readiness.STALE
        else:
            readiness = Readiness.LIVE
        young = tuple(one for one, past in known.items() if past.is_young)
        missing = self._awaited.missing(symbol, watch.timeframes)
        newest = self._newest.get(symbol)
        return MonitoredView(symbol, watch.timeframes, readiness, newest, young, missing)


def _timeframes(score: RankScore) -> tuple[Timeframe, ...]:
    return tuple(one.timeframe for one in score.timeframes)
