"""Facts of the chat made durable: what is known already holds up nothing that is new."""

import logging
from collections.abc import Sequence
from dataclasses import replace

from trading.domain.errors import AlreadyRecorded
from trading.domain.events import Event, MessageQueued
from trading.ports.storage import Journal

logger = logging.getLogger(__name__)
# Part of the key of a message that had the key of another one, which no two should have; no alarm
# has it in its name.
APART = ":namesake:"


async def append_lacking(journal: Journal, facts: Sequence[Event]) -> None:
    """Append in one transaction those of the facts that the journal does not hold yet.

    For what may have been done before a death, or by an append whose answer was lost: a kind and a
    key stand for the same fact then. Raises StorageLost when nothing durable was written.
    """
    lacking = once_each(facts)
    while lacking:
        try:
            await journal.append(*lacking)
        except AlreadyRecorded as error:
            logger.info("known_already", extra={"kind": error.kind, "key": error.key})
            known = (error.kind, error.key)
            rest = [each for each in lacking if (each.kind, each.key) != known]
            if len(rest) == len(lacking):
                raise
            lacking = rest
        else:
            return


def once_each(facts: Sequence[Event]) -> list[Event]:
    """The facts without repetition; two messages of one key stay two, as no message may be lost."""
    found: dict[tuple[str, str | int], Event] = {}
    for place, fact in enumerate(facts):
        name = (fact.kind, place if fact.key is None else fact.key)
        before = found.setdefault(name, fact)
        if before == fact:
            continue
        logger.error("key_twice", extra={"kind": fact.kind, "key": fact.key})
        if isinstance(fact, MessageQueued):
            found[fact.kind, place] = apart(fact, place)
    return [*found.values()]


def apart(queued: MessageQueued, name: object) -> MessageQueued:
    """A message under a key of its own: said twice is better than never."""
    key = f"{queued.message.message_key}{APART}{name}"
    return MessageQueued(replace(queued.message, message_key=key))
