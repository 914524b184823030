"""`umbra sim` and `umbra chat` as processes: what they say, and how they end."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

DEADLINE_S = 20.0


@contextmanager
def _server(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("UMBRA_")}
    process = subprocess.Popen(
        # As a shell starts what it puts in the background: deaf to Ctrl-C.
        ["sh", "-c", 'trap "" INT; exec "$@"', "sh", sys.executable, "-m", "bot", *arguments],
        env=environment | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=DEADLINE_S)


@pytest.mark.parametrize("command", ["sim", "chat"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_says_where_it_is_and_ends_without_a_word(
    command: str, number: signal.Signals
) -> None:
    with _server(command, "--port", "0") as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert "http://127.0.0.1:" in said
        process.send_signal(number)
        _, complaints = process.communicate(timeout=DEADLINE_S)
        assert (process.returncode, complaints) == (0, "")


@pytest.mark.parametrize("command", ["sim", "chat"])
def test_a_taken_port_is_named_in_one_sentence(command: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with _server(command, "--port", str(port)) as process:
            _, complaints = process.communicate(timeout=DEADLINE_S)
            assert process.returncode == 2
            said = f"umbra: port {port} is taken, choose another\nfor example: --port 0\n"
            assert complaints == said
