"""From an exchange into the archive: what nobody asked for yet, then the gaps once more.

What was claimed in the archive is the only memory: a download that is killed anywhere goes on where
the archive ends, and ends with the same bytes.
"""

from collections import Counter
from collections.abc import Callable
from typing import Protocol

from bot.data import wording
from storage.archive.writer import ArchiveWriter
from trading.candles.checking import Fault, Repair, check
from trading.candles.paging import claim, unclaimed
from trading.candles.renames import split_by_coin
from trading.candles.series import Candles, SeriesName, no_candles
from trading.candles.spans import Span, clip
from trading.domain.errors import Refused
from trading.domain.time import candle_open_ms, following_ms, from_ms, preceding_ms

_DAY = "1d"
_DAY_MS = 86_400_000
_MINUTE_MS = 60_000
# An exchange that is silent about so many pages in a row has nothing more to tell.
_EMPTY_PAGES_MAX = 100
# Gaps are asked for again at each download, the longest first.
_GAPS_MAX = 100


class History(Protocol):
    """Past candles of one market, a page at a time."""

    @property
    def page_candles(self) -> int:
        """How many candles one answer holds at most."""
        ...

    def knows(self, timeframe: str) -> bool:
        """Whether the exchange has candles of this length."""
        ...

    def now_ms(self) -> int:
        """Return a time by which a candle that has ended has closed at the exchange, too."""
        ...

    async def page(self, timeframe: str, since_ms: int) -> Candles:
        """Read the candles that open from a moment on."""
        ...


class Progress(Protocol):
    """Who is told how far it is."""

    def begin(self, candles: int) -> None:
        """So many candles are to be asked for."""
        ...

    def advance(self, candles: int) -> None:
        """So many more have been."""
        ...


