"""The quick way of a frame and the library's own reading of it tell the same numbers."""

import asyncio
import random
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import orjson
import pytest

from tests.contract.gateway.worlds import MachineClock
from trading.domain.market import MarketTrade, Quote
from trading.gateway import GatewaySettings
from trading.gateway.client import load_exchange
from trading.gateway.translate.frames import Frames

_FRAMES = 500
_NOW_MS = 1_760_000_000_000
_MARKET: dict[str, Any] = {
    "id": "BTCUSDT",
    "lowercaseId": "btcusdt",
    "symbol": "BTC/USDT",
    "base": "BTC",
    "quote": "USDT",
    "type": "spot",
    "spot": True,
    "option": False,
    "contract": False,
    "active": True,
    "precision": {"amount": 1e-8, "price": 1e-8},
    "limits": {"amount": {}, "price": {}, "cost": {}},
    "info": {},
}
_URL = "ws://127.0.0.1:1/stream/ws/0"


@pytest.fixture
async def library() -> AsyncIterator[Any]:
    exchange = await asyncio.to_thread(load_exchange, GatewaySettings(), {"defaultType": "spot"})
    # Numbers stay text, so that no digit is lost before the comparison.
    exchange.number = str
    exchange.set_markets([exchange.safe_market_structure(_MARKET)])
    yield exchange
    await exchange.close()


def _number(chance: random.Random) -> str:
    return f"{chance.randint(1, 10**12) / 10 ** chance.randint(0, 8):.8f}"


def _frames() -> Frames:
    return Frames({"BTCUSDT": "BTC/USDT"}, MachineClock(), lambda: _NOW_MS)


async def test_books_are_read_as_the_library_reads_them(library: Any) -> None:
    chance, frames, client = random.Random(3), _frames(), library.client(_URL)
    for number in range(_FRAMES):
        bid, bid_size, ask, ask_size = (_number(chance) for _ in range(4))
        frame = (
            f'{{"u":{number},"s":"BTCUSDT","b":"{bid}","B":"{bid_size}",'
            f'"a":"{ask}","A":"{ask_size}"}}'
        )
        library.handle_message(client, orjson.loads(frame))
        theirs = library.bidsasks["BTC/USDT"]
        ours = frames.read(frame)
        assert isinstance(ours, Quote)
        assert ours.symbol == theirs["symbol"]
        assert [ours.bid, ours.bid_quantity, ours.ask, ours.ask_quantity] == [
            Decimal(theirs[key]) for key in ("bid", "bidVolume", "ask", "askVolume")
        ]


@pytest.mark.parametrize("event", ["trade", "aggTrade"])
async def test_prints_are_read_as_the_library_reads_them(library: Any, event: str) -> None:
    chance, frames, client = random.Random(4), _frames(), library.client(_URL)
    for number in range(_FRAMES):
        price, quantity = _number(chance), _number(chance)
        at_ms = _NOW_MS + number
        frame = (
            f'{{"e":"{event}","E":{at_ms},"s":"BTCUSDT","t":{number},"a":{number},'
            f'"p":"{price}","q":"{quantity}","T":{at_ms},"m":true,"M":true}}'
        )
        library.handle_message(client, orjson.loads(frame))
        theirs = library.trades["BTC/USDT"][-1]
        ours = frames.read(frame)
        assert isinstance(ours, MarketTrade)
        assert (ours.symbol, ours.event_time_ms) == (theirs["symbol"], theirs["timestamp"])
        assert [ours.price, ours.quantity] == [Decimal(theirs[key]) for key in ("price", "amount")]
