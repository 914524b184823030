"""Deaths on demand, for the tests that kill the agent at every boundary of its journal."""

import os
import signal
from collections.abc import Callable

from trading.domain.errors import SettingsInvalid


def parse(spec: str) -> Callable[[str], None]:
    """Turn `after_commit:AttemptPrepared:2` into a hook that kills the process at that commit.

    The last number counts the commits that hold such an event; nothing dies without a spec.
    """
    if not spec:
        return lambda _boundary: None
    try:
        moment, kind, count = spec.split(":")
        remaining = int(count)
    except ValueError:
        raise SettingsInvalid(
            f"UMBRA_FAILPOINT should look like after_commit:AttemptPrepared:1, was {spec!r}"
        ) from None

    def reached(boundary: str) -> None:
        nonlocal remaining
        at, _, kinds = boundary.partition(":")
        if at == moment and kind in kinds.split("+"):
            remaining -= 1
            if remaining == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return reached
