"""Words that failed while they were written: the journal may have them, and nobody acts on them.

The answer to a commit may be all that was lost. Memory does not carry such a word out; given again
it is found to be recorded, and nobody may call it done for that (decision 140).
"""

from trading.domain.commands import (
    ArmTracker,
    CancelTracker,
    Command,
    EditTracker,
    PauseTracker,
    PlaceOrder,
    ResumeTracker,
    SetTradingMode,
)
from trading.domain.errors import NotCarriedOn, StorageLost
from trading.domain.events import CommandExecuted
from trading.domain.position import TradingMode
from trading.ports.storage import Journal
from trading.state import CAUSES_KEPT


class Doubts:
    """Remembers them by cause, and looks whether the journal has one as soon as it can tell."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._words: dict[str, str] = {}

    def note(self, command: Command, cause: str, mode: TradingMode) -> None:
        """Take a word that failed, unless it holds all the same; `mode` is what holds now."""
        if (about := _about(command, mode)) is not None:
            self._words[cause] = about

    async def settle(self) -> None:
        """Raise NotCarriedOn where the journal has one: only a start carries that out, whole.

        While storage does not answer they stay in doubt, and nothing waits for it.
        """
        if not self._words:
            return
        # Of one that fails meanwhile this look says nothing.
        words = dict(self._words)
        try:
            # Behind whatever may still be on its way.
            await self._journal.append()
            newest = await self._journal.latest(CAUSES_KEPT, (CommandExecuted.__name__,))
        except StorageLost:
            return
        for each in newest:
            if isinstance(each.event, CommandExecuted) and each.event.cause in words:
                raise NotCarriedOn(words[each.event.cause])
        for cause in words:
            self._words.pop(cause, None)


def _about(command: Command, mode: TradingMode) -> str | None:
    """Return what a word that does not hold unless it is durable is about; None for one that does.

    What sells, gives up or halts is carried out even so.
    """
    match command:
        case ArmTracker(spec=spec):
            return spec.symbol
        case PlaceOrder(symbol=symbol):
            return symbol
        case (
            EditTracker(tracker_id=number)
            | CancelTracker(tracker_id=number)
            | PauseTracker(tracker_id=number)
            | ResumeTracker(tracker_id=number)
        ):
            return f"#{number}"
        case SetTradingMode(mode=wanted) if wanted is not mode:
            return "the mode of trading"
        case _:
            return None
