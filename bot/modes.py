"""The words for the modes of trading, the same in the chat and on a terminal."""

from dataclasses import dataclass

from trading.domain.position import TradingMode


@dataclass(frozen=True, slots=True)
class ModeWords:
    """What people read of one mode: its sign and name, what it means, and how its start is told."""

    sign: str
    name: str
    meaning: str
    begun: str
    then: str

    @property
    def state(self) -> str:
        """Name and meaning in one line."""
        return f"{self.name}: {self.meaning}" if self.meaning else self.name


MODES = {
    TradingMode.ACTIVE: ModeWords(
        "🟢", "active", "", "Active again", "Nothing is re-armed by itself."
    ),
    TradingMode.REDUCING: ModeWords(
        "🟠", "reducing", "no new entries", "Reducing: no new entries", "Private stops still sell."
    ),
    TradingMode.HALTED: ModeWords(
        "🔴",
        "HALTED",
        "only private stops sell",
        "HALTED: nothing new at all",
        "Private stops still sell.",
    ),
    TradingMode.HALTED_EVERYTHING: ModeWords(
        "🔴",
        "HALTED EVERYTHING",
        "NOTHING SELLS",
        "HALTED EVERYTHING: UNPROTECTED",
        "Triggered stops do NOT sell.",
    ),
}
# What the journal keeps as the reason of a mode that a person has asked for by its command.
_TYPED = frozenset({"pause", "reduce", "resume", "halt", "panic"})


# Who is recorded for what was asked for on this machine: no chat has a person with this number.
THIS_MACHINE = 0


def asker(by: str) -> int | None:
    """Return whose wish in the chat a change of mode was, None for any other; `by` as journaled."""
    is_person = by.isdecimal() and int(by) != THIS_MACHINE
    return int(by) if is_person else None


def reason(text: str, by: str = "") -> str:
    """Say why a mode was entered, `by` as the journal has it; empty when nobody gave a reason."""
    if text in _TYPED and by == str(THIS_MACHINE):
        return "Asked for on this machine."
    return f"Asked for with /{text}." if text in _TYPED else text
