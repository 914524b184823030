"""Where the passphrase of the sealed file comes from: a file, a service credential, a terminal."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from trading.domain.errors import SettingsInvalid

CREDENTIAL_NAME = "umbra-passphrase"
LENGTH_MIN = 12


@dataclass(frozen=True, slots=True)
class Passphrase:
    """Sources in their order; `ask` prompts at a terminal without echo, None without one."""

    file: Path | None = None
    credentials_directory: Path | None = None
    ask: Callable[[str], str] | None = None

    def get(self) -> str:
        """Return the passphrase of a file that exists; raises SettingsInvalid without a source."""
        return self._from_file() or self._asked("Passphrase of the secrets: ")

    def choose(self) -> str:
        """Return the passphrase for a new file: long enough, and typed twice at a terminal."""
        chosen = self._from_file()
        if chosen is None:
            chosen = self._asked("New passphrase for the secrets: ")
            if len(chosen) >= LENGTH_MIN and self._asked("The same again: ") != chosen:
                raise SettingsInvalid("the two passphrases should be the same")
        if len(chosen) < LENGTH_MIN:
            raise SettingsInvalid(
                f"a passphrase should have at least {LENGTH_MIN} characters, had {len(chosen)}"
            )
        return chosen

    def _from_file(self) -> str | None:
        if self.file is not None:
            return _first_line(self.file)
        if self.credentials_directory is not None:
            credential = self.credentials_directory / CREDENTIAL_NAME
            if credential.is_file():
                return _first_line(credential)
        return None

    def _asked(self, prompt: str) -> str:
        if self.ask is None:
            raise SettingsInvalid(
                "the secrets are sealed and there is no terminal to ask for their passphrase. "
                "Example: UMBRA_SECRETS_PASSPHRASE_FILE=/etc/umbra/passphrase, "
                f"or the service credential {CREDENTIAL_NAME}"
            )
        return self.ask(prompt)


def refuse_readable_by_others(path: Path) -> None:
    """Raise SettingsInvalid for a file that anybody but its owner may read or write."""
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise SettingsInvalid(
            f"{path} should be for its owner alone, was {mode:03o}. Example: chmod 600 {path}"
        )


def _first_line(path: Path) -> str:
    try:
        refuse_readable_by_others(path)
        first = path.read_text().partition("\n")[0].rstrip("\r")
    except (OSError, UnicodeDecodeError) as error:
        kind = type(error).__name__
        raise SettingsInvalid(f"the passphrase in {path} cannot be read ({kind})") from None
    if not first:
        raise SettingsInvalid(f"the passphrase should be the first line of {path}, it is empty")
    return first
