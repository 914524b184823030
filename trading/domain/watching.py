"""What a person wants to be told of the market: which symbols, from which score on, how loud."""

from dataclasses import dataclass
from enum import Enum

from trading.domain.errors import Refused
from trading.domain.time import Timeframe

THRESHOLD = 50
"""The score out of 100 from which on somebody is told who has said nothing else."""
REPORT_EVERY_MIN = 15
"""The shortest interval of reports, in minutes."""


class AlertType(Enum):
    """What can be turned down or off; what is critical always rings and is none of these."""

    RISES = "rises"
    CRASHES = "crashes"
    TOUCHES = "touches"
    FILLS = "fills"
    REPORTS = "reports"


class Loudness(Enum):
    """What a person wants of one type of alert."""

    ON = "on"
    SILENT = "silent"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Interest:
    """A symbol that a person watches, over which candles, and from which score on.

    `threshold` is a score in 1 … 100; None (`auto`) uses what paid best in the symbol's own past.
    """

    symbol: str
    timeframes: tuple[Timeframe, ...]
    threshold: int | None = THRESHOLD

    def __post_init__(self) -> None:
        if not self.timeframes:
            raise Refused("at least one timeframe should be watched, was none", example="1h")
        if self.threshold is not None and not 1 <= self.threshold <= 100:
            raise Refused(
                f"a threshold should be between 1 and 100, was {self.threshold}", example="60"
            )


@dataclass(frozen=True, slots=True)
class Wishes:
    """One person's own: their watch list, the loudness of each type, and how often they read.

    `audible_per_hour` is their budget of sounds; `report_every_min` None sends no reports; a type
    without a row in `loudness` is ON.
    """

    interests: tuple[Interest, ...] = ()
    loudness: tuple[tuple[AlertType, Loudness], ...] = ()
    audible_per_hour: int = 6
    report_every_min: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.audible_per_hour <= 60:
            raise Refused(
                f"sounds per hour should be between 0 and 60, were {self.audible_per_hour}",
                example="6",
            )
        if self.report_every_min is not None and self.report_every_min < REPORT_EVERY_MIN:
            raise Refused(
                f"reports should be at least {REPORT_EVERY_MIN} minutes apart, "
                f"were {self.report_every_min}",
                example="60m",
            )

    def interest(self, symbol: str) -> Interest | None:
        """Return what is watched of a symbol."""
        return next((one for one in self.interests if one.symbol == symbol), None)

    def loud(self, kind: AlertType) -> Loudness:
        """Return how loud a type is."""
        return dict(self.loudness).get(kind, Loudness.ON)
