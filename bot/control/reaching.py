"""How a command reaches who can answer it: an agent that runs, one that starts, or itself alone."""

from collections.abc import Callable

from bot.control.messages import ACTING, Reply, Request
from bot.control.sockets import NobodyListens
from trading.domain.errors import DirectoryInUse, Refused
from trading.ports.clock import Clock

# A start loads the exchange's rules and the journal before it listens.
_STARTING_S = 30.0
_AGAIN_S = 0.5


def reach(
    request: Request,
    ask: Callable[[Request], Reply],
    act_alone: Callable[[Request], Reply],
    say: Callable[[str], None],
    clock: Clock,
    pause: Callable[[float], None],
) -> Reply:
    """Ask the running agent, or answer alone where none runs; one that starts is waited for.

    `ask` raises NobodyListens, `act_alone` DirectoryInUse. Who only looks does not wait. Raises
    Refused when the one that holds the directory has not answered in time.
    """
    ends_s: float | None = None
    while True:
        try:
            return ask(request)
        except NobodyListens:
            pass
        try:
            return act_alone(request)
        except DirectoryInUse as taken:
            holder = taken.holder
        if request.ask not in ACTING:
            text = f"The agent ({holder}) is starting and does not answer yet."
            return Reply(False, f"{text} Ask again in a moment.")
        if ends_s is None:
            ends_s = clock.monotonic() + _STARTING_S
            say(
                f"The agent ({holder}) is starting and does not answer yet. "
                f"Asking it again for up to {_STARTING_S:.0f} s: it acts as soon as it answers."
            )
        if clock.monotonic() >= ends_s:
            raise Refused(
                f"the agent ({holder}) has not answered within {_STARTING_S:.0f} s, nothing was "
                "done. To act all the same, end that process (kill -9 and its pid) and ask again",
                example=f"umbra {request.ask.value}",
            )
        pause(_AGAIN_S)
