"""The running scanner, the only part of the scanner that waits."""

from trading.scanner.engine.judging import Replayer, ToldPast
from trading.scanner.engine.settings import ScannerSettings
from trading.scanner.engine.shell import ScannerEngine, ScannerPorts

__all__ = ["Replayer", "ScannerEngine", "ScannerPorts", "ScannerSettings", "ToldPast"]
