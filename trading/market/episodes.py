"""One alert per episode: a condition begins once, and ends when it has been green for a while."""

from dataclasses import dataclass
from datetime import datetime

from trading.domain.chat import Severity
from trading.domain.events import ConditionChanged


@dataclass(frozen=True, slots=True)
class Condition:
    """What may be wrong, of one symbol or (symbol empty) of all."""

    name: str
    symbol: str = ""
    severity: Severity = Severity.WARN


class Episodes:
    """Turns what is red now into begins and ends with hysteresis."""

    def __init__(self, green_s: float) -> None:
        self._green_s = green_s
        self._conditions: dict[tuple[str, str], Condition] = {}
        self._red_s: dict[tuple[str, str], float] = {}

    def red(
        self, condition: Condition, text: str, now_s: float, at: datetime
    ) -> ConditionChanged | None:
        """Note that a condition holds now; returns its begin if it is new."""
        return _changed(condition, True, text, at) if self._note(condition, now_s) else None

    def resume(self, condition: Condition, now_s: float) -> None:
        """Go on with what a process before this one told, as if it were red now."""
        self._note(condition, now_s)

    def ended(self, now_s: float, at: datetime) -> list[ConditionChanged]:
        """Return the ends of conditions that have been green for long enough, without a text."""
        over = [key for key, red_s in self._red_s.items() if now_s - red_s >= self._green_s]
        for key in over:
            del self._red_s[key]
        return [_changed(self._conditions.pop(key), False, "", at) for key in over]

    def is_active(self, name: str, symbol: str = "") -> bool:
        """Whether an episode of this name and symbol is going on."""
        return (name, symbol) in self._red_s

    def _note(self, condition: Condition, now_s: float) -> bool:
        key = (condition.name, condition.symbol)
        is_new = key not in self._red_s
        self._red_s[key] = now_s
        self._conditions[key] = condition
        return is_new


def _changed(condition: Condition, is_active: bool, text: str, at: datetime) -> ConditionChanged:
    return ConditionChanged(
        condition=condition.name,
        symbol=condition.symbol or None,
        is_active=is_active,
        severity=condition.severity if is_active else Severity.INFO,
        text=text,
        at=at,
    )
