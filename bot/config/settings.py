"""What Umbra may be told: every setting, its default and its bounds, frozen."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from bot import totp
from trading.domain.errors import Refused, SettingsInvalid
from trading.domain.instrument import is_coin
from trading.domain.redaction import passwords_of, spellings
from trading.domain.time import Timeframe

PREFIX = "UMBRA_"
_PLAIN_NUMBER = re.compile(r"-?([0-9]+(\.[0-9]+)?|\.[0-9]+)", re.ASCII)
# What is shorter, or has no digit, may be any word.
_TOKEN = re.compile(r"(?=.*[0-9])[^.]{12,}", re.ASCII)
_NUMBERS = (
    *("order_notional_max", "order_share_max", "notional_per_day_max", "code_notional_min"),
    *("duplicate_window_s", "price_collar", "spread_max", "daily_loss_max"),
)


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
    allow_groups: bool = False
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
        """Take what `bot.config` has merged: sources of their own would read it all again."""
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

    @field_validator(*_NUMBERS, mode="before")
    @classmethod
    def _refuse_other_spellings(cls, value: object) -> object:
        # As everywhere, numbers are plain: no exponent, no separators, no digits of other scripts.
        if isinstance(value, str) and not _PLAIN_NUMBER.fullmatch(value.strip()):
            raise ValueError("should be a plain number such as 25000 or 0.05")
        return value

    @field_validator("currency")
    @classmethod
    def _check_currency(cls, value: str) -> str:
        if not is_coin(value):
            raise ValueError("should be a coin in capital letters")
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
        return expanded(self.data_dir)

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
    def alarm_chat_id(self) -> int | None:
        """Where the watchdog speaks: in its owner's own chat by default."""
        return self.watchdog_chat_id if self.watchdog_chat_id is not None else self.owner_id

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
        found += passwords_of(self.store_url)
        found += [part for url in self.channel_urls for part in (url, *_parts(url))]
        found += [self.watchdog_telegram_token.get_secret_value().partition(":")[2]]
        # The chat's number before the colon is no secret, and the colon is spelled in many ways.
        found += [self.telegram_token.get_secret_value().partition(":")[2]]
        return spellings(found)


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


def expanded(path: Path) -> Path:
    """Return a path with the home it names; raises SettingsInvalid where there is none."""
    try:
        return path.expanduser()
    except RuntimeError:
        raise SettingsInvalid(
            f"{str(path)!r} begins with a home directory that this machine does not know: write "
            "the whole path. Example: UMBRA_DATA_DIR=/var/lib/umbra"
        ) from None


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


def is_url(url: str, schemes: Sequence[str]) -> bool:
    """Whether a text is an address of one of these schemes."""
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


def _parts(url: str) -> list[str]:
    """What may be a token or a password in an address of the second channel: errors quote parts."""
    # Some services have their token where others have a host, which has a dot.
    pieces = re.split(r"[:/@?&=]", url.partition("://")[2])
    return [*passwords_of(url), *(each for each in pieces if _TOKEN.fullmatch(each))]


def setting_names() -> set[str]:
    """Return the name of every setting."""
    return {PREFIX + field.upper() for field in Settings.model_fields}


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
