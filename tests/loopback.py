"""Keeps tests on this machine: a connection beyond loopback fails, and says where it went.

Standard library only, for it is loaded into every process that a test starts (`tests/guard`).
"""

import contextlib
import ipaddress
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

GUARD = Path(__file__).resolve().parent / "guard"


class BeyondLoopbackError(Exception):
    """A test tried to reach another machine. Not an OSError, so no retry swallows it."""


def is_loopback(host: object) -> bool:
    """Whether a host name or address means this machine."""
    if host in (None, "", "localhost", b"localhost"):
        return True
    text = host.decode() if isinstance(host, bytes) else str(host)
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return text == urlsplit(os.environ.get("TEST_DATABASE_URL", "")).hostname
    return address.is_loopback or address.is_unspecified


def check(family: int, address: Any) -> None:
    """Refuse an internet address that is not loopback."""
    if family in (socket.AF_INET, socket.AF_INET6) and not is_loopback(address[0]):
        raise BeyondLoopbackError(f"tests should connect to loopback only, was {address!r}")


@contextlib.contextmanager
def only() -> Iterator[None]:
    """Within it, sockets connect and resolve to loopback only."""
    kept = {name: getattr(socket.socket, name) for name in ("connect", "connect_ex", "sendto")}
    getaddrinfo = socket.getaddrinfo

    def guarded(name: str) -> Callable[..., Any]:
        def call(self: socket.socket, *arguments: Any) -> Any:
            # The address is the last argument of each.
            check(self.family, arguments[-1])
            return kept[name](self, *arguments)

        return call

    def guarded_getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        if not is_loopback(host):
            raise BeyondLoopbackError(f"tests should look up loopback only, was {host!r}")
        return getaddrinfo(host, *args, **kwargs)

    try:
        for name in kept:
            setattr(socket.socket, name, guarded(name))
        socket.getaddrinfo = guarded_getaddrinfo
        yield
    finally:
        for name, original in kept.items():
            setattr(socket.socket, name, original)
        socket.getaddrinfo = getaddrinfo


def for_processes(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which Python processes keep to loopback, and theirs too."""
    path = environment.get("PYTHONPATH", "")
    if str(GUARD) in path.split(os.pathsep):
        return dict(environment)
    return {**environment, "PYTHONPATH": os.pathsep.join(filter(None, (str(GUARD), path)))}
