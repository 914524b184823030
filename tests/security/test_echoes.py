"""Z-02: a secret that another program puts into its words is in none of ours."""

import socket
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from aiohttp import web
from sqlalchemy.engine import make_url
from telegram.error import TelegramError

from bot import config
from bot.shares import gateway_settings, telegram_settings
from bot.telegram.requesting import requests_for
from storage.database import no_failpoint
from storage.postgres import PostgresDatabase
from tests.contract.gateway.worlds import MachineClock, control, settings_of, simulated
from tests.e2e.world import World
from tests.fakes.desk import START
from tests.security.canaries import CANARIES, PASSWORD, leaks, spellings
from trading.domain.errors import StorageLost, UmbraError, Unreachable
from trading.domain.order import OrderReport, OrderRequest, OrderStatus, OrderType, Side
from trading.execution.classify import classify
from trading.gateway import GatewaySettings, create_gateway
from trading.gateway.rest import CcxtGateway
from trading.gateway.unified import UnifiedVenue
from trading.sim.binance.server import SimSettings

KEY = CANARIES["UMBRA_EXCHANGE_API_KEY"]
SECRET = CANARIES["UMBRA_EXCHANGE_SECRET"]
TOKEN = CANARIES["UMBRA_TELEGRAM_TOKEN"]
REPORT = OrderReport(
    client_order_id="umbra-1",
    exchange_order_id="1",
    symbol="BTC/USDT",
    side=Side.BUY,
    status=OrderStatus.REJECTED,
    quantity=Decimal(1),
    filled_quantity=Decimal(0),
    price=None,
    fills=(),
    updated_at=START,
)
# The code is known, unknown, or there is none: a page of a box on the way.
ECHOES = [
    ("error_code", {"code": -2015, "msg": f"Invalid API-key {KEY}", "status": 401}),
    ("error_code", {"code": -9999, "msg": f"{'x' * 70} {KEY} {SECRET}", "status": 400}),
    ("status", {"status": 403, "body": f"<html>{'x' * 58}{KEY}</html>"}),
]


@pytest.mark.parametrize(("kind", "args"), ECHOES)
@pytest.mark.parametrize("is_general", [False, True])
async def test_z02_what_the_exchange_echoes_is_no_evidence_and_no_error(
    kind: str, args: dict[str, object], is_general: bool
) -> None:
    settings = SimSettings(port=0, still=True, api_key=KEY, secret=SECRET)
    async with simulated(settings) as sim:
        own, clock = settings_of(sim, api_key=KEY, secret=SECRET), MachineClock()
        gateway = (
            CcxtGateway(own, clock, UnifiedVenue(own, clock))
            if is_general
            else create_gateway(own, clock)
        )
        await gateway.connect()
        try:
            args = {"accept": False, **args} if kind == "error_code" else args
            await control(sim, "fault", {"kind": kind, "times": 1, "args": args})
            evidence = await gateway.submit(_order())
            assert "•••" in evidence.message
            assert leaks(f"{evidence} {classify(evidence)}") == []
            assert KEY[:8] not in evidence.message
            # A box that forbids is asked nothing for a while.
            if args["status"] != 403:
                args = {**args, "path": "/api/v3/account"}
                await control(sim, "fault", {"kind": kind, "times": 1, "args": args})
                with pytest.raises(UmbraError) as failed:
                    await gateway.balances()
                assert "•••" in str(failed.value)
                assert leaks(f"{failed.value} {failed.value!r} {failed.value.words}") == []
        finally:
            await gateway.close()


