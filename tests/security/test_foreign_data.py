"""Z-05: whatever an exchange sends or a host sets is read or refused, and never crashes."""

import itertools
import json
import logging
import re
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bot import config
from tests.security.bending import INPUTS, TIMEOUT_S, bent_texts, bent_values, read_all
from tests.unit.bot.test_config import LIVE
from tests.unit.trading.gateway.test_frames import AGGREGATE, BOOK, TIMED, TRADE, Heard
from tests.unit.trading.gateway.test_translate_binance import READERS, REPORT, symbol_of
from trading.domain.errors import SettingsInvalid
from trading.gateway.stream import AccountStream
from trading.gateway.translate.values import Unusable

# A file is written for each input, so several processes share them.
_SHARES = 4
NO_NUMBER = re.compile(r"Decimal\('-?(s?NaN|Infinity)")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(TIMEOUT_S)]


@pytest.mark.parametrize(("said", "read"), READERS)
def test_z05_answers_of_an_exchange_are_read_or_refused(
    said: Any, read: Callable[[Any], object]
) -> None:
    def read_soundly(bent: Any) -> None:
        assert NO_NUMBER.search(repr(read(bent))) is None

    # It is JSON that arrives: tuples and the like do not.
    refused = read_all(read_soundly, bent_values([json.loads(json.dumps(said))]), Unusable)
    assert refused > 0


def test_z05_frames_of_a_market_are_read_or_left_alone() -> None:
    heard, frames = Heard(), [BOOK, TRADE, AGGREGATE, TIMED]

    def read(frame: str) -> None:
        for fact in heard.quickly(frame):
            assert NO_NUMBER.search(repr(fact)) is None

    assert read_all(read, bent_texts(frames), Unusable) == 0


def test_z05_frames_of_an_account_are_read_or_left_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    # What is refused is logged, and a million of that would fill the memory.
    caplog.set_level(logging.ERROR)
    facts: deque[object] = deque(maxlen=10)
    stream = AccountStream(symbol_of, facts.append, facts.append, facts.append)
    balances = {"e": "outboundAccountPosition", "B": [{"a": "BTC", "f": "1", "l": "0"}]}
    frames = [{"subscriptionId": 0, "event": {"e": "executionReport", **REPORT}}, balances]
    frames.append({"e": "balanceUpdate", "E": 1, "a": "BTC", "d": "-1.5", "T": 1_700_000_000_000})

    def read(frame: Any) -> None:
        stream.take(frame)

    assert read_all(read, bent_values(json.loads(json.dumps(frames))), Unusable) == 0
    assert facts
    failed = [record for record in caplog.records if record.message == "message_failed"]
    assert failed == [], failed[0].exc_text if failed else ""


@pytest.mark.parametrize("share", range(_SHARES))
def test_z05_settings_are_read_or_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, share: int
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    env_file = tmp_path / ".env"
    secret = LIVE["UMBRA_EXCHANGE_SECRET"]
    lines = "\n".join(f"{name}={value}" for name, value in {**LIVE, **_MORE}.items())

    def read(text: str) -> None:
        env_file.write_text(text.replace("\x00", ""), errors="surrogatepass")
        env_file.chmod(0o600)
        settings = config.load(env_file)
        # A line that was bent into another one is that one's, and shown.
        if text.count(secret) == 1 and settings.exchange_secret.get_secret_value() == secret:
            assert secret not in repr(settings)

    # Once per start, and a wrong name is compared with all that exist.
    texts = itertools.islice(bent_texts([lines]), share, None, _SHARES)
    refused = read_all(read, texts, SettingsInvalid, slowest_s=0.2)
    assert 0 < refused < INPUTS // _SHARES


_MORE = {
    "UMBRA_OWNER_ID": "7",
    "UMBRA_ALLOWED_CHAT_IDS": "7,-100",
    "UMBRA_ALLOW_GROUPS": "true",
    "UMBRA_DATABASE_URL": "sqlite+aiosqlite:////tmp/umbra.db",
    "UMBRA_PAPER_BALANCE": "USDT=10000,BTC=0.5",
    "UMBRA_DAILY_LOSS_MAX": "0.1",
}
