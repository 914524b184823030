"""What a person types, read exactly or refused with something to copy."""

import contextlib
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.telegram import grammar
from bot.telegram.commands.people import TRACKER_FORMS
from bot.telegram.commands.registry import COMMANDS, TRACK_FORMS
from bot.telegram.phrase import phrase
from tests.catalogue import fired
from tests.fakes.desk import INSTRUMENTS, find
from trading.domain import commands as c
from trading.domain.errors import Refused
from trading.domain.instrument import Instrument
from trading.domain.order import Side
from trading.domain.position import TradingMode
from trading.domain.time import Timeframe
from trading.domain.tracker import (
    Amount,
    AmountKind,
    Confirm,
    ConfirmKind,
    Distance,
    Line,
    LinePoint,
    PriceKind,
    Then,
    ThenKind,
    TrackerKind,
    TrackerSpec,
)
from trading.symbols import resolve


def read(text: str) -> c.Command:
    return grammar.parse(text, find)


def spec(text: str) -> TrackerSpec:
    command = read(text)
    assert isinstance(command, c.ArmTracker)
    return command.spec


ALL = Amount(AmountKind.ALL)


def test_a_protective_stop_of_everything() -> None:
    assert spec("/track BTC/USDT stop 58000 all") == TrackerSpec(
        TrackerKind.STOP, "BTC/USDT", ALL, level=Decimal(58000)
    )


def test_a_stop_that_trails_half_a_coin() -> None:
    assert spec("/track BTC/USDT stop 58000 trail 2% 0.5") == TrackerSpec(
        TrackerKind.STOP,
        "BTC/USDT",
        Amount(AmountKind.BASE, Decimal("0.5")),
        level=Decimal(58000),
        trail=Distance(share=Decimal("0.02")),
    )


def test_a_trailing_stop_from_now() -> None:
    found = spec("/track BTC/USDT trail 3% all")
    assert (found.kind, found.trail) == (TrackerKind.TRAIL, Distance(share=Decimal("0.03")))


def test_a_take_profit() -> None:
    found = spec("/track BTC/USDT sell above 65000 trail 2% all")
    assert (found.kind, found.level) == (TrackerKind.TAKE_PROFIT, Decimal(65000))


def test_a_dip_with_a_quote_amount_once() -> None:
    found = spec("/track BTC/USDT buy below 55000 trail 1% 500 USDT then once")
    assert found.kind is TrackerKind.DIP
    assert found.amount == Amount(AmountKind.QUOTE, Decimal(500))
    assert found.then == Then(ThenKind.ONCE)
    assert found.first_side is Side.BUY


def test_lines_with_swing_and_hard_stop() -> None:
    found = spec(
        "/track ADA/USDC lines 2026-11-01T00:00 0.41 2026-11-18T00:00 0.44 / "
        "2026-11-01T00:00 0.52 2026-11-18T00:00 0.50 trail 1.5% all then swing 4% stop 0.36"
    )
    first, last = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 18, tzinfo=UTC)
    assert found.support == Line(
        LinePoint(first, Decimal("0.41")), LinePoint(last, Decimal("0.44"))
    )
    assert found.resistance == Line(
        LinePoint(first, Decimal("0.52")), LinePoint(last, Decimal("0.50"))
    )
    assert found.then == Then(ThenKind.SWING, Decimal("0.04"))
    assert found.stop == Decimal("0.36")


def test_every_option_at_once() -> None:
    found = spec(
        "/track BTC/USDT sell above 65000 trail 2.5 atr 4h 50% stop 5% then cooldown "
        "confirm close 15m max 1% backstop 50000 slippage 0.5% price bid"
    )
    assert found.trail == Distance(atr_multiple=Decimal("2.5"), timeframe=Timeframe("4h"))
    assert found.amount == Amount(AmountKind.SHARE, Decimal("0.5"))
    assert found.stop_share == Decimal("0.05")
    assert found.confirm == Confirm(ConfirmKind.CLOSE, 1, Timeframe("15m"), Decimal("0.01"))
    assert (found.backstop, found.slippage_max) == (Decimal(50000), Decimal("0.005"))
    assert found.price_kind is PriceKind.BID


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("touch", Confirm()),
        ("3 ticks", Confirm(ConfirmKind.TICKS, 3)),
        ("1 tick max 2%", Confirm(ConfirmKind.TICKS, 1, None, Decimal("0.02"))),
        ("run 3", Confirm(ConfirmKind.RUN, 3)),
        ("run 2 max 1%", Confirm(ConfirmKind.RUN, 2, None, Decimal("0.01"))),
        ("5s", Confirm(ConfirmKind.SECONDS, 5)),
        ("close 1H", Confirm(ConfirmKind.CLOSE, 1, Timeframe("1h"))),
    ],
)
def test_confirm_rules(words: str, expected: Confirm) -> None:
    assert spec(f"/track BTC/USDT stop 58000 all confirm {words}").confirm == expected


