"""The scanner's settings."""

from dataclasses import dataclass, field

from trading.domain.time import Timeframe
from trading.market.settings import CandleSettings
from trading.scanner.history import CANDLES_MAX
from trading.scanner.replay import SCORED_TIMEFRAMES


@dataclass(frozen=True, slots=True)
class ScannerSettings:
    """What is scanned where nobody says otherwise, and how much at most.

    - `candles_max`: closed candles that are ranked per symbol and timeframe
    - `slice_series`, `pause_s`: running candles that are rated before others have the loop for
      themselves, and for how long: a stop needs several turns
    - `patience_s`: how long what is told of a symbol waits for pasts that are on their way; it is
      scored without them meanwhile
    - `kept_days`: how long recorded scores are kept
    """

    timeframes: tuple[Timeframe, ...] = SCORED_TIMEFRAMES
    symbols_max: int = 200
    candles_max: int = CANDLES_MAX
    slice_series: int = 25
    pause_s: float = 0.002
    patience_s: float = 60.0
    kept_days: int = 400
    candles: CandleSettings = field(default_factory=CandleSettings)
