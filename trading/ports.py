"""Ports: the Protocols behind which exchanges, storage and time stand."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from trading.candles.combining import Gathered
from trading.candles.series import Candles, Column, Mask, Points, Times
from trading.domain.chat import Confirmation, ConfirmationAnswer, InboxUpdate, OutboxMessage, Person
from trading.domain.events import (
    AlertRaised,
    ConditionChanged,
    DayOpened,
    Event,
    FundsMoved,
    Installed,
    TradingModeChanged,
)
from trading.domain.instrument import Instrument
from trading.domain.market import Candle, MarketTrade, OrderBook, Quote
from trading.domain.order import Attempt, Fill, Intent, OrderReport, OrderRequest, SendEvidence
from trading.domain.position import Balance, Movement, Position, RoundTrip
from trading.domain.time import Timeframe
from trading.domain.tracker import Tracker


class Clock(Protocol):
    """The only source of time; `monotonic` is in seconds and never steps."""

    def now(self) -> datetime:
        """Return the aware UTC wall time."""
        ...

    def monotonic(self) -> float:
        """Return seconds that only grow."""
        ...


# ---------------------------------------------------------------- storage


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event with its place in the journal."""

    seq: int
    event: Event


class Journal(Protocol):
    """The append-only record; projections change in the same transaction."""

    @property
    def written_seq(self) -> int:
        """The seq of the newest append of this process; 0 where that is not known for certain."""
        ...

    async def append(self, *events: Event, reserve: bool = False, urgent: bool = False) -> int:
        """Make all events durable in one transaction and return the last seq.

        An `urgent` one, which an order waits for, may hold up everything else for a few ms; there
        is one turn for others, while the disk is at work.

        With `reserve` the events go to the pre-allocated reserve file, fsynced, when the database
        cannot take them (0 is returned); they enter the journal as soon as it can. Raises
        AlreadyRecorded (nothing is written) when a key exists, StorageLost when nothing durable
        was written, InstanceConflict when another process took over.
        """
        ...

    async def events(
        self, after_seq: int = 0, limit: int = 1000, kinds: Sequence[str] = ()
    ) -> Sequence[Recorded]:
        """Return events with a greater seq in order; `kinds` are names as `Fact.kind` has them."""
        ...

    async def latest(self, limit: int, kinds: Sequence[str] = ()) -> Sequence[Recorded]:
        """Return the newest events, newest first."""
        ...

    async def verify(self) -> int:
        """Check the hash chain and return the last seq; raises JournalCorrupt with the place."""
        ...


@dataclass(frozen=True, slots=True)
class PendingUpdate:
    """An update that was stored and not handled yet."""

    seq: int
    update: InboxUpdate


@dataclass(frozen=True, slots=True)
class StoredConfirmation:
    """A question and its answer, if it has one."""

    confirmation: Confirmation
    answer: ConfirmationAnswer | None


@dataclass(frozen=True, slots=True)
class LostRecords:
    """What a journal lacks: an earlier one of the same place had come to `reached_seq`.

    `count` is 0 where this one is as long and holds something else; `last_at` is the time of its
    own last record, None where it has none.
    """

    count: int
    last_at: datetime | None
    reached_seq: int


@dataclass(frozen=True, slots=True)
class StoredState:
    """What the trading core loads at start: the projections of everything that still matters."""

    installed: Installed | None = None
    trackers: Sequence[Tracker] = ()
    intents: Sequence[Intent] = ()
    attempts: Sequence[Attempt] = ()
    watched_attempts: Sequence[Attempt] = ()
    positions: Mapping[str, Position] = field(default_factory=dict)
    trading_mode: TradingModeChanged | None = None
    conditions: Sequence[ConditionChanged] = ()
    alerts: Sequence[AlertRaised] = ()
    day: DayOpened | None = None
    moved: Sequence[FundsMoved] = ()
    last_alive_at: datetime | None = None
    next_tracker_id: int = 1
    last_seq: int = 0
    lost: LostRecords | None = None


