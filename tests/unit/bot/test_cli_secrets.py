"""`umbra secrets` keeps, names and forgets secrets, and shows none but the one it makes."""

import getpass
import os
import stat
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bot import config
from bot.cli import app
from trading.domain.errors import Refused, SettingsInvalid

CANARY = "canary-7f3e9a51"
RUN = CliRunner()


@pytest.fixture(autouse=True)
def _installation(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("UMBRA_")]:
        monkeypatch.delenv(name)
    passphrase = tmp_path / "passphrase"
    passphrase.write_text("correct horse battery\n")
    passphrase.chmod(0o600)
    monkeypatch.setenv("UMBRA_SECRETS_PASSPHRASE_FILE", str(passphrase))
    monkeypatch.setenv("UMBRA_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)


def test_a_secret_is_set_listed_and_removed_without_being_shown(tmp_path: Path) -> None:
    said = RUN.invoke(app, ["secrets", "set", "exchange_secret", "--file"], input=f"{CANARY}\n")
    assert said.exit_code == 0, said.output
    assert said.output == "UMBRA_EXCHANGE_SECRET is in the sealed file\n"
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
    listed = RUN.invoke(app, ["secrets", "list"])
    assert listed.output == "UMBRA_EXCHANGE_SECRET is in the sealed file\n"
    removed = RUN.invoke(app, ["secrets", "remove", "UMBRA_EXCHANGE_SECRET"])
    assert removed.output == "UMBRA_EXCHANGE_SECRET is forgotten\n"
    assert CANARY not in said.output + listed.output + removed.output
    assert isinstance(RUN.invoke(app, ["secrets", "remove", "totp_secret"]).exception, Refused)


def test_a_setting_that_is_no_secret_is_refused() -> None:
    said = RUN.invoke(app, ["secrets", "set", "mode"], input="live\n")
    assert isinstance(said.exception, SettingsInvalid)


def test_an_authenticators_secret_is_made_kept_and_shown_once() -> None:
    said = RUN.invoke(app, ["secrets", "totp", "--file"])
    assert said.exit_code == 0, said.output
    secret = config.vault().load(["UMBRA_TOTP_SECRET"])["UMBRA_TOTP_SECRET"]
    assert f"otpauth://totp/Umbra?secret={secret}&issuer=Umbra" in said.output
    assert len(secret) == 32


def test_at_a_terminal_a_secret_is_typed_without_echo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(getpass, "getpass", lambda prompt: f"{prompt}{CANARY}")
    assert config.read_secret("Name: ") == f"Name: {CANARY}"
