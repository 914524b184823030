"""The agent's event loop: libuv's where it can be had, which takes its turns in less time."""

import asyncio


def new_loop() -> asyncio.AbstractEventLoop:
    """Return a loop of libuv, or asyncio's own where that is not installed."""
    try:
        # Late, because only the agent needs it.
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
