"""The durable outbox: sends what waits, critical first, until Telegram took each message."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import groupby

from telegram.error import (
    BadRequest,
    ChatMigrated,
    Forbidden,
    TelegramError,
)

from bot.telegram.addressing import wait_for_kick
from bot.telegram.appending import append_lacking
from bot.telegram.folding import LATE_AFTER, Folding, Sending
from bot.telegram.render.text import strip_markup, wrap
from bot.telegram.requesting import Flooded, may_have_arrived
from bot.telegram.sending import Sender
from trading.domain.chat import OutboxMessage, Severity
from trading.domain.errors import StorageLost
from trading.domain.events import Event, MessageDelivered, MessageQueued
from trading.ports.clock import Clock
from trading.ports.on_the_way import OnTheWay, UnmarkedWay
from trading.ports.storage import Journal, Records

logger = logging.getLogger(__name__)
_BURST = 20.0
_PER_SECOND = 1.0
_BACK_OFF_S = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
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
    folding: Folding = field(default_factory=Folding)
    # Called with each message before a byte of it leaves.
    on_leave: Callable[[OutboxMessage], None] = lambda _message: None
    _kick: asyncio.Event = field(default_factory=asyncio.Event)
    _paces: dict[int, _ChatPace] = field(default_factory=dict)
    _failures: int = 0
    _retry_at_s: float = 0.0
    # The drain of a stop must not send what the loop is just sending.
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    # What Telegram took and the disk did not: until it does, nothing of it is sent again.
    _unstored: dict[str, tuple[Event, ...]] = field(default_factory=dict)
    # At the end of the process nothing waits for more of its sort.
    _is_last: bool = False
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
        self._is_last = True
        wait_s = await self.send_waiting()
        while not self.is_idle.is_set():
            await wait_for_kick(self._kick, min(wait_s, 0.2))
            wait_s = await self.send_waiting()

    async def send_waiting(self) -> float:
        """Send everything that may go now; returns seconds until more may."""
        async with self._turn:
            return await self._send_pending()

    async def _send_pending(self) -> float:
        await self._store_again()
        pending = await self._newest(await self.records.pending_messages(PENDING_MAX))
        if not pending:
            self._settle(pending, ())
            self.is_idle.set()
            return _TIMER_S
        # What was taken and is not stored is neither sent again nor folded.
        taken = {fact.message_key for facts in self._unstored.values() for fact in _ends(facts)}
        waiting = [message for message in pending if message.message_key not in taken]
        now, now_s = self.clock.now(), self.clock.monotonic()
        plan = self.folding.plan(waiting, now, now_s, is_last=self._is_last)
        self._settle(pending, plan.sendings)
        by_chat = sorted(plan.sendings, key=lambda one: one.message.chat_id)
        chats = [list(rows) for _, rows in groupby(by_chat, key=lambda one: one.message.chat_id)]
        waits = await asyncio.gather(*(self._send_chat(rows) for rows in chats))
        held = () if plan.held_s is None else (plan.held_s,)
        return min((*waits, *held), default=_TIMER_S)

    def _settle(self, pending: Sequence[OutboxMessage], sendings: Sequence[Sending]) -> None:
        """End the doubt about what was delivered, folded or overtaken: nothing sends it again."""
        if self._in_doubt and len(pending) < PENDING_MAX:
            keys = {message.message_key for message in pending}
            keys |= {one.message.message_key for one in sendings}
            for key in self._in_doubt - keys:
                self._in_doubt.discard(key)
                self.on_the_way.arrive(key)

    async def _send_chat(self, sendings: Sequence[Sending]) -> float:
        """Send one chat's messages in order; returns seconds until the rest may go."""
        chat_id = sendings[0].message.chat_id
        pace = self._paces.setdefault(chat_id, _ChatPace(at_s=self.clock.monotonic()))
        for sending in sendings:
            now_s = self.clock.monotonic()
            wait_s = max(pace.wait_s(now_s), self._retry_at_s - now_s)
            if wait_s > 0:
                return wait_s
            pace.tokens -= 1
            if not await self._deliver(sending, pace):
                return max(pace.wait_s(self.clock.monotonic()), 0.05)
        return 0.0

    async def _deliver(self, sending: Sending, pace: _ChatPace) -> bool:
        """Whether the message found its end; False leaves it waiting."""
        message = sending.message
        self.beat()
        self.on_the_way.leave(message.message_key)
        self.on_leave(message)
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
        self.folding.told(sending, self.clock.monotonic())
        is_stored = await self._store(
            message.message_key, _facts(sending, message_id, reason, self.clock.now())
        )
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
            message = self._dated(message)
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

    def _dated(self, message: OutboxMessage) -> OutboxMessage:
        """Say of what may be there already, and of what is critical and late, of when it is."""
        if message.message_key in self._in_doubt:
            return replace(message, text=again(message))
        is_late = self.clock.now() - message.created_at >= LATE_AFTER
        if message.severity is Severity.CRIT and is_late:
            line = f"🕑 Written {message.created_at:%H:%M:%S} UTC"
            return replace(message, text=f"{message.text}\n{line}")
        return message

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

    async def _store_again(self) -> None:
        for key, facts in list(self._unstored.items()):
            if not await self._store(key, facts):
                return

    async def _store(self, key: str, facts: tuple[Event, ...]) -> bool:
        try:
            await append_lacking(self.journal, facts)
        except StorageLost as error:
            # After a death it goes out again: a duplicate is allowed, silence is not.
            if key not in self._unstored:
                logger.warning("delivery_not_stored", extra={"error": str(error)})
            self._unstored[key] = facts
            return False
        self._unstored.pop(key, None)
        self.on_the_way.arrive(key)
        return True

    async def _newest(self, pending: Sequence[OutboxMessage]) -> Sequence[OutboxMessage]:
        """Drop refreshes that a newer one of the same card has overtaken."""
        newest = {_place(each): each for each in pending if each.is_refresh}
        overtaken = [
            each for each in pending if each.is_refresh and newest[_place(each)] is not each
        ]
        if not overtaken:
            return pending
        now = self.clock.now()
        await self.journal.append(
            *(MessageDelivered(each.message_key, None, "overtaken", now) for each in overtaken)
        )
        keys = {each.message_key for each in overtaken}
        return [each for each in pending if each.message_key not in keys]


