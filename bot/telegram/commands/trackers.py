"""Commands about trackers: the list, one card, changes typed and tapped, and /track."""

from collections.abc import Callable
from dataclasses import replace

from bot.telegram import grammar
from bot.telegram.access import may_use
from bot.telegram.commands import asking, guide, looking
from bot.telegram.commands.context import Reply, Request, Services, page_of, whole_number
from bot.telegram.render import trackers as render
from bot.telegram.render.text import Card
from bot.telegram.render.tracker_changes import options, tighten_card
from trading.desk import Desk
from trading.domain.commands import Command, EditTracker
from trading.domain.errors import Refused
from trading.domain.tracker import TrackerKind
from trading.overview import TrackerView


async def track(request: Request, services: Services) -> Reply:
    """Answer /track: the whole line at once, or one step of the guided card."""
    if guide.is_left(request.words, is_continued=request.is_continued):
        services.typed_next.pop(request.by, None)
        return Reply((guide.left_card(),), outcome="left")
    step = await guide.next_step(request.words, services.desk)
    if step is None:
        # The guide is at its end: what is typed next is of something else.
        services.typed_next.pop(request.by, None)
        return await asking.handle_command(request, services)
    services.typed_next[request.by] = request.text if step.takes_typing else ""
    return Reply((step.card,), outcome="guided")


async def show_trackers(request: Request, services: Services) -> Reply:
    """Answer /trackers [page]."""
    may_act = may_use("track", request.person.role)
    views = services.desk.trackers()
    return Reply((render.trackers_card(views, page_of(request), may_act=may_act),))


async def tracker(request: Request, services: Services) -> Reply:
    """Answer /tracker ID and every change of it."""
    if not request.words:
        return await show_trackers(request, services)
    if len(request.words) == 1:
        return Reply((await _card(request, services),))
    verb = request.words[1].lower()
    if verb == "why" and len(request.words) == 2:
        return Reply((await _card(request, services, render.why_card),))
    if verb == "chart":
        return await _chart(request, services)
    if verb == "tighten" and len(request.words) == 2:
        view = _view(request, services)
        return Reply((tighten_card(view, await _applying(request, services, view)),))
    command = grammar.parse(request.text, services.desk.instrument)
    return await asking.put(request, services, on_its_kind(command, services.desk))


async def _chart(request: Request, services: Services) -> Reply:
    """The picture of its symbol, as /chart draws it."""
    words = (_view(request, services).tracker.symbol, *request.words[2:])
    return await looking.show_chart(
        replace(request, words=words, text=" ".join(("/chart", *words))), services
    )


def on_its_kind(command: Command, desk: Desk) -> Command:
    """`stop P` moves the level of a protective stop, and the hard stop of every other kind.

    Raises Refused for a change of a tracker that is not live.
    """
    number = getattr(command, "tracker_id", None)
    if number is None:
        return command
    kind = desk.tracker(number).tracker.spec.kind
    if not isinstance(command, EditTracker) or kind is not TrackerKind.STOP:
        return command
    if command.stop is None or command.level is not None:
        return command
    return replace(command, level=command.stop, stop=None)


async def _card(
    request: Request,
    services: Services,
    living: Callable[[TrackerView], Card] = render.tracker_card,
) -> Card:
    """A card of what lives, or how it ended."""
    number = _number(request)
    try:
        return living(services.desk.tracker(number))
    except Refused:
        return render.ended_card(await services.desk.ended_tracker(number))


def _view(request: Request, services: Services) -> TrackerView:
    return services.desk.tracker(_number(request))


def _number(request: Request) -> int:
    return whole_number(request.words, 0, 1, 999_999_999, ("the tracker's number", "/trackers"))


async def _applying(request: Request, services: Services, view: TrackerView) -> list[str]:
    """The options that the desk would take now; Refused with its reason when that is none."""
    number = view.tracker.tracker_id
    refusal = Refused(f"tracker {number} has no stop to tighten", example=f"/tracker {number}")
    found = []
    for words in options(view):
        command = grammar.parse(f"/tracker {number} {words}", services.desk.instrument)
        try:
            await services.desk.propose(on_its_kind(command, services.desk), request.by)
        except Refused as error:
            refusal = error
        else:
            found.append(words)
    if not found:
        raise refusal
    return found
