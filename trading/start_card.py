"""The card of a start: what was found, what was done meanwhile, what is held and watched again."""

from collections.abc import Iterable, Sequence

from trading.domain.events import Event, IntentClosed
from trading.domain.money import plain
from trading.domain.order import Intent, Side
from trading.domain.position import Position
from trading.domain.tracker import Tracker, TrackerState

_LISTED_MAX = 10


class StartLog:
    """What a start has already done when its card is written; exits never wait for the card."""

    def __init__(self, loaded: Iterable[Tracker]) -> None:
        self._had_fired = {(each.tracker_id, each.arm_seq) for each in _acting(loaded)}
        self._closed: list[Intent] = []

    def apply(self, event: Event) -> None:
        """Take note of an order that is done."""
        if isinstance(event, IntentClosed) and event.intent.filled_quantity > 0:
            self._closed.append(event.intent)

    def lines(self, trackers: Iterable[Tracker]) -> list[str]:
        """Say what is done, and what has fired since the load and is not done yet."""
        fired = [
            each
            for each in _acting(trackers)
            if (each.tracker_id, each.arm_seq) not in self._had_fired
        ]
        lines = [*(_done(intent) for intent in self._closed), *(_at_work(each) for each in fired)]
        more = len(lines) - _LISTED_MAX
        if more > 0:
            return [*lines[:_LISTED_MAX], f"Done or fired while starting: {more} more"]
        return lines


def card(
    findings: Sequence[str], positions: Iterable[Position], waiting: int, working: int
) -> tuple[str, ...]:
    """Return the lines: findings first, then holdings and how many trackers and orders there are.

    `waiting` counts the trackers that watch, `working` the orders that are not done.
    """
    held = [
        f"{plain(position.quantity)} {position.symbol.partition('/')[0]}"
        for position in positions
        if position.quantity
    ]
    return (
        *(findings or ("Nothing fired meanwhile; there is nothing to do.",)),
        f"Held: {', '.join(held[:_LISTED_MAX])}" if held else "Nothing is held.",
        f"Watched again: {waiting}" + (f", orders at work: {working}" if working else ""),
    )


def _acting(trackers: Iterable[Tracker]) -> list[Tracker]:
    return [tracker for tracker in trackers if tracker.state.is_acting]


def _done(intent: Intent) -> str:
    verb = "sold" if intent.side is Side.SELL else "bought"
    number = "" if intent.tracker_id is None else f"#{intent.tracker_id} "
    base = intent.symbol.partition("/")[0]
    at = "" if intent.average_price is None else f" at {plain(round(intent.average_price, 8))}"
    return (
        f"Done while starting: {number}{intent.symbol} {verb} "
        f"{plain(intent.filled_quantity)} {base}{at}"
    )


def _at_work(tracker: Tracker) -> str:
    base, _, quote = tracker.symbol.partition("/")
    what = (
        f"selling {plain(tracker.quantity)} {base}"
        if tracker.side is Side.SELL
        else f"buying for {plain(tracker.quote)} {quote}"
    )
    is_blocked = tracker.state is TrackerState.BLOCKED
    told = f"BLOCKED: {tracker.reason}" if is_blocked else what
    return f"Fired while starting: #{tracker.tracker_id} {tracker.symbol}, {told}"
