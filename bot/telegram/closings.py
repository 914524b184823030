"""Which commands that sell many are concerned by the end of a sale, and all sales of each."""

from collections.abc import Sequence
from dataclasses import dataclass

from bot.telegram.render.closing import closing_card, closing_name
from bot.telegram.render.text import Card
from trading.desk import Desk
from trading.domain.commands import CloseAll, Panic
from trading.domain.events import CommandExecuted, IntentClosed
from trading.domain.order import Intent, Purpose, Side
from trading.ports.storage import Journal, Recorded

_COMMANDS_READ = 100
_ENDS_READ = 500
_CLOSING = frozenset({CloseAll.__name__, Panic.__name__})


@dataclass(frozen=True, slots=True)
class Closing:
    """A command that closed many, with its place in the journal; `seq` is of the end told last."""

    done: CommandExecuted
    begun_seq: int
    seq: int

    @property
    def name(self) -> str:
        """The name of its card."""
        return closing_name(self.done.cause)

    @property
    def is_panic(self) -> bool:
        """Whether everything managed was to be sold, by whatever sale was at work already."""
        return self.done.command == Panic.__name__


@dataclass(frozen=True, slots=True)
class Closings:
    """Reads from the journal what such commands came to, and from the desk what is at work."""

    journal: Journal
    desk: Desk

    async def concerned(self, rows: Sequence[Recorded]) -> list[Closing]:
        """Return the commands of which a sale has just ended."""
        ends = {
            row.seq: row.event.intent
            for row in rows
            if isinstance(row.event, IntentClosed) and row.event.intent.side is Side.SELL
        }
        if not ends:
            return []
        found = []
        for row in await self.journal.latest(_COMMANDS_READ, (CommandExecuted.__name__,)):
            if not isinstance(row.event, CommandExecuted) or row.event.command not in _CLOSING:
                continue
            newest = max(
                (
                    seq
                    for seq, intent in ends.items()
                    if seq > row.seq and _is_of(intent, row.event)
                ),
                default=None,
            )
            if newest is not None:
                found.append(Closing(row.event, row.seq, newest))
        return found

    async def card(self, closing: Closing) -> Card:
        """Draw what all sales of a command have come to by now."""
        rows = await self.journal.events(closing.begun_seq, _ENDS_READ, (IntentClosed.__name__,))
        at_work = (intent for intent, _ in self.desk.open_orders())
        # What has ended by the journal is at the desk for a moment still.
        sales = {intent.intent_id: intent for intent in at_work}
        sales |= {
            row.event.intent.intent_id: row.event.intent
            for row in rows
            if isinstance(row.event, IntentClosed)
        }
        mine = [intent for intent in sales.values() if _is_of(intent, closing.done)]
        mine.sort(key=lambda intent: (intent.symbol, intent.intent_id))
        currency = self.desk.account().currency
        doubt = self.desk.status().is_in_doubt
        return closing_card(mine, currency, is_panic=closing.is_panic, is_in_doubt=doubt)


def _is_of(intent: Intent, done: CommandExecuted) -> bool:
    if f":command:{done.cause}:" in intent.intent_id:
        return True
    # A panic lets go what a halt held, and a stop that had fired sells for it.
    was_at_work = done.command == Panic.__name__ and intent.created_at <= done.at
    if intent.purpose is Purpose.PANIC:
        # Of another panic, whose own card tells of it.
        return False
    is_sale = intent.side is Side.SELL and (
        intent.purpose is not Purpose.BACKSTOP or intent.filled_quantity > 0
    )
    return was_at_work and is_sale
