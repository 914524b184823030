"""A pytest plugin: whatever `scripts/run-tests` runs apart is found by the words of its file.

A run would otherwise collect every test once more in each worker of each part.
"""

from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import pytest

Marked = TypeVar("Marked", bound=pytest.Item)

# As `scripts/run-tests` looks for them.
APART = frozenset({"slow", "e2e", "page", "alone"})


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Refuse marks that a search of the file does not find, and let what lasts begin first."""
    _refuse_unspelled(items)
    workers = int(getattr(config, "workerinput", {}).get("workercount", 1))
    items[:] = spread(items, workers)


def spread(items: list[Marked], workers: int) -> list[Marked]:
    """Put an equal part of what lasts long before each worker's equal part of the rest.

    Each worker begins with a stretch of the list; a minute of waiting at its end would be a minute
    in which the others have nothing left to do.
    """
    lasting = [item for item in items if item.get_closest_marker("long")]
    rest = [item for item in items if not item.get_closest_marker("long")]
    bounds = [len(items) * number // workers for number in range(workers + 1)]
    ordered: list[Marked] = []
    for number, (first, past) in enumerate(pairwise(bounds)):
        own = lasting[number::workers]
        ordered += own
        ordered += [rest.pop(0) for _ in range(min(past - first - len(own), len(rest)))]
    return ordered + rest


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
