"""The durable inbox: updates are ours before Telegram forgets them, and each finds one end."""

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from telegram import Bot
from telegram.error import Conflict, EndPointNotFound, InvalidToken, NetworkError, TelegramError

from bot.telegram.access import ALLOWED_KINDS, UPDATE_KINDS
from bot.telegram.requesting import Flooded
from trading.domain.chat import InboxUpdate
from trading.domain.errors import AlreadyRecorded, Ending, StorageLost
from trading.domain.events import UpdateReceived
from trading.ports.clock import Clock
from trading.ports.storage import Journal, PendingUpdate, Records

logger = logging.getLogger(__name__)
_QUEUE_MAX = 500
_SLOW_MAX = 50
# They read storage or draw, and change nothing: /panic must not wait behind a picture.
_SLOW = re.compile(
    r'"(?:text|data)":"[=+]?/(?:chart|export|summary|history|audit|scan|rank|post|data)\b'
)
_PAYLOAD_LENGTH_MAX = 64_000
_BACK_OFF_S = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
# Spelled like this, do_api_request hands over plain rows, so one odd update cannot hide the rest.
_GET_UPDATES = "get_Updates"
# What is denied is still received: edits get a hint, and strangers' tries leave an audit row.
RECEIVED_KINDS = tuple(
    kind for kind in UPDATE_KINDS if kind in {*ALLOWED_KINDS, "edited_message", "my_chat_member"}
)


