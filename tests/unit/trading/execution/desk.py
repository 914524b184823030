"""An execution engine with everything around it in memory and in virtual time."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from tests import builders
from tests.fakes.exchange import FakeExchange
from tests.fakes.memory_store import MemoryStore
from tests.fakes.virtual_time import VirtualTime
from trading.domain import events
from trading.domain.chat import Severity
from trading.domain.events import Event
from trading.domain.instrument import Instrument
from trading.domain.market import Quote
from trading.domain.money import ZERO
from trading.domain.order import Fill, Intent, IntentState, Purpose, Side
from trading.domain.position import Balance, Portfolio, Position
from trading.execution.engine import ExecutionEngine
from trading.execution.settings import ExecutionSettings
from trading.portfolio import PortfolioBook
from trading.ports.on_the_way import OnTheWay
from trading.risk.gate import Approved

BTC = "BTC/USDT"


class Desk:
    """The engine, its exchange and its journal; balances follow the exchange at once."""

    def __init__(
        self,
        *,
        managed: str = "0.5",
        balances: dict[str, str] | None = None,
        instruments: Sequence[Instrument] = (),
        settings: ExecutionSettings | None = None,
        store: MemoryStore | None = None,
        exchange: FakeExchange | None = None,
        time: VirtualTime | None = None,
        unrecorded: OnTheWay | None = None,
    ) -> None:
        self.time = time or VirtualTime()
        self.store = store or MemoryStore(self.time)
        self.exchange = exchange or FakeExchange(
            self.time,
            instruments or [builders.bitcoin()],
            balances or {"BTC": "0.5", "USDT": "10000"},
            {BTC: "60000"},
        )
        self.book = PortfolioBook("USDT")
        self.book.load(
            {
                BTC: Position(
                    BTC, Decimal(managed), Decimal(managed) * 50_000, opened_at=builders.NOON
                )
            }
        )
        self.published: list[Event] = []
        self.closed: list[tuple[Intent, Sequence[Fill]]] = []
        self.extra: list[Event] = []
        self.has_quotes = True
        # What the stream said last, when it says nothing new.
        self.last_quote: Quote | None = None
        self.has_balances = True
        self.takes_entries = True
        self.frozen_balances: dict[str, Balance] | None = None
        self.settings = settings or ExecutionSettings()
        self.keys_refused = 0
        self.missing: list[str] = []
        # Held by whoever writes records of trackers.
        self.records = asyncio.Lock()
        # As a start has loaded them.
        self.rules = dict(self.exchange.rules)
        self.unrecorded = unrecorded
        self.engine = self._engine()

    def _engine(self) -> ExecutionEngine:
        engine = ExecutionEngine(
            self.exchange,
            self.store,
            self.time,
            instruments=self.rules,
            settings=self.settings,
            quote_of=self.quote,
            portfolio_of=self.portfolio,
            closing=self._closing,
            publish=self._publish,
            order_prefix="ux",
            on_key_refused=self._key_refused,
            on_missing=self.missing.append,
            takes_entries=lambda: self.takes_entries,
            unrecorded=self.unrecorded,
            worth=self.book.value,
            undisturbed=lambda: self.records,
            sleep=self.time.sleep,
        )
        self.exchange.on_report = engine.on_report
        return engine

    def _key_refused(self) -> None:
        self.keys_refused += 1

    def restarted(self) -> "Desk":
        """Another process on the same database, account and clock."""
        again = Desk(
            store=self.store, exchange=self.exchange, time=self.time, settings=self.settings
        )
        again.book.load(dict(self.book.snapshot().positions))
        return again

    def quote(self, symbol: str) -> Quote | None:
        if self.has_quotes:
            return self.exchange.quote_now(symbol)
        return self.last_quote

    def portfolio(self) -> Portfolio:
        snapshot = self.book.snapshot()
        if self.frozen_balances is not None:
            return replace(snapshot, balances=self.frozen_balances)
        coins = self.exchange.coins if self.has_balances else {}
        balances = {asset: Balance(asset, amount, ZERO) for asset, amount in coins.items()}
        return replace(snapshot, balances=balances, prices=dict(self.exchange.prices))

    def _publish(self, *new: Event) -> None:
        for event in new:
            self.published.append(event)
            self.book.apply(event)

    def _closing(self, intent: Intent, fills: Sequence[Fill], _: Decimal) -> Sequence[Event]:
        self.closed.append((intent, tuple(fills)))
        return list(self.extra)

    # -------------------------------------------------------- short words for tests

    def exit(self, quantity: str = "0.5", **changes: object) -> Intent:
        intent = Intent(
            intent_id="tracker:1:1",
            symbol=BTC,
            side=Side.SELL,
            purpose=Purpose.PROTECT,
            reference_price=Decimal(60_000),
            created_at=self.time.now(),
            quantity=Decimal(quantity),
            tracker_id=1,
            arm_seq=1,
        )
        return replace(intent, **changes)  # type: ignore[arg-type]

    def entry(self, budget: str = "1000", **changes: object) -> Intent:
        intent = Intent(
            intent_id="command:7:BTC/USDT",
            symbol=BTC,
            side=Side.BUY,
            purpose=Purpose.ENTRY,
            reference_price=Decimal(60_000),
            created_at=self.time.now(),
            quote_budget=Decimal(budget),
        )
        return replace(intent, **changes)  # type: ignore[arg-type]

    async def open(self, intent: Intent, *cause: Event, is_held: bool = False) -> Intent:
        return await self.time.finish(self.engine.open(Approved(intent, is_held), cause))

    async def done(self, intent_id: str = "tracker:1:1", limit_s: float = 600.0) -> Intent:
        """Let time pass until the intent ends, and return it."""
        await self.time.until(lambda: self.final(intent_id) is not None, limit_s)
        final = self.final(intent_id)
        assert final is not None
        return final

    def final(self, intent_id: str = "tracker:1:1") -> Intent | None:
        closed = [one.intent for one in self.published if isinstance(one, events.IntentClosed)]
        return next((one for one in closed if one.intent_id == intent_id), None)

    async def run(self, intent: Intent) -> Intent:
        await self.open(intent)
        return await self.done(intent.intent_id)

    @property
    def managed(self) -> Decimal:
        return self.book.snapshot().managed(BTC)

    @property
    def alerts(self) -> list[events.AlertRaised]:
        return [one for one in self.published if isinstance(one, events.AlertRaised)]

    def told(self, words: str) -> bool:
        return any(words in alert.text for alert in self.alerts)

    def blocked(self, words: str) -> int:
        """How often an exit was written down as blocked for a reason with these words."""
        changes = (one for one in self.published if isinstance(one, events.IntentChanged))
        return sum(
            one.intent.state is IntentState.BLOCKED and words in one.intent.reason
            for one in changes
        )

    def told_loudly(self, words: str) -> bool:
        """Whether it was told until somebody acknowledges."""
        loud = [alert for alert in self.alerts if alert.severity is Severity.CRIT]
        return any(words in alert.text for alert in loud)

    def states(self) -> list[str]:
        """What became of the attempts, in the order in which it was written."""
        return [
            one.attempt.state.value
            for one in self.published
            if isinstance(one, events.AttemptChanged)
        ]
