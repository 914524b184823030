"""Money and quantities read alike on every card: their thousands are apart."""

import re

from tests.unit.bot.telegram.commands.agent_talk import agent_talk
from tests.unit.bot.telegram.commands.talk import Answer

_AT_ONCE = "/tracker 3 amount 6000 USDT"
_ASKED = (
    "/track SHIB/USDT stop 0.01 150000",
    "/track SHIB/USDT sell above 0.02 trail 3% 20000",
    "/track ADA/USDT buy below 0.5 trail 1% 5000 USDT",
    "/buy SHIB/USDT 100000",
    "/sell SHIB/USDT 30000",
    "/sell SHIB/USDT 20000 limit 0.02",
    "/tracker 1 amount 120000",
    _AT_ONCE,
)
_LOOKED = (
    *("/status", "/positions", "/balance", "/trackers", "/tracker 1", "/tracker 2", "/tracker 3"),
    *("/orders", "/history", "/summary", "/close", "/sell", "/buy SHIB/USDT", "/audit 30"),
)


def _run_together(answer: Answer) -> list[str]:
    """What has four digits and more without a comma: not what is to be sent as it stands."""
    found = []
    for message in answer.messages:
        shown = re.sub("<code>.*?</code>", "", message.text, flags=re.DOTALL)
        labels = [button.label for row in message.buttons for button in row]
        found += [
            line for line in (*shown.splitlines(), *labels) if re.search(r"(?<![\d,.])\d{4,}", line)
        ]
    return found


async def test_the_thousands_of_money_and_quantities_are_apart_on_every_card() -> None:
    async with agent_talk() as talk:
        found = {}
        for line in _ASKED:
            asked = await talk.ask(line)
            found[line] = _run_together(asked)
            if line != _AT_ONCE:
                done = await talk.press(asked.buttons["Confirm"])
                found[f"{line}: Confirm"] = _run_together(done)
        found |= {line: _run_together(await talk.ask(line)) for line in _LOOKED}
        for line in ("/abort SHIB/USDT", "/closeall", "/panic", "/close SHIB/USDT 50%"):
            found[line] = _run_together(asked := await talk.ask(line))
        found["closed"] = _run_together(await talk.press(asked.buttons["Confirm"]))
        assert {line: rows for line, rows in found.items() if rows} == {}
