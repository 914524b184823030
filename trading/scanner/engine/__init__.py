"""The running scanner, the only part of the scanner that waits."""

from trading.scanner.engine.glance import Glance
from trading.scanner.engine.settings import ScannerSettings
from trading.scanner.engine.shell import ScannerEngine

__all__ = ["Glance", "ScannerEngine", "ScannerSettings"]
