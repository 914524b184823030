"""The one tree of errors, split by what the caller should do next.

UmbraError
├── Retryable            nothing happened, or it is safe to repeat
│   ├── Unreachable      no answer, or one that says nothing: never evidence about an order
│   ├── NotInTime        work of our own that took too long
│   ├── Ending           the process ends; the next start does what was asked
│   └── RateLimited      the exchange asks for silence; carries the seconds
├── Refused              the request is wrong; the person is told what to send instead
│   ├── Outgrown         what was confirmed would be more by now; it is asked again
│   └── AlreadyRecorded  the journal holds this fact; the effect happened once before
└── Fatal                stop trading calls or the whole process
    ├── StorageLost      the journal cannot be written
    ├── NotCarriedOn     a decision is durable, and only a new start can carry it on
    ├── JournalCorrupt   the journal was changed or torn outside its tail
    ├── AuthLost         the exchange no longer accepts the key
    ├── InstanceConflict another process holds this database or account
    └── SettingsInvalid  the start is refused, with the exact setting and an example

A timed-out order is none of these: it is *unknown*, a verdict and not an exception.
"""

from collections.abc import Sequence


class UmbraError(Exception):
    """Whatever Umbra raises on purpose."""

    @property
    def words(self) -> str:
        """What a person is told: part of a sentence, without the language of machines."""
        return str(self)


class Retryable(UmbraError):
    """Nothing happened, or it is safe to repeat."""


class Unreachable(Retryable):
    """The other side gave no usable answer; this says nothing about any order.

    `status` is the HTTP status of what it said, None where it said nothing.
    """

    def __init__(self, message: str = "", status: int | None = None) -> None:
        super().__init__(message)
        self.status = status

    @property
    def words(self) -> str:
        """What matters of all the ways in which an answer can fail to come."""
        return "the exchange does not answer"


class Silent(Unreachable):
    """Nothing came within the time that was given."""


class Exhausted(Unreachable):
    """This machine had nothing left to ask with: memory, or descriptors. The exchange may be well.

    The message says what is missing, as part of a sentence.
    """

    @property
    def words(self) -> str:
        """Whose fault it is."""
        return f"this machine has {self}"


class NotInTime(Retryable):
    """Work of our own took too long."""


class Ending(Retryable):
    """The process ends in the middle of what was asked: it is for the next start, as after a death.

    Whoever keeps what people ask for keeps it unanswered; to anybody else it was not done.
    """

    def __init__(self) -> None:
        super().__init__("Umbra is stopping: this was not done, ask again once it is back")


class AccountEmpty(Unreachable):
    """The account's answer holds nothing at all: that is no word about any coin."""


class RateLimited(Retryable):
    """The exchange asks for silence for `retry_after_s` seconds.

    With `is_own_count` it has said nothing: our own count of reads is at its bound.
    """

    def __init__(self, message: str, retry_after_s: float, *, is_own_count: bool = False) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.is_own_count = is_own_count

    @property
    def words(self) -> str:
        """Who asks for a pause, and for how long."""
        who = "Umbra's own limit" if self.is_own_count else "the exchange"
        return f"{who} asks for a pause of {max(self.retry_after_s, 1):.0f} s"


class Refused(UmbraError):
    """The request breaks a rule; `example` is something to send instead.

    Where one word was wrong, `near` holds words that would do in the place of `wrong`, best first.
    """

    def __init__(
        self,
        message: str,
        example: str | None = None,
        *,
        wrong: str = "",
        near: Sequence[str] = (),
    ) -> None:
        super().__init__(message)
        self.example = example
        self.wrong = wrong
        self.near = tuple(near)


class Outgrown(Refused):
    """What was confirmed would be more by now than what was shown: it has to be asked again."""


class AlreadyRecorded(Refused):
    """The journal already holds a fact with this kind and key."""

    def __init__(self, kind: str, key: str) -> None:
        super().__init__(f"{kind} {key} is already recorded")
        self.kind = kind
        self.key = key


class Fatal(UmbraError):
    """Trading calls or the whole process should stop."""


class StorageLost(Fatal):
    """The journal cannot be written."""


class NotCarriedOn(Fatal):
    """A decision is recorded and its order could not be begun: a start asks what became of it."""

    def __init__(self, symbol: str) -> None:
        super().__init__(
            f"a decision on {symbol} is recorded and was not carried on; "
            "only a new start can find out what became of it"
        )


class JournalCorrupt(Fatal):
    """The journal's hash chain does not hold."""


class AuthLost(Fatal):
    """The exchange no longer accepts the key."""

    @property
    def words(self) -> str:
        """What a person can look into."""
        return "the exchange refuses the key"


class InstanceConflict(Fatal):
    """Another process holds this database or this account.

    `fact` says that alone; the advice after it is for whoever starts a second one.
    """

    def __init__(self, fact: str, advice: str = "") -> None:
        super().__init__("; ".join(filter(None, (fact, advice))))
        self.fact = fact


class DirectoryInUse(InstanceConflict):
    """Another process holds this data directory; `holder` names it."""

    def __init__(self, holder: str, message: str) -> None:
        super().__init__(message)
        self.holder = holder


class SettingsInvalid(Fatal):
    """A setting is missing or contradicts another; the message names it and gives an example."""
