"""The only reader of the environment: settings from `UMBRA_…` variables or `.env`, frozen.

A secret that neither says comes from where `umbra secrets` keeps it (`bot.secrets`).

Nothing here leads to live trading by default, and a start that cannot be right is refused with the
exact name of the setting and an example.
"""

import difflib
import getpass
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated
from urllib.parse import SplitResult, quote, unquote, urlsplit

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from bot import totp
from bot.secrets import OsKeychain, Passphrase, Vault
from trading.domain.errors import Refused, SettingsInvalid
from trading.domain.time import Timeframe

PREFIX = "UMBRA_"
LIVE_CONSENT = "real-money"
_EXAMPLES = {
    "mode": "paper",
    "exchange_id": "binance",
    "exchange_api_key": "your key, without withdrawal rights",
    "exchange_secret": "the key's secret",
    "exchange_rest_url": "http://127.0.0.1:8090",
    "exchange_ws_url": "ws://127.0.0.1:8090",
    "telegram_token": "123456:ABC-your-token-from-BotFather",
    "telegram_api_url": "http://127.0.0.1:8091/bot",
    "owner_id": "123456789",
    "allowed_chat_ids": "123456789,-1001234567890",
    "totp_secret": "the base32 text that your authenticator app shows for a new account",
    "secrets_passphrase_file": "/etc/umbra/passphrase",
    "database_url": "sqlite+aiosqlite:////var/lib/umbra/umbra.db",
    "data_dir": "/var/lib/umbra",
    "second_channel_urls": "ntfys://ntfy.sh/your-topic",
    "watchdog_telegram_token": "654321:another-bot-of-yours",
    "watchdog_chat_id": "123456789",
    "live_consent": LIVE_CONSENT,
    "allow_unrestricted_key": "true",
    "paper_balance": "USDT=10000,BTC=0.5",
    "order_notional_max": "25000",
    "order_share_max": "0.25",
    "notional_per_day_max": "250000",
    "code_notional_min": "1000",
    "watched_per_person_max": "20",
    "watched_max": "200",
    "scan_timeframes": "1h,4h,12h,1d,3d",
    "scores_kept_days": "400",
    "orders_per_minute_max": "60",
    "orders_open_max": "100",
    "duplicate_window_s": "5",
    "price_collar": "0.05",
    "spread_max": "0.10",
    "daily_loss_max": "0.10",
    "exit_attempts_per_minute_max": "20",
    "currency": "USDT",
    "log_level": "INFO",
    "failpoint": "after_commit:AttemptPrepared:1",
}


_RULES = {
    "int_parsing": "should be a whole number",
    "decimal_parsing": "should be a number",
    "float_parsing": "should be a number",
    "bool_parsing": "should be true or false",
    "string_pattern_mismatch": "should be DEBUG, INFO, WARNING or ERROR",
}


class Mode(Enum):
    """Whose account the orders touch."""

    PAPER = "paper"
    LIVE = "live"


