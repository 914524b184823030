"""Changes of a live tracker that one tap makes: which there are, and the card that offers them."""

from collections.abc import Sequence
from decimal import Decimal

from bot.telegram.keyboards import does, in_rows
from bot.telegram.render.text import Card, Code, card_text, percent, price
from trading.domain.instrument import Instrument
from trading.domain.money import plain
from trading.domain.order import Side
from trading.domain.tracker import ThenKind, Tracker, TrackerState
from trading.overview import TrackerView


def options(view: TrackerView) -> list[str]:
    """Tighter stops and trails, other modes, a backstop on or off: as they would be typed."""
    if view.instrument is None:
        return []
    stops = _tighter_stops(view, view.instrument)
    trails = _tighter_trails(view.tracker.distance)
    return [
        *(f"stop {plain(stop)}" for stop in stops),
        *(f"trail {percent(share)[1:]}" for share in trails),
        *_modes(view.tracker),
        *_backstops(view, view.instrument),
    ]


def tighten_card(view: TrackerView, offered: Sequence[str]) -> Card:
    """Options to tap, and how to type any other."""
    tracker = view.tracker
    this = f"/tracker {tracker.tracker_id}"
    buttons = [does(_label(words, view.instrument), f"{this} {words}") for words in offered]
    title = f"🔧 Change #{tracker.tracker_id} {tracker.symbol}"
    hint = Code(f"{this} trail 1.5%" if tracker.distance else f"{this} stop 59000")
    asked = "What loosens, or shows at the exchange, asks first."
    text = card_text(title, "Tightening acts at once.", asked, hint)
    return Card(text, in_rows(buttons))


def _label(words: str, instrument: Instrument | None) -> str:
    """The words of an option with its price as cards write prices."""
    name, _, value = words.partition(" ")
    if name == "stop":
        return f"{name} {price(Decimal(value), instrument)}"
    if name != "backstop" or value == "off":
        return words
    return f"{name} {price(Decimal(value))}"


def _tighter_stops(view: TrackerView, instrument: Instrument) -> list[Decimal]:
    """A quarter, half and three quarters of the way from the stop to the price."""
    stop = view.tracker.stop_price or view.tracker.hard_stop_price
    if stop is None or view.price is None or stop >= view.price or view.tracker.distance:
        return []
    way = view.price - stop
    parts = (Decimal("0.25"), Decimal("0.5"), Decimal("0.75"))
    return [instrument.price_down(stop + way * part) for part in parts]


def _tighter_trails(distance: Decimal | None) -> list[Decimal]:
    if distance is None:
        return []
    parts = (Decimal("0.75"), Decimal("0.5"), Decimal("0.25"))
    least = Decimal("0.0001")
    return [share for part in parts if (share := round(distance * part, 4)) >= least]


def _modes(tracker: Tracker) -> list[str]:
    has_filled = tracker.last_fill_price is not None
    if tracker.state is TrackerState.RESTING and has_filled:
        return []
    now = tracker.spec.then.kind
    if now is ThenKind.SWING and has_filled:
        # A later half can only be made the last.
        return ["then once"]
    modes = {ThenKind.ONCE: "then once", ThenKind.COOLDOWN: "then cooldown"}
    swing = _swing_that_gains(tracker.distance)
    if swing is not None:
        modes[ThenKind.SWING] = f"then swing {percent(swing)[1:]}"
    return [words for kind, words in modes.items() if kind is not now]


def _swing_that_gains(distance: Decimal | None) -> Decimal | None:
    """Twice the trail and a bit: it covers the trail and the fees of both fills."""
    if distance is None:
        return None
    share = max(round(distance * 2 + Decimal("0.005"), 4), Decimal("0.01"))
    return share if share <= Decimal("0.5") else None


def _backstops(view: TrackerView, instrument: Instrument) -> list[str]:
    tracker, now = view.tracker, view.price
    if tracker.spec.backstop is not None:
        return ["backstop off"]
    if tracker.side is not Side.SELL or now is None or not tracker.quantity:
        return []
    worst = now if view.worst_case is None else now + view.worst_case / tracker.quantity
    wide = instrument.price_down(min(worst, now) * Decimal("0.9"))
    return [f"backstop {plain(wide)}"] if wide > 0 else []
