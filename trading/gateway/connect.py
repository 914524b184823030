"""Which gateway serves an account: an exchange's own, or a paper account over its prices."""

from collections.abc import Mapping
from decimal import Decimal

from trading.gateway.binance import BinanceVenue
from trading.gateway.paper import PaperGateway
from trading.gateway.rest import CcxtGateway
from trading.gateway.settings import GatewaySettings
from trading.gateway.unified import UnifiedVenue
from trading.poison import InHand
from trading.ports import Clock, ExchangeGateway
from trading.right_of_way import RightOfWay
from trading.sim.models import FeeSchedule


def create_gateway(
    settings: GatewaySettings,
    clock: Clock,
    in_hand: InHand | None = None,
    way: RightOfWay | None = None,
) -> ExchangeGateway:
    """Return the gateway of an account; nothing is loaded or sent before `connect`.

    What streams hand over is marked `in_hand` where their frames are read here, and gives a
    trigger the `way`.
    """
    if settings.exchange_id == "binance":
        return CcxtGateway(settings, clock, BinanceVenue(settings, clock, in_hand, way))
    return CcxtGateway(settings, clock, UnifiedVenue(settings, clock))


def create_paper_gateway(
    settings: GatewaySettings,
    clock: Clock,
    balances: Mapping[str, Decimal],
    fees: FeeSchedule | None = None,
    in_hand: InHand | None = None,
    way: RightOfWay | None = None,
) -> PaperGateway:
    """Return a paper account over the live prices of an exchange; its key is not needed."""
    return PaperGateway(create_gateway(settings, clock, in_hand, way), clock, balances, fees)
