"""How much we may ask of an exchange: request weight per minute, and silences it asked for.

Orders are paced where their urgency is known (execution); here a share of the weight is kept for
what exits need, and one for the prices that stops are watched by while no stream tells them, so
that neither charts nor comparing the account can use them up.
"""

from collections import deque
from dataclasses import dataclass
from enum import Enum

from trading.domain.errors import RateLimited

_WINDOW_S = 60.0


class Urgency(Enum):
    """What a request is for."""

    ORDER = "order"
    EXIT = "exit"
    PRICE = "price"
    ACCOUNT = "account"
    MARKET = "market"


@dataclass(frozen=True, slots=True)
class Weight:
    """What a request costs, and what it is for."""

    cost: int
    urgency: Urgency = Urgency.MARKET


class Throttle:
    """Counts weight over the last minute; silent while the exchange asked for it.

    Account lists, which are read for many symbols in a row, leave what orders alone may need. What
    prices have not used of their share is left by charts and account lists; beyond it they count
    as any other market data.
    """

    def __init__(
        self,
        weight_per_minute: int,
        share_for_exits: float,
        share_for_orders: float = 0.05,
        share_for_prices: float = 0.0,
    ) -> None:
        self._most = weight_per_minute
        self._most_market = int(weight_per_minute * (1 - share_for_exits))
        self._most_account = int(weight_per_minute * (1 - share_for_orders))
        self._for_prices = int(weight_per_minute * share_for_prices)
        self._used: deque[tuple[float, Weight]] = deque()
        self._sum = 0
        self._sum_prices = 0
        self._others = 0
        self._others_until_s = float("-inf")
        self._silent_until_s = float("-inf")
        self._forbidden = 0

    def silence_s(self, now_s: float) -> float:
        """Return how long nothing may be sent, 0 when something may."""
        return max(self._silent_until_s - now_s, 0.0)

    def be_silent(self, seconds: float, now_s: float, *, is_forbidden: bool = False) -> None:
        """Ask nothing for a while; each 403 in a row doubles it."""
        self._forbidden = self._forbidden + 1 if is_forbidden else 0
        factor = 2 ** min(self._forbidden - 1, 6) if is_forbidden else 1
        self._silent_until_s = max(self._silent_until_s, now_s + seconds * factor)

    def answered(self) -> None:
        """Note that the exchange answers as it should."""
        self._forbidden = 0

    def heard(self, used: int, now_s: float, window_left_s: float) -> None:
        """Note what the exchange has counted in its window: more than ours is somebody else's.

        A process that ended just before this one, for example; it counts until the window ends.
        """
        self._forget(now_s)
        self._others = max(used - self._sum, 0)
        self._others_until_s = now_s + window_left_s

    def take(self, weight: Weight, now_s: float) -> None:
        """Count a request, or raise RateLimited with the seconds to wait."""
        silence_s = self.silence_s(now_s)
        if silence_s > 0:
            raise RateLimited("the exchange asked for silence", silence_s)
        self._forget(now_s)
        used = self._sum + (self._others if now_s < self._others_until_s else 0)
        most = self._most_for(weight)
        # An order is never held back by our own count: the exchange's word is the limit there.
        if weight.urgency is not Urgency.ORDER and used + weight.cost > most:
            raise RateLimited(
                f"{used} of {most} request weight is used",
                self._wait_s(used + weight.cost - most, now_s),
                is_own_count=True,
            )
        self._used.append((now_s, weight))
        self._count(weight, 1)

    def _most_for(self, weight: Weight) -> int:
        """Return how much may be used in all for a request of this kind."""
        left = max(self._for_prices - self._sum_prices, 0)
        match weight.urgency:
            case Urgency.MARKET:
                return self._most_market - left
            case Urgency.ACCOUNT:
                return self._most_account - left
            case Urgency.PRICE:
                return self._most_account if weight.cost <= left else self._most_market
            case _:
                return self._most

    def _count(self, weight: Weight, sign: int) -> None:
        self._sum += sign * weight.cost
        if weight.urgency is Urgency.PRICE:
            self._sum_prices += sign * weight.cost

    def _forget(self, now_s: float) -> None:
        while self._used and self._used[0][0] <= now_s - _WINDOW_S:
            self._count(self._used.popleft()[1], -1)

    def _wait_s(self, too_much: int, now_s: float) -> float:
        """Return how long it takes until so much weight no longer counts."""
        leaving = [(at_s + _WINDOW_S, one.cost) for at_s, one in self._used]
        if now_s < self._others_until_s:
            leaving.append((self._others_until_s, self._others))
        for at_s, cost in sorted(leaving):
            too_much -= cost
            if too_much <= 0:
                return at_s - now_s
        return _WINDOW_S