class Records(Protocol):
    """Read access to the projections; reads never wait for the writer."""

    async def state(self) -> StoredState:
        """Load what still matters at start.

        Waiting and acting trackers, open intents and their attempts, ABSENT attempts of the last
        24 h, non-zero positions, mode, active conditions, open CRIT alerts, the newest
        day, and what has moved in or out of the account since it was opened.
        """
        ...

    async def trackers(self, limit: int = 100) -> Sequence[Tracker]:
        """Return all trackers, newest first, ended ones included."""
        ...

    async def tracker(self, tracker_id: int) -> Tracker | None:
        """Return one tracker, live or ended."""
        ...

    async def intent(self, intent_id: str) -> Intent | None:
        """Return one decision."""
        ...

    async def attempts(self, intent_id: str) -> Sequence[Attempt]:
        """Return all attempts of an intent in order."""
        ...

    async def fills(
        self, symbol: str | None = None, since: datetime | None = None, limit: int = 1000
    ) -> Sequence[Fill]:
        """Return booked fills, newest first."""
        ...

    async def intent_fills(self, intent_id: str) -> Sequence[Fill]:
        """Return the fills of one decision in order."""
        ...

    async def round_trips(
        self, since: datetime | None = None, limit: int = 100
    ) -> Sequence[RoundTrip]:
        """Return finished exits, newest first."""
        ...

    async def people(self) -> Sequence[Person]:
        """Return everybody ever admitted; `is_active` tells who still is."""
        ...

    async def pending_updates(self) -> Sequence[PendingUpdate]:
        """Return stored, unhandled updates in order."""
        ...

    async def last_update_id(self) -> int | None:
        """Return the id of the update received last."""
        ...

    async def pending_messages(self, limit: int = 200) -> Sequence[OutboxMessage]:
        """Return undelivered messages: CRIT first, then by age."""
        ...

    async def card_message_id(self, chat_id: int, card: str) -> int | None:
        """Return the chat service's id of the newest delivered message of a card."""
        ...

    async def card_chats(self, card: str) -> Sequence[int]:
        """Return the chats that a card was sent to, or is about to be."""
        ...

    async def addressed_seq(self) -> int:
        """Return the seq up to which events have been turned into messages."""
        ...

    async def confirmation(self, nonce: str) -> StoredConfirmation | None:
        """Return one question."""
        ...

    async def last_runs(self) -> Mapping[str, datetime]:
        """Return when each recorded job ran last."""
        ...


class CandleStore(Protocol):
    """Closed candles of one exchange that outlive the process."""

    async def load(self, symbol: str, timeframe: Timeframe, newest: int) -> Candles:
        """Return the newest so many candles that are held, oldest first; holes stay holes."""
        ...

    async def gathered(self, symbol: str, timeframe: Timeframe, newest: int) -> Gathered | None:
        """Return the newest so many of what a person has combined; None where that is nothing."""
        ...

    async def append(self, closed: Sequence[tuple[str, Timeframe, Candle]]) -> None:
        """Keep closed candles, in any order, those that are held already too.

        Raises Retryable or Fatal when nothing is certain to be kept; doing it again is safe.
        """
        ...


@dataclass(frozen=True, slots=True)
class RecordedScore:
    """The scores of one symbol at one moment, shares in [0, 1]; NaN where nothing was scored.

    They are over all timeframes that anybody watches; `points` holds those of each that was scored.
    """

    symbol: str
    at_ms: int
    price: float
    bull: float
    bear: float
    change: float
    points: tuple["RecordedPoints", ...] = ()


@dataclass(frozen=True, slots=True)
class RecordedPoints:
    """What one timeframe gave to the scores of a moment, 0 to 6 each."""

    timeframe: Timeframe
    bull: int
    bear: int
    change: int


@dataclass(frozen=True, slots=True, eq=False)
class ScoreColumns:
    """Recorded scores of one symbol at n moments, oldest first, each column of shape (n,).

    `points` has shape (n, k, 3): bull, bear and change points of each of the k timeframes that were
    asked for, -1 where it was not scored. Where not `is_split`, as older versions recorded, nobody
    knows the points of one timeframe.
    """

    at_ms: Times
    price: Column
    bull: Column
    bear: Column
    change: Column
    points: Points
    is_split: Mask


class ScoreStore(Protocol):
    """Scores as they were recorded; one that is lost is no loss of anything else."""

    async def append(self, scores: Sequence[RecordedScore]) -> None:
        """Keep scores behind those that are kept; raises OSError when the disk takes none."""
        ...

    async def since(
        self, symbol: str, since_ms: int, timeframes: Sequence[Timeframe] = ()
    ) -> ScoreColumns:
        """Return what was recorded from a moment on; what cannot be read whole is left out."""
        ...

    async def forget(self, before_ms: int) -> int:
        """Delete months that ended before a moment, and return how many."""
        ...


# ---------------------------------------------------------------- exchange


@dataclass(frozen=True, slots=True)
class KeyPermissions:
    """What the exchange lets this key do; not `is_told` is an exchange that keeps it to itself."""

    can_trade: bool
    can_withdraw: bool
    can_transfer: bool
    is_ip_restricted: bool
    can_borrow: bool = False
    is_told: bool = True


