"""Invitations: single-use codes by which a stranger may ask to be admitted.

Only the hash of a code is kept. It has 75 random bits and a day to live, so nobody finds it from
its hash in time, and whoever has it still needs the owner's word.
"""

import base64
import hashlib
import hmac
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Final

from trading.domain.chat import Role
from trading.domain.events import Event, InvitationClosed, InvitationMade

LASTS: Final = timedelta(hours=24)
# Over which the tries of strangers are counted.
TRIES_LAST: Final = timedelta(minutes=15)
OPEN_MAX: Final = 5
TRIES_MAX: Final = 30
TRIES_OF_ONE_MAX: Final = 3
# How many ended ones are still told apart from a code that never was.
_REMEMBERED_MAX: Final = 50
_CODE_LENGTH: Final = 15
_CODE: Final = re.compile(r"[a-z2-7]{15}", re.ASCII)
_GROUP: Final = 5

USED: Final = "used up"
WITHDRAWN: Final = "withdrawn"


class CodeVerdict(Enum):
    """What a code that somebody sent amounts to."""

    RIGHT = "right"
    ENDED = "ended"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Tried:
    """A verdict with the invitation that the code belongs to, None where it is WRONG."""

    verdict: CodeVerdict
    invitation: InvitationMade | None = None
    ending: str = ""


def code_from(nonce: str) -> str:
    """Make a code of an unguessable text: small letters and digits that nobody confuses."""
    digest = hashlib.sha256(b"invitation" + nonce.encode()).digest()
    return base64.b32encode(digest).decode()[:_CODE_LENGTH].lower()


def written(code: str) -> str:
    """A code as people copy it: in groups."""
    return "-".join(code[at : at + _GROUP] for at in range(0, len(code), _GROUP))


def digest_of(typed: str) -> str | None:
    """The hash of a code as it was typed, None for what cannot be one."""
    code = typed.lower().replace("-", "") if typed.isascii() else ""
    return hashlib.sha256(code.encode()).hexdigest() if _CODE.fullmatch(code) else None


@dataclass(slots=True)
class Invitations:
    """The open ones and the newest ended ones; made of events, so that they survive a restart.

    The tries of strangers are counted by sender and in all over a quarter of an hour: no one of
    them uses up those of the others, and a swarm finds nothing.
    """

    _made: dict[str, InvitationMade] = field(default_factory=dict)
    _endings: dict[str, str] = field(default_factory=dict)
    _tries: Counter[int] = field(default_factory=Counter)
    _counted_from: datetime | None = None

    def load(self, recorded: Iterable[Event]) -> None:
        """Take over what the journal remembers, oldest first."""
        for event in recorded:
            self.note(event)

    def note(self, event: Event) -> None:
        """Follow what became durable."""
        if isinstance(event, InvitationMade):
            self._made[event.digest] = event
            while len(self._made) > _REMEMBERED_MAX:
                oldest = next(iter(self._made))
                del self._made[oldest]
                self._endings.pop(oldest, None)
        elif isinstance(event, InvitationClosed) and event.digest in self._made:
            self._endings[event.digest] = event.ending

    def open(self, now: datetime) -> list[InvitationMade]:
        """Those that would still be taken, oldest first."""
        return [one for one in self._made.values() if not self._ending(one, now)]

    def try_code(self, typed: str, user_id: int, now: datetime) -> Tried:
        """Judge a code, comparing hashes in constant time; past the bounds nothing is compared.

        A right code costs no try: an update that could not be stored is judged again.
        """
        if self._counted_from is None or not timedelta(0) <= now - self._counted_from < TRIES_LAST:
            self._tries.clear()
            self._counted_from = now
        is_past_bounds = (
            self._tries[user_id] >= TRIES_OF_ONE_MAX or self._tries.total() >= TRIES_MAX
        )
        digest = digest_of(typed)
        if digest is None or is_past_bounds:
            return Tried(CodeVerdict.WRONG)
        tried = self._compared(digest, now)
        if tried.verdict is not CodeVerdict.RIGHT:
            self._tries[user_id] += 1
        return tried

    def _compared(self, digest: str, now: datetime) -> Tried:
        # Every one is looked at, so that the time taken tells nothing.
        found = [one for one in self._made.values() if hmac.compare_digest(one.digest, digest)]
        if not found:
            return Tried(CodeVerdict.WRONG)
        ending = self._ending(found[0], now)
        verdict = CodeVerdict.ENDED if ending else CodeVerdict.RIGHT
        return Tried(verdict, found[0], ending)

    def _ending(self, made: InvitationMade, now: datetime) -> str:
        # One from the future was made by a clock that was wrong: nobody knows its age.
        is_current = made.at - timedelta(seconds=5) <= now < made.ends_at
        return self._endings.get(made.digest) or ("" if is_current else "too old")


def invitation(code: str, role: Role, by: int, now: datetime) -> InvitationMade:
    """Make the durable fact of a code: everything but the code itself."""
    digest = digest_of(code)
    if digest is None:
        raise ValueError("an invitation's code should have fifteen small letters and digits")
    return InvitationMade(digest, role, by, now + LASTS, now)
