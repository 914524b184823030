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


@dataclass(frozen=True, slots=True)
class Wishes:
    """One person's own: their watch list, the loudness of each type, and how often they read.

    `audible_per_hour` is their budget of sounds; `report_every_min` None sends no reports; a type
    without a row in `loudness` is ON. `is_pinned` keeps a silent card at the top of their chat.
    """

    interests: tuple[Interest, ...] = ()
    loudness: tuple[tuple[AlertType, Loudness], ...] = ()
    audible_per_hour: int = 6
    report_every_min: int | None = None
    is_pinned: bool = False

    def interest(self, symbol: str) -> Interest | None:
        """Return what is watched of a symbol."""
        return next((one for one in self.interests if one.symbol == symbol), None)

    def loud(self, kind: AlertType) -> Loudness:
        """Return how loud a type is."""
        return dict(self.loudness).get(kind, Loudness.ON)


def checked(wishes: Wishes) -> Wishes:
    """Return wishes that can be fulfilled; raises Refused for what is out of bounds.

    Not a part of the values: what was stored once is read, whatever the bounds have become.
    """
    for interest in wishes.interests:
        if not interest.timeframes:
            raise Refused("at least one timeframe should be watched, was none", example="1h")
        if interest.threshold is not None and not 1 <= interest.threshold <= 100:
            raise Refused(
                f"a threshold should be between 1 and 100, was {interest.threshold}", example="60"
            )
    if not 0 <= wishes.audible_per_hour <= 60:
        raise Refused(
            f"sounds per hour should be between 0 and 60, were {wishes.audible_per_hour}",
            example="6",
        )
    if wishes.report_every_min is not None and wishes.report_every_min < REPORT_EVERY_MIN:
        raise Refused(
            f"reports should be at least {REPORT_EVERY_MIN} minutes apart, "
            f"were {wishes.report_every_min}",
            example="60m",
        )
    return wishes


class ScoreKind(Enum):
    """Which of the two scores of a symbol is meant."""

    BULL = "bull"
    BEAR = "bear"


class AlertKind(Enum):
    """Why a score is told."""

    CROSSED = "crossed its threshold"
    ROSE = "rose further"
    FURTHER = "the price went further"


@dataclass(frozen=True, slots=True)
class ScoreAlert:
    """What is told of a score: itself, not its threshold.

    `before` and `before_price` are what was told last of the same crossing. `move` is what the
    candle that went furthest has changed, in percent. `against` is the symbol's other score where
    that is at its threshold, too: together they ask for nothing. None where it is not.
    """

    symbol: str
    kind: ScoreKind
    reason: AlertKind
    at_ms: int
    price: float
    score: float
    threshold: float
    before: float | None
    too_young: tuple[Timeframe, ...]
    move: float | None = None
    before_price: float | None = None
    against: float | None = None

    @property
    def is_undecided(self) -> bool:
        """Whether both scores of the symbol are at their thresholds."""
        return self.against is not None


@dataclass(frozen=True, slots=True)
class Watched:
    """What is remembered of one score between two looks; it survives a restart as a value.

    `is_above`: since its crossing was told, and until it has fallen below threshold and hysteresis.
    `told` is the score told last, at `told_price` and after a move of `told_move` percent; it is
    remembered until it has cooled off. `threshold` is the one by which it was judged last.
    """

    is_above: bool = False
    told: float | None = None
    told_ms: int | None = None
    told_price: float | None = None
    told_move: float = 0.0
    threshold: float | None = None


@dataclass(frozen=True, slots=True)
class Attention:
    """What was spent of a person's attention, and what waits on the card of the rest.

    `audible_ms` says when it rang, `audible_moves` how far what rang had moved, in percent, and
    `audible_urgencies` how urgent it was.
    `folded` holds the newest alert of each symbol and kind, the most urgent first; `more` counts
    those that did not fit since the person looked.
    """

    audible_ms: tuple[int, ...] = ()
    audible_moves: tuple[float, ...] = ()
    folded: tuple[ScoreAlert, ...] = ()
    more: int = 0
    audible_urgencies: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class WatchedScore:
    """What is remembered of one of the two scores of a symbol."""

    symbol: str
    kind: ScoreKind
    state: Watched
