"""The scanner of this process: its settings, and what it stands on."""

from collections.abc import Callable, Sequence
from pathlib import Path

from bot.config import Settings
from bot.replaying import ReplayWorker
from storage.archive.archive import DamagedMonth
from storage.archive.live import LiveArchive
from storage.scores import ScoreFiles
from trading.domain.time import Timeframe
from trading.ports.clock import Clock
from trading.ports.exchange import CandleFeed
from trading.scanner.engine import ScannerEngine, ScannerPorts, ScannerSettings
from trading.scanner.engine.shell import OnScores


def scanner(
    settings: Settings,
    feed: CandleFeed,
    clock: Clock,
    replays: ReplayWorker,
    on_scores: OnScores,
    on_damage: Callable[[Sequence[DamagedMonth]], None],
) -> ScannerEngine:
    """Return a scanner that keeps candles and scores in the data directory."""
    ports = ScannerPorts(
        feed=feed,
        clock=clock,
        scores=ScoreFiles(settings.directory / "scores" / archive_name(settings)),
        replayer=replays,
        candles=LiveArchive(archive_root(settings), archive_name(settings), on_damage),
    )
    return ScannerEngine(ports, scanner_settings(settings), on_scores)


def replays(settings: Settings) -> ReplayWorker:
    """Return who replays the pasts of this exchange; nothing is started yet."""
    return ReplayWorker(archive_root(settings), archive_name(settings))


def scanner_settings(settings: Settings) -> ScannerSettings:
    """Return the scanner's share of the settings."""
    return ScannerSettings(
        timeframes=tuple(map(Timeframe.parse, settings.scan_timeframes)),
        symbols_max=settings.watched_max,
        kept_days=settings.scores_kept_days,
    )


def archive_root(settings: Settings) -> Path:
    """Return where candles are kept."""
    return settings.directory / "archive"


def archive_name(settings: Settings) -> str:
    """Return under which name candles are kept; what is simulated is no market's history."""
    return settings.exchange_id + ("simulated" if settings.is_loopback_exchange else "")
