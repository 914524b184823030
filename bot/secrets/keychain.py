"""The keyring of the operating system, where there is one that keeps what it is given."""

from typing import TYPE_CHECKING, Protocol

from trading.domain.errors import SettingsInvalid

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

# Below 1 are keyrings that refuse everything, forget everything, or write plain text.
_PRIORITY_MIN = 1


class Keychain(Protocol):
    """Keeps texts by name for one installation."""

    @property
    def is_available(self) -> bool:
        """Whether there is anything behind it."""
        ...

    def get(self, name: str) -> str | None:
        """Return a text, None when it is not there."""
        ...

    def put(self, name: str, text: str) -> None:
        """Keep a text."""
        ...

    def remove(self, name: str) -> None:
        """Forget a text; one that is not there is fine."""
        ...


class OsKeychain:
    """`keyring`, imported when it is first needed. `service` sets installations apart.

    Every method raises SettingsInvalid when the keyring refuses, for example because it is locked.
    """

    def __init__(self, service: str) -> None:
        self._service = service

    @property
    def is_available(self) -> bool:
        """Whether this machine and session have a keyring."""
        return self._backend() is not None

    def get(self, name: str) -> str | None:
        """Ask for a text."""
        from keyring.errors import KeyringError

        try:
            return self._required().get_password(self._service, name)
        except KeyringError as error:
            raise self._refused(name, error) from None

    def put(self, name: str, text: str) -> None:
        """Keep a text."""
        from keyring.errors import KeyringError

        try:
            self._required().set_password(self._service, name, text)
        except KeyringError as error:
            raise self._refused(name, error) from None

    def remove(self, name: str) -> None:
        """Forget a text."""
        from keyring.errors import KeyringError, PasswordDeleteError

        try:
            self._required().delete_password(self._service, name)
        except PasswordDeleteError:
            return
        except KeyringError as error:
            raise self._refused(name, error) from None

    def _backend(self) -> "KeyringBackend | None":
        try:
            import keyring
        except ImportError:
            return None
        backend = keyring.get_keyring()
        return backend if backend.priority >= _PRIORITY_MIN else None

    def _required(self) -> "KeyringBackend":
        backend = self._backend()
        if backend is None:
            raise SettingsInvalid(
                "this session has no keyring: log in where it was set, or set the secret again; "
                "it then goes to the sealed file"
            )
        return backend

    def _refused(self, name: str, error: Exception) -> SettingsInvalid:
        kind = type(error).__name__
        return SettingsInvalid(f"the keyring refused {name} ({kind}): unlock it, or use --file")
