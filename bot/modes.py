"""The words for the modes of trading, the same in the chat and on a terminal."""

from dataclasses import dataclass

from trading.domain.position import TradingMode


@dataclass(frozen=True, slots=True)
class ModeWords:
    """What people read of one mode: its sign and name, what it means, and how its start is told.

    `then` is what follows from it, `then_early` while an agent is still starting.
    """

    sign: str
    name: str
    meaning: str
    begun: str
    then: str
    then_early: str

    @property
    def state(self) -> str:
        """Name and meaning in one line."""
        return f"{self.name}: {self.meaning}" if self.meaning else self.name


_UNWATCHED = "Umbra is still starting: NO STOP IS WATCHED yet."
MODES = {
    TradingMode.ACTIVE: ModeWords(
        "🟢", "active", "", "Active again", "Nothing is re-armed by itself.", _UNWATCHED
    ),
    TradingMode.REDUCING: ModeWords(
        "🟠",
        "reducing",
        "no new entries",
        "Reducing: no new entries",
        "Private stops still sell.",
        _UNWATCHED,
    ),
    TradingMode.HALTED: ModeWords(
        "🔴",
        "HALTED",
        "only private stops sell",
        "HALTED: nothing new at all",
        "Private stops still sell.",
        _UNWATCHED,
    ),
    TradingMode.HALTED_EVERYTHING: ModeWords(
        "🔴",
        "HALTED EVERYTHING",
        "NOTHING SELLS",
        "HALTED EVERYTHING: UNPROTECTED",
        "Triggered stops do NOT sell.",
        "Triggered stops do NOT sell.",
    ),
}
# What the journal keeps as the reason of a mode that a person has asked for by its command.
_TYPED = frozenset({"pause", "reduce", "resume", "halt", "panic"})


_NOTED = ": "
NOTE_LENGTH_MAX = 200


# Who is recorded for what was asked for on this machine: no chat has a person with this number.
THIS_MACHINE = 0


def asker(by: str) -> int | None:
    """Return whose wish in the chat a change of mode was, None for any other; `by` as journaled."""
    is_person = by.isdecimal() and int(by) != THIS_MACHINE
    return int(by) if is_person else None


def with_note(name: str, note: str) -> str:
    """Return what the journal keeps of a command and of why somebody sent it, if they said so."""
    return f"{name}{_NOTED}{note}" if note else name


def note_of(text: str) -> str:
    """Return why somebody sent a command, empty where they did not say."""
    name, _, note = text.partition(_NOTED)
    return note if name in _TYPED else ""


def reason(text: str, by: str = "") -> str:
    """Say why a mode was entered, `by` as the journal has it; empty when nobody gave a reason."""
    name = text.partition(_NOTED)[0]
    if name not in _TYPED:
        return text
    how = "on this machine" if by == str(THIS_MACHINE) else f"with /{name}"
    note = note_of(text)
    return f"Asked for {how}: {note}" if note else f"Asked for {how}."