def test_a_time_with_an_offset_becomes_utc() -> None:
    found = spec(
        "/track BTC/USDT stop line 2026-11-01T02:00+02:00 58000 2026-11-02T00:00Z 59000 all"
    )
    assert isinstance(found.level, Line)
    assert found.level.first.at == datetime(2026, 11, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "example", [*TRACK_FORMS, *TRACKER_FORMS, *(entry.example for entry in COMMANDS)]
)
def test_every_example_that_acts_is_understood(example: str) -> None:
    name = example.split(maxsplit=1)[0].lstrip("/")
    if name in grammar.ACTING:
        read(example)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/tracker 3 stop 59000", c.EditTracker(3, stop=Decimal(59000))),
        ("/tracker 3 stop 2%", c.EditTracker(3, stop_share=Decimal("0.02"))),
        ("/tracker 3 trail 1.5%", c.EditTracker(3, trail=Distance(share=Decimal("0.015")))),
        ("/tracker 3 level 66000", c.EditTracker(3, level=Decimal(66000))),
        (
            "/tracker 3 amount 50%",
            c.EditTracker(3, amount=Amount(AmountKind.SHARE, Decimal("0.5"))),
        ),
        ("/tracker 3 confirm 3 ticks", c.EditTracker(3, confirm=Confirm(ConfirmKind.TICKS, 3))),
        (
            "/tracker 3 stop 59000 trail 1%",
            c.EditTracker(3, stop=Decimal(59000), trail=Distance(share=Decimal("0.01"))),
        ),
        ("/tracker 3 then once", c.EditTracker(3, then=Then())),
        ("/tracker 3 then cooldown", c.EditTracker(3, then=Then(ThenKind.COOLDOWN))),
        (
            "/tracker 3 then swing 10%",
            c.EditTracker(3, then=Then(ThenKind.SWING, Decimal("0.1"))),
        ),
        ("/tracker 3 backstop 50000", c.EditTracker(3, backstop=Decimal(50000))),
        ("/tracker 3 backstop 10%", c.EditTracker(3, backstop_share=Decimal("0.1"))),
        ("/tracker 3 backstop off", c.EditTracker(3, is_backstop_off=True)),
        ("/tracker 3 slippage 0.5%", c.EditTracker(3, slippage_max=Decimal("0.005"))),
        ("/tracker 3 slippage off", c.EditTracker(3, is_slippage_off=True)),
        ("/tracker 3 stop off", c.EditTracker(3, is_stop_off=True)),
        ("/tracker 3 price bid", c.EditTracker(3, price_kind=PriceKind.BID)),
        ("/tracker 3 price decision", c.EditTracker(3, price_kind=PriceKind.DECISION)),
        (
            "/tracker 3 stop 50000 then cooldown backstop 45000",
            c.EditTracker(
                3,
                stop=Decimal(50000),
                then=Then(ThenKind.COOLDOWN),
                backstop=Decimal(45000),
            ),
        ),
        ("/tracker 3 pause", c.PauseTracker(3)),
        ("/tracker 3 resume", c.ResumeTracker(3)),
        ("/tracker 3 cancel", c.CancelTracker(3)),
        ("/tracker 3 exit", c.ExitNow(3)),
        (
            "/trade BTC/USDT buy 100 USDT",
            c.PlaceOrder("BTC/USDT", Side.BUY, Amount(AmountKind.QUOTE, Decimal(100))),
        ),
        (
            "/buy btc-usdt 0.01 BTC limit 59000",
            c.PlaceOrder(
                "BTC/USDT", Side.BUY, Amount(AmountKind.BASE, Decimal("0.01")), Decimal(59000)
            ),
        ),
        (
            "/sell BTCUSDT 50%",
            c.PlaceOrder("BTC/USDT", Side.SELL, Amount(AmountKind.SHARE, Decimal("0.5"))),
        ),
        ("/close BTC/USDT", c.ClosePosition("BTC/USDT")),
        ("/close BTC/USDT all", c.ClosePosition("BTC/USDT")),
        ("/close BTC/USDT 25%", c.ClosePosition("BTC/USDT", Decimal("0.25"))),
        ("/closeall", c.CloseAll()),
        ("/PANIC@umbra_bot", c.Panic()),
        ("/panic everything", c.Panic(True)),
        ("/pause", c.SetTradingMode(TradingMode.REDUCING, "pause")),
        ("/reduce", c.SetTradingMode(TradingMode.REDUCING, "reduce")),
        ("/resume", c.SetTradingMode(TradingMode.ACTIVE, "resume")),
        (
            "/resume 2 keys were replaced",
            c.SetTradingMode(TradingMode.ACTIVE, "resume: 2 keys were replaced"),
        ),
        ("/halt", c.SetTradingMode(TradingMode.HALTED, "halt")),
        ("/halt everything", c.SetTradingMode(TradingMode.HALTED_EVERYTHING, "halt")),
        ("/ack", c.AcknowledgeAlerts()),
        ("/ack a1", c.AcknowledgeAlerts("a1")),
        ("/abort 3", c.AbortIntent(3)),
        ("/abort BTC/USDT", c.AbortOrders("BTC/USDT")),
        ("/abort btcusdt", c.AbortOrders("BTC/USDT")),
    ],
)
def test_commands_are_read(text: str, expected: c.Command) -> None:
    assert read(text) == expected
    assert read(phrase(expected)) == expected