@dataclass(slots=True)
class Inbox:
    """Polls, stores, and only then acknowledges; hands stored updates on one by one.

    A full queue stops the polling: what is not fetched stays with Telegram.
    """

    bot: Bot
    journal: Journal
    records: Records
    clock: Clock
    poll_timeout_s: int
    on_poll: Callable[[TelegramError | None], Awaitable[None]]
    without_secrets: Callable[[str], str] = lambda text: text
    _queue: asyncio.Queue[InboxUpdate] = field(
        default_factory=lambda: asyncio.Queue(maxsize=_QUEUE_MAX)
    )
    _slow: asyncio.Queue[InboxUpdate] = field(
        default_factory=lambda: asyncio.Queue(maxsize=_SLOW_MAX)
    )
    is_caught_up: asyncio.Event = field(default_factory=asyncio.Event)
    _is_loaded: asyncio.Event = field(default_factory=asyncio.Event)
    _seen: set[int] = field(default_factory=set)
    _taken: set[int] = field(default_factory=set)
    _offset: int = 0

    async def poll_forever(self) -> None:
        """Fetch and store updates until cancelled, once what was pending is known."""
        await self._is_loaded.wait()
        failures = 0
        while True:
            try:
                await self._poll_once()
                failures = 0
                await self.on_poll(None)
            except Flooded as error:
                await asyncio.sleep(error.retry_after_s)
            except TelegramError as error:
                await self.on_poll(error)
                failures += 1
                await asyncio.sleep(_back_off_s(error, failures))
            except StorageLost as error:
                # Not stored means not acknowledged: the same updates come again.
                if not failures:
                    logger.warning("inbox_not_stored", extra={"error": str(error)})
                failures += 1
                await asyncio.sleep(_BACK_OFF_S[min(failures, len(_BACK_OFF_S)) - 1])

    async def _poll_once(self) -> None:
        rows = await self._fetch()
        if not isinstance(rows, list) or not rows:
            # Nothing older is left unconfirmed; 0 also finds ids that start low again.
            self._offset = 0
            return
        updates = [update for row in rows if (update := self._as_update(row)) is not None]
        await self._store(updates)
        self._offset = max((update.update_id for update in updates), default=0) + 1

    async def _fetch(self) -> Any:
        try:
            return await self.bot.do_api_request(
                _GET_UPDATES,
                api_kwargs={
                    "offset": self._offset,
                    "timeout": self.poll_timeout_s,
                    "allowed_updates": list(RECEIVED_KINDS),
                },
                read_timeout=self.poll_timeout_s + 5,
            )
        except EndPointNotFound as error:
            # The library takes the refusal of a token for a method that does not exist.
            raise InvalidToken from error

    def _as_update(self, row: Any) -> InboxUpdate | None:
        if not isinstance(row, Mapping) or not isinstance(row.get("update_id"), int):
            logger.warning("update_without_id")
            return None
        payload = json.dumps(self._without_secrets(row), separators=(",", ":"))
        if len(payload) > _PAYLOAD_LENGTH_MAX:
            payload = json.dumps({"update_id": row["update_id"]})
        return InboxUpdate(row["update_id"], payload, self.clock.now())

    def _without_secrets(self, row: Any) -> Any:
        # Before it is stored: the journal keeps for ever what it was once given.
        clean = json.loads(json.dumps(row))
        # Not by recursion: what a stranger sends may be nested deeper than a stack.
        waiting: list[Any] = [clean]
        while waiting:
            holder = waiting.pop()
            places = holder.items() if isinstance(holder, dict) else enumerate(holder)
            for place, value in tuple(places):
                if isinstance(value, str):
                    holder[place] = self.without_secrets(value)
                elif isinstance(value, dict | list):
                    waiting.append(value)
        return clean

    async def _store(self, updates: Sequence[InboxUpdate]) -> None:
        fresh = [update for update in updates if update.update_id not in self._seen]
        if not fresh:
            return
        try:
            await self.journal.append(*(UpdateReceived(update) for update in fresh))
        except AlreadyRecorded:
            for update in fresh:
                # A disk that takes no more of them must not take back what is stored.
                if await self._store_one(update):
                    await self._take(update)
        else:
            for update in fresh:
                await self._take(update)
        if len(self._seen) > 4 * _QUEUE_MAX:
            # The journal's keys still know them all; only what may be queued has to be kept.
            self._seen = set(sorted(self._seen)[-2 * _QUEUE_MAX :])
            self._taken &= self._seen

    async def _take(self, update: InboxUpdate) -> None:
        self._seen.add(update.update_id)
        await self._queue.put(update)

    async def _store_one(self, update: InboxUpdate) -> bool:
        """Whether it was new; one stored before a restart is among the pending ones."""
        try:
            await self.journal.append(UpdateReceived(update))
        except AlreadyRecorded:
            self._seen.add(update.update_id)
            return False
        return True

    async def handle_forever(self, handle: Callable[[InboxUpdate], Awaitable[None]]) -> None:
        """Bring every stored update to its end, those from before a restart first."""
        for pending in await self._pending():
            await self._handle_until_stored(pending.update, handle)
        self.is_caught_up.set()
        while True:
            update = await self._queue.get()
            if _SLOW.search(update.payload) and not self._slow.full():
                self._slow.put_nowait(update)
            else:
                await self._handle_until_stored(update, handle)

    async def handle_slow_forever(self, handle: Callable[[InboxUpdate], Awaitable[None]]) -> None:
        """Bring what only looks, and takes its time, to its end beside the others."""
        while True:
            await self._handle_until_stored(await self._slow.get(), handle)

    async def _pending(self) -> Sequence[PendingUpdate]:
        pending = await self.records.pending_updates()
        self._seen.update(one.update.update_id for one in pending)
        self._is_loaded.set()
        return pending

    async def _handle_until_stored(
        self, update: InboxUpdate, handle: Callable[[InboxUpdate], Awaitable[None]]
    ) -> None:
        # A task that was started again reads what is pending anew, the queue's updates included.
        if update.update_id in self._taken:
            return
        self._taken.add(update.update_id)
        try:
            await self._handle_when_storable(update, handle)
        except BaseException:
            self._taken.discard(update.update_id)
            raise

    async def _handle_when_storable(
        self, update: InboxUpdate, handle: Callable[[InboxUpdate], Awaitable[None]]
    ) -> None:
        failures = 0
        while True:
            try:
                return await handle(update)
            except Ending:
                logger.info("update_left_to_the_next_start")
                return None
            except StorageLost as error:
                if not failures:
                    logger.warning("update_waits_for_storage", extra={"error": str(error)})
                failures += 1
                await asyncio.sleep(_BACK_OFF_S[min(failures, len(_BACK_OFF_S)) - 1])


def _back_off_s(error: TelegramError, failures: int) -> float:
    if isinstance(error, InvalidToken):
        return 30.0
    if isinstance(error, Conflict):
        return 1.0
    longest = _BACK_OFF_S[-1] if isinstance(error, NetworkError) else 5.0
    return min(_BACK_OFF_S[min(failures, len(_BACK_OFF_S)) - 1], longest)
