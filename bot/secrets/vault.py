"""One installation's secrets: which there are, where each is kept, and the sealed file itself.

`secrets.json` says by name what is in the keyring and holds, sealed, what is not. A secret that it
names and that cannot be had refuses the start: protection is never lost by a keyring's silence.
"""

import contextlib
import json
import os
from collections.abc import Callable, Collection, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from bot.secrets.keychain import Keychain
from bot.secrets.passphrase import Passphrase, refuse_readable_by_others
from bot.secrets.sealing import seal, unseal
from trading.domain.errors import SettingsInvalid

FILE_NAME = "secrets.json"
_VERSION = 1
_TEXT_LENGTH_MAX = 4_096


class Place(Enum):
    """Where a secret is kept."""

    KEYRING = "the keyring"
    FILE = "the sealed file"


class Vault:
    """Every method raises SettingsInvalid with one sentence when it cannot do its work."""

    def __init__(
        self,
        directory: Path,
        keychain: Keychain,
        passphrase: Passphrase,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._path = directory / FILE_NAME
        self._keychain = keychain
        self._passphrase = passphrase
        self._random_bytes = random_bytes

    def places(self) -> dict[str, Place]:
        """Return what is kept where, by name; needs no passphrase."""
        kept = self._read()
        places = dict.fromkeys(kept["in_keyring"], Place.KEYRING)
        places |= dict.fromkeys(_sealed_names(kept), Place.FILE)
        return dict(sorted(places.items()))

    def load(self, names: Collection[str]) -> dict[str, str]:
        """Return the wanted secrets that are kept; asks for a passphrase only if it must."""
        kept = self._read()
        found = {name: self._from_keyring(name) for name in kept["in_keyring"] if name in names}
        if set(_sealed_names(kept)) & set(names):
            opened = unseal(kept["sealed"], self._passphrase.get())
            found |= {name: text for name, text in opened.items() if name in names}
        return found

    def put(self, name: str, text: str, *, in_file: bool = False) -> Place:
        """Keep a secret in the keyring, or in the sealed file when there is none or it is wanted.

        It is then in one place only.
        """
        if not text or len(text) > _TEXT_LENGTH_MAX or "\n" in text:
            raise SettingsInvalid(
                f"{name} should be one line of 1 to {_TEXT_LENGTH_MAX} characters"
            )
        kept = self._read()
        if in_file or not self._keychain.is_available:
            self._seal(kept, lambda texts: {**texts, name: text})
            if name in kept["in_keyring"]:
                self._drop_from_keyring(kept, name)
            self._write(kept)
            return Place.FILE
        self._keychain.put(name, text)
        if name in _sealed_names(kept):
            self._seal(kept, lambda texts: _without(texts, name))
        kept["in_keyring"] = sorted({*kept["in_keyring"], name})
        self._write(kept)
        return Place.KEYRING

    def remove(self, name: str) -> bool:
        """Forget a secret; returns whether it was there."""
        kept = self._read()
        is_there = name in kept["in_keyring"] or name in _sealed_names(kept)
        if name in kept["in_keyring"]:
            self._drop_from_keyring(kept, name)
        if name in _sealed_names(kept):
            self._seal(kept, lambda texts: _without(texts, name))
        if is_there:
            self._write(kept)
        return is_there

    def _from_keyring(self, name: str) -> str:
        text = self._keychain.get(name)
        if text is None:
            raise SettingsInvalid(
                f"{name} should be in the keyring and is not. Example: umbra secrets set {name}"
            )
        return text

    def _drop_from_keyring(self, kept: dict[str, Any], name: str) -> None:
        kept["in_keyring"].remove(name)
        # A keyring that is gone keeps what it has; that must not keep a secret from its new place.
        with contextlib.suppress(SettingsInvalid):
            self._keychain.remove(name)

    def _seal(
        self, kept: dict[str, Any], change: Callable[[Mapping[str, str]], Mapping[str, str]]
    ) -> None:
        if kept["sealed"]:
            passphrase = self._passphrase.get()
            texts: Mapping[str, str] = unseal(kept["sealed"], passphrase)
        else:
            passphrase, texts = self._passphrase.choose(), {}
        changed = change(texts)
        kept["sealed"] = seal(changed, passphrase, self._random_bytes) if changed else None

    def _read(self) -> dict[str, Any]:
        if not self._path.is_file():
            return {"version": _VERSION, "in_keyring": [], "sealed": None}
        refuse_readable_by_others(self._path)
        try:
            kept = json.loads(self._path.read_bytes())
            names = [*kept["in_keyring"], *_sealed_names(kept)]
            is_ours = kept["version"] == _VERSION and all(isinstance(name, str) for name in names)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            kind = type(error).__name__
            raise SettingsInvalid(f"{self._path} cannot be read ({kind})") from None
        if not is_ours:
            raise SettingsInvalid(f"{self._path} is not a file of secrets of this version")
        return dict(kept)

    def _write(self, kept: Mapping[str, Any]) -> None:
        folder = self._path.parent
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = folder / f".{FILE_NAME}.new"
        fresh.unlink(missing_ok=True)
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            json.dump(dict(kept), file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)


def _sealed_names(kept: Mapping[str, Any]) -> list[str]:
    return list(kept["sealed"]["names"]) if kept["sealed"] else []


def _without(texts: Mapping[str, str], name: str) -> dict[str, str]:
    return {key: text for key, text in texts.items() if key != name}
