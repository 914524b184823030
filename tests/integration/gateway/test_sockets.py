"""The gateway over real sockets: what breaks on the way becomes evidence, never a number."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from bot.silence import SilenceFile
from tests.catalogue import fired
from tests.contract.gateway.worlds import (
    BTC,
    MachineClock,
    control,
    settings_of,
    shown,
    simulated,
)
from trading.domain.errors import AuthLost, RateLimited, SettingsInvalid, Unreachable
from trading.domain.market import MarketTrade, Quote
from trading.domain.order import (
    OrderReport,
    OrderRequest,
    OrderStatus,
    OrderType,
    SendEvidence,
    SendPhase,
    Side,
)
from trading.domain.position import Balance, Movement
from trading.domain.time import Timeframe
from trading.execution.classify import Verdict, classify
from trading.execution.identity import client_order_id
from trading.gateway import GatewaySettings, create_gateway
from trading.gateway.binance import BinanceVenue
from trading.gateway.rest import CcxtGateway
from trading.gateway.unified import UnifiedVenue
from trading.ports.exchange import ExchangeGateway
from trading.sim.binance.server import RunningSim

pytestmark = pytest.mark.uncounted


@pytest.fixture
async def sim() -> AsyncIterator[RunningSim]:
    async with simulated() as found:
        yield found


@pytest.fixture
async def gateway(sim: RunningSim) -> AsyncIterator[ExchangeGateway]:
    found = create_gateway(settings_of(sim), MachineClock())
    await found.connect()
    yield found
    await found.close()


def order(number: int = 1, quantity: str = "0.1") -> OrderRequest:
    return OrderRequest(
        client_order_id("ux", "sockets", number),
        BTC,
        Side.SELL,
        OrderType.MARKET,
        Decimal(quantity),
    )


async def fault(sim: RunningSim, kind: str, times: int = 1, **args: object) -> None:
    await control(sim, "fault", {"kind": kind, "times": times, "args": args})


async def times_fired(sim: RunningSim) -> int:
    listed = await shown(sim, "faults")
    assert isinstance(listed, list)
    return int(listed[-1]["fired"])


async def accepted(sim: RunningSim) -> int:
    listed = await shown(sim, "orders")
    assert isinstance(listed, list)
    return len(listed)


async def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, f"the condition should hold within {seconds} s"
        await asyncio.sleep(0.01)


def verdict(evidence: SendEvidence) -> Verdict:
    return classify(evidence).verdict


@pytest.mark.fault("W18")
async def test_streams_that_are_given_up_while_they_connect_leave_orders_their_connections(
    sim: RunningSim, gateway: ExchangeGateway
) -> None:
    # More than the gateway keeps open at once.
    many = GatewaySettings().connections_max + 6
    streams = sim.service.market_streams
    given_up_ones = []
    for _ in range(many):
        given_up = asyncio.create_task(gateway.stream_market(frozenset({BTC}), _nobody, _nobody))
        await asyncio.sleep(0.001)
        given_up.cancel()
        await asyncio.gather(given_up, return_exceptions=True)
        given_up_ones.append(given_up)
    assert verdict(await gateway.submit(order())) is Verdict.ACK
    assert await accepted(sim) == 1
    await until(lambda: not streams.subscribers)
    fired(sum(one.cancelled() for one in given_up_ones))


@pytest.mark.parametrize("venue", [BinanceVenue, UnifiedVenue])
async def test_orders_that_wait_for_a_connection_are_signed_when_they_have_one(
    sim: RunningSim, venue: type[BinanceVenue] | type[UnifiedVenue]
) -> None:
    settings = settings_of(sim, connections_max=1, recv_window_ms=400)
    gateway = CcxtGateway(settings, MachineClock(), venue(settings, MachineClock()))
    await gateway.connect()
    try:
        await gateway.submit(order(1))
        await fault(sim, "delay", path="/api/v3/depth", ms=700)
        reading = asyncio.create_task(gateway.order_book(BTC))
        await asyncio.sleep(0.1)
        # Only this connection is there, and it is in use for longer than a signature holds.
        sold, cancelled = await asyncio.gather(
            gateway.submit(order(2)), gateway.cancel(BTC, order(1).client_order_id)
        )
        await reading
    finally:
        await gateway.close()
    assert await times_fired(sim) == 1
    assert verdict(sold) is Verdict.ACK
    # Answered about the order, which is filled, and not about the clock.
    assert (cancelled.http_status, cancelled.code) == (400, -2011)
    assert await accepted(sim) == 2


async def test_an_order_whose_signature_grows_old_twice_was_never_sent(
    sim: RunningSim, gateway: ExchangeGateway
) -> None:
    # Older than that is every request before its first byte.
    evidence = await gateway.submit(replace(order(), recv_window_ms=0))
    assert evidence.phase is SendPhase.NOT_SENT
    assert verdict(evidence) is Verdict.NOT_SENT
    assert await accepted(sim) == 0
    assert verdict(await gateway.submit(order())) is Verdict.ACK


@pytest.mark.parametrize(
    ("kind", "args"),
    [
        pytest.param("drop_response", {"accept": True}, marks=pytest.mark.fault("X01")),
        pytest.param("status", {"status": 502, "accept": True}, marks=pytest.mark.fault("X03")),
        pytest.param("status", {"status": 504, "accept": True}, marks=pytest.mark.fault("X03")),
        pytest.param("error_code", {"code": -1007, "accept": True}, marks=pytest.mark.fault("X05")),
        pytest.param("error_code", {"code": -1006, "accept": True}, marks=pytest.mark.fault("X04")),
        pytest.param("html200", {"accept": True}, marks=pytest.mark.fault("X25", "SAID")),
        pytest.param("truncated", {"accept": True}, marks=pytest.mark.fault("X25", "SAID")),
        pytest.param("empty_object", {"accept": True}, marks=pytest.mark.fault("X25", "SAID")),
    ],
)
async def test_an_answer_that_went_wrong_after_acceptance_is_unknown_and_the_order_is_found(
    sim: RunningSim, gateway: ExchangeGateway, kind: str, args: dict[str, object]
) -> None:
    await fault(sim, kind, **args)
    evidence = await gateway.submit(order())
    fired(await times_fired(sim), words=f"{kind} {args}")
    assert evidence.report is None
    assert verdict(evidence) is Verdict.UNKNOWN
    assert await accepted(sim) == 1
    report = await gateway.order(BTC, order().client_order_id)
    assert report is not None
    assert report.filled_quantity == Decimal("0.1")


@pytest.mark.parametrize(
    ("kind", "args", "expected"),
    [
        pytest.param("drop_response", {}, Verdict.UNKNOWN, marks=pytest.mark.fault("X03b")),
        pytest.param("status", {"status": 503}, Verdict.UNKNOWN, marks=pytest.mark.fault("X03b")),
        pytest.param("status", {"status": 403}, Verdict.UNKNOWN, marks=pytest.mark.fault("X14")),
        pytest.param(
            "error_code", {"code": -1021}, Verdict.REJECTED, marks=pytest.mark.fault("X11")
        ),
        pytest.param(
            "error_code", {"code": -2015}, Verdict.REJECTED, marks=pytest.mark.fault("X15")
        ),
        pytest.param(
            "status",
            {"status": 429, "retry_after": 2},
            Verdict.RATE_LIMITED,
            marks=pytest.mark.fault("X12"),
        ),
    ],
)
async def test_before_acceptance_only_the_exchange_s_definitive_word_is_a_refusal(
    sim: RunningSim,
    gateway: ExchangeGateway,
    kind: str,
    args: dict[str, object],
    expected: Verdict,
) -> None:
    await gateway.balances()
    await fault(sim, kind, **args, accept=False)
    evidence = await gateway.submit(order())
    fired(await times_fired(sim), words=f"{kind} {args}")
    assert verdict(evidence) is expected
    assert await accepted(sim) == 0


@pytest.mark.fault("X12", "SAID")
async def test_after_a_rate_limit_nothing_leaves_until_it_is_over(
    sim: RunningSim, gateway: ExchangeGateway
) -> None:
    await fault(sim, "status", status=429, accept=False, retry_after=30)
    await gateway.submit(order())
    evidence = await gateway.submit(order(2))
    assert evidence.phase is SendPhase.NOT_SENT
    assert 28 < (evidence.retry_after_s or 0) <= 30
    with pytest.raises(RateLimited):
        await gateway.balances()
    assert await times_fired(sim) == 1
    fired(await times_fired(sim))


@pytest.mark.fault("X13")
async def test_a_ban_says_how_long(sim: RunningSim, gateway: ExchangeGateway) -> None:
    await fault(sim, "ban", seconds=20)
    evidence = await gateway.submit(order())
    assert evidence.http_status == 418
    assert verdict(evidence) is Verdict.RATE_LIMITED
    assert 15 < (evidence.retry_after_s or 0) <= 22
    fired(await times_fired(sim), words=f"silence for {evidence.retry_after_s} s")


@pytest.mark.fault("X13")
async def test_a_process_that_starts_inside_a_ban_asks_nothing_until_its_end(
    sim: RunningSim, tmp_path: Path
) -> None:
    silences = SilenceFile(tmp_path, "binance")
    before = create_gateway(settings_of(sim), MachineClock(), silences=silences)
    await before.connect()
    await fault(sim, "ban", seconds=30)
    with pytest.raises(RateLimited):
        await before.balances()
    fired(await times_fired(sim))
    await before.close()
    await asyncio.wait_for(_until_kept(silences), 10)
    # Nobody listens there: whoever asks finds that out.
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    nowhere = settings_of(sim, rest_url=f"http://127.0.0.1:{port}")
    again = create_gateway(nowhere, MachineClock(), silences=SilenceFile(tmp_path, "binance"))
    with pytest.raises(RateLimited) as silent:
        await again.connect()
    assert 20 < silent.value.retry_after_s <= 32
    await again.close()


async def test_a_403_which_names_no_end_is_not_kept(sim: RunningSim, tmp_path: Path) -> None:
    silences = SilenceFile(tmp_path, "binance")
    gateway = create_gateway(settings_of(sim), MachineClock(), silences=silences)
    await gateway.connect()
    await fault(sim, "status", status=403, body="forbidden", path="*", method="*")
    with pytest.raises(RateLimited):
        await gateway.balances()
    assert gateway._silence is None  # type: ignore[attr-defined]
    await gateway.close()


async def _until_kept(silences: SilenceFile) -> None:
    while silences.kept() is None:
        await asyncio.sleep(0.01)


@pytest.mark.fault("X25", "SAID")
@pytest.mark.parametrize("kind", ["html200", "truncated", "empty_object"])
async def test_a_read_that_cannot_be_believed_is_unreachable(
    sim: RunningSim, gateway: ExchangeGateway, kind: str
) -> None:
    await fault(sim, kind, times=4, path="*", method="*")
    with pytest.raises(Unreachable):
        await gateway.balances()
    with pytest.raises(Unreachable):
        await gateway.order(BTC, order().client_order_id)
    with pytest.raises(Unreachable):
        await gateway.quote(BTC)
    with pytest.raises(Unreachable):
        await gateway.open_orders(BTC)
    assert await times_fired(sim) == 4
    fired(await times_fired(sim))


@pytest.mark.fault("X25", "SAID")
@pytest.mark.parametrize("kind", ["html200", "truncated", "empty_object"])
async def test_candles_that_nobody_sent_are_not_an_empty_list_the_common_way(
    sim: RunningSim, kind: str
) -> None:
    settings, clock = settings_of(sim), MachineClock()
    gateway = CcxtGateway(settings, clock, UnifiedVenue(settings, clock))
    await gateway.connect()
    hour = Timeframe("1h")
    assert len(await gateway.candles(BTC, hour, 5)) == 5
    await fault(sim, kind, times=1, path="/api/v3/klines", method="GET")
    with pytest.raises(Unreachable):
        await gateway.candles(BTC, hour, 5)
    assert await times_fired(sim) == 1
    fired(await times_fired(sim))
    later = datetime.now(UTC) + timedelta(days=1)
    assert await gateway.candles(BTC, hour, 5, later) == []
    await gateway.close()


@pytest.mark.fault("X29")
async def test_an_answer_that_takes_too_long_is_unknown_within_the_total_deadline(
    sim: RunningSim,
) -> None:
    gateway = create_gateway(settings_of(sim, timeout_s=0.4), MachineClock())
    await gateway.connect()
    await fault(sim, "delay", seconds=3, when="after")
    began = time.monotonic()
    evidence = await gateway.submit(order())
    assert time.monotonic() - began < 2
    assert evidence.phase is SendPhase.SENT
    assert verdict(evidence) is Verdict.UNKNOWN
    assert await times_fired(sim) == 1
    fired(await times_fired(sim))
    assert await accepted(sim) == 1
    await gateway.close()


@pytest.mark.fault("X02", "SAID")
async def test_nothing_leaves_towards_a_closed_port(sim: RunningSim) -> None:
    gateway = create_gateway(settings_of(sim), MachineClock())
    await gateway.connect()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    closed = create_gateway(settings_of(sim, rest_url=f"http://127.0.0.1:{port}"), MachineClock())
    with pytest.raises(Unreachable) as refused:
        await closed.connect()
    venue = closed._venue  # type: ignore[attr-defined]
    venue._instruments = dict(await gateway.instruments())
    evidence = await closed.submit(order())
    assert verdict(evidence) is Verdict.NOT_SENT
    await closed.close()
    await gateway.close()
    fired(refused, words=evidence.message)


async def test_a_wrong_secret_is_a_lost_key_and_no_crash_of_the_stream(sim: RunningSim) -> None:
    gateway = create_gateway(settings_of(sim, secret="wrong"), MachineClock())
    await gateway.connect()
    with pytest.raises(AuthLost):
        await gateway.balances()
    with pytest.raises(Unreachable):
        await gateway.stream_account(_nobody, _nobody)
    await gateway.close()


@pytest.mark.fault("X15")
async def test_a_key_that_is_revoked_later_is_a_lost_key_too(
    sim: RunningSim, gateway: ExchangeGateway
) -> None:
    await gateway.balances()
    await fault(sim, "error_code", path="*", method="*", code=-2015)
    with pytest.raises(AuthLost):
        await gateway.balances()
    assert await times_fired(sim) == 1
    fired(await times_fired(sim))


@pytest.mark.parametrize(
    ("kind", "args"),
    [
        ("status", {"status": 401, "body": "<html>sign in</html>"}),
        ("error_code", {"code": -2015, "status": 401}),
    ],
)
async def test_no_answer_to_a_question_without_a_key_is_a_lost_key(
    sim: RunningSim, gateway: ExchangeGateway, kind: str, args: dict[str, object]
) -> None:
    asked = (
        lambda: gateway.quote(BTC),
        lambda: gateway.quotes([BTC]),
        lambda: gateway.last_trade(BTC),
        gateway.last_prices,
        lambda: gateway.order_book(BTC),
        lambda: gateway.candles(BTC, Timeframe("1h"), 5),
        gateway.clock_offset_ms,
    )
    for ask in asked:
        await fault(sim, kind, path="*", method="*", **args)
        with pytest.raises(Unreachable) as told:
            await ask()
        assert told.value.status == 401
    await fault(sim, kind, path="*", method="*", **args)
    with pytest.raises(AuthLost):
        await gateway.balances()


@pytest.mark.fault("C01")
async def test_signing_follows_the_exchange_s_clock(
    sim: RunningSim, gateway: ExchangeGateway
) -> None:
    await control(sim, "clock", {"offset_ms": 7000})
    assert 6500 < await gateway.clock_offset_ms() < 7500
    evidence = await gateway.submit(order())
    assert verdict(evidence) is Verdict.ACK
    fired(round(await gateway.clock_offset_ms()), words="ms ahead")


@pytest.mark.fault("W01")
async def test_a_lost_connection_ends_both_streams_and_they_come_back(
    sim: RunningSim, gateway: ExchangeGateway
) -> None:
    reports: list[OrderReport] = []
    balances: list[Balance] = []
    quotes: list[Quote] = []
    trades: list[MarketTrade] = []
    for kind in ("abort", "close"):
        market = asyncio.create_task(
            gateway.stream_market(frozenset({BTC}), trades.append, quotes.append)
        )
        account = asyncio.create_task(gateway.stream_account(reports.append, balances.append))
        quotes.clear()
        await until(lambda: bool(quotes))
        await _account_lives(gateway, reports, kind)
        await fault(sim, "disconnect", scope="all", abort=kind == "abort")
        for stream in (market, account):
            with pytest.raises(Unreachable):
                await asyncio.wait_for(stream, 5)
    fired(await times_fired(sim))


async def test_a_deposit_does_not_end_the_account_s_stream(
    sim: RunningSim, gateway: ExchangeGateway, caplog: pytest.LogCaptureFixture
) -> None:
    reports: list[OrderReport] = []
    balances: list[Balance] = []
    moved: list[Movement] = []
    stream = asyncio.create_task(
        gateway.stream_account(reports.append, balances.append, moved.append)
    )
    await _account_lives(gateway, reports, "before")
    balances.clear()
    # It comes as a balanceUpdate and as a new position; a trade comes as a position alone.
    await control(sim, "account", {"asset": "BTC", "delta": "1"})
    await until(lambda: any(one.asset == "BTC" for one in balances))
    await control(sim, "account", {"asset": "USDT", "delta": "-2.5"})
    await gateway.submit(OrderRequest("ux-t-1", BTC, Side.SELL, OrderType.MARKET, Decimal("0.1")))
    await until(lambda: any(one.status is OrderStatus.FILLED for one in reports))
    await _account_lives(gateway, reports, "after")
    assert [(one.asset, one.quantity) for one in moved] == [("BTC", 1), ("USDT", Decimal("-2.5"))]
    assert not stream.done()
    stream.cancel()
    await asyncio.gather(stream, return_exceptions=True)
    assert [record for record in caplog.records if record.exc_info] == []


async def _account_lives(gateway: ExchangeGateway, reports: list[OrderReport], name: str) -> None:
    reports.clear()
    for number in range(1, 100):
        resting = OrderRequest(
            client_order_id("ux", name, number),
            BTC,
            Side.SELL,
            OrderType.LIMIT,
            Decimal("0.01"),
            Decimal(66_000),
        )
        await gateway.submit(resting)
        await gateway.cancel(BTC, resting.client_order_id)
        await asyncio.sleep(0.02)
        if reports:
            return
    raise AssertionError("the account's stream should report within 2 s")


@pytest.mark.fault("W06")
async def test_a_terminated_user_stream_ends_instead_of_hanging(
    sim: RunningSim, gateway: ExchangeGateway
) -> None:
    reports: list[OrderReport] = []
    stream = asyncio.create_task(gateway.stream_account(reports.append, _nobody))
    await _account_lives(gateway, reports, "terminated")
    await fault(sim, "terminate_stream")
    with pytest.raises(Unreachable, match="eventStreamTerminated"):
        await asyncio.wait_for(stream, 5)
    fired(await times_fired(sim))


async def test_a_callback_that_fails_does_not_end_the_stream(
    gateway: ExchangeGateway, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[Quote] = []

    def failing(quote: Quote) -> None:
        seen.append(quote)
        raise ZeroDivisionError("ours")

    stream = asyncio.create_task(gateway.stream_market(frozenset({BTC}), _nobody, failing))
    await until(lambda: len(seen) >= 2)
    assert "message_failed" in caplog.text
    assert not stream.done()
    stream.cancel()
    await asyncio.gather(stream, return_exceptions=True)


async def test_a_burst_of_reports_arrives_whole(gateway: ExchangeGateway) -> None:
    reports: list[OrderReport] = []
    stream = asyncio.create_task(gateway.stream_account(reports.append, _nobody))
    await _account_lives(gateway, reports, "burst")
    requests = [order(number, "0.001") for number in range(1, 41)]
    await asyncio.gather(*(gateway.submit(request) for request in requests))
    ids = {request.client_order_id for request in requests}
    await until(lambda: ids <= {one.client_order_id for one in reports if one.fills})
    stream.cancel()
    await asyncio.gather(stream, return_exceptions=True)


async def test_many_instruments_share_one_connection(
    sim: RunningSim, gateway: ExchangeGateway
) -> None:
    symbols = frozenset(await gateway.instruments())
    seen: set[str] = set()
    stream = asyncio.create_task(
        gateway.stream_market(symbols, _nobody, lambda quote: seen.add(quote.symbol))
    )
    await until(lambda: seen == symbols)
    stream.cancel()
    await asyncio.gather(stream, return_exceptions=True)


async def test_executions_of_foreign_orders_carry_a_foreign_id(
    sim: RunningSim, gateway: ExchangeGateway
) -> None:
    await control(
        sim, "order", {"symbol": "BTCUSDT", "side": "SELL", "type": "MARKET", "quantity": "0.1"}
    )
    since = datetime.now(UTC) - timedelta(minutes=5)
    fills = await gateway.fills_since(BTC, since)
    assert fills
    assert not any(fill.client_order_id.startswith("ux") for fill in fills)


async def test_secrets_never_show(sim: RunningSim) -> None:
    settings = settings_of(sim, api_key="KEY-CANARY", secret="SECRET-CANARY")
    assert "CANARY" not in repr(settings)


async def test_an_exchange_that_does_not_exist_is_named() -> None:
    gateway = create_gateway(GatewaySettings(exchange_id="nowhere"), MachineClock())
    with pytest.raises(SettingsInvalid, match="UMBRA_EXCHANGE_ID"):
        await gateway.connect()
    await gateway.close()


async def test_before_connecting_nothing_can_be_asked() -> None:
    gateway = create_gateway(GatewaySettings(), MachineClock())
    with pytest.raises(Unreachable, match="not connected"):
        await gateway.balances()
    assert not gateway.is_simulated
    await gateway.close()


def _nobody(_: object) -> None:
    """A callback that needs nothing."""
