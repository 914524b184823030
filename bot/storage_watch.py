"""Notices a lost or slow disk before a stop needs it, tells past the journal, and fails stop."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from decimal import Context

from bot.repetition import repeats_due
from storage.store import Store
from trading.domain.errors import StorageLost
from trading.domain.events import Event, IntentClosed
from trading.domain.instrument import base_and_quote
from trading.domain.money import plain
from trading.domain.order import Intent, Side
from trading.domain.position import TradingMode
from trading.ports.clock import Clock

logger = logging.getLogger(__name__)

PROBE_S = 2.0
# Between two probes memory alone is asked: a commit of somebody else may have failed.
LOOK_S = 0.5
# A stop that fires is written down before it sells.
SLOW_S = 1.0
# A log that is read afterwards needs no line for each probe.
LOGGED_AGAIN_S = 60.0
# A disk that is slow now and then is one story and not many.
CALM_S = 30.0
# So long stops still sell without a record, once nothing can be written ever again.
LAST_SALES_S = 1.0
# So long at most an end waits for its last word.
LAST_WORD_S = 3.0

# So many sales and purchases are named one by one.
_NAMED_MAX = 8
_EIGHT_DIGITS = Context(prec=8)

# What is said, and whether nobody has done anything about it for a minute.
Tell = Callable[[str, bool], Awaitable[bool]]


class StorageWatch:
    """Probes the database; a full disk is told and waited out, a broken one ends the process.

    `mode` is that of the trading, None while no private stop is watched yet; `left_behind` says
    which sales are done or not and what rests on the exchange.

    What cannot be journaled is told directly: an alert about a full disk must not need the disk.
    For the same reason nobody can acknowledge it: it repeats until the disk takes writes again.
    """

    def __init__(
        self,
        store: Store,
        tell: Tell,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]],
        mode: Callable[[], TradingMode | None],
        left_behind: Callable[[], str],
    ) -> None:
        self._store = store
        self._tell = tell
        self._clock = clock
        self._sleep = sleep
        self._mode = mode
        self._left_behind = left_behind
        # Since when something has been wrong, and how often that was said.
        self._since_s: float | None = None
        self._said = 0
        self._is_lost = False
        self._good_since_s: float | None = None
        # When the log was last told that it is lost.
        self._logged_s: float | None = None
        # What was sold or bought while nothing can be written, and is not told yet.
        self._done: list[Intent] = []

    @property
    def is_wrong(self) -> bool:
        """Whether the disk is lost, slow, or was so a moment ago: whoever writes waits for it."""
        return self._since_s is not None

    def note(self, event: Event) -> None:
        """Take note of what was sold or bought while the chat, which reads the journal, is blind.

        A plain call for the bus: what is told of it is told by the next look.
        """
        if not isinstance(event, IntentClosed) or not self._store.is_degraded:
            return
        if event.intent.filled_quantity > 0:
            self._done.append(event.intent)

    async def run(self) -> None:
        """Probe every two seconds until cancelled; raises StorageLost when only a restart helps."""
        while True:
            await self.probe()
            probed_s = self._clock.monotonic()
            while self._clock.monotonic() - probed_s < PROBE_S:
                await self._sleep(LOOK_S)
                await self._tell_done()
                if self._store.is_degraded and not self._is_lost:
                    break

    async def probe(self) -> None:
        """Look once; tell changes once, and again while they last."""
        # An append without facts touches the file and drains the reserve.
        writing = asyncio.ensure_future(self._store.journal.append())
        try:
            done, _ = await asyncio.wait({writing}, timeout=SLOW_S)
            if not done:
                await self._wrong(
                    f"🚨 The disk is slow: a write has taken more than {SLOW_S:g} s. "
                    "A stop that fires is written down first, so it sells late."
                )
            await writing
        except StorageLost as error:
            self._log_lost(str(error))
            if self._store.is_broken:
                # What has fired goes out without a record; nothing else is told of a process that
                # ends.
                await self._sleep(LAST_SALES_S)
                raise
            await self._lost(str(error))
        else:
            self._log_back()
            if done:
                await self._good()
        finally:
            writing.cancel()

    def _log_lost(self, why: str) -> None:
        now_s = self._clock.monotonic()
        is_due = self._logged_s is None or now_s - self._logged_s >= LOGGED_AGAIN_S
        if is_due or self._store.is_broken:
            self._logged_s = now_s
            logger.critical("storage_lost", extra={"reason": why})

    def _log_back(self) -> None:
        if self._logged_s is not None and not self._store.is_degraded:
            self._logged_s = None
            logger.warning("storage_back")

    async def _tell_done(self) -> None:
        """Say past the journal what was done, once; written down, it is told as ever."""
        done, self._done = self._done, []
        if not done or not self._store.is_degraded:
            return
        named = [_done(intent) for intent in done[:_NAMED_MAX]]
        named += [f"{len(done) - _NAMED_MAX} more"] * (len(done) > _NAMED_MAX)
        text = (
            f"✅ Done at the exchange, while the journal cannot be written: {'; '.join(named)}. "
            "Fees and profit are told when that is over."
        )
        if not await self._tell(text, False):
            self._done = [*done, *self._done]

    async def tell_end(self, why: str) -> None:
        """Say past the journal that the process ends for its database, and what is left behind."""
        await self._tell(self._end(why), True)

    async def tell_stopped(self) -> None:
        """Say past the journal that Umbra stops as it was asked to, when that takes no word."""
        if not self._store.is_degraded:
            return
        why = self._store.lost_reason or "the reserve is not empty yet"
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORD_S):
                await self._tell(
                    "⏹ Umbra stops, as it was asked to, while it cannot write its journal: "
                    f"{why}. Private stops are NOT watched while I am down; {self._left_behind()}. "
                    "What fired and is not sold yet is sold after the next start.",
                    False,
                )

    async def _lost(self, why: str) -> None:
        if not self._is_lost:
            self._is_lost, self._since_s, self._said = True, None, 0
        await self._wrong(
            f"🚨 Umbra cannot write its journal: {why}. {_stops(self._mode())} "
            "This chat is answered again when that is over; until then on the machine: "
            "umbra status, umbra halt, umbra panic. "
            "Free the disk, end what holds the database, or start its server."
        )

    def _end(self, why: str) -> str:
        return (
            f"🚨 Umbra ENDS NOW, its database cannot be used any more: {why}. PRIVATE STOPS ARE "
            "NOT WATCHED until it is started again (umbra run; a service manager does that); "
            f"{self._left_behind()}. If the database is gone, put it or its newest backup back "
            "first: without it Umbra knows no stop any more, only what the exchange tells."
        )

    async def _wrong(self, text: str) -> None:
        now_s = self._clock.monotonic()
        self._good_since_s = None
        if self._since_s is None:
            self._since_s = now_s
        since_s = self._since_s
        due = 1 + repeats_due(timedelta(seconds=now_s - since_s))
        if self._said >= due:
            return
        minutes = int((now_s - since_s) // 60)
        again = f"\n🔁 Still, after {minutes} min." if self._said else ""
        if await self._tell(text + again, self._said == 1):
            self._said = due

    async def _good(self) -> None:
        if self._since_s is None or self._store.is_degraded:
            return
        now_s = self._clock.monotonic()
        if self._good_since_s is None:
            self._good_since_s = now_s
        if not self._is_lost and now_s - self._good_since_s < CALM_S:
            return
        if not self._said or await self._tell("✅ Umbra writes its journal again.", False):
            self._since_s, self._said, self._is_lost = None, 0, False


def _done(intent: Intent) -> str:
    base, quote = base_and_quote(intent.symbol)
    word = "sold" if intent.side is Side.SELL else "bought"
    whose = "" if intent.tracker_id is None else f" (#{intent.tracker_id})"
    average = plain(_EIGHT_DIGITS.divide(intent.filled_notional, intent.filled_quantity))
    return f"{word} {plain(intent.filled_quantity)} {base} at {average} {quote}{whose}"


def _stops(mode: TradingMode | None) -> str:
    """Say what becomes of private stops without a journal."""
    if mode is None:
        return "NO PRIVATE STOP IS WATCHED: Umbra starts once it can write."
    if mode is TradingMode.HALTED_EVERYTHING:
        return "Everything is halted, so NO STOP SELLS, and everything else is refused."
    return "Private stops still sell, through the reserve; everything else is refused."
