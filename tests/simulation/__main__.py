"""Plays seeds: `python -m tests.simulation 17` one of them, aloud; `… 0 2000` a range on two cores.

A range can be broken off: `seeds.log` keeps what was played with this very code, and a second call
goes on. A failure prints the command that plays its seed alone.
"""

import hashlib
import multiprocessing
import subprocess
import sys
from pathlib import Path

from tests.simulation.telling import played, played_quietly

_LOG = Path("seeds.log")
_JOBS = 2
# A worker is replaced now and then: what a library keeps for ever must not add up.
_SEEDS_PER_WORKER = 50


def main(arguments: list[str]) -> int:
    """Return 1 when a seed failed."""
    first = int(arguments[0]) if arguments else 0
    if len(arguments) < 2:
        failed, told = played(first)
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
        for seed, is_failed, told in pool.imap_unordered(played_quietly, left):
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


def _code() -> str:
    """What was played: the commit, and what the tree holds beyond it."""
    told = hashlib.sha256()
    for command in (["git", "rev-parse", "HEAD"], ["git", "diff", "HEAD", "--", "*.py"]):
        told.update(subprocess.run(command, capture_output=True, check=True).stdout)
    return told.hexdigest()[:12]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
