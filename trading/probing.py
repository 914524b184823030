"""Asks now and then whether the exchange is there and takes our key; tells when that turns."""

import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

from trading import backstops
from trading.commanding.workings import Workings
from trading.deadlines import within
from trading.domain.chat import Severity
from trading.domain.errors import AuthLost, Exhausted, RateLimited, Retryable
from trading.domain.events import ConditionChanged
from trading.ports.storage import StoredState
from trading.reachability import AUTH_LOST, CLOCK_OFF, EXCHANGE_DOWN, Reachability, Turn

logger = logging.getLogger(__name__)
_Answer = TypeVar("_Answer")
# An order may wait longer for its answer; that nobody is there has to be known sooner.
_ANSWER_S = 3.0
# What lasts as long is no hiccup of pace any more.
_BAN_S = 60.0
_QUIET = "asks this address for silence"
_SIGNED_EVERY_S = 60.0
_SIGNED_WHILE_LOST_S = 20.0


class Probing:
    """The job `exchange_probe`; `tell` records what turned."""

    def __init__(self, workings: Workings, tell: Callable[[ConditionChanged], None]) -> None:
        self._of = workings
        self._tell = tell
        self._reach = Reachability()
        self._signed_s = float("-inf")
        self._silent_s = 0.0
        # What this machine lacked when it asked last, empty where it could ask.
        self._missing = ""
        self._offset_ms: int | None = None

    @property
    def offset_ms(self) -> int | None:
        """Exchange time minus ours, as the last probe found it; None before the first."""
        return self._offset_ms

    def load(self) -> None:
        """Take over what was wrong before this start, so that its end is told too."""
        now_s = self._of.clock.monotonic()
        for name in (EXCHANGE_DOWN, AUTH_LOST, CLOCK_OFF):
            if self._of.state.has_condition(name):
                self._reach.resume(name, now_s)

    async def tell_unreached(self, stored: StoredState, advice: str) -> None:
        """Say of a start that it cannot reach the exchange, unless that is known to people.

        `advice` is a sentence that names whom it asks, and what to check.
        """
        known = (*stored.conditions, *self._of.state.conditions)
        if any(each.condition == EXCHANGE_DOWN for each in known):
            return
        held = any(each.quantity for each in stored.positions.values())
        severity = Severity.CRIT if held or stored.trackers else Severity.WARN
        text = (
            "Umbra has started and cannot reach the exchange: NO private stop is watched until it "
            f"answers. It is asked again and again. {advice}"
        )
        now = self._of.clock.now()
        await self._of.record(ConditionChanged(EXCHANGE_DOWN, None, True, severity, text, now))

    def is_green(self, condition: str) -> bool:
        """Whether the last sign about a condition was a good one."""
        return self._reach.is_green(condition)

    def key_was_refused(self) -> None:
        """Take the refusal of any signed request as a sign; the next probes ask for the key."""
        self._put(self._reach.key_refused(self._of.clock.monotonic()))

    async def probe(self) -> None:
        """Ask for the time, and each minute (while the key is in doubt, each time) for balances."""
        clock = self._of.clock
        turn, asked_s = None, clock.monotonic()
        try:
            self._offset_ms = await self._ask(self._of.gateway.clock_offset_ms())
        except RateLimited as error:
            if not error.is_own_count:
                self._missing, self._silent_s = "", error.retry_after_s
                turn = self._reach.silenced(clock.monotonic(), error.retry_after_s)
        except Retryable as error:
            logger.warning("exchange_unreachable", extra={"error": str(error)})
            self._silent_s = 0.0
            self._missing = str(error) if isinstance(error, Exhausted) else ""
            turn = self._reach.unreachable(clock.monotonic(), asked_s)
        else:
            turn = self._reach.answered(clock.monotonic())
            self._of.execution.clock_was_measured()
            self._put(self._reach.clock_read(clock.monotonic(), self._offset_ms))
            self._put(await self._probe_key())
        self._put(turn)

    async def _ask(self, answer: Awaitable[_Answer]) -> _Answer:
        return await within(_ANSWER_S, answer, self._of.sleep)

    async def _probe_key(self) -> Turn | None:
        now_s = self._of.clock.monotonic()
        every_s = _SIGNED_WHILE_LOST_S if self._reach.is_key_lost else _SIGNED_EVERY_S
        if now_s - self._signed_s < every_s and not self._reach.is_key_in_doubt:
            return None
        self._signed_s = now_s
        try:
            await self._ask(self._of.gateway.balances())
        except AuthLost as error:
            logger.warning("key_refused", extra={"error": str(error)})
            return self._reach.key_refused(now_s)
        except Retryable:
            # Not a word about the key; the next probe of the exchange itself counts it.
            return None
        self._of.execution.key_was_taken()
        return self._reach.key_taken(now_s)

    def _put(self, turn: Turn | None) -> None:
        if turn is None:
            return
        severity = Severity.INFO
        if turn.is_active:
            is_grave = self._is_exposed() and turn.condition != CLOCK_OFF
            severity = Severity.CRIT if is_grave else Severity.WARN
        text = self._text(turn)
        now = self._of.clock.now()
        self._tell(ConditionChanged(turn.condition, None, turn.is_active, severity, text, now))

    def _clock_text(self, turn: Turn) -> str:
        if not turn.is_active:
            return "this machine's clock and the exchange's agree again"
        offset_ms = self._offset_ms or 0
        way = "behind" if offset_ms > 0 else "ahead of"
        return (
            f"This machine's clock is {abs(offset_ms) / 1000:.1f} s {way} the exchange's: "
            "set it. Orders are signed by the exchange's clock meanwhile"
        )

    def _is_exposed(self) -> bool:
        held = any(each.quantity for each in self._of.state.book.positions.values())
        return held or self._of.trackers.count() > 0 or bool(self._of.execution.intents)

    def _text(self, turn: Turn) -> str:
        if turn.condition == CLOCK_OFF:
            return self._clock_text(turn)
        if not turn.is_active:
            subject = "the exchange answers" if turn.condition == EXCHANGE_DOWN else "the key works"
            since = self._of.clock.now() - timedelta(seconds=turn.green_s)
            return f"{subject} again since {since:%H:%M:%S} UTC{_after(turn.lasted_s)}"
        if turn.condition == AUTH_LOST:
            return (
                "The exchange refuses the key: nothing can be bought or sold. "
                "Look at the key there; Umbra asks again every 20 s"
            )
        resting = backstops.told(self._of.backstops())
        if self._silent_s:
            until = self._of.clock.now() + timedelta(seconds=self._silent_s)
            word = "bans this address" if self._silent_s >= _BAN_S else _QUIET
            return (
                f"The exchange {word} until {until:%H:%M:%S} UTC: "
                f"private stops are watched and cannot sell before that; {resting}"
            )
        if self._missing:
            return (
                f"This machine has {self._missing}, so Umbra cannot ask the exchange: private "
                f"stops are not judged and cannot sell until it has; {resting}. Free it, or "
                "restart Umbra; it asks again every 5 s"
            )
        return (
            "The exchange cannot be reached: private stops cannot sell until it answers; "
            f"{resting}. Umbra asks again every 5 s"
        )


def _after(lasted_s: float) -> str:
    # A loss from before a restart has no known length.
    if lasted_s < 1:
        return ""
    return f", after {f'{lasted_s:.0f} s' if lasted_s < 90 else f'{lasted_s / 60:.0f} min'}"
