"""Tries mutants of what decides about money: `python -m tests.mutants 300 1`, a number and a seed.

Every module gives as many as any other, every kind of change in turn. Paths after the seed keep
the sample to theirs. A run can be broken off: `mutants.log` keeps the fate of each mutant for these
very sources and tests, and a second call goes on. The exit code is 1 when too many survive.
"""

import hashlib
import queue
import shutil
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from pathlib import Path

from tests.mutants.known import SAME, TARGETS, Same, Target
from tests.mutants.making import Mutant, mutants
from tests.mutants.running import (
    Fate,
    NotGreenError,
    check_green,
    copy_checkout,
    fate_of,
    key_of,
    state_of,
)

_CHECKOUT = Path(__file__).resolve().parents[2]
_LOG = _CHECKOUT / "mutants.log"
_JOBS = 2
_PERCENT_MIN = 85
Fates = dict[Mutant, Fate]


def main(arguments: list[str]) -> int:
    """Return 1 when too many mutants survive, 2 when there is nothing to judge by."""
    count, seed = (int(text) for text in (*arguments[:2], "300", "1")[:2])
    with tempfile.TemporaryDirectory(prefix="mutants-") as name:
        first = Path(name) / "1"
        copy_checkout(_CHECKOUT, first)
        everything = {
            target: mutants(target.path, (first / target.path).read_bytes()) for target in TARGETS
        }
        if strange := without_mutant(SAME, everything.values()):
            _say(*(f"no such mutant: {same.path} {same.old} -> {same.new}" for same in strange))
            return 2
        chosen = sample(everything, count, seed)
        if arguments[2:]:
            chosen = {target: chosen[target] for target in chosen if target.path in arguments[2:]}
        try:
            fates = _tried(first, chosen)
        except NotGreenError as error:
            _say(str(error))
            return 2
    return told(fates)


def sample(
    everything: Mapping[Target, Sequence[Mutant]], count: int, seed: int
) -> dict[Target, list[Mutant]]:
    """Choose mutants: modules in turn, and within each the kinds of change in turn.

    A draw depends on nothing but the seed and the mutant, so code that changes elsewhere, and
    mutants that are found to change nothing, leave the others where they are.
    """
    waiting = {
        target: _in_turn([one for one in found if not _is_same(one)], seed)
        for target, found in everything.items()
    }
    chosen: dict[Target, list[Mutant]] = {target: [] for target in waiting}
    while count > 0 and any(waiting.values()):
        for target, left in waiting.items():
            if left and count > 0:
                chosen[target].append(left.pop(0))
                count -= 1
    return chosen


def _in_turn(found: Iterable[Mutant], seed: int) -> list[Mutant]:
    kinds: dict[str, list[Mutant]] = defaultdict(list)
    for mutant in sorted(found, key=lambda one: _drawn(one.name, seed)):
        kinds[mutant.kind].append(mutant)
    rounds = max(map(len, kinds.values()), default=0)
    order = sorted(kinds)
    return [
        kinds[kind][turn] for turn in range(rounds) for kind in order if turn < len(kinds[kind])
    ]


def _drawn(name: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}|{name}".encode()).digest()


def _is_same(mutant: Mutant) -> bool:
    return any(_fits(same, mutant) for same in SAME)


def _fits(same: Same, mutant: Mutant) -> bool:
    place = (mutant.path, mutant.scope, mutant.old, mutant.new)
    return place == (same.path, same.scope, same.old, same.new)


def without_mutant(known: Iterable[Same], everything: Iterable[Iterable[Mutant]]) -> list[Same]:
    """Return what is listed and no longer made: its line has changed."""
    made = [mutant for found in everything for mutant in found]
    return [same for same in known if not any(_fits(same, mutant) for mutant in made)]


def _tried(first: Path, chosen: Mapping[Target, Sequence[Mutant]]) -> Fates:
    noted = dict(line.split() for line in _LOG.read_text().splitlines()) if _LOG.exists() else {}
    keys = {
        mutant: key_of(state, mutant)
        for target, found in chosen.items()
        for state in [state_of(first, target)]
        for mutant in found
    }
    fates = {mutant: Fate(noted[key]) for mutant, key in keys.items() if key in noted}
    left = [(one, target) for target, found in chosen.items() for one in found if one not in fates]
    _say(f"{len(keys)} mutants, {len(fates)} of them tried before")
    if not left:
        return fates
    with ThreadPoolExecutor(_JOBS) as pool, _LOG.open("a") as log:
        targets = dict.fromkeys(target for _, target in left)
        list(pool.map(lambda target: check_green(first, target), targets))
        copies: queue.SimpleQueue[Path] = queue.SimpleQueue()
        copies.put(first)
        for number in range(2, _JOBS + 1):
            copies.put(Path(shutil.copytree(first, first.with_name(str(number)))))

        def tried(mutant: Mutant, target: Target) -> tuple[Mutant, Fate]:
            folder = copies.get()
            try:
                return mutant, fate_of(folder, mutant, target.tests)
            finally:
                copies.put(folder)

        running = [pool.submit(tried, *one) for one in left]
        for future in _until_broken_off(pool, running):
            mutant, fate = future.result()
            fates[mutant] = fate
            log.write(f"{keys[mutant]} {fate.value}\n")
            log.flush()
            if fate is Fate.SURVIVED:
                _say(f"  {len(fates)}/{len(keys)} survived: {mutant.path}:{mutant.line}")
    return fates


def _until_broken_off(
    pool: ThreadPoolExecutor, running: Sequence[Future[tuple[Mutant, Fate]]]
) -> Iterator[Future[tuple[Mutant, Fate]]]:
    try:
        yield from as_completed(running)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def told(fates: Fates) -> int:
    """Print every survivor and the sums; return 1 when there are too many."""
    alive = [mutant for mutant, fate in fates.items() if fate is Fate.SURVIVED]
    for mutant in sorted(alive, key=lambda one: (one.path, one.line)):
        _say(f"{mutant.path}:{mutant.line}, {mutant.old} -> {mutant.new}")
    sums: dict[str, list[Fate]] = defaultdict(list)
    for mutant, fate in fates.items():
        sums[mutant.path].append(fate)
    _say(*(_line(found, path) for path, found in sums.items()))
    everything = list(fates.values())
    _say(_line(everything, f"all; {_PERCENT_MIN} % are asked for"))
    return int(_percent(everything) < _PERCENT_MIN)


def _percent(fates: Sequence[Fate]) -> float:
    killed = sum(fate is not Fate.SURVIVED for fate in fates)
    return 100 * killed / len(fates) if fates else 0.0


def _line(fates: Sequence[Fate], name: str) -> str:
    killed = sum(fate is not Fate.SURVIVED for fate in fates)
    endless = sum(fate is Fate.ENDLESS for fate in fates)
    late = f", {endless} by time" if endless else ""
    return f"{_percent(fates):6.1f} %  {killed:>3} of {len(fates):>3} killed{late}  {name}"


def _say(*lines: str) -> None:
    for line in lines:
        sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
