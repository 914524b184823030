"""A pytest plugin: whatever `scripts/run-tests` runs apart is found by the words of its file.

A run would otherwise collect every test once more in each worker of each part.
"""

from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import pytest

Marked = TypeVar("Marked", bound=pytest.Item)

# As `scripts/run-tests` looks for them.
APART = frozenset({"slow", "uncounted", "e2e", "page", "alone"})


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Refuse marks that a search of the file does not find, and let what waits begin first."""
    _refuse_unspelled(items)
    workers = int(getattr(config, "workerinput", {}).get("workercount", 1))
    items[:] = spread(items, workers)


def spread(items: list[Marked], workers: int) -> list[Marked]:
    """Let two of three workers begin with what waits, and the others compute meanwhile.

    Each worker begins with a stretch of the list, and takes from the ends of the others once it has
    done its own. What waits is begun first and what computes is left for the end: it is short, so
    no processor stands idle while the last tests wait. What lasts long goes before its like.
    """
    waiting = _long_first([item for item in items if item.get_closest_marker("e2e")])
    computing = _long_first([item for item in items if not item.get_closest_marker("e2e")])
    waiters = max(1, workers * 2 // 3)
    bounds = [len(items) * number // workers for number in range(workers + 1)]
    ordered: list[Marked] = []
    for number, (first, past) in enumerate(pairwise(bounds), start=waiters - workers):
        own = waiting[number::waiters] if number >= 0 else []
        filling = max(past - first - len(own), 0)
        ordered += own + computing[:filling]
        computing = computing[filling:]
    return ordered + computing


def _long_first(items: list[Marked]) -> list[Marked]:
    return sorted(items, key=lambda item: not item.get_closest_marker("long"))


def _refuse_unspelled(items: list[pytest.Item]) -> None:
    texts: dict[Path, str] = {}
    for item in items:
        for name in APART & {marker.name for marker in item.iter_markers()}:
            if item.path not in texts:
                texts[item.path] = item.path.read_text()
            if f"mark.{name}" not in texts[item.path]:
                raise pytest.UsageError(
                    f"{item.nodeid}: its file should say pytest.mark.{name} itself, "
                    "for scripts/run-tests looks for it there"
                )
