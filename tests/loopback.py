"""Keeps tests on this machine: a connection beyond loopback fails, and says where it went."""

import contextlib
import ipaddress
import os
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest


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
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex
    getaddrinfo = socket.getaddrinfo

    def guarded_connect(self: socket.socket, address: Any) -> None:
        check(self.family, address)
        connect(self, address)

    def guarded_connect_ex(self: socket.socket, address: Any) -> int:
        check(self.family, address)
        return connect_ex(self, address)

    def guarded_getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        if not is_loopback(host):
            raise BeyondLoopbackError(f"tests should look up loopback only, was {host!r}")
        return getaddrinfo(host, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded_connect)
        patch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
        patch.setattr(socket, "getaddrinfo", guarded_getaddrinfo)
        yield
