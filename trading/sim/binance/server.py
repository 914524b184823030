"""The simulated exchange on a socket: everything of Binance spot on one port, and /control."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from aiohttp import web

from trading.domain.errors import Refused
from trading.domain.instrument import refuse_unknown_coins
from trading.sim.account import BALANCES_EXAMPLE
from trading.sim.binance.control import Control
from trading.sim.binance.limits import LimitSettings
from trading.sim.binance.outlet import Scope
from trading.sim.binance.rest import Reply, Request
from trading.sim.binance.service import Service
from trading.sim.binance.sockets import Sockets
from trading.sim.binance.venue import Venue
from trading.sim.catalogue import MARKETS_DEFAULT, catalogue, with_market
from trading.sim.tape import Tape, load_tape
from trading.sim.world import World, WorldSettings

DEMO_KEY = "umbra-demo-key"
DEMO_SECRET = "umbra-demo-secret"  # noqa: S105 - it opens nothing but a simulation
_BODY_MAX_BYTES = 1_000_000
_SERVICE = web.AppKey("service", Service)
_CONTROL = web.AppKey("control", Control)

ClockMs = Callable[[], int]
"""Unix time in milliseconds."""


@dataclass(frozen=True, slots=True)
class SimSettings:
    """How `umbra sim` was started; port 0 takes a free one, no key means the demo pair."""

    port: int = 8090
    seed: int = 7
    speed: float = 1.0
    still: bool = False
    tape: Path | None = None
    markets: int = MARKETS_DEFAULT
    balances: Mapping[str, Decimal] = field(default_factory=lambda: {"USDT": Decimal(10_000)})
    api_key: str = ""
    secret: str = field(default="", repr=False)
    host: str = "127.0.0.1"
    limits: LimitSettings = field(default_factory=LimitSettings)

    def __post_init__(self) -> None:
        if bool(self.api_key) != bool(self.secret):
            raise Refused("API key and secret should be given together or not at all")

    @property
    def credentials(self) -> tuple[str, str]:
        """The account's key and secret: those given, else the demo pair."""
        return (self.api_key, self.secret) if self.api_key else (DEMO_KEY, DEMO_SECRET)

    @property
    def is_demo_pair(self) -> bool:
        """Whether nobody gave a key, so that the pair may be printed."""
        return not self.api_key


@dataclass(frozen=True, slots=True)
class RunningSim:
    """A simulated exchange that listens."""

    host: str
    port: int
    service: Service
    beat: asyncio.Task[None]

    @property
    def rest_url(self) -> str:
        """The bare root for REST, and for /control."""
        return f"http://{self.host}:{self.port}"

    @property
    def ws_url(self) -> str:
        """The bare root for streams and the ws-api."""
        return f"ws://{self.host}:{self.port}"


def build_world(settings: SimSettings, start_ms: int) -> World:
    """Return the market place that these settings describe; Refused when they cannot be met."""
    listed = catalogue(settings.markets, settings.seed)
    tape: Tape | None = None
    if settings.tape is not None:
        tape = load_tape(settings.tape)
        for (base, quote), price in tape.first_prices.items():
            listed = with_market(listed, base, quote, Decimal(repr(price)))
    try:
        refuse_unknown_coins(settings.balances, listed.coin_prices, "balance")
    except Refused as error:
        raise Refused(str(error), example=BALANCES_EXAMPLE) from error
    return World(
        listed,
        settings.balances,
        WorldSettings(settings.seed, settings.speed, settings.still),
        start_ms,
        tape,
    )


def build_service(settings: SimSettings, clock: ClockMs) -> Service:
    """Return the exchange behind the sockets; needs no running loop yet."""
    key, secret = settings.credentials
    venue = Venue(build_world(settings, clock()), key, secret, clock)
    return Service(venue, settings.limits)


def build_app(service: Service) -> web.Application:
    """Return the application; its clean-up closes all sockets."""
    app = web.Application(client_max_size=_BODY_MAX_BYTES)
    control = Control(service)
    sockets = Sockets(service)
    app[_SERVICE], app[_CONTROL] = service, control
    app.router.add_route("*", "/control/{name}", control.handle)
    for path in ("/ws-api/v3", "/ws-api/v3/"):
        app.router.add_get(path, sockets.ws_api)
    for path in ("/stream", "/stream/", "/stream/ws", "/stream/ws/{names:.*}"):
        app.router.add_get(path, sockets.market)
    for path in ("/ws", "/ws/{names:.*}"):
        app.router.add_get(path, sockets.market)
    app.router.add_route("*", "/{prefix:api|sapi|fapi|dapi}/{rest:.*}", _rest_handler(service))
    app.on_shutdown.append(_close)
    return app


@contextlib.asynccontextmanager
async def running(settings: SimSettings, clock: ClockMs) -> AsyncIterator[RunningSim]:
    """Run the exchange as long as the context lasts."""
    service = build_service(settings, clock)
    runner = web.AppRunner(build_app(service), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.host, settings.port).start()
        beat = asyncio.create_task(service.beat())
        try:
            yield RunningSim(settings.host, runner.addresses[0][1], service, beat)
        finally:
            beat.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await beat
    finally:
        await runner.cleanup()


async def serve(
    settings: SimSettings, clock: ClockMs, on_start: Callable[[RunningSim], None] | None = None
) -> None:
    """Run the exchange until cancelled; `on_start` hears where it listens."""
    async with running(settings, clock) as sim:
        if on_start is not None:
            on_start(sim)
        # The beat only ends by an error, and without it nothing would move any more.
        await sim.beat


def _rest_handler(service: Service) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        began_s = asyncio.get_running_loop().time()
        body = await request.text() if request.can_read_body else ""
        asked = Request(
            method=request.method,
            path=request.path,
            query=request.rel_url.raw_query_string,
            body=body,
            api_key=request.headers.get("X-MBX-APIKEY"),
        )
        reply = await service.rest.answer(asked)
        if asked.method == "POST":
            service.note("request", f"{asked.path} {asked.body or asked.query}", began_s)
        return _response(request, reply)

    return handle


def _response(request: web.Request, reply: Reply) -> web.Response:
    if reply.body is None:
        if request.transport is not None:
            request.transport.abort()
        return web.Response()
    content_type, _, charset = reply.content_type.partition(";charset=")
    return web.Response(
        body=reply.body,
        status=reply.status,
        headers=dict(reply.headers),
        content_type=content_type,
        charset=charset or None,
    )


async def _close(app: web.Application) -> None:
    await app[_CONTROL].close()
    await app[_SERVICE].disconnect(Scope.ALL, 1001, is_abort=False)
