"""Secrets that are planted, every spelling of them, and the search for any."""

import base64
from urllib.parse import quote

CANARIES = {
    "UMBRA_EXCHANGE_API_KEY": "canarykey7f3e9a51c2",
    "UMBRA_EXCHANGE_SECRET": "canarysecret/81+0b7d",
    "UMBRA_TELEGRAM_TOKEN": "4242:canarytoken5d0c1e",
    "UMBRA_TOTP_SECRET": "CANARYGNBVGY3TQOJQGEZDGNBVGY3TQO",
}
PASSWORD = "canarypassword42"
DATABASE = f"postgresql+asyncpg://umbra:{PASSWORD}@127.0.0.1:9/none"


def spellings(secret: str) -> set[str]:
    """Every way in which a secret could be written."""
    bare = secret.partition(":")[2] or secret
    encoded = base64.b64encode(secret.encode()).decode().rstrip("=")
    return {secret, bare, quote(secret, safe=""), encoded, secret.encode().hex()}


SPELLED = {word for secret in (*CANARIES.values(), PASSWORD) for word in spellings(secret)}


def leaks(text: str, spelled: set[str] = SPELLED) -> list[str]:
    """The planted words that a text contains."""
    return [word for word in spelled if word in text]
