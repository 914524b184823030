"""The scanner's settings."""

from dataclasses import dataclass

from trading.domain.time import Timeframe
from trading.scanner.history import CANDLES_MAX
from trading.scanner.replay import SCORED_TIMEFRAMES

SYMBOLS_MAX = 200


@dataclass(frozen=True, slots=True)
class ScannerSettings:
    """What is scanned where nobody says otherwise, and how much at most.

    `candles_max` closed candles are ranked per symbol and timeframe; recorded scores are kept for
    `kept_days`.
    """

    timeframes: tuple[Timeframe, ...] = SCORED_TIMEFRAMES
    symbols_max: int = SYMBOLS_MAX
    candles_max: int = CANDLES_MAX
    kept_days: int = 400
