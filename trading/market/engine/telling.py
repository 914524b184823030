"""What is wrong with prices, told once per episode and until it has been right for a while."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from trading.domain.chat import Severity
from trading.domain.events import ConditionChanged
from trading.domain.money import plain
from trading.market.engine.hooks import MarketHooks
from trading.market.engine.line import Line
from trading.market.engine.symbols import Symbols
from trading.market.episodes import Condition, Episodes
from trading.market.sanity import Dropped
from trading.market.settings import MarketSettings
from trading.market.watched import WatchedSymbol

STREAM_DOWN = "stream_down"
STALE_DATA = "stale_data"
DEGRADED_DATA = "degraded_data"
PRICE_DISAGREEMENT = "price_disagreement"
DROPPED_PRICES = "dropped_prices"
# What is said when it is over; of one symbol, its name stands for the {}. No more is said: it is
# over, too, once nobody needs its prices any more, or something worse is told instead.
_OVER = {
    STREAM_DOWN: "the warning about live prices{} is over",
    STALE_DATA: "the alarm about missing prices{} is over",
    DEGRADED_DATA: "the warning about live prices{} is over",
    PRICE_DISAGREEMENT: "the warning about live and REST prices{} is over",
    DROPPED_PRICES: "prices{} are believed again",
}
_NAMED_MAX = 5


@dataclass(slots=True)
class _Unbelieved:
    """The prices of a symbol that were not believed in one episode; `is_all` while each counts."""

    count: int = 0
    is_all: bool = True
    last: Dropped | None = None

    def add(self, dropped: Sequence[Dropped]) -> None:
        self.count += len(dropped)
        self.last = dropped[-1]

    @property
    def number(self) -> str:
        return f"{'' if self.is_all else 'at least '}{self.count}"


class Telling:
    """Judges stream and symbols each second; `is_stale` says whether a price may be acted on."""

    def __init__(
        self,
        symbols: Symbols,
        line: Line,
        hooks: MarketHooks,
        settings: MarketSettings,
        is_stale: Callable[[str], bool],
    ) -> None:
        self._symbols = symbols
        self._line = line
        self._hooks = hooks
        self._settings = settings
        self._is_stale = is_stale
        self._episodes = Episodes(settings.green_s)
        # Of symbols whose episode goes on: that one message stands for all of them.
        self._unbelieved: dict[str, _Unbelieved] = {}

    def resume(self, conditions: Iterable[ConditionChanged], now_s: float) -> None:
        """Take over what a process before this one told, of symbols that nobody watches, too."""
        for told in conditions:
            if told.condition in _OVER:
                condition = Condition(told.condition, told.symbol or "", told.severity)
                self._episodes.resume(condition, now_s)
            if told.condition == DROPPED_PRICES and told.symbol is not None:
                self._unbelieved[told.symbol] = _Unbelieved(1, is_all=False)

    def present(self, told: ConditionChanged) -> ConditionChanged:
        """A condition as it is now: of prices not believed, how many since the message about it."""
        unbelieved = self._unbelieved.get(told.symbol or "")
        if told.condition != DROPPED_PRICES or unbelieved is None or unbelieved.last is None:
            return told
        return replace(told, text=_unbelieved_text(told.symbol or "", unbelieved, unbelieved.last))

    def is_told_stale(self, symbol: str) -> bool:
        """Whether people know of a symbol, or of several together, that fresh prices are missing.

        Such an event may be older than this process, and others may have gone without one.
        """
        return self._episodes.is_active(STALE_DATA) or self._episodes.is_active(STALE_DATA, symbol)

    def end(self, now_s: float, at: datetime) -> None:
        """Tell what has been right for long enough."""
        for event in self._episodes.ended(now_s, at):
            self._hooks.on_condition(self._ended(event))

    def _ended(self, event: ConditionChanged) -> ConditionChanged:
        of = "" if event.symbol is None else f" of {event.symbol}"
        event = replace(event, text=_OVER[event.condition].format(of))
        if event.condition != DROPPED_PRICES or event.symbol is None:
            return event
        unbelieved = self._unbelieved.pop(event.symbol, _Unbelieved())
        if unbelieved.last is None or unbelieved.count == 1:
            return event
        price = plain(unbelieved.last.trade.price)
        return replace(event, text=f"{event.text}: {unbelieved.number} were not, the last {price}")

    async def judge(self, now_s: float, at: datetime) -> None:
        """Tell what is wrong now, each second; ask for another stream where that may help."""
        # The first connection of a start may take its time.
        patience_s = 2.0 if self._line.was_connected else self._settings.restart_after_s
        is_down = not self._line.is_streaming and now_s - self._line.down_since_s >= patience_s
        if is_down and (missed := [*filter(self._hooks.is_of_worth, self._symbols)]):
            text = (
                f"live prices of {_named(missed)} are interrupted: they are asked for over "
                "REST until they are back"
            )
            self._red(Condition(STREAM_DOWN), text, now_s, at)
        stale = [
            watched.symbol
            async for watched in self._symbols.in_turns()
            if self._hooks.is_needed(watched.symbol) and self._is_told_stale(watched, now_s)
        ]
        self._tell_stale(stale, now_s, at)
        await self._judge_symbols(now_s, at)

    def _tell_stale(self, stale: Sequence[str], now_s: float, at: datetime) -> None:
        """Tell of stale symbols, several that go at once in one message."""
        alone = [symbol for symbol in stale if self._episodes.is_active(STALE_DATA, symbol)]
        others = [symbol for symbol in stale if symbol not in alone]
        if others and (len(others) > 1 or self._episodes.is_active(STALE_DATA)):
            text = f"no fresh prices of {_named(others)}, neither live nor over REST"
            self._red(Condition(STALE_DATA, "", Severity.CRIT), text, now_s, at)
        else:
            alone += others
        for symbol in alone:
            text = f"no fresh price of {symbol}, neither live nor over REST"
            self._red(Condition(STALE_DATA, symbol, Severity.CRIT), text, now_s, at)

    async def _judge_symbols(self, now_s: float, at: datetime) -> None:
        is_everything_silent = is_nothing_known = True
        is_something_missing = is_something_failing = False
        async for watched in self._symbols.in_turns():
            symbol, fresh = watched.symbol, watched.fresh
            is_everything_silent &= now_s - fresh.stream_s >= self._settings.quiet_s
            known_s = max(fresh.stream_s, fresh.verified_s)
            is_nothing_known &= now_s - known_s >= self._settings.restart_after_s
            is_something_failing |= fresh.is_failing
            if not self._line.is_streaming:
                continue
            if fresh.is_missing(now_s):
                is_something_missing = True
                text = f"live prices of {symbol} stand still: they are asked for over REST"
                if self._hooks.is_of_worth(symbol):
                    self._red(Condition(DEGRADED_DATA, symbol), text, now_s, at)
                is_old = now_s - (fresh.moved_s or now_s) >= self._settings.restart_after_s
                if is_old and self._line.since_restart_s(now_s) >= self._settings.stable_s:
                    self._line.replace(now_s)
            if watched.is_disagreeing(now_s):
                text = f"live and REST prices of {symbol} are more than 1% apart: both count"
                self._red(Condition(PRICE_DISAGREEMENT, symbol), text, now_s, at)
        is_stalled = is_everything_silent and is_something_missing
        # Without REST nobody can say that something is missing; a dead connection that is noticed
        # by its unanswered pings alone would be told of three times as late.
        if self._line.is_streaming and (is_stalled or (is_nothing_known and is_something_failing)):
            self._line.replace(now_s)

    def _is_told_stale(self, watched: WatchedSymbol, now_s: float) -> bool:
        if watched.prices.price is None:
            return now_s - watched.fresh.watched_s >= self._settings.restart_after_s
        return self._is_stale(watched.symbol)

    def dropped(self, watched: WatchedSymbol, now_s: float, at: datetime) -> None:
        """Tell of prices that were not believed; more of them in one episode are counted."""
        dropped = watched.take_dropped()
        if not dropped:
            return
        unbelieved = self._unbelieved.setdefault(watched.symbol, _Unbelieved())
        unbelieved.add(dropped)
        text = _unbelieved_text(watched.symbol, unbelieved, dropped[-1])
        self._red(Condition(DROPPED_PRICES, watched.symbol), text, now_s, at)

    def _red(self, condition: Condition, text: str, now_s: float, at: datetime) -> None:
        event = self._episodes.red(condition, text, now_s, at)
        if event is not None:
            self._hooks.on_condition(event)


def _unbelieved_text(symbol: str, unbelieved: _Unbelieved, last: Dropped) -> str:
    price, why = plain(last.trade.price), f"{last.contradicted_by} said {plain(last.reference)}"
    if unbelieved.count == 1:
        return f"a price of {symbol}, {price}, was not believed: {why}"
    return f"{unbelieved.number} prices of {symbol} were not believed, the last {price}: {why}"


def _named(symbols: Collection[str]) -> str:
    more = f" and {len(symbols) - _NAMED_MAX} more" if len(symbols) > _NAMED_MAX else ""
    return ", ".join(sorted(symbols)[:_NAMED_MAX]) + more
