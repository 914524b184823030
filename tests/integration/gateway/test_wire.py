"""A decision that is durable goes on the wire first; whoever wants to know of it is told then."""

import asyncio.selector_events
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any, Self

import pytest

from tests.contract.gateway.worlds import BTC, simulated
from tests.integration.gateway.floor import Floor, standing
from trading.domain.events import Event, IntentOpened


class Told(list[Event]):
    """Facts in the order of their telling, in one list with the orders that leave."""

    def __init__(self, happened: list[str]) -> None:
        super().__init__()
        self.happened = happened

    def __iadd__(self, events: Iterable[Event]) -> Self:  # type: ignore[misc, override]
        listed = list(events)
        self.happened += [type(event).__name__ for event in listed]
        self.extend(listed)
        return self


@pytest.fixture
async def floor(tmp_path: Path) -> AsyncIterator[Floor]:
    async with simulated() as sim, standing(tmp_path, sim) as found:
        yield found


async def test_an_order_is_on_the_wire_before_anybody_is_told_of_it(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    happened: list[str] = []
    floor.events = Told(happened)
    transport: Any = asyncio.selector_events._SelectorSocketTransport  # type: ignore[attr-defined]
    write = transport.write

    def note(self: Any, data: bytes) -> None:
        if bytes(data).startswith(b"POST /api/v3/order"):
            happened.append("bytes of an order")
        write(self, data)

    # The streams have taken the connections that were there; an order finds one that is open.
    await floor.gateway.quote(BTC)
    monkeypatch.setattr(transport, "write", note)
    await floor.sell()
    assert happened.count("bytes of an order") == 1
    assert happened.index("bytes of an order") < happened.index(IntentOpened.__name__)
