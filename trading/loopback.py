"""Who may speak to a server of this machine: nobody by another name, and no page from elsewhere."""

from ipaddress import ip_address
from urllib.parse import urlsplit


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def is_own_name(host_header: str) -> bool:
    """Whether a request was addressed to this machine as such, and not by a name that leads here.

    `host_header` is what the request says, with or without a port.
    """
    try:
        host = urlsplit(f"//{host_header}").hostname or ""
    except ValueError:
        return False
    return is_loopback(host)


def is_own_page(origin: str | None, host_header: str) -> bool:
    """Whether a request comes from no web page, or from one that this very server sent."""
    return origin is None or origin.partition("://")[2] == host_header
