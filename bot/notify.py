"""The second channel: alerts by e-mail, ntfy, webhook and whatever else apprise can reach."""

import asyncio
import hashlib
import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from trading.domain.errors import SettingsInvalid
from trading.domain.redaction import Masked, masking

if TYPE_CHECKING:
    import apprise

logger = logging.getLogger(__name__)

_CALL_S = 20.0
TITLE = "Umbra"


@dataclass(frozen=True, slots=True)
class Way:
    """One address of the second channel; its name holds nothing secret."""

    name: str
    way_id: str
    _channel: "apprise.Apprise"
    _masked: Masked

    async def say(self, text: str) -> bool:
        """Send a text without secrets; False when it was not taken, or not in time."""
        try:
            async with asyncio.timeout(_CALL_S):
                body = self._masked(text)
                return bool(await asyncio.to_thread(self._channel.notify, body, TITLE))
        except (TimeoutError, OSError, TypeError) as error:
            logger.warning(
                "second_channel_failed", extra={"way": self.name, "error": type(error).__name__}
            )
            return False


def ways(urls: Sequence[str], secrets: Sequence[str]) -> tuple[Way, ...]:
    """Return a way for each address; raises SettingsInvalid for one that apprise cannot read."""
    if not urls:
        return ()
    masked = masking(secrets)
    with warnings.catch_warnings():
        # It looks for a module of the standard library that newer versions have dropped.
        warnings.simplefilter("ignore", DeprecationWarning)
        return tuple(_way(number, url, masked) for number, url in enumerate(urls, 1))


def _way(number: int, url: str, masked: Masked) -> Way:
    try:
        # Heavy, and most installations have no second channel.
        import apprise
    except ImportError as error:
        raise SettingsInvalid(
            "UMBRA_SECOND_CHANNEL_URLS needs the package apprise: install umbra-agent[notify]"
        ) from error
    channel = apprise.Apprise()
    if not channel.add(url):
        raise SettingsInvalid(
            f"UMBRA_SECOND_CHANNEL_URLS: address {number} is none that apprise knows. "
            "Example: UMBRA_SECOND_CHANNEL_URLS=ntfys://ntfy.sh/your-topic"
        )
    digest = hashlib.sha256(url.encode()).hexdigest()[:16]
    return Way(f"{urlsplit(url).scheme} ({number})", digest, channel, masked)
