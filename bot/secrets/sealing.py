"""A few texts sealed with a passphrase: Argon2id makes the key, AES-256-GCM the seal.

Parameters are those that RFC 9106 recommends second, for machines with little memory.
"""

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from typing import Any

from trading.domain.errors import SettingsInvalid

_KDF = {"kdf": "argon2id", "memory_kib": 65_536, "passes": 3, "lanes": 4}
_SALT_BYTES, _NONCE_BYTES, _KEY_BYTES = 16, 12, 32


class WrongPassphrase(SettingsInvalid):
    """The passphrase does not open the seal, or what is sealed was changed."""


def seal(
    texts: Mapping[str, str], passphrase: str, random_bytes: Callable[[int], bytes]
) -> dict[str, Any]:
    """Return a JSON object that only the passphrase opens; the names stay readable."""
    salt, nonce = random_bytes(_SALT_BYTES), random_bytes(_NONCE_BYTES)
    head = {
        "names": sorted(texts),
        **_KDF,
        "salt": base64.b64encode(salt).decode(),
        "nonce": base64.b64encode(nonce).decode(),
    }
    plain = json.dumps(dict(texts), sort_keys=True).encode()
    box = _cipher(passphrase, salt).encrypt(nonce, plain, _bound(head))
    return {**head, "box": base64.b64encode(box).decode()}


def unseal(sealed: Mapping[str, Any], passphrase: str) -> dict[str, str]:
    """Return the texts; raises WrongPassphrase, or SettingsInvalid for what is no seal of ours."""
    from cryptography.exceptions import InvalidTag

    head = {name: value for name, value in sealed.items() if name != "box"}
    if any(sealed.get(name) != value for name, value in _KDF.items()):
        # Also a bound: a file must not decide how much memory a start takes.
        raise SettingsInvalid(f"the secrets should be sealed by {_KDF}, were by {head}")
    try:
        salt, nonce, box = (base64.b64decode(sealed[name]) for name in ("salt", "nonce", "box"))
        plain = _cipher(passphrase, salt).decrypt(nonce, box, _bound(head))
    except (KeyError, TypeError, ValueError, binascii.Error):
        raise SettingsInvalid("the file of secrets is damaged: restore it from a copy") from None
    except InvalidTag:
        raise WrongPassphrase(
            "the passphrase does not open the file of secrets, or the file was changed"
        ) from None
    texts: dict[str, str] = json.loads(plain)
    return texts


def _cipher(passphrase: str, salt: bytes) -> Any:
    # Both take a noticeable part of a start, and most starts need neither.
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

    derive = Argon2id(
        salt=salt,
        length=_KEY_BYTES,
        iterations=int(str(_KDF["passes"])),
        lanes=int(str(_KDF["lanes"])),
        memory_cost=int(str(_KDF["memory_kib"])),
    )
    return AESGCM(derive.derive(passphrase.encode()))


def _bound(head: Mapping[str, Any]) -> bytes:
    return json.dumps(dict(head), sort_keys=True).encode()
