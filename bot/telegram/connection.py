"""How the chat itself is: lost, refused, or read by somebody else, told as conditions."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from telegram.error import Conflict, InvalidToken, TelegramError

from trading.domain.chat import Severity
from trading.domain.events import ConditionChanged
from trading.ports.clock import Clock

CONFLICT = "telegram_conflict"
WEBHOOK = "telegram_webhook"
LOST = "telegram_lost"
BLOCKED = "telegram_blocked"
_CONFLICT_WINDOW_S = 60.0
_LOST_AFTER_S = 60.0
_TEXTS = {
    CONFLICT: "somebody else reads this bot's messages (a second start, or a leaked token). "
    "Risk may not be added until it ends",
    WEBHOOK: "somebody set a webhook for this bot, so no message arrives here",
    LOST: "the chat could not be reached; private stops go on. Look at the network and at the "
    "bot's token; on the machine: umbra status, umbra halt, umbra panic",
    BLOCKED: "your chat takes no messages of this bot: it was blocked or deleted there. Unblock it",
}
_ENDED = {
    CONFLICT: "nobody else reads this bot's messages now, and risk may be added again",
    WEBHOOK: "the webhook is gone, messages arrive here again",
    LOST: "the chat is reached again",
    BLOCKED: "your chat takes messages of this bot again",
}


@dataclass(slots=True)
class Connection:
    """Watches the polls and announces each change once, with hysteresis."""

    clock: Clock
    announce: Callable[[ConditionChanged], Awaitable[None]]
    active: set[str] = field(default_factory=set)
    _conflicts_s: list[float] = field(default_factory=list)
    _last_success_s: float | None = None
    _first_failure_s: float | None = None

    def load(self, conditions: Iterable[ConditionChanged]) -> None:
        """Take over what stood when the process before this one ended."""
        self.active.update(each.condition for each in conditions if each.condition in _TEXTS)

    @property
    def is_contested(self) -> bool:
        """Whether a second reader was seen in the last minute."""
        return CONFLICT in self.active

    @property
    def seconds_since_success(self) -> float | None:
        """Age of the last good poll, None before the first."""
        if self._last_success_s is None:
            return None
        return self.clock.monotonic() - self._last_success_s

    async def polled(self, error: TelegramError | None) -> None:
        """Take in the outcome of a poll."""
        now_s = self.clock.monotonic()
        if isinstance(error, Conflict) and "webhook" in error.message.lower():
            await self._set(WEBHOOK, is_active=True)
        elif isinstance(error, Conflict):
            await self._conflicted(now_s)
        elif error is None:
            await self._succeeded(now_s)
        else:
            await self._failed(now_s, is_final=isinstance(error, InvalidToken))

    async def delivered(self, *, is_taken: bool) -> None:
        """Take in whether the owner's chat took a message, or refused it for good."""
        await self._set(BLOCKED, is_active=not is_taken)

    async def _conflicted(self, now_s: float) -> None:
        self._conflicts_s = [
            at_s for at_s in self._conflicts_s if now_s - at_s < _CONFLICT_WINDOW_S
        ] + [now_s]
        # One conflict is our own predecessor's last poll; the second is somebody else's.
        if len(self._conflicts_s) >= 2:
            await self._set(CONFLICT, is_active=True)

    async def _succeeded(self, now_s: float) -> None:
        self._last_success_s, self._first_failure_s = now_s, None
        await self._set(LOST, is_active=False)
        await self._set(WEBHOOK, is_active=False)
        if not self._conflicts_s or now_s - self._conflicts_s[-1] >= _CONFLICT_WINDOW_S:
            await self._set(CONFLICT, is_active=False)

    async def _failed(self, now_s: float, *, is_final: bool) -> None:
        self._first_failure_s = now_s if self._first_failure_s is None else self._first_failure_s
        if is_final or now_s - self._first_failure_s >= _LOST_AFTER_S:
            await self._set(LOST, is_active=True)

    async def _set(self, condition: str, *, is_active: bool) -> None:
        if is_active == (condition in self.active):
            return
        (self.active.add if is_active else self.active.discard)(condition)
        severity = Severity.CRIT if is_active else Severity.INFO
        text = (_TEXTS if is_active else _ENDED)[condition]
        now = self.clock.now()
        await self.announce(ConditionChanged(condition, None, is_active, severity, text, now))