BAD_NUMBERS = [
    *("1,000", "1e9", "NaN", "Infinity", "٠٫١", "０.１", "１", "0x10"),
    *("-5", "+5", "1_000", "1.2.3", "0", "0.0", "1.", "½", "٣", "5\u200b"),
    *("9" * 60, "0." + "1" * 60, "−5", "1.000,5"),
]


@pytest.mark.fault("I01", "SAID")
@pytest.mark.parametrize("number", BAD_NUMBERS)
@pytest.mark.parametrize(
    "line",
    [
        "/track BTC/USDT stop {} all",
        "/track BTC/USDT stop 58000 {}",
        "/track BTC/USDT trail {}% all",
        "/track BTC/USDT stop 58000 all backstop {}",
        "/trade BTC/USDT buy {} USDT",
        "/buy BTC/USDT 100 USDT limit {}",
        "/sell BTC/USDT {}",
        "/close BTC/USDT {}%",
        "/tracker 3 stop {}",
        "/tracker {} pause",
        "/abort {}",
    ],
)
def test_a_number_is_exact_or_refused_with_an_example(line: str, number: str) -> None:
    with pytest.raises(Refused) as refused:
        read(line.format(number))
    assert refused.value.example
    fired(refused, words=repr(number))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("/track BTC/USDT trail 250% all", "trail should be between 0.01% and 50%, was 250%"),
        ("/track BTC/USDT trail 0.001% all", "trail should be between 0.01% and 50%"),
        ("/track BTC/USDT trail 2 all", "trail should be like 2% or 2.5 atr"),
        ("/track BTC/USDT trail 101 atr all", "trail should be at most 100 atr, was 101"),
        ("/track", "the symbol is missing"),
        ("/track BTC/USDT", "the rule"),
        ("/track BTC/USDT hold 5 all", "the rule should be stop, trail"),
        ("/track BTC/USDT stop 58000", "the amount is missing"),
        ("/track BTC/USDT stop 58000 all now", "this was not understood: 'now'"),
        ("/track BTC/USDT stop 58000 all stop 57000", "stop should be said once"),
        ("/track BTC/USDT trail 2% all price bid price mid", "price should be said once"),
        ("/track BTC/USDT sell below 5 trail 1% all", "'above' should follow sell, was 'below'"),
        ("/track BTC/USDT sell above 5 all", "'trail' should follow the level"),
        ("/track BTC/USDT buy above 5 trail 1% all", "'below' should follow buy"),
        ("/track BTC/USDT stop 1 150%", "the amount should be between 0.01% and 100%, was 150%"),
        ("/track BTC/USDT stop 1 all then never", "then should be once, cooldown or swing"),
        (
            "/track BTC/USDT stop 1 all confirm 5 days",
            "should be touch, 3 ticks, run 3, 5s",
        ),
        ("/track BTC/USDT stop 1 all confirm 0s", "between 1s and 3600s, was 0s"),
        ("/track BTC/USDT stop 1 all confirm close 7m", "timeframe should be one of"),
        ("/track BTC/USDT stop 1 all confirm close 1M", "1M is a month, 1m a minute"),
        ("/track BTC/USDT stop 1 all price ask", "price should be bid, last, mid or decision"),
        ("/track BTC/USDT stop 1 all slippage 60%", "slippage should be between"),
        ("/track BTC/USDT stop line x 1 y 2 all", "time should look like 2026-11-01T00:00"),
        ("/track BTC/USDT stop line 2026-13-01 1 2026-12-01 2 all", "time should look like"),
        ("/track BTC/USDT stop line 2026-12-02 1 2026-12-01 2 all", "run forward in time"),
        ("/track XYZ/USDT stop 1 all", "not listed"),
        ("/track ВТС/USDT stop 1 all", "plain letters"),
        ("/tracker", "the tracker's number is missing"),
        ("/tracker x", "should be a whole number"),
        ("/tracker 0 pause", "should be between 1 and"),
        ("/tracker 3", "the change"),
        ("/resume 3", "is for all trading"),
        ("/resume #3", "is for all trading"),
        (f"/resume {'x' * 201}", "at most 200 characters, had 201"),
        ("/tracker 3 fly", "the change should be stop, trail"),
        ("/tracker 3 fly", "confirm, then, backstop, slippage, price, pause, resume or cancel"),
        ("/tracker 3 then never", "then should be once, cooldown or swing"),
        ("/tracker 3 then swing 60%", "swing should be between"),
        ("/tracker 3 backstop on", "backstop should be"),
        ("/tracker 3 slippage 60%", "slippage should be between"),
        ("/tracker 3 price ask", "price should be bid, last, mid or decision"),
        ("/tracker 3 backstop off backstop 5%", "backstop should be said once"),
        ("/tracker 3 stop 5% stop 58000", "stop should be said once"),
        ("/tracker 3 pause now", "not understood"),
        ("/tracker 3 stop 1 stop 2", "said once"),
        ("/trade BTC/USDT hold 5", "the side should be buy or sell"),
        ("/trade BTC/USDT", "buy or sell is missing"),
        ("/buy BTC/USDT", "the amount is missing: 50%, 0.5 or 500 USDT"),
        ("/buy BTC/USDT all", "the amount should be 50%, 0.5 or 500 USDT, was 'all'"),
        ("/sell BTC/USDT", "the amount is missing: all, 50%, 0.5 or 500 USDT"),
        ("/track BTC/USDT stop 5 trail 2% trail 3% 1", "trail should be said once, was said twice"),
        ("/track BTC/USDT stop 5 stop 4 1", "stop should be said once, was said twice"),
        ("/track BTC/USDT stop 5 buy below 4 1", "one rule: the amount should come before 'buy'"),
        ("/track BTC/USDT trail 2% stop 5 1", "the amount should come before 'stop'"),
        ("/track BTC/USDT trail -3% all", "should be a percentage like 2%, was '-3%'"),
        ("/close", "the symbol is missing"),
        ("/close BTC/USDT 0.5", "the share should be a percentage"),
        ("/close BTC/USDT 101%", "the share should be between"),
        ("/closeall now", "not understood"),
        ("/panic slowly", "not understood"),
        ("/halt a bit", "not understood"),
        ("/pause x", "not understood"),
        ("/dance", "not a command that acts"),
        ("hello", "starts with a slash"),
        ("/track " + "x" * 600, "at most 500 characters"),
    ],
)
def test_what_is_wrong_is_named(text: str, sentence: str) -> None:
    with pytest.raises(Refused) as refused:
        read(text)
    assert sentence in str(refused.value)
    assert refused.value.example


