"""How decisions ended, as messages: what was sold and bought at which price, and what was not."""

from collections.abc import Sequence
from decimal import Decimal

from bot.telegram import sorts
from bot.telegram.alert import Alert, AlertFacts
from bot.telegram.keyboards import does
from bot.telegram.render.earnings import profit_lines
from bot.telegram.render.text import (
    Card,
    Line,
    card_text,
    money,
    price,
    quantity,
    unsigned_percent,
    worth,
)
from bot.telegram.render.trading import is_in_part, left_over_lines
from trading.domain.chat import Severity
from trading.domain.instrument import Instrument, base_and_quote
from trading.domain.order import BACKSTOP_SOLD, Fill, Intent, IntentState, Purpose, Side
from trading.domain.watching import AlertType


def intent_closed(intent: Intent, facts: AlertFacts) -> Alert | None:
    """Tell how a decision ended, unless that was told already."""
    if intent.purpose is Purpose.BACKSTOP:
        return _backstop_closed(intent, facts)
    return None if _is_told_by_backstop(intent) else _closed_alert(intent, facts)


def _closed_alert(intent: Intent, facts: AlertFacts) -> Alert:
    """The message that the end of a decision deserves."""
    base, quote = base_and_quote(intent.symbol)
    if intent.state in {IntentState.DONE, IntentState.DUST} and intent.filled_quantity > 0:
        card = _done_card(intent, facts)
        if is_in_part(intent, facts.instrument(intent.symbol)):
            # As much news as one that came to nothing: nobody turns it down with the fills.
            return Alert(card, Severity.WARN)
        return Alert(card, type=AlertType.FILLS)
    done = sorts.DONE_WORDS[intent.side].lower()
    titles = {
        IntentState.DONE: "✅ Nothing was left to do",
        IntentState.DUST: f"⚠️ Not {done}: {quantity(intent.residual)} {base} stay",
        IntentState.EXPIRED: f"⌛ Not {done}: {intent.symbol} expired",
        IntentState.CLOSED_EXTERNAL: f"✖️ {intent.symbol} was closed elsewhere",
        IntentState.ABORTED: f"✖️ Given up: {intent.side.value} {intent.symbol}",
    }
    lines: list[Line] = []
    if intent.filled_quantity > 0:
        lines.append(_part_done(intent, f"{done} {quantity(intent.filled_quantity)} {base}"))
        lines.append(f"for {worth(intent.filled_notional, quote)}")
    if intent.reason:
        lines.append(intent.reason)
    lines += _let_go_lines(intent, facts.instrument(intent.symbol))
    stays = intent.residual - intent.let_go
    if intent.state is IntentState.EXPIRED and intent.side is Side.SELL and stays > 0:
        lines.append(
            f"{quantity(stays)} {base} stay. A stop that gave them up for this sale does "
            "not get them back: see /positions"
        )
    if intent.state is IntentState.DUST and intent.tracker_id is not None:
        lines.append(f"#{intent.tracker_id} has ended: nothing of it protects them.")
    if intent.state is IntentState.CLOSED_EXTERNAL and intent.tracker_id is not None:
        lines.append(f"tracker #{intent.tracker_id} · {intent.symbol}")
    title = titles.get(intent.state, f"{intent.symbol} {intent.state.value}")
    return Alert(_linked(card_text(title, *lines)), Severity.WARN)


def _let_go_lines(intent: Intent, rules: Instrument | None) -> list[Line]:
    """What came under care to be sold and left it unsold; what no order could sell is no news."""
    if not intent.let_go or (rules is not None and rules.is_small(intent.let_go)):
        return []
    base, _ = base_and_quote(intent.symbol)
    return [f"{quantity(intent.let_go)} {base} are not managed any more, as before this sale."]


def _part_done(intent: Intent, words: str) -> str:
    # What went elsewhere may have gone before Umbra's own part, or after it.
    is_elsewhere = intent.state is IntentState.CLOSED_EXTERNAL
    return f"Umbra {words}" if is_elsewhere else f"{words} before that"


def _is_told_by_backstop(intent: Intent) -> bool:
    """Whether the card of its backstop's sale has said already how a tracker's exit ended."""
    return intent.tracker_id is not None and intent.reason == BACKSTOP_SOLD


def _backstop_closed(intent: Intent, facts: AlertFacts) -> Alert | None:
    if intent.filled_quantity > 0:
        return Alert(_done_card(intent, facts), type=AlertType.FILLS)
    if intent.state is not IntentState.EXPIRED or intent.intent_id in facts.said_before:
        # Withdrawn before an exit, or because its tracker changed: nobody has to act.
        return None
    title = f"⚠️ NO backstop for #{intent.tracker_id} {intent.symbol}"
    lines = (
        intent.reason,
        "The private stop is watched as before. It is tried again within a minute.",
    )
    return Alert(_linked(card_text(title, *lines)), Severity.WARN)


def _done_card(intent: Intent, facts: AlertFacts) -> Card:
    base, quote = base_and_quote(intent.symbol)
    instrument = facts.instrument(intent.symbol)
    average = intent.average_price
    word = "proceeds" if intent.side is Side.SELL else "cost"
    lines: list[Line] = [
        *left_over_lines(intent, instrument),
        *_let_go_lines(intent, instrument),
        f"at {price(average, instrument)} {quote} on average",
        f"{word} {worth(intent.filled_notional, quote)}",
    ]
    lines.extend(_fee_lines(facts.fills.get(intent.intent_id, ())))
    if average is not None and intent.reference_price > 0:
        lines.append(_slippage(intent, average, price(intent.reference_price, instrument)))
    trip = facts.round_trips.get(intent.intent_id)
    if trip is not None:
        lines.extend(profit_lines(trip))
    if intent.state is IntentState.DUST:
        lines.append(f"{quantity(intent.residual)} {base} is too small to sell: dust")
    if intent.purpose is Purpose.BACKSTOP:
        lines.append("its backstop on the exchange fired")
    if intent.tracker_id is not None:
        lines.append(f"tracker #{intent.tracker_id} · {intent.symbol}")
    sign = "⚠️" if is_in_part(intent, instrument) else "✅"
    title = f"{sign} {sorts.done_words(intent, instrument)}"
    return _linked(card_text(title, *lines))


def _slippage(intent: Intent, average: Decimal, reference: str) -> str:
    """How far from what its decision saw a price came to lie, as what it meant for the person."""
    # Not a sign: more is good for who sells and bad for who buys.
    gained = intent.side.opposite.sign * (average - intent.reference_price)
    share = unsigned_percent(gained / intent.reference_price)
    if share == "0%":
        return f"slippage 0% from {reference}"
    word = "better" if gained > 0 else "worse"
    return f"slippage {share} {word} than {reference}"


def _fee_lines(fills: Sequence[Fill]) -> list[Line]:
    fees: dict[str, Decimal] = {}
    for fill in fills:
        if fill.fee:
            fees[fill.fee_asset] = fees.get(fill.fee_asset, Decimal(0)) + fill.fee
    return [f"fee {money(fee)} {asset}" for asset, fee in fees.items()]


def _linked(text: str) -> Card:
    buttons = (does("📊 Status", "/status"), does("📜 History", "/history"))
    return Card(text, (buttons,))
