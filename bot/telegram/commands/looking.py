"""Commands that only look: state, holdings, orders, history, charts, summary."""

from datetime import timedelta
from zoneinfo import ZoneInfo

from bot.charts.drawing import drawing_of
from bot.telegram.commands import asking, removing, users
from bot.telegram.commands.context import (
    PAGE_MAX,
    Reply,
    Request,
    Services,
    no_more,
    page_of,
    whole_number,
)
from bot.telegram.commands.lines import is_listed, pairs_offered, refuse_order
from bot.telegram.keyboards import does, in_rows, shows
from bot.telegram.render import reports, status
from bot.telegram.render.text import Card, Code, card_text, price
from bot.telegram.words import quoted
from trading.domain.chat import Confirmation, Role
from trading.domain.errors import Refused
from trading.domain.events import ConfirmationAsked
from trading.domain.time import Timeframe

_SUMMARY_ROWS = (
    (does("📜 History", "/history"), does("💼 Positions", "/positions")),
    (does("🗞 Digest", "/digest"), does("📊 Status", "/status")),
)
_USUAL = ("BTC/USDT", "ETH/USDT")
_HISTORY_MAX = 200
_CANDLES = 120
_LENGTHS = ("1m", "5m", "15m", "1h", "4h", "1d")
_QUESTIONS_MAX = 200
# A trail that follows the price may fill many rows with its moves.
_AUDITED_MAX = 500


async def show_status(request: Request, services: Services) -> Reply:
    """Answer /status."""
    no_more(request.words, 0, "/status")
    return Reply(
        (
            status.status_card(
                services.desk.status(), may_act=request.person.role is not Role.VIEWER
            ),
        )
    )


async def show_positions(request: Request, services: Services) -> Reply:
    """Answer /positions [page]."""
    page = page_of(request)
    may_act = request.person.role is not Role.VIEWER
    return Reply((status.positions_card(services.desk.positions(), page, may_act=may_act),))


async def show_balance(request: Request, services: Services) -> Reply:
    """Answer /balance [page]."""
    page = page_of(request)
    return Reply((status.balance_card(services.desk.account(), page),))


async def show_orders(request: Request, services: Services) -> Reply:
    """Answer /orders [page]."""
    page = page_of(request)
    return Reply((status.orders_card(services.desk.open_orders(), page),))


async def show_history(request: Request, services: Services) -> Reply:
    """Answer /history [n] [page]."""
    no_more(request.words, 2, "/history 20")
    limit = whole_number(request.words, 0, 20, _HISTORY_MAX, ("the number of exits", "/history 20"))
    page = whole_number(request.words, 1, 1, PAGE_MAX, ("the page", "/history 20 1"))
    trips = await services.desk.history(limit)
    at_work = [intent for intent, _ in services.desk.open_orders()]
    return Reply((status.history_card(trips, page, limit, at_work),))


async def show_chart(request: Request, services: Services) -> Reply:
    """Answer /chart SYMBOL [tf] with a picture whose caption carries the numbers."""
    if not request.words:
        return _pick_chart(request, services)
    refuse_order("/chart", request.words)
    offer = pairs_offered("/chart", request.words, services, most=1)
    if offer is not None:
        return Reply((offer,), outcome="guided")
    no_more(request.words, 2, " ".join(("/chart", *request.words[:2])))
    instrument = services.desk.instrument(request.words[0])
    timeframe = Timeframe.parse(request.words[1] if len(request.words) > 1 else "15m")
    view = await services.desk.chart(instrument.symbol, timeframe, _CANDLES)
    if not view.candles:
        other = "1h" if timeframe.name != "1h" else "1d"
        raise Refused(
            f"there are no {timeframe.name} candles of {instrument.symbol} yet",
            example=f"/chart {instrument.symbol} {other}",
        )
    name = request.cause.replace(":", "-")
    path = services.data_dir / "charts" / f"{name}.png"
    drawing = drawing_of(view, instrument.price_tick, ZoneInfo(request.person.timezone))
    await services.charts.draw(drawing, path)
    buttons = [does(each, f"/chart {instrument.symbol} {each}") for each in _LENGTHS]
    ways = (
        does("🔄 Refresh", f"/chart {instrument.symbol} {timeframe.name}"),
        does("📊 Ranks", f"/rank {instrument.symbol}"),
    )
    caption = reports.chart_caption(view, instrument)
    return Reply((Card(caption, (*in_rows(buttons, 3), ways), picture=str(path)),))


