"""Rows of buttons: what a tap sends is a command's own text, so taps and typing are one path."""

from collections.abc import Sequence

from trading.domain.chat import Button

DATA_BYTES_MAX = 64
IN_PLACE = "="
_PLAIN = "+"

Rows = tuple[tuple[Button, ...], ...]


def does(label: str, command: str) -> Button:
    """A button that answers with a new message, as the typed command would."""
    return _button(label, f"{_PLAIN}{command}")


def shows(label: str, command: str) -> Button:
    """A button that turns the message it hangs on into the answer."""
    return _button(label, f"{IN_PLACE}{command}")


def _button(label: str, data: str) -> Button:
    if len(data.encode()) > DATA_BYTES_MAX:
        raise ValueError(f"callback data should have at most 64 bytes, was {data!r}")
    return Button(label, data)


def fits(command: str) -> bool:
    """Whether a command is short enough to hang on a button."""
    return len(command.encode()) < DATA_BYTES_MAX


def is_command(data: str) -> bool:
    """Whether callback data carries a command."""
    return data.startswith((f"{IN_PLACE}/", f"{_PLAIN}/"))


def in_rows(buttons: Sequence[Button], per_row: int = 2) -> Rows:
    """Lay buttons out; up to three stand one above the other when `per_row` is 1."""
    return tuple(
        tuple(buttons[start : start + per_row]) for start in range(0, len(buttons), per_row)
    )


def pager(command: str, page: int, pages: int) -> Rows:
    """Previous and next, where there are any; pages count from 1."""
    row = []
    if page > 1:
        row.append(shows("◀ Back", f"{command} {page - 1}"))
    if page < pages:
        row.append(shows("More ▶", f"{command} {page + 1}"))
    return (tuple(row),) if row else ()
