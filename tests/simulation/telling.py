"""One seed played and told in a line; a module of its own, so that worker processes find it."""

import logging
import time
import traceback

from tests.simulation.story import Story, play_seed


def played_quietly(seed: int) -> tuple[int, bool, str]:
    logging.disable(logging.CRITICAL)
    return (seed, *played(seed))


def played(seed: int) -> tuple[bool, str]:
    began_s = time.perf_counter()
    try:
        story = play_seed(seed)
    except Exception as error:
        shown = "".join(traceback.format_exception(error))
        return True, f"{shown}\nseed {seed} FAILED {type(error).__name__}: {error}"
    return False, f"seed {seed} {_told(story)} {time.perf_counter() - began_s:.2f} s"


def _told(story: Story) -> str:
    world, facts = story.world, story.facts
    counted = f"{len(facts.attempts)} orders, {len(facts.trackers)} trackers"
    return (
        f"{world.trace.digest[:16]} {world.loop.time() - 1000:.0f} s,"
        f" {world.machine.starts} starts, {counted}, settled after {story.settled_after_s:.0f} s"
    )
