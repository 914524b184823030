"""Where an exchange is, with which key, and how long we wait for it."""

from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """Settings of one account; URLs are bare roots such as `http://127.0.0.1:8090`."""

    exchange_id: str = "binance"
    api_key: str = field(default="", repr=False)
    secret: str = field(default="", repr=False)
    # Of other servers; a box on the way may put anything into its words.
    other_secrets: tuple[str, ...] = field(default=(), repr=False)
    rest_url: str | None = None
    ws_url: str | None = None
    recv_window_ms: int = 5000
    timeout_s: float = 15.0
    connections_max: int = 64
    # An idle connection is kept, so that a stop does not pay for a handshake.
    keepalive_s: float = 75.0
    ping_s: float = 15.0
    weight_per_minute: int = 6000
    weight_share_for_exits: float = 0.3
    # As many orders as are sent in a minute at most: 300, of weight 1.
    weight_share_for_orders: float = 0.05
    # Prices of every watched symbol each second, and many asked for one by one.
    weight_share_for_prices: float = 0.2

    @property
    def is_loopback(self) -> bool:
        """Whether everything stays on this machine, so that no real money can move."""
        urls = (self.rest_url, self.ws_url)
        return all(url is not None and _is_loopback(url) for url in urls)


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
