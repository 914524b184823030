"""What the agent knows right now beside prices: mode, conditions, alerts, the day, the portfolio.

Everything here is a fold of durable events, so a start from storage and a long run agree.
"""

from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from trading.domain.chat import Severity
from trading.domain.events import (
    AlertAcknowledged,
    AlertEnded,
    AlertRaised,
    CommandExecuted,
    ConditionChanged,
    DayOpened,
    Event,
    FundsMoved,
    Installed,
    IntentChanged,
    IntentClosed,
    IntentOpened,
    TradingModeChanged,
)
from trading.domain.instrument import Instrument
from trading.domain.money import ZERO
from trading.domain.order import Intent, Purpose
from trading.domain.position import TradingMode
from trading.portfolio import PortfolioBook
from trading.ports.storage import StoredState

CAUSES_KEPT = 1000


class AgentState:
    """The present, folded from events."""

    def __init__(self, currency: str, started_at: datetime) -> None:
        self.book = PortfolioBook(currency)
        self.started_at = started_at
        self.instruments: dict[str, Instrument] = {}
        self.installed: Installed | None = None
        self.trading_mode: TradingModeChanged | None = None
        self.day: DayOpened | None = None
        # The worth of what came in without a trade since the day was opened, less what went out.
        self.moved_today: Decimal = ZERO
        self.next_tracker_id = 1
        # Causes of commands that took effect: a tap that is replayed after a crash finds its own.
        self.executed: OrderedDict[str, None] = OrderedDict()
        # Decisions to have a stop rest on the exchange that have not ended, by id.
        self.backstops: dict[str, Intent] = {}
        self._conditions: dict[tuple[str, str | None], ConditionChanged] = {}
        self._alerts: dict[str, AlertRaised] = {}

    def load(self, stored: StoredState, instruments: Mapping[str, Instrument]) -> None:
        """Take what storage holds."""
        self.instruments.clear()
        self.instruments.update(instruments)
        self.installed = stored.installed
        self.trading_mode = stored.trading_mode
        self.day = stored.day
        self.moved_today = sum((one.value for one in stored.moved), ZERO)
        self.next_tracker_id = stored.next_tracker_id
        self.book.load(stored.positions)
        placed = [intent for intent in stored.intents if intent.purpose is Purpose.BACKSTOP]
        self.backstops = {intent.intent_id: intent for intent in placed}
        self._conditions = {(item.condition, item.symbol): item for item in stored.conditions}
        self._alerts = {item.alert_id: item for item in stored.alerts}

    def take_tracker_id(self) -> int:
        """Return an id that no tracker has had; one that is not used leaves a harmless gap."""
        taken, self.next_tracker_id = self.next_tracker_id, self.next_tracker_id + 1
        return taken

    @property
    def mode(self) -> TradingMode:
        """What the risk layer permits."""
        return self.trading_mode.mode if self.trading_mode else TradingMode.ACTIVE

    @property
    def conditions(self) -> tuple[ConditionChanged, ...]:
        """Degradations in force, oldest first."""
        return tuple(self._conditions.values())

    @property
    def alerts(self) -> tuple[AlertRaised, ...]:
        """CRIT alerts that are still true and nobody has acknowledged, oldest first."""
        return tuple(self._alerts.values())

    @property
    def equity_base(self) -> Decimal | None:
        """What the account would be worth without profit and loss of the day, None before one.

        Its worth when the day was opened and what came in since, less what went out.
        """
        return self.day.equity + self.moved_today if self.day is not None else None

    def has_condition(self, condition: str, symbol: str | None = None) -> bool:
        """Whether a degradation is in force."""
        return (condition, symbol) in self._conditions

    def apply(self, event: Event) -> None:
        """Fold one durable event."""
        self.book.apply(event)
        match event:
            case TradingModeChanged():
                self.trading_mode = event
            case Installed():
                self.installed = event
            case DayOpened():
                self.day, self.moved_today = event, ZERO
            case FundsMoved():
                self.moved_today += event.value
            case IntentOpened(intent) | IntentChanged(intent) | IntentClosed(intent):
                self._apply_intent(intent)
            case CommandExecuted():
                self._apply_cause(event.cause)
            case ConditionChanged():
                self._apply_condition(event)
            case AlertRaised() | AlertAcknowledged() | AlertEnded():
                self._apply_alert(event)
            case _:
                pass

    def _apply_intent(self, intent: Intent) -> None:
        if intent.state.is_terminal:
            self.backstops.pop(intent.intent_id, None)
        elif intent.purpose is Purpose.BACKSTOP:
            self.backstops[intent.intent_id] = intent

    def _apply_alert(self, event: AlertRaised | AlertAcknowledged | AlertEnded) -> None:
        if not isinstance(event, AlertRaised):
            self._alerts.pop(event.alert_id, None)
        elif event.severity is Severity.CRIT:
            self._alerts[event.alert_id] = event

    def _apply_cause(self, cause: str) -> None:
        self.executed[cause] = None
        # The journal's key refuses older ones, too.
        if len(self.executed) > CAUSES_KEPT:
            self.executed.popitem(last=False)

    def _apply_condition(self, event: ConditionChanged) -> None:
        if event.is_active:
            self._conditions[event.condition, event.symbol] = event
        else:
            self._conditions.pop((event.condition, event.symbol), None)
