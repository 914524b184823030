"""Which gateway serves an account: an exchange's own way, or the general one."""

from trading.gateway.binance import BinanceVenue
from trading.gateway.rest import CcxtGateway
from trading.gateway.settings import GatewaySettings
from trading.gateway.silence import Silences
from trading.gateway.unified import UnifiedVenue
from trading.poison import InHand
from trading.ports.clock import Clock
from trading.ports.exchange import ExchangeGateway
from trading.right_of_way import RightOfWay


def create_gateway(
    settings: GatewaySettings,
    clock: Clock,
    in_hand: InHand | None = None,
    way: RightOfWay | None = None,
    silences: Silences | None = None,
) -> ExchangeGateway:
    """Return the gateway of an account; nothing is loaded or sent before `connect`.

    What streams hand over is marked `in_hand` where their frames are read here, and gives a
    trigger the `way`. `silences` lets nothing be asked while an earlier process was told to be
    silent.
    """
    if settings.exchange_id == "binance":
        return CcxtGateway(settings, clock, BinanceVenue(settings, clock, in_hand, way), silences)
    return CcxtGateway(settings, clock, UnifiedVenue(settings, clock), silences)
