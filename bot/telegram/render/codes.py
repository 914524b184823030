"""The card that asks for a code of the authenticator app, or says what became of one."""

from datetime import datetime

from bot.telegram.render.text import Card, card_text
from bot.telegram.stepup import CodeVerdict
from trading.domain.chat import Button

_ASKED = "Send the six digits that your authenticator app shows now."
_SAID = {
    None: ("🔐 A code is needed", _ASKED),
    CodeVerdict.WRONG: ("✋ That code is wrong", _ASKED),
    CodeVerdict.USED: (
        "✋ That code was used, or is older than the start",
        "Wait until your app shows the next one, and send that.",
    ),
}


def number_card(number: str, said: str, buttons: tuple[tuple[Button, ...], ...]) -> Card:
    """Ask for a number to be typed; `said` is what was typed instead, empty before the first."""
    title = f"✋ That is not {number}" if said else f"⌨️ Type {number} to confirm"
    where = " above" if said else ""
    line = f"Send {number} if you mean it, or press Cancel{where}. Nothing is done before."
    return Card(card_text(title, line), buttons)


def code_card(
    verdict: CodeVerdict | None,
    locked_until: datetime | None,
    buttons: tuple[tuple[Button, ...], ...],
) -> Card:
    """Ask for a code; `verdict` is what the last one amounted to, None before the first."""
    title, line = _SAID.get(verdict, ("🔒 Too many wrong codes", ""))
    if verdict is CodeVerdict.LOCKED and locked_until is not None:
        line = f"No code counts before {locked_until:%H:%M} UTC. /panic and /pause need none."
    return Card(card_text(title, line), buttons)