def _place(refresh: OutboxMessage) -> tuple[int, str | None, int | None]:
    return refresh.chat_id, refresh.card, refresh.target


_EDIT_IMPOSSIBLE = (
    "message to edit not found",
    "message can't be edited",
    "message_id_invalid",
    "there is no text in the message",
    "there is no media in the message",
    "no caption",
)


def _facts(
    sending: Sending, message_id: int | None, reason: str, now: datetime
) -> tuple[Event, ...]:
    """What is recorded of a message that found its end, and of those that it told of."""
    key = sending.message.message_key
    end = MessageDelivered(key, message_id, reason, now)
    if not sending.rows:
        return (end,)
    folded = (MessageDelivered(row.message_key, None, "folded", now) for row in sending.rows)
    return (MessageQueued(sending.message), end, *folded)


def _ends(facts: Sequence[Event]) -> list[MessageDelivered]:
    return [fact for fact in facts if isinstance(fact, MessageDelivered)]


def again(message: OutboxMessage) -> str:
    """The text of a message that may be in the chat already, with a line that says so."""
    kind, _, rest = message.message_key.partition(":")
    event = f"event {rest.partition(':')[0]}, " if kind == "alert" else ""
    at = f"{message.created_at:%H:%M:%S}"
    line = f"↻ Sent again, so it may be here twice: {event}written {at} UTC"
    return "\n".join((message.text, *wrap(line)))
