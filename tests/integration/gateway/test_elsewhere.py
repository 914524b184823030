"""An exchange that is asked in another one's language."""

import time

import pytest

from tests.contract.gateway.worlds import MachineClock
from trading.domain.errors import Unreachable
from trading.gateway import GatewaySettings
from trading.gateway.rest import CcxtGateway
from trading.gateway.unified import UnifiedVenue
from trading.sim.binance.server import SimSettings, running


async def test_an_answer_that_nobody_there_knows_such_a_listing_is_told_by_its_status() -> None:
    async with running(SimSettings(port=0), lambda: time.time_ns() // 1_000_000) as sim:
        settings = GatewaySettings(exchange_id="kraken", rest_url=sim.rest_url, ws_url=sim.ws_url)
        gateway = CcxtGateway(settings, MachineClock(), UnifiedVenue(settings, MachineClock()))
        try:
            with pytest.raises(Unreachable) as failure:
                await gateway.connect()
            assert failure.value.status == 404
        finally:
            await gateway.close()
