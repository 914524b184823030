"""The file for Docker Compose: what each service gets, and what it does not."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from bot import config

_FILE = Path(__file__).parents[2] / "compose.yaml"
_OF_THE_WATCHDOG = {
    "UMBRA_WATCHDOG_TELEGRAM_TOKEN": "654321:another",
    "UMBRA_WATCHDOG_CHAT_ID": "",
    "UMBRA_OWNER_ID": "7",
    "UMBRA_SECOND_CHANNEL_URLS": "",
}


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    return dict(yaml.safe_load(_FILE.read_text())["services"])


def test_the_watchdog_is_the_agent_s_image_beside_the_same_data_and_outlives_it(
    services: dict[str, Any],
) -> None:
    agent, watchdog = services["umbra"], services["watchdog"]
    same_in_both = ("build", "image", "volumes", "read_only", "tmpfs", "cap_drop", "security_opt")
    for same in (*same_in_both, "restart"):
        assert watchdog[same] == agent[same]
    assert watchdog["command"] == [".venv/bin/umbra", "watchdog"]
    # The image's check would call the watchdog ill as soon as it is needed.
    assert watchdog["healthcheck"] == {"disable": True}
    assert "depends_on" not in watchdog


def test_the_watchdog_starts_with_what_it_is_given_and_is_given_no_key_that_trades(
    services: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watchdog = services["watchdog"]
    assert "env_file" not in watchdog
    given = watchdog["environment"]
    assert given == {name: f"${{{name}:-}}" for name in _OF_THE_WATCHDOG}
    for name, value in _OF_THE_WATCHDOG.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("UMBRA_DATA_DIR", str(tmp_path))
    settings = config.load_watchdog(tmp_path / ".env")
    assert (settings.data_dir, settings.chat_id) == (tmp_path, 7)
    assert settings.token.get_secret_value() == "654321:another"
