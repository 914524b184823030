"""One update after the other: acted on, what came of it made durable, and then what follows."""

import asyncio
from collections.abc import Callable

from bot.telegram.appending import append_lacking
from bot.telegram.recurring import Recurring
from bot.telegram.replying import Handled
from bot.telegram.router import Router
from trading.domain.chat import InboxUpdate
from trading.poison import InHand, Lane, marked
from trading.ports.storage import Journal


class Handling:
    """Hands updates to the router; `follow` is told what came of each once that is durable."""

    def __init__(
        self,
        journal: Journal,
        recurring: Recurring,
        in_hand: InHand,
        follow: Callable[[Handled], None],
    ) -> None:
        self.journal = journal
        self._recurring = recurring
        self._in_hand = in_hand
        self._follow = follow
        self.router: Router | None = None
        # A question must not expire while its tap is being acted on.
        self.turn = asyncio.Lock()

    async def in_turn(self, update: InboxUpdate) -> None:
        """Handle an update while nothing else takes a turn."""
        async with self.turn:
            await self.handle(update)

    async def beside(self, update: InboxUpdate) -> None:
        """Handle an update that takes long, beside the others."""
        await self.handle(update, Lane.SLOW_UPDATE)

    async def handle(self, update: InboxUpdate, lane: Lane = Lane.UPDATE) -> None:
        """Act on an update, or set it apart where processes have died of it."""
        if self.router is None:
            raise RuntimeError("start() comes before run()")
        with marked(self._in_hand, lane, f"update {update.update_id}") as may_touch:
            handled = (
                await self.router.handle(update) if may_touch else self.router.set_apart(update)
            )
            # A crash may have left some of it in the journal.
            await append_lacking(self.journal, handled.events)
        self._follow(handled)
        if handled.looked is not None:
            await self._recurring.look(handled.looked, update.received_at)
