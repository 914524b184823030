"""Lines between agent and exchange that break, hang, crawl or lead elsewhere."""

import asyncio
import contextlib
import datetime
import ipaddress
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.catalogue import fired
from tests.contract.gateway.worlds import BTC, MachineClock, settings_of, simulated
from tests.integration.gateway.floor import Floor, check_once, standing
from tests.proxy import Proxy
from trading.domain.errors import Unreachable
from trading.execution.identity import client_order_id
from trading.gateway import create_gateway
from trading.sim.binance.server import RunningSim

ORDER = b"POST /api/v3/order"
DEADLINE_S = 1.0


class Stand:
    """A standing engine, and the line between it and its exchange."""

    def __init__(self, floor: Floor, line: Proxy) -> None:
        self.floor, self.line = floor, line


@pytest.fixture
async def stand(tmp_path: Path) -> AsyncIterator[Stand]:
    async with simulated() as sim, _before(sim) as line:
        settings = settings_of(
            sim,
            rest_url=f"http://{line.address}",
            ws_url=f"ws://{line.address}",
            timeout_s=DEADLINE_S,
        )
        async with standing(tmp_path, sim, settings) as floor:
            yield Stand(floor, line)


def _before(sim: RunningSim) -> contextlib.AbstractAsyncContextManager[Proxy]:
    host, _, port = sim.rest_url.removeprefix("http://").partition(":")
    return Proxy.before(host, int(port))


@pytest.mark.fault("X01", "ONE EQ KEEP")
async def test_an_answer_lost_in_a_reset_leads_to_one_order(stand: Stand) -> None:
    stand.line.lose_answer_to(ORDER, reset=True)
    await stand.floor.sell()
    fired(stand.line.answers_lost)
    await check_once(stand.floor)


@pytest.mark.fault("X29", "ONE EQ KEEP")
@pytest.mark.fault("X01", "ONE EQ KEEP")
async def test_an_answer_lost_in_a_half_open_line_leads_to_one_order(stand: Stand) -> None:
    stand.line.lose_answer_to(ORDER, reset=False)
    await stand.floor.sell()
    fired(stand.line.answers_lost)
    await check_once(stand.floor)


@pytest.mark.fault("X29", "ONE EQ KEEP SAID")
async def test_a_crawling_answer_is_given_up_in_time_and_the_pool_is_not_used_up(
    stand: Stand,
) -> None:
    gateway = stand.floor.gateway
    stand.line.down.bytes_per_s = 20
    began_s = time.monotonic()
    reads = [asyncio.create_task(gateway.balances()) for _ in range(8)]
    reads += [asyncio.create_task(gateway.order(BTC, client_order_id("ux", "crawl", 1)))]
    answers = await asyncio.gather(*reads, return_exceptions=True)
    # Something comes all the time, so only a deadline for the whole can end it.
    assert time.monotonic() - began_s < DEADLINE_S + 1
    assert all(isinstance(answer, Unreachable) for answer in answers)
    fired(stand.line.down.slices)
    stand.line.heal()
    began_s = time.monotonic()
    await gateway.balances()
    assert time.monotonic() - began_s < DEADLINE_S
    await stand.floor.sell()
    await check_once(stand.floor)


@pytest.mark.fault("X25", "KEEP")
async def test_an_answer_cut_in_the_middle_leads_to_one_order(stand: Stand) -> None:
    before = stand.line.down.closes
    sent = asyncio.create_task(stand.floor.sell())
    stand.line.down.close_after_bytes = stand.line.down.passed_bytes + 40
    while stand.line.down.closes == before:
        await asyncio.sleep(0.005)
    stand.line.heal()
    fired(stand.line.down.closes - before)
    await sent
    await check_once(stand.floor)


@pytest.mark.fault("X02", "ONE")
async def test_an_exit_over_a_refusing_line_goes_out_once_it_takes_connections(
    stand: Stand,
) -> None:
    await stand.line.refuse()
    selling = asyncio.create_task(stand.floor.sell())
    with pytest.raises(Unreachable):
        await stand.floor.gateway.balances()
    fired(stand.line.connections_cut)
    assert await stand.floor.orders() == []
    await stand.line.accept()
    await selling
    await check_once(stand.floor)


# ---------------------------------------------------------------- lines that lead elsewhere


class Impostor:
    """Listens with a certificate of its own making; keeps what it is told once TLS stands."""

    def __init__(self) -> None:
        self.heard = b""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heard += await reader.read(65_536)
        writer.close()


def _certificate(folder: Path) -> ssl.SSLContext:
    """A certificate for this machine that nobody has signed but itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    (folder / "own.pem").write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "own.pem")
    return context


@pytest.mark.fault("X28", "SAID")
async def test_a_certificate_that_nobody_vouches_for_is_told_no_key(tmp_path: Path) -> None:
    impostor = Impostor()
    server = await asyncio.start_server(impostor.serve, "127.0.0.1", 0, ssl=_certificate(tmp_path))
    async with server, simulated() as sim:
        port = server.sockets[0].getsockname()[1]
        async with Proxy.before("127.0.0.1", port) as line:
            gateway = create_gateway(
                settings_of(sim, rest_url=f"https://{line.address}"), MachineClock()
            )
            with pytest.raises(Unreachable, match=r"(?i)certificate"):
                await gateway.connect()
            await gateway.close()
            fired([line.up.passed_bytes, line.connections])
    # A handshake was tried, and nothing was said after it.
    assert impostor.heard == b""


@pytest.mark.fault("X28", "SAID")
async def test_a_portal_s_page_instead_of_the_exchange_is_no_exchange() -> None:
    asked: list[bytes] = []

    async def portal(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        page = b"<html>Please sign in to the hotel's network</html>"
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n"
        writer.write(head % len(page) + page)
        writer.close()

    server = await asyncio.start_server(portal, "127.0.0.1", 0)
    async with server, simulated() as sim:
        port = server.sockets[0].getsockname()[1]
        gateway = create_gateway(
            settings_of(sim, rest_url=f"http://127.0.0.1:{port}"), MachineClock()
        )
        with pytest.raises(Unreachable):
            await gateway.connect()
        await gateway.close()
    fired(len(asked))
    assert all(b"X-MBX-APIKEY" not in request for request in asked)
