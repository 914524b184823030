"""A start that is refused is told once, however often a service manager tries it again."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from bot.escalation import UNSEEN_S
from bot.small_files import replace_text
from trading.ports.clock import Clock

logger = logging.getLogger(__name__)

_FILE = "refused_start.json"
_AGAIN_AFTER = timedelta(hours=1)
_CHAT_S = 5.0
_PAUSE_S_MAX = 30.0
# Long enough for a chat that hangs, and the second channel after it.
TELL_S = 25.0


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why no start succeeds, since when (ISO 8601), and where that was told."""

    why: str
    since: str
    is_in_chat: bool = False
    is_on_second_channel: bool = False

    def age(self, now: datetime) -> timedelta:
        """How long ago it began, or was told anew."""
        return now - datetime.fromisoformat(self.since)


def taken_up(before: Refusal | None, why: str, now: datetime) -> Refusal:
    """Return the refusal that stands: the one before, unless it is another or an hour old."""
    if before is None or before.why != why:
        return Refusal(why, now.isoformat())
    # A clock that was set back must not silence it for long.
    if not timedelta() <= before.age(now) < _AGAIN_AFTER:
        return Refusal(why, now.isoformat())
    return before


@dataclass(slots=True)
class RefusedStart:
    """Tells the chat, and the second channel where the chat takes nothing or nobody mends it."""

    data_dir: Path
    clock: Clock
    tell_chat: Callable[[str], Awaitable[bool]]
    tell_second: Callable[[str], Awaitable[bool]]
    # As this process has told it, where no file can be written.
    _last: Refusal | None = None
    # After how long a way that took nothing is tried again, and from when on.
    _pause_s: float = 0.0
    _again_s: float = 0.0

    async def tell(self, text: str, *, is_everywhere: bool = False) -> bool:
        """Tell what was not told yet; returns whether anybody has it by now.

        The second channel is told at once where it has to be told `is_everywhere`.
        """
        now = self.clock.now()
        before = self._last or await asyncio.to_thread(_read, self.data_dir / _FILE)
        refusal = taken_up(before, text, now)
        is_due = is_everywhere or refusal != before or self.clock.monotonic() >= self._again_s
        if is_due:
            refusal = await self._told(refusal, now, is_everywhere=is_everywhere)
        if refusal != before:
            self._last = refusal
            await self._remember(refusal)
        return refusal.is_in_chat or refusal.is_on_second_channel

    async def _told(self, refusal: Refusal, now: datetime, *, is_everywhere: bool) -> Refusal:
        """Try what is due; what takes nothing is tried more and more seldom."""
        if not refusal.is_in_chat:
            refusal = replace(refusal, is_in_chat=await self._in_chat(refusal.why))
        is_unseen = is_everywhere or refusal.age(now).total_seconds() >= UNSEEN_S
        is_second_due = not refusal.is_on_second_channel and (is_unseen or not refusal.is_in_chat)
        if is_second_due:
            is_told = await self.tell_second(refusal.why)
            refusal = replace(refusal, is_on_second_channel=is_told)
        is_in_vain = not refusal.is_in_chat or (is_second_due and not refusal.is_on_second_channel)
        self._pause_s = min(max(self._pause_s * 2, 1.0), _PAUSE_S_MAX) if is_in_vain else 0.0
        self._again_s = self.clock.monotonic() + self._pause_s
        return refusal

    async def forget(self) -> None:
        """Take in that a start succeeded: the next refusal is news."""
        self._last = None
        await asyncio.to_thread((self.data_dir / _FILE).unlink, missing_ok=True)

    async def _in_chat(self, text: str) -> bool:
        try:
            async with asyncio.timeout(_CHAT_S):
                return await self.tell_chat(text)
        except TimeoutError:
            return False

    async def _remember(self, refusal: Refusal) -> None:
        try:
            await asyncio.to_thread(_write, self.data_dir / _FILE, refusal)
        except OSError as error:
            # It is told again at the next start, which is better than never.
            logger.warning("refusal_not_remembered", extra={"error": str(error)})


def _read(path: Path) -> Refusal | None:
    try:
        refusal = Refusal(**json.loads(path.read_text()))
        datetime.fromisoformat(refusal.since)
    except (OSError, ValueError, TypeError):
        return None
    return refusal


def _write(path: Path, refusal: Refusal) -> None:
    replace_text(path, json.dumps(asdict(refusal)))
