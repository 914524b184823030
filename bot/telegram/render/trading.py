"""Order and closing cards, and the questions before anything irreversible."""

from collections.abc import Sequence

from bot import modes
from bot.telegram import phrase
from bot.telegram.keyboards import does, fits, in_rows
from bot.telegram.render.closing import UNKNOWN, came_in
from bot.telegram.render.text import (
    Card,
    Code,
    Line,
    age,
    card_text,
    count,
    money,
    price,
    quantity,
    unsigned_percent,
    worth,
)
from bot.telegram.render.tracker_questions import edit_lines, proposal_lines
from bot.telegram.render.tracker_words import short_owned
from trading.desk import (
    CloseLine,
    CloseProposal,
    EditProposal,
    Hurried,
    OrderProposal,
    PlainProposal,
    Proposal,
    Shrinkage,
    TrackerProposal,
)
from trading.domain.commands import (
    AbortIntent,
    AbortOrders,
    CancelTracker,
    CloseAll,
    Command,
    Panic,
    PauseTracker,
    SetTradingMode,
)
from trading.domain.errors import Refused
from trading.domain.instrument import Instrument, base_and_quote
from trading.domain.order import Intent, IntentState, Purpose, Side
from trading.domain.position import TradingMode
from trading.domain.tracker import Tracker

_LINES_MAX = 25
# Older prices are said to be old: seconds.
_FRESH_S = 10.0


def question_text(proposal: Proposal, answer_within_s: int, notice: str = "") -> str:
    """The HTML of a question; `notice` says why it is asked again."""
    title, lines = _facts(proposal)
    head: list[Line] = [notice] if notice else []
    limit = f"{answer_within_s} s" if answer_within_s < 120 else f"{answer_within_s // 60} min"
    return card_text(title, *head, *lines, f"Answer within {limit}.")


def _facts(proposal: Proposal) -> tuple[str, list[Line]]:
    match proposal.facts:
        case TrackerProposal() as facts:
            return proposal_lines(facts)
        case EditProposal() as facts:
            return edit_lines(facts)
        case OrderProposal() as facts:
            return _order_facts(facts)
        case CloseProposal() as facts:
            return _close_facts(facts, proposal.command)
        case PlainProposal(text):
            return _plain_title(proposal.command), [text, *_note(proposal.command)]


def _note(command: Command) -> list[Line]:
    note = modes.note_of(command.reason) if isinstance(command, SetTradingMode) else ""
    return [f"Reason: {note}"] if note else []


def _plain_title(command: Command) -> str:
    match command:
        case PauseTracker(number):
            title = f"❔ Pause #{number}?"
        case CancelTracker(number):
            title = f"❔ End #{number}?"
        case AbortIntent(number):
            title = f"❔ Give up the exit of #{number}?"
        case AbortOrders(symbol):
            title = f"❔ Give up orders of {symbol}?"
        case SetTradingMode(TradingMode.HALTED_EVERYTHING):
            title = "🚨 Halt EVERYTHING?"
        case SetTradingMode(TradingMode.HALTED):
            # Asked only where it is the milder halt.
            title = "❔ Stay halted, let stops sell?"
        case SetTradingMode(TradingMode.ACTIVE):
            title = "❔ Resume trading?"
        case _:
            title = f"❔ {phrase.phrase(command)}"
    return title


def _order_facts(facts: OrderProposal) -> tuple[str, list[Line]]:
    instrument = facts.instrument
    title = f"❔ {facts.side.value.title()} {quantity(facts.quantity)} {instrument.base}?"
    kind = (
        "at market"
        if facts.limit_price is None
        else f"limit {price(facts.limit_price, instrument)}"
    )
    lines: list[Line] = [
        f"{facts.symbol} {kind}",
        f"Price about {price(facts.price, instrument)}",
        f"Total about {money(facts.notional)} {instrument.quote}",
        f"Slippage about {unsigned_percent(facts.slippage)}",
        f"Fee about {_fee(facts)}",
        *facts.notes,
        *_shrunk(facts.shrunk, instrument.base),
    ]
    return title, lines


def _fee(facts: OrderProposal) -> str:
    """What the exchange keeps: of the coins that a purchase gets, of the money of a sale."""
    if facts.side is Side.SELL or facts.price <= 0:
        return f"{money(facts.fee)} {facts.instrument.quote}"
    return f"{money(facts.fee / facts.price)} {facts.instrument.base}"


def _shrunk(shrunk: Sequence[Shrinkage], base: str) -> list[Line]:
    """The trackers that a sale takes coins from, each with what it had and keeps."""
    lines: list[Line] = [
        f"⚠️ #{each.tracker_id} shrinks: {quantity(each.before)} → {quantity(each.after)} {base}"
        if each.after
        else f"⚠️ #{each.tracker_id} ends: {quantity(each.before)} → 0 {base}"
        for each in shrunk[:_LINES_MAX]
    ]
    if len(shrunk) > _LINES_MAX:
        lines.append(f"and {len(shrunk) - _LINES_MAX} more trackers")
    return lines