# ---------------------------------------------------------------- invariants

_prices = st.decimals("0.00000001", "1000000", places=8).filter(lambda value: value > 0)
_shares = st.integers(1, 5000).map(lambda n: Decimal(n) / 10000)
_times = st.integers(0, 10**6).map(
    lambda minutes: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
)


@st.composite
def _lines(draw: Any) -> Line:
    first = draw(_times)
    last = first + timedelta(minutes=draw(st.integers(1, 10**5)))
    return Line(LinePoint(first, draw(_prices)), LinePoint(last, draw(_prices)))


_frames = st.sampled_from(["1m", "15m", "1h", "4h", "1d"]).map(Timeframe)
_distances = st.one_of(
    _shares.map(lambda share: Distance(share=share)),
    st.builds(Distance, atr_multiple=st.integers(1, 99).map(Decimal), timeframe=_frames),
)
_amounts = st.one_of(
    st.just(ALL),
    st.builds(Amount, st.just(AmountKind.SHARE), _shares),
    st.builds(Amount, st.just(AmountKind.BASE), _prices),
    st.builds(Amount, st.just(AmountKind.QUOTE), _prices),
)
_confirms = st.one_of(
    st.just(Confirm()),
    st.builds(Confirm, st.just(ConfirmKind.TOUCH), loss_max=_shares),
    st.builds(Confirm, st.just(ConfirmKind.TICKS), st.integers(1, 99), loss_max=_shares),
    st.builds(Confirm, st.just(ConfirmKind.RUN), st.integers(1, 99), loss_max=_shares),
    st.builds(Confirm, st.just(ConfirmKind.SECONDS), st.integers(1, 99)),
    st.builds(Confirm, st.just(ConfirmKind.CLOSE), timeframe=_frames),
)
_thens = st.sampled_from(ThenKind).map(Then) | _shares.map(lambda s: Then(ThenKind.SWING, s))
_levels = _prices | _lines()


