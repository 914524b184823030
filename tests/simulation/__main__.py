"""Plays seeds: `python -m tests.simulation 17` one of them, aloud; `… 0 2000` a range on two cores.

A range can be broken off: `seeds.log` keeps what was played with this very code, and a second call
goes on. A failure prints the command that plays its seed alone.
"""

import hashlib
import logging
import multiprocessing
import subprocess
import sys
import time
import traceback
from pathlib import Path

from tests.simulation.story import Story, play_seed

_LOG = Path("seeds.log")
_JOBS = 2
# A worker is replaced now and then: what a library keeps for ever must not add up.
_SEEDS_PER_WORKER = 50


def main(arguments: list[str]) -> int:
    """Return 1 when a seed failed."""
    first = int(arguments[0]) if arguments else 0
    if len(arguments) < 2:
        failed, told = _played(first)
        sys.stdout.write(f"{told}\n")
        return int(failed)
    return _range(first, int(arguments[1]))


def _range(first: int, after: int) -> int:
    code = _code()
    lines = _LOG.read_text().splitlines() if _LOG.exists() else []
    done = {int(line.split()[1]) for line in lines if line.startswith(f"{code} ")}
    left = [seed for seed in range(first, after) if seed not in done]
    sys.stdout.write(f"{after - first} seeds, {after - first - len(left)} of them played before\n")
    failed = []
    with (
        _LOG.open("a") as log,
        multiprocessing.get_context("spawn").Pool(
            _JOBS, maxtasksperchild=_SEEDS_PER_WORKER
        ) as pool,
    ):
        for seed, is_failed, told in pool.imap_unordered(_quietly, left):
            sys.stdout.write(f"{told.splitlines()[-1]}\n")
            sys.stdout.flush()
            if is_failed:
                failed.append(seed)
            else:
                log.write(f"{code} {seed}\n")
                log.flush()
    for seed in sorted(failed):
        sys.stdout.write(f"FAILED: python -m tests.simulation {seed}\n")
    sys.stdout.write(f"{len(left) - len(failed)} of {len(left)} seeds hold\n")
    return int(bool(failed))


def _quietly(seed: int) -> tuple[int, bool, str]:
    logging.disable(logging.CRITICAL)
    return (seed, *_played(seed))


def _played(seed: int) -> tuple[bool, str]:
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


def _code() -> str:
    """What was played: the commit, and what the tree holds beyond it."""
    told = hashlib.sha256()
    for command in (["git", "rev-parse", "HEAD"], ["git", "diff", "HEAD", "--", "*.py"]):
        told.update(subprocess.run(command, capture_output=True, check=True).stdout)
    return told.hexdigest()[:12]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
