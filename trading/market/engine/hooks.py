"""What the market asks of the conductor, and tells him."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from trading.domain.events import ConditionChanged
from trading.domain.market import Observation


@dataclass(frozen=True, slots=True)
class MarketHooks:
    """Plain calls into the conductor.

    `is_near` tells symbols near a stop, which are asked for more often; `is_needed` those of which
    somebody must know that prices are missing, `is_of_worth` those of which it is worth a word that
    they come less well; `on_gap` names symbols whose prices were missed since a time, so that
    missed time can be judged.
    """

    on_observation: Callable[[Observation], None]
    on_condition: Callable[[ConditionChanged], None]
    is_near: Callable[[str], bool] = lambda _: False
    on_gap: Callable[[frozenset[str], datetime], None] = lambda _symbols, _since: None
    is_needed: Callable[[str], bool] = lambda _: True
    is_of_worth: Callable[[str], bool] = lambda _: True
