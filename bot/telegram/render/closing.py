"""The card of a command that sells many: what each sale brought, and what is left and why."""

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal

from bot.telegram.keyboards import does, in_rows
from bot.telegram.render.text import Card, Line, card_text, count, quantity, worth
from trading.domain.instrument import base_and_quote
from trading.domain.money import ZERO
from trading.domain.order import Intent, IntentState

_LISTED_MAX = 25
UNKNOWN = (
    "IT IS NOT KNOWN WHAT IS MANAGED: the database is not the newest one of this place. What is "
    "missing in it can only be sold at the exchange itself."
)


def of_known(outcome: str) -> tuple[str, str]:
    """What became of a sale of everything managed, where more may be managed than is known."""
    return UNKNOWN, f"Of what is known: {outcome}"


def closing_name(cause: str) -> str:
    """The name under which the card of a command that sells many lives on."""
    return f"closing:{cause}"


def closing_card(
    sales: Sequence[Intent], currency: str, *, is_panic: bool, is_in_doubt: bool = False
) -> Card:
    """What all sales of a command have come to by now; `currency` is what the account counts in.

    `is_in_doubt` says that more may be managed than is known.
    """
    ended = [each for each in sales if each.state.is_terminal]
    at_work = [each for each in sales if not each.state.is_terminal]
    sold = [each for each in sales if each.filled_quantity > 0]
    unsold = [each for each in ended if each.residual > 0]
    word = "Panic" if is_panic else "Closing"
    if at_work:
        title = f"⏳ {word}: {len(ended)} of {count(len(sales), 'sale')} over"
    elif unsold:
        title = f"⚠️ {word} is over: NOT all was sold"
    elif is_in_doubt:
        title = f"⚠️ {word} of what is known is over"
    else:
        title = f"👍 {word} is over: {count(len(sold), 'sale')} done"
    lines = [
        *([UNKNOWN] if is_in_doubt else []),
        *_listed("", sold, _sale),
        *_sums(sold),
        *_listed("Still at work:", at_work, _working),
        *_listed("Not sold, stays:", unsold, _unsold),
        *came_in(((each.symbol, each.filled_notional) for each in sold), currency),
        *(["Anything else stays as it was."] if is_panic and not at_work else []),
    ]
    names = (("📊 Status", "/status"), ("💰 Balance", "/balance"), ("📜 History", "/history"))
    buttons = [does(label, line) for label, line in names]
    return Card(card_text(title, *lines), in_rows(buttons, per_row=3))


def came_in(proceeds: Iterable[tuple[str, Decimal | None]], currency: str) -> list[Line]:
    """Say which quotes other than the account's own sales bring in: nothing sells these on.

    `proceeds` are symbols with what is got for them, None where no price says.
    """
    sums: dict[str, Decimal | None] = {}
    for symbol, value in proceeds:
        quote = base_and_quote(symbol)[1]
        if quote not in {"", currency}:
            before = sums.get(quote, ZERO)
            sums[quote] = None if before is None or value is None else before + value
    if not sums:
        return []
    amounts = [
        f"• ? {quote}" if value is None else f"• {worth(value, quote)}"
        for quote, value in sorted(sums.items())
    ]
    return ["Comes in, is not sold on:", *amounts]


def _listed(title: str, intents: Sequence[Intent], worded: Callable[[Intent], str]) -> list[Line]:
    lines: list[Line] = [title] if title and intents else []
    lines += [worded(each) for each in intents[:_LISTED_MAX]]
    if len(intents) > _LISTED_MAX:
        lines.append(f"and {len(intents) - _LISTED_MAX} more")
    return lines


def _sale(intent: Intent) -> str:
    base, quote = base_and_quote(intent.symbol)
    amount = f"{quantity(intent.filled_quantity)} {base}"
    return f"• {amount} = {worth(intent.filled_notional, quote)}"


def _sums(sold: Sequence[Intent]) -> list[Line]:
    if len(sold) < 2:
        return ["before fees"] if sold else []
    sums: dict[str, Decimal] = {}
    for each in sold:
        quote = base_and_quote(each.symbol)[1]
        sums[quote] = sums.get(quote, ZERO) + each.filled_notional
    amounts = ", ".join(worth(value, quote) for quote, value in sorted(sums.items()))
    return [f"In all {amounts} before fees"]


def _working(intent: Intent) -> str:
    left = _left(intent)
    return f"{left}: BLOCKED, {intent.reason}" if intent.state is IntentState.BLOCKED else left


def _unsold(intent: Intent) -> str:
    return f"{_left(intent)}: {intent.reason or intent.state.value.replace('_', ' ')}"


def _left(intent: Intent) -> str:
    return f"• {quantity(intent.residual)} {base_and_quote(intent.symbol)[0]}"
