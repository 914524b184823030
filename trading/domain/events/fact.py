"""What every event is."""


class Fact:
    """What every event is; most may happen any number of times."""

    __slots__ = ()

    @property
    def kind(self) -> str:
        """The name under which the journal keeps it, and by which it is asked for."""
        return type(self).__name__

    @property
    def key(self) -> str | None:
        """What may happen once only, None where there is no such bound."""
        return None
