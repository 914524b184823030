"""Past candles over real sockets: every number that the exchange gives, through faulty weather."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest
from ccxt.base.errors import BadRequest, BadResponse, BadSymbol, NotSupported

from tests.contract.gateway.worlds import MachineClock, control, shown
from trading.candles.checking import check
from trading.domain.errors import RateLimited, Refused, Unreachable
from trading.gateway import candle_history
from trading.gateway.candle_history import CandleHistory, Unanswered
from trading.gateway.errors import Answer
from trading.gateway.settings import GatewaySettings
from trading.gateway.translate.values import Unusable
from trading.sim.binance.server import RunningSim, SimSettings, running

_MINUTE_MS = 60_000
_KLINES = "/api/v3/klines"


class _Pauses:
    """A sleep that takes no time and remembers how long it should have."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.seconds.append(seconds)


@pytest.fixture
async def sim() -> AsyncIterator[RunningSim]:
    settings = SimSettings(port=0, still=True)
    now_ms = MachineClock().now
    async with running(settings, lambda: int(now_ms().timestamp() * 1000)) as made:
        yield made


@asynccontextmanager
async def _history(
    sim: RunningSim,
    symbol: str = "BTC/USDT",
    exchange_id: str = "binance",
    page_max: int = 100,
    pauses: _Pauses | None = None,
    told: list[Unanswered | None] | None = None,
) -> AsyncIterator[CandleHistory]:
    settings = GatewaySettings(exchange_id=exchange_id, rest_url=sim.rest_url, timeout_s=2.0)
    sleep = (pauses or _Pauses()).sleep
    history = CandleHistory(settings, symbol, MachineClock(), page_max, sleep)
    try:
        await history.open(([] if told is None else told).append)
        yield history
    finally:
        await history.close()


async def test_a_page_holds_every_number_that_the_exchange_gives(sim: RunningSim) -> None:
    async with _history(sim) as history:
        assert (history.page_candles, history.is_listed) == (100, True)
        now_ms = history.now_ms()
        told = await history.page("1m", now_ms - 200 * _MINUTE_MS)
        assert len(told) == 100
        checked = check(told, _MINUTE_MS, now_ms)
        assert (checked.candles.equals(told), checked.rejected, checked.repaired) == (True, (), {})
        for column in (told.quote_volume, told.trades, told.taker_buy_volume):
            assert (column > 0).all()
        sums = told.taker_buy_volume + told.taker_sell_volume
        assert np.allclose(sums, told.volume, rtol=1e-12)
        await control(sim, "price", {"symbol": "BTC/USDT", "price": "61000"})
        newest = await history.page("1m", now_ms - 3 * _MINUTE_MS)
        assert check(newest, _MINUTE_MS, now_ms).running == 1


@pytest.mark.parametrize(
    ("kind", "args"),
    [
        ("status", {"status": 502}),
        ("html200", {}),
        ("truncated", {}),
        ("empty_object", {}),
        ("drop_response", {}),
        ("status", {"status": 429, "retry_after": 7}),
        ("delay", {"seconds": 3.0}),
    ],
)
async def test_what_passes_is_waited_for(
    kind: str, args: dict[str, object], sim: RunningSim
) -> None:
    pauses = _Pauses()
    async with _history(sim, pauses=pauses) as history:
        since_ms = history.now_ms() - 200 * _MINUTE_MS
        undisturbed = await history.page("1m", since_ms)
        # A connection that breaks before an answer is tried once more by the transport itself.
        times = 2 if kind == "drop_response" else 1
        fault = {"kind": kind, "times": times, "args": {"path": _KLINES, **args}}
        await control(sim, "fault", fault)
        assert (await history.page("1m", since_ms)).equals(undisturbed)
        (listed,) = await shown(sim, "faults")
        assert listed["fired"] == times
        assert pauses.seconds == [args.get("retry_after", 1.0)]


@pytest.mark.parametrize(
    ("args", "error", "seconds"),
    [
        ({"status": 503}, Unreachable, [1, 2, 4, 8, 16, 32, 60]),
        ({"status": 418, "retry_after": 30}, RateLimited, [30] * 7),
    ],
)
async def test_an_exchange_that_stays_silent_is_given_up(
    args: dict[str, object], error: type[Exception], seconds: list[float], sim: RunningSim
) -> None:
    pauses = _Pauses()
    async with _history(sim, pauses=pauses) as history:
        fault = {"kind": "status", "times": None, "args": {"path": _KLINES, **args}}
        await control(sim, "fault", fault)
        with pytest.raises(error, match=f"after 8 tries.*{args['status']}.*goes on from here"):
            await history.page("1m", 0)
        (listed,) = await shown(sim, "faults")
        assert listed["fired"] == 8
    assert pauses.seconds == seconds


