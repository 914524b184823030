"""Commands that act: closing, pausing, acknowledging, exporting."""

from bot.telegram.commands import asking, guide
from bot.telegram.commands.context import Reply, Request, Services, no_more
from bot.telegram.keyboards import does
from bot.telegram.render.text import Card, card_text, count, quantity, worth
from trading.domain.commands import AcknowledgeAlerts
from trading.domain.errors import Refused
from trading.domain.events import AlertAcknowledged
from trading.domain.instrument import base_and_quote

_PICKS_MAX = 10
_EXPORTS = ("fills", "trades", "trackers", "audit", "journal")


async def close(request: Request, services: Services) -> Reply:
    """Answer /close SYMBOL [50%]; alone it offers what can be closed."""
    if request.words:
        return await asking.handle_command(request, services)
    views = services.desk.positions()
    if not views:
        raise Refused("there is no managed position to close", example="/positions")
    rows = tuple(
        (
            does(f"{view.symbol} {quantity(view.position.quantity)}", f"/close {view.symbol}"),
            does("half", f"/close {view.symbol} 50%"),
        )
        for view in views[:_PICKS_MAX]
    )
    lines = (
        f"{view.symbol} = {worth(view.value, _quote(view.symbol))}" for view in views[:_PICKS_MAX]
    )
    return Reply((Card(card_text("Close which position?", *lines), rows),), outcome="guided")


def _quote(symbol: str) -> str:
    return base_and_quote(symbol)[1]


async def trade(request: Request, services: Services) -> Reply:
    """Answer /trade, /buy and /sell: the whole line at once, or one step of the guided card."""
    if guide.is_left(request.words, is_continued=request.is_continued):
        services.typed_next.pop(request.by, None)
        return Reply((guide.left_card(),), outcome="left")
    step = await guide.next_trade_step(request.command, request.words, services.desk)
    if step is None and request.is_continued:
        step = guide.ask_unit(request.command, request.words, services.desk)
    if step is None:
        # The guide is at its end: what is typed next is of something else.
        services.typed_next.pop(request.by, None)
        return await asking.handle_command(request, services)
    services.typed_next[request.by] = request.text if step.takes_typing else ""
    return Reply((step.card,), outcome="guided")


async def acknowledge(request: Request, services: Services) -> Reply:
    """Answer /ack: repeating alerts end, all of them; they have no numbers to name."""
    no_more(request.words, 0, "/ack")
    own = services.standing_alert_ids()
    standing = len(own) + len(services.desk.standing().alerts)
    reply = await asking.put(request, services, AcknowledgeAlerts())
    if not own:
        return reply
    # The agent knows nothing of what the chat alone keeps, and counts without it.
    seen = tuple(AlertAcknowledged(each, request.by, request.now) for each in own)
    card = Card(card_text(f"👍 {count(standing, 'alert')} acknowledged"))
    return Reply((card,), (*reply.events, *seen), reply.outcome)


async def export(request: Request, services: Services) -> Reply:
    """Answer /export [fills|trades|trackers|audit|journal] with a CSV document."""
    no_more(request.words, 1, "/export fills")
    kind = request.words[0].lower() if request.words else "fills"
    if kind not in _EXPORTS:
        kinds = ", ".join(_EXPORTS)
        raise Refused(f"the export should be one of {kinds}, was {kind[:24]!r}", "/export fills")
    path = await services.export(kind)
    rows = tuple(does(each, f"/export {each}") for each in _EXPORTS)
    return Reply((Card(card_text(f"🗂 {kind} as CSV"), (rows,), document=str(path)),))
