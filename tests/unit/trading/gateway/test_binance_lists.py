"""Long lists are read to their end, and orders of others are told from ours."""

from datetime import timedelta
from typing import Any

import pytest

from tests import builders
from tests.catalogue import fired
from tests.fakes.clock import FakeClock
from trading.domain.errors import Refused, Unreachable
from trading.domain.time import to_ms
from trading.gateway.binance import BinanceVenue
from trading.gateway.settings import GatewaySettings

BTC = "BTC/USDT"
NOW_MS = to_ms(builders.NOON)
SINCE = builders.NOON - timedelta(hours=1)


def order(number: int) -> dict[str, Any]:
    return {
        "symbol": "BTCUSDT",
        "orderId": number,
        "clientOrderId": f"web_{number}",
        "price": "1",
        "origQty": "1",
        "executedQty": "1",
        "status": "FILLED",
        "side": "SELL",
        "time": NOW_MS,
        "updateTime": NOW_MS,
    }


def trade(number: int) -> dict[str, Any]:
    return {
        "id": number,
        "orderId": number,
        "price": "1",
        "qty": "1",
        "commission": "0",
        "commissionAsset": "USDT",
        "time": NOW_MS,
        "isBuyer": False,
    }


class Api:
    """A server with many rows, that answers at most a thousand at a time."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.asked: list[dict[str, Any]] = []

    def _page(self, asked: dict[str, Any], make: Any) -> list[dict[str, Any]]:
        self.asked.append(asked)
        first = int(asked.get("orderId", asked.get("fromId", 1)))
        return [make(number) for number in range(first, self.rows + 1)][:1000]

    async def private_get_allorders(self, asked: dict[str, Any]) -> list[dict[str, Any]]:
        return self._page(asked, order)

    async def private_get_mytrades(self, asked: dict[str, Any]) -> list[dict[str, Any]]:
        return self._page(asked, trade)

    async def private_get_openorders(self, asked: dict[str, Any]) -> list[dict[str, Any]]:
        self.asked.append(asked)
        return [order(1), {**order(2), "symbol": "NOSUCH"}]


def venue(rows: int) -> tuple[BinanceVenue, Api]:
    found = BinanceVenue(GatewaySettings(), FakeClock())
    api = Api(rows)
    found._exchange = api
    found._instruments = {BTC: builders.bitcoin()}
    found._symbols = {"BTCUSDT": BTC}
    return found, api


@pytest.mark.fault("X32")
async def test_executions_are_read_page_by_page_and_named_by_the_orders_they_belong_to() -> None:
    found, api = venue(2500)
    fills = await found.fills_since(BTC, SINCE)
    assert [fill.trade_id for fill in fills] == [str(number) for number in range(1, 2501)]
    assert fills[-1].client_order_id == "web_2500"
    # Three pages of executions, then three of orders that were not known yet.
    assert [one.get("fromId") for one in api.asked[:3]] == [None, 1001, 2001]
    assert [one.get("orderId") for one in api.asked[3:]] == [None, 1001, 2001]
    await found.fills_since(BTC, SINCE)
    assert len(api.asked) == 9
    fired([one for one in api.asked if "fromId" in one or "orderId" in one])


@pytest.mark.fault("X32")
async def test_a_list_without_an_end_is_no_answer() -> None:
    found, api = venue(20_001)
    with pytest.raises(Unreachable, match="more than 20000 rows") as endless:
        await found.orders_since(BTC, SINCE)
    fired(api.asked, words=str(endless.value))


async def test_open_orders_of_unknown_instruments_are_left_out() -> None:
    found, api = venue(0)
    assert [one.symbol for one in await found.open_orders(None)] == [BTC]
    assert api.asked == [{}]


async def test_an_instrument_that_is_not_traded_is_refused_before_a_request() -> None:
    found, api = venue(0)
    with pytest.raises(Refused, match="is not traded"):
        await found.orders_since("NO/SUCH", SINCE)
    assert api.asked == []
