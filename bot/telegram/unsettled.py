"""Whose protection began or ended without a change of its tracker: what its card says of it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from trading.domain import events
from trading.domain.events import Event
from trading.domain.order import Side
from trading.domain.position import TradingMode
from trading.domain.tracker import Tracker

# While one of these stands, no stop sells, or not all that it is to sell.
_CONDITIONS = frozenset(
    {"exchange_down", "auth_lost", "stale_data", "coins_locked", "balances_disagree"}
)


@dataclass(slots=True)
class Unsettled:
    """Follows what holds, blinds or robs stops."""

    # What held before the first change that is seen is not known.
    _may_be_held: bool = True

    def by(self, event: Event, trackers: Callable[[], Iterable[Tracker]]) -> list[int]:
        """Return which of these trackers are other than before because of an event.

        They are asked for only then: most events concern none.
        """
        match event:
            case events.ConditionChanged(condition=name, symbol=symbol) if name in _CONDITIONS:
                return [one.tracker_id for one in _selling(trackers(), symbol)]
            case events.TradingModeChanged(mode=mode):
                is_held = mode is TradingMode.HALTED_EVERYTHING
                is_other = is_held or self._may_be_held
                self._may_be_held = is_held
                return [one.tracker_id for one in _selling(trackers(), None)] if is_other else []
            case _:
                return []


def _selling(trackers: Iterable[Tracker], symbol: str | None) -> list[Tracker]:
    return [
        one
        for one in trackers
        if one.side is Side.SELL and (symbol is None or one.symbol == symbol)
    ]