class Downloader:
    """Fills one series of an archive from one market."""

    def __init__(
        self,
        history: History,
        writer: ArchiveWriter,
        name: SeriesName,
        progress: Progress,
        say: Callable[[str], None],
    ) -> None:
        self.name = name
        self.added = 0
        self.repaired: Counter[Repair] = Counter()
        self._contradicted: Refused | None = None
        self._history = history
        self._writer = writer
        self._length_ms = name.length_ms
        self._progress = progress
        self._say = say

    async def run(self, since_ms: int, until_ms: int | None) -> None:
        """Ask for every closed candle that opens from `since_ms` to before `until_ms`, or now.

        Raises Refused when the exchange has none, Unreachable or RateLimited when it stops
        answering; what was told until then is kept. An answer most of which contradicts itself is
        Refused, too, and ends it: the next would be no better.
        """
        window = await self._window(since_ms, until_ms)
        stretches: list[Span] = []
        for coin, _, span in split_by_coin(self.name, no_candles(), window):
            if span is not None:
                held = self._writer.archive.load(coin)
                stretches += unclaimed(span, held.spans, self._length_ms)
        self._progress.begin(sum(span.count(self._length_ms) for span in stretches))
        for stretch in stretches:
            await self._fill(stretch, is_last=stretch.last_ms == window.last_ms)
            if self._contradicted:
                raise self._contradicted
        await self._ask_gaps(window)
        if self._contradicted:
            # Known to lack before, and everything else is there.
            self._say(str(self._contradicted))

    async def _window(self, since_ms: int, until_ms: int | None) -> Span:
        first_ms = following_ms(candle_open_ms(since_ms - 1, self._length_ms), self._length_ms)
        running_ms = candle_open_ms(self._history.now_ms(), self._length_ms)
        last_ms = preceding_ms(running_ms, self._length_ms)
        if until_ms is not None:
            last_ms = min(last_ms, candle_open_ms(until_ms - 1, self._length_ms))
        if first_ms > last_ms:
            raise Refused(f"no candle of {self.name} opens and closes within that time")
        held = self._writer.archive.load(self.name).spans
        if not held or held[0].first_ms > first_ms:
            first_ms = await self._first_available(Span(first_ms, last_ms))
        return Span(first_ms, last_ms)

    async def _first_available(self, wanted: Span) -> int:
        """Find the first candle of all: by days where the exchange has days, then exactly."""
        found_ms: int | None = wanted.first_ms
        if self._length_ms < _DAY_MS and self._history.knows(_DAY):
            day_ms = candle_open_ms(wanted.first_ms, _DAY_MS)
            found_ms = await self._first_open(_DAY, _DAY_MS, Span(day_ms, wanted.last_ms))
        if found_ms is not None and found_ms - _DAY_MS <= wanted.last_ms:
            # Where days begin at another hour, the first one may have begun before it was found.
            start_ms = candle_open_ms(found_ms - _DAY_MS, self._length_ms)
            start_ms = max(start_ms, wanted.first_ms)
            wanted = Span(start_ms, wanted.last_ms)
            found_ms = await self._first_open(self.name.timeframe, self._length_ms, wanted)
        if found_ms is None or found_ms > wanted.last_ms:
            begins = f"; they begin {from_ms(found_ms):%Y-%m-%d}" if found_ms else ""
            raise Refused(f"the exchange has no candles of {self.name} within that time{begins}")
        return found_ms

    async def _first_open(self, timeframe: str, length_ms: int, wanted: Span) -> int | None:
        look_ms = wanted.first_ms
        for _ in range(_EMPTY_PAGES_MAX):
            if look_ms > wanted.last_ms:
                break
            told = await self._history.page(timeframe, look_ms)
            # By minutes: days need not begin at midnight, and a market may be younger than one.
            found = check(told, _MINUTE_MS, self._history.now_ms()).told_ms
            later_ms = found[found >= look_ms]
            if len(later_ms):
                return int(later_ms.min())
            look_ms += self._history.page_candles * length_ms
        return None

    async def _fill(self, stretch: Span, *, is_last: bool) -> None:
        """Ask page by page; an empty page is believed only when a candle follows it."""
        asked, look_ms, empty_pages = stretch, stretch.first_ms, 0
        while asked.first_ms <= asked.last_ms and empty_pages < _EMPTY_PAGES_MAX:
            if look_ms > asked.last_ms:
                if not is_last:
                    # The archive holds what follows.
                    self._store(no_candles(), asked)
                return
            told = await self._history.page(self.name.timeframe, look_ms)
            checked = check(told, self._length_ms, self._history.now_ms())
            claimed = claim(asked, checked.told_ms)
            if claimed is None:
                empty_pages += 1
                look_ms += self._history.page_candles * self._length_ms
                look_ms = candle_open_ms(look_ms, self._length_ms)
                continue
            self._store(told, claimed)
            if self._contradicted:
                return
            self._progress.advance(claimed.count(self._length_ms))
            look_ms, empty_pages = following_ms(claimed.last_ms, self._length_ms), 0
            asked = Span(look_ms, asked.last_ms)

    async def _ask_gaps(self, window: Span) -> None:
        for coin, _, span in split_by_coin(self.name, no_candles(), window):
            if span is None:
                continue
            found = clip(self._writer.archive.load(coin).gaps, span)
            longest = sorted(found, key=lambda gap: (gap.first_ms - gap.last_ms, gap.first_ms))
            for gap in longest[:_GAPS_MAX]:
                told = await self._history.page(self.name.timeframe, gap.first_ms)
                self._store(told, gap)

    def _store(self, told: Candles, claimed: Span) -> None:
        now_ms = self._history.now_ms()
        for report in self._writer.store(self.name, told, now_ms, "download", claimed):
            self.added += report.added
            self.repaired.update(report.repaired)
            if Fault.ANSWER in report.rejected:
                self._contradicted = Refused(wording.contradicted(report, told))
            elif report.rejected or report.damaged:
                for line in wording.stored(report):
                    self._say(line)
