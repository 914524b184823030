"""Takes critical alerts that nobody acknowledged to the second channel, each once per address."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from bot.repetition import Standing
from bot.small_files import replace_text
from trading.ports.clock import Clock

logger = logging.getLogger(__name__)

UNSEEN_S = 60.0
# The chat cannot carry the news that it is lost.
AT_ONCE = "condition:telegram_"
# Then each quarter of an hour for as long as it stands: a whole network may be away for hours.
_AGAIN_AFTER_S = (15.0, 60.0, 300.0, 900.0)
_LOOK_S = 1.0
_TOLD_MAX = 1000
_TEXTS_MAX = 10
_FILE = "second_channel.json"


class Way(Protocol):
    """One address; `way_id` names it for ever, `name` for people."""

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def way_id(self) -> str: ...  # noqa: D102

    async def say(self, text: str) -> bool:
        """Send a text; False when it was not taken."""
        ...


@dataclass(slots=True)
class _Try:
    attempts: int = 0
    again_s: float = float("-inf")


@dataclass(slots=True)
class Escalation:
    """Looks each second at what stands; `standing` gives it by alert id."""

    data_dir: Path
    ways: Sequence[Way]
    standing: Callable[[], Mapping[str, Standing]]
    clock: Clock
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    _since_s: dict[str, float] = field(default_factory=dict)
    _tries: dict[tuple[str, str], _Try] = field(default_factory=dict)
    _told: dict[str, list[str]] | None = None
    _failing: dict[str, str] = field(default_factory=dict)

    @property
    def state(self) -> str:
        """How the second channel is, for people; empty when there is none."""
        if not self.ways:
            return ""
        return ", ".join(
            f"{way.name} {self._failing.get(way.way_id, 'ready')}" for way in self.ways
        )

    async def run(self) -> None:
        """Look each second until cancelled; without an address there is nothing to do."""
        while self.ways:
            await self.step()
            await self.sleep(_LOOK_S)
        await asyncio.Event().wait()

    async def step(self) -> None:
        """Look once and send what is due."""
        if self._told is None:
            self._told = await asyncio.to_thread(_read, self.data_dir / _FILE)
        now_s = self.clock.monotonic()
        standing = self.standing()
        self._since_s = {
            key: self._since_s.get(key, now_s - self._age_s(one)) for key, one in standing.items()
        }
        self._tries = {pair: tried for pair, tried in self._tries.items() if pair[1] in standing}
        await asyncio.gather(*(self._serve(way, standing, now_s) for way in self.ways))

    async def tell_now(self, text: str) -> bool:
        """Send past every rule, for what cannot be journaled; True when one address took it."""
        return any(await asyncio.gather(*(way.say(text) for way in self.ways)))

    def _age_s(self, one: Standing) -> float:
        # A process that dies each half minute must not begin to count anew with each life.
        if one.since is None:
            return 0.0
        return max((self.clock.now() - one.since).total_seconds(), 0.0)

    async def _serve(self, way: Way, standing: Mapping[str, Standing], now_s: float) -> None:
        due = [key for key in standing if self._is_due(way, key, now_s)][:_TEXTS_MAX]
        if not due:
            return
        if await way.say("\n\n".join(standing[key].text for key in due)):
            self._failing.pop(way.way_id, None)
            await self._remember(way, due)
            return
        for key in due:
            self._failed(way, key)

    def _is_due(self, way: Way, key: str, now_s: float) -> bool:
        if self._told is not None and key in self._told.get(way.way_id, ()):
            return False
        tried = self._tries.get((way.way_id, key), _Try())
        wait_s = 0.0 if key.startswith(AT_ONCE) else UNSEEN_S
        return now_s - self._since_s[key] >= wait_s and now_s >= tried.again_s

    def _failed(self, way: Way, key: str) -> None:
        tried = self._tries.setdefault((way.way_id, key), _Try())
        pause_s = _AGAIN_AFTER_S[min(tried.attempts, len(_AGAIN_AFTER_S) - 1)]
        tried.attempts += 1
        tried.again_s = self.clock.monotonic() + pause_s
        self._failing[way.way_id] = f"FAILED {tried.attempts} times, tries again"
        logger.warning(
            "alert_not_escalated",
            extra={"way": way.name, "alert": key, "attempts": tried.attempts},
        )

    async def _remember(self, way: Way, keys: Sequence[str]) -> None:
        told = self._told if self._told is not None else {}
        told[way.way_id] = [*told.get(way.way_id, []), *keys][-_TOLD_MAX:]
        try:
            await asyncio.to_thread(_write, self.data_dir / _FILE, told)
        except OSError as error:
            # Until the next start memory is enough; after it an alert may come a second time.
            logger.warning("escalation_not_remembered", extra={"error": str(error)})


def _read(path: Path) -> dict[str, list[str]]:
    try:
        record = json.loads(path.read_text())
        return {str(way): [str(key) for key in keys] for way, keys in record.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def _write(path: Path, told: Mapping[str, Sequence[str]]) -> None:
    replace_text(path, json.dumps(told))