async def test_z02_a_token_of_the_chat_that_a_box_on_the_way_echoes_is_in_no_evidence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also where the page is cut in the middle of it."""
    part = TOKEN.partition(":")[2]
    sim_settings = SimSettings(port=0, still=True, api_key=KEY, secret=SECRET)
    async with simulated(sim_settings) as sim:
        monkeypatch.setenv("UMBRA_TELEGRAM_TOKEN", TOKEN)
        others = gateway_settings(config.load_without_chat()).other_secrets
        own = replace(settings_of(sim, api_key=KEY, secret=SECRET), other_secrets=others)
        gateway = create_gateway(own, MachineClock())
        await gateway.connect()
        try:
            for pad in (0, 40, 50, 58):
                args = {"status": 502, "body": f"<html>{'x' * pad}{TOKEN}</html>", "accept": False}
                await control(sim, "fault", {"kind": "status", "times": 1, "args": args})
                evidence = await gateway.submit(_order())
                assert "•••" in evidence.message
                assert part[:8] not in evidence.message
        finally:
            await gateway.close()


class _Echoing:
    """A venue whose streams tell what was sent to them."""

    async def stream_account(self, on_report: Callable[[OrderReport], None], *_: object) -> None:
        on_report(replace(REPORT, reason=f"refused for {KEY}"))
        on_report(REPORT)
        raise Unreachable(f"closed: {KEY} {SECRET}")

    async def stream_market(self, *_: object) -> None:
        raise Unreachable(f"closed: {KEY}", 502)


async def test_z02_what_a_stream_echoes_is_in_no_report_and_no_error() -> None:
    settings, heard = GatewaySettings(api_key=KEY, secret=SECRET), list[OrderReport]()
    gateway = CcxtGateway(settings, MachineClock(), _Echoing())  # type: ignore[arg-type]
    with pytest.raises(Unreachable, match=r"^closed: ••• •••$"):
        await gateway.stream_account(heard.append, lambda _: None)
    assert [one.reason for one in heard] == ["refused for •••", ""]
    with pytest.raises(Unreachable, match=r"^closed: •••$") as lost:
        await gateway.stream_market(frozenset(), lambda _: None, lambda _: None)
    assert lost.value.status == 502


def _order() -> OrderRequest:
    return OrderRequest(
        client_order_id="umbra-1",
        symbol="BTC/USDT",
        side=Side.BUY,
        order_type=OrderType.MARKET,
        quantity=Decimal("0.001"),
    )


@pytest.mark.parametrize("status", [400, 404, 502])
async def test_z02_what_telegram_echoes_of_its_address_is_in_no_error(status: int) -> None:
    async def refuse(request: web.Request) -> web.Response:
        said = f"Bad Request: no such place {request.path} {TOKEN} {KEY} {SECRET} {PASSWORD}"
        return web.json_response({"ok": False, "description": said}, status=status)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", refuse)
    runner = web.AppRunner(app)
    await runner.setup()
    listening = socket.create_server(("127.0.0.1", 0))
    await web.SockSite(runner, listening).start()
    base_url = f"http://127.0.0.1:{listening.getsockname()[1]}/bot"
    try:
        async with requests_for(base_url, TOKEN, (KEY, SECRET, PASSWORD)) as asking:
            with pytest.raises(TelegramError) as refused:
                await asking.post(f"{base_url}{TOKEN}/sendMessage")
    finally:
        await runner.cleanup()
    assert "•••" in str(refused.value)
    # The library changes its letters.
    told = f"{refused.value} {refused.value!r}".lower()
    for secret in (TOKEN.partition(":")[2], KEY, SECRET, PASSWORD):
        assert secret.lower() not in told


def test_z02_errors_of_the_chat_repeat_no_secret_of_the_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("UMBRA_TELEGRAM_TOKEN", TOKEN)
    monkeypatch.setenv("UMBRA_EXCHANGE_API_KEY", KEY)
    monkeypatch.setenv("UMBRA_EXCHANGE_SECRET", SECRET)
    share = telegram_settings(config.load())
    assert {KEY, SECRET} <= {*share.other_secrets}
    assert KEY not in repr(share)


async def test_z02_what_a_database_echoes_of_its_password_is_in_no_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = make_url(f"postgresql+asyncpg://umbra:{PASSWORD}@127.0.0.1:9/none?password={SECRET}")
    database = PostgresDatabase(url, no_failpoint)

    async def refuse() -> None:
        raise OSError(f"no route to {url.render_as_string(hide_password=False)}, {PASSWORD}")

    monkeypatch.setattr(database._lease, "hold", refuse)
    with pytest.raises(StorageLost) as lost:
        await database.open(lambda _: None)
    await database.close()
    assert "•••" in str(lost.value)
    assert leaks(str(lost.value)) == []


def test_z02_the_parts_of_an_address_of_the_second_channel_are_secrets(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    url = "json://ada:hunter2@hooks.example.com/services/T0123456789A?key=0123456789abcdef"
    monkeypatch.setenv("UMBRA_SECOND_CHANNEL_URLS", url)
    monkeypatch.setenv("UMBRA_DATABASE_URL", f"postgresql+asyncpg://h/u?password={PASSWORD}")
    monkeypatch.setenv("UMBRA_DATA_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    secrets = config.load_without_chat().secrets
    assert {url, "hunter2", "T0123456789A", "0123456789abcdef", PASSWORD} <= set(secrets)
    # They are words, or what a person needs to know of an error.
    assert not {"services", "hooks.example.com", "ada"} & set(secrets)


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_z02_a_stop_that_is_refused_with_the_key_in_the_words_tells_nobody_the_key(
    tmp_path: Path,
) -> None:
    async with World(tmp_path / "world", balance="USDT=10000,BTC=0.5") as world:
        await world.price("60000")
        await world.start_agent()
        await world.arm("/track BTC/USDT stop 58000 all")
        key = world.environment["UMBRA_EXCHANGE_API_KEY"]
        said = {"code": -2015, "msg": f"Invalid API-key {key}", "status": 401, "accept": False}
        await world.fault("error_code", times=2, **said)
        await world.price("57990")
        blocked = await world.until_message("BLOCKED")
        assert "Invalid API-key" in " ".join(blocked["text"].split())
        await world.kill_agent()
        told = str(await world.messages())
    kept = "".join(
        path.read_bytes().decode("latin-1") for path in tmp_path.rglob("*") if path.is_file()
    )
    assert leaks(told + kept, spellings(key)) == []
