"""A child answers in order, is started again when it dies, and is given up when it hangs."""

import asyncio
import io
import os
import signal
import struct
from pathlib import Path

import pytest

from bot import child
from bot.child import Child
from trading.domain.errors import NotInTime

SOURCE = """
import os, time
from bot.child import serve_alone

def answer(request):
    if request == b"die":
        os._exit(3)
    if request == b"hang":
        time.sleep(60)
    if request == b"nice":
        return str(os.nice(0)).encode()
    if request == b"secret":
        return os.environ.get("UMBRA_TELEGRAM_TOKEN", "none").encode()
    return request[::-1]

if __name__ == "__main__":
    serve_alone(answer)
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "answering_child.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("UMBRA_TELEGRAM_TOKEN", "1:token-of-the-test")
    return "answering_child"


async def test_a_child_answers_requests_of_any_size(module: str) -> None:
    worker = Child(module, deadline_s=30)
    try:
        for request in (b"", b"abc", bytes(range(256)) * 20_000):
            assert await worker.ask(request) == request[::-1]
        several = [worker.ask(str(number).encode() * 3) for number in range(10, 20)]
        assert await asyncio.gather(*several) == [
            (str(number) * 3)[::-1].encode() for number in range(10, 20)
        ]
    finally:
        await worker.close()
    assert worker.pid is None


async def test_a_child_is_last_in_line_and_knows_no_secret(module: str) -> None:
    worker = Child(module, deadline_s=30)
    try:
        assert await worker.ask(b"nice") == b"19"
        assert await worker.ask(b"secret") == b"none"
    finally:
        await worker.close()


async def test_a_child_that_was_killed_is_replaced(module: str) -> None:
    worker = Child(module, deadline_s=30)
    try:
        assert await worker.ask(b"abc") == b"cba"
        pid = worker.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        assert await worker.ask(b"abc") == b"cba"
        assert worker.pid not in {None, pid}
    finally:
        await worker.close()


async def test_a_request_that_kills_twice_is_given_up(module: str) -> None:
    worker = Child(module, deadline_s=30)
    try:
        with pytest.raises(NotInTime):
            await worker.ask(b"die")
        assert await worker.ask(b"abc") == b"cba"
    finally:
        await worker.close()


async def test_a_child_that_hangs_is_killed_at_the_deadline(module: str) -> None:
    worker = Child(module, deadline_s=30)
    try:
        await worker.ask(b"abc")
        pid = worker.pid
        assert pid is not None
        worker._deadline_s = 0.05
        with pytest.raises(NotInTime):
            await worker.ask(b"hang")
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    finally:
        await worker.close()


async def test_an_answer_that_nobody_waits_for_any_more_is_nobody_elses(module: str) -> None:
    worker = Child(module, deadline_s=30)
    try:
        await worker.ask(b"abc")
        given_up = asyncio.ensure_future(worker.ask(b"hang"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.gather(given_up, return_exceptions=True)
        assert await worker.ask(b"xyz") == b"zyx"
    finally:
        await worker.close()


def test_serving_ends_with_its_input() -> None:
    answers = io.BytesIO()
    framed = struct.pack(">I", 3) + b"abc"
    child.serve(lambda request: request * 2, io.BytesIO(framed * 2 + b"\0"), answers)
    assert answers.getvalue() == (struct.pack(">I", 6) + b"abcabc") * 2
