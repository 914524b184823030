"""Settings full of planted secrets, and the log that is kept of what happens with them."""

import io
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot import config, logs
from tests.security.canaries import CANARIES, DATABASE


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> config.Settings:
    values = CANARIES | {
        "UMBRA_DATABASE_URL": DATABASE,
        "UMBRA_MODE": "live",
        "UMBRA_EXCHANGE_REST_URL": "http://127.0.0.1:9",
        "UMBRA_EXCHANGE_WS_URL": "ws://127.0.0.1:9",
        "UMBRA_DATA_DIR": str(tmp_path / "data"),
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return config.load()


@pytest.fixture
def log(settings: config.Settings) -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    target = io.StringIO()
    logs.configure(settings.secrets, "DEBUG", target)
    yield target
    root.handlers[:], root.level = handlers, level
