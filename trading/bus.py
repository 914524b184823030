"""Fan-out of finished facts: whoever wants to know of events subscribes here; nobody answers."""

import logging
from collections.abc import Callable

from trading.domain.events import Event

logger = logging.getLogger(__name__)

Subscriber = Callable[[Event], None]


class Bus:
    """Calls every subscriber with every event, in order; one that fails never stops another.

    Subscribers return at once: who has slow work keeps a bounded queue of its own.
    """

    def __init__(self) -> None:
        self._subscribers: list[Subscriber] = []

    def subscribe(self, subscriber: Subscriber) -> None:
        """Call `subscriber` with every event published from now on."""
        self._subscribers.append(subscriber)

    def publish(self, *events: Event) -> None:
        """Hand facts, already durable, to every subscriber."""
        for event in events:
            for subscriber in self._subscribers:
                try:
                    subscriber(event)
                except Exception:
                    logger.exception("subscriber_failed", extra={"event": type(event).__name__})
