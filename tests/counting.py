"""A pytest plugin: while tests are searched for, no lines are counted.

Searching runs many times more lines than it reaches of the product, and each costs three times as
much while coverage looks on. What the product's modules do when they are imported is counted.
"""

import importlib
import pkgutil
from collections.abc import Generator
from typing import Any

import coverage
import pytest

_PACKAGES = ("bot", "trading", "storage")
# They do something when they are imported: run a command, or a migration.
_ACTING = ("__main__", "storage.migrations")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, Any, Any]:
    """Count what imports reach, and leave the search out."""
    counted = coverage.Coverage.current()
    if counted is None:
        return (yield)
    import_all()
    counted.stop()
    try:
        return (yield)
    finally:
        counted.start()


def import_all() -> list[str]:
    """Import every module of the product; returns their names."""
    found = [
        module.name
        for name in _PACKAGES
        for module in pkgutil.walk_packages(importlib.import_module(name).__path__, f"{name}.")
        if not module.name.endswith("__main__") and not module.name.startswith(_ACTING)
    ]
    for name in found:
        importlib.import_module(name)
    return found
