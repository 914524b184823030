"""The people who were admitted, and how the first one is: by setting, or by a pairing code."""

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from trading.domain.chat import Person, Role

PAIRING_TRIES_MAX = 10


@dataclass(slots=True)
class Roster:
    """Everybody known by id; only active people pass the gate."""

    _people: dict[int, Person] = field(default_factory=dict)

    def replace_all(self, people: Iterable[Person]) -> None:
        """Take over what the records hold."""
        self._people = {person.user_id: person for person in people}

    def put(self, person: Person) -> None:
        """Admit or change one person."""
        self._people[person.user_id] = person

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


class Pairing:
    """A single-use code, printed at the start, that makes its sender the owner."""

    def __init__(self, code: str) -> None:
        self.code = code
        self._tries_left = PAIRING_TRIES_MAX
        self._is_used = False

    @property
    def is_open(self) -> bool:
        """Whether a right code would still be taken."""
        return not self._is_used and self._tries_left > 0

    def try_code(self, text: str) -> bool:
        """Compare in constant time; a right code works once, wrong ones are counted."""
        if not self.is_open:
            return False
        self._tries_left -= 1
        self._is_used = hmac.compare_digest(text.encode(), self.code.encode())
        return self._is_used