class Settings(BaseSettings):
    """Everything that the environment may say; secrets never show in `repr`."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    mode: Mode = Mode.PAPER
    exchange_id: str = "binance"
    exchange_api_key: SecretStr = SecretStr("")
    exchange_secret: SecretStr = SecretStr("")
    exchange_rest_url: str | None = None
    exchange_ws_url: str | None = None
    live_consent: str = ""
    allow_unrestricted_key: bool = False
    telegram_token: SecretStr = SecretStr("")
    telegram_api_url: str | None = None
    owner_id: int | None = Field(default=None, gt=0)
    allowed_chat_ids: Annotated[frozenset[int], NoDecode] = frozenset()
    totp_secret: SecretStr = SecretStr("")
    secrets_passphrase_file: Path | None = None
    database_url: SecretStr = SecretStr("")
    data_dir: Path = Path("~/.umbra")
    second_channel_urls: SecretStr = SecretStr("")
    watchdog_telegram_token: SecretStr = SecretStr("")
    watchdog_chat_id: int | None = None
    currency: str = "USDT"
    paper_balance: str = "USDT=10000"
    order_notional_max: Decimal = Field(default=Decimal(25_000), gt=0)
    order_share_max: Decimal = Field(default=Decimal(1), gt=0, le=1)
    notional_per_day_max: Decimal = Field(default=Decimal(250_000), gt=0)
    code_notional_min: Decimal = Field(default=Decimal(1_000), ge=0)
    orders_per_minute_max: int = Field(default=60, gt=0)
    orders_open_max: int = Field(default=100, gt=0)
    duplicate_window_s: float = Field(default=5.0, ge=0, le=60)
    price_collar: Decimal = Field(default=Decimal("0.05"), gt=0, lt=1)
    spread_max: Decimal = Field(default=Decimal("0.10"), gt=0, lt=1)
    daily_loss_max: Decimal = Field(default=Decimal("0.10"), gt=0, le=1)
    # An exit walks down four steps and waits in between: fewer would stop it half-way.
    exit_attempts_per_minute_max: int = Field(default=20, ge=5)
    watched_per_person_max: int = Field(default=20, ge=1, le=200)
    watched_max: int = Field(default=200, ge=1, le=1_000)
    scan_timeframes: Annotated[tuple[str, ...], NoDecode] = ("1h", "4h", "12h", "1d", "3d")
    scores_kept_days: int = Field(default=400, ge=1, le=4_000)
    log_level: str = Field(default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")
    failpoint: str = ""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take what `_read` has merged: sources of their own would read it all again."""
        return (init_settings,)

    @field_validator("allowed_chat_ids", mode="before")
    @classmethod
    def _split_ids(cls, value: object) -> object:
        if isinstance(value, str):
            parts = [part.strip() for part in value.split(",") if part.strip()]
            if not all(part.removeprefix("-").isdecimal() for part in parts):
                raise ValueError("should be numbers with commas between them")
            return frozenset(int(part) for part in parts)
        return value

    @field_validator("scan_timeframes", mode="before")
    @classmethod
    def _split_timeframes(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            parsed = [Timeframe.parse(part.strip()) for part in value.split(",") if part.strip()]
        except Refused as error:
            raise ValueError(str(error)) from None
        if not parsed:
            raise ValueError("should name at least one timeframe")
        return tuple(dict.fromkeys(one.name for one in parsed))

    @property
    def directory(self) -> Path:
        """The data directory, expanded."""
        return self.data_dir.expanduser()

    @property
    def store_url(self) -> str:
        """The database's SQLAlchemy async URL; a file in the data directory by default."""
        url = self.database_url.get_secret_value()
        return url or f"sqlite+aiosqlite:///{self.directory / 'umbra.db'}"

    @property
    def totp_key(self) -> bytes:
        """The authenticator's secret, empty when no codes are asked for; raises ValueError."""
        text = self.totp_secret.get_secret_value()
        return totp.read_secret(text) if text else b""

    @property
    def channel_urls(self) -> tuple[str, ...]:
        """The addresses of the second channel; spaces or line ends stand between them."""
        return tuple(self.second_channel_urls.get_secret_value().split())

    @property
    def is_loopback_exchange(self) -> bool:
        """Whether the exchange's base URL is on this machine, so that no real money can move."""
        return is_loopback(self.exchange_rest_url) and is_loopback(self.exchange_ws_url)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every secret value in every spelling of an address, for the redaction of logs."""
        found = [
            text
            for field in _secret_fields()
            if field != "database_url" and (text := getattr(self, field).get_secret_value())
        ]
        # The rest of a database's address is shown by errors that a person needs.
        store = _split(self.store_url)
        found += [(store and store.password) or ""]
        found += self.channel_urls
        found += [self.watchdog_telegram_token.get_secret_value().partition(":")[2]]
        # The chat's number before the colon is no secret, and the colon is spelled in many ways.
        found += [self.telegram_token.get_secret_value().partition(":")[2]]
        spelled = [(text, quote(text, safe=""), unquote(text)) for text in found]
        return tuple(dict.fromkeys(text for texts in spelled for text in texts if text))


def is_loopback(url: str | None) -> bool:
    """Whether a URL names this machine."""
    parts = _split(url or "")
    host = parts.hostname if parts is not None else None
    if host is None:
        return False
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def load_without_chat(env_file: Path = Path(".env")) -> Settings:
    """Read what is needed past the chat, whose token may be missing; raises SettingsInvalid."""
    settings = _read(env_file)
    _check_account(settings)
    return settings


def _is_url(url: str, schemes: Sequence[str]) -> bool:
    parts = _split(url)
    try:
        # A port out of range is refused only when it is asked for.
        return parts is not None and parts.scheme in schemes and parts.port != 0
    except ValueError:
        return False


def _split(url: str) -> SplitResult | None:
    try:
        return urlsplit(url)
    except ValueError:
        return None


def load(env_file: Path = Path(".env")) -> Settings:
    """Read the environment and, where it is silent, `.env`; raises SettingsInvalid."""
    settings = _read(env_file)
    _check(settings)
    return settings


@dataclass(frozen=True, slots=True)
class WatchdogSettings:
    """What the independent watcher needs, and nothing that trades."""

    data_dir: Path
    channel_urls: tuple[str, ...]
    token: SecretStr
    chat_id: int | None
    telegram_api_url: str | None
    secrets: tuple[str, ...]
    log_level: str


def load_watchdog(env_file: Path = Path(".env")) -> WatchdogSettings:
    """Read what `umbra watchdog` needs; raises SettingsInvalid when it could not speak."""
    settings = _read(env_file)
    token, chat_id = settings.watchdog_telegram_token, settings.watchdog_chat_id
    chat_id = chat_id if chat_id is not None else settings.owner_id
    _check_api_url(settings)
    if not token.get_secret_value() and not settings.channel_urls:
        raise _invalid("watchdog_telegram_token", "and UMBRA_SECOND_CHANNEL_URLS are both missing")
    if token.get_secret_value():
        _check_token("watchdog_telegram_token", token)
        if chat_id is None:
            raise _invalid("watchdog_chat_id", "is missing, and so is UMBRA_OWNER_ID")
    return WatchdogSettings(
        data_dir=settings.directory,
        channel_urls=settings.channel_urls,
        token=token,
        chat_id=chat_id,
        telegram_api_url=settings.telegram_api_url,
        secrets=settings.secrets,
        log_level=settings.log_level,
    )


def _read(env_file: Path) -> Settings:
    said = _said(env_file)
    _refuse_unknown(said)
    missing = [name for name in secret_names() if name not in said]
    values = {**_vault(said).load(missing), **said}
    fields = {name.removeprefix(PREFIX).lower(): text for name, text in values.items()}
    try:
        return Settings(**fields)  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0])
        raise _invalid(
            field, f"{_rule(first['type'], first['msg'])}, was {_shown(field, values)}"
        ) from None


def _said(env_file: Path) -> dict[str, str]:
    """Return what the environment says and, where it is silent, the file; nothing empty."""
    in_file = dotenv_values(env_file) if env_file.is_file() else {}
    known = _setting_names()
    return {
        # What is no setting is named as it was written.
        name.upper() if name.upper() in known else name: value
        for source in (in_file, os.environ)
        for name, value in source.items()
        if name.upper().startswith(PREFIX) and value
    }


def _setting_names() -> set[str]:
    return {PREFIX + field.upper() for field in Settings.model_fields}


def _rule(kind: str, said: str) -> str:
    """What a setting should be, in a person's words."""
    said = said.removeprefix("Value error, ").removeprefix("Input ")
    return _RULES.get(kind, said[:1].lower() + said[1:])


def _secret_fields() -> list[str]:
    return [name for name, field in Settings.model_fields.items() if field.annotation is SecretStr]


def secret_names() -> list[str]:
    """Return the name of every setting that may be kept by `umbra secrets`."""
    return [PREFIX + field.upper() for field in _secret_fields()]


def secret_name(typed: str) -> str:
    """Return the full name of a secret; raises SettingsInvalid for another setting."""
    name = PREFIX + typed.upper().removeprefix(PREFIX)
    if name not in secret_names():
        known = ", ".join(secret_names())
        raise SettingsInvalid(f"the secret should be one of {known}, was {typed[:40]!r}")
    return name


def vault(env_file: Path = Path(".env")) -> Vault:
    """Return where this installation keeps its secrets; reads nothing yet."""
    return _vault(_said(env_file))


def _vault(said: Mapping[str, str]) -> Vault:
    directory = _directory(said)
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    is_terminal = sys.stdin is not None and sys.stdin.isatty()
    passphrase = Passphrase(
        file=_path(said, "UMBRA_SECRETS_PASSPHRASE_FILE"),
        credentials_directory=Path(credentials) if credentials else None,
        ask=getpass.getpass if is_terminal else None,
    )
    return Vault(directory, OsKeychain(f"umbra {directory.resolve()}"), passphrase)


def read_secret(prompt: str) -> str:
    """Ask at the terminal without echo, or take the first line of standard input."""
    if sys.stdin.isatty():
        return getpass.getpass(prompt)
    return sys.stdin.readline().rstrip("\r\n")


def env_file_warning(env_file: Path = Path(".env")) -> str | None:
    """Say what is wrong when others on this machine can read the settings file."""
    if not env_file.is_file():
        return None
    mode = env_file.stat().st_mode & 0o777
    if not mode & 0o044:
        return None
    return f"{env_file} can be read by others on this machine ({mode:03o}): chmod 600 {env_file}"


def _refuse_unknown(names: Iterable[str]) -> None:
    known = _setting_names()
    for name in sorted(names):
        if name not in known:
            # All begin alike, which must not count for likeness.
            ends = [one.removeprefix(PREFIX) for one in known]
            near = difflib.get_close_matches(name.upper().removeprefix(PREFIX), ends, n=1)
            hint = f"; did you mean {PREFIX}{near[0]}?" if near else ""
            raise SettingsInvalid(f"{name} is not a setting of Umbra{hint}")


def _check(settings: Settings) -> None:
    _check_telegram(settings)
    _check_account(settings)


def _check_account(settings: Settings) -> None:
    _check_exchange(settings)
    if settings.mode is Mode.LIVE:
        _check_live(settings)
    elif settings.live_consent:
        raise SettingsInvalid(
            "UMBRA_LIVE_CONSENT is set and UMBRA_MODE is paper: take the consent out, or say "
            "UMBRA_MODE=live"
        )


def _check_telegram(settings: Settings) -> None:
    if not settings.telegram_token.get_secret_value():
        raise _invalid("telegram_token", "is missing")
    _check_token("telegram_token", settings.telegram_token)
    try:
        _ = settings.totp_key
    except ValueError as error:
        raise _invalid("totp_secret", str(error)) from None
    _check_api_url(settings)


def _check_token(field: str, secret: SecretStr) -> None:
    token = secret.get_secret_value()
    if ":" not in token or not token.split(":")[0].isdigit():
        raise _invalid(field, "should look like digits:text")


def _check_api_url(settings: Settings) -> None:
    url = settings.telegram_api_url
    if url and not (url.endswith("/bot") and _is_url(url, ("http", "https"))):
        raise _invalid("telegram_api_url", f"should be a URL and should end in /bot, was {url!r}")


def _check_exchange(settings: Settings) -> None:
    if bool(settings.exchange_rest_url) != bool(settings.exchange_ws_url):
        missing = "exchange_ws_url" if settings.exchange_rest_url else "exchange_rest_url"
        raise _invalid(missing, "is missing: the two URLs of an exchange belong together")
    for field, schemes in (
        ("exchange_rest_url", ("http", "https")),
        ("exchange_ws_url", ("ws", "wss")),
    ):
        url = getattr(settings, field)
        if url and not _is_url(url, schemes):
            raise _invalid(field, f"should start with {schemes[0]}:// and name a host, was {url!r}")
        if url and urlsplit(url).path.strip("/"):
            raise _invalid(field, f"should be a bare root without a path, was {url!r}")
    if is_loopback(settings.exchange_rest_url) != is_loopback(settings.exchange_ws_url):
        raise _invalid("exchange_ws_url", "and the REST URL should both be local, or neither")


def _check_live(settings: Settings) -> None:
    for field in ("exchange_api_key", "exchange_secret"):
        if not getattr(settings, field).get_secret_value():
            raise _invalid(field, "is missing, and UMBRA_MODE=live needs it")
    if not settings.is_loopback_exchange and settings.live_consent != LIVE_CONSENT:
        found = settings.live_consent
        problem = f"should be {LIVE_CONSENT}, was {found!r}" if found else "is missing"
        raise _invalid("live_consent", f"{problem}: live mode sends real orders with real money")


def _invalid(field: str, problem: str) -> SettingsInvalid:
    name = PREFIX + field.upper()
    return SettingsInvalid(f"{name} {problem}. Example: {name}={_EXAMPLES.get(field, '…')}")


def _shown(field: str, values: Mapping[str, str | None]) -> str:
    hidden = any(word in field for word in ("token", "secret", "key", "database", "channel"))
    return "hidden" if hidden else repr(values.get(PREFIX + field.upper(), ""))


@dataclass(frozen=True, slots=True)
class ServiceManagerSettings:
    """Where systemd listens and how often it wants a sign of life; None outside of it."""

    address: str | None
    watchdog_s: float | None


def service_manager() -> ServiceManagerSettings:
    """Return what systemd says of itself in the environment."""
    address = os.environ.get("NOTIFY_SOCKET") or None
    interval, wanted_pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    is_ours = wanted_pid in {"", str(os.getpid())}
    watchdog_s = int(interval) / 1e6 if interval.isdigit() and int(interval) and is_ours else None
    return ServiceManagerSettings(address, watchdog_s)


def data_directory(env_file: Path = Path(".env")) -> Path:
    """Return the data directory alone, for commands that need no other setting."""
    return _directory(_said(env_file))


def _directory(said: Mapping[str, str]) -> Path:
    return _path(said, "UMBRA_DATA_DIR") or Path("~/.umbra").expanduser()


def _path(said: Mapping[str, str], name: str) -> Path | None:
    return Path(said[name]).expanduser() if name in said else None


def exchange_credentials() -> tuple[str | None, str | None]:
    """Return the key and secret for the simulated exchange, None for its demo pair."""
    key = os.environ.get("UMBRA_EXCHANGE_API_KEY") or None
    return key, os.environ.get("UMBRA_EXCHANGE_SECRET") or None


def chat_token() -> str | None:
    """Return the only bot token that the local chat should accept, None for any."""
    return os.environ.get("UMBRA_TELEGRAM_TOKEN") or None
