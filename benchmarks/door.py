"""The exchange's door: passes bytes on, and notes when an order request has come in whole.

`python -m benchmarks.door EXCHANGE_PORT` prints the port that it has, and then a line
`SYMBOL SECONDS` (monotonic) per order.
It is a process of its own, since the exchange behind it is busy with sending prices: what a request
waits for there says nothing about the agent.
"""

import asyncio
import sys
import time
from typing import cast

_ORDER = b"POST /api/v3/order"
_END = b"\r\n\r\n"


class Inside(asyncio.Protocol):
    """The way to the exchange, and its answers back."""

    def __init__(self, outside: asyncio.Transport) -> None:
        self._outside = outside

    def data_received(self, data: bytes) -> None:
        """Pass an answer on."""
        self._outside.write(data)

    def connection_lost(self, _: Exception | None) -> None:
        """End the other side, too."""
        self._outside.close()


class Outside(asyncio.Protocol):
    """One connection of the agent."""

    def __init__(self, exchange_port: int) -> None:
        self._exchange_port = exchange_port
        self._inside: asyncio.Transport | None = None
        self._early = bytearray()
        self._request = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connect to the exchange."""
        self._transport = cast("asyncio.Transport", transport)
        self._connecting = asyncio.create_task(self._connect())

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        inside, _ = await loop.create_connection(
            lambda: Inside(self._transport), "127.0.0.1", self._exchange_port
        )
        inside.write(self._early)
        self._inside = inside

    def data_received(self, data: bytes) -> None:
        """Note the time, and pass the bytes on."""
        at_s = time.monotonic()
        if self._inside is None:
            self._early += data
        else:
            self._inside.write(data)
        self._request += data
        self._take_requests(at_s)

    def _take_requests(self, at_s: float) -> None:
        while _END in self._request:
            head, _, rest = self._request.partition(_END)
            length = _body_length(head)
            if len(rest) < length:
                return
            method_and_path, _, query = head.split(b" HTTP/", 1)[0].partition(b"?")
            if method_and_path == _ORDER:
                print(_symbol(query or rest[:length]), at_s, flush=True)
            self._request = rest[length:]

    def connection_lost(self, _: Exception | None) -> None:
        """End the other side, too."""
        self._connecting.cancel()
        if self._inside is not None:
            self._inside.close()


def _body_length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0


def _symbol(parameters: bytes) -> str:
    return dict(part.split("=", 1) for part in parameters.decode().split("&"))["symbol"]


async def serve(exchange_port: int) -> None:
    """Serve until the process is ended."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Outside(exchange_port), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
