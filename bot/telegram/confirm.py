"""Questions for one tap: durable, single use, bound to person and chat, with an end."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Final

from trading.domain.chat import Button, Confirmation, ConfirmationAnswer
from trading.ports.storage import StoredConfirmation

CONFIRM: Final = "c:"
CANCEL: Final = "x:"
_SECOND: Final = "e:"
# What keeps a clock right may set it back by a little.
_CLOCK_SLACK: Final = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: `payload` is handed back on Confirm, `everything` on the second button."""

    action: str
    payload: str
    answer_within_s: int
    everything: str | None = None


def ask(
    question: Question, nonce: str, user_id: int, chat_id: int, card: str, now: datetime
) -> Confirmation:
    """Make the durable question; `card` names the message that carries its buttons."""
    payload = question.payload
    if question.everything is not None:
        payload = f"{payload}\n{question.everything}"
    return Confirmation(
        nonce=nonce,
        user_id=user_id,
        chat_id=chat_id,
        action=question.action,
        payload=payload,
        asked_at=now,
        expires_at=now + timedelta(seconds=question.answer_within_s),
        card=card,
    )


def buttons(confirmation: Confirmation) -> tuple[tuple[Button, ...], ...]:
    """The rows under the question: Confirm and Cancel, and `Everything` where it is offered."""
    nonce = confirmation.nonce
    row = (Button("Confirm", f"{CONFIRM}{nonce}"), Button("Cancel", f"{CANCEL}{nonce}"))
    if "\n" not in confirmation.payload:
        return (row,)
    return (row, (Button("Everything", f"{_SECOND}{nonce}"),))


def is_answer(data: str) -> bool:
    """Whether callback data answers a question."""
    return data.startswith((CONFIRM, CANCEL, _SECOND))


def nonce_of(data: str) -> str:
    """The question that callback data answers."""
    return data[2:]


class TapVerdict(Enum):
    """What a tap on a question amounts to."""

    CONFIRMED = "confirmed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    ALREADY_DONE = "already_done"
    NOT_YOURS = "not_yours"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Tap:
    """A tap and its verdict; `payload` is what to do when it is CONFIRMED."""

    verdict: TapVerdict
    confirmation: Confirmation | None = None
    payload: str = ""


def judge_tap(
    data: str, stored: StoredConfirmation | None, user_id: int, chat_id: int, at: datetime
) -> Tap:
    """Decide about a tap that arrived `at`; the caller records the answer with its effect."""
    if stored is None:
        return Tap(TapVerdict.UNKNOWN)
    asked = stored.confirmation
    if (asked.user_id, asked.chat_id) != (user_id, chat_id):
        return Tap(TapVerdict.NOT_YOURS, asked)
    if stored.answer not in {None, ConfirmationAnswer.EXPIRED}:
        return Tap(TapVerdict.ALREADY_DONE, asked)
    if stored.answer is ConfirmationAnswer.EXPIRED or is_past(asked, at):
        return Tap(TapVerdict.EXPIRED, asked)
    return _open_tap(data, asked)


def is_past(asked: Confirmation, at: datetime, grace: timedelta = timedelta(0)) -> bool:
    """Whether a question's time is over; so is one from the future, whose age nobody knows.

    A clock that was set back by an hour would otherwise keep an old price on offer for an hour.
    """
    return at > asked.expires_at + grace or at < asked.asked_at - _CLOCK_SLACK


def _open_tap(data: str, asked: Confirmation) -> Tap:
    if data.startswith(CANCEL):
        return Tap(TapVerdict.CANCELLED, asked)
    first, _, second = asked.payload.partition("\n")
    payload = second if data.startswith(_SECOND) else first
    # A forged second button on a question that has none confirms nothing.
    return Tap(TapVerdict.CONFIRMED, asked, payload) if payload else Tap(TapVerdict.UNKNOWN)
