"""How things are in few lines, for a card about something else."""

from bot.modes import MODES
from bot.telegram.render.status import blocked_line, dot, position_lines
from bot.telegram.render.text import Line, count
from trading.overview import StatusView

_POSITIONS_MAX = 5


def brief(status: StatusView) -> list[Line]:
    """Mode, trackers and the greatest positions."""
    if not status.is_ready:
        return [f"{dot(status)} NOTHING is watched yet"]
    state = f"{MODES[status.state].state}{', STORAGE LOST' * status.is_storage_lost}"
    lines: list[Line] = [
        f"{dot(status)} {state}, {count(status.trackers_waiting, 'tracker')} watching",
        *blocked_line(status),
        *([f"{status.trackers_acting} acting now"] if status.trackers_acting else []),
        *([f"{status.trackers_paused} PAUSED"] if status.trackers_paused else []),
    ]
    held = [view for view in status.positions if view.position.quantity > 0]
    for view in held[:_POSITIONS_MAX]:
        lines.extend(position_lines(view))
    if len(held) > _POSITIONS_MAX:
        lines.append(f"+{len(held) - _POSITIONS_MAX} more: /positions")
    return lines if held else [*lines, "No open position"]