def _at_work(intent: Intent) -> Line:
    """A sale that goes on by itself, or waits for what blocks it."""
    left = quantity(intent.quantity - intent.filled_quantity)
    base, _ = base_and_quote(intent.symbol)
    if intent.state is IntentState.BLOCKED:
        return f"🚨 BLOCKED, sells when it can: {left} {base}"
    return f"Being sold already: {left} {base}"


def _hurried(sale: Hurried) -> list[Line]:
    """An older sale that goes to the market, and what of it is not sold at all."""
    intent, (base, _) = sale.intent, base_and_quote(sale.intent.symbol)
    kind = "Blocked" if intent.limit_price is None else "Limit"
    if intent.given_up and not sale.released:
        return [f"Sale that was given up goes on at market: {quantity(sale.quantity)} {base}"]
    if not sale.released:
        return [f"{kind} sale now at market: {quantity(sale.quantity)} {base}"]
    stays = sale.released - sale.let_go
    lines: list[Line] = [
        f"⚠️ {kind} sale of {quantity(intent.residual)} {base} ends:",
        f"{quantity(sale.quantity)} {base} of it is sold now,",
    ]
    if stays:
        lines.append(f"{quantity(stays)} {base} stays, NOT protected{',' * bool(sale.let_go)}")
    if sale.let_go:
        lines.append(f"{quantity(sale.let_go)} {base} is not managed any more")
    return lines


def _close_facts(facts: CloseProposal, command: Command) -> tuple[str, list[Line]]:
    is_everything = isinstance(command, Panic) and command.everything
    lines: list[Line] = [UNKNOWN] if facts.is_in_doubt else []
    lines.extend(_listed(facts.lines))
    if not facts.lines:
        known = "Nothing else is managed." if facts.at_work else "Nothing managed is open."
        lines.append("Nothing is known to be managed." if facts.is_in_doubt else known)
    lines.extend(map(_at_work, facts.at_work[:_LINES_MAX]))
    lines.extend(line for sale in facts.hurried[:_LINES_MAX] for line in _hurried(sale))
    if facts.lines:
        lines.extend(_shrunk(facts.shrunk, facts.lines[0].base))
    lines.extend(_ended(facts.trackers_cancelled))
    if facts.currency:
        lines.extend(came_in(((line.symbol, line.value) for line in facts.lines), facts.currency))
    lines.extend(_beyond_care(facts, is_taken=is_everything))
    if facts.unsellable:
        lines.append("Stays (no market or no price):")
        lines.extend(f"• {quantity(left)} {asset}" for asset, left in facts.unsellable)
    is_more = bool(facts.unmanaged or facts.foreign_orders)
    if isinstance(command, Panic) and is_more and not is_everything:
        lines.append(f"The button Everything {_and_that(facts, 's')} that too.")
    if isinstance(command, CloseAll) and is_more:
        lines += [f"To {_and_that(facts)} that too, and halt:", Code("/panic everything")]
    if facts.price_age_s is not None and facts.price_age_s > _FRESH_S:
        lines.append(f"⚠️ Prices {age(facts.price_age_s)} old")
    return _close_title(facts, command), lines


def _and_that(facts: CloseProposal, ending: str = "") -> str:
    """What a panic with everything does to what is not Umbra's, as far as there is any."""
    verbs = ["sell"] * bool(facts.unmanaged) + ["cancel"] * bool(facts.foreign_orders)
    return " and ".join(f"{verb}{ending}" for verb in verbs)


def _ended(trackers: Sequence[Tracker]) -> list[Line]:
    """The trackers that a sale of all ends, each with what it owns."""
    lines: list[Line] = ["Trackers that end:"] if trackers else []
    lines.extend(f"• #{each.tracker_id} {short_owned(each)}" for each in trackers[:_LINES_MAX])
    if len(trackers) > _LINES_MAX:
        lines.append(f"and {len(trackers) - _LINES_MAX} more trackers")
    return lines


def _close_title(facts: CloseProposal, command: Command) -> str:
    match command:
        case CloseAll():
            return f"❔ Close {count(len(facts.lines), 'position')}?"
        case Panic(everything=True):
            symbols = {line.symbol for line in (*facts.lines, *facts.unmanaged)}
            return f"🚨 PANIC: sell all {count(len(symbols), 'coin')}, halt?"
        case Panic():
            return f"🚨 PANIC: sell {count(len(facts.lines), 'position')}, halt?"
        case _ if len(facts.lines) == 1 and not facts.hurried:
            [line] = facts.lines
            return f"❔ Close {quantity(line.quantity)} {line.base}?"
        case _:
            return f"❔ Close {', '.join(line.base for line in facts.lines) or 'nothing'}?"


def _listed(closed: Sequence[CloseLine]) -> list[Line]:
    lines: list[Line] = [_closing(line) for line in closed[:_LINES_MAX]]
    if len(closed) > _LINES_MAX:
        lines.append(f"and {len(closed) - _LINES_MAX} more")
    return lines


