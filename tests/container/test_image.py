"""The image: built from the locks alone, not root's, and with nothing in it that can be changed."""

import contextlib
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.announced import address_in
from tests.container import dockerfile
from tests.container.conftest import REPOSITORY

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


def test_a_step_that_the_replay_does_not_know_is_refused(tmp_path: Path) -> None:
    steps = dockerfile.parse("FROM python\nONBUILD \\\n  RUN true\n# not this\n")
    assert [step.rest for step in steps] == ["python", "RUN true"]
    with pytest.raises(ValueError, match="was ONBUILD"):
        dockerfile.replay(steps, REPOSITORY, tmp_path, ())


def test_everything_is_installed_from_hash_locks() -> None:
    runs = [step.rest for step in dockerfile.parse((REPOSITORY / "Dockerfile").read_text())]
    installs = [part for run in runs for part in run.split("&&") if " install " in part]
    assert len(installs) == 3
    for install in installs:
        # The one without hashes installs our own wheel, and may ask nobody for anything.
        assert "--require-hashes" in install or {"--no-deps", "--offline"} <= set(install.split())


def test_the_agent_is_not_run_as_root(image: dockerfile.Image) -> None:
    assert image.user == dockerfile.OTHER_USER


def test_the_image_holds_the_compiled_product_and_no_build_tool(image: dockerfile.Image) -> None:
    (packages,) = image.inside(".venv/lib").glob("python3.*/site-packages")
    ccxts = ("ccxt", "ccxt/base", "ccxt/abstract", "ccxt/async_support", "ccxt/pro")
    for package in ("bot", "trading", "storage", "telegram", *ccxts):
        assert list((packages / package).glob("__pycache__/*.pyc")), f"{package} is not compiled"
    # An agent connects without blocking: half as much again, which only lies there.
    assert not list((packages / "ccxt").glob("__pycache__/binance.*"))
    assert not image.inside(".tools").exists()
    assert not (packages / "hatchling").exists()
    assert not (packages / "pytest").exists()


def test_data_that_is_no_python_comes_along(image: dockerfile.Image) -> None:
    (packages,) = image.inside(".venv/lib").glob("python3.*/site-packages")
    for package in ("bot", "trading", "storage"):
        ours = {
            path.relative_to(REPOSITORY)
            for path in (REPOSITORY / package).rglob("*")
            if path.is_file() and path.suffix in {".html", ".css", ".js", ".mako", ".ini", ".svg"}
        }
        assert {path for path in ours if not (packages / path).exists()} == set()


def _wait(
    condition: Callable[[], bool],
    deadline_s: float,
    log: Path,
    *needed: "subprocess.Popen[bytes]",
) -> None:
    end = time.monotonic() + deadline_s
    while not condition():
        ended = [process.args for process in needed if process.poll() is not None]
        assert not ended, f"ended on its own: {ended}\n{log.read_text()[-4000:]}"
        assert time.monotonic() < end, f"not within {deadline_s} s:\n{log.read_text()[-4000:]}"
        time.sleep(0.1)


@contextlib.contextmanager
def _running(
    image: dockerfile.Image, command: list[str], environment: Mapping[str, str], log: Path
) -> Iterator["subprocess.Popen[bytes]"]:
    process = image.start(command, environment, log)
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)


@contextlib.contextmanager
def _serving(
    image: dockerfile.Image, command: list[str], environment: Mapping[str, str], log: Path
) -> Iterator[tuple["subprocess.Popen[bytes]", str]]:
    with _running(image, [*command, "--port", "0"], environment, log) as server:
        _wait(lambda: address_in(log.read_text()) is not None, 30, log, server)
        yield server, address_in(log.read_text()) or ""


def test_the_command_comes_up_and_answers_its_health_check_and_stops_when_told(
    image: dockerfile.Image, tmp_path: Path
) -> None:
    settings = {
        "UMBRA_MODE": "live",
        "UMBRA_EXCHANGE_ID": "binance",
        "UMBRA_EXCHANGE_API_KEY": "key",
        "UMBRA_EXCHANGE_SECRET": "secret",
        "UMBRA_TELEGRAM_TOKEN": "4242:TEST",
        "UMBRA_OWNER_ID": "1",
    }
    umbra, log = image.command[0], tmp_path / "log"
    with (
        _serving(image, [umbra, "sim", "--still"], settings, tmp_path / "sim") as (sim, exchange),
        _serving(image, [umbra, "chat"], settings, tmp_path / "chat") as (phone, chat),
    ):
        settings |= {
            "UMBRA_EXCHANGE_REST_URL": exchange,
            "UMBRA_EXCHANGE_WS_URL": exchange.replace("http", "ws"),
            "UMBRA_TELEGRAM_API_URL": f"{chat}/bot",
        }

        def is_healthy() -> bool:
            check = image.start(image.health_command, settings, tmp_path / "health")
            return check.wait(20) == 0

        assert not is_healthy(), "the health check passed before the agent was started"
        with _running(image, image.command, settings, log) as agent:
            _wait(is_healthy, 60, log, agent, sim, phone)
            agent.terminate()
            assert agent.wait(20) == 0, log.read_text()[-4000:]
