"""One thing to tell, and what the words of a fact need besides the fact itself."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from bot.telegram.render.text import Card
from trading.domain.chat import Severity
from trading.domain.instrument import Instrument
from trading.domain.order import Fill
from trading.domain.position import RoundTrip
from trading.domain.watching import AlertType


@dataclass(frozen=True, slots=True)
class AlertFacts:
    """What the words of an event need besides the event itself."""

    instrument: Callable[[str], Instrument | None]
    fills: Mapping[str, Sequence[Fill]] = field(default_factory=dict)
    round_trips: Mapping[str, RoundTrip] = field(default_factory=dict)
    # What the decisions of exits that cannot go on have sold by now, base units.
    sold: Mapping[str, Decimal] = field(default_factory=dict)
    # Intents whose end only says again what the one before them, or an alarm, has said.
    said_before: frozenset[str] = frozenset()
    # Intents that were closed elsewhere, and say so of their trackers, too.
    closed_elsewhere: frozenset[str] = frozenset()
    # Whether a stop that is reached now can sell: before a start is over, none is watched.
    is_watching: bool = True


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing to tell; `owner_only` for what concerns the installation.

    `since` says of what stands how long it has been so. A `type` can be turned down by each person.
    `asked_by` knows it already, for it was their wish. `sort` and `gist` are what a storm needs.
    """

    card: Card
    severity: Severity = Severity.INFO
    owner_only: bool = False
    is_quiet: bool = False
    since: datetime | None = None
    type: AlertType | None = None
    asked_by: int | None = None
    sort: str = ""
    gist: tuple[str, ...] = ()
