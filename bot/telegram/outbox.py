"""The durable outbox: sends what waits, critical first, until Telegram took each message."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from html import unescape
from itertools import groupby
from typing import Protocol

from telegram.error import (
    BadRequest,
    ChatMigrated,
    Forbidden,
    TelegramError,
)

from bot.telegram.addressing import wait_for_kick
from bot.telegram.render.text import card_text, wrap
from bot.telegram.requesting import Flooded, may_have_arrived
from bot.telegram.sending import Sender
from trading.domain.chat import OutboxMessage, Severity
from trading.domain.errors import AlreadyRecorded, StorageLost
from trading.domain.events import MessageDelivered, MessageQueued
from trading.ports import Clock, Journal, Records

logger = logging.getLogger(__name__)
_BURST = 20.0
_PER_SECOND = 1.0
_BACK_OFF_S = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_FOLD_AFTER = timedelta(hours=1)
_FOLD_FROM = 3
_TIMER_S = 1.0
# How many messages are looked at in one round.
PENDING_MAX = 200
_BACKLOG_S = 0.25
_REFUSED = "not delivered: "


@dataclass(slots=True)
class _ChatPace:
    """A token bucket per chat, and until when Telegram asked for silence (monotonic)."""

    tokens: float = _BURST
    at_s: float = 0.0
    silent_until_s: float = 0.0

    def wait_s(self, now_s: float) -> float:
        """Seconds until the next message may go."""
        self.tokens = min(_BURST, self.tokens + max(now_s - self.at_s, 0.0) * _PER_SECOND)
        self.at_s = now_s
        silent_s = self.silent_until_s - now_s
        paced_s = 0.0 if self.tokens >= 1 else (1 - self.tokens) / _PER_SECOND
        return max(silent_s, paced_s, 0.0)


class OnTheWay(Protocol):
    """Marks that outlive the process: which messages were sent and not heard of again."""

    @property
    def keys(self) -> frozenset[str]:
        """What is marked, by this process or the one before it."""
        ...

    def leave(self, key: str) -> None:
        """Mark a message before it is sent."""
        ...

    def arrive(self, key: str) -> None:
        """Take the mark away: what became of the message is known."""
        ...


class UnmarkedWay:
    """Marks nothing, for whoever has nobody to come after."""

    keys: frozenset[str] = frozenset()

    def leave(self, key: str) -> None:
        """Nothing is kept."""

    def arrive(self, key: str) -> None:
        """Nothing was kept."""


@dataclass(slots=True)
class Outbox:
    """Delivers at least once: a duplicate after a lost answer is allowed, a loss is not.

    What may have arrived before says so when it is sent again, and when it was written.
    """

    sender: Sender
    journal: Journal
    records: Records
    clock: Clock
    # Told of each message that was sent: its chat, and why the chat refused it for good, if it did.
    on_end: Callable[[int, str], Awaitable[None]] | None = None
    on_the_way: OnTheWay = field(default_factory=UnmarkedWay)
    # Called at each turn and before each message, for whoever looks whether it goes on at all.
    beat: Callable[[], None] = lambda: None
    _kick: asyncio.Event = field(default_factory=asyncio.Event)
    _paces: dict[int, _ChatPace] = field(default_factory=dict)
    _failures: int = 0
    _retry_at_s: float = 0.0
    # The drain of a stop must not send what the loop is just sending.
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    # What Telegram took and the disk did not: until it does, nothing of it is sent again.
    _unstored: dict[str, MessageDelivered] = field(default_factory=dict)
    # What was sent without an answer.
    _in_doubt: set[str] = field(default_factory=set)
    is_idle: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        """Take over what the process before this one had sent and heard nothing of."""
        self._in_doubt |= self.on_the_way.keys

    def kick(self) -> None:
        """Say that something was queued."""
        self.is_idle.clear()
        self._kick.set()

    async def send_forever(self) -> None:
        """Deliver until cancelled."""
        while True:
            self.beat()
            wait_s = await self.send_waiting()
            if not self.is_idle.is_set():
                # Read at each kick, a backlog of hundreds would take its time from stops.
                await asyncio.sleep(min(wait_s, _BACKLOG_S))
            await wait_for_kick(self._kick, min(wait_s, _TIMER_S))

    async def drain(self) -> None:
        """Deliver until nothing waits any more; the caller sets the deadline."""
        self.is_idle.clear()
        wait_s = await self.send_waiting()
        while not self.is_idle.is_set():
            await wait_for_kick(self._kick, min(wait_s, 0.2))
            wait_s = await self.send_waiting()

    async def send_waiting(self) -> float:
        """Send everything that may go now; returns seconds until more may."""
        async with self._turn:
            return await self._send_pending()

    async def _send_pending(self) -> float:
        pending = await self._folded(
            await self._newest(await self.records.pending_messages(PENDING_MAX))
        )
        self._settle(pending)
        if not pending:
            self.is_idle.set()
            return _TIMER_S
        by_chat = sorted(pending, key=lambda message: (message.chat_id, message.is_refresh))
        chats = [list(rows) for _, rows in groupby(by_chat, key=lambda message: message.chat_id)]
        waits = await asyncio.gather(*(self._send_chat(rows) for rows in chats))
        return min(waits)

    def _settle(self, pending: Sequence[OutboxMessage]) -> None:
        """End the doubt about what was delivered, folded or overtaken: nothing sends it again."""
        if self._in_doubt and len(pending) < PENDING_MAX:
            for key in self._in_doubt - {message.message_key for message in pending}:
                self._in_doubt.discard(key)
                self.on_the_way.arrive(key)

    async def _send_chat(self, messages: Sequence[OutboxMessage]) -> float:
        """Send one chat's messages in order; returns seconds until the rest may go."""
        pace = self._paces.setdefault(messages[0].chat_id, _ChatPace(at_s=self.clock.monotonic()))
        for message in messages:
            now_s = self.clock.monotonic()
            wait_s = max(pace.wait_s(now_s), self._retry_at_s - now_s)
            if wait_s > 0:
                return wait_s
            pace.tokens -= 1
            if not await self._deliver(message, pace):
                return max(pace.wait_s(self.clock.monotonic()), 0.05)
        return 0.0

    async def _deliver(self, message: OutboxMessage, pace: _ChatPace) -> bool:
        """Whether the message found its end; False leaves it waiting."""
        self.beat()
        taken = self._unstored.get(message.message_key)
        if taken is not None:
            return await self._store(taken)
        self.on_the_way.leave(message.message_key)
        try:
            message_id, reason = await self._send(message)
        except Flooded as error:
            self._never_left(message)
            pace.silent_until_s = self.clock.monotonic() + error.retry_after_s
            return False
        except TelegramError as error:
            self._failures += 1
            if may_have_arrived(error):
                self._in_doubt.add(message.message_key)
            else:
                self._never_left(message)
            back_off_s = _BACK_OFF_S[min(self._failures, len(_BACK_OFF_S)) - 1]
            self._retry_at_s = self.clock.monotonic() + back_off_s
            logger.warning(
                "message_waits", extra={"error": type(error).__name__, "key": message.message_key}
            )
            return False
        self._failures, self._retry_at_s = 0, 0.0
        self._in_doubt.discard(message.message_key)
        key, now = message.message_key, self.clock.now()
        is_stored = await self._store(MessageDelivered(key, message_id, reason, now))
        if is_stored and self.on_end is not None and not reason.startswith("dropped"):
            refused = reason if reason.startswith(_REFUSED) else ""
            await self.on_end(message.chat_id, refused.removeprefix(_REFUSED))
        return is_stored

    def _never_left(self, message: OutboxMessage) -> None:
        # Of an earlier try the doubt stays.
        if message.message_key not in self._in_doubt:
            self.on_the_way.arrive(message.message_key)

    async def _send(self, message: OutboxMessage) -> tuple[int | None, str]:
        try:
            return await self._send_or_edit(message)
        except Forbidden as error:
            return None, f"{_REFUSED}{error.message}"
        except ChatMigrated as error:
            # Only the host opens a chat: its new number is nobody's until then.
            return None, f"{_REFUSED}chat moved to {error.new_chat_id}"
        except BadRequest as error:
            return await self._send_plainly(message, error)

    async def _send_or_edit(self, message: OutboxMessage) -> tuple[int | None, str]:
        target = await self._edit_target(message)
        if target is None:
            if message.is_refresh:
                return None, "dropped: its card never arrived"
            if message.message_key in self._in_doubt:
                message = replace(message, text=again(message))
            return await self.sender.send(message), "delivered"
        try:
            await self.sender.edit(message, target)
        except BadRequest as error:
            text = error.message.lower()
            if "not modified" in text:
                return target, "delivered (unchanged)"
            if message.is_refresh:
                return None, f"dropped: {error.message}"
            if any(part in text for part in _EDIT_IMPOSSIBLE):
                return await self.sender.send(message), "delivered (anew)"
            raise
        return target, "delivered (edited)"

    async def _edit_target(self, message: OutboxMessage) -> int | None:
        if not message.edits or message.target is not None:
            return message.target
        if message.card is None:
            return None
        return await self.records.card_message_id(message.chat_id, message.card)

    async def _send_plainly(
        self, message: OutboxMessage, error: BadRequest
    ) -> tuple[int | None, str]:
        """Say it without markup, file or buttons rather than not at all."""
        if "chat not found" in error.message.lower():
            return None, f"{_REFUSED}{error.message}"
        logger.warning("message_sent_plainly", extra={"error": error.message})
        plain = replace(
            message, text=strip_markup(message.text), buttons=(), picture=None, document=None
        )
        try:
            return await self.sender.send_plain(plain), f"delivered plainly: {error.message}"
        except BadRequest as second:
            return None, f"not delivered even plainly: {second.message}"

    async def _store(self, delivered: MessageDelivered) -> bool:
        try:
            await self.journal.append(delivered)
        except AlreadyRecorded:
            logger.info("delivered_before", extra={"key": delivered.message_key})
        except StorageLost as error:
            # After a death it goes out again: a duplicate is allowed, silence is not.
            self._unstored[delivered.message_key] = delivered
            logger.warning("delivery_not_stored", extra={"error": str(error)})
            return False
        self._unstored.pop(delivered.message_key, None)
        self.on_the_way.arrive(delivered.message_key)
        return True

    async def _newest(self, pending: Sequence[OutboxMessage]) -> Sequence[OutboxMessage]:
        """Drop refreshes that a newer one of the same card has overtaken."""
        newest = {(each.chat_id, each.card): each for each in pending if each.is_refresh}
        overtaken = [
            each
            for each in pending
            if each.is_refresh and newest[each.chat_id, each.card] is not each
        ]
        if not overtaken:
            return pending
        now = self.clock.now()
        await self.journal.append(
            *(MessageDelivered(each.message_key, None, "overtaken", now) for each in overtaken)
        )
        keys = {each.message_key for each in overtaken}
        return [each for each in pending if each.message_key not in keys]

    async def _folded(self, pending: Sequence[OutboxMessage]) -> Sequence[OutboxMessage]:
        """Fold old small news of one chat into one message after a long silence."""
        now = self.clock.now()
        old = [
            message
            for message in pending
            if message.severity is Severity.INFO
            and message.message_key.startswith("alert:")
            and now - message.created_at > _FOLD_AFTER
        ]
        folded: set[str] = set()
        for chat_id in {message.chat_id for message in old}:
            rows = [message for message in old if message.chat_id == chat_id]
            if len(rows) >= _FOLD_FROM:
                await self._fold(chat_id, rows)
                folded.update(row.message_key for row in rows)
        if not folded:
            return pending
        return await self.records.pending_messages()

    async def _fold(self, chat_id: int, rows: Sequence[OutboxMessage]) -> None:
        now = self.clock.now()
        lines = [f"{row.created_at:%H:%M} {strip_markup(row.text).splitlines()[0]}" for row in rows]
        message = OutboxMessage(
            message_key=f"folded:{rows[-1].message_key}",
            chat_id=chat_id,
            text=card_text(f"📬 {len(rows)} messages from the outage", "Times are UTC.", *lines),
            created_at=now,
        )
        ends = (MessageDelivered(row.message_key, None, "folded", now) for row in rows)
        await self.journal.append(MessageQueued(message), *ends)


_EDIT_IMPOSSIBLE = (
    "message to edit not found",
    "message can't be edited",
    "message_id_invalid",
    "there is no text in the message",
    "there is no media in the message",
    "no caption",
)


def again(message: OutboxMessage) -> str:
    """The text of a message that may be in the chat already, with a line that says so."""
    kind, _, rest = message.message_key.partition(":")
    event = f"event {rest.partition(':')[0]}, " if kind == "alert" else ""
    at = f"{message.created_at:%H:%M:%S}"
    line = f"↻ Sent again, so it may be here twice: {event}written {at} UTC"
    return "\n".join((message.text, *wrap(line)))


def strip_markup(html: str) -> str:
    """The text of a card without its tags."""
    out = []
    for part in html.split("<"):
        _, closed, rest = part.partition(">")
        out.append(rest if closed else part)
    return unescape("".join(out))
