"""What the depth stream promises: a book read at any moment and kept by differences stays right."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, cast

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.sim.binance.outlet import Outlet
from trading.sim.binance.rest import Request
from trading.sim.binance.server import SimSettings, build_service
from trading.sim.binance.stream import Subscriber

START_MS = 1_790_000_000_000
Sides = dict[str, dict[str, str]]


class Frames:
    """An outlet without a socket: keeps every frame."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def send(self, frame: bytes, newest_of: str | None = None) -> None:
        assert newest_of is None, "a difference must never replace another one"
        self.events.append(orjson.loads(frame))


class Reader:
    """Reads the whole book once, then follows the differences as Binance tells its clients to."""

    def __init__(self, snapshot: dict[str, Any], limit: int) -> None:
        self.last_id = snapshot["lastUpdateId"]
        self.limit = limit
        self.sides: Sides = {side: dict(snapshot[side]) for side in ("bids", "asks")}

    def follow(self, event: dict[str, Any]) -> None:
        if event["u"] <= self.last_id:
            return
        assert event["U"] <= self.last_id + 1, "a gap"
        self.last_id = event["u"]
        for side, changes in (("bids", event["b"]), ("asks", event["a"])):
            for price, size in changes:
                self.sides[side].pop(price, None)
                if Decimal(size):
                    self.sides[side][price] = size


class Market:
    """One market of an exchange whose clock and prices stand still unless they are moved."""

    def __init__(self) -> None:
        settings = SimSettings(still=True, balances={"USDT": Decimal(1)})
        self.service = build_service(settings, lambda: START_MS)
        self.frames = Frames()
        subscriber = Subscriber(cast(Outlet, self.frames), is_combined=False)
        self.service.market_streams.subscribe(subscriber, ["btcusdt@depth@100ms"])
        self.readers: list[Reader] = []

    def move(self, price: int) -> None:
        self.service.venue.world.set_price("BTC/USDT", Decimal(price), START_MS)

    def tick(self, _: int = 0) -> None:
        self.service.market_streams.tick(START_MS, 1)

    def read(self, limit: int) -> None:
        self.readers.append(Reader(self.snapshot(limit), limit))

    def snapshot(self, limit: int) -> dict[str, Any]:
        query = f"symbol=BTCUSDT&limit={limit}"
        request = Request("GET", "/api/v3/depth", query, "", None)
        reply = self.service.rest.process(request, request.params)
        shown: dict[str, Any] = orjson.loads(reply.body or b"")
        return shown


acts: st.SearchStrategy[list[tuple[Callable[..., None], int]]] = st.lists(
    st.one_of(
        st.tuples(st.just(Market.move), st.integers(59_990, 60_010)),
        st.tuples(st.just(Market.read), st.sampled_from([5, 5_000])),
        st.tuples(st.just(Market.tick), st.just(1)),
    ),
    max_size=12,
)


@pytest.mark.slow
@given(acts)
async def test_a_book_read_at_any_moment_and_kept_by_differences_is_the_exchanges_book(
    chosen: list[tuple[Callable[..., None], int]],
) -> None:
    market = Market()
    for act, argument in chosen:
        act(market, argument)
    market.move(60_011)
    market.tick()
    whole = Reader(market.snapshot(5_000), 5_000)
    for reader in market.readers:
        for event in market.frames.events:
            reader.follow(event)
        wanted, kept = whole.sides, reader.sides
        if reader.limit < 5_000:
            # It never saw the far levels; those it knows have to be right.
            wanted = {s: {p: q for p, q in wanted[s].items() if p in kept[s]} for s in wanted}
        assert kept == wanted