@st.composite
def _specs(draw: Any) -> TrackerSpec:
    kind = draw(st.sampled_from(TrackerKind))
    has_level = kind not in {TrackerKind.TRAIL, TrackerKind.LINES}
    may_trail = kind is not TrackerKind.BREAKOUT
    must_trail = may_trail and kind is not TrackerKind.STOP
    stop = draw(st.none() | _levels) if kind is not TrackerKind.STOP else None
    return TrackerSpec(
        kind=kind,
        symbol=draw(st.sampled_from(sorted(INSTRUMENTS))),
        amount=draw(_amounts),
        level=draw(_levels) if has_level else None,
        support=draw(_lines()) if kind is TrackerKind.LINES else None,
        resistance=draw(_lines()) if kind is TrackerKind.LINES else None,
        trail=draw(_distances if must_trail else st.none() | _distances) if may_trail else None,
        stop=stop,
        then=draw(_thens),
        confirm=draw(_confirms),
        backstop=draw(st.none() | _prices),
        slippage_max=draw(st.none() | _shares),
        price_kind=draw(st.sampled_from(PriceKind)),
    )


@given(_specs())
def test_what_a_confirmation_stores_is_read_back_as_the_same_tracker(wanted: TrackerSpec) -> None:
    line = phrase(c.ArmTracker(wanted))
    assert len(line) < 500
    assert read(line) == c.ArmTracker(wanted)


_words = st.sampled_from(
    [
        *("/track", "/tracker", "/trade", "/close", "/halt", "BTC/USDT", "stop", "trail", "sell"),
        *("above", "buy", "below", "lines", "line", "/", "all", "50%", "0.5", "USDT", "then"),
        *("swing", "confirm", "3", "ticks", "5s", "close", "15m", "max", "1%", "2.5", "atr", "1h"),
        *("2026-11-01T00:00", "price", "bid", "backstop", "slippage", "%", "-", "٣", "\x00", ""),
    ]
)


@given(st.lists(_words | st.text(max_size=12), max_size=30))
def test_nonsense_is_refused_and_never_crashes(words: list[str]) -> None:
    text = " ".join(words)
    started_s = time.thread_time()
    with contextlib.suppress(Refused):
        read(text)
    # The promise is 10 ms; of its own processor time, whatever else the machine does.
    assert time.thread_time() - started_s < 0.1


@pytest.mark.fault("I04")
def test_any_text_is_refused_or_read() -> None:
    refused: list[str] = []

    @given(st.text(max_size=700))
    def takes(text: str) -> None:
        try:
            read(f"/track {text}")
        except Refused:
            refused.append(text)

    takes()
    fired(len(refused), words="texts were refused")


def test_nobody_is_offered_to_close_another_coin() -> None:
    def find(text: str) -> Instrument:
        return resolve(text, INSTRUMENTS)

    with pytest.raises(Refused, match="not traded here") as refused:
        grammar.parse("/close XRP/USDT", find)
    assert refused.value.example == "/positions"
    with pytest.raises(Refused, match="did you mean") as refused:
        grammar.parse("/close BTC/USDD", find)
    assert refused.value.example == "/close BTC/USDT 50%"
