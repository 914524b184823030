"""A desk with memory: enough of a trading core for the chat's tests, without an exchange."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from trading import desk as views
from trading import overview
from trading.domain import commands, events
from trading.domain.chat import Severity
from trading.domain.errors import AlreadyRecorded, Refused
from trading.domain.instrument import Instrument
from trading.domain.market import Candle, Quote
from trading.domain.money import ONE, ZERO
from trading.domain.order import (
    Attempt,
    AttemptState,
    Fill,
    Intent,
    OrderRequest,
    OrderType,
    Purpose,
    Side,
)
from trading.domain.position import Balance, Position, RoundTrip, TradingMode
from trading.domain.time import Timeframe
from trading.domain.tracker import AmountKind, NextLevel, Tracker, TrackerKind, TrackerState
from trading.domain.valuation import price_in
from trading.ports.clock import Clock
from trading.ports.storage import Journal, Recorded
from trading.proposals import consent

START = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def instrument(symbol: str = "BTC/USDT", tick: str = "0.01") -> Instrument:
    base, quote = symbol.split("/")
    return Instrument(
        symbol=symbol,
        exchange_symbol=f"{base}{quote}",
        base=base,
        quote=quote,
        price_tick=Decimal(tick),
        quantity_step=Decimal("0.00001"),
        quantity_min=Decimal("0.00001"),
        quantity_max=Decimal(9000),
        market_quantity_max=Decimal(100),
        notional_min=Decimal(5),
    )


INSTRUMENTS = {
    "BTC/USDT": instrument("BTC/USDT"),
    "ETH/USDT": instrument("ETH/USDT"),
    "BTC/USDC": instrument("BTC/USDC"),
    "ADA/USDC": instrument("ADA/USDC", "0.0001"),
    "ETH/BTC": instrument("ETH/BTC", "0.000001"),
}


def find(text: str) -> Instrument:
    """Match a symbol as the real desk does: ASCII only, separators free."""
    if not text.isascii() or not text.isprintable():
        raise Refused(f"a symbol has plain letters, was {text[:20]!r}", example="BTC/USDT")
    wanted = text.upper().replace("-", "").replace("/", "").replace("_", "")
    for known in INSTRUMENTS.values():
        if known.exchange_symbol == wanted:
            return known
    raise Refused(
        f"{text[:20]!r} is not listed. Near: BTC/USDT", "BTC/USDT", wrong=text, near=("BTC/USDT",)
    )


@dataclass
class FakeDesk:
    """Keeps trackers, positions and what was executed; prices stand where a test puts them."""

    clock: Clock
    journal: Journal | None = None
    is_simulated: bool = True
    mode: str = "live"
    prices: dict[str, Decimal] = field(
        default_factory=lambda: {
            "BTC/USDT": Decimal(60000),
            "ETH/USDT": Decimal(3000),
            "ADA/USDC": Decimal("0.45"),
            "BTC/USDC": Decimal(60010),
            "ETH/BTC": Decimal("0.05"),
        }
    )
    held: dict[str, Decimal] = field(default_factory=lambda: {"BTC/USDT": Decimal("0.5")})
    unmanaged: dict[str, Decimal] = field(default_factory=dict)
    live: dict[int, Tracker] = field(default_factory=dict)
    ended: dict[int, overview.EndedTrackerView] = field(default_factory=dict)
    executed: list[tuple[commands.Command, int, str]] = field(default_factory=list)
    causes: set[str] = field(default_factory=set)
    state: TradingMode = TradingMode.ACTIVE
    # Who changed the mode: a person of the chat, unless a test says otherwise.
    mode_by: str = "7"
    conditions: list[events.ConditionChanged] = field(default_factory=list)
    alerts: list[events.AlertRaised] = field(default_factory=list)
    round_trips: list[RoundTrip] = field(default_factory=list)
    # What all was worth at the beginning of a summary.
    equity_before: Decimal = Decimal(40000)
    refuse_execution: Refused | None = None
    fail_execution: Exception | None = None

    # ------------------------------------------------------------ views

    def instrument(self, text: str) -> Instrument:
        return find(text)

    def quote(self, symbol: str) -> Quote | None:
        price = self.prices.get(symbol)
        if price is None:
            return None
        half = price * Decimal("0.0001")
        one = Decimal(1)
        return Quote(symbol, price - half, one, price + half, one, 0, self.clock.monotonic())

    async def look(self, symbol: str) -> Quote | None:
        return self.quote(symbol)

    def positions(self) -> Sequence[overview.PositionView]:
        return [self._position(symbol) for symbol, held in self.held.items() if held]

    def greatest_positions(self, most: int) -> Iterator[overview.PositionView]:
        return iter(self.positions()[:most])

    def _position(self, symbol: str) -> overview.PositionView:
        held = self.held[symbol]
        owners = [one for one in self.live.values() if one.symbol == symbol and one.stop_price]
        stops = [(one.stop_price, one.quantity) for one in owners if one.stop_price]
        price = self.prices[symbol]
        return overview.PositionView(
            symbol=symbol,
            position=Position(symbol, held, held * price * Decimal("0.98")),
            price=price,
            price_age_s=0.4,
            protected_quantity=sum((one.quantity for one in owners), ZERO),
            stops=tuple(sorted(stops, reverse=True)),
            worst_case=(max(stops)[0] - price) * held if stops else None,
            tracker_ids=tuple(one.tracker_id for one in owners),
            unmanaged=self.unmanaged.get(symbol, ZERO),
        )

    def account(self) -> overview.AccountView:
        balances = [
            overview.BalanceView(
                Balance("BTC", Decimal("0.5"), ZERO), Decimal(30000), Decimal("0.5")
            ),
            overview.BalanceView(Balance("USDT", Decimal(10000), Decimal(5)), Decimal(10005), ZERO),
            overview.BalanceView(Balance("XYZ", Decimal(3), ZERO), None, ZERO),
        ]
        return overview.AccountView("USDT", Decimal(40005), tuple(balances), 2.0)

    def status(self) -> overview.StatusView:
        now = self.clock.now()
        waiting = [one for one in self.live.values() if one.state.is_waiting]
        return overview.StatusView(
            mode=self.mode,
            is_simulated=self.is_simulated,
            exchange="binance",
            trading_mode=events.TradingModeChanged(self.state, "test", "test", now),
            positions=tuple(self.positions()),
            trackers_waiting=len(waiting),
            trackers_acting=sum(one.state.is_acting for one in self.live.values()),
            trackers_paused=sum(one.is_paused for one in self.live.values()),
            data_age_s=0.4,
            stream="stream",
            equity=Decimal(40005),
            currency="USDT",
            profit_today=Decimal("12.5"),
            conditions=tuple(self.conditions),
            alerts=tuple(self.alerts),
            unresolved=0,
            started_at=now - timedelta(hours=3),
            now=now,
            exits_blocked=len(self.standing().blocked),
        )

    def open_orders(self) -> Sequence[tuple[Intent, Attempt]]:
        now = self.clock.now()
        request = OrderRequest("u-1", "BTC/USDT", Side.SELL, OrderType.MARKET, Decimal("0.5"))
        intent = Intent(
            "i1", "BTC/USDT", Side.SELL, Purpose.PROTECT, Decimal(58000), now, Decimal("0.5")
        )
        return [(intent, Attempt("i1", 1, request, AttemptState.SENT, now))]

    def standing(self) -> overview.StandingView:
        blocked = (one for one in self.live.values() if one.state is TrackerState.BLOCKED)
        halt = events.TradingModeChanged(self.state, "test", self.mode_by, START)
        return overview.StandingView(
            tuple(self.conditions),
            tuple(self.alerts),
            tuple(blocked),
            halt if self.state.is_halted else None,
        )

    def trackers(self) -> Sequence[overview.TrackerView]:
        return [self._view(one) for one in self.live.values()]

    def tracker(self, tracker_id: int) -> overview.TrackerView:
        if tracker_id not in self.live:
            raise Refused(f"there is no live tracker {tracker_id}", example="/trackers")
        return self._view(self.live[tracker_id])

    async def ended_tracker(self, tracker_id: int) -> overview.EndedTrackerView:
        one = self.ended.get(tracker_id)
        if one is None:
            raise Refused(f"there is no tracker #{tracker_id}", example="/trackers")
        return one

    def _view(self, one: Tracker) -> overview.TrackerView:
        price = self.prices[one.symbol]
        level = one.stop_price or one.level_price
        is_untouched = one.state is TrackerState.WATCHING
        return overview.TrackerView(
            tracker=one,
            instrument=INSTRUMENTS[one.symbol],
            price=price,
            price_age_s=0.3,
            level=level,
            gap=None if level is None else (level - price) / price,
            is_protecting=one.stop_price is not None,
            worst_case=None if one.stop_price is None else (one.stop_price - price) * one.quantity,
            signature=overview.Signature(300, 0.001, 0.004, 0.1, 3, 0.25),
            next_level=NextLevel.TOUCH if is_untouched else NextLevel.FIRES,
        )

    def jobs(self) -> Sequence[overview.JobView]:
        now = self.clock.now()
        return [overview.JobView("heartbeat", "every 5 s", now, "ok", now + timedelta(seconds=5))]

    def health(self) -> overview.HealthView:
        return overview.HealthView(
            is_working=True,
            troubles=(),
            loop_lag_ms_p99=2.0,
            loop_lag_ms_max=9.0,
            stream="stream",
            data_age_s=0.4,
            account_stream="live",
            clock_offset_ms=3,
            is_storage_degraded=False,
            open_intents=0,
            unresolved=0,
            messages_waiting=0,
            memory_mb=180.0,
            uptime_s=3600.0,
        )

    async def history(self, limit: int) -> Sequence[RoundTrip]:
        return self.round_trips[:limit]

    async def fills(self, since: datetime | None, limit: int) -> Sequence[Fill]:
        return []

    async def audit(self, limit: int) -> Sequence[Recorded]:
        return [] if self.journal is None else await self.journal.latest(limit)

    async def chart(self, symbol: str, timeframe: Timeframe, limit: int) -> overview.ChartView:
        candles = [
            Candle(i * timeframe.length_ms, 60000.0, 60100.0, 59900.0, 60050.0, 3.0, True)
            for i in range(min(limit, 40))
        ]
        trackers = [one for one in self.live.values() if one.symbol == symbol]
        price = self.prices.get(symbol)
        return overview.ChartView(symbol, timeframe, candles, trackers, [], price, self.clock.now())

    async def summary(self, since: datetime) -> overview.SummaryView:
        return overview.SummaryView(
            since, self.status(), self.account(), self.round_trips, [], 0, self.equity_before
        )

    # ------------------------------------------------------------ acting

    # One branch per command, as short as a table.
    async def propose(  # noqa: PLR0911
        self, command: commands.Command, by: int
    ) -> views.Proposal:
        match command:
            case commands.ArmTracker():
                return self._propose_arming(command)
            case commands.PlaceOrder():
                return self._propose_order(command)
            case commands.CloseAll() | commands.Panic() | commands.ClosePosition():
                return self._propose_close(command)
            case commands.SetTradingMode(mode):
                asks = mode is TradingMode.HALTED_EVERYTHING or (
                    mode is TradingMode.ACTIVE and self.state is not TradingMode.REDUCING
                )
                return views.Proposal(command, views.PlainProposal(f"{mode.value} from now"), asks)
            case commands.EditTracker() | commands.PauseTracker() | commands.CancelTracker():
                return self._propose_edit(command)
            case commands.AbortIntent(tracker_id) | commands.ExitNow(tracker_id):
                self.tracker(tracker_id)
                return views.Proposal(command, views.PlainProposal("Give it up"), True)
            case _:
                return views.Proposal(command, views.PlainProposal("Now"), False)

    def _propose_arming(self, command: commands.ArmTracker) -> views.Proposal:
        tracker = self._armed(command, len(self.live) + 1, 0)
        price = self.prices[tracker.symbol]
        stop = tracker.stop_price
        if stop is not None and stop >= price and command.spec.kind is TrackerKind.STOP:
            raise Refused(
                f"stop should be below the price {price}, was {stop}",
                example=f"/track {tracker.symbol} stop 58000 all",
            )
        worst = None if stop is None else (stop - price) * tracker.quantity
        facts = views.TrackerProposal(
            tracker,
            INSTRUMENTS[tracker.symbol],
            price,
            stop is not None,
            worst,
            (),
            level=stop or tracker.level_price,
            next_level=NextLevel.TOUCH if stop is None else NextLevel.FIRES,
        )
        shown = consent.shown_of_tracker(tracker, ZERO)
        value = self._value(tracker.symbol, tracker.quote or tracker.quantity * price)
        return views.Proposal(command, facts, True, self._reference(tracker), shown, value)

    def _reference(self, tracker: Tracker) -> Decimal | None:
        return self.prices[tracker.symbol] if tracker.side is Side.BUY else None

    def _propose_order(self, command: commands.PlaceOrder) -> views.Proposal:
        known = INSTRUMENTS[command.symbol]
        price = self.prices[command.symbol]
        amount = command.amount
        quantity = amount.value / price if amount.kind is AmountKind.QUOTE else amount.value
        facts = views.OrderProposal(
            symbol=command.symbol,
            instrument=known,
            side=command.side,
            quantity=known.quantity(quantity or ONE),
            price=price,
            notional=price * quantity,
            slippage=Decimal("0.0001"),
            fee=Decimal("0.1"),
            limit_price=command.limit_price,
            notes=(),
        )
        reference = price if command.side is Side.BUY else None
        value = self._value(command.symbol, facts.notional)
        return views.Proposal(command, facts, True, reference, value=value)

    def _value(self, symbol: str, amount: Decimal) -> Decimal | None:
        price = price_in(INSTRUMENTS[symbol].quote, "USDT", self.prices)
        return None if price is None else amount * price

    def _propose_close(self, command: commands.Command) -> views.Proposal:
        symbols = (
            [command.symbol] if isinstance(command, commands.ClosePosition) else list(self.held)
        )
        if isinstance(command, commands.ClosePosition) and not self.held.get(command.symbol):
            raise Refused(f"there is nothing managed of {command.symbol}", example="/positions")
        lines = tuple(
            views.CloseLine(one, one.split("/")[0], self.held[one], self.prices[one])
            for one in symbols
        )
        unmanaged = tuple(
            views.CloseLine(one, one.split("/")[0], quantity, None)
            for one, quantity in self.unmanaged.items()
        )
        ended = tuple(self.live.values())
        shown = views.Shown(lines[0].quantity) if len(symbols) == 1 else None
        doubt = self.status().is_in_doubt
        facts = views.CloseProposal(lines, ended, (), unmanaged, is_in_doubt=doubt)
        return views.Proposal(command, facts, True, shown=shown)

    def _propose_edit(self, command: commands.Command) -> views.Proposal:
        before = self.tracker(command.tracker_id).tracker  # type: ignore[union-attr]
        after = self._edited(command, before)
        is_loosening = not (
            isinstance(command, commands.EditTracker)
            and isinstance(command.level, Decimal)
            and command.level > (before.stop_price or ZERO)
        )
        facts = views.EditProposal(
            before, after, INSTRUMENTS[before.symbol], is_loosening, Decimal(-1000), Decimal(-2000)
        )
        return views.Proposal(command, facts, is_loosening)

    def _edited(self, command: commands.Command, before: Tracker) -> Tracker:
        match command:
            case commands.PauseTracker():
                return replace(before, is_paused=True)
            case commands.CancelTracker():
                return replace(before, state=TrackerState.CANCELLED)
            case commands.EditTracker(level=Decimal() as stop):
                return replace(before, stop_price=stop, spec=replace(before.spec, level=stop))
            case _:
                return before

    def _armed(self, command: commands.ArmTracker, tracker_id: int, by: int) -> Tracker:
        spec = command.spec
        side = spec.first_side
        level = spec.level if isinstance(spec.level, Decimal) else None
        price = self.prices[spec.symbol]
        share = spec.trail.share if spec.trail else None
        stop = level if spec.kind is TrackerKind.STOP else None
        if spec.kind is TrackerKind.TRAIL and share is not None:
            stop = price * (1 - share)
        is_watching = spec.kind in {TrackerKind.TAKE_PROFIT, TrackerKind.DIP, TrackerKind.LINES}
        is_all = spec.amount.kind is AmountKind.ALL
        quantity = self.held.get(spec.symbol, ONE) if is_all else spec.amount.value
        return Tracker(
            tracker_id=tracker_id,
            spec=spec,
            person_id=by,
            side=side,
            state=TrackerState.WATCHING if is_watching else TrackerState.TRAILING,
            armed_at=self.clock.now(),
            quantity=quantity if side is Side.SELL else ZERO,
            quote=spec.amount.value if side is Side.BUY else ZERO,
            distance=share,
            record_price=price if share is not None else None,
            stop_price=stop,
            level_price=level,
            hard_stop_price=spec.stop if isinstance(spec.stop, Decimal) else None,
        )

    async def execute(
        self,
        command: commands.Command,
        by: int,
        cause: str,
        reference_price: Decimal | None = None,
        shown: views.Shown | None = None,
    ) -> views.Outcome:
        if cause in self.causes:
            raise AlreadyRecorded("Command", cause)
        self._check_growth(command, shown)
        if self.fail_execution is not None:
            raise self.fail_execution
        if self.refuse_execution is not None:
            refusal, self.refuse_execution = self.refuse_execution, None
            raise refusal
        self.causes.add(cause)
        self.executed.append((command, by, cause))
        return self._done(command, by)

    def _check_growth(self, command: commands.Command, shown: views.Shown | None) -> None:
        if isinstance(command, commands.ArmTracker):
            now = consent.shown_of_tracker(self._armed(command, 0, 0), ZERO)
            consent.check_growth(now, shown, "own")
        if isinstance(command, commands.ClosePosition):
            now = views.Shown(self.held[command.symbol] * command.share)
            consent.check_growth(now, shown, "sell")

    def _done(  # noqa: PLR0911
        self, command: commands.Command, by: int
    ) -> views.Outcome:
        match command:
            case commands.ArmTracker(spec):
                number = len(self.live) + 1
                self.live[number] = self._armed(command, number, by)
                return views.Outcome(f"✅ Watching {spec.symbol}", tracker_id=number)
            case commands.SetTradingMode(mode):
                self.state = mode
                return views.Outcome(f"Now {mode.value}.")
            case commands.Panic() | commands.CloseAll():
                count = len(self.held)
                self.held.clear()
                self.live.clear()
                return views.Outcome(f"Selling {count} positions. Alerts follow.")
            case commands.PlaceOrder() | commands.ClosePosition():
                return views.Outcome("Done.", intent_ids=(f"order-{len(self.executed)}",))
            case commands.AcknowledgeAlerts():
                known = len(self.alerts)
                self.alerts.clear()
                if not known:
                    return views.Outcome("There is no alert to acknowledge.")
                return views.Outcome(f"{known} alert{'s' * (known != 1)} acknowledged.")
            case commands.CancelTracker(tracker_id):
                del self.live[tracker_id]
                return views.Outcome(f"Tracker {tracker_id} has ended.")
            case commands.PauseTracker(tracker_id) | commands.EditTracker(tracker_id):
                self.live[tracker_id] = self._edited(command, self.live[tracker_id])
                return views.Outcome(f"Tracker {tracker_id} is changed.", tracker_id=tracker_id)
            case commands.ResumeTracker(tracker_id):
                self.live[tracker_id] = replace(self.live[tracker_id], is_paused=False)
                return views.Outcome(f"Tracker {tracker_id} watches again.", tracker_id=tracker_id)
            case _:
                return views.Outcome("Done.")

    def raise_alert(self, alert_id: str, text: str) -> events.AlertRaised:
        """Raise a critical alert that stands until it is acknowledged."""
        alert = events.AlertRaised(alert_id, Severity.CRIT, text, self.clock.now())
        self.alerts.append(alert)
        return alert
