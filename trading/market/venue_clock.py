"""What the exchange's clock shows now, by the times that its messages carry."""

from collections import deque
from statistics import median

_MESSAGES_KEPT = 33


class VenueClock:
    """The middle of what the newest messages say, so that neither one wrong time nor a burst of
    late ones moves it; behind the exchange's own clock by the usual way of a message.
    """

    __slots__ = ("_ahead_ms",)

    def __init__(self) -> None:
        self._ahead_ms: deque[float] = deque(maxlen=_MESSAGES_KEPT)

    def heard(self, event_ms: int, received_s: float) -> None:
        """Note the time of a message, and when it came by the steady clock."""
        self._ahead_ms.append(event_ms - received_s * 1000)

    @property
    def is_known(self) -> bool:
        """Whether any message has told its time."""
        return bool(self._ahead_ms)

    def late_s(self, event_ms: int, received_s: float) -> float:
        """Return how much longer than usual a message took; 0 before the first one."""
        if not self._ahead_ms:
            return 0.0
        return (median(self._ahead_ms) - (event_ms - received_s * 1000)) / 1000

    def now_ms(self, now_s: float, wall_ms: int) -> int:
        """Return the exchange's time; before the first message it is the machine's."""
        if not self._ahead_ms:
            return wall_ms
        return int(now_s * 1000 + median(self._ahead_ms))
