"""The last 300 ticks of a symbol: how wildly they move, and whether they have just turned."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TICKS_MAX = 300


@dataclass(frozen=True, slots=True)
class Signature:
    """What the buffered ticks look like; all figures but the counts are shares or pure numbers.

    - `volatility`: realised volatility of the window, sqrt(sum of  ln(p[i]/p[i-1])²)
    - `span`: (max - min) / last
    - `imbalance`: (rises - falls) / (rises + falls), in [-1, 1]
    - `run`: moves in one direction at the end, positive up, negative down; equal prices are skipped
    - `reversal`: what was given back since the last extreme, as a share of max - min: positive when
      the price rose from the window's low, negative when it fell from its high, in [-1, 1]
    - `steps_per_minute`, `mean_step`: changes of the price per minute, and their mean |Δp| / p
    """

    ticks: int
    distinct: int
    volatility: float
    span: float
    imbalance: float
    run: int
    reversal: float
    steps_per_minute: float
    mean_step: float


class TickBuffer:
    """A ring of the newest prices and their times in seconds."""

    __slots__ = ("_count", "_next", "_prices", "_times_s")

    def __init__(self) -> None:
        self._prices: NDArray[np.float64] = np.zeros(TICKS_MAX)
        self._times_s: NDArray[np.float64] = np.zeros(TICKS_MAX)
        self._next = 0
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def push(self, price: float, at_s: float) -> None:
        """Add a tick; the oldest of more than 300 is forgotten."""
        self._prices[self._next] = price
        self._times_s[self._next] = at_s
        self._next = (self._next + 1) % TICKS_MAX
        if self._count < TICKS_MAX:
            self._count += 1

    def prices(self) -> NDArray[np.float64]:
        """Return the prices, oldest first."""
        return self._ordered(self._prices)

    def signature(self) -> Signature | None:
        """Return the signature of the window; None with fewer than two ticks."""
        if self._count < 2:
            return None
        prices = self.prices()
        times_s = self._ordered(self._times_s)
        moves = np.diff(prices)
        changes = moves[moves != 0]
        high, low, last = prices.max(), prices.min(), prices[-1]
        rises, falls = int((changes > 0).sum()), int((changes < 0).sum())
        minutes = max(float(times_s[-1] - times_s[0]), 1e-9) / 60
        returns = np.diff(np.log(prices))
        steps = np.abs(moves) / prices[:-1]
        return Signature(
            ticks=self._count,
            # Not `np.unique`, whose first call imports for 15 ms: with the card of the first stop.
            distinct=len(set(prices.tolist())),
            volatility=float(np.sqrt(np.square(returns).sum())),
            span=float((high - low) / last),
            imbalance=(rises - falls) / max(rises + falls, 1),
            run=_run(changes),
            reversal=_reversal(prices),
            steps_per_minute=len(changes) / minutes,
            mean_step=float(steps[moves != 0].mean()) if len(changes) else 0.0,
        )

    def _ordered(self, ring: NDArray[np.float64]) -> NDArray[np.float64]:
        if self._count < TICKS_MAX:
            return ring[: self._count].copy()
        return np.roll(ring, -self._next)


def _run(changes: NDArray[np.float64]) -> int:
    if not len(changes):
        return 0
    signs = np.sign(changes)
    other = np.flatnonzero(signs != signs[-1])
    length = len(signs) - (int(other[-1]) + 1 if len(other) else 0)
    return int(signs[-1]) * length


def _reversal(prices: NDArray[np.float64]) -> float:
    high, low, last = prices.max(), prices.min(), prices[-1]
    if high == low:
        return 0.0
    last_high = len(prices) - 1 - int(prices[::-1].argmax())
    last_low = len(prices) - 1 - int(prices[::-1].argmin())
    if last_high > last_low:
        return -float((high - last) / (high - low))
    return float((last - low) / (high - low))
