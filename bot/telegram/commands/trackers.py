"""Commands about trackers: the list, one card, changes typed and tapped, and /track."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from bot.telegram import grammar
from bot.telegram.commands import asking, guide, looking
from bot.telegram.commands.context import Reply, Request, Services, page_of, whole_number
from bot.telegram.keyboards import does, in_rows
from bot.telegram.render import trackers as render
from bot.telegram.render.text import Card, Code, card_text, percent, price
from trading.domain.commands import Command, EditTracker
from trading.domain.errors import Refused
from trading.domain.instrument import Instrument
from trading.domain.money import plain
from trading.domain.order import Side
from trading.domain.tracker import ThenKind, Tracker, TrackerKind, TrackerState
from trading.overview import TrackerView


async def track(request: Request, services: Services) -> Reply:
    """Answer /track: the whole line at once, or one step of the guided card."""
    step = guide.next_step(request.words, services.desk)
    if step is None:
        return await asking.handle_command(request, services)
    services.typed_next[request.by] = request.text if step.takes_typing else ""
    return Reply((step.card,), outcome="guided")


async def show_trackers(request: Request, services: Services) -> Reply:
    """Answer /trackers [page]."""
    return Reply((render.trackers_card(services.desk.trackers(), page_of(request)),))


async def tracker(request: Request, services: Services) -> Reply:
    """Answer /tracker ID and every change of it."""
    if not request.words:
        return await show_trackers(request, services)
    if len(request.words) == 1:
        return Reply((await _card(request, services),))
    verb = request.words[1].lower()
    if verb == "why" and len(request.words) == 2:
        return Reply((render.why_card(_view(request, services)),))
    if verb == "chart":
        return await _chart(request, services)
    if verb == "tighten" and len(request.words) == 2:
        view = _view(request, services)
        return Reply((_tighten_card(view, await _applying(request, services, view)),))
    command = grammar.parse(request.text, services.desk.instrument)
    return await asking.put(request, services, _on_its_kind(command, _view(request, services)))


async def _chart(request: Request, services: Services) -> Reply:
    """The picture of its symbol, as /chart draws it."""
    words = (_view(request, services).tracker.symbol, *request.words[2:])
    return await looking.show_chart(
        replace(request, words=words, text=" ".join(("/chart", *words))), services
    )


def _on_its_kind(command: Command, view: TrackerView) -> Command:
    """`stop P` moves the level of a protective stop, and the hard stop of every other kind."""
    if not isinstance(command, EditTracker) or view.tracker.spec.kind is not TrackerKind.STOP:
        return command
    if command.stop is None or command.level is not None:
        return command
    return replace(command, level=command.stop, stop=None)


async def _card(request: Request, services: Services) -> Card:
    """Its living card, or how it ended."""
    number = _number(request)
    try:
        return render.tracker_card(services.desk.tracker(number))
    except Refused:
        return render.ended_card(await services.desk.ended_tracker(number))


def _view(request: Request, services: Services) -> TrackerView:
    return services.desk.tracker(_number(request))


def _number(request: Request) -> int:
    return whole_number(request.words, 0, 1, 999_999_999, ("the tracker's number", "/tracker 3"))


async def _applying(request: Request, services: Services, view: TrackerView) -> list[str]:
    """The options that the desk would take now; Refused with its reason when that is none."""
    number = view.tracker.tracker_id
    refusal = Refused(f"tracker {number} has no stop to tighten", example=f"/tracker {number}")
    found = []
    for words in _options(view):
        command = grammar.parse(f"/tracker {number} {words}", services.desk.instrument)
        try:
            await services.desk.propose(_on_its_kind(command, view), request.by)
        except Refused as error:
            refusal = error
        else:
            found.append(words)
    if not found:
        raise refusal
    return found


def _tighten_card(view: TrackerView, options: Sequence[str]) -> Card:
    """Options to tap, and how to type any other."""
    tracker = view.tracker
    this = f"/tracker {tracker.tracker_id}"
    buttons = [does(_label(words, view.instrument), f"{this} {words}") for words in options]
    title = f"🔧 Change #{tracker.tracker_id} {tracker.symbol}"
    hint = Code(f"{this} trail 1.5%" if tracker.distance else f"{this} stop 59000")
    text = card_text(title, "Tightening acts at once.", "What loosens asks first.", hint)
    return Card(text, in_rows(buttons))


def _label(words: str, instrument: Instrument) -> str:
    """The words of an option with its price as cards write prices."""
    name, _, value = words.partition(" ")
    if name == "stop":
        return f"{name} {price(Decimal(value), instrument)}"
    if name != "backstop" or value == "off":
        return words
    return f"{name} {price(Decimal(value))}"


def _options(view: TrackerView) -> list[str]:
    """Tighter stops and trails, other modes, a backstop on or off: as they would be typed."""
    stops = _tighter_stops(view, view.instrument)
    trails = _tighter_trails(view.tracker.distance)
    return [
        *(f"stop {plain(stop)}" for stop in stops),
        *(f"trail {percent(share)[1:]}" for share in trails),
        *_modes(view.tracker),
        *_backstops(view),
    ]


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


def _backstops(view: TrackerView) -> list[str]:
    tracker, now = view.tracker, view.price
    if tracker.spec.backstop is not None:
        return ["backstop off"]
    if tracker.side is not Side.SELL or now is None or not tracker.quantity:
        return []
    worst = now if view.worst_case is None else now + view.worst_case / tracker.quantity
    wide = view.instrument.price_down(min(worst, now) * Decimal("0.9"))
    return [f"backstop {plain(wide)}"] if wide > 0 else []
