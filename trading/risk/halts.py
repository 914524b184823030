"""What takes leave to add risk away by itself: a cap, a loss, a runaway; never a stop's sale."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from trading.domain.events import PUT_BACK, Event, ProcessStarted, ProcessStopped
from trading.domain.money import ZERO, plain
from trading.domain.position import Balance, TradingMode
from trading.risk.limits import RiskLimits

# Who changed the mode, in the journal's words.
BY = "risk"
CRASHES_MAX = 3
_NAMED_MAX = 3
CRASH_WINDOW = timedelta(minutes=5)
# The kinds of alarms that ask for a look and a resume: whoever resumes has seen them.
ASKING_FOR_A_LOOK = frozenset({"cap", PUT_BACK, "safe_mode"})
# The events that tell a crash from an orderly end.
LIVES = (ProcessStarted.__name__, ProcessStopped.__name__)


@dataclass(frozen=True, slots=True)
class Halt:
    """A mode that the account should be in from now on, and why."""

    mode: TradingMode
    reason: str


def loss_share(base: Decimal, equity: Decimal) -> Decimal:
    """Return the share of its base that the account lost since 00:00 UTC; 0 after a gain.

    `base` is the account's worth then, with what came in or went out since without a trade, and
    `equity` its worth now, both in the limits' currency.
    """
    return max((base - equity) / base, ZERO) if base > 0 else ZERO


def daily_loss(loss: Decimal, limits: RiskLimits, uncounted: Sequence[Balance] = ()) -> Halt | None:
    """Return REDUCING when the account lost its daily share; `uncounted` has no price."""
    if loss < limits.daily_loss_max:
        return None
    held = ", ".join(f"{plain(each.total)} {each.asset}" for each in uncounted[:_NAMED_MAX])
    more = f" and {len(uncounted) - _NAMED_MAX} more" if len(uncounted) > _NAMED_MAX else ""
    return Halt(
        TradingMode.REDUCING,
        f"daily loss {plain(round(loss * 100, 2))}% reached the limit of "
        f"{plain(limits.daily_loss_max * 100)}%"
        + (f"; not counted: {held}{more}, no price" if held else ""),
    )


def runaway(asked_last_minute: int, limits: RiskLimits) -> Halt | None:
    """Return REDUCING when entries were asked for faster than a person would ever ask."""
    most = limits.orders_per_minute_max * limits.runaway_factor
    if asked_last_minute < most:
        return None
    return Halt(
        TradingMode.REDUCING,
        f"{asked_last_minute} entries were asked for within a minute, at most "
        f"{limits.orders_per_minute_max} are permitted",
    )


def capped(symbol: str, reasons: Sequence[str]) -> Halt:
    """Return REDUCING for an entry that nothing but caps stood against."""
    return Halt(TradingMode.REDUCING, f"an entry in {symbol} was refused: {'; '.join(reasons)}")


def crash_loop(lives: Sequence[Event]) -> Halt | None:
    """Return REDUCING, the safe mode, at the start after the third crash within the window.

    `lives` are the starts and orderly ends within `CRASH_WINDOW`, oldest first, without the
    present start: a start that no end follows was a crash.
    """
    ends = [*lives[1:], None]
    crashes = sum(
        isinstance(life, ProcessStarted) and not isinstance(after, ProcessStopped)
        for life, after in zip(lives, ends, strict=False)
    )
    if crashes < CRASHES_MAX:
        return None
    minutes = CRASH_WINDOW // timedelta(minutes=1)
    return Halt(TradingMode.REDUCING, f"SAFE MODE: {crashes} crashes within {minutes} minutes")


def put_back(count: int, last_at: datetime | None) -> Halt:
    """Return REDUCING, the safe mode, for a journal that lacks what was written before.

    `count` are the records that it lacks, `last_at` is the UTC time of its own last one.
    """
    if last_at is None:
        what = f"the database of this place is gone, with {count} records: a new one was begun"
    else:
        missing = f", {count} records after that are missing" if count else ""
        what = (
            "an older copy of the database was put back: it ends at "
            f"{last_at:%Y-%m-%d %H:%M} UTC{missing}"
        )
    return Halt(TradingMode.REDUCING, f"SAFE MODE: {what}")


def unknown_orders(count: int, last_at: datetime | None) -> Halt:
    """Return REDUCING, the safe mode, for orders of ours that the journal does not know.

    `last_at` is the UTC time of its last sign of life before this start.
    """
    noun, sent = ("an order", "it was") if count == 1 else (f"{count} orders", "they were")
    ends = f". It ends at {last_at:%Y-%m-%d %H:%M} UTC" if last_at is not None else ""
    return Halt(
        TradingMode.REDUCING,
        f"SAFE MODE: the exchange has {noun} of ours that the database does not know: an older "
        f"copy of it was put back, or nothing could be written when {sent} sent{ends}",
    )


def stricter(present: TradingMode, halt: Halt | None) -> Halt | None:
    """Return the halt only when it changes something: a halt never loosens a mode."""
    if halt is None or _STRICTNESS[halt.mode] <= _STRICTNESS[present]:
        return None
    return halt


def is_loosened(present: TradingMode, wanted: TradingMode) -> bool:
    """Whether a change of mode ends a halt, or a part of it."""
    is_halted = _STRICTNESS[present] >= _STRICTNESS[TradingMode.HALTED]
    return is_halted and _STRICTNESS[wanted] < _STRICTNESS[present]


_STRICTNESS = {
    TradingMode.ACTIVE: 0,
    TradingMode.REDUCING: 1,
    TradingMode.HALTED: 2,
    TradingMode.HALTED_EVERYTHING: 3,
}
