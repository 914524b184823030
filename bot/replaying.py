"""Replays pasts in a process of its own: seconds of reckoning that never hold up a price."""

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np

from bot.child import Child, serve_alone
from storage.archive.archive import Archive
from storage.archive.layout import Month
from storage.archive.partition import PartitionDamaged
from trading.candles.lengthening import lengthened
from trading.candles.series import COLUMNS, TIME, Candles, SeriesName, join, no_candles
from trading.domain.time import Timeframe
from trading.scanner.aftermath import Following
from trading.scanner.desk import ScoreReport
from trading.scanner.engine.judging import ToldPast
from trading.scanner.reporting import CANDLES_MAX, divides_all, longer_lengths, report_of
from trading.scanner.scores import Thresholds
from trading.scanner.walk_forward import BestThresholds, Fold, Outcome

logger = logging.getLogger(__name__)

_DEADLINE_S: Final = 300.0
_MONTH_MS: Final = 2_678_400_000
# A finer past is worth more than a longer one, as long as it is half as long.
_SHARE_MIN: Final = 0.5


class ReplayWorker:
    """Implements `Replayer` over the archive of one exchange; asked once at a time."""

    def __init__(self, archive: Path, exchange: str, deadline_s: float = _DEADLINE_S) -> None:
        self._archive = archive
        self._exchange = exchange
        self._child = Child("bot.replaying", deadline_s)

    async def replay(
        self, symbol: str, timeframes: tuple[Timeframe, ...], told: ToldPast | None = None
    ) -> ScoreReport | None:
        """Report on the archive's past, or on one that is told; raises NotInTime."""
        wanted = {
            "archive": str(self._archive),
            "exchange": self._exchange,
            "symbol": symbol,
            "timeframes": [one.name for one in timeframes],
            "length_ms": None if told is None else told.length_ms,
        }
        body = b"" if told is None else _bytes_of(told.candles)
        try:
            told_back = await self._child.ask(json.dumps(wanted).encode() + b"\n" + body)
        finally:
            # A report a day is not worth the memory of a process that waits for the next.
            await self._child.close()
        content = json.loads(told_back)
        return None if content is None else report_from_json(content)

    async def close(self) -> None:
        """End the process."""
        await self._child.close()


# ------------------------------------------------------------ in the other process


def answer(request: bytes) -> bytes:
    """Make one report, as bytes; `null` where the past is too short."""
    head, _, body = request.partition(b"\n")
    wanted: dict[str, Any] = json.loads(head)
    timeframes = tuple(Timeframe(name) for name in wanted["timeframes"])
    if wanted["length_ms"] is None:
        archive = Archive(Path(wanted["archive"]))
        candles, length_ms = past_of(archive, wanted["exchange"], wanted["symbol"], timeframes)
    else:
        candles, length_ms = _candles_of(body), wanted["length_ms"]
    report = report_of(wanted["symbol"], timeframes, candles, length_ms) if len(candles) else None
    return json.dumps(None if report is None else report_as_json(report)).encode()


def past_of(
    archive: Archive, exchange: str, symbol: str, timeframes: Sequence[Timeframe]
) -> tuple[Candles, int]:
    """Return the past to replay, and how long its candles are; none where nothing fits.

    The finest series counts that reaches half as far as the longest, put together month by month to
    no more candles than a report is made of. Months that are damaged are holes.
    """
    months = {
        name: archive.months(name)
        for name in archive.series()
        if (name.exchange, name.symbol) == (exchange, symbol)
        and divides_all(name.length_ms, timeframes)
    }
    longest = max(map(len, months.values()), default=0)
    fit = [name for name, held in months.items() if held and len(held) >= longest * _SHARE_MIN]
    if not fit:
        return no_candles(), timeframes[0].length_ms
    name = min(fit, key=lambda one: one.length_ms)
    length_ms = _kept_length_ms(name, len(months[name]), timeframes)
    parts = [lengthened(_month(archive, name, month), length_ms) for month in months[name]]
    return join(*parts), length_ms


def _kept_length_ms(name: SeriesName, months: int, timeframes: Sequence[Timeframe]) -> int:
    """Return the shortest length that makes no more candles than a report needs."""
    lengths_ms = [name.length_ms, *longer_lengths(name.length_ms, timeframes)]
    enough = (one for one in lengths_ms if months * _MONTH_MS / one <= CANDLES_MAX)
    return next(enough, lengths_ms[-1])


def _month(archive: Archive, name: SeriesName, month: Month) -> Candles:
    try:
        return archive.read(name, month).candles
    except PartitionDamaged as damage:
        logger.warning("month_left_out", extra={"month": str(month), "error": str(damage)})
        return no_candles()


# ------------------------------------------------------------ bytes and values


def _bytes_of(candles: Candles) -> bytes:
    return b"".join(getattr(candles, name).astype("<f8").tobytes() for name in COLUMNS)


def _candles_of(content: bytes) -> Candles:
    columns = np.frombuffer(content, "<f8").reshape(len(COLUMNS), -1)
    named = dict(zip(COLUMNS, columns, strict=True))
    times = named.pop(TIME).astype(np.int64)
    return Candles(times, **named)


def report_as_json(report: ScoreReport) -> dict[str, Any]:
    """Return a report as plain values."""
    return asdict(report) | {"timeframes": [one.name for one in report.timeframes]}


def report_from_json(content: dict[str, Any]) -> ScoreReport:
    """Return the report that plain values tell of."""
    best = content["best"]
    return ScoreReport(
        content["symbol"],
        tuple(Timeframe(name) for name in content["timeframes"]),
        content["candles"],
        content["length_ms"],
        tuple(_following(one) for one in content["after_rises"]),
        tuple(_following(one) for one in content["after_crashes"]),
        None if best is None else _best(best),
    )


def _following(content: dict[str, Any]) -> Following:
    return Following(
        content["score"],
        content["episodes"],
        *(tuple(content[name]) for name in ("moments", "best", "worst", "final")),
    )


def _best(content: dict[str, Any]) -> BestThresholds:
    return BestThresholds(
        Thresholds(**content["thresholds"]),
        Outcome(**content["in_sample"]),
        Outcome(**content["out_of_sample"]),
        content["held"],
        tuple(_fold(one) for one in content["folds"]),
    )


def _fold(content: dict[str, Any]) -> Fold:
    chosen = content["chosen"]
    return Fold(
        content["first"],
        content["past"],
        None if chosen is None else Thresholds(**chosen),
        Outcome(**content["outcome"]),
    )


if __name__ == "__main__":
    serve_alone(answer)
