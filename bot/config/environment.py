"""Where settings are read from: the environment, `.env`, and where `umbra secrets` keeps secrets.

The only reader of the environment.
"""

import getpass
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from dotenv import dotenv_values

from bot.config.settings import PREFIX, expanded, secret_names, setting_names
from bot.secrets import OsKeychain, Passphrase, Vault
from trading.domain.errors import SettingsInvalid


def said(env_file: Path) -> dict[str, str]:
    """Return what the environment says and, where it is silent, the file; nothing empty.

    Raises SettingsInvalid for a file that is no text.
    """
    in_file = _in_file(env_file)
    known = setting_names()
    return {
        # What is no setting is named as it was written.
        name.upper() if name.upper() in known else name: value
        for source in (in_file, os.environ)
        for name, value in source.items()
        if name.upper().startswith(PREFIX) and value
    }


def _in_file(env_file: Path) -> Mapping[str, str | None]:
    if not env_file.is_file():
        return {}
    try:
        text = env_file.read_bytes().decode()
    except UnicodeDecodeError as error:
        before = error.object[: error.start].count(b"\n")
        raise SettingsInvalid(
            f"{env_file} should be text in UTF-8, and its line {before + 1} is not: save it as "
            "UTF-8. Example: UMBRA_MODE=paper"
        ) from None
    # For each line it copies the whole environment, in case the line refers to it.
    return dotenv_values(stream=StringIO(text), interpolate="${" in text)


def vault(env_file: Path = Path(".env")) -> Vault:
    """Return where this installation keeps its secrets; reads nothing yet."""
    return _vault(said(env_file))


def data_directory(env_file: Path = Path(".env")) -> Path:
    """Return the data directory alone, for commands that need no other setting."""
    return _directory(said(env_file))


def with_secrets(told: Mapping[str, str]) -> dict[str, str]:
    """Return what was said, and the secrets of the vault where nothing was said of them."""
    missing = [name for name in secret_names() if name not in told]
    return {**_vault(told).load(missing), **told}


def _vault(told: Mapping[str, str]) -> Vault:
    directory = _directory(told)
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    is_terminal = sys.stdin is not None and sys.stdin.isatty()
    passphrase = Passphrase(
        file=_path(told, "UMBRA_SECRETS_PASSPHRASE_FILE"),
        credentials_directory=Path(credentials) if credentials else None,
        ask=getpass.getpass if is_terminal else None,
    )
    return Vault(directory, OsKeychain(f"umbra {directory.resolve()}"), passphrase)


def _directory(told: Mapping[str, str]) -> Path:
    return _path(told, "UMBRA_DATA_DIR") or expanded(Path("~/.umbra"))


def _path(told: Mapping[str, str], name: str) -> Path | None:
    return expanded(Path(told[name])) if name in told else None


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


def exchange_credentials() -> tuple[str | None, str | None]:
    """Return the key and secret for the simulated exchange, None for its demo pair."""
    key = os.environ.get("UMBRA_EXCHANGE_API_KEY") or None
    return key, os.environ.get("UMBRA_EXCHANGE_SECRET") or None


def chat_token() -> str | None:
    """Return the only bot token that the local chat should accept, None for any."""
    return os.environ.get("UMBRA_TELEGRAM_TOKEN") or None