def _closing(line: CloseLine) -> str:
    quote = base_and_quote(line.symbol)[1]
    return f"• {quantity(line.quantity)} {line.base} = {worth(line.value, quote)}"


def _beyond_care(facts: CloseProposal, *, is_taken: bool) -> list[Line]:
    lines: list[Line] = []
    if facts.unmanaged:
        lines.append(f"{'Sold too' if is_taken else 'Stays'} (not managed):")
        lines.extend(_listed(facts.unmanaged))
    if facts.foreign_orders is None:
        lines.append("Orders not ours: not known now")
    if facts.foreign_orders:
        lines.append(f"{'Cancelled' if is_taken else 'Stays'} (orders not ours):")
        lines.extend(
            f"• {order.side.value} {quantity(order.quantity)} {order.symbol}"
            for order in facts.foreign_orders[:_LINES_MAX]
        )
    return lines


def has_second_choice(proposal: Proposal) -> bool:
    """Whether `Everything` is offered besides the managed part."""
    facts = proposal.facts
    if not isinstance(facts, CloseProposal) or not isinstance(proposal.command, CloseAll | Panic):
        return False
    return isinstance(proposal.command, Panic) and not proposal.command.everything


def refused_card(error: Refused, said: str = "") -> Card:
    """What was wrong, and what to send instead; `said` is the whole line that was sent."""
    lines_meant = corrected(error, said)
    example = next(iter(lines_meant.values()), _whole(error.example, said))
    lines: list[Line] = ["Try:", Code(example)] if example else []
    buttons = [does(word, line) for word, line in lines_meant.items() if fits(line)]
    text = str(error)
    rows = in_rows(buttons, per_row=3)
    return Card(card_text(f"✋ {text[:1].upper()}{text[1:]}", *lines), rows)


def _whole(example: str | None, said: str) -> str | None:
    """A bare symbol as the line that asks about it."""
    name = said.lstrip("+=").partition(" ")[0]
    if not example or example.startswith("/") or not name.startswith("/"):
        return example
    return f"{name} {example}" if "/" in example else example


def corrected(error: Refused, said: str) -> dict[str, str]:
    """The line that was `said` with its one wrong word replaced, by the word that would do."""
    words = said.lstrip("+=").split()
    # The name of a command is wrong as a whole, and anything else behind it.
    first = 0 if error.wrong.startswith("/") and words[:1] == [error.wrong] else 1
    if error.wrong not in words[first:]:
        return {}
    place = words.index(error.wrong, first)
    # What stands there already is not what was meant.
    return {
        word: " ".join((*words[:place], word, *words[place + 1 :]))
        for word in error.near
        if word not in words
    }


def order_name(intent_id: str) -> str:
    """The name under which the card of an order that somebody asked for lives on."""
    return f"order:{intent_id}"


def order_end_card(intent: Intent, instrument: Instrument | None) -> Card:
    """What the card of an order says once it is over; the news itself is a message of its own."""
    base, quote = base_and_quote(intent.symbol)
    rows = in_rows((does("📊 Status", "/status"), does("📜 History", "/history")))
    if intent.filled_quantity <= 0:
        word = "sold" if intent.side is Side.SELL else "bought"
        return Card(card_text(f"✖️ Nothing was {word}: {intent.symbol}", intent.reason), rows)
    word = "sale" if intent.side is Side.SELL else "purchase"
    lines: list[Line] = [f"at {price(intent.average_price, instrument)} {quote} on average"]
    lines.extend(left_over_lines(intent, instrument))
    done = "👍 Done in part" if is_in_part(intent, instrument) else "👍 Done"
    title = f"{done}: {word} of {quantity(intent.filled_quantity)} {base}"
    return Card(card_text(title, *lines), rows)


def is_in_part(intent: Intent, rules: Instrument | None) -> bool:
    """Whether a decision ended before all of it was done; a backstop only makes way for a sale."""
    return (
        intent.state is IntentState.DONE
        and intent.purpose is not Purpose.BACKSTOP
        # What ended for no reason was done as far as it could be.
        and bool(intent.reason)
        and intent.left_over(rules) > 0
    )


def left_over_lines(intent: Intent, rules: Instrument | None) -> list[Line]:
    """What an end in part has left, and why."""
    if not is_in_part(intent, rules):
        return []
    base, quote = base_and_quote(intent.symbol)
    left, budget = intent.left_over(rules), intent.quote_budget
    if budget is not None:
        return [f"{money(left)} of {money(budget)} {quote} not spent:", intent.reason]
    word = "sold" if intent.side is Side.SELL else "bought"
    return [f"{quantity(left)} of {quantity(intent.quantity)} {base} not {word}:", intent.reason]


def told_card(text: str) -> Card:
    """A sentence of the desk: the first clause in bold."""
    head, point, rest = text.partition(". ")
    return Card(card_text(head + point.strip(), *([rest] if rest else [])))
