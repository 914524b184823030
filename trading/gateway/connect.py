"""Which gateway serves an exchange id: Binance's own dialect, or the library's common one."""

from trading.gateway.binance import BinanceVenue
from trading.gateway.rest import CcxtGateway
from trading.gateway.settings import GatewaySettings
from trading.ports import Clock, ExchangeGateway


def create_gateway(settings: GatewaySettings, clock: Clock) -> ExchangeGateway:
    """Return the gateway of an account; nothing is loaded or sent before `connect`."""
    return CcxtGateway(settings, clock, BinanceVenue(settings, clock))
