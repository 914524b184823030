"""Which measurement of the exchange's clock to believe; pure.

One question and its answer bound the difference of two clocks: it lies within half a round trip of
the middle between them, wherever the delay was. (Cristian, "Probabilistic clock synchronization",
1989.)
"""

from collections.abc import Iterable
from dataclasses import dataclass

ROUND_TRIP_S_MAX = 1.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement: exchange time minus ours in ms, as if both ways took equally long."""

    offset_ms: int
    round_trip_s: float

    @classmethod
    def of(cls, ours_ms: int, theirs_ms: int, round_trip_s: float) -> "Sample":
        """Make a sample of the moment of asking, what was answered, and how long that took."""
        return cls(theirs_ms - ours_ms - round(round_trip_s * 500), round_trip_s)

    @property
    def error_ms(self) -> float:
        """By how much it may be wrong at most."""
        return self.round_trip_s * 500


def offset_ms(samples: Iterable[Sample], held_ms: int | None) -> int | None:
    """Return the offset to sign with, None for no samples; `held_ms` is the one used so far.

    The quickest sample counts. One that took more than a second is refused, unless it proves the
    held offset wrong (a clock was set meanwhile), or none is held.
    """
    best = min(samples, key=lambda sample: sample.round_trip_s, default=None)
    if best is None:
        return held_ms
    is_slow = best.round_trip_s > ROUND_TRIP_S_MAX
    if is_slow and held_ms is not None and abs(best.offset_ms - held_ms) <= best.error_ms:
        return held_ms
    return best.offset_ms