async def test_each_try_that_brings_nothing_is_told_and_so_is_the_answer(sim: RunningSim) -> None:
    told: list[Unanswered | None] = []
    async with _history(sim, told=told) as history:
        assert set(told) == {None}
        told.clear()
        fault = {"kind": "status", "times": 2, "args": {"path": _KLINES, "status": 503}}
        await control(sim, "fault", fault)
        await history.page("1m", 0)
    why = "the exchange does not answer"
    assert told == [Unanswered(why, 1, 8, 1.0), Unanswered(why, 2, 8, 2.0), None]


async def test_a_try_that_takes_long_is_told_before_it_ends(
    sim: RunningSim, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Unanswered | None] = []
    async with _history(sim, told=told) as history:
        told.clear()
        monkeypatch.setattr(candle_history, "_TOLD_AFTER_S", 0.0)
        await history.page("1m", 0)
    assert told == [Unanswered("the exchange does not answer", 1, 8, None), None]


async def test_a_place_where_nobody_listens_is_given_up_in_our_own_words() -> None:
    pauses = _Pauses()
    settings = GatewaySettings(rest_url="http://127.0.0.1:1", timeout_s=2.0)
    history = CandleHistory(settings, "BTC/USDT", MachineClock(), 100, pauses.sleep)
    with pytest.raises(Unreachable, match="the connection is refused") as caught:
        await history.open()
    await history.close()
    assert "Check --rest-url; the same command goes on from here" in str(caught.value)
    assert "Errno" not in str(caught.value)
    assert len(pauses.seconds) == 7


@pytest.mark.parametrize("status", [400, 404])
async def test_a_request_that_is_wrong_in_itself_is_not_made_again(
    status: int, sim: RunningSim
) -> None:
    pauses = _Pauses()
    async with _history(sim, pauses=pauses) as history:
        fault = {"kind": "status", "times": None, "args": {"path": _KLINES, "status": status}}
        await control(sim, "fault", fault)
        with pytest.raises(Refused, match="Asking again would not help"):
            await history.page("1m", 0)
        (listed,) = await shown(sim, "faults")
        assert listed["fired"] == 1
    assert pauses.seconds == []


async def test_a_length_that_only_the_exchange_knows_to_be_wrong_is_asked_for_once(
    sim: RunningSim,
) -> None:
    pauses = _Pauses()
    async with _history(sim, pauses=pauses) as history:
        with pytest.raises(Refused, match=r"Invalid interval.*http 400"):
            await history.page("7m", 0)
    assert pauses.seconds == []


@pytest.mark.parametrize(
    ("error", "seen", "is_wrong"),
    [
        (BadSymbol("EQuery:Unknown asset pair"), Answer(200, '{"error":["EQuery"]}'), True),
        (NotSupported("fetchOHLCV"), None, True),
        (BadResponse("html"), Answer(200, "<html>"), False),
        (BadRequest("busy"), Answer(400, '{"code":-1001,"msg":"DISCONNECTED"}'), False),
        (BadRequest("slow"), Answer(408, "{}"), False),
        (BadRequest("pace"), Answer(429, "{}"), False),
        (BadRequest("down"), Answer(502, "{}"), False),
        (Unusable("no list"), Answer(400, "[]"), False),
        (TimeoutError(), None, False),
    ],
)
def test_a_wrong_question_is_told_from_trouble_that_passes(
    error: Exception, seen: Answer | None, is_wrong: bool
) -> None:
    assert candle_history._is_wrong_question(error, seen) == is_wrong


@pytest.mark.parametrize(
    ("exchange_id", "symbol", "near"),
    [("binanse", "BTC/USDT", "binance"), ("binance", "BTC/USTD", "BTC/USDT")],
)
async def test_what_does_not_exist_is_refused_with_what_is_near(
    exchange_id: str, symbol: str, near: str, sim: RunningSim
) -> None:
    with pytest.raises(Refused, match=f"near it are .*{near}"):
        async with _history(sim, symbol, exchange_id):
            pass


async def test_a_timeframe_that_the_exchange_lacks_is_refused_with_those_it_has(
    sim: RunningSim,
) -> None:
    async with _history(sim) as history:
        history.check_timeframe("1h")
        assert history.knows("1d")
        with pytest.raises(Refused, match="it has 1s 1m 3m"):
            history.check_timeframe("7m")
        history._api.timeframes = {"1h": "60", "1d": "1440"}
        with pytest.raises(Refused, match=r"it has 1h 1d[.] Download 1d, of which they are made"):
            history.check_timeframe("3d")
        with pytest.raises(Refused, match=r"no candles of 1m; it has 1h 1d$"):
            history.check_timeframe("1m")
