"""What the tracker engine needs from its conductor, and its settings."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal

from trading.domain.events import ConditionChanged, Event
from trading.domain.instrument import Instrument
from trading.domain.tracker import Evidence, Tracker
from trading.trackers.slices import Holdings


@dataclass(frozen=True, slots=True)
class Hooks:
    """Calls into the conductor.

    `fire` makes a trigger durable: TrackerChanged(TRIGGERED), intent and first attempt in one
    transaction. It returns when that is written (the sending may go on elsewhere), raises Refused
    when the trigger may not act, AlreadyRecorded when it is known, StorageLost when nothing was
    written; the engine then asks again until it is.
    """

    instrument: Callable[[str], Instrument]
    price: Callable[[str], Decimal | None]
    holdings: Callable[[str], Holdings]
    may_enter: Callable[[str], bool]
    is_stale: Callable[[str], bool]
    fire: Callable[[Tracker, Evidence], Awaitable[None]]
    publish: Callable[[Event], None]
    on_condition: Callable[[ConditionChanged], None]


@dataclass(frozen=True, slots=True)
class TrackerSettings:
    """Limits of the engine; `record_epsilon` and `fee` are shares."""

    record_epsilon: Decimal = Decimal("0.0005")
    fee: Decimal = Decimal("0.001")
    fires_at_once_max: int = 50
    retry_s_first: float = 0.1
    retry_s_max: float = 5.0
    reminders_every_sweeps: int = 60
