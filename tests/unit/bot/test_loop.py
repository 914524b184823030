"""The agent runs on libuv's loop, and without it on asyncio's own."""

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest

from bot.loop import new_loop


@contextmanager
def _ended(make: Callable[[], asyncio.AbstractEventLoop]) -> Iterator[asyncio.AbstractEventLoop]:
    with closing(make()) as loop:
        yield loop


async def _answer() -> int:
    await asyncio.sleep(0)
    return 42


def test_the_loop_is_that_of_libuv() -> None:
    uvloop = pytest.importorskip("uvloop", reason="uvloop is made for CPython on Unix")
    with _ended(new_loop) as loop:
        assert isinstance(loop, uvloop.Loop)
        assert loop.run_until_complete(_answer()) == 42


def test_without_libuv_the_loop_is_asyncio_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    with _ended(new_loop) as loop:
        assert type(loop).__module__.startswith("asyncio")
        assert loop.run_until_complete(_answer()) == 42