class MarketFeed(Protocol):
    """Public market data of one exchange."""

    @property
    def quotes_max(self) -> int:
        """How many symbols `quotes` takes; 1 where it is no cheaper than one by one."""
        ...

    async def instruments(self) -> Mapping[str, Instrument]:
        """Load every spot instrument with its rules; raises Unreachable."""
        ...

    async def quote(self, symbol: str) -> Quote:
        """Read best bid and ask over REST; raises Unreachable."""
        ...

    async def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        """Read best bid and ask of several symbols in one request over REST; raises Unreachable.

        A symbol whose answer cannot be believed is left out.
        """
        ...

    async def last_trade(self, symbol: str) -> MarketTrade:
        """Read the newest print over REST; raises Unreachable."""
        ...

    async def last_prices(self) -> Mapping[str, Decimal]:
        """Read the last price of every instrument in one request; raises Unreachable."""
        ...

    async def order_book(self, symbol: str, limit: int = 100) -> OrderBook:
        """Read depth over REST; raises Unreachable."""
        ...

    async def candles(
        self, symbol: str, timeframe: Timeframe, limit: int, since: datetime | None = None
    ) -> Sequence[Candle]:
        """Read candles over REST, oldest first, the running one last; raises Unreachable."""
        ...

    async def stream_market(
        self,
        symbols: frozenset[str],
        on_trade: Callable[[MarketTrade], None],
        on_quote: Callable[[Quote], None],
        on_ending: Callable[[], None] = lambda: None,
    ) -> None:
        """Stream prints and quotes of `symbols` into the callbacks until cancelled.

        The callbacks are plain calls on the loop, one per message; `on_ending` says that the other
        side will end this connection soon: another one should take over. Raises Unreachable when
        the connection is lost; the caller starts again with back-off.
        """
        ...


class CandleFeed(Protocol):
    """Candles of one exchange, as they run and as they were."""

    async def candles(
        self, symbol: str, timeframe: Timeframe, limit: int, since: datetime | None = None
    ) -> Sequence[Candle]:
        """Read candles over REST, oldest first, the running one last; raises Unreachable."""
        ...

    def candle_source(self, timeframe: Timeframe) -> Timeframe | None:
        """Return of which candles those of a length are made: themselves where there are any.

        None where the exchange has neither them nor shorter ones that they can be made of.
        """
        ...

    async def stream_candles(
        self,
        wanted: Mapping[str, frozenset[Timeframe]],
        on_candle: Callable[[str, Timeframe, Candle, int], None],
    ) -> None:
        """Stream candles, running and closed, into the callback until cancelled.

        The callback is a plain call on the loop with symbol, timeframe, candle and event time in
        milliseconds. Raises Unreachable when a connection is lost; the caller starts again with
        back-off.
        """
        ...


class ExchangeGateway(MarketFeed, CandleFeed, Protocol):
    """One account on one exchange."""

    @property
    def is_simulated(self) -> bool:
        """Whether no real money can move (loopback exchange or paper account)."""
        ...

    async def connect(self) -> None:
        """Load rules and measure the clock offset; raises Unreachable or AuthLost."""
        ...

    async def close(self) -> None:
        """Close every connection; ends within seconds."""
        ...

    async def account_id(self) -> str:
        """Return the exchange's id of this account; raises Unreachable or AuthLost."""
        ...

    async def delistings(self) -> Mapping[str, datetime]:
        """Read when which symbols stop being traded; empty where the venue does not tell."""
        ...

    async def permissions(self) -> KeyPermissions:
        """Read what the key may do; raises Unreachable or AuthLost."""
        ...

    async def clock_offset_ms(self) -> int:
        """Measure exchange time minus ours, from the quickest of a few samples."""
        ...

    async def balances(self) -> Mapping[str, Balance]:
        """Read all non-zero balances; an empty answer is Unreachable; raises AuthLost."""
        ...

    async def submit(
        self, request: OrderRequest, durable: Awaitable[None] | None = None
    ) -> SendEvidence:
        """Send an order once and return everything observed; never raises for their part.

        With `durable` no byte leaves before that is done, and none if it is cancelled.
        """
        ...

    async def cancel(self, symbol: str, client_order_id: str) -> SendEvidence:
        """Ask to cancel once and return everything observed."""
        ...

    async def order(self, symbol: str, client_order_id: str) -> OrderReport | None:
        """Query one order; None only when the exchange says definitively that it does not exist."""
        ...

    async def open_orders(self, symbol: str | None = None) -> Sequence[OrderReport]:
        """Read open orders, foreign ones included; raises Unreachable."""
        ...

    async def orders_since(self, symbol: str, since: datetime) -> Sequence[OrderReport]:
        """Read all orders of a symbol since a time; raises Unreachable."""
        ...

    async def fills_since(self, symbol: str, since: datetime) -> Sequence[Fill]:
        """Read our executions of a symbol; `client_order_id` may be empty for foreign ones."""
        ...

    async def stream_account(
        self,
        on_report: Callable[[OrderReport], None],
        on_balance: Callable[[Balance], None],
        on_movement: Callable[[Movement], None] = lambda _movement: None,
    ) -> None:
        """Stream order reports and balances into the callbacks until cancelled.

        And what moves in or out without a trade, where the exchange tells it.
        """
        ...
