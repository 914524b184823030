"""From a command of the core to its end: proposed, asked where it must be, done once."""

import json
from dataclasses import replace
from decimal import Decimal

from bot.telegram import confirm, examples, grammar
from bot.telegram.commands.context import Reply, Request, Services, asked
from bot.telegram.fat_fingers import UNUSUAL_SHARE_MIN, doubt_of
from bot.telegram.keyboards import does, in_rows
from bot.telegram.phrase import phrase
from bot.telegram.render.closing import closing_name, of_known
from bot.telegram.render.text import Card, card_text, quantity
from bot.telegram.render.tracker_words import owned
from bot.telegram.render.trackers import tracker_card
from bot.telegram.render.trading import (
    has_second_choice,
    order_name,
    question_text,
    told_card,
)
from bot.telegram.stepup import is_grave
from trading.desk import Outcome, Proposal, Shown
from trading.domain.chat import Role
from trading.domain.commands import (
    ArmTracker,
    CloseAll,
    Command,
    EditTracker,
    Panic,
    PauseTracker,
    PlaceOrder,
    ResumeTracker,
    SetTradingMode,
)
from trading.domain.errors import AlreadyRecorded, Outgrown, Refused
from trading.domain.money import plain
from trading.domain.order import Side
from trading.domain.position import TradingMode
from trading.overview import TrackerView

_TRACKER_COMMANDS = (ArmTracker, EditTracker, PauseTracker, ResumeTracker)


def adds_risk(command: Command) -> bool:
    """Whether a command may lead to more exposure: it is asked with a short answer time."""
    match command:
        case ArmTracker(spec):
            return spec.first_side is Side.BUY
        case PlaceOrder(side=side):
            return side is Side.BUY
        case SetTradingMode(mode=mode):
            return mode is TradingMode.ACTIVE
        case _:
            return False


async def handle_command(request: Request, services: Services) -> Reply:
    """Answer any acting command: read it, check it, ask or do it."""
    command = grammar.parse(request.text, services.desk.instrument)
    return await put(request, services, command)


async def put(request: Request, services: Services, command: Command, notice: str = "") -> Reply:
    """Check a command against the present state, then ask for it or do it at once.

    Here and not only at its name: some commands look with one word and act with the next.
    """
    if request.person.role is Role.VIEWER:
        raise Refused(f"a viewer looks and changes nothing: {phrase(command)}", example="/status")
    refuse_stale(request, services, command)
    refuse_unseen(services, command)
    try:
        proposal = await services.desk.propose(command, request.by)
        if proposal.needs_confirmation:
            return _question(request, services, proposal, notice)
        return await do(request, services, proposal.command, None)
    except AlreadyRecorded:
        raise
    except Refused as error:
        raise examples.fitting(error, command) from error


def refuse_stale(request: Request, services: Services, command: Command) -> None:
    """Refuse a risk-adding command that waited too long on its way, or nobody knows how long."""
    if not adds_risk(command):
        return
    age_s = (request.now - request.sent_at).total_seconds()
    most_s = services.settings.command_age_max_s
    if age_s > most_s:
        raise Refused(
            f"this was sent {age_s:.0f} s ago and adds risk, so it was not done. "
            f"The limit is {most_s} s; send it again",
            example=phrase(command),
        )
    if -age_s > most_s:
        raise Refused(
            f"by this machine's clock this will be sent in {-age_s:.0f} s. It adds risk, so it "
            "was not done: set the clock and send it again",
            example=phrase(command),
        )


def refuse_unseen(services: Services, command: Command) -> None:
    """Refuse to buy at a person's word while something critical stands that nobody has seen.

    A tracker that buys later is armed all the same: it asks nobody then, and risk rules bind it.
    """
    if not (isinstance(command, PlaceOrder) and command.side is Side.BUY):
        return
    unseen = services.unseen()
    if unseen:
        more = f" (and {len(unseen) - 1} more)" if len(unseen) > 1 else ""
        first = unseen[0].rstrip(". ")
        raise Refused(
            f"something critical stands: {first}{more}. Look at it and send /ack first",
            example="/ack",
        )


def _question(request: Request, services: Services, proposal: Proposal, notice: str) -> Reply:
    risky = proposal.reference_price is not None or adds_risk(proposal.command)
    settings = services.settings
    seconds = settings.risk_answer_s if risky else settings.safe_answer_s
    least = settings.code_notional_min
    needs_code = services.step_up.is_on and is_grave(proposal, least)
    unusual = max(least, services.desk.status().equity * UNUSUAL_SHARE_MIN)
    doubt = doubt_of(proposal, unusual, needs_code=needs_code)
    if doubt is not None:
        notice = " ".join(part for part in (notice, f"⚠️ {doubt.why}") if part)
    if needs_code or doubt is not None:
        seconds = max(seconds, settings.code_answer_s)
    question = confirm.Question(
        action=type(proposal.command).__name__,
        payload=pack(
            proposal.command,
            proposal.reference_price,
            needs_code=needs_code,
            shown=proposal.shown,
            number=doubt.number if doubt else "",
        ),
        answer_within_s=seconds,
        everything=pack(Panic(True), None) if has_second_choice(proposal) else None,
    )
    text = question_text(proposal, seconds, notice)
    return asked(question, text, request, services)


