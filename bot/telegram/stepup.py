"""The second factor: which questions ask for a code besides the tap, and whether a code counts.

Nothing that only cuts risk ever asks: whoever has lost the phone with the codes can still stop.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Final

from bot.totp import DIGITS, matching_step, step_at
from trading.desk import OrderProposal, Proposal, TrackerProposal
from trading.domain.commands import (
    AbortIntent,
    AbortOrders,
    CancelTracker,
    EditTracker,
    PauseTracker,
    SetTradingMode,
)
from trading.domain.order import Side

WRONG_MAX: Final = 3
_LOCK_FIRST: Final = timedelta(minutes=5)
_LOCK_LONGEST: Final = timedelta(hours=24)


class CodeVerdict(Enum):
    """What a typed code amounts to."""

    RIGHT = "right"
    WRONG = "wrong"
    USED = "used"
    LOCKED = "locked"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A tap that waits for its code: the button's data, where it was, the message it edits.

    With a `number` it waits for that number instead, typed by hand, until the question ends.
    """

    data: str
    chat_id: int
    target: int | None
    number: str = ""
    ends_at: datetime | None = None

    def takes(self, said: str, chat_id: int, at: datetime) -> bool:
        """Whether a message is meant for it; a command and a market's name are not."""
        if chat_id != self.chat_id:
            return False
        if not self.number:
            return code_in(said) is not None
        is_open = self.ends_at is None or at <= self.ends_at
        return is_open and bool(said.strip()) and "/" not in said


@dataclass(slots=True)
class StepUp:
    """Judges codes: each once, three wrong ones lock. Off without a secret.

    A restart forgets which codes were used, so none of the steps up to the start counts after it.
    """

    secret: bytes = field(default=b"", repr=False)
    started_at: datetime | None = None
    waiting: dict[int, Waiting] = field(default_factory=dict)
    locked_until: datetime | None = None
    _used_step: int = 0
    _wrong: int = 0
    _locks: int = 0

    def __post_init__(self) -> None:
        if self.started_at is not None:
            self._used_step = step_at(self.started_at) + 1

    @property
    def is_on(self) -> bool:
        """Whether codes are asked for at all."""
        return bool(self.secret)

    def forget(self, user_id: int, nonce: str) -> None:
        """End the waiting of a question that is being answered."""
        waiting = self.waiting.get(user_id)
        if waiting is not None and waiting.data[2:] == nonce:
            del self.waiting[user_id]

    def judge(self, code: str, now: datetime) -> CodeVerdict:
        """Decide about a typed code and remember it; while locked nothing is compared."""
        if self.locked_until is not None and now < self.locked_until:
            return CodeVerdict.LOCKED
        step = matching_step(self.secret, code, now)
        if step is None:
            return self._count_wrong(now)
        if step <= self._used_step:
            return CodeVerdict.USED
        self._used_step = step
        self._wrong = self._locks = 0
        self.locked_until = None
        return CodeVerdict.RIGHT

    def _count_wrong(self, now: datetime) -> CodeVerdict:
        self._wrong += 1
        if self._wrong < WRONG_MAX:
            return CodeVerdict.WRONG
        # Each lock is twice as long as the last: guessing gets nowhere within years.
        self.locked_until = now + min(_LOCK_FIRST * 2**self._locks, _LOCK_LONGEST)
        self._wrong, self._locks = 0, min(self._locks + 1, 16)
        return CodeVerdict.LOCKED


def code_in(text: str) -> str | None:
    """Return the digits of a message that is a code and nothing else."""
    digits = text.replace(" ", "")
    return digits if digits.isascii() and digits.isdigit() and len(digits) == DIGITS else None


def is_grave(proposal: Proposal, notional_min: Decimal) -> bool:
    """Whether a question asks for a code.

    Asked: what ends or loosens protection, lifts a halt, and adds risk worth at least
    `notional_min` of the account's currency, or that nobody can compare with it.
    """
    match proposal.command:
        case AbortIntent() | AbortOrders():
            return True
        case SetTradingMode() | CancelTracker() | PauseTracker() | EditTracker():
            # Of these only the grave ones are asked at all.
            return proposal.needs_confirmation
        case _:
            return is_large(proposal, notional_min)


def is_large(proposal: Proposal, notional_min: Decimal) -> bool:
    """Whether a purchase is worth at least `notional_min`, or nobody can tell."""
    match proposal.facts:
        case OrderProposal(side=side):
            is_purchase = side is Side.BUY
        case TrackerProposal(tracker=tracker):
            is_purchase = tracker.spec.first_side is Side.BUY
        case _:
            is_purchase = False
    return is_purchase and (proposal.value is None or proposal.value >= notional_min)
