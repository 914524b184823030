"""Gateways: one account on one exchange, live or on paper, behind the same port."""

from trading.gateway.connect import create_gateway
from trading.gateway.settings import GatewaySettings

__all__ = ["GatewaySettings", "create_gateway"]
