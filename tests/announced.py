"""Where a server of a test is: on the port that it was given and says itself, for port 0.

A port that is looked up beforehand may be somebody else's by the time that it is used.
"""

import re

_ADDRESS = re.compile(
    r"^(?:Simulated exchange|Local chat) on (http://127\.0\.0\.1:\d+)", re.MULTILINE
)


def address_in(said: str) -> str | None:
    """Return the address that `umbra sim` or `umbra chat` has announced; None before that."""
    found = _ADDRESS.search(said)
    return found[1] if found else None


def is_taken_in(said: str) -> bool:
    """Whether the server has ended because somebody else is on its port."""
    return re.search(r"^umbra: port \d+ is taken", said, re.MULTILINE) is not None
