"""The people who were admitted, and how the first one is: by setting, or by a pairing code."""

import hmac
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from trading.domain.chat import Person, Role
from trading.domain.events import PersonChanged

# Why somebody is no owner any more; whom the setting names follows.
FORMER_OWNER = "put out: UMBRA_OWNER_ID names "
PAIRING_TRIES_MAX = 10
PAIRING_TRIES_OF_ONE_MAX = 3
PAIRING_LASTS = timedelta(minutes=15)


@dataclass(slots=True)
class Roster:
    """Everybody known by id; only active people pass the gate."""

    _people: dict[int, Person] = field(default_factory=dict)
    _changed_at: dict[int, datetime] = field(default_factory=dict)

    def replace_all(self, people: Iterable[Person]) -> None:
        """Take over what the records hold."""
        self._people = {person.user_id: person for person in people}

    def put(self, person: Person, at: datetime | None = None) -> None:
        """Admit or change one person; `at` is when, where it may be read once more later."""
        self._people[person.user_id] = person
        if at is not None:
            self._changed_at[person.user_id] = at

    def follow(self, person: Person, at: datetime) -> None:
        """Take a change from the journal, unless a later one is known: readers lag behind."""
        latest = self._changed_at.get(person.user_id)
        if latest is None or at > latest:
            self.put(person, at)

    @property
    def everybody(self) -> list[Person]:
        """All who were ever admitted, by number."""
        return [person for _, person in sorted(self._people.items())]

    @property
    def active(self) -> Mapping[int, Person]:
        """Everybody who may pass, by id."""
        return {key: person for key, person in self._people.items() if person.is_active}

    @property
    def owner(self) -> Person | None:
        """The owner, once there is one."""
        owners = (one for one in self.active.values() if one.role is Role.OWNER)
        return next(owners, None)

    def get(self, user_id: int) -> Person | None:
        """Return somebody, active or not."""
        return self._people.get(user_id)

    def named_owner(self, owner_id: int, now: datetime) -> tuple[PersonChanged, ...]:
        """Return what changes where the settings name the owner: there is one, and it is they."""
        changes = [
            PersonChanged(one.put_out(), f"{FORMER_OWNER}{owner_id}", now)
            for one in self.active.values()
            if one.role is Role.OWNER and one.user_id != owner_id
        ]
        known = self.get(owner_id)
        if known is None or not known.is_active or known.role is not Role.OWNER:
            person = known or Person(owner_id, owner_id, "owner", Role.OWNER)
            owner = replace(person, role=Role.OWNER, is_active=True)
            changes.append(PersonChanged(owner, "named in the settings", now))
        return tuple(changes)


class Pairing:
    """A single-use code, printed at the start, that makes its sender the owner.

    It lasts minutes and few tries, and nobody can use up the tries of the others. What is stored
    of it is a hash with a key that lives as long as this process: six digits alone are soon tried.
    """

    def __init__(self, code: str, printed_at: datetime, key: str = "") -> None:
        self._code = code
        self._hash = hmac.new(key.encode(), code.encode(), "sha256").hexdigest()
        self._ends_at = printed_at + PAIRING_LASTS
        self._tries: Counter[int] = Counter()
        self._is_used = False

    def is_open(self, now: datetime) -> bool:
        """Whether a right code would still be taken from somebody."""
        is_left = self._tries.total() < PAIRING_TRIES_MAX
        return not self._is_used and is_left and now < self._ends_at

    def hashed(self, text: str, now: datetime) -> str:
        """Return a text with the hash in the place of the code, so that it may be stored."""
        is_meant = self.is_open(now) or text.lower().startswith("/pair")
        return text.replace(self._code, self._hash) if is_meant else text

    def try_code(self, text: str, user_id: int, now: datetime) -> bool:
        """Compare in constant time; a right code works once, wrong ones are counted by sender.

        A code may come as it was typed or as `hashed` has written it.
        """
        if not self.is_open(now) or self._tries[user_id] >= PAIRING_TRIES_OF_ONE_MAX:
            return False
        self._tries[user_id] += 1
        given = text.encode()
        matches = [hmac.compare_digest(given, one.encode()) for one in (self._code, self._hash)]
        self._is_used = any(matches)
        return self._is_used
