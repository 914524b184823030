"""When a crossed level counts: touch, ticks, a run of moves, seconds or a candle close.

Each but touch has a hard bound. A run is that of `trading.market.buffer`: moves in one direction at
the end, equal prices skipped; here it begins with the move that crossed the level.
"""

from dataclasses import dataclass, replace
from decimal import Decimal

from trading.domain.market import PriceSource
from trading.domain.money import EXACT, ONE
from trading.domain.order import Side
from trading.domain.time import Timeframe
from trading.domain.tracker import Confirm, ConfirmKind, PriceKind, Tracker
from trading.trackers.trailing import is_beyond

# Ticks may be rare: that long beyond the level is enough, however many came.
TICKS_WAIT_S = 5.0
# The epoch was a Thursday, weekly candles open on a Monday.
_WEEK_OFFSET_MS = 4 * 86_400_000


@dataclass(frozen=True, slots=True)
class Tick:
    """One price of one kind, as a rule sees it, at the exchange's time and at ours."""

    price: Decimal
    kind: PriceKind
    source: PriceSource
    event_time_ms: int
    received_s: float


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a confirmation has come since the level was crossed without a return."""

    since_s: float
    ticks: int
    tick: Tick
    run: int = 1
    """Moves away from the level, one after the other, up to now."""


def bound(side: Side, level: Decimal, loss: Decimal) -> Decimal:
    """Return the price past which no confirmation is waited for."""
    return EXACT.multiply(level, ONE + side.sign * loss)


def advance(
    side: Side, progress: Progress | None, tick: Tick, now_s: float, *, is_tick: bool
) -> Progress:
    """Return the progress after a price beyond the level, or after time has passed there."""
    if progress is None:
        return Progress(since_s=now_s, ticks=1, tick=tick)
    if not is_tick:
        return progress
    run = _run(side, progress, tick.price)
    return replace(progress, ticks=progress.ticks + 1, tick=tick, run=run)


def is_confirmed(confirm: Confirm, progress: Progress, now_s: float) -> bool:
    """Whether ticks, moves or seconds beyond the level are enough.

    A close is asked of `closed_beyond`.
    """
    beyond_s = now_s - progress.since_s
    if confirm.kind is ConfirmKind.TOUCH:
        return True
    if confirm.kind is ConfirmKind.TICKS:
        return progress.ticks >= confirm.count or beyond_s >= TICKS_WAIT_S
    if confirm.kind is ConfirmKind.RUN:
        return progress.run >= confirm.count or beyond_s >= TICKS_WAIT_S
    return confirm.kind is ConfirmKind.SECONDS and beyond_s >= confirm.count


def closed_beyond(confirm: Confirm, progress: Progress | None, at_ms: int) -> bool:
    """Whether the candle of the last price beyond the level has closed by now."""
    if progress is None or confirm.kind is not ConfirmKind.CLOSE or confirm.timeframe is None:
        return False
    return _candle(at_ms, confirm.timeframe) > _candle(
        progress.tick.event_time_ms, confirm.timeframe
    )


def is_past_bound(tracker: Tracker, price: Decimal, level: Decimal) -> bool:
    """Whether the hard bound on the extra loss is reached."""
    return is_beyond(tracker.side, price, bound(tracker.side, level, tracker.loss_max))


def _run(side: Side, progress: Progress, price: Decimal) -> int:
    before = progress.tick.price
    if price == before:
        return progress.run
    return progress.run + 1 if is_beyond(side, price, before) else 0


def _candle(at_ms: int, timeframe: Timeframe) -> int:
    offset_ms = _WEEK_OFFSET_MS if timeframe.name.endswith("w") else 0
    return (at_ms - offset_ms) // timeframe.length_ms
