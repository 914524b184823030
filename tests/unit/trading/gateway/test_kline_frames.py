"""Streamed klines: read as they are documented, and refused where they are not."""

import copy
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.domain.market import Candle
from trading.domain.time import Timeframe
from trading.gateway.candle_stream import CandleStream, parts_of
from trading.gateway.translate.kline_frames import KlineFrames
from trading.gateway.translate.values import Unusable

MINUTE = Timeframe("1m")
OPENED_MS = 1_760_000_040_000
SERIES = {("BTCUSDT", "1m"): ("BTC/USDT", MINUTE)}
EVENT: dict[str, Any] = {
    "e": "kline",
    "E": OPENED_MS + 2_500,
    "s": "BTCUSDT",
    "k": {
        "t": OPENED_MS,
        "T": OPENED_MS + 59_999,
        "s": "BTCUSDT",
        "i": "1m",
        "f": 100,
        "L": 200,
        "o": "60000.10",
        "c": "60010.00",
        "h": "60020.00",
        "l": "59990.00",
        "v": "12.5",
        "n": 101,
        "x": False,
        "q": "750000.5",
        "V": "7.25",
        "Q": "435000.1",
        "B": "0",
    },
}


def bent(**changes: object) -> dict[str, Any]:
    """Return the event with other values in its candle, or in itself where named so."""
    event = copy.deepcopy(EVENT)
    for name, value in changes.items():
        (event if name in {"E", "e"} else event["k"])[name] = value
    return event


def read(event: object) -> object:
    return KlineFrames(SERIES).read(orjson.dumps(event).decode())


def test_a_kline_tells_all_its_numbers_and_who_was_in_a_hurry() -> None:
    assert read(EVENT) == (
        "BTC/USDT",
        MINUTE,
        Candle(
            *(OPENED_MS, 60_000.1, 60_020.0, 59_990.0, 60_010.0, 12.5, False),
            quote_volume=750_000.5,
            trades=101,
            taker_buy_volume=7.25,
        ),
        OPENED_MS + 2_500,
    )


def test_a_kline_within_a_combined_stream_is_the_same() -> None:
    assert read({"stream": "btcusdt@kline_1m", "data": EVENT}) == read(EVENT)


def test_the_exchange_says_itself_which_one_has_closed() -> None:
    found = read(bent(x=True))
    assert isinstance(found, tuple)
    assert found[2].is_closed


@pytest.mark.parametrize(
    "other",
    [
        {"result": None, "id": 1},
        {"e": "trade", "s": "BTCUSDT"},
        bent(i="5m"),
        bent(s="ETHUSDT"),
        [],
        "kline",
    ],
)
def test_what_is_no_candle_of_ours_is_left_to_others(other: object) -> None:
    assert read(other) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"t": OPENED_MS // 1000},
        {"T": OPENED_MS + 299_999},
        {"T": OPENED_MS + 60_000},
        {"E": 0},
        {"E": "1760000040000"},
        {"x": "true"},
        {"o": "NaN"},
        {"h": "Infinity"},
        {"l": "0"},
        {"c": "-1"},
        {"v": "-0.5"},
        {"o": 60_000},
        {"h": "60000"},
        {"l": None},
        {"c": "1" * 60},
        {"v": ""},
    ],
)
def test_a_candle_that_cannot_be_is_unusable(changes: dict[str, object]) -> None:
    with pytest.raises(Unusable):
        read(bent(**changes))


@pytest.mark.parametrize(
    ("changes", "lost"),
    [
        ({"V": "13"}, "taker_buy_volume"),
        ({"V": "-1"}, "taker_buy_volume"),
        ({"V": None}, "taker_buy_volume"),
        ({"q": "-1"}, "quote_volume"),
        ({"n": -5}, "trades"),
        ({"n": "5"}, "trades"),
    ],
)
def test_a_candle_is_kept_without_an_optional_number_that_cannot_be(
    changes: dict[str, object], lost: str
) -> None:
    found = read(bent(**changes))
    assert isinstance(found, tuple)
    assert getattr(found[2], lost) is None
    assert found[2].close == 60_010.0


@given(
    name=st.sampled_from(sorted(EVENT["k"])),
    value=st.one_of(
        st.none(), st.booleans(), st.integers(-(2**62), 2**62), st.floats(), st.text(max_size=50)
    ),
)
def test_nothing_in_a_kline_makes_reading_fail_otherwise(name: str, value: object) -> None:
    try:
        found = read(bent(**{name: value}))
    except Unusable:
        return
    assert found is None or found[2].is_sound  # type: ignore[index]


def test_a_stream_tells_candles_and_outlives_what_is_unusable(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told: list[tuple[object, ...]] = []
    stream = CandleStream(SERIES, lambda *heard: told.append(heard))
    assert stream.take_frame(orjson.dumps(EVENT).decode())
    assert stream.take_frame(orjson.dumps(bent(o="NaN")).decode())
    assert not stream.take_frame('{"result":null,"id":1}')
    assert stream.take(bent(x=True))
    assert not stream.take({"result": None, "id": 1})
    assert [heard[2].is_closed for heard in told] == [False, True]  # type: ignore[attr-defined]
    assert [one.message for one in caplog.records] == ["message_unusable"]


def test_whoever_fails_at_a_candle_does_not_end_the_stream(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*_heard: object) -> None:
        raise RuntimeError("a bug elsewhere")

    stream = CandleStream(SERIES, fail)
    assert stream.take_frame(orjson.dumps(EVENT).decode())
    assert [one.message for one in caplog.records] == ["message_failed"]


def test_a_thousand_series_and_more_take_several_connections() -> None:
    series = {(f"C{number}", "1m"): (f"C{number}/USDT", MINUTE) for number in range(2_300)}
    parts = parts_of(series)
    assert [len(part) for part in parts] == [1_000, 1_000, 300]
    assert {name for part in parts for name in part} == series.keys()


def test_a_month_ends_with_the_calendar_and_is_no_minute() -> None:
    both = {**SERIES, ("BTCUSDT", "1M"): ("BTC/USDT", Timeframe("1M"))}
    february_ms, march_ms = 1_769_904_000_000, 1_772_323_200_000
    event = bent(i="1M", t=february_ms, T=march_ms - 1, E=march_ms)
    heard = KlineFrames(both).read(orjson.dumps(event).decode())
    assert heard is not None
    assert (heard[1].name, heard[2].open_time_ms) == ("1M", february_ms)
    assert read(event) is None, "whoever asked for minutes hears of no months"
    with pytest.raises(Unusable):
        KlineFrames(both).read(orjson.dumps(bent(i="1M", t=february_ms, T=march_ms)).decode())
