"""What was sent and is not heard of yet, by marks that outlive the process."""

from typing import Protocol


class OnTheWay(Protocol):
    """Marks by key: of messages to the chat, or of sales that left without a record."""

    @property
    def keys(self) -> frozenset[str]:
        """What is marked, by this process or the one before it."""
        ...

    def leave(self, key: str) -> None:
        """Mark something before it is sent."""
        ...

    def arrive(self, key: str) -> None:
        """Take the mark away: what became of it is known."""
        ...


class UnmarkedWay:
    """Marks nothing, for whoever has nobody to come after."""

    keys: frozenset[str] = frozenset()

    def leave(self, key: str) -> None:
        """Nothing is kept."""

    def arrive(self, key: str) -> None:
        """Nothing was kept."""
