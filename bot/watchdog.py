"""The independent watcher: a small process that speaks when the agent's sign of life stops."""

import asyncio
import contextlib
import json
import logging
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from pathlib import Path

from bot import heartbeat
from bot.heartbeat import Sign
from bot.repetition import repeats_due
from trading.ports.clock import Clock

logger = logging.getLogger(__name__)

# The agent beats each 5 s; with one beat missed and one call to send, it is said within 15 s.
SILENCE_S_MAX = 10.5
_LOOK_S = 0.5
_BEAT_S = 5.0
_CALL_S = 4.0
_AGAIN_S = 2.0
_WAITING_MAX = 20
_HOLDINGS_MAX = 20
_SECONDS_MAX = 100.0
_TELEGRAM = "https://api.telegram.org/bot"

Say = Callable[[str], Awaitable[bool]]


class _State(Enum):
    UNSEEN = "unseen"
    ALIVE = "alive"
    STOPPED = "stopped"
    DEAD = "dead"


@dataclass(slots=True)
class Watch:
    """Makes sentences of successive looks: of each change of state, and of a death that stands.

    Nobody can acknowledge a death here: it is said again until there is life, or an orderly end.
    Silence is measured on the watcher's own monotonic clock, so no step of the wall clock is taken
    for a death.
    """

    _state: _State = _State.UNSEEN
    _seen: Sign | None = None
    _since_s: float | None = None
    _dead_s: float = 0.0
    _repeated: int = 0

    @property
    def is_repeating(self) -> bool:
        """Whether the newest sentence says once more what was said before."""
        return self._state is _State.DEAD and self._repeated > 0

    def look(self, sign: Sign | None, now_s: float) -> str | None:
        """Take in what lies there now; return what is to be said, None for nothing."""
        if self._since_s is None:
            self._seen, self._since_s = sign, now_s
            if sign is not None and sign.is_stopped:
                self._state = _State.STOPPED
            return None
        if sign is not None and sign != self._seen:
            self._seen, self._since_s = sign, now_s
            return self._stopped(sign) if sign.is_stopped else self._alive()
        silent_s = now_s - self._since_s
        if silent_s >= SILENCE_S_MAX and self._state in {_State.UNSEEN, _State.ALIVE}:
            self._state, self._dead_s, self._repeated = _State.DEAD, now_s, 0
            return _death(self._seen, silent_s)
        return self._still(silent_s, now_s) if self._state is _State.DEAD else None

    def _still(self, silent_s: float, now_s: float) -> str | None:
        due = repeats_due(timedelta(seconds=now_s - self._dead_s))
        if due <= self._repeated:
            return None
        self._repeated = due
        return f"{_death(self._seen, silent_s)}\n🔁 Said again until it runs."

    def _alive(self) -> str | None:
        before, self._state = self._state, _State.ALIVE
        if before in {_State.DEAD, _State.STOPPED}:
            return "✅ Umbra is back: private stops are watched again."
        return None

    def _stopped(self, sign: Sign) -> str | None:
        before, self._state = self._state, _State.STOPPED
        if before is _State.STOPPED:
            return None
        lines = ["⏹ Umbra was stopped in good order. Private stops are NOT watched until it runs."]
        return "\n".join([*lines, *sign.holdings[:_HOLDINGS_MAX]])


def _death(last: Sign | None, silent_s: float) -> str:
    age = f"{silent_s:.0f} s" if silent_s < _SECONDS_MAX else f"{silent_s / 60:.0f} min"
    title = f"🚨 Umbra gives no sign of life for {age}: PRIVATE STOPS ARE NOT WATCHED."
    if last is None:
        return f"{title}\nIt has never given one here."
    seen = f"Last seen {_utc(last.at)}, {last.note}."
    advice = "Start it again, or sell at the exchange."
    return "\n".join([title, seen, *last.holdings[:_HOLDINGS_MAX], advice])


def _utc(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


@dataclass(slots=True)
class Watchdog:
    """Looks twice a second and says what changed, by every way it has, until one has taken it."""

    data_dir: Path
    ways: Sequence[Say]
    clock: Clock
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    _watch: Watch = field(default_factory=Watch)
    # The oldest falls out: what matters is how it is now.
    _waiting: deque[str] = field(default_factory=lambda: deque(maxlen=_WAITING_MAX))
    _again_s: float = float("-inf")
    _beat_s: float = float("-inf")

    async def run(self) -> None:
        """Watch until cancelled; the agent is shown that somebody does, and when it ends."""
        logger.info("watching", extra={"data_dir": str(self.data_dir)})
        try:
            while True:
                await self.step()
                await self.sleep(_LOOK_S)
        except asyncio.CancelledError:
            self._sign(is_stopped=True)
            raise

    async def step(self) -> None:
        """Look once, and say what waits."""
        if self.clock.monotonic() - self._beat_s >= _BEAT_S:
            self._beat_s = self.clock.monotonic()
            self._sign()
        said = self._watch.look(heartbeat.read(self.data_dir), self.clock.monotonic())
        if said is not None:
            logger.warning("agent_changed", extra={"text": said})
            if self._watch.is_repeating and self._waiting:
                # What no way has taken yet is not said twice when one does.
                self._waiting.pop()
            self._waiting.append(said)
            self._again_s = float("-inf")
        if self._waiting and self.clock.monotonic() >= self._again_s:
            results = await asyncio.gather(*(way(self._waiting[0]) for way in self.ways))
            if any(results):
                self._waiting.popleft()
            else:
                self._again_s = self.clock.monotonic() + _AGAIN_S

    def _sign(self, *, is_stopped: bool = False) -> None:
        try:
            heartbeat.write_watchdog(self.data_dir, self.clock.now(), is_stopped=is_stopped)
        except OSError as error:
            # A full disk keeps nobody from speaking.
            logger.warning("sign_not_written", extra={"error": str(error)})


def telegram(token: str, chat_id: int, base_url: str | None) -> Say:
    """Return a way through a bot of the watchdog's own; needs nothing but the standard library."""
    url = f"{base_url or _TELEGRAM}{token}/sendMessage"

    def call(text: str) -> bool:
        body = json.dumps({"chat_id": chat_id, "text": text}).encode()
        headers = {"Content-Type": "application/json"}
        # The settings let only http and https through.
        request = urllib.request.Request(url, body, headers)  # noqa: S310
        with urllib.request.urlopen(request, timeout=_CALL_S) as reply:  # noqa: S310
            return json.load(reply).get("ok") is True

    async def say(text: str) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CALL_S + 1):
                try:
                    return await asyncio.to_thread(call, text)
                except (OSError, urllib.error.URLError, ValueError) as error:
                    # Not the message: it may hold the address, and that holds the token.
                    logger.warning("telegram_failed", extra={"error": type(error).__name__})
        return False

    return say
