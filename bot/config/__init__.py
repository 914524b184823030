"""Settings from `UMBRA_…` variables, `.env` or the vault: read once, checked, frozen.

Nothing here leads to live trading by default, and a start that cannot be right is refused with the
exact name of the setting and an example.
"""

from pathlib import Path

from pydantic import ValidationError

from bot.config import checking, environment
from bot.config.checking import (
    LIVE_CONSENT,
    foreign_directory,
    unusable_database,
    unusable_directory,
)
from bot.config.environment import (
    ServiceManagerSettings,
    chat_token,
    data_directory,
    env_file_warning,
    exchange_credentials,
    read_secret,
    service_manager,
    vault,
)
from bot.config.settings import (
    PREFIX,
    Mode,
    Settings,
    WatchdogSettings,
    is_loopback,
    secret_name,
    secret_names,
)


def load(env_file: Path = Path(".env")) -> Settings:
    """Read the environment and, where it is silent, `.env`; raises SettingsInvalid."""
    settings = _read(env_file)
    checking.check_telegram(settings)
    checking.check_account(settings)
    return settings


def load_without_chat(env_file: Path = Path(".env")) -> Settings:
    """Read what is needed past the chat, whose token may be missing; raises SettingsInvalid."""
    settings = _read(env_file)
    checking.check_account(settings)
    return settings


def load_watchdog(env_file: Path = Path(".env")) -> WatchdogSettings:
    """Read what `umbra watchdog` needs; raises SettingsInvalid when it could not speak."""
    settings = _read(env_file)
    checking.check_watchdog(settings)
    return WatchdogSettings(
        data_dir=settings.directory,
        channel_urls=settings.channel_urls,
        token=settings.watchdog_telegram_token,
        chat_id=settings.alarm_chat_id,
        telegram_api_url=settings.telegram_api_url,
        secrets=settings.secrets,
        log_level=settings.log_level,
    )


def _read(env_file: Path) -> Settings:
    said = environment.said(env_file)
    checking.refuse_unknown(said)
    values = environment.with_secrets(said)
    fields = {name.removeprefix(PREFIX).lower(): text for name, text in values.items()}
    try:
        return Settings(**fields)  # type: ignore[arg-type]
    except ValidationError as error:
        raise checking.refused(error, values) from None


__all__ = [
    "LIVE_CONSENT",
    "PREFIX",
    "Mode",
    "ServiceManagerSettings",
    "Settings",
    "WatchdogSettings",
    "chat_token",
    "data_directory",
    "env_file_warning",
    "exchange_credentials",
    "foreign_directory",
    "is_loopback",
    "load",
    "load_watchdog",
    "load_without_chat",
    "read_secret",
    "secret_name",
    "secret_names",
    "service_manager",
    "unusable_database",
    "unusable_directory",
    "vault",
]
