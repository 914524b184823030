"""Binance's request limits: weight per minute, orders per ten seconds and day, and the ban."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from trading.sim.binance.codes import ApiError

_MINUTE_MS = 60_000
_TEN_SECONDS_MS = 10_000
_DAY_MS = 86_400_000
# How often somebody may go on after a 429 before the address is banned.
_PATIENCE = 10
_BAN_S = 120

# What a list costs up to a length, and beyond: Binance's REST documents of 2026.
_DEPTH_WEIGHTS = ((100, 5), (500, 25), (1_000, 50))
_DEPTH_WEIGHT_MOST = 250
_TICKERS_WEIGHTS = ((20, 2), (100, 40))
_TICKERS_WEIGHT_MOST = 80
_COMMISSION_WEIGHT = 20
# Asking for every symbol at once costs more; several by name cost as much but for the day's.
_ALL_SYMBOLS_WEIGHT = {
    "/api/v3/ticker/24hr": _TICKERS_WEIGHT_MOST,
    "/api/v3/ticker/price": 4,
    "/api/v3/ticker/bookTicker": 4,
    "/api/v3/openOrders": 80,
}


def weight_of(path: str, params: Mapping[str, str], weight: int) -> int:
    """Return what a request weighs; `weight` is that of one symbol and a list of usual length."""
    if path == "/api/v3/depth":
        limit = params.get("limit", "")
        # What is no number is refused, and costs the least.
        wanted = int(limit) if limit.isascii() and limit.isdigit() and len(limit) < 9 else 0
        return _by_length(wanted, _DEPTH_WEIGHTS, _DEPTH_WEIGHT_MOST)
    if path == "/api/v3/order/test" and params.get("computeCommissionRates") == "true":
        return _COMMISSION_WEIGHT
    if path == "/api/v3/ticker/24hr" and params.get("symbols"):
        return _by_length(params["symbols"].count(",") + 1, _TICKERS_WEIGHTS, _TICKERS_WEIGHT_MOST)
    return weight if params.get("symbol") else _ALL_SYMBOLS_WEIGHT.get(path, weight)


def _by_length(length: int, weights: Sequence[tuple[int, int]], most: int) -> int:
    return next((weight for bound, weight in weights if length <= bound), most)


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """How much is allowed."""

    weight_per_minute: int = 6_000
    orders_per_10s: int = 100
    orders_per_day: int = 200_000


@dataclass(slots=True)
class Limits:
    """Counts requests in the exchange's fixed windows; all times in Unix milliseconds."""

    settings: LimitSettings = field(default_factory=LimitSettings)
    weight: int = 0
    orders_today: int = 0
    banned_until_ms: int = 0
    _minute: int = 0
    _day: int = 0
    _ignored: int = 0
    _order_times: deque[int] = field(default_factory=deque)

    def count(self, weight: int, now_ms: int) -> None:
        """Count a request, or refuse it with 429 and later 418."""
        self._check_ban(now_ms)
        minute = now_ms // _MINUTE_MS
        if minute != self._minute:
            self._minute, self.weight, self._ignored = minute, 0, 0
        if self.weight + weight <= self.settings.weight_per_minute:
            self.weight += weight
            return
        self._ignored += 1
        if self._ignored > _PATIENCE:
            self.ban(_BAN_S, now_ms)
            self._check_ban(now_ms)
        wait_s = (_MINUTE_MS - now_ms % _MINUTE_MS) // 1_000 + 1
        raise ApiError(
            -1003,
            "Too much request weight used; current limit is"
            f" {self.settings.weight_per_minute} request weight per 1 MINUTE. Please use"
            " WebSocket Streams for live updates to avoid polling the API.",
            429,
            retry_after_s=wait_s,
        )

    def count_order(self, now_ms: int) -> None:
        """Count a new order, or refuse it with -1015."""
        self._forget_orders(now_ms)
        if len(self._order_times) >= self.settings.orders_per_10s:
            oldest = self._order_times[0]
            raise _too_many_orders(
                f"{self.settings.orders_per_10s} orders per 10 SECOND",
                (oldest + _TEN_SECONDS_MS - now_ms) // 1_000 + 1,
            )
        if self.orders_today >= self.settings.orders_per_day:
            raise _too_many_orders(
                f"{self.settings.orders_per_day} orders per 1 DAY",
                (_DAY_MS - now_ms % _DAY_MS) // 1_000 + 1,
            )
        self._order_times.append(now_ms)
        self.orders_today += 1

    def ban(self, seconds: float, now_ms: int) -> None:
        """Answer nothing but 418 for a while."""
        self.banned_until_ms = now_ms + int(seconds * 1_000)

    def headers(self, now_ms: int, is_order: bool) -> dict[str, str]:
        """Return what every answer tells of the limits."""
        shown = {"X-MBX-USED-WEIGHT": str(self.weight), "X-MBX-USED-WEIGHT-1M": str(self.weight)}
        if is_order:
            self._forget_orders(now_ms)
            shown["X-MBX-ORDER-COUNT-10S"] = str(len(self._order_times))
            shown["X-MBX-ORDER-COUNT-1D"] = str(self.orders_today)
        return shown

    def _check_ban(self, now_ms: int) -> None:
        if now_ms < self.banned_until_ms:
            raise ApiError(
                -1003,
                "Way too much request weight used; IP banned until"
                f" {self.banned_until_ms}. Please use WebSocket Streams for live updates to avoid"
                " bans.",
                418,
                retry_after_s=(self.banned_until_ms - now_ms + 999) // 1_000,
            )

    def _forget_orders(self, now_ms: int) -> None:
        if now_ms // _DAY_MS != self._day:
            self._day, self.orders_today = now_ms // _DAY_MS, 0
        while self._order_times and self._order_times[0] <= now_ms - _TEN_SECONDS_MS:
            self._order_times.popleft()


def _too_many_orders(limit: str, retry_after_s: int) -> ApiError:
    return ApiError(
        -1015, f"Too many new orders; current limit is {limit}.", 429, retry_after_s=retry_after_s
    )
