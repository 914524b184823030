"""The exchange's door notes orders and nothing else, once they are in, and passes everything on."""

import asyncio

import pytest

from benchmarks.door import Outside

ORDER = b"POST /api/v3/order HTTP/1.1\r\nContent-Length: 24\r\n\r\nsymbol=BTCUSDT&side=SELL"
CANCEL = b"DELETE /api/v3/order HTTP/1.1\r\ncontent-length: 14\r\n\r\nsymbol=ETHUSDT"
TIME = b"GET /api/v3/time HTTP/1.1\r\nHost: here\r\n\r\n"


async def test_an_order_is_noted_when_it_is_whole_and_everything_is_passed_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    has_ended = asyncio.Event()

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1000):
            writer.write(data)
        writer.close()
        await writer.wait_closed()
        has_ended.set()

    inside = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = inside.sockets[0].getsockname()[1]
    loop = asyncio.get_running_loop()
    door = await loop.create_server(lambda: Outside(port), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*door.sockets[0].getsockname())
    async with inside, door, asyncio.timeout(10):
        began_s = loop.time()
        for part in (TIME, CANCEL, ORDER[:-5]):
            writer.write(part)
            assert await reader.readexactly(len(part)) == part
        assert capsys.readouterr().out == ""
        writer.write(ORDER[-5:] + ORDER)
        assert await reader.readexactly(5 + len(ORDER)) == ORDER[-5:] + ORDER
        first, second = capsys.readouterr().out.splitlines()
        writer.close()
        await writer.wait_closed()
        assert await reader.read() == b""
        await has_ended.wait()
    for line in (first, second):
        symbol, at_s = line.split()
        assert symbol == "BTCUSDT"
        assert began_s <= float(at_s) <= loop.time()
