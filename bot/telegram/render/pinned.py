"""The words of the pinned card: one line that is read at a glance, and a few more."""

from datetime import datetime
from zoneinfo import ZoneInfo

from bot.modes import MODES
from bot.telegram.render.status import STREAMS, blocked_line, dot, tracker_counts, unprotected
from bot.telegram.render.text import Line, age, card_text
from trading.domain.chat import Person
from trading.overview import StatusView


def pinned_text(status: StatusView, person: Person, now: datetime) -> str:
    """Say when this was true, and what is watched; amounts stay out of the preview."""
    local = now.astimezone(ZoneInfo(person.timezone))
    title = f"{dot(status)} Alive at {local:%H:%M} · {MODES[status.state].state}"
    open_ones = unprotected(status)
    lines: list[Line] = [f"🚨 {open_ones}"] if open_ones else []
    lines.append(tracker_counts(status))
    lines.extend(blocked_line(status))
    if status.data_age_s is not None:
        stream = STREAMS.get(status.stream, status.stream)
        lines.append(f"Prices {age(status.data_age_s)} old · {stream}")
    lines.append("An older time than now says that Umbra is down.")
    return card_text(title, *lines)
