"""The client library with one exchange at a time; each test in a process that has not read it."""

import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[4]
_BEGIN = """
import inspect, sys
from trading.gateway.library import REQUESTING, STREAMING, library
def read():
    return {one for one in sys.modules if one.startswith("ccxt.pro.") and one.count(".") == 2}
"""


def _holds(script: str) -> None:
    command = [sys.executable, "-c", _BEGIN + script]
    subprocess.run(command, cwd=_ROOT, check=True, timeout=120)


def test_only_the_exchange_that_is_named_is_read() -> None:
    _holds(
        """
pro = library(STREAMING)
assert "binance" in pro.exchanges and len(pro.exchanges) > 50
assert read() == set()
made = pro.binance({"apiKey": "k"})
assert (made.id, made.apiKey) == ("binance", "k")
assert read() == {"ccxt.pro.binance"}
assert library(STREAMING) is pro and library(REQUESTING) is sys.modules["ccxt.async_support"]
assert issubclass(pro.binance, library(REQUESTING).binance)
"""
    )


def test_every_exchange_is_there_when_it_is_named() -> None:
    _holds(
        """
for package in (library(STREAMING), library(REQUESTING)):
    for name in package.exchanges:
        kind = getattr(package, name)
        assert inspect.isclass(kind) and kind.__name__ == name, name
        assert kind({}).id == name
"""
    )


def test_one_that_is_made_of_another_brings_it_along() -> None:
    _holds(
        """
pro = library(STREAMING)
assert issubclass(pro.binanceus, pro.binance)
assert read() == {"ccxt.pro.binanceus", "ccxt.pro.binance"}
"""
    )


def test_what_is_no_exchange_is_missing_as_in_any_module() -> None:
    _holds(
        """
pro = library(STREAMING)
assert not hasattr(pro, "nosuch")
assert pro.OrderNotFound is sys.modules["ccxt"].OrderNotFound
assert inspect.ismodule(sys.modules["ccxt"].pro)
"""
    )


def test_a_library_that_was_read_as_a_whole_is_taken_as_it_is() -> None:
    _holds(
        """
import ccxt.pro
before = ccxt.pro.kraken
assert library(STREAMING).kraken is before
"""
    )
