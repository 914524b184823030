"""Plays seeds: `python -m tests.simulation 17` one of them, aloud; `… 0 200` a range, quietly."""

import logging
import sys
import time
import traceback

from tests.simulation.story import Story, play_seed


def main(arguments: list[str]) -> int:
    """Return how many seeds failed."""
    first = int(arguments[0]) if arguments else 0
    after = int(arguments[1]) if len(arguments) > 1 else first + 1
    if after > first + 1:
        logging.disable(logging.CRITICAL)
    failed = 0
    for seed in range(first, after):
        began_s = time.perf_counter()
        try:
            story = play_seed(seed)
        except Exception as error:
            failed += 1
            shown = "".join(traceback.format_exception(error)) if after == first + 1 else ""
            sys.stdout.write(f"{shown}seed {seed} FAILED {type(error).__name__}: {error}\n")
        else:
            sys.stdout.write(f"seed {seed} {_told(story)} {time.perf_counter() - began_s:.2f} s\n")
        sys.stdout.flush()
    return failed


def _told(story: Story) -> str:
    world, facts = story.world, story.facts
    counted = f"{len(facts.attempts)} orders, {len(facts.trackers)} trackers"
    return (
        f"{world.trace.digest[:16]} {world.loop.time() - 1000:.0f} s,"
        f" {world.machine.starts} starts, {counted}, settled after {story.settled_after_s:.0f} s"
    )


if __name__ == "__main__":
    sys.exit(min(main(sys.argv[1:]), 100))
