"""A pytest plugin: no test's agent may ask a simulated exchange for a withdrawal or a transfer.

Every exchange that a test opens in this process is looked at when the test ends; one in a process
of its own is asked by the world that started it. Tests of the trap are marked `springs_traps`.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from trading.sim.binance.venue import Venue

# What each exchange notes, and not the exchange: its whole world would stay with it.
_noted: list[list[dict[str, Any]]] = []


def pytest_configure(config: pytest.Config) -> None:
    """Name the marker, and remember every exchange from now on."""
    config.addinivalue_line("markers", "springs_traps: asks for a withdrawal or transfer itself")
    create = Venue.__init__

    def remembered(self: Venue, *arguments: Any, **named: Any) -> None:
        create(self, *arguments, **named)
        _noted.append(self.traps)

    Venue.__init__ = remembered  # type: ignore[method-assign]


@pytest.fixture(autouse=True)
def _nothing_withdraws(request: pytest.FixtureRequest) -> Iterator[None]:
    _noted.clear()
    yield
    sprung = [trap for traps in _noted for trap in traps]
    _noted.clear()
    if request.node.get_closest_marker("springs_traps") is None:
        assert sprung == [], "the exchange was asked for a withdrawal or a transfer"
