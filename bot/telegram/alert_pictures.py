"""The picture of an alert: the chart of one symbol, or the heat map of a burst."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from bot.charts.drawing import drawing_of
from bot.charts.heat_map import heat_map_of
from bot.charts.worker import Picture
from bot.telegram.commands.context import ChartDrawer
from trading.desk import Desk
from trading.domain.chat import Person
from trading.domain.errors import Refused, Retryable
from trading.domain.time import Timeframe
from trading.domain.watching import ScoreAlert, ScoreKind
from trading.overview import ChartView
from trading.ports.clock import Clock
from trading.scanner.attention import Message
from trading.scanner.scores import RankScore, TimeframeScore

logger = logging.getLogger(__name__)

_CANDLES = 120
# An alert waits no longer for all pictures of one look than a process needs that starts to draw.
_PATIENCE_S = 8.0


@dataclass(slots=True)
class AlertPictures:
    """Draws off the loop while the patience of a look lasts; what fails costs the picture alone."""

    desk: Desk
    charts: ChartDrawer
    clock: Clock
    folder: Path
    _views: dict[tuple[str, Timeframe], ChartView] = field(default_factory=dict)
    _until_s: float = 0.0

    def begin(self) -> None:
        """Begin a look: the candles of the last one are old, the patience is whole again."""
        self._views.clear()
        self._until_s = self.clock.monotonic() + _PATIENCE_S

    async def of(
        self,
        message: Message,
        scores: Mapping[str, RankScore],
        person: Person,
        name: str,
        now: datetime,
    ) -> Path | None:
        """Return the picture of a message, as its reader's clock goes; None where there is none."""
        left_s = self._until_s - self.clock.monotonic()
        if left_s <= 0:
            return None
        try:
            async with asyncio.timeout(left_s):
                picture = await self._picture(message, scores, person, now)
                if picture is None:
                    return None
                return await self.charts.draw(picture, self.folder / "charts" / f"{name}.png")
        except (TimeoutError, Refused, Retryable) as error:
            # What held up one would hold up the next.
            self._until_s = self.clock.monotonic()
            logger.warning("alert_without_picture", extra={"error": str(error)})
            return None

    async def _picture(
        self, message: Message, scores: Mapping[str, RankScore], person: Person, now: datetime
    ) -> Picture | None:
        zone = ZoneInfo(person.timezone)
        told = {one.symbol: scores[one.symbol] for one in message.alerts if one.symbol in scores}
        if not told:
            return None
        if len(message.alerts) > 1:
            at = now.astimezone(zone)
            return heat_map_of(list(told.values()), at, is_simulated=self.desk.is_simulated)
        (alert,) = message.alerts
        timeframe = _rarest(told[alert.symbol], alert)
        if timeframe is None:
            return None
        view = await self._view(alert.symbol, timeframe)
        tick = self.desk.instrument(alert.symbol).price_tick
        return drawing_of(view, tick, zone) if view.candles else None

    async def _view(self, symbol: str, timeframe: Timeframe) -> ChartView:
        known = self._views.get((symbol, timeframe))
        if known is None:
            known = await self.desk.chart(symbol, timeframe, _CANDLES)
            self._views[symbol, timeframe] = known
        return known


def _rarest(score: RankScore, alert: ScoreAlert) -> Timeframe | None:
    """The candle length that gave most to what is told, the longest of equal ones."""

    def given(one: TimeframeScore) -> tuple[int, int]:
        is_bull = alert.kind is ScoreKind.BULL
        return one.bull_points if is_bull else one.bear_points, one.timeframe.length_ms

    found = max(score.scored, key=given, default=None)
    return None if found is None else found.timeframe