def pack(
    command: Command,
    reference_price: Decimal | None,
    *,
    needs_code: bool = False,
    shown: Shown | None = None,
    number: str = "",
) -> str:
    """Write a question's payload: the command in its own words, and what was shown.

    `number` has to be typed besides the tap.
    """
    content: dict[str, object] = {
        "command": phrase(command),
        "reference_price": None if reference_price is None else plain(reference_price),
    }
    if needs_code:
        content["needs_code"] = True
    if shown is not None:
        content["shown"] = {
            "size": None if shown.size is None else plain(shown.size),
            "adopted": plain(shown.adopted),
            **({"orders": shown.orders} if shown.orders else {}),
            **({"rules": shown.rules} if shown.rules else {}),
        }
    if number:
        content["number"] = number
    return json.dumps(content)


def _shown(payload: str) -> Shown | None:
    shown = json.loads(payload).get("shown")
    if shown is None:
        return None
    size, orders = shown["size"], tuple(shown.get("orders", ()))
    size = None if size is None else Decimal(size)
    return Shown(size, Decimal(shown["adopted"]), orders, shown.get("rules", ""))


def needs_code(payload: str) -> bool:
    """Whether a question asked for a code besides the tap."""
    return json.loads(payload).get("needs_code") is True


def number_of(payload: str) -> str:
    """The number that a question wants typed besides the tap; empty for none."""
    return str(json.loads(payload).get("number", ""))


def said(payload: str) -> str:
    """Return the command that a question asked for; empty for a question of another kind."""
    first = payload.partition("\n")[0]
    return str(json.loads(first).get("command", "")) if first.startswith("{") else first


def unpack(payload: str, services: Services) -> tuple[Command, Decimal | None]:
    """Read a payload back; raises Refused when its symbol is no longer listed."""
    content = json.loads(payload)
    price = content["reference_price"]
    command = grammar.parse(content["command"], services.desk.instrument)
    return command, None if price is None else Decimal(price)


async def confirmed(request: Request, services: Services, payload: str) -> Reply:
    """Do what a person has just confirmed; past the drift it is quoted and asked again.

    So is what would be more than the question said; less is done, for it protects, and told.
    """
    command, reference_price = unpack(payload, services)
    try:
        return await do(request, services, command, reference_price, _shown(payload))
    except AlreadyRecorded:
        raise
    except Refused as error:
        if reference_price is None and not isinstance(error, Outgrown):
            raise examples.fitting(error, command) from error
        return await _asked_again(request, services, command, error)


async def _asked_again(
    request: Request, services: Services, command: Command, error: Refused
) -> Reply:
    try:
        return await put(request, services, command, notice=f"Asked again: {error}")
    except Refused:
        raise examples.fitting(error, command) from error


async def do(
    request: Request,
    services: Services,
    command: Command,
    reference_price: Decimal | None,
    shown: Shown | None = None,
) -> Reply:
    """Have the desk do it, once per cause, and show what became of it."""
    try:
        outcome = await services.desk.execute(
            command, request.by, request.cause, reference_price, shown
        )
    except AlreadyRecorded:
        outcome = Outcome("Done, shortly before a restart. It was not done twice.")
    card = _outcome_card(services, command, outcome, shown)
    less = _less_sold(outcome, shown)
    if isinstance(command, CloseAll | Panic):
        # What all of them come to is told here; each sale besides tells of itself.
        card = replace(card, name=closing_name(request.cause))
    return Reply((card, *less), outcome="done")


def _less_sold(outcome: Outcome, shown: Shown | None) -> tuple[Card, ...]:
    """A message of its own where a sale is of less than its question said: its card is edited."""
    if outcome.size is None or shown is None or shown.size is None or outcome.size >= shown.size:
        return ()
    title = f"⚠️ This sale is of {quantity(outcome.size)} only"
    said = f"The question said {quantity(shown.size)}; no more can be sold now."
    return (Card(card_text(title, said)),)


def _outcome_card(
    services: Services, command: Command, outcome: Outcome, shown: Shown | None
) -> Card:
    told = told_card(outcome.text)
    if isinstance(command, CloseAll | Panic) and services.desk.status().is_in_doubt:
        told = Card(card_text(*of_known(outcome.text)))
    tracker_id = outcome.tracker_id or getattr(command, "tracker_id", None)
    if isinstance(command, _TRACKER_COMMANDS) and tracker_id is not None:
        try:
            view = services.desk.tracker(tracker_id)
        except Refused:
            return told
        return tracker_card(view, headline=f"{outcome.text}{_less(view, shown)}")
    shortcuts = in_rows((does("📊 Status", "/status"), does("📋 Orders", "/orders")))
    name = order_name(outcome.intent_ids[0]) if len(outcome.intent_ids) == 1 else None
    return Card(told.text, shortcuts, name=name)


def _less(view: TrackerView, shown: Shown | None) -> str:
    tracker = view.tracker
    size = tracker.quantity if tracker.side is Side.SELL else tracker.quote
    if shown is None or shown.size is None or size >= shown.size:
        return ""
    what = owned(tracker)
    return f" ⚠️ Less than asked: it {what}, the question said {plain(shown.size)}"
