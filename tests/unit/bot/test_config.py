"""Settings come from the environment or `.env`, and a start that cannot be right is refused."""

import dataclasses
import os
import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from bot import config, shares
from tests.catalogue import fired
from trading.domain.errors import SettingsInvalid
from trading.risk.limits import RiskLimits
from trading.scanner.engine import ScannerSettings

_EXAMPLE = Path(__file__).resolve().parents[3] / ".env.example"
PAPER = {"UMBRA_TELEGRAM_TOKEN": "42:token-of-the-test"}
LOCAL = {
    "UMBRA_EXCHANGE_REST_URL": "http://127.0.0.1:8090",
    "UMBRA_EXCHANGE_WS_URL": "ws://127.0.0.1:8090",
}
KEYS = {"UMBRA_EXCHANGE_API_KEY": "key-of-the-test", "UMBRA_EXCHANGE_SECRET": "secret-of-the-test"}
LIVE = PAPER | LOCAL | KEYS | {"UMBRA_MODE": "live"}


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("UMBRA_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


def _load(monkeypatch: pytest.MonkeyPatch, values: dict[str, str]) -> config.Settings:
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return config.load()


def test_paper_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = _load(monkeypatch, PAPER)
    assert settings.mode is config.Mode.PAPER
    assert settings.store_url.startswith("sqlite+aiosqlite:///")
    assert not settings.is_loopback_exchange


@pytest.mark.parametrize(
    ("url", "address"),
    [
        (None, ""),
        ("http://127.0.0.1:8090/", "http://127.0.0.1:8090"),
        ("http://somebody:secret@127.0.0.1:8090", "http://127.0.0.1:8090"),
    ],
)
def test_the_agent_is_told_where_its_exchange_is_and_no_password(
    monkeypatch: pytest.MonkeyPatch, url: str | None, address: str
) -> None:
    values = LOCAL | {"UMBRA_EXCHANGE_REST_URL": url} if url else {}
    settings = _load(monkeypatch, PAPER | values)
    assert shares.agent_settings(settings, "0", "install-1").exchange_address == address


def test_live_against_a_loopback_exchange_needs_no_second_consent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = _load(monkeypatch, LIVE)
    assert settings.is_loopback_exchange
    assert settings.mode is config.Mode.LIVE


@pytest.mark.parametrize(
    ("wrong", "hint"), [("nosuch", ""), ("krakn", "; near it: kraken"), ("Binance", "; near it: ")]
)
def test_an_exchange_that_does_not_stream_stops_the_start_at_once(
    monkeypatch: pytest.MonkeyPatch, wrong: str, hint: str
) -> None:
    with pytest.raises(SettingsInvalid) as refused:
        _load(monkeypatch, PAPER | {"UMBRA_EXCHANGE_ID": wrong})
    said = str(refused.value)
    assert said.startswith(
        f"UMBRA_EXCHANGE_ID should be an exchange that streams, was {wrong!r}{hint}"
    )
    assert said.endswith(". Example: UMBRA_EXCHANGE_ID=binance")
    assert _load(monkeypatch, {"UMBRA_EXCHANGE_ID": "kraken"}).exchange_id == "kraken"


def test_the_exchanges_that_are_known_are_those_of_the_library() -> None:
    script = (
        "import ccxt.pro; from bot.config.exchanges import streaming; "
        "assert list(streaming()) == sorted(ccxt.pro.exchanges)"
    )
    subprocess.run([sys.executable, "-c", script], cwd=_EXAMPLE.parent, check=True, timeout=60)


@pytest.mark.fault("I06", "SAID")
def test_live_with_real_money_needs_consent_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    real = PAPER | KEYS | {"UMBRA_MODE": "live"}
    with pytest.raises(SettingsInvalid, match="UMBRA_LIVE_CONSENT=real-money") as refused:
        _load(monkeypatch, real)
    assert _load(monkeypatch, {"UMBRA_LIVE_CONSENT": "real-money"}).mode is config.Mode.LIVE
    fired(refused, words=str(refused.value))


@pytest.mark.fault("I06", "SAID")
@pytest.mark.parametrize(
    ("values", "names"),
    [
        ({}, "UMBRA_TELEGRAM_TOKEN is missing"),
        (PAPER | {"UMBRA_TELEGRAM_TOKEN": "no-digits"}, "digits:text"),
        (PAPER | {"UMBRA_MODE": "live"}, "UMBRA_EXCHANGE_API_KEY is missing"),
        (PAPER | {"UMBRA_MODE": "real"}, "UMBRA_MODE"),
        (PAPER | {"UMBRA_EXCHANGE_REST_URL": "http://127.0.0.1:1"}, "UMBRA_EXCHANGE_WS_URL"),
        (PAPER | LOCAL | {"UMBRA_EXCHANGE_WS_URL": "http://127.0.0.1:1"}, "start with ws://"),
        (PAPER | LOCAL | {"UMBRA_EXCHANGE_WS_URL": "wss://exchange.example"}, "both be local"),
        (PAPER | {"UMBRA_TELEGRAM_API_URL": "http://127.0.0.1:8091"}, "should end in /bot"),
        (PAPER | {"UMBRA_TELEGRAM_API_URL": "http://[127.0.0.1/bot"}, "should be a URL"),
        (LIVE | {"UMBRA_EXCHANGE_REST_URL": "http://127.0.0.1:99999"}, "name a host"),
        (LIVE | {"UMBRA_EXCHANGE_REST_URL": "http://127.0.0.1:8090/api"}, "without a path"),
        (PAPER | KEYS | {"UMBRA_MODE": "live", "UMBRA_LIVE_CONSENT": "yes"}, "was 'yes'"),
        (PAPER | {"UMBRA_OWNER_ID": "-5"}, "UMBRA_OWNER_ID"),
        (PAPER | {"UMBRA_ALLOWED_CHAT_IDS": "1,x"}, "UMBRA_ALLOWED_CHAT_IDS"),
        (PAPER | {"UMBRA_OWNER_ID": "me"}, "UMBRA_OWNER_ID"),
        (PAPER | {"UMBRA_ALLOWED_CHAT_IDS": "1,x"}, "numbers with commas between them"),
        (
            PAPER | {"UMBRA_ALLOWED_CHAT_IDS": "1,-500"},
            "UMBRA_ALLOW_GROUPS should be true where UMBRA_ALLOWED_CHAT_IDS names a group",
        ),
        (
            PAPER | {"UMBRA_ALLOWED_CHAT_IDS": "1,-500", "UMBRA_ALLOW_GROUPS": "false"},
            "Example: UMBRA_ALLOW_GROUPS=true",
        ),
        (
            PAPER | {"UMBRA_ORDER_NOTIONAL_MAX": "1e9"},
            "UMBRA_ORDER_NOTIONAL_MAX should be a plain number such as 25000 or 0.05, was '1e9'",
        ),
        (PAPER | {"UMBRA_CODE_NOTIONAL_MIN": "1_000"}, "was '1_000'"),
        (PAPER | {"UMBRA_DAILY_LOSS_MAX": "٠.١"}, "should be a plain number"),
        (PAPER | {"UMBRA_DUPLICATE_WINDOW_S": "NaN"}, "should be a plain number"),
        (PAPER | {"UMBRA_CURRENCY": "eur"}, "UMBRA_CURRENCY should be a coin in capital letters"),
        (PAPER | {"UMBRA_CURRENCY": "💶"}, "was '💶'. Example: UMBRA_CURRENCY=USDT"),
        (PAPER | {"UMBRA_OWNER_ID": "me"}, "should be a whole number, was 'me'"),
        (PAPER | {"UMBRA_LOG_LEVEL": "loud"}, "DEBUG, INFO, WARNING or ERROR"),
        (PAPER | {"UMBRA_MODE": "real"}, "should be 'paper' or 'live', was 'real'"),
        (PAPER | {"UMBRA_LIVE_CONSENT": "real-money"}, "UMBRA_MODE=live"),
        (PAPER | {"UMBRA_ORDER_NOTIONAL_MAX": "-1"}, "UMBRA_ORDER_NOTIONAL_MAX"),
        (PAPER | {"UMBRA_ORDER_SHARE_MAX": "25"}, "UMBRA_ORDER_SHARE_MAX"),
        (PAPER | {"UMBRA_ORDERS_OPEN_MAX": "0"}, "UMBRA_ORDERS_OPEN_MAX"),
        (PAPER | {"UMBRA_DUPLICATE_WINDOW_S": "3600"}, "UMBRA_DUPLICATE_WINDOW_S"),
        (PAPER | {"UMBRA_PRICE_COLLAR": "5"}, "UMBRA_PRICE_COLLAR"),
        (PAPER | {"UMBRA_EXIT_ATTEMPTS_PER_MINUTE_MAX": "1"}, "UMBRA_EXIT_ATTEMPTS_PER_MINUTE"),
        (PAPER | {"UMBRA_TELEGRAM_TOKN": "x"}, "did you mean UMBRA_TELEGRAM_TOKEN"),
    ],
)
def test_a_wrong_start_is_refused_with_the_name_and_an_example(
    monkeypatch: pytest.MonkeyPatch, values: dict[str, str], names: str
) -> None:
    with pytest.raises(SettingsInvalid) as refused:
        _load(monkeypatch, values)
    assert names in str(refused.value)
    assert "UMBRA_" in str(refused.value)
    fired(refused, words=names)


def test_a_file_that_is_no_text_is_refused_with_its_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_bytes("UMBRA_MODE=paper\n# fünf\n".encode("latin-1"))
    with pytest.raises(SettingsInvalid, match=r"UTF-8, and its line 2 is not"):
        _load(monkeypatch, {})


@pytest.mark.parametrize("token", ["42:AB C", "42:", "x2:abc", "42:abc\n"])
def test_a_token_that_no_request_could_carry_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    with pytest.raises(SettingsInvalid, match="UMBRA_TELEGRAM_TOKEN"):
        _load(monkeypatch, {"UMBRA_TELEGRAM_TOKEN": token})


def test_the_environment_wins_over_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("UMBRA_TELEGRAM_TOKEN=1:file\nUMBRA_OWNER_ID=5\n")
    groups = {"UMBRA_ALLOWED_CHAT_IDS": "6, -7", "UMBRA_ALLOW_GROUPS": "true"}
    settings = _load(monkeypatch, {"UMBRA_OWNER_ID": "6"} | groups)
    assert settings.owner_id == 6
    assert settings.telegram_token.get_secret_value() == "1:file"
    assert settings.allowed_chat_ids == {6, -7}


def test_a_line_of_the_file_may_refer_to_the_environment_and_to_another_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ROOM", "/room")
    (tmp_path / ".env").write_text("FOLDER=umbra\nUMBRA_DATA_DIR=${ROOM}/${FOLDER}\n")
    assert config.data_directory() == Path("/room/umbra")


@pytest.mark.fault("P11")
@pytest.mark.fault("I06", "SAID")
def test_an_unknown_name_in_the_file_is_refused_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("UMBRA_TELEGRAM_TOKEN=1:file\nUMBRA_SPEED=5\n")
    with pytest.raises(SettingsInvalid, match="UMBRA_SPEED is not a setting") as refused:
        _load(monkeypatch, {})
    fired(refused)


@pytest.mark.parametrize(
    ("name", "example"),
    [
        ("UMBRA_FOO", "all that are stand in .env.example. Example: UMBRA_MODE=paper"),
        ("UMBRA_OWNERID", "did you mean UMBRA_OWNER_ID? Example: UMBRA_OWNER_ID=123456789"),
    ],
)
def test_a_name_that_is_no_setting_is_refused_with_an_example_of_one_that_is(
    monkeypatch: pytest.MonkeyPatch, name: str, example: str
) -> None:
    with pytest.raises(SettingsInvalid) as refused:
        _load(monkeypatch, PAPER | {name: "5"})
    assert str(refused.value).startswith(f"{name} is not a setting of Umbra")
    assert str(refused.value).endswith(example)


@pytest.mark.parametrize(
    ("name", "url", "shown"),
    [
        ("UMBRA_TELEGRAM_API_URL", "http://u:hunter2@127.0.0.1:8091", "http://•••@127.0.0.1:8091"),
        ("UMBRA_TELEGRAM_API_URL", "http://u:hunt@er2@[::1", "http://•••@[::1"),
        ("UMBRA_TELEGRAM_API_URL", "u:hunter2@chat/bot", "•••@chat/bot"),
        ("UMBRA_TELEGRAM_API_URL", "http://chat/bot?password=hunter2", "http://chat/bot?•••"),
        ("UMBRA_TELEGRAM_API_URL", "http://c/bot987:hunter2-hunter2", "http://c/bot987:•••"),
        ("UMBRA_EXCHANGE_REST_URL", "ftp://u:hunter2@127.0.0.1:1", "ftp://•••@127.0.0.1:1"),
        ("UMBRA_EXCHANGE_REST_URL", "http://u:hunter2@h/api", "http://•••@h/api"),
        ("UMBRA_EXCHANGE_WS_URL", "http://u:hunter2@127.0.0.1:1", "http://•••@127.0.0.1:1"),
    ],
)
def test_an_address_is_refused_without_what_opens_it(
    monkeypatch: pytest.MonkeyPatch, name: str, url: str, shown: str
) -> None:
    with pytest.raises(SettingsInvalid) as refused:
        _load(monkeypatch, PAPER | LOCAL | {name: url})
    assert f"was '{shown}'. Example: {name}=" in str(refused.value)
    assert "hunt" not in str(refused.value)


def test_secrets_never_show(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = _load(monkeypatch, LIVE | {"UMBRA_DATABASE_URL": "postgresql+asyncpg://u:pw@h/d"})
    for secret in (*KEYS.values(), PAPER["UMBRA_TELEGRAM_TOKEN"], "u:pw"):
        assert secret not in repr(settings)
    spelled = {"42%3Atoken-of-the-test", "token-of-the-test"}
    assert set(settings.secrets) == {*KEYS.values(), *PAPER.values(), *spelled, "pw"}


def test_every_limit_of_the_gate_is_a_setting_with_the_same_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings, limits = _load(monkeypatch, PAPER), RiskLimits()
    for field in dataclasses.fields(RiskLimits):
        if field.name != "runaway_factor":
            assert getattr(settings, field.name) == getattr(limits, field.name)


def test_an_example_file_names_every_setting_and_only_those() -> None:
    example = _EXAMPLE.read_text()
    named = {
        line.lstrip("# ").split("=")[0] for line in example.splitlines() if "UMBRA_" in line[:10]
    }
    assert named == {config.PREFIX + field.upper() for field in config.Settings.model_fields} - {
        "UMBRA_FAILPOINT"
    }


def test_every_number_with_a_point_is_read_as_a_plain_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kinds = {name: field.annotation for name, field in config.Settings.model_fields.items()}
    numbers = [name for name, kind in kinds.items() if kind in (Decimal, float)]
    assert len(numbers) > 7
    for name in numbers:
        with monkeypatch.context() as patched, pytest.raises(SettingsInvalid, match="plain"):
            _load(patched, PAPER | {config.PREFIX + name.upper(): "1e-1"})


def test_an_example_file_shows_every_limit_at_its_default() -> None:
    example = _EXAMPLE.read_text()
    shown = dict(re.findall(r"^#(UMBRA_[A-Z_]+)=(\S+)$", example, re.MULTILINE))
    limits = [field.name for field in dataclasses.fields(RiskLimits)]
    written = {name: shown.get(config.PREFIX + name.upper()) for name in limits}
    usual = {name: getattr(RiskLimits(), name) for name in written if written[name]}
    assert len(usual) > 8
    assert {name: type(value)(written[name]) for name, value in usual.items()} == usual


@pytest.mark.parametrize(
    ("url", "is_local"),
    [
        ("http://127.0.0.1:1", True),
        ("ws://localhost:1", True),
        ("http://[::1]:1", True),
        ("https://api.exchange.example", False),
        ("http://10.0.0.1", False),
        (None, False),
    ],
)
def test_only_this_machine_is_loopback(url: str | None, is_local: bool) -> None:
    assert config.is_loopback(url) is is_local


def test_servers_read_their_credentials_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert config.exchange_credentials() == (None, None)
    assert config.chat_token() is None
    for name, value in (LIVE | {"UMBRA_DATA_DIR": str(tmp_path)}).items():
        monkeypatch.setenv(name, value)
    assert config.exchange_credentials() == tuple(KEYS.values())
    assert config.chat_token() == PAPER["UMBRA_TELEGRAM_TOKEN"]
    assert config.data_directory() == tmp_path


def test_the_data_directory_is_found_in_the_file_as_well(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("UMBRA_DATA_DIR=/somewhere/else\n")
    assert config.data_directory() == Path("/somewhere/else")
    monkeypatch.setenv("UMBRA_DATA_DIR", str(tmp_path))
    assert config.data_directory() == tmp_path


def test_one_reading_of_the_file_tells_of_a_line_that_is_none_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / ".env").write_text('UMBRA_OWNER_ID=7\nUMBRA_CURRENCY="USDT\n')
    assert _load(monkeypatch, PAPER).owner_id == 7
    assert [record.getMessage() for record in caplog.records] == [
        "python-dotenv could not parse statement starting at line 2"
    ]


def test_what_the_environment_leaves_empty_is_said_by_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("UMBRA_TELEGRAM_TOKEN=7:in-the-file\nUMBRA_OWNER_ID=8\n")
    settings = _load(monkeypatch, {"UMBRA_TELEGRAM_TOKEN": "", "UMBRA_OWNER_ID": "9"})
    assert settings.telegram_token.get_secret_value() == "7:in-the-file"
    assert settings.owner_id == 9


def test_a_setting_may_be_written_in_small_letters_and_a_wrong_one_is_named_as_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert _load(monkeypatch, PAPER | {"umbra_owner_id": "7"}).owner_id == 7
    with pytest.raises(SettingsInvalid, match=r"umbra_owner is not .* mean UMBRA_OWNER_ID"):
        _load(monkeypatch, {"umbra_owner": "7"})


@pytest.mark.parametrize("address", ["http://127.0.0.1:1/{}", "http://h/a/{}?x={}#{}", "{}"])
def test_a_secret_that_was_pasted_into_an_address_of_the_exchange_is_not_repeated(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    secret = "Zk7pasted0secret9"
    values = {
        "UMBRA_EXCHANGE_SECRET": secret,
        "UMBRA_EXCHANGE_REST_URL": address.replace("{}", secret),
        "UMBRA_EXCHANGE_WS_URL": "ws://127.0.0.1:1",
    }
    with pytest.raises(SettingsInvalid, match="UMBRA_EXCHANGE_REST_URL should") as refused:
        _load(monkeypatch, PAPER | values)
    assert secret not in str(refused.value)
    assert "•••" in str(refused.value)


# ------------------------------------------------------------ secrets at rest

PHRASE = "correct horse battery"


@pytest.fixture
def passphrase_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    path = tmp_path / "passphrase"
    path.write_text(PHRASE)
    path.chmod(0o600)
    monkeypatch.setenv("UMBRA_SECRETS_PASSPHRASE_FILE", str(path))
    return path


@pytest.mark.usefixtures("passphrase_file")
def test_a_secret_that_neither_environment_nor_file_says_comes_from_where_it_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config.vault().put("UMBRA_TELEGRAM_TOKEN", "7:sealed", in_file=True)
    config.vault().put("UMBRA_TOTP_SECRET", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", in_file=True)
    settings = config.load()
    assert settings.telegram_token.get_secret_value() == "7:sealed"
    assert "7:sealed" in settings.secrets
    assert "sealed" not in repr(settings)
    overridden = _load(monkeypatch, PAPER)
    assert overridden.telegram_token.get_secret_value() == PAPER["UMBRA_TELEGRAM_TOKEN"]
    assert overridden.totp_secret.get_secret_value().startswith("GEZD")


def test_sealed_secrets_without_a_passphrase_refuse_the_start(
    monkeypatch: pytest.MonkeyPatch, passphrase_file: Path
) -> None:
    config.vault().put("UMBRA_TELEGRAM_TOKEN", "7:sealed", in_file=True)
    monkeypatch.delenv("UMBRA_SECRETS_PASSPHRASE_FILE")
    with pytest.raises(SettingsInvalid, match="UMBRA_SECRETS_PASSPHRASE_FILE=/etc"):
        config.load()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(passphrase_file.parent))
    passphrase_file.rename(passphrase_file.with_name("umbra-passphrase"))
    assert config.load().telegram_token.get_secret_value() == "7:sealed"


def test_every_secret_setting_may_be_kept_and_nothing_else() -> None:
    assert set(config.secret_names()) >= {
        *KEYS,
        *PAPER,
        "UMBRA_DATABASE_URL",
        "UMBRA_TOTP_SECRET",
    }
    assert config.secret_name("exchange_secret") == "UMBRA_EXCHANGE_SECRET"
    assert config.secret_name("UMBRA_TOTP_SECRET") == "UMBRA_TOTP_SECRET"
    with pytest.raises(SettingsInvalid, match="should be one of"):
        config.secret_name("mode")


@pytest.mark.parametrize(("mode", "is_told"), [(0o600, False), (0o640, True), (0o604, True)])
def test_a_settings_file_that_others_can_read_is_told(
    tmp_path: Path, mode: int, *, is_told: bool
) -> None:
    file = tmp_path / ".env"
    assert config.env_file_warning() is None
    file.write_text("UMBRA_OWNER_ID=1\n")
    file.chmod(mode)
    warning = config.env_file_warning()
    assert (warning is not None) == is_told
    if warning is not None:
        assert "chmod 600" in warning


@pytest.mark.parametrize("secret", ["not base32!", "GEZDGNBV", "12345"])
def test_an_authenticators_secret_is_base32_and_long(
    monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    with pytest.raises(SettingsInvalid, match="UMBRA_TOTP_SECRET") as refused:
        _load(monkeypatch, PAPER | {"UMBRA_TOTP_SECRET": secret})
    assert secret not in str(refused.value)


def test_the_usual_candles_of_the_scanner_are_read_in_order_and_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    usual = tuple(one.name for one in ScannerSettings().timeframes)
    assert _load(monkeypatch, PAPER).scan_timeframes == usual
    said = _load(monkeypatch, {"UMBRA_SCAN_TIMEFRAMES": "15m, 1h,15m"})
    assert said.scan_timeframes == ("15m", "1h")


@pytest.mark.parametrize(
    ("said", "told"), [("1h,7q", "timeframe should be one of"), (",", "at least one timeframe")]
)
def test_candles_that_do_not_exist_are_refused_with_an_example(
    monkeypatch: pytest.MonkeyPatch, said: str, told: str
) -> None:
    with pytest.raises(SettingsInvalid, match=told) as refused:
        _load(monkeypatch, PAPER | {"UMBRA_SCAN_TIMEFRAMES": said})
    assert "UMBRA_SCAN_TIMEFRAMES=1h,4h,12h,1d,3d" in str(refused.value)


@pytest.mark.parametrize("name", ["UMBRA_DATA_DIR", "UMBRA_SECRETS_PASSPHRASE_FILE"])
def test_a_home_that_this_machine_does_not_know_is_refused_with_an_example(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "~nobody-of-this-name/umbra")
    with pytest.raises(SettingsInvalid, match="home directory that this machine does not know"):
        config.vault()
