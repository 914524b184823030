"""What every event is."""


class Fact:
    """What every event is; most may happen any number of times."""

    __slots__ = ()

    @property
    def key(self) -> str | None:
        """What may happen once only, None where there is no such bound."""
        return None
