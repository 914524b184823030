"""Many pieces of news of one sort: from a number of them on they are one message."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from bot.telegram import sorts
from bot.telegram.alert import Alert, AlertFacts
from bot.telegram.alerts import alert_for
from bot.telegram.keyboards import Rows, does, in_rows
from bot.telegram.render.text import Card, Line, card_text
from trading.domain.chat import Button, Severity
from trading.domain.tracker import TrackerChange
from trading.ports.storage import Recorded

# From this many of one sort on, a storm becomes one message.
STORM = 6
_LISTED_MAX = 12
# A sale is told one by one; as many lines as this fit into one message.
_DONE_MAX = 40
# What an alarm offers where a tracker may be sold at a tap, and for how many a storm offers it.
_EXIT = re.compile(r"\+/tracker ([0-9]+) exit")
_EXITS_MAX = 24
# How the reason of an exit begins that `/halt everything` holds.
_HELD = "halted: "
Row = TypeVar("Row")


def alerts_for(batch: Sequence[Recorded], facts: AlertFacts) -> list[tuple[int, Alert]]:
    """All messages of a batch with the seq that names each; storms become one message."""
    found: list[tuple[int, Alert]] = []
    by_sort: dict[str, list[tuple[int, Alert]]] = {}
    for one in batch:
        alert = alert_for(one.event, facts)
        if alert is not None:
            rows = by_sort.setdefault(alert.sort, []) if alert.sort else found
            rows.append((one.seq, alert))
    for sort, rows in by_sort.items():
        found += rows if len(rows) < STORM else _as_one(sort, rows)
    return sorted(found, key=lambda pair: pair[0])


def _as_one(sort: str, rows: Sequence[tuple[int, Alert]]) -> list[tuple[int, Alert]]:
    return [
        (part[-1][0], _storm([alert for _, alert in part]))
        for part in in_parts(sort, rows, [len(alert.gist) for _, alert in rows])
    ]


def _storm(alerts: Sequence[Alert]) -> Alert:
    severity = min((one.severity for one in alerts), key=lambda each: each.priority)
    gist = tuple(line for one in alerts for line in one.gist)
    first = alerts[0]
    buttons = [button for one in alerts for row in one.card.buttons for button in row]
    card = storm_card(first.sort, severity, gist, buttons)
    return replace(first, card=card, severity=severity, gist=gist)


def in_parts(sort: str, rows: Sequence[Row], sizes: Sequence[int]) -> list[Sequence[Row]]:
    """Lay rows into as few messages as hold them; nearly alike, for none should be of one."""
    if sort != sorts.DONE:
        return [rows]
    total = sum(sizes)
    most = -(-total // -(-total // _DONE_MAX))
    parts: list[list[Row]] = []
    room = 0
    for row, size in zip(rows, sizes, strict=True):
        if size > room:
            parts.append([])
            room = most
        parts[-1].append(row)
        room -= size
    return [*parts]


def storm_card(
    sort: str, severity: Severity, gist: Sequence[str], buttons: Iterable[Button] = ()
) -> Card:
    """The one message about many of a sort, with what one can do about them.

    `buttons` are those of each of them: whoever may sell one there may do so here.
    """
    most = len(gist) if sort == sorts.DONE else _LISTED_MAX
    lines = _listed(sort, gist, most)
    if severity is Severity.CRIT:
        # Of some a part may be sold: each says so for itself, and none sells now.
        idle = "Nothing of them sells now. " * (sort == sorts.BLOCKED)
        lines.append(f"{idle}It repeats until /ack.")
    row = [does("📊 Status", "/status")]
    if sort.startswith("tracker:"):
        row = [does("📍 Trackers", "/trackers"), does("📋 Orders", "/orders")]
    if severity is Severity.CRIT:
        row.append(does("👍 Seen", "/ack"))
    rows = (*_exits(sort, gist, buttons), tuple(row))
    return Card(card_text(_title(sort, severity, len(gist)), *lines), rows)


def _exits(sort: str, gist: Sequence[str], buttons: Iterable[Button]) -> Rows:
    found = (_EXIT.fullmatch(button.data) for button in buttons)
    numbers = list(dict.fromkeys(match[1] for match in found if match is not None))
    one_by_one = [
        does(f"⚡ Exit #{each}", f"/tracker {each} exit") for each in numbers[:_EXITS_MAX]
    ]
    rows = in_rows(one_by_one, per_row=3)
    if rows and sort == sorts.BLOCKED and any(_HELD in line for line in gist):
        # A plain halt sells what is held and lets nothing new in; it lists that, and asks.
        rows = ((does("⚡ Exit all now", "/halt"),), *rows)
    return rows


def _listed(sort: str, gist: Sequence[str], most: int) -> list[Line]:
    parts = [line.partition(": ") for line in gist]
    reasons = {reason for _, _, reason in parts}
    is_alike = sort != sorts.REPEAT and len(reasons) == 1
    names = [name for name, _, _ in parts] if is_alike else list(gist)
    mark = "" if sort == sorts.DONE else "• "
    lines: list[Line] = [*reasons] if is_alike and reasons != {""} else []
    lines += [f"{mark}{name}" for name in names[:most]]
    if len(names) > most:
        lines.append(f"and {len(names) - most} more")
    return lines


_SIGNS = {Severity.INFO: "ℹ️", Severity.WARN: "⚠️", Severity.CRIT: "🚨"}  # noqa: RUF001 - an emoji
_TITLES = {
    sorts.DONE: "✅ {} orders are done",
    sorts.TRIGGERED: "⚡ {} trackers triggered",
    sorts.BLOCKED: "🚨 {} exits are BLOCKED",
    sorts.CLOSED_ELSEWHERE: "✖️ {} were closed elsewhere",
    sorts.NO_BACKSTOP: "⚠️ NO backstop for {}",
    sorts.STOPPED: "⏹ Umbra has stopped {} times",
    sorts.REPEAT: "🔁 {} alarms still stand",
    f"tracker:{TrackerChange.TOUCHED.value}": "👀 {} trackers touched",
    f"tracker:{TrackerChange.EXPIRED.value}": "⌛ {} trackers expired",
    f"tracker:{TrackerChange.RESTED.value}": "💤 {} trackers rest",
    f"tracker:{TrackerChange.REARMED.value}": "🔁 {} trackers watch again",
    "intent:done": "✅ Nothing was left to do for {}",
    "intent:dust": "⚠️ {} sales were too small for an order",
    "intent:expired": "⌛ {} orders expired",
    "intent:aborted": "✖️ {} orders were given up",
    "intent:closed_external": "✖️ {} orders were closed elsewhere",
    "alert:unresolved": "{sign} {} orders without a clear answer",
    "alert:rate_limit": "{sign} {} orders wait for the exchange",
    "alert:blocked": "{sign} {} orders cannot be sent",
    "alert:short": "{sign} {} coins are short",
    "alert:gap": "{sign} {} levels crossed unwatched",
    "alert:paused": "{sign} {} trackers are paused",
    "condition:stale_data:begun": "{sign} No fresh price of {} markets",
    "condition:degraded_data:begun": "{sign} {} markets stand still",
    "condition:price_disagreement:begun": "{sign} Prices of {} markets disagree",
    "condition:dropped_prices:begun": "{sign} {} markets had a price not believed",
}


def _title(sort: str, severity: Severity, number: int) -> str:
    named = _TITLES.get(sort)
    if named is None and sort.endswith(f":{sorts.OVER}"):
        named = f"🟢 {{}} markets: {sort.split(':')[1].replace('_', ' ')} is over"
    elif named is None:
        named = f"{{sign}} {{}} alarms: {sort.partition(':')[2].replace('_', ' ')}"
    return named.format(number, sign=_SIGNS[severity])
