"""A pytest plugin: whatever `scripts/run-tests` runs apart is found by the words of its file.

A run would otherwise collect every test once more in each worker of each part.
"""

from pathlib import Path

import pytest

# As `scripts/run-tests` looks for them.
APART = frozenset({"slow", "e2e", "page", "alone"})


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse a mark that a search of the test's own file does not find."""
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