def _pick_chart(request: Request, services: Services) -> Reply:
    """What is tracked, held or watched, to tap; else what is usual."""
    wanted = [view.tracker.symbol for view in services.desk.trackers()]
    wanted += [view.symbol for view in services.desk.positions()]
    wanted += [one.symbol for one in request.person.wishes.interests]
    wanted = wanted or [symbol for symbol in _USUAL if is_listed(symbol, services)]
    if not wanted:
        raise Refused("the symbol is missing", example="/chart BTC/USDT 1h")
    rows = tuple((does(symbol, f"/chart {symbol}"),) for symbol in list(dict.fromkeys(wanted))[:8])
    text = card_text(
        "📈 Chart of which symbol?", "Tap one, or send it:", Code("/chart BTC/USDT 1h")
    )
    return Reply((Card(text, rows),))


async def show_summary(request: Request, services: Services) -> Reply:
    """Answer /summary: what happened in the last 24 hours."""
    if request.words:
        said = quoted(request.words)
        raise Refused(
            f"/summary is of the last 24 hours and takes no words, was {said}", "/summary"
        )
    view = await services.desk.summary(request.now - timedelta(hours=24))
    card = reports.summary_card(view, timezone=ZoneInfo(request.person.timezone))
    return Reply((Card(card.text, _SUMMARY_ROWS),))


async def show_health(request: Request, services: Services) -> Reply:
    """Answer /health."""
    no_more(request.words, 0, "/health")
    card = reports.health_card(services.desk.health())
    return Reply((Card(card.text, ((shows("🔄 Refresh", "/health"),),)),))


async def show_jobs(request: Request, services: Services) -> Reply:
    """Answer /jobs."""
    no_more(request.words, 0, "/jobs")
    card = reports.jobs_card(services.desk.jobs(), request.now)
    return Reply((Card(card.text, ((shows("🔄 Refresh", "/jobs"),),)),))


async def show_audit(request: Request, services: Services) -> Reply:
    """Answer /audit [n]."""
    no_more(request.words, 1, "/audit 20")
    limit = whole_number(request.words, 0, 15, 60, ("the number of lines", "/audit 20"))
    names = {person.user_id: person.name for person in services.roster.active.values()}
    rows = reports.without_repeated_moves(await services.desk.audit(_AUDITED_MAX))[:limit]
    questions = await _questions(services)
    currency = services.desk.account().currency
    card = reports.audit_card(rows, request.now, names, questions, currency)
    return Reply((card,))


async def _questions(services: Services) -> dict[str, str]:
    """The newest questions by nonce, as the commands that they asked for."""
    asked = await services.journal.latest(_QUESTIONS_MAX, (ConfirmationAsked.__name__,))
    return {
        one.event.confirmation.nonce: _asked_for(one.event.confirmation)
        for one in asked
        if isinstance(one.event, ConfirmationAsked)
    }


def _asked_for(question: Confirmation) -> str:
    """The command that a question's yes does; those that the chat answers have payloads apart."""
    match question.action:
        case users.ADMIT:
            return f"/role {question.payload}"
        case users.REVOKE:
            return f"/revoke {question.payload}"
        case removing.REMOVE:
            return removing.said(question.payload)
        case _:
            return asking.said(question.payload)


async def show_version(request: Request, services: Services) -> Reply:
    """Answer /version."""
    no_more(request.words, 0, "/version")
    view = services.desk.status()
    lines = (f"{view.mode} on {view.exchange}", f"running since {view.started_at:%b %d %H:%M} UTC")
    return Reply((Card(card_text(f"Umbra {services.version}", *lines)),))


async def show_price(request: Request, services: Services) -> Reply:
    """Answer a bare symbol with its price and what can be done about it."""
    instrument = services.desk.instrument(request.text)
    quote = await services.desk.look(instrument.symbol)
    title = f"{instrument.symbol}: no price comes now"
    lines: tuple[str, ...] = ()
    if quote is not None:
        title = f"{instrument.symbol} {price(quote.mid, instrument)}"
        lines = (f"bid {price(quote.bid, instrument)}", f"ask {price(quote.ask, instrument)}")
    buttons = (
        does("🎯 Track", f"/track {instrument.symbol}"),
        does("📈 Chart", f"/chart {instrument.symbol}"),
    )
    return Reply((Card(card_text(title, *lines), (buttons,)),))
